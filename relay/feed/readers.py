"""The readers of a ring: the fan-outs of its streams, and the journal."""

from typing import Protocol


class Reader(Protocol):
    def wake(self) -> None:
        """Called after entries were appended. Must not raise."""


class Readers:
    """The readers of one ring, woken together."""

    __slots__ = ("_readers",)

    def __init__(self) -> None:
        self._readers: tuple[Reader, ...] = ()

    def add(self, reader: Reader) -> None:
        self._readers = (*self._readers, reader)

    def remove(self, reader: Reader) -> None:
        self._readers = tuple(each for each in self._readers if each is not reader)

    def wake(self) -> None:
        for reader in self._readers:
            reader.wake()
