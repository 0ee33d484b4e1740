"""`python -m tests.soak`: faults at random for minutes, and nothing lost, doubled or falsely announced.

Two hub processes on one Redis, clients that go on with the other process when theirs fails. Half of
them follow a channel of pub/sub, half one of a Redis stream. One fault comes after the other, each when
the one before is over, so that one process always hears everything: then no client may miss a message,
get one twice, or be sent a gap. The seed is printed.
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
PUBSUB, STORED = "demo_stream", "orders"
"""The channels. The first is the default one, which each process always hears."""
RATE = 300.0
"""The messages a second on each channel."""
CALM_SECONDS = 3.0
"""Between the end of a fault and the next one: what a process has missed is filled by then."""


class Soak:
    """The processes, the clients and the faults."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.redis_server = RedisServer()
        url, channels = self.redis_server.url, f"{STORED}=public+stream"
        self.hubs = [HubProcess(url, RELAY_CHANNELS=channels) for _ in range(2)]
        self.followers = {channel: self._followers(channel) for channel in (PUBSUB, STORED)}
        self.faults: Counter[str] = Counter()

    def _followers(self, channel: str) -> list[Follower]:
        """Clients that begin with one process, and as many that begin with the other."""
        urls = [hub.url for hub in self.hubs]
        path = f"/stream/?channel={channel}"
        orders = [urls, urls[::-1]] * (FOLLOWERS // 4)
        followers = [Follower(order, path=path) for order in orders]
        for follower in followers:
            follower.start()
        return followers

    def close(self) -> None:
        for hub in self.hubs:
            hub.close()
        self.redis_server.close()

    def run(self, seconds: float) -> dict[str, list[int]]:
        """Returns the number of gaps that each client of each channel was sent."""
        end = time.monotonic() + seconds
        wait_until(self._everybody_is_there, "every client has a stream")
        with ExitStack() as stack:
            publishers = {
                each: stack.enter_context(self._publisher(each)) for each in self.followers
            }
            for publisher in publishers.values():
                publisher.wait_for_more(300)
            while time.monotonic() < end:
                fault = self.random.choice(self._faults())
                self.faults[fault.__name__] += 1
                fault()
                self._recover()
            return {name: finish(each, self.followers[name]) for name, each in publishers.items()}

    def _publisher(self, channel: str) -> Publisher:
        return Publisher(self.redis_server, RATE, channel, stored=channel == STORED)

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
        everybody = [each for followers in self.followers.values() for each in followers]
        for follower in self.random.sample(everybody, FOLLOWERS // 2):
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
        numbers = {channel: len(each[0].events) for channel, each in soak.followers.items()}
    print(f"faults: {dict(soak.faults)}; events at each of {FOLLOWERS} clients: {numbers}")
    print(f"gaps: {gaps}")
    return 1 if any(map(any, gaps.values())) else 0


if __name__ == "__main__":
    sys.exit(main())
