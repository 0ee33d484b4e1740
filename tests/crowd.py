"""`python -m tests.crowd`: ten thousand clients for minutes, and every message counted at each of them.

Two rates of publishing in turn, clients that leave and come back, clients that stop reading until they
are cut, kicks, and a rolling stop. Each client goes on from its last event id. Nothing may be lost or
doubled, nobody may be sent a gap, and the hub must give back its memory and descriptors.
"""

import random
import re
import resource
import selectors
import socket
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import psutil

from tests.support import long_run
from tests.support.servers import HubProcess, RedisServer
from tests.support.site import run_manage
from tests.support.waiting import wait_until

STREAMS = 10_000
ASIDE = 500
"""Of these clients, on a channel that is kicked now and then."""
HEAVY = 200
"""Of these, on a channel of large messages, who stop reading until the hub cuts them."""
LEAVING_PER_SECOND = 500
RATES = 1.0, 3.0
RATE_SECONDS = 30.0
HEAVY_RATE = 5.0
STALL_SECONDS = 75.0
KICK_SECONDS = 20.0
OVERLAP_SECONDS = 5.0
PATIENCE_SECONDS = 60.0
IN_FLIGHT = 300
MEMORY_BYTES = 8 << 20
POOLED = 8
"""Connections to Redis that a hub keeps."""

_find_messages = re.compile(rb"id: ?([^\n]*)\ndata: (\d+) ?[^\n]*\n\n").findall
_find_ids = re.compile(rb"^id: ?([^\n]*)$", re.MULTILINE).findall


class Client:
    """One client: it expects the messages of its channel in order, whatever happens to its connection."""

    __slots__ = (
        "buffer",
        "channel",
        "doubled",
        "gaps",
        "last_id",
        "lost",
        "next",
        "sock",
        "stalled",
    )

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.sock: socket.socket | None = None
        self.buffer = b""
        self.last_id = b""
        self.next: int | None = None
        self.lost = self.doubled = 0
        self.gaps: list[bytes] = []
        self.stalled = False

    def take(self, data: bytes) -> None:
        body = self.buffer + data
        cut = body.rfind(b"\n\n") + 2
        if cut == 1:
            self.buffer = body
            return
        events, self.buffer = body[:cut], body[cut:]
        found = _find_messages(events)
        for _, number in found:
            self._count(int(number))
        if b"event: hub." in events:
            self.gaps.append(events)
        if ids := _find_ids(events):
            self.last_id = ids[-1]

    def _count(self, number: int) -> None:
        if self.next is not None and number != self.next:
            self.lost += max(number - self.next, 0)
            self.doubled += number < self.next
        self.next = max(number + 1, self.next or 0)


class Crowd:
    """The clients, in one thread of one process."""

    def __init__(self, port: int) -> None:
        self.port = port
        heavy, aside = ["heavy"] * HEAVY, ["aside"] * ASIDE
        names = [*heavy, *aside, *["demo_stream"] * (STREAMS - HEAVY - ASIDE)]
        self.clients = [Client(name) for name in names]
        self.events: Counter[str] = Counter()
        self._selector = selectors.DefaultSelector()
        self._away: deque[Client] = deque(self.clients)
        self._opening: set[Client] = set()

    @property
    def connected(self) -> int:
        return len(self.clients) - len(self._away) - len(self._opening)

    def turn(self) -> None:
        while self._away and len(self._opening) < IN_FLIGHT:
            self._connect(self._away.popleft())
        for key, mask in self._selector.select(0.05):
            if mask & selectors.EVENT_WRITE:
                self._request(key.data)
            else:
                self._read(key.data)

    def leave(self, client: Client) -> None:
        """Ends its connection; it comes back with its id."""
        if client.sock is None:
            return
        if not client.stalled:
            self._selector.unregister(client.sock)
        client.sock.close()
        client.sock, client.buffer, client.stalled = None, b"", False
        self._opening.discard(client)
        self._away.append(client)

    def stall(self, client: Client) -> None:
        """Reads no more, until `wake`."""
        if client.sock is not None and client not in self._opening and not client.stalled:
            self._selector.unregister(client.sock)
            client.stalled = True
            self.events["stalled"] += 1

    def wake(self, client: Client) -> None:
        if client.sock is not None and client.stalled:
            self._selector.register(client.sock, selectors.EVENT_READ, client)
            client.stalled = False

    def close(self) -> None:
        for client in self.clients:
            self.leave(client)

    def _connect(self, client: Client) -> None:
        sock = client.sock = socket.socket()
        sock.setblocking(False)
        if client.channel == "heavy":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect_ex(("127.0.0.1", self.port))
        self._opening.add(client)
        self._selector.register(sock, selectors.EVENT_WRITE, client)

    def _request(self, client: Client) -> None:
        assert client.sock is not None
        last = b"Last-Event-ID: %b\r\n" % client.last_id if client.last_id else b""
        path = f"/stream/?channel={client.channel}".encode()
        try:
            client.sock.send(b"GET %b HTTP/1.0\r\nHost: localhost\r\n%b\r\n" % (path, last))
        except OSError:
            self.leave(client)
            return
        self._selector.modify(client.sock, selectors.EVENT_READ, client)

    def _read(self, client: Client) -> None:
        assert client.sock is not None
        try:
            data = client.sock.recv(262_144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.events["ended by the hub"] += client not in self._opening
            self.leave(client)
            return
        if client in self._opening:
            data = client.buffer + data
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                client.buffer = head
                return
            client.buffer = b""
            self._opening.discard(client)
            if b" 200 " not in head.split(b"\r\n", 1)[0]:
                self.events[head.split(b"\r\n", 1)[0].decode()] += 1
                self.leave(client)
                return
        client.take(data)


class Publisher(threading.Thread):
    """Publishes numbered messages on each channel until `stop`."""

    def __init__(self, redis_server: RedisServer) -> None:
        super().__init__(daemon=True)
        self._redis = redis_server.client()
        self._ended = threading.Event()
        self.published: Counter[str] = Counter()

    def run(self) -> None:
        started = time.monotonic()
        due = {"demo_stream": started, "aside": started, "heavy": started}
        while not self._ended.wait(max(min(due.values()) - time.monotonic(), 0)):
            now = time.monotonic()
            rate = RATES[int((now - started) / RATE_SECONDS) % len(RATES)]
            for channel in due:
                if due[channel] <= now:
                    size = 20_000 if channel == "heavy" else 100
                    message = f"{self.published[channel]} {'.' * size}"
                    self._redis.publish(channel, message)
                    self.published[channel] += 1
                    due[channel] += 1 / (HEAVY_RATE if channel == "heavy" else rate)

    def stop(self) -> None:
        self._ended.set()
        self.join()
        self._redis.close()


class Run:
    """The processes, the crowd, and what happens to it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.redis_server = RedisServer()
        self.hub = self._start_hub()
        self.crowd = Crowd(self.hub.port)
        self.publisher = Publisher(self.redis_server)

    def close(self) -> None:
        self.crowd.close()
        self.hub.close()
        self.redis_server.close()

    def _start_hub(self) -> HubProcess:
        return HubProcess(
            self.redis_server.url,
            RELAY_MAX_STREAMS="20000",
            RELAY_CHANNELS="aside,heavy",
            RELAY_STALL_SECONDS="10",
        )

    def run(self, seconds: float) -> list[str]:
        """Returns what was wrong."""
        self._gather()
        began = time.monotonic()
        self.publisher.start()
        for _ in self._until(began + seconds * 0.8):
            pass
        before = self._roll()
        for _ in self._until(began + seconds):
            pass
        self.publisher.stop()
        return [*self._check(), *self._leave_all(before)]

    def _gather(self) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while self.crowd.connected < STREAMS:
            self.crowd.turn()
            assert time.monotonic() < end, f"only {self.crowd.connected} clients are connected"

    def _until(self, end: float) -> Iterator[None]:
        """The ordinary life of the crowd."""
        heavy = self.crowd.clients[:HEAVY]
        last = time.monotonic()
        turned, kicked, owed = last, last, 0.0
        reading = True
        while (now := time.monotonic()) < end:
            self.crowd.turn()
            owed, last = owed + (now - last) * LEAVING_PER_SECOND, now
            for client in self.random.choices(self.crowd.clients, k=int(owed)):
                if not client.stalled:
                    self.crowd.events["left"] += client.sock is not None
                    self.crowd.leave(client)
            owed -= int(owed)
            if now - turned > STALL_SECONDS:
                turned, reading = now, not reading
                for client in heavy:
                    (self.crowd.wake if reading else self.crowd.stall)(client)
            if now - kicked > KICK_SECONDS:
                kicked = now
                threading.Thread(target=self._kick, daemon=True).start()
            yield
        for client in heavy:
            self.crowd.wake(client)

    def _kick(self) -> None:
        words = ["relay", "kick", "--channel", "aside"]
        run_manage(*words, REDIS_URL=self.redis_server.url, RELAY_CHANNELS="aside,heavy")
        self.crowd.events["kicks"] += 1

    def _roll(self) -> tuple[int, int]:
        """Everybody goes from one process to the next. Returns its descriptors and memory before."""
        old, new = self.hub, self._start_hub()
        process = psutil.Process(new.process.pid)  # type: ignore[union-attr]
        before = process.num_fds(), process.memory_info().rss
        self.hub, self.crowd.port = new, new.port
        for _ in self._until(time.monotonic() + OVERLAP_SECONDS):
            pass  # so that the new process hears each channel before the old one ends
        stopping = threading.Thread(target=old.stop)
        stopping.start()
        while stopping.is_alive():
            self.crowd.turn()
        old.close()
        self.crowd.events["rolling stops"] += 1
        return before

    def _check(self) -> Iterator[str]:
        published = self.publisher.published
        clients = self.crowd.clients
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end and any(c.next != published[c.channel] for c in clients):
            self.crowd.turn()
        for name in ("demo_stream", "aside", "heavy"):
            mine = [client for client in clients if client.channel == name]
            wrong = Counter(
                lost=sum(c.lost for c in mine),
                doubled=sum(c.doubled for c in mine),
                gaps=sum(len(c.gaps) for c in mine),
                behind=sum(c.next != published[name] for c in mine),
            )
            print(
                f"{name}: {published[name]} messages at each of {len(mine)} clients: {dict(wrong)}"
            )
            yield from (f"{name}: {count} {kind}" for kind, count in wrong.items() if count)
            gaps = [gap for client in mine for gap in client.gaps]
            yield from (repr(gap[:300]) for gap in gaps[:3])

    def _leave_all(self, before: tuple[int, int]) -> Iterator[str]:
        process = psutil.Process(self.hub.process.pid)  # type: ignore[union-attr]
        full = process.num_fds(), process.memory_info().rss
        once = self._empty(process, before)
        for client in self.crowd.clients:  # once more: what was kept for the first crowd must do
            self.crowd.leave(client)
        self._gather()
        after = self._empty(process, before)
        print(f"descriptors and memory before {before}, full {full}, empty {once}, again {after}")
        if after[0] > before[0] + POOLED:
            yield f"{after[0] - before[0]} descriptors are not back"
        if after[1] > once[1] + MEMORY_BYTES:
            yield f"{after[1] - once[1]:,} bytes more for a second crowd"
        if "Traceback" in self.hub.log():
            yield self.hub.log()[-2000:]

    def _empty(self, process: psutil.Process, before: tuple[int, int]) -> tuple[int, int]:
        self.crowd.close()
        with suppress(AssertionError):
            wait_until(lambda: process.num_fds() <= before[0] + POOLED, "they are back", 30)
        return process.num_fds(), process.memory_info().rss


def main() -> int:
    options = long_run.options("crowd", __doc__)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    with ExitStack() as stack:
        run = Run(options.seed)
        stack.callback(run.close)
        wrong = run.run(options.seconds)
        print(f"events: {dict(run.crowd.events)}")
    print("\n".join(wrong) or "nothing was lost, doubled or left behind")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
