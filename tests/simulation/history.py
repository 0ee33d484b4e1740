"""The history as relay/broker/scripts keep it in a Redis Stream."""

from collections.abc import Callable

from relay.feed.entries import Entry, Run
from relay.history.history import Appended
from relay.wire.position import Position


class Stream:
    """The history as relay/broker/scripts keep it in a Redis Stream, with every MAXLEN exact."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._expires_ms: float = float("inf")
        self._last = Position(0, 0)
        self._entries: list[Entry] = []
        self.breaks: set[Position] = set()

    @property
    def entries(self) -> list[Entry]:
        """Those that are there; a key whose time has come is gone as a whole."""
        if self._now_ms() >= self._expires_ms:
            self.delete()
        return self._entries

    def delete(self) -> None:
        self._entries = []
        self.breaks = set()
        self._last = Position(0, 0)
        self._expires_ms = float("inf")

    def copy(self, now_ms: Callable[[], int]) -> "Stream":
        """That of a replica, which has received everything."""
        copy = Stream(now_ms)
        copy._entries = list(self.entries)
        copy.breaks = set(self.breaks)
        copy._last, copy._expires_ms = self._last, self._expires_ms
        return copy

    def lose_tail(self, kept: int) -> None:
        """What a replica has that did not receive everything."""
        del self.entries[kept:]
        self._last = self._entries[-1].position if self._entries else Position(0, 0)

    def lose_head(self, number: int) -> None:
        """XTRIM: the entries go, the key and its last id stay."""
        del self.entries[:number]

    def append(self, run: Run, *, force: bool, size: int, keep_ms: int) -> Appended:
        newest, number = self.newest(), 0
        for offset, (time_ms, event) in enumerate(run.entries, run.first.offset):
            position = Position(run.first.epoch, offset)
            if newest is not None and position <= newest:
                continue
            follows = newest == (
                run.previous if offset == 0 else Position(run.first.epoch, offset - 1)
            )
            follows = follows and newest is not None
            if not follows and not force:
                break
            self._add(position, time_ms, event, run.previous if follows else None, follows)
            newest, force = position, False
            number += 1
        del self._entries[:-size]
        if number:
            self._expires_ms = self._now_ms() + keep_ms
        return Appended(number, newest)

    def _add(
        self,
        position: Position,
        time_ms: int,
        event: bytes,
        previous: Position | None,
        follows: bool,
    ) -> None:
        if position <= self._last:
            return  # "equal or smaller": it was there
        boundary = position.offset == 0
        entry = Entry(
            position, None if boundary else event, previous if boundary else None, time_ms
        )
        self._entries.append(entry)
        self._last = position
        if not boundary and not follows:
            self.breaks.add(position)

    def newest(self) -> Position | None:
        entries = self.entries
        return entries[-1].position if entries else None

    def read(self, first: Position, number: int, size_bytes: int) -> list[Entry]:
        found = []
        for entry in self.entries[self._index(first) :][:number]:
            if size_bytes <= 0:
                break
            found.append(entry)
            size_bytes -= 64 + self._size(entry)
        return found

    def _size(self, entry: Entry) -> int:
        size = len("t") + len(str(entry.time_ms))
        if entry.event is not None:
            size += len("e") + len(entry.event)
        if entry.previous is not None:
            size += len("p") + len(str(entry.previous))
        return size + (len("b1") if entry.position in self.breaks else 0)

    def _index(self, position: Position) -> int:
        """Of the first entry at or after `position`."""
        entries = self.entries
        low, high = 0, len(entries)
        while low < high:
            middle = (low + high) // 2
            if entries[middle].position < position:
                low = middle + 1
            else:
                high = middle
        return low

    def too_old(self, keep_ms: int) -> int:
        """How many entries `trim` would drop."""
        oldest, number = self._now_ms() - keep_ms, 0
        for entry in self.entries[:-1]:
            if entry.time_ms >= oldest:
                break
            number += 1
        return number

    def trim(self, keep_ms: int) -> None:
        self.lose_head(self.too_old(keep_ms))

    def rewind(self, number: int) -> tuple[Position | None, int]:
        """As the script counts: offsets within an epoch, those of missing messages as well."""
        entries, first, found = self.entries, None, 0
        newest = len(entries) - 1
        while found < number and newest >= 0:
            epoch, high = entries[newest].position
            oldest = self._index(Position(epoch, 0))
            low = max(entries[oldest].position.offset, 1)
            if high >= low:
                start = max(low, high - (number - found) + 1)
                first = entries[self._index(Position(epoch, start))].position
                found += high - start + 1
            newest = oldest - 1
        return first, found

    def since(self, time_ms: int) -> tuple[Position | None, bool]:
        entries = self.entries
        found, newest = None, len(entries) - 1
        while newest >= 0 and entries[newest].time_ms >= time_ms:
            epoch, high = entries[newest].position
            first = self._index(Position(epoch, 0))
            low = entries[first].position.offset
            if entries[first].time_ms < time_ms:
                return entries[self._halve(epoch, low, high, time_ms)].position, True
            found, newest = entries[first].position, first - 1
        return found, newest >= 0

    def _halve(self, epoch: int, low: int, high: int, time_ms: int) -> int:
        while high - low > 1:
            middle = (low + high) // 2
            if self.entries[self._index(Position(epoch, middle))].time_ms >= time_ms:
                high = middle
            else:
                low = middle
        return self._index(Position(epoch, high))


def next_epoch(now_us: int, known: int, counter: int | None, newest: Position | None) -> int:
    """What relay/broker/scripts/epoch_open.lua takes."""
    return max(now_us, known + 1, (counter or 0) + 1, (newest.epoch if newest else 0) + 1)
