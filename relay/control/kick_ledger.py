"""The kicks that were applied, and the new streams that one still reaches. No I/O, no clock."""

from collections.abc import Iterable
from dataclasses import dataclass

from relay.control.kick import Kick, OpenStream
from relay.control.kick_notes import Noted

OVERLAP_SECONDS = 60.0
"""How far each look reaches back before the last one, in case the clock of Redis was set back."""

HOLD_SECONDS = 0.5
"""A kick also ends streams requested within this time after it: their right may have been checked
just before."""

SIGN_OUT_HOLD_SECONDS = 5.0
"""Django sends the signal of a logout before it ends the session, and a session store may be slow."""


@dataclass(frozen=True, slots=True)
class _Applied:
    kick: Kick
    noted_ms: float
    applied_at: float

    def holds(self, asked_at: float) -> bool:
        """Whether it also ends what was asked for then."""
        seconds = SIGN_OUT_HOLD_SECONDS if self.kick.by_sign_out else HOLD_SECONDS
        return asked_at <= self.applied_at + seconds


class KickLedger:
    """`started`, `now` and `asked_at` are seconds of one monotonic clock; ms are the clock of Redis."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._applied: dict[bytes, _Applied] = {}
        self.since_ms = 0
        """The time since which to look for kicks."""

    @property
    def applied(self) -> list[Kick]:
        """The kicks that are kept, the oldest first."""
        return [applied.kick for applied in self._applied.values()]

    def note(self, found: Iterable[Noted], now_ms: int, now: float) -> list[Kick]:
        """Records the kicks found at `now_ms` by one clock and `now` by the other.

        Returns the kicks to apply: those that are new and were noted since the start. Ages are
        compared, so the two clocks may differ.
        """
        new = []
        lived_ms = (now - self._started) * 1000
        for noted in found:
            kick = Kick.decode(noted.entry)
            if kick and noted.entry not in self._applied and now_ms - noted.ms <= lived_ms:
                self._applied[noted.entry] = _Applied(kick, noted.ms, now)
                new.append(kick)
        self._forget(now_ms - round(OVERLAP_SECONDS * 1000))
        return new

    def reached(self, stream: OpenStream, asked_at: float) -> bool:
        """Whether a kick covers a new stream and came while its client was being admitted.

        `asked_at` is when the request came.
        """
        for applied in reversed(self._applied.values()):
            if applied.applied_at + SIGN_OUT_HOLD_SECONDS < asked_at:
                return False
            if applied.holds(asked_at) and applied.kick.covers(stream):
                return True
        return False

    def _forget(self, before_ms: int) -> None:
        """Forgets the kicks that no later look will find."""
        self.since_ms = before_ms
        for entry in [e for e, a in self._applied.items() if a.noted_ms < before_ms]:
            del self._applied[entry]
