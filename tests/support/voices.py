"""Publishers at several servers at once, and what their listeners must have received."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count

import redis
from httpx_sse import ServerSentEvent

from relay.wire.position import Position


class Voice(threading.Thread):
    """Publishes `NAME 0`, `NAME 1`, … through whichever server `connect` leads to at that time.

    A number that Redis may not have taken is left out for good, so a listener may miss it.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], "redis.Redis"],
        rate: float,
        channel: str = "demo_stream",
        command: str = "PUBLISH",
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._connect = connect
        self._pause = 1 / rate
        self._words = (command, channel)
        self._stopping = threading.Event()
        self.unsure: set[int] = set()
        """The numbers of which Redis did not say that it has taken them."""
        self.spoken = 0

    def __enter__(self) -> "Voice":
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopping.set()
        self.join(20)

    def run(self) -> None:
        client: redis.Redis | None = None
        for number in count():
            if self._stopping.wait(self._pause):
                return
            try:
                client = client or self._connect()
                client.execute_command(*self._words, f"{self.name} {number}")
            except (redis.exceptions.RedisError, OSError):
                self.unsure.add(number)
                if client is not None:
                    with suppress(redis.exceptions.RedisError, OSError):
                        client.close()
                client = None
                time.sleep(0.02)
            self.spoken = number + 1


class Listeners:
    """Checks what several listeners received: one id is one message, and each hole is told."""

    def __init__(self, unsure: Callable[[str, int], bool]) -> None:
        self._unsure = unsure
        self.ids: dict[str, str] = {}

    def check(self, events: Sequence[ServerSentEvent]) -> int:
        """Returns how many gaps there were."""
        at: Position | None = None
        next_numbers: dict[str, int] = {}
        gaps = 0
        for event in events:
            position = Position.parse(event.id or "")
            assert position is not None, event
            if event.event == "hub.gap":
                gaps += 1
                next_numbers.clear()
                assert at is None or position >= at, (at, event)
            else:
                assert at is None or position > at, (at, event)
                assert self.ids.setdefault(event.id, event.data) == event.data, "two messages"
                self._count(event, next_numbers)
            at = position
        return gaps

    def _count(self, event: ServerSentEvent, next_numbers: dict[str, int]) -> None:
        name, text = event.data.rsplit(" ", 1)
        number, expected = int(text), next_numbers.get(name)
        if expected is not None:
            assert number >= expected, f"{event} comes twice"
            missing = [n for n in range(expected, number) if not self._unsure(name, n)]
            assert not missing, (
                f"{missing} of {name} are missing before {event}, and no gap tells it"
            )
        next_numbers[name] = number + 1
