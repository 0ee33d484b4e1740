"""Clients of several channels that go from host to host, and what each of them must have got."""

import json
import random
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode

import redis
from httpx_sse import ServerSentEvent

from relay.wire.position import Position
from tests.support.cluster import RedisCluster
from tests.support.follower import Follower
from tests.support.waiting import repeating, wait_until

TURN_SECONDS = 0.01
SILENCE_SECONDS = 10.0
"""More than any wait of the hub."""


class Load(threading.Thread):
    """Publishes `channel number` on each of its channels, the numbers from 0 to `total` - 1."""

    def __init__(
        self, cluster: RedisCluster, channels: Sequence[str], total: int, rate: float
    ) -> None:
        super().__init__(daemon=True)
        self.channels = channels
        self.total = total
        self.rate = rate
        self.published = 0
        """How many each channel has."""
        self.seconds = 0.0
        self.failure: Exception | None = None
        node = cluster.nodes[0]
        self._client = redis.RedisCluster(host=node.address, port=node.port)

    def run(self) -> None:
        begin = time.monotonic()
        try:
            while self.published < self.total:
                self._publish(min(int((time.monotonic() - begin) * self.rate), self.total))
                time.sleep(TURN_SECONDS)
        except Exception as error:  # shown by `finish`
            self.failure = error
        self.seconds = time.monotonic() - begin
        self._client.close()

    def wait_for(self, number: int) -> None:
        """Waits until each channel has so many."""
        wait_until(lambda: self.failure or self.published >= number, f"{number} are published", 40)
        assert self.failure is None, self.failure

    def finish(self) -> None:
        self.join(60)
        assert self.failure is None, self.failure
        assert self.published == self.total

    def _publish(self, due: int) -> None:
        if due > self.published:
            pipe = self._client.pipeline()
            for number in range(self.published, due):
                for channel in self.channels:
                    pipe.execute_command("PUBLISH", channel, f"{channel} {number}")
            pipe.execute()
            self.published = due


class Hopper(Follower):
    """A client that stays for a random time with each host."""

    def __init__(self, urls: Sequence[str], channels: Sequence[str], rng: random.Random) -> None:
        hops = [rng.choice(urls)]
        while len(hops) < 200:
            hops.append(rng.choice([url for url in urls if url != hops[-1]]))
        super().__init__(hops, path="/stream/?" + urlencode([("channel", c) for c in channels]))
        self.channels = channels
        self._lacking = set(channels)
        self._seen = 0
        self._random = rng
        self._leaves_at = self._next()

    @property
    def is_there(self) -> bool:
        """Whether its stream has begun: it has a position in each of its channels."""
        return (stream := self._stream) is not None and bool(stream.last_id)

    def hop(self, now: float) -> None:
        """Leaves its host if it is time to."""
        if now >= self._leaves_at:
            self.cut()
            self._leaves_at = self._next()

    def has_all(self, total: int) -> bool:
        """Whether it has the last message of each of its channels."""
        assert self.failure is None, self.failure
        events = self.events[self._seen :]
        self._seen += len(events)
        last = f" {total - 1}"
        self._lacking -= {event.data.removesuffix(last) for event in events}
        return not self._lacking

    def describe(self) -> str:
        """Where it is, for the report of a failed test."""
        url = self.urls[(self.connects - 1) % len(self.urls)]
        newest = [(event.event, event.data, event.id) for event in self.events[-3:]]
        return f"{self.channels} at {url} from {self.last_id!r}: {newest}"

    def _next(self) -> float:
        often = self._random.random() < 0.7
        stay = self._random.uniform(0.2, 2.0) if often else self._random.uniform(3.0, 8.0)
        return time.monotonic() + stay


def hopping(hoppers: Sequence[Hopper]) -> AbstractContextManager[None]:
    """Inside, the clients hop."""

    def move() -> None:
        for hopper in hoppers:
            hopper.hop(time.monotonic())

    return repeating(move, 0.02)


@dataclass
class Ledger:
    """Holds what each client got against what was published, and all ids against each other."""

    total: int
    ids: dict[tuple[str, Position], str] = field(default_factory=dict)

    def check(self, hopper: Hopper) -> list[str]:
        """Every message of its channels once, in order, or a gap that is true. Returns the gaps."""
        seen = {channel: _Seen(channel, self.total) for channel in hopper.channels}
        for event in hopper.events:
            channel, position = _place(event, hopper.channels)
            seen[channel].take(event, position)
            if event.event == "message":
                known = self.ids.setdefault((channel, position), event.data)
                assert known == event.data, (event.id, known, event.data)
        return [gap for each in seen.values() for gap in each.end()]


class _Seen:
    """One channel of one client."""

    def __init__(self, channel: str, total: int) -> None:
        self._channel = channel
        self._total = total
        self._expected = 0
        self._at: Position | None = None
        self._gaps: list[ServerSentEvent] = []
        self._true_gaps: list[str] = []

    def take(self, event: ServerSentEvent, position: Position) -> None:
        if event.event == "hub.gap":
            self._gaps.append(event)
        else:
            assert event.event == "message", event
            channel, number = event.data.split()
            assert channel == self._channel, event
            assert self._at is None or position > self._at, (self._at, event)
            self._reach(int(number), event)
            self._expected = int(number) + 1
        self._at = position

    def end(self) -> list[str]:
        self._reach(self._total, None)
        return self._true_gaps

    def _reach(self, number: int, event: ServerSentEvent | None) -> None:
        """What is missing before `number` is what the gaps since the last message say."""
        missing = number - self._expected
        missed = [json.loads(gap.data)["missed"] for gap in self._gaps]
        what = (self._channel, self._expected, number, missed, self._gaps, event)
        assert missing >= 0, what
        assert bool(missing) == bool(missed), what
        known = sum(each for each in missed if each is not None)
        assert known <= missing if None in missed else known == missing, what
        self._true_gaps += [f"{missing} before {number}: {gap.data}" for gap in self._gaps]
        self._gaps = []


def _place(event: ServerSentEvent, channels: Sequence[str]) -> tuple[str, Position]:
    """The channel of an event, and its position in it."""
    channel, text = channels[0], event.id
    if len(channels) > 1:
        fields = parse_qs(event.id, strict_parsing=True)
        channel = fields["@"][0]
        text = fields[channel][0]
    position = Position.parse(text)
    assert position is not None, event
    return channel, position


def wait_for_all(hoppers: Sequence[Hopper], total: int) -> None:
    """Waits until all have the last messages; fails when nobody gets anything for ten seconds."""
    deadline, events = 0.0, -1
    while late := [hopper for hopper in hoppers if not hopper.has_all(total)]:
        if (number := sum(len(hopper.events) for hopper in hoppers)) > events:
            deadline, events = time.monotonic() + SILENCE_SECONDS, number
        assert time.monotonic() < deadline, f"{len(late)} wait: {[h.describe() for h in late[:5]]}"
        time.sleep(0.05)
