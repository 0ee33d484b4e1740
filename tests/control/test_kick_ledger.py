"""The ledger of kicks: each is applied once, none from before the start, and one holds for a while."""

from dataclasses import dataclass, field

import pytest

from relay.control.kick import Kick
from relay.control.kick_ledger import HOLD_SECONDS, OVERLAP_SECONDS, KickLedger
from relay.control.kick_notes import Noted

STARTED = 1000.0
"""By the clock of the process."""

REDIS_MS = 5_000_000_000_000
"""The clock of Redis at that moment, which is another one."""


@dataclass(frozen=True)
class Owner:
    user: str = ""


@dataclass(frozen=True)
class Stream:
    owner: Owner = Owner()
    names: tuple[str, ...] = field(default=("news",))
    id: str = "0"


def noted(kick: Kick, seconds: float) -> Noted:
    """A kick that was noted so long after the start."""
    return Noted(kick.encode().encode(), REDIS_MS + seconds * 1000)


def look(ledger: KickLedger, seconds: float, *found: Noted) -> list[Kick]:
    return ledger.note(found, REDIS_MS + round(seconds * 1000), STARTED + seconds)


@pytest.fixture
def ledger() -> KickLedger:
    return KickLedger(STARTED)


def test_a_kick_is_applied_once(ledger: KickLedger) -> None:
    first, second = noted(Kick("7"), 1), noted(Kick("7"), 2)
    assert look(ledger, 1, first) == [Kick("7")]
    assert look(ledger, 2, first, second) == [Kick("7")]
    assert look(ledger, 3, first, second) == []
    assert ledger.applied == [Kick("7"), Kick("7")]


def test_what_was_noted_before_the_start_is_not_applied(ledger: KickLedger) -> None:
    assert look(ledger, 1, noted(Kick(), -0.001), noted(Kick("7"), 0)) == [Kick("7")]


def test_what_nobody_understands_is_not_applied(ledger: KickLedger) -> None:
    assert look(ledger, 1, Noted(b"1 pet 7", REDIS_MS)) == []
    assert ledger.applied == []


def test_it_looks_again_at_a_minute_before_the_last_look_and_remembers_as_long(
    ledger: KickLedger,
) -> None:
    assert ledger.since_ms == 0
    kick = noted(Kick("7"), 1)
    look(ledger, 1, kick)
    assert ledger.since_ms == REDIS_MS + 1000 - OVERLAP_SECONDS * 1000
    look(ledger, 1 + OVERLAP_SECONDS, kick)
    assert ledger.applied == [Kick("7")]
    look(ledger, 1.001 + OVERLAP_SECONDS)
    assert ledger.applied == []


def test_one_who_was_being_admitted_is_reached_and_so_is_one_who_asks_soon_after(
    ledger: KickLedger,
) -> None:
    hers, his = Stream(Owner("7")), Stream(Owner("8"))
    assert not ledger.reached(hers, STARTED)
    look(ledger, 1, noted(Kick("7"), 1))
    look(ledger, 2, noted(Kick("9"), 2))
    for asked_at in (0.5, 1.0, 1.0 + HOLD_SECONDS):
        assert ledger.reached(hers, STARTED + asked_at)
        assert not ledger.reached(his, STARTED + asked_at)
    assert not ledger.reached(hers, STARTED + 1.001 + HOLD_SECONDS)


def test_a_kick_of_one_stream_reaches_no_stream_that_is_opened_then(ledger: KickLedger) -> None:
    assert look(ledger, 1, noted(Kick(stream="1f"), 1)) == [Kick(stream="1f")]
    assert not ledger.reached(Stream(id="2f"), STARTED + 1)
