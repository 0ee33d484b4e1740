"""An EventSource that comes back wherever it can, and the checker of what it gets."""

import json
import re
from collections.abc import Callable
from typing import Any

from relay.engine.stream import Admission, Full
from relay.feed.start import After, Live, Start
from relay.feed.writer import Chunk
from relay.wire.position import Position
from tests.simulation.clock import World
from tests.simulation.process import Process
from tests.simulation.redis import SimulatedChannel
from tests.simulation.truth import Violation


class Writer:
    """One response: what the hub sends waits here until the client reads it."""

    def __init__(self, client: "Client", process: Process, room: int) -> None:
        self._client = client
        self.process = process
        self._room = room
        self._waiting = bytearray()
        self._taken = 0
        self._full = False
        self._ended = False
        self._reading = False
        process.writers.append(self)

    def on_ready(self, callback: Callable[[], None]) -> None:
        self._callback = callback

    def send(self, chunk: Chunk) -> bool:
        if self._ended:
            return False
        self._waiting += chunk.body
        self._full = len(self._waiting) > self._room
        self._expect()
        return not self._full

    def progress(self) -> object:
        return self._taken

    def finish(self, chunk: Chunk) -> None:
        if not self._ended:
            self._waiting += chunk.body
            self._ended = True
            self._expect()

    def abort(self) -> None:
        self.cut()

    def cut(self) -> None:
        """The connection breaks; a part of what is on its way still arrives."""
        if not self._ended:
            self._ended = True
            kept = self._client.world.random.randint(0, len(self._waiting))
            del self._waiting[kept:]
            self._expect()

    def _expect(self) -> None:
        client = self._client
        if not self._reading:
            self._reading = True
            pause = max(client.stalled_until - client.world.now, 0.0)
            client.world.after(pause + client.world.delay(), self._read)

    def _read(self) -> None:
        self._reading = False
        client = self._client
        if client.writer is not self:
            return
        if client.stalled_until > client.world.now:
            self._expect()
            return
        number = len(self._waiting)
        if client.world.random.random() < 0.3:
            number = client.world.random.randint(0, number)
        data = bytes(self._waiting[:number])
        del self._waiting[:number]
        self._taken += number
        client.receive(data)
        if self._waiting:
            self._expect()
        elif self._ended:
            client.lost()
        if self._full and len(self._waiting) <= self._room:
            self._full = False
            self.process.loop.call_soon(self._ready)

    def _ready(self) -> None:
        if not self._ended and self._client.writer is self:
            self._callback()


_FRAME = re.compile(
    rb":(?:redis=lost)?"
    rb"|(?::(?:redis=lost|draining)?\n)?"
    rb"(?:retry: \d+|(?:id: (.*))?\n?(?:event: (.*)\n)?(?:data: (.*))?)\n?"
)


class Client:
    """An EventSource that comes back wherever it can; and the checker of what it gets (I4)."""

    def __init__(self, world: World, channel: SimulatedChannel, name: int, room: int) -> None:
        self.world = world
        self.channel = channel.name
        self.order = channel.order
        self.name = name
        self.last_id: bytes | None = None
        self.place: int | None = None
        """How many messages were published up to where this client is; None: nobody knows yet."""
        self.announced = False
        """The id it came with is none; the first thing it gets must be a gap."""
        self.writer: Writer | None = None
        self.stalled_until = 0.0
        self.gaps: list[dict[str, Any]] = []
        self.messages = 0
        self.wanted = True
        self._room = room
        self._first: Start = Live()
        self._buffer = b""
        self._leave: Callable[[], None] = lambda: None

    # -- connections

    def connect(self, process: Process, start: Start) -> None:
        if self.last_id is None:
            self._first = start
        self.writer = writer = Writer(self, process, self._room)
        process.loop.call_soon(self._join, writer, start)

    def start(self) -> Start:
        """Where it left off."""
        if self.last_id is None:
            return self._first
        return After(Position.parse(self.last_id.decode()))

    def _join(self, writer: Writer, start: Start) -> None:
        process = writer.process
        if writer is not self.writer:
            return  # it has gone again
        target = process.hub.catalogue.find(self.channel)
        assert target is not None
        admission = Admission([target], {target.name: start})
        try:
            process.hub.check_room(admission)
        except Full:
            writer.finish(Chunk(process.hub.refusal_retry()))
            return
        stream = process.hub.join(writer, admission, process.loop.time())
        self._leave = lambda: process.hub.leave(stream)

    def lost(self) -> None:
        """The connection ends, by whoever's doing; what was not completely received comes again."""
        writer, self.writer = self.writer, None
        leave, self._leave = self._leave, lambda: None
        self._buffer = b""
        if writer:
            writer.process.writers.remove(writer)
            self.world.after(self.world.delay(), writer.process.loop.call_soon, leave)

    # -- what it gets

    def receive(self, data: bytes) -> None:
        *complete, self._buffer = (self._buffer + data).split(b"\n\n")
        for frame in complete:
            self._see(frame)

    def _see(self, frame: bytes) -> None:
        match = _FRAME.fullmatch(frame)
        if match is None:
            raise Violation(f"{self} cannot read {frame!r}")
        identity, name, data = match.groups()
        position = Position.parse(identity.decode()) if identity else None
        if name == b"hub.gap":
            self._see_gap(position, json.loads(data))
        elif data is not None:
            self._see_message(position, data)
        elif position is not None:
            self._see_position(position)
        if identity:
            self.last_id = identity

    def _see_message(self, position: Position | None, data: bytes) -> None:
        if position is None:
            raise Violation(f"{self}: a message without an id: {data!r}")
        place = self.order.place(position)
        if position.offset < 1 or self.order.payloads[place - 1] != data:
            raise Violation(f"I1: {self} got {data!r} as {position}")
        if self.announced:
            raise Violation(f"{self} has an unknown id and was not told before {position}")
        if self.place is not None and place != self.place + 1:
            what = "doubled or out of order" if place <= self.place else "after a silent hole"
            raise Violation(f"I4: {self} got {position} (message {place}) {what}")
        self.place = place
        self.messages += 1

    def _see_position(self, position: Position) -> None:
        place = self.order.place(position)
        if self.announced:
            raise Violation(f"{self} has an unknown id and was not told before {position}")
        if self.place is not None and place != self.place:
            raise Violation(f"I4: {self} is told to be at {position} (message {place})")
        self.place = place

    def _see_gap(self, position: Position | None, gap: dict[str, Any]) -> None:
        self.gaps.append(gap)
        if position is None and gap["to"] is None and self.place is None:
            self.announced = False
            return  # its process was not connected yet
        if position is None or gap["to"] != str(position):
            raise Violation(f"{self}: a gap without its end: {position}, {gap}")
        place, missed = self.order.place(position), gap["missed"]
        if self.place is not None:
            if place < self.place:
                raise Violation(f"I4: {self} is sent back to {position} (message {place}): {gap}")
            if missed is not None and missed != place - self.place:
                raise Violation(f"I4: {self} missed {place - self.place}, not as told: {gap}")
        if missed == 0 or (missed is not None and self.announced):
            raise Violation(f"{self}: a count of nothing, or that nobody can know: {gap}")
        self.place = place
        self.announced = False

    def __repr__(self) -> str:
        return f"client {self.name} of {self.channel} at {self.last_id!r} (message {self.place})"
