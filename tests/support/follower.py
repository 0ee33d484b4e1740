"""A client that follows a channel through everything, and a checker that knows what was published."""

import http.client
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import redis
from httpx_sse import ServerSentEvent

from relay.wire.position import Position
from tests.support.client import Stream
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until


@dataclass
class Publisher:
    """Publishes the numbers from 0 on, at a rate, from a thread; `stop` returns how many.

    With `stored` it adds them to the stream of that name.
    """

    redis_server: RedisServer
    rate: float
    channel: str = "demo_stream"
    number: int = 0
    stored: bool = False
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> "Publisher":
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> int:
        self._stopping.set()
        if self._thread:
            self._thread.join(30)
        return self.number

    def wait_for_more(self, number: int) -> None:
        """Waits until more than `number` more are published."""
        enough = self.number + number
        wait_until(lambda: self.number > enough, f"{number} more are published")

    def say(self, text: str) -> None:
        """Publishes one more text."""
        with self.redis_server.client() as client:
            self._say(client, text)

    def _say(self, client: Any, text: str) -> None:
        if self.stored:
            client.xadd(self.channel, {"data": text})
        else:
            client.publish(self.channel, text)

    def _run(self) -> None:
        start = time.monotonic()
        with self.redis_server.client() as client:
            while not self._stopping.is_set():
                due = min(int((time.monotonic() - start) * self.rate) - self.number, 500)
                if due > 0:
                    self._publish(client, due)
                time.sleep(0.002)

    def _publish(self, client: "redis.Redis", number: int) -> None:
        pipe = client.pipeline(transaction=False)
        for n in range(self.number, self.number + number):
            self._say(pipe, str(n))
        pipe.execute()
        self.number += number


class Follower(threading.Thread):
    """Reads events and comes back with its last event id, to `urls` in turn, until it is stopped.

    Like a browser it takes the id with the event, and what was cut in the middle not at all.
    """

    def __init__(
        self,
        urls: Sequence[str],
        cut_seconds: float | None = None,
        last_id: str = "",
        path: str = "/stream/",
    ) -> None:
        super().__init__(daemon=True)
        self.urls = list(urls)
        self.events: list[ServerSentEvent] = []
        self.last_id = last_id
        self.connects = 0
        self.failure: Exception | None = None
        self._path = path
        self._cut_seconds = cut_seconds
        self._stopping = False
        self._stream: Stream | None = None

    def run(self) -> None:
        try:
            while not self._stopping:
                self._follow(self.urls[self.connects % len(self.urls)])
        except Exception as error:  # shown by whoever waits for this follower
            self.failure = error

    def stop(self) -> None:
        self._stopping = True
        self.cut()
        self.join(20)
        assert self.failure is None, self.failure

    def cut(self) -> None:
        """Breaks the connection, wherever it is."""
        if (stream := self._stream) is not None:
            stream.shutdown()

    def wait_for(self, data: str, seconds: float = 30.0) -> None:
        def there() -> bool:
            assert self.failure is None, self.failure
            return bool(self.events) and self.events[-1].data == data

        wait_until(there, f"{data} has come (the last: {self.events[-1:]})", seconds)

    def _follow(self, url: str) -> None:
        self.connects += 1
        try:
            with Stream(url, self._path, last_id=self.last_id, timeout=30.0) as stream:
                self._stream = stream
                try:
                    self._read(stream)
                finally:
                    self.last_id = stream.last_id
        except (OSError, http.client.HTTPException):
            time.sleep(0.02)
        finally:
            self._stream = None

    def _read(self, stream: Stream) -> None:
        deadline = time.monotonic() + self._cut_seconds if self._cut_seconds else None
        for event in stream.events():
            self.events.append(event)
            if deadline and time.monotonic() > deadline:
                return


class Checker:
    """Holds what followers received against what was published: 0, 1, 2, … in this order."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}

    def check(self, events: Sequence[ServerSentEvent], total: int) -> int:
        """Every number in its place once, or told by a gap; the last one is there.

        Returns how many gaps there were. One id is one message, whoever received it.
        """
        gaps = 0
        expected: int | None = None
        unknown = False
        at: Position | None = None
        for event in events:
            assert event.id, event
            position = Position.parse_entry(event.id)
            assert position is not None
            assert at is None or position > at or event.event == "hub.gap", (at, event)
            at = position
            if event.event == "hub.gap":
                missed = json.loads(event.data)["missed"]
                gaps += 1
                unknown = unknown or missed is None
                expected = None if expected is None or missed is None else expected + missed
                continue
            assert event.event == "message", event
            number = int(event.data)
            if expected is not None and not unknown:
                assert number == expected, (number, expected, event)
            unknown = False
            expected = number + 1
            assert self.ids.setdefault(event.id, event.data) == event.data
        assert expected == total, (expected, total)
        numbers = [int(e.data) for e in events if e.event == "message"]
        assert numbers == sorted(set(numbers))
        return gaps


def finish(publisher: Publisher, followers: Sequence[Follower]) -> list[int]:
    """Publishes one last message, waits for it everywhere, checks all; the gaps of each follower."""
    last = publisher.stop()
    publisher.say(str(last))
    checker = Checker()
    gaps = []
    for follower in followers:
        follower.wait_for(str(last))
        follower.stop()
        gaps.append(checker.check(follower.events, last + 1))
    return gaps
