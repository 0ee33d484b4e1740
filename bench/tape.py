"""A tape of all reads of the streams, checked after the measurement."""

import socket
import time
from array import array
from collections.abc import Iterator

READ_BYTES = 256 * 1024
SEGMENT_BYTES = 16 * 1024 * 1024
_PAGE_BYTES = 4096


class Tape:
    """Reads into large segments, without parsing, copying or allocating.

    In a burst the client receives several million messages a second on one core. Reading them costs
    about a tenth of checking them, so they are checked later.
    """

    def __init__(self) -> None:
        self._segments: list[memoryview] = []
        self._segment = memoryview(b"")
        self._used = 0  # segments
        self._at = SEGMENT_BYTES
        self._owners = array("l")
        self._times = array("q")
        self._starts = array("q")
        self._sizes = array("l")

    def reserve(self, size: int) -> None:
        """Allocates memory for about `size` bytes ahead of the reads."""
        while len(self._segments) * SEGMENT_BYTES < size:
            self._segments.append(_touched_segment())

    def read(self, source: socket.socket, owner: int) -> int:
        """Reads once and records it under `owner`. Returns the size, 0 at the end. Raises OSError."""
        at = self._at
        if at + READ_BYTES > SEGMENT_BYTES:
            at = self._next_segment()
        size = source.recv_into(self._segment[at : at + READ_BYTES])
        self._times.append(time.perf_counter_ns())
        self._owners.append(owner)
        self._starts.append(at + self._used * SEGMENT_BYTES)
        self._sizes.append(size)
        self._at = at + size
        return size

    @property
    def last_ns(self) -> int:
        """The time of the last read since the last `play`, or 0."""
        return self._times[-1] if self._times else 0

    def play(self) -> Iterator[tuple[int, int, bytes]]:
        """Yields all reads in order, as owner, time and bytes. Then clears the tape."""
        for owner, now_ns, start, size in zip(
            self._owners, self._times, self._starts, self._sizes, strict=True
        ):
            number, at = divmod(start, SEGMENT_BYTES)
            yield owner, now_ns, bytes(self._segments[number - 1][at : at + size])
        for notes in (self._owners, self._times, self._starts, self._sizes):
            del notes[:]
        self._used, self._at = 0, SEGMENT_BYTES

    def _next_segment(self) -> int:
        if self._used == len(self._segments):
            self._segments.append(memoryview(bytearray(SEGMENT_BYTES)))
        self._segment = self._segments[self._used]
        self._used += 1
        self._at = 0
        return 0


def _touched_segment() -> memoryview:
    segment = bytearray(SEGMENT_BYTES)
    segment[::_PAGE_BYTES] = b"\1" * (SEGMENT_BYTES // _PAGE_BYTES)  # has its pages mapped
    return memoryview(segment)
