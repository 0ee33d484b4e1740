"""One stream channel on one connection: reads its entries, and judges what is at its key."""

from collections.abc import Sequence
from typing import Any, Protocol

from relay.broker.tracking import Handler, Word
from relay.feed.stored_feed import RawEntry, StoredFeed
from relay.history.stored_stream import START, Extract
from relay.source.verdict import judge, judge_beginning, start_of
from relay.wire.position import Position

FEW_ENTRIES = 16
MANY_ENTRIES = 256
"""How many entries one read has at the least and at the most."""

READ_BYTES = 1024 * 1024
"""What a read should not exceed, as far as the entries before it tell."""


class StoredChannel(Protocol):
    """What a tracker needs of a channel."""

    label: str
    """The channel's entry of the catalogue, which an error names."""
    name: str
    feed: StoredFeed

    @property
    def key(self) -> str:
        """The key of the stream."""


class Reads(Protocol):
    """The connection that reads keys."""

    def send(self, words: Sequence[Word], handler: Handler) -> None: ...

    def send_script(
        self, name: str, key: str, arguments: Sequence[Word], handler: Handler
    ) -> None: ...


class Troubles(Protocol):
    """Takes what is wrong with a channel."""

    def trouble(self, channel: StoredChannel, error: Exception | str) -> None:
        """Called when the channel cannot be read: an error, or the type of its key. It is looked at again."""

    def well(self, channel: StoredChannel) -> None:
        """Called when it was read."""


class Tracked:
    """Reads after the newest position, from one notice of a change to the next.

    The read position is that of the feed: it moves only when the entries are in the ring. A read includes the
    entry at that position. If it is there still, nothing after it was trimmed. Otherwise a script tells what
    happened to the stream.
    """

    def __init__(self, channel: StoredChannel, reads: Reads, troubles: Troubles) -> None:
        self.channel = channel
        self._feed = channel.feed
        self._reads = reads
        self._troubles = troubles
        ring = channel.feed.ring
        self._most = max(2, min(MANY_ENTRIES, ring.max_entries // 4))
        self._bytes = min(READ_BYTES, ring.max_bytes // 4)
        self._number = self._few = min(FEW_ENTRIES, self._most)
        self._asked: Position | None = None
        """The position after which a read or the script is under way."""
        self._settled = False
        """Whether everything was read once on this connection, so that every change since is seen."""
        self._left = False

    @property
    def settled(self) -> bool:
        return self._settled

    def leave(self) -> None:
        """Ignores what is still under way."""
        self._left = True

    def look(self) -> None:
        """Finds out what is at the key, then reads."""
        if not self._left and self._asked is None:
            self._script()

    def read(self) -> None:
        """Reads what has been added, if the key has changed."""
        if self._left or self._asked is not None:
            return  # what is under way sees every change before it
        position = self._feed.timeline.position
        if position is None:
            self._script()
            return
        self._asked = position
        words = "XRANGE", self.channel.key, str(position), "+", "COUNT", self._number + 1
        self._reads.send(words, self._on_entries)

    # -- the entries

    def _on_entries(self, answer: Any) -> None:
        position, self._asked = self._asked, None
        if self._left:
            return
        if isinstance(answer, Exception):
            self._fail(answer)
        elif (
            answer
            and answer[0][0] == str(position).encode()
            and position == self._feed.timeline.position
        ):
            self._take(answer[1:], more=len(answer) > self._number)
        else:
            self._script()

    def _take(self, entries: Sequence[RawEntry], *, more: bool) -> None:
        feed, taken = self._feed, self._fitting(entries)
        if taken:
            feed.receive(taken)
            feed.readers.wake()
        more = more or len(taken) < len(entries)
        self._number = self._next_number(taken) if more else self._few
        if more:
            self.read()
        else:
            self._settle()

    def _fitting(self, entries: Sequence[RawEntry]) -> Sequence[RawEntry]:
        """Returns the first entries, as many as the ring can take at once. The others are read again."""
        size = 0
        for number, (_, words) in enumerate(entries if len(entries) > 1 else ()):
            size += sum(map(len, words))
            if size > self._bytes and number:
                return entries[:number]
        return entries

    def _next_number(self, entries: Sequence[RawEntry]) -> int:
        """Returns how many entries to read next: more for small ones, of which there are many."""
        largest = max(sum(map(len, words)) for _, words in entries)
        fitting = self._bytes // max(largest, 1)
        return max(1, min(4 * self._number, self._most, fitting))

    def _settle(self) -> None:
        self._settled = True
        self._troubles.well(self.channel)

    # -- what is at the key

    def _script(self, after: Position | None = None) -> None:
        """Asks for everything at once. `after` is the newest position unless it is given."""
        position = self._feed.timeline.position
        self._asked = position or START
        start = after or position
        arguments: Sequence[Word] = [str(start) if start else "+", self._most, self._bytes]
        handler = self._on_extract if after is None else self._on_beginning
        self._reads.send_script("stream_read", self.channel.key, arguments, handler)

    def _on_extract(self, answer: Any) -> None:
        extract = self._extract(answer)
        if extract is None:
            return
        if self._feed.timeline.position is None:
            # Whatever stream comes where there is none yet is new as a whole.
            self._feed.begin(extract.last)
            self._end(extract)
            return
        verdict = judge(self._feed.timeline, extract, settled=self._settled)
        if verdict.replaced:
            self._script(after=START)
            return
        if verdict.missing is not None:
            self._feed.skip_to(*verdict.missing)
        if verdict.ends:
            self._feed.timeline.end()
        self._receive(extract)

    def _on_beginning(self, answer: Any) -> None:
        extract = self._extract(answer)
        if extract is None:
            return
        if extract.kind != "stream":
            self._script()
            return
        missing = judge_beginning(self._feed.timeline, extract)
        if missing is None:
            self._feed.restart(start_of(extract))
        else:
            self._feed.skip_to(*missing)
        self._receive(extract)

    def _extract(self, answer: Any) -> Extract | None:
        """Returns what the script tells; None if it cannot be used."""
        position, self._asked = self._asked, None
        if self._left:
            return None
        if isinstance(answer, Exception):
            self._fail(answer)
            return None
        if (self._feed.timeline.position or START) != position:
            self._script()  # another connection has moved the feed
            return None
        return Extract.of(answer)

    def _receive(self, extract: Extract) -> None:
        taken = self._fitting(extract.entries)
        if taken:
            self._feed.receive(taken)
        if extract.more or len(taken) < len(extract.entries):
            self._number = 1
            self._feed.readers.wake()
            self.read()
        else:
            self._end(extract)

    def _end(self, extract: Extract) -> None:
        """Called when everything was read."""
        self._feed.timeline.note_added(extract.added, extract.deleted)
        self._feed.readers.wake()
        if extract.kind in {"stream", "none"}:
            self._settle()
        else:
            self._troubles.trouble(self.channel, extract.kind)

    def _fail(self, error: Exception) -> None:
        if str(error).startswith("WRONGTYPE"):
            self._script()
        else:
            self._settled = False
            self._troubles.trouble(self.channel, error)
