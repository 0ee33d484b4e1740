"""What was published, and what each stream has received of it."""

import re
from dataclasses import dataclass

from bench.histogram import Histogram

PAYLOAD_BYTES = 100
TOKEN_BYTES = 36
_PADDING = b" " + b"." * (PAYLOAD_BYTES - TOKEN_BYTES - 1)

find_tokens = re.compile(rb"^data: (\d{4} \d{10} \d{20})" + re.escape(_PADDING) + rb"$", re.MULTILINE).findall
"""The tokens of all whole messages in a piece of an event stream. A message with a byte changed has none."""


class Ledger:
    """The messages of one phase, numbered from 0, and the deliveries of all streams together.

    A message is a token (phase, number and due time in nanoseconds) and padding, 100 bytes in all. The
    due time is the publisher's `time.perf_counter_ns()`: the moment the message should be handed to
    the socket. A publisher that is late does not make the latency look better.
    """

    def __init__(self, phase: int) -> None:
        self.phase = b"%04d" % phase
        self.tokens: list[bytes] = []
        self.due_ns: list[int] = []
        self.delivered = 0
        """First deliveries of distinct messages, over all streams."""
        self.last_ns = 0
        """When the latest of them was read."""
        self.latency_ns = Histogram()

    def payload(self, due_ns: int) -> bytes:
        """Enters the next message and returns it."""
        token = b"%b %010d %020d" % (self.phase, len(self.tokens), due_ns)
        self.tokens.append(token)
        self.due_ns.append(due_ns)
        return token + _PADDING


@dataclass(frozen=True, slots=True)
class Tally:
    """Exact counts over all streams of a phase, in messages; `broken` counts streams that ended early."""

    delivered: int
    lost: int
    doubled: int
    reordered: int
    broken: int


class Reception:
    """One stream's part of a ledger: which messages came, and which of them twice or out of turn."""

    __slots__ = ("_holes", "_ledger", "_next", "doubled", "reordered")

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._next = 0
        self._holes: set[int] = set()
        self.doubled = 0
        self.reordered = 0

    @property
    def next(self) -> int:
        """One more than the highest number seen."""
        return self._next

    @property
    def lost(self) -> int:
        """How many of the messages published so far have not come."""
        return len(self._holes) + len(self._ledger.tokens) - self._next

    def take(self, tokens: list[bytes], now_ns: int) -> None:
        """Enters what was read at `now_ns`."""
        ledger = self._ledger
        first = self._next
        end = first + len(tokens)
        if ledger.tokens[first:end] != tokens:
            self._take_singly(tokens, now_ns)
            return
        self._next = end
        self._enter(first, end, now_ns)

    def _enter(self, first: int, end: int, now_ns: int) -> None:
        ledger = self._ledger
        ledger.delivered += end - first
        ledger.last_ns = now_ns
        if end - first == 1:
            ledger.latency_ns.add(now_ns - ledger.due_ns[first])
        else:
            ledger.latency_ns.extend([now_ns - due_ns for due_ns in ledger.due_ns[first:end]])

    def _take_singly(self, tokens: list[bytes], now_ns: int) -> None:
        for token in tokens:
            if token.startswith(self._ledger.phase):  # else it is late from an earlier phase
                self._take_number(int(token[5:15]), now_ns)

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
