"""Random runs of a stream channel: crashes, trims, deleted keys, failovers, several processes."""

import json
import random
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from unittest import mock

from relay.feed.start import After, Live, Rewind, Start
from relay.history import extracts
from relay.source import tracked
from relay.wire.position import Position
from tests.simulation.client import _FRAME, Client
from tests.simulation.process import Process
from tests.simulation.redis import PREFIX
from tests.simulation.simulation import Simulation
from tests.simulation.stored import StoredKey
from tests.simulation.tracking import TrackingConnection
from tests.simulation.truth import Violation

KEY = "stream"
QUIET_SECONDS = 9.0

FAULTS = {
    "kill": 3,
    "stop": 2,
    "cut": 8,
    "deafen": 2,
    "stall": 4,
    "unplug": 2,
    "hang": 3,
    "outage": 1,
    "trim": 4,
    "withdraw": 2,
    "delete": 2,
    "promote": 1.5,
}


UNTOLD = {"delete", "promote"}
"""Before Redis 7.0 nobody knows whether a new stream was trimmed before it was read."""


class StoredClient(Client):
    """Knows every entry that was ever added. Each one comes once, or a gap stands for it."""

    def __init__(self, simulation: "StoredSimulation", name: int, room: int) -> None:
        super().__init__(simulation.world, simulation.redis.channels["c"], name, room)
        self.channel = KEY
        self._key = simulation.key
        self._gap: dict[str, Any] | None = None

    def start(self) -> Start:
        if self.last_id is None:
            return self._first
        return After(Position.parse_entry(self.last_id.decode()))

    def _see(self, frame: bytes) -> None:
        match = _FRAME.fullmatch(frame)
        if match is None:
            raise Violation(f"{self} cannot read {frame!r}")
        identity, name, data = match.groups()
        if name == b"hub.gap":
            self.gaps.append(json.loads(data))
            self._gap = self.gaps[-1] if self._gap is None else {"missed": None}
            if self.gaps[-1]["reason"] in {"reset", "unknown-id"}:
                self.place = (
                    None  # ids begin anew, and a process that does not know it yet repeats some
                )
        elif data is not None:
            self._see_entry(Position.parse_entry(identity.decode()), data)
        if identity:
            self.last_id = identity

    def _see_entry(self, position: Position | None, data: bytes) -> None:
        key, gap = self._key, self._gap
        number = key.numbers.get(position) if position else None
        if number is None or key.log[number][1] != data:
            raise Violation(f"{self} got {data!r} as {position}")
        if self.place is not None:
            at = Position.parse_entry((self.last_id or b"0-0").decode()) or Position(0, 0)
            between = range(self.place + 1, number)
            skipped = [n for n in between if n not in key.lost and key.log[n][0] > at]
            if number <= self.place:
                raise Violation(f"{self} got {position} twice, or too late")
            # Redis counts entries, not lives of a key: where as many were trimmed of a new life as the one
            # before had more, nobody can tell. Long streams do not agree by chance.
            known = key.gone.isdisjoint(range(self.place, number))
            if skipped and gap is None and known:
                raise Violation(f"{self} got {position} after a silent hole of {len(skipped)}")
            if gap and gap["missed"] is not None:
                most = number - self.place - 1
                if known and not len(skipped) <= gap["missed"] <= most:
                    raise Violation(f"{self} missed {len(skipped)} to {most}, not as told: {gap}")
        self.place, self._gap = number, None
        self.messages += 1


class StoredSimulation(Simulation):
    """A Redis with one stream, which is a channel of every hub."""

    def __init__(self, seed: int, settings: dict[str, Any], *, tells: bool) -> None:
        super().__init__(seed, settings)
        self.key = StoredKey(KEY, self._changed, tells=tells)
        self.redis.streams[KEY] = self.key

    def _changed(self, name: str) -> None:
        for connection in list(self.redis.connections):
            if isinstance(connection, TrackingConnection):
                connection.change(name)

    def add_stored(self, room: int) -> StoredClient:
        client = StoredClient(self, len(self.clients), room)
        self.clients.append(client)
        return client


class StoredSchedule:
    """One random run: a publisher, processes, clients and faults, then quiet, then the last word."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = draw = random.Random(f"stored {seed}")
        tells = draw.random() < 0.7
        self.simulation = StoredSimulation(seed, self._settings(), tells=tells)
        self.key = self.simulation.key
        share = draw.choice([0.2, 0.5, 0.8])
        faults = FAULTS if tells else {k: FAULTS[k] for k in FAULTS.keys() - UNTOLD}
        chosen = {k: w for k, w in sorted(faults.items()) if draw.random() < share}
        self.key.add(b"first")
        self.weights = {"publish": 30, "join": 3, "connect": 8, "leave": 5, "laze": 2, **chosen}
        self.keep = draw.choice([None, None, 1, 5, 50])
        self.pace = draw.choice([0.003, 0.02, 0.05])
        self.calm_at = 0.0
        self.trace: list[str] = []

    def _settings(self) -> dict[str, Any]:
        draw = self.random.choice
        return {
            "channel": "c",
            "channels": ((KEY, {"access": "public", "source": "stream", "always": True}),),
            "ring_events": draw([8, 40, 1000]),
            "ring_bytes": draw([4000, 1_000_000]),
            "client_buffer_bytes": draw([50, 300, 4096]),
            "max_streams": 100,
            "heartbeat_seconds": draw([0.3, 3.0]),
            "retry_ms": 1000,
            "stall_seconds": draw([2.0, 30.0]),
            "prefix": PREFIX,
        }

    def run(self) -> None:
        draw = self.random.choice
        with ExitStack() as stack:
            for module, name, value in (
                (extracts, "EXTRACT_ENTRIES", draw([2, 16, 256])),
                (tracked, "FEW_ENTRIES", draw([1, 16])),
                (tracked, "MANY_ENTRIES", draw([2, 256])),
            ):
                stack.enter_context(mock.patch.object(module, name, value))
            stack.enter_context(self.simulation)
            names, weights = list(self.weights), list(self.weights.values())
            for name in self.random.choices(names, weights, k=draw([80, 200])):
                self.trace.append(f"{self.simulation.world.now:.4f} {name}")
                getattr(self, f"_{name}")()
                self._reconnect(0.3)
                self.simulation.world.run(self.random.expovariate(1 / self.pace))
            self._heal()

    # -- steps

    def _publish(self) -> None:
        if not self.simulation.redis.down:
            for _ in range(self.random.choice([1, 1, 1, 3, 8, 40])):
                text = b"%d %b" % (len(self.key.log), b"x" * self.random.choice([0, 90]))
                self.key.add(text, self.keep)

    def _join(self) -> None:
        if len(self.simulation.alive) < 3:
            self.simulation.start_process()

    def _connect(self) -> None:
        if len(self.simulation.clients) < 5 and self.simulation.alive:
            client = self.simulation.add_stored(self.random.choice([0, 100, 1000, 100_000]))
            starts: list[Start] = [Live(), Live(), Rewind(5), Rewind(None)]
            start = self.random.choice(starts)
            client.connect(self.random.choice(self.simulation.alive), start)

    def _reconnect(self, chance: float) -> None:
        for client in self.simulation.clients:
            alive = self.simulation.alive
            if client.writer is None and alive and self.random.random() < chance:
                client.connect(self.random.choice(alive), client.start())

    def _leave(self) -> None:
        connected = [c for c in self.simulation.clients if c.writer]
        if connected:
            self.random.choice(connected).lost()

    def _laze(self) -> None:
        connected = [c for c in self.simulation.clients if c.writer]
        if connected:
            until = self.simulation.world.now + self.random.choice([0.1, 1.0, 4.0])
            self.random.choice(connected).stalled_until = until

    # -- faults

    def _for(self, *seconds: float) -> float:
        chosen = self.random.choice(seconds)
        self.calm_at = max(self.calm_at, self.simulation.world.now + chosen)
        return chosen

    def _processes(self) -> Iterator[Process]:
        if self.simulation.alive:
            yield self.random.choice(self.simulation.alive)

    def _kill(self) -> None:
        for process in self._processes():
            process.kill()

    def _stop(self) -> None:
        for process in self._processes():
            process.stop()

    def _hang(self) -> None:
        for process in self._processes():
            process.hang(self._for(0.1, 1.0, 4.0))

    def _unplug(self) -> None:
        for process in self._processes():
            process.unplug(self._for(0.1, 1.0, 2.5, 5.0))

    def _connections(self) -> Iterator[Any]:
        if self.simulation.redis.connections:
            yield self.random.choice(self.simulation.redis.connections)

    def _cut(self) -> None:
        for connection in self._connections():
            connection.cut()

    def _deafen(self) -> None:
        for connection in self._connections():
            connection.deafen()

    def _stall(self) -> None:
        for connection in self._connections():
            connection.stall(self._for(0.05, 0.5, 2.2, 4.0))

    def _outage(self) -> None:
        redis = self.simulation.redis
        redis.down = True
        redis.disconnect_all()
        self.simulation.world.after(self._for(0.1, 1.0, 3.0), setattr, redis, "down", False)

    def _trim(self) -> None:
        self.key.trim(self.random.choice([0, 1, 5, 20]))

    def _withdraw(self) -> None:
        self.key.withdraw(self.random.randint(0, 20))

    def _delete(self) -> None:
        self.key.delete(smaller=self.random.random() < 0.5)

    def _promote(self) -> None:
        """Another master takes over; no connection survives that."""
        self.key.roll_back(self.random.choice([0, 1, 5, 100]))
        self.simulation.redis.disconnect_all()

    # -- the end

    def _heal(self) -> None:
        world = self.simulation.world
        for client in self.simulation.clients:
            client.stalled_until = world.now
        if not self.simulation.alive:
            self.simulation.start_process()
        world.run(max(self.calm_at - world.now, 0.0) + 1.0)
        self._reconnect(1.0)
        world.run(QUIET_SECONDS)
        for _ in range(3):
            self.key.add(b"last")
        for _ in range(round(QUIET_SECONDS * 2)):
            self._reconnect(1.0)
            world.run(0.5)
            if not list(self._unsettled()):
                return
        for problem in self._unsettled():
            raise Violation(problem)

    def _unsettled(self) -> Iterator[str]:
        newest = str(self.key.log[-1][0]).encode()
        for client in self.simulation.clients:
            if client.writer is None or client.last_id != newest:
                yield f"{client} did not get the last of {len(self.key.log)} entries"
