"""How long a client waits for messages that the history does not have yet."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from relay.broker.errors import RedisUnavailable
from relay.broker.link import Link
from relay.feed.entries import Entry
from relay.feed.feed import Feed
from relay.feed.ring import Ring
from relay.history.past import Past
from relay.replay.pieces import Rest
from relay.replay.replay import Replay
from relay.wire import sse
from relay.wire.position import Position
from tests.support.core import HandClock, make_context, make_feed


class History:
    """Has nothing yet. `journal` is one whose last attempt to write failed."""

    def __init__(self, *, refused: bool) -> None:
        self.failing = True
        self.refused = refused
        self.entries: list[Entry] = []

    async def after(self, position: Position) -> Sequence[Entry]:
        if self.failing:
            raise RedisUnavailable("no answer", refused=self.refused)
        return [entry for entry in self.entries if entry.position > position]

    def recover(self) -> None:
        self.failing = self.refused = False
        texts = [b"1", b"2", b"3", b"4"]
        self.entries = [
            Entry(Position(1000, number), sse.message(text), None, 0)
            for number, text in enumerate(texts, 1)
        ]


def evicted(feed: Feed) -> Position:
    """The position after the first of four messages, of which the ring keeps two."""
    feed.mark(1000, 0)
    for text in (b"1", b"2", b"3", b"4"):
        feed.receive(text, 0)
    return Position(1000, 1)


def replay_of(history: History) -> tuple[Replay, Position]:
    feed = make_feed(Ring(2, 10_000))
    link = Link()
    link.restored(link)
    past = Past(cast(Any, history), cast(Any, history), cast(Any, history))
    replay = Replay(feed, past, link, make_context(HandClock()))
    return replay, evicted(feed)


async def texts_after(replay: Replay, position: Position) -> list[str]:
    found: list[str] = []
    async for step in replay.after(position):
        pieces = ([step.gap] if step.gap else []) if isinstance(step, Rest) else step
        found += [sse.read_event(piece.event)[1] for piece in pieces]
    return found


async def test_a_history_that_gives_no_answer_is_waited_for() -> None:
    """Redis was lost and is back, and the journal is about to write again."""
    history = History(refused=False)
    replay, position = replay_of(history)
    reading = asyncio.create_task(texts_after(replay, position))
    await asyncio.sleep(0.1)
    assert not reading.done()
    history.recover()
    found = await asyncio.wait_for(reading, 2)
    assert found == ["2", "3", "4"]


async def test_a_history_that_refuses_is_not_waited_for() -> None:
    replay, position = replay_of(History(refused=True))
    [gap] = await asyncio.wait_for(texts_after(replay, position), 0.5)
    assert '"reason":"history-unavailable"' in gap
