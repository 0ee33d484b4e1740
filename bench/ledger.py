"""The published messages, and which of them each stream has received."""

from collections.abc import Iterable
from dataclasses import dataclass

from bench.histogram import Histogram
from bench.message import PADDING, make_token, number_of, phase_of
from bench.wire import Found


class Ledger:
    """The messages of one phase, numbered from 0, and the deliveries of all streams together.

    The due time of a message is the publisher's `time.perf_counter_ns()`: the moment the message
    should be handed to the socket. A publisher that is late does not make the latency look better.
    """

    def __init__(self, phase: int) -> None:
        self.phase = phase
        self.tokens: list[bytes] = []
        self.due_ns: list[int] = []
        self.delivered = 0
        """First deliveries of distinct messages, over all streams."""
        self.last_ns = 0
        """When the last of them was read."""
        self.latency_ns = Histogram()
        self.gap_reasons: set[str] = set()

    def payload(self, due_ns: int) -> bytes:
        """Enters the next message. Returns its payload."""
        token = make_token(self.phase, len(self.tokens), due_ns)
        self.tokens.append(token)
        self.due_ns.append(due_ns)
        return token + PADDING


class Reception:
    """The messages of a ledger that one stream has received, and those doubled or out of order.

    The stream must deliver them from number `first` on.
    """

    __slots__ = ("_holes", "_ledger", "_next", "corrupt", "doubled", "gaps", "reordered")

    def __init__(self, ledger: Ledger, first: int = 0) -> None:
        self._ledger = ledger
        self._next = first  # one more than the highest number seen
        self._holes: set[int] = set()
        self.doubled = 0
        self.reordered = 0
        self.corrupt = 0
        self.gaps = 0

    @property
    def lost(self) -> int:
        """The number of messages published so far that were not received."""
        return len(self._holes) + len(self._ledger.tokens) - self._next

    def take(self, found: Found, now_ns: int) -> None:
        """Enters the messages of a read at `now_ns`."""
        self.corrupt += found.corrupt
        self.gaps += len(found.gaps)
        self._ledger.gap_reasons.update(found.gaps)
        tokens = found.tokens
        first = self._next
        end = first + len(tokens)
        if self._ledger.tokens[first:end] != tokens:
            self._take_singly(tokens, now_ns)
        elif tokens:
            self._next = end
            self._enter(first, end, now_ns)

    def _enter(self, first: int, end: int, now_ns: int) -> None:
        ledger = self._ledger
        ledger.delivered += end - first
        ledger.last_ns = max(ledger.last_ns, now_ns)
        if end - first == 1:
            ledger.latency_ns.add(now_ns - ledger.due_ns[first])
        else:
            ledger.latency_ns.extend([now_ns - due_ns for due_ns in ledger.due_ns[first:end]])

    def _take_singly(self, tokens: list[bytes], now_ns: int) -> None:
        for token in tokens:
            if phase_of(token) != self._ledger.phase:  # late from an earlier phase
                continue
            if token in self._ledger.tokens[number_of(token) : number_of(token) + 1]:
                self._take_number(number_of(token), now_ns)
            else:  # well formed, but never published
                self.corrupt += 1

    def _take_number(self, number: int, now_ns: int) -> None:
        if number >= self._next:
            self._holes.update(range(self._next, number))
            self._next = number + 1
        elif number in self._holes:
            self._holes.remove(number)
            self.reordered += 1
        else:
            self.doubled += 1
            return
        self._enter(number, number + 1, now_ns)


@dataclass(frozen=True, slots=True)
class Tally:
    """Exact counts over all streams of a phase, in messages.

    `reordered` were received after a later one. `corrupt` are events that are not ours, so a message
    with a changed byte counts as corrupt and as lost. `gaps` are notices of a gap. `broken` counts
    streams that ended early.
    """

    delivered: int = 0
    lost: int = 0
    doubled: int = 0
    reordered: int = 0
    corrupt: int = 0
    gaps: int = 0
    broken: int = 0

    @property
    def clean(self) -> bool:
        """Whether every stream received every message, once and in order."""
        return self == Tally(delivered=self.delivered)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


def tally(ledger: Ledger, receptions: Iterable[Reception], broken: int) -> Tally:
    parts = list(receptions)
    return Tally(
        delivered=ledger.delivered,
        lost=sum(part.lost for part in parts),
        doubled=sum(part.doubled for part in parts),
        reordered=sum(part.reordered for part in parts),
        corrupt=sum(part.corrupt for part in parts),
        gaps=sum(part.gaps for part in parts),
        broken=broken,
    )
