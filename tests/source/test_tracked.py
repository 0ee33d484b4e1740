"""One stream channel on a connection: what it reads next, and how much the ring is given at once."""

from collections.abc import Sequence
from typing import Any

from relay.broker.tracking import Handler, Word
from relay.feed.entry_encoder import EntryEncoder
from relay.feed.ring import Ring
from relay.feed.stored_feed import RawEntry, StoredFeed
from relay.source.tracked import StoredChannel, Tracked
from relay.stats import Stats


class Channel:
    label = name = key = "s"

    def __init__(self) -> None:
        stats = Stats()
        encoder = EntryEncoder("s", 1_000_000, stats)
        self.feed = StoredFeed("s", Ring(1000, 400_000), encoder, stats)


class Redis:
    """Answers reads from a list of entries, when it is told to."""

    def __init__(self) -> None:
        self.entries: list[RawEntry] = []
        self.asked: list[int] = []
        self._waiting: list[tuple[Any, Handler]] = []
        self.troubles: list[Exception | str] = []

    def send(self, words: Sequence[Word], handler: Handler) -> None:
        first, number = str(words[2]), int(words[5])
        self.asked.append(number)
        ids = [identity.decode() for identity, _ in self.entries]
        start = ids.index(first) if first in ids else 0
        self._waiting.append((self.entries[start : start + number], handler))

    def send_script(self, name: str, key: str, arguments: Sequence[Word], handler: Handler) -> None:
        last = self.entries[-1][0] if self.entries else b"0-0"
        answer = [b"stream", last, len(self.entries), b"%d" % len(self.entries), b"0-0", 2, 0, []]
        self._waiting.append((answer if self.entries else [b"none"], handler))

    def answer(self) -> None:
        answer, handler = self._waiting.pop(0)
        handler(answer)

    def answer_all(self) -> None:
        while self._waiting:
            self.answer()

    def trouble(self, channel: StoredChannel, error: Exception | str) -> None:
        self.troubles.append(error)

    def well(self, channel: StoredChannel) -> None:
        pass


def begin(size: int) -> tuple[Channel, Redis, Tracked]:
    """A channel with one entry that it has, and 40 of a size that it has not."""
    channel, redis = Channel(), Redis()
    redis.entries = [(b"1-0", [b"data", b"x"])]
    tracked = Tracked(channel, redis, redis)
    tracked.look()
    redis.answer_all()
    assert channel.feed.timeline.position == (1, 0)
    redis.entries += [(b"%d-0" % n, [b"data", b"x" * size]) for n in range(2, 42)]
    tracked.read()
    return channel, redis, tracked


def test_many_small_entries_are_read_in_growing_steps() -> None:
    channel, redis, _ = begin(10)
    redis.answer_all()
    assert channel.feed.timeline.position == (41, 0)
    assert redis.asked == [17, 65]


def test_the_ring_is_given_no_more_than_a_quarter_at_once() -> None:
    channel, redis, _ = begin(30_000)
    positions = []
    for _ in range(50):
        before = channel.feed.ring.added_bytes
        if not redis._waiting:
            break
        redis.answer()
        positions.append(channel.feed.timeline.position)
        assert channel.feed.ring.added_bytes - before <= 101_000
    assert channel.feed.timeline.position == (41, 0)
    assert redis.asked[0] == 17
    assert max(redis.asked[1:-1]) <= 4


def test_a_change_while_a_read_is_under_way_needs_no_other_read() -> None:
    channel, redis, tracked = begin(10)
    tracked.read()
    tracked.read()
    assert len(redis._waiting) == 1
    tracked.leave()
    redis.answer_all()
    assert channel.feed.timeline.position == (1, 0)


def test_an_error_is_told_and_read_again_later() -> None:
    channel, redis, tracked = begin(10)
    _, handler = redis._waiting.pop()
    handler(ConnectionError("LOADING Redis"))
    assert [str(error) for error in redis.troubles] == ["LOADING Redis"]
    tracked.read()
    redis.answer_all()
    assert channel.feed.timeline.position == (41, 0)
