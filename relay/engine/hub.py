"""Assembles the parts: one hub per process, from the connection to Redis to the open streams."""

import asyncio

from relay.access.database import DatabaseCheck
from relay.broker.broker import Broker
from relay.broker.keys import HubKeys
from relay.broker.link import Link
from relay.clock import Clock, Timer
from relay.conf import Settings
from relay.control.kick_receiver import KickReceiver
from relay.control.presence import Presence
from relay.control.processes import Processes
from relay.control.report import State
from relay.control.seats import Seats
from relay.control.watch import Watch
from relay.engine.channels import Channels, Sources
from relay.engine.draining import drain
from relay.engine.last_hour import LastHour
from relay.engine.numbers import Numbers
from relay.engine.reporter import Reporter
from relay.engine.stream import Admission, Full, Refusal, Stream, jitter
from relay.engine.streams import Streams
from relay.engine.supervisor import Supervisor, Work
from relay.feed.backpressure import Backpressure
from relay.feed.context import Context
from relay.feed.laggards import Laggards
from relay.feed.writer import Chunk, Writer
from relay.sockets.poller import Poller
from relay.source.listeners import Listeners
from relay.source.trackers import Trackers
from relay.stats import Stats
from relay.wire import sse

TICK_SECONDS = 1.0
"""How often stalled clients are cut. A heartbeat period that is shorter shortens the tick."""

FLUSH_SECONDS = 0.2
"""How long a stopping hub waits for the server to write the last bytes to the sockets."""


class Hub:
    """Call `start` and `stop` in the event loop of the server, `join` and `leave` for each stream."""

    def __init__(self, settings: Settings, broker: Broker, clock: Clock) -> None:
        self.context = Context(settings, broker, Link(), clock, Stats(), Backpressure(), Laggards())
        self.settings = settings
        self.stats = self.context.stats
        self.last_hour = LastHour(self.stats.gaps)
        self.database = DatabaseCheck(settings, clock)
        self.reporter = Reporter(self.stats, clock)
        self._supervisor = Supervisor(clock)
        self.sources = Sources(Listeners(self.context), Trackers(self.context))
        self.channels = Channels(self.context, self.sources, self._supervisor)
        self.catalogue = self.channels.catalogue
        keys = HubKeys(settings.prefix)
        processes = Processes(broker.commands, keys, self._report)
        self.id = processes.id
        self.presence = Presence(broker.commands, keys, processes, self.context.link)
        limits = {
            "user": settings.max_streams_per_user,
            "address": settings.max_streams_per_address,
        }
        self._seats = Seats(limits, broker.commands, keys, processes)
        self.streams = Streams(settings, self.presence, self._seats, self.stats)
        self.kicks = KickReceiver(self, broker.commands, keys, self.context.link, processes)
        self.poller = Poller()
        self._numbers = Numbers(clock)
        self._ends: dict[Stream, Timer] = {}
        self._stopping = False

    @property
    def live(self) -> bool:
        """Whether the subscription is live and every part runs."""
        return self.context.link.live and not self._supervisor.failing

    @property
    def state(self) -> State:
        """What the list of processes says of this one."""
        if self._stopping:
            return State.DRAINING
        return State.LIVE if self.live else State.LOST

    def connected(self) -> bool:
        """Whether the subscription is live."""
        return self.context.link.live

    @property
    def paused(self) -> bool:
        """Whether reading from Redis is paused, because streams have to catch up."""
        return self.context.backpressure.paused

    @property
    def stopping(self) -> bool:
        """Whether the process drains or stops."""
        return self._stopping

    @property
    def takes_streams(self) -> bool:
        """Whether there is room for another stream, and the process does not stop."""
        return not self._stopping and len(self.streams) < self.settings.max_streams

    def start(self) -> None:
        """Starts every part: the channels, the listener, heartbeats, kicks and presence."""
        self.channels.start()
        self._supervisor.start(self.sources.listeners.run, "listener")
        self._supervisor.start(self.sources.trackers.run, "tracker")
        self._supervisor.start(self._tick, "ticker")
        self._supervisor.start(self.kicks.run, "receiver of kicks")
        self._supervisor.start(self.presence.run, "presence")
        self._supervisor.start(self._seats.run, "seats")

    def accompany(self, name: str, work: Work) -> None:
        """Runs `work` until it returns or the hub stops. Starts it again when it raises."""
        self._supervisor.start(work, name)

    def end_streams(self) -> None:
        """Ends every open stream properly and refuses new ones. May be called repeatedly."""
        self._stopping = True
        for delivery in self.channels:
            delivery.finish(self.retry)

    async def drain(self) -> None:
        """Refuses new streams and ends the open ones in random order, over RELAY_DRAIN_SECONDS.

        Then stays subscribed until their clients must be back elsewhere: a channel that only they had
        is heard by no other process before.
        """
        self._stopping = True
        await drain(list(self.streams), self.end, self.settings, self.context.clock)

    async def stop(self) -> None:
        """Ends the streams, writes what the histories lack, then ends all tasks."""
        self.end_streams()
        await self.channels.flush()
        await self._supervisor.stop()
        await self.context.broker.aclose()
        await asyncio.sleep(FLUSH_SECONDS)
        self.poller.close()

    def opening(self) -> bytes:
        """Returns what a stream begins with. Its `retry:` is random, different for each client."""
        opening = sse.opening(jitter(self.settings.retry_ms), self.settings.heartbeat_seconds)
        return opening + sse.REDIS_LOST + b"\n" if self.context.link.interrupted else opening

    def retry(self) -> bytes:
        """Returns a `retry:` field with a random time, different for each client."""
        retry = sse.retry(jitter(self.settings.retry_ms))
        return sse.DRAINING + retry if self._stopping else retry

    def refusal_retry(self) -> bytes:
        """Returns a `retry:` field for a refused client: short while this process stops, else longer."""
        if self._stopping:
            return self.retry()
        return sse.retry(jitter(self.settings.overload_retry_ms))

    # -- streams

    def check_room(self, admission: Admission) -> None:
        """Raises Full when the stream cannot be opened now."""
        if self._stopping:
            raise Full("This process stops.", Refusal.STOPPING)
        if not admission.is_operators:
            self.streams.check_room()
        self.channels.check_room(admission)

    def join(self, writer: Writer, admission: Admission, asked_at: float) -> Stream:
        """Opens a stream to `writer`, with the channels and starts of the admission.

        A kick that came after `asked_at`, in loop time, ends it at once: the client was let in before.
        """
        delivery = self.channels.open(admission)
        subscriber = delivery.join(writer, admission.starts)
        names = tuple(target.name for target in admission.targets)
        number = self._numbers.next()
        subscriber.belongs_to(names, admission.owner, number)
        stream = Stream(delivery, subscriber, names, admission.owner, number)
        self.streams.add(stream)
        if admission.ends_at is not None:
            self._end_at(stream, admission.ends_at)
        if self.kicks.reached(stream, asked_at):
            self.end(stream)
        if admission.is_operators:
            self.context.link.hear(Watch().encode())
        return stream

    def _end_at(self, stream: Stream, unix_time: float) -> None:
        clock = self.context.clock
        left = max(unix_time - clock.now_ms() / 1000, 0)
        self._ends[stream] = clock.call_at(clock.time() + left, self.end, stream)

    def end(self, stream: Stream) -> None:
        """Ends an open stream properly. Its client may reconnect, and is then admitted anew."""
        if stream in self.streams:
            stream.delivery.leave(stream.subscriber)
            writer = stream.subscriber.writer
            writer.finish(Chunk(self.retry()))
            # For a client that does not take the end either. Harmless on a closed connection.
            clock = self.context.clock
            clock.call_at(clock.time() + self.settings.stall_seconds, writer.abort)

    def leave(self, stream: Stream) -> None:
        """Removes a stream that its client or `end` has ended. May be called repeatedly."""
        if stream in self.streams:
            self.streams.remove(stream)
            if (timer := self._ends.pop(stream, None)) is not None:
                timer.cancel()
            stream.delivery.leave(stream.subscriber)
            self.channels.release(stream.delivery)

    def _report(self) -> str:
        return self.reporter.report(self.state, len(self.channels.names)).encode()

    # -- time

    async def _tick(self) -> None:
        clock, settings = self.context.clock, self.settings
        tick = min(TICK_SECONDS, settings.heartbeat_seconds)
        was_lost = False
        while True:
            due = clock.time() + tick
            await asyncio.sleep(tick)
            self.stats.observe_tick(clock.time() - due)
            self.context.laggards.cut_stalled(settings.stall_seconds)
            self.channels.leave_unused()
            self.last_hour.tick(clock.now_ms())
            is_lost = self.context.link.interrupted
            comment = sse.REDIS_LOST if is_lost else sse.COMMENT
            if is_lost != was_lost:
                was_lost = is_lost
                for delivery in self.channels:
                    delivery.heartbeat(comment)
            self.channels.heartbeats.send(clock.time() + tick / 2, comment)
