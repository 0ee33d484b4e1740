"""`python -m tests.soak`: faults at random for minutes, and nothing lost, doubled or falsely announced.

Two hub processes on one Redis, clients that go on with the other process when theirs fails. One fault
comes after the other, each when the one before is over, so that one process always hears everything:
then no client may miss a message, get one twice, or be sent a gap. The seed is printed.
"""

import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tests.support import long_run
from tests.support.follower import Follower, Publisher, finish
from tests.support.servers import HubProcess, RedisServer
from tests.support.waiting import wait_until

FOLLOWERS = 20
RATE = 300.0
CALM_SECONDS = 3.0
"""Between the end of a fault and the next one: what a process has missed is filled by then."""


class Soak:
    """The processes, the clients and the faults."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.redis_server = RedisServer()
        self.hubs = [HubProcess(self.redis_server.url) for _ in range(2)]
        self.followers = [self._follower(number) for number in range(FOLLOWERS)]
        self.faults: Counter[str] = Counter()

    def _follower(self, number: int) -> Follower:
        urls = [hub.url for hub in self.hubs]
        follower = Follower(urls[number % 2 :] + urls[: number % 2])
        follower.start()
        return follower

    def close(self) -> None:
        for hub in self.hubs:
            hub.close()
        self.redis_server.close()

    def run(self, seconds: float) -> list[int]:
        """Returns the number of gaps that each client was sent."""
        end = time.monotonic() + seconds
        wait_until(self._everybody_is_there, "every client has a stream")
        with Publisher(self.redis_server, RATE) as publisher:
            publisher.wait_for_more(300)
            while time.monotonic() < end:
                fault = self.random.choice(self._faults())
                self.faults[fault.__name__] += 1
                fault()
                self._recover()
            return finish(publisher, self.followers)

    def _everybody_is_there(self) -> bool:
        return sum(int(hub.health()["streams_open"]) for hub in self.hubs) == FOLLOWERS

    def _recover(self) -> None:
        for hub in self.hubs:
            hub.wait_for_redis("live", 20)
        time.sleep(CALM_SECONDS)

    # -- faults

    def _faults(self) -> Sequence[Callable[[], None]]:
        return [
            self.kill,
            self.restart,
            self.cut_subscription,
            self.cut_both_in_turn,
            self.suspend,
            self.suspend_redis,
            self.cut_clients,
        ]

    def _hub(self) -> HubProcess:
        return self.random.choice(self.hubs)

    def kill(self) -> None:
        hub = self._hub()
        hub.kill()
        time.sleep(self.random.uniform(0.0, 1.5))
        hub.start()

    def restart(self) -> None:
        hub = self._hub()
        assert hub.stop() == 0
        hub.start()

    def _subscriptions(self) -> list[int]:
        with self.redis_server.client() as client:
            found = [c for c in client.client_list() if c["name"] == "relay-hub"]
        return sorted(int(c["id"]) for c in found)

    def _cut(self, number: int) -> None:
        with self.redis_server.client() as client:
            client.client_kill_filter(_id=str(number))

    def cut_subscription(self) -> None:
        self._cut(self.random.choice(self._subscriptions()))

    def cut_both_in_turn(self) -> None:
        """The oldest connection each time: the processes take turns."""
        for _ in range(4):
            self._cut(self._subscriptions()[0])
            time.sleep(1.2)

    def suspend(self) -> None:
        with stopped(self._hub()):
            time.sleep(self.random.uniform(0.2, 1.5))

    def suspend_redis(self) -> None:
        self.redis_server.signal(signal.SIGSTOP)
        time.sleep(self.random.uniform(0.2, 3.0))
        self.redis_server.signal(signal.SIGCONT)

    def cut_clients(self) -> None:
        for follower in self.random.sample(self.followers, FOLLOWERS // 2):
            follower.cut()


@contextmanager
def stopped(hub: HubProcess) -> Iterator[None]:
    assert hub.process is not None
    hub.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        hub.process.send_signal(signal.SIGCONT)


def main() -> int:
    options = long_run.options("soak", __doc__)
    with ExitStack() as stack:
        soak = Soak(options.seed)
        stack.callback(soak.close)
        gaps = soak.run(options.seconds)
        number = len(soak.followers[0].events)
    print(f"faults: {dict(soak.faults)}; {number} events at each of {FOLLOWERS} clients")
    print(f"gaps: {gaps}")
    return 1 if any(gaps) else 0


if __name__ == "__main__":
    sys.exit(main())
