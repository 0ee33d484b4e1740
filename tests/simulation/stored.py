"""A Redis Stream under a key, and every entry that was ever added to it: the oracle of a stream channel."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any

from relay.wire.position import Position

START = Position(0, 0)

Listener = Callable[[str], None]


class StoredKey:
    """What Redis keeps, and what was really added. Ids never repeat, also after the key was deleted."""

    def __init__(self, name: str, changed: Listener, *, tells: bool) -> None:
        """`tells`: as Redis 7.0, which says how many entries there ever were."""
        self.name = name
        self.log: list[tuple[Position, bytes]] = []
        """All entries ever added, in their order."""
        self.numbers: dict[Position, int] = {}
        """The place of each of them in `log`."""
        self.lost: set[int] = set()
        """The places of those that somebody deleted, with their key or by XDEL, or that a master has lost."""
        self.gone: set[int] = set()
        """Those of them that went with their key, or that a master has lost."""
        self._changed = changed
        self._tells = tells
        self._life = self._lowest = self._highest = 1000
        self._born = 0
        """The number of entries that were ever added before the key was there."""
        self._entries: list[tuple[Position, bytes]] = []
        self._exists = False
        self._last = START
        self._added = 0
        self._deleted = START

    # -- what publishers do

    def add(self, payload: bytes, keep: int | None = None) -> None:
        """XADD, with an exact MAXLEN if `keep` is given. Some ids differ in their number alone."""
        number = len(self.log)
        position = Position(self._life * 10_000 + number // 3, number % 3 + (number // 3 == 0))
        self.numbers[position] = number
        self.log.append((position, payload))
        self._entries.append((position, payload))
        self._exists, self._last = True, position
        self._added += 1
        if keep is not None:
            self._cut(keep)
        self._changed(self.name)

    def trim(self, keep: int) -> None:
        """XTRIM."""
        self._cut(keep)
        self._changed(self.name)

    def withdraw(self, place: int) -> None:
        """XDEL of an entry that is there."""
        if place < len(self._entries):
            position, _ = self._entries.pop(place)
            self._deleted = max(self._deleted, position)
            self.lost.add(self.numbers[position])
            self._changed(self.name)

    def delete(self, *, smaller: bool) -> None:
        """DEL. What is added later may have smaller ids."""
        self._lose(range(self._born, len(self.log)))
        self._born = len(self.log)
        self._entries = []
        self._exists, self._last, self._added, self._deleted = False, START, 0, START
        self._begin(smaller=smaller)
        self._changed(self.name)

    def roll_back(self, lost: int) -> None:
        """Another master, which lacks the newest entries."""
        for _ in range(min(lost, len(self._entries))):
            position, _ = self._entries.pop()
            self._lose([self.numbers[position]])
            self._added -= 1
        self._last = self._entries[-1][0] if self._entries else START
        self._exists = bool(self._entries)
        if not self._exists:
            self._lose(range(self._born, len(self.log)))
            self._born = len(self.log)
        self._added, self._deleted = (self._added, self._deleted) if self._exists else (0, START)
        self._begin(smaller=False)

    def _lose(self, places: Iterable[int]) -> None:
        self.lost.update(places)
        self.gone.update(places)

    def _begin(self, *, smaller: bool) -> None:
        """Lets the ids that follow be below, or above, all before."""
        if smaller:
            self._life = self._lowest = self._lowest - 1
        else:
            self._life = self._highest = self._highest + 1

    def _cut(self, keep: int) -> None:
        del self._entries[: max(len(self._entries) - keep, 0)]

    # -- what the hub asks

    def range(self, first: str, number: int) -> list[Any]:
        """XRANGE."""
        position = Position.parse_entry(first)
        assert position is not None
        found = [entry for entry in self._entries if entry[0] >= position]
        return [_raw(entry) for entry in found[:number]]

    def read(self, after: str, number: int, size_bytes: int) -> list[Any]:
        """The script stream_read."""
        if not self._exists:
            return [b"none"]
        added = b"%d" % self._added if self._tells else b""
        deleted = str(self._deleted).encode() if self._tells else b""
        answer = [b"stream", str(self._last).encode(), len(self._entries), added, deleted, 0, 0, []]
        if after == "+":
            return answer
        position = Position.parse_entry(after)
        assert position is not None
        place = bisect_right(self._entries, position, key=lambda entry: entry[0])
        older = int(place > 0) + int(position in dict(self._entries))
        found, more = _walk(self._entries[place:], int(number), int(size_bytes), step=16)
        answer[5:] = [older, int(more), [_raw(entry) for entry in found]]
        return answer

    def rewind(self, start: str, number: int, size_bytes: int) -> list[Any]:
        """The script stream_rewind."""
        before = None if start == "+" else Position.parse_entry(start.removeprefix("("))
        found = [entry for entry in self._entries if before is None or entry[0] < before]
        walked, _ = _walk(found[::-1], int(number), int(size_bytes), step=64)
        return [len(walked), str(walked[-1][0]).encode() if walked else b""]


def _walk(
    entries: list[tuple[Position, bytes]], number: int, size_bytes: int, step: int
) -> tuple[list[tuple[Position, bytes]], bool]:
    """The entries up to a number and about a size, and whether more may follow."""
    walked: list[tuple[Position, bytes]] = []
    size = 0
    while len(walked) < number and size < size_bytes:
        wanted = min(step, number - len(walked))
        found = entries[len(walked) : len(walked) + wanted]
        walked += found
        size += sum(len("data") + len(payload) for _, payload in found)
        if len(found) < wanted:
            return walked, False
    return walked, True


def _raw(entry: tuple[Position, bytes]) -> list[Any]:
    return [str(entry[0]).encode(), [b"data", entry[1]]]
