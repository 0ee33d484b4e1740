"""The newest frames of a feed, addressed by an index that never repeats."""

from bisect import bisect_left
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any, NamedTuple


class Kind(Enum):
    """The kind of an entry in a ring."""

    MESSAGE = auto()
    GAP = auto()
    HEARTBEAT = auto()


class Item(NamedTuple):
    """An entry of the ring: `cursor` is its index, `seen` the number of messages up to and including it.

    `note` was passed to `append` with the frame.
    """

    cursor: int
    frame: bytes
    seen: int
    time_ms: int
    note: Any


class Place(NamedTuple):
    """Where a reader is: the index it reads next, and the number of messages before it."""

    cursor: int
    seen: int


class Ring:
    """Bounded in entries and in bytes. Appending evicts the oldest entries over either bound.

    An entry keeps its index. Indices run from `start` (the oldest entry kept) to `end` (the index of
    the next entry). A reader holds only the index that it reads next.

    Each entry carries the number of messages up to and including it. So a reader whose next entry was
    evicted has missed an exact number of messages. An entry that does not raise the number is a notice
    (a heartbeat or a gap). The newest entry is always kept.

    Each entry has a note: facts about the frame that need not be parsed from its bytes. The note of
    the newest evicted entry is kept too; before any eviction that is `first_note`.
    """

    __slots__ = (
        "_counts",
        "_frames",
        "_head",
        "_note_before",
        "_notes",
        "_offset",
        "_times",
        "added_bytes",
        "dropped",
        "max_bytes",
        "max_entries",
        "size_bytes",
    )

    def __init__(self, max_entries: int, max_bytes: int, first_note: Any = None) -> None:
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self._frames: list[bytes] = []
        self._counts: list[int] = []
        self._times: list[int] = []
        self._notes: list[Any] = []
        self._note_before = first_note
        self._head = 0  # the place of `start` in the lists
        self._offset = 0  # the index of the first place in the lists
        self.dropped = 0
        """The number of messages before `start`, which no reader can get any more."""
        self.size_bytes = 0
        self.added_bytes = 0
        """The bytes of all entries ever appended; never falls."""

    @property
    def start(self) -> int:
        return self._offset + self._head

    @property
    def end(self) -> int:
        return self._offset + len(self._frames)

    @property
    def usage(self) -> tuple[int, int, float]:
        """Its entries, its bytes, and how full it is, from 0 to 1, by the bound that is nearer.

        One large entry may exceed 1.
        """
        entries, size = len(self._frames) - self._head, self.size_bytes
        by_entries, by_bytes = entries / self.max_entries, size / self.max_bytes
        return entries, size, by_entries if by_entries > by_bytes else by_bytes

    def append(self, frame: bytes, count: int, time_ms: int, note: Any = None) -> None:
        """Appends a frame. `count` is the number of messages up to and including it."""
        frames, size = self._frames, len(frame)
        frames.append(frame)
        self._notes.append(note)
        self._counts.append(count)
        self._times.append(time_ms)
        self.size_bytes += size
        self.added_bytes += size
        if len(frames) - self._head > self.max_entries or self.size_bytes > self.max_bytes:
            self._trim()

    def count_at(self, index: int) -> int:
        """Returns the number of messages before `index`, which must lie between `start` and `end`."""
        place = index - self._offset
        return self._counts[place - 1] if place > self._head else self.dropped

    def place(self, index: int) -> Place:
        """Returns the place of a reader at `index`, which must lie between `start` and `end`."""
        return Place(index, self.count_at(index))

    @property
    def end_place(self) -> Place:
        """The place of a reader that waits for the next entry."""
        return self.place(self.end)

    def note_before(self, index: int) -> Any:
        """Returns the note of the entry before `index`; None when the entry at `index` was evicted."""
        place = index - self._offset
        if place > self._head:
            return self._notes[place - 1]
        return self._note_before if place == self._head else None

    def time_ms(self, index: int) -> int:
        """Returns when the entry at `index`, which must be kept, was received (Unix time)."""
        return self._times[index - self._offset]

    def index_after(self, count: int) -> int | None:
        """Returns the index after the `count`-th message; None when later messages were evicted."""
        if count <= self.dropped:
            return self.start if count == self.dropped else None
        return self._offset + bisect_left(self._counts, count, self._head) + 1

    def index_since(self, time_ms: int) -> int:
        """Returns the index of the first entry not older than `time_ms` (Unix time), or `end`."""
        return self._offset + bisect_left(self._times, time_ms, self._head)

    def join(self, first: int, last: int) -> bytes:
        """Returns the frames from `first` up to but not including `last`, all of which must be kept."""
        return b"".join(self._frames[first - self._offset : last - self._offset])

    def items(self, first: int, last: int) -> Iterator[Item]:
        """Yields the entries from `first` up to but not including `last`, all of which must be kept."""
        for index in range(first, last):
            place = index - self._offset
            yield Item(
                index,
                self._frames[place],
                self._counts[place],
                self._times[place],
                self._notes[place],
            )

    def messages(self, first: int, last: int) -> Iterator[Item]:
        """Yields the same entries without the notices."""
        count = self.count_at(first)
        for item in self.items(first, last):
            if item.seen != count:
                count = item.seen
                yield item

    def reach(self, first: int, max_bytes: int) -> int:
        """Returns the greatest index to which `join(first, …)` has `max_bytes` at most, or one entry."""
        frames = self._frames
        place = first - self._offset
        if place == len(frames):
            return first
        size = len(frames[place])
        place += 1
        while place < len(frames) and size + len(frames[place]) <= max_bytes:
            size += len(frames[place])
            place += 1
        return place + self._offset

    def crowded(self, index: int) -> bool:
        """Whether the entries from `index` on fill about half of the ring, and may soon be evicted."""
        kept = len(self._frames) - self._head
        waiting = min(self.end - index, kept)
        return waiting * 2 > self.max_entries or (
            waiting * 2 * self.size_bytes > self.max_bytes * kept
        )

    def _trim(self) -> None:
        frames, head = self._frames, self._head
        newest = len(frames) - 1
        while head < newest and (
            newest + 1 - head > self.max_entries or self.size_bytes > self.max_bytes
        ):
            self.size_bytes -= len(frames[head])
            self.dropped = self._counts[head]
            self._note_before = self._notes[head]
            frames[head] = b""
            self._notes[head] = None
            head += 1
        self._head = head
        if head * 2 > len(frames):  # rare, so that appending stays O(1)
            del frames[:head]
            del self._counts[:head]
            del self._times[:head]
            del self._notes[:head]
            self._offset += head
            self._head = 0
