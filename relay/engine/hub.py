"""Puts the parts together: one hub per process, from the Redis connection to the open streams."""

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from functools import lru_cache

from relay import tasks
from relay.broker.broker import Broker
from relay.broker.link import Link
from relay.clock import LoopClock
from relay.conf import Settings
from relay.conf.catalogue import Target
from relay.control.kick_receiver import Kicks
from relay.control.presence import Presence
from relay.engine.channel import Channel
from relay.engine.group import Group
from relay.engine.stream import NOBODY, Owner, Stream, jitter
from relay.feed.backpressure import Backpressure
from relay.feed.context import Context
from relay.feed.ring import Ring
from relay.feed.start import Start
from relay.feed.writer import Chunk, Writer
from relay.history.outage import history_outage
from relay.source.listener import Listener
from relay.stats import Stats
from relay.wire import sse

logger = logging.getLogger("relay")

TICK_SECONDS = 1.0
"""How often stalled clients are looked for; heartbeats are due at whole ticks or at their own period."""

FLUSH_SECONDS = 0.2
"""What a stopping hub gives the server to push the last bytes into the sockets."""

LATEST_EVENTS = 16
"""What is kept for each channel of which only the newest event counts."""

GroupKey = tuple[frozenset[str], float | None]


class Hub:
    """`start` and `stop` in the event loop that serves; `join` and `leave` for each stream."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.catalogue = settings.catalogue()
        self._withholds = lru_cache(maxsize=4096)(self.catalogue.withholds)
        self.stats = Stats()
        self._loop = asyncio.get_running_loop()
        broker = Broker(settings.redis_url)
        self._commands = broker.commands
        self._context = Context(settings, broker, Link(), LoopClock(), self.stats, Backpressure())
        self._listener = Listener(self._context)
        self._trouble = history_outage()
        self._channels: dict[str, Channel] = {}
        self._groups: dict[GroupKey, Group] = {}
        self.streams: set[Stream] = set()
        """All that are open."""
        self._owned: Counter[tuple[str, str]] = Counter()
        self.kicks = Kicks(self.streams, self.end, self._commands, settings.prefix)
        self.presence = Presence(self._commands, settings.prefix)
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._failed = False
        for found in self.catalogue.always:
            self._channel(found)

    @property
    def live(self) -> bool:
        """Whether the subscription stands, and nothing in here has failed."""
        return self._context.link.live and not self._failed

    @property
    def full(self) -> bool:
        """Whether another stream would be over the limit, or the hub is going down."""
        return self._stopping or len(self.streams) >= self.settings.max_streams

    def has_room(self, founds: Sequence[Target], latest_seconds: float | None) -> bool:
        """Whether the channels are there, or can be; unused ones are left to make room."""
        names = frozenset(found.name for found in founds)
        needed = len(names - self._channels.keys())
        if _is_group(founds, latest_seconds) and (names, latest_seconds) not in self._groups:
            needed += 1
        return not needed or self._make_room(needed, names)

    def _make_room(self, needed: int, asked: frozenset[str]) -> bool:
        room = self.settings.max_channels - len(self._channels) - len(self._groups)
        if room < needed:
            unused = [c for c in self._channels.values() if c.unused_since is not None]
            unused = [channel for channel in unused if channel.name not in asked]
            unused.sort(key=lambda channel: channel.unused_since or 0.0)
            for channel in unused[: needed - room]:
                self._leave_channel(channel)
                room += 1
        return room >= needed

    def has_enough(self, owner: Owner) -> bool:
        """Whether this user, or this address, has as many streams as one may have."""
        limits = {
            "user": self.settings.max_streams_per_user,
            "address": self.settings.max_streams_per_address,
        }
        return any(
            limits[what] and self._owned[what, who] >= limits[what] for what, who in _limited(owner)
        )

    def start(self) -> None:
        """Begins to listen, to write the history and to tick."""
        self._supervise(self._listener.run(), "listener")
        self._supervise(self._tick(), "ticker")
        self._supervise(self.kicks.run(), "receiver of kicks")
        self._supervise(self.presence.run(), "presence")

    def end_streams(self) -> None:
        """Ends every open stream properly and turns new ones away. Harmless when called again."""
        self._stopping = True
        for each in self._all():
            each.bringing.stop()
            each.fanout.finish(self.retry)

    async def stop(self) -> None:
        """Ends the streams, writes what the histories lack, then ends the tasks."""
        self.end_streams()
        await asyncio.gather(*(channel.stop() for channel in self._channels.values()))
        await tasks.end(self._tasks)
        await self._commands.aclose()
        await asyncio.sleep(FLUSH_SECONDS)

    def retry(self) -> bytes:
        """The frame that tells a client when to come back, different for each."""
        return sse.retry(jitter(self.settings.retry_ms))

    def overload_retry(self) -> bytes:
        return sse.retry(jitter(self.settings.overload_retry_ms))

    def join(
        self,
        writer: Writer,
        founds: Sequence[Target],
        starts: Mapping[str, Start],
        latest_seconds: float | None = None,
        owner: Owner = NOBODY,
    ) -> Stream:
        """Opens a stream: `writer` gets what `starts` asks for, and everything from here on."""
        self.stats.streams_opened += 1
        channels = [self._channel(found) for found in founds]
        names = tuple(channel.name for channel in channels)
        of: Channel | Group
        if _is_group(founds, latest_seconds):
            of = self._group(channels, latest_seconds)
            subscriber = of.multiple.join(writer, starts)
        else:
            of = channels[0]
            subscriber = of.arrivals.join(writer, starts[of.name])
        stream = Stream(of, subscriber, names, owner)
        self.streams.add(stream)
        self._owned.update(_limited(owner))
        self.presence.enter(names, owner.user)
        self.stats.streams_open = len(self.streams)
        return stream

    def end(self, stream: Stream) -> None:
        """Ends an open stream properly; its client may come back, and is then asked again who it is."""
        if stream in self.streams:
            stream.of.bringing.leave(stream.subscriber)
            writer = stream.subscriber.writer
            writer.finish(Chunk(self.retry()))
            # For a client that does not even take the end; nothing where the connection is closed.
            self._loop.call_later(self.settings.stall_seconds, writer.abort)

    def leave(self, stream: Stream) -> None:
        """Forgets a stream that its client or `end` has ended; harmless when called again."""
        if stream not in self.streams:
            return
        self.streams.remove(stream)
        self.presence.leave(stream.names, stream.owner.user)
        for who in _limited(stream.owner):
            self._owned[who] -= 1
            if not self._owned[who]:
                del self._owned[who]
        self.stats.streams_open = len(self.streams)
        stream.of.bringing.leave(stream.subscriber)
        if isinstance(stream.of, Channel):
            self._now_unused([stream.of])
            return
        key = _key(stream.of.channels, stream.of.latest_seconds)
        if not len(stream.of.fanout) and self._groups.get(key) is stream.of:
            del self._groups[key]
            stream.of.close()
            self._now_unused(stream.of.channels)

    # -- channels come and go

    def _channel(self, found: Target) -> Channel:
        channel = self._channels.get(found.name)
        if channel is None:
            channel = Channel(
                found,
                self.settings,
                self._commands,
                self._loop,
                self.stats,
                self._trouble,
                self._crowded,
            )
            channel.fanout.on_drained = self._drained
            channel.is_live = lambda: self.live
            self._channels[found.name] = channel
            channel.start(self._supervise)
            self._listener.add(channel)
        channel.unused_since = None
        return channel

    def _group(self, channels: Sequence[Channel], latest_seconds: float | None) -> Group:
        key = _key(channels, latest_seconds)
        group = self._groups.get(key)
        if group is None:
            events = LATEST_EVENTS * len(channels) if latest_seconds else self.settings.ring_events
            # Clients choose how many groups there are: each gets a smaller share than the one before.
            share = 2 * self.settings.ring_bytes // (len(self._groups) + 1)
            ring = Ring(events, min(share, self.settings.ring_bytes))
            chunk_bytes = self.settings.client_buffer_bytes
            group = Group(
                channels,
                ring,
                self._loop,
                chunk_bytes,
                self.stats,
                self._withholds,
                latest_seconds,
            )
            group.fanout.on_drained = self._drained
            self._groups[key] = group
        return group

    def _now_unused(self, channels: Iterable[Channel]) -> None:
        for channel in channels:
            if not len(channel) and not channel.spec.always:
                channel.unused_since = self._loop.time()

    def _leave_unused(self) -> None:
        idle = self._loop.time() - self.settings.channel_idle_seconds
        for channel in list(self._channels.values()):
            if channel.unused_since is not None and channel.unused_since <= idle:
                self._leave_channel(channel)

    def _leave_channel(self, channel: Channel) -> None:
        del self._channels[channel.name]
        self._listener.remove(channel)
        self._supervise(channel.stop(), f"end of {channel.name}")

    # -- flow control between Redis and the streams

    def _crowded(self, channel: Channel) -> None:
        """There is something new; when it comes faster than it can be sent, reading stops a while."""
        if channel.crowded:
            self._context.backpressure.raise_by(self)

    def _drained(self) -> None:
        self._context.backpressure.lower_by(self)

    # -- time

    async def _tick(self) -> None:
        heartbeat_due = self._loop.time() + self.settings.heartbeat_seconds
        while True:
            await asyncio.sleep(min(TICK_SECONDS, max(0.0, heartbeat_due - self._loop.time())))
            for each in self._all():
                each.fanout.cut_stalled(self.settings.stall_seconds)
            self._leave_unused()
            if self._loop.time() >= heartbeat_due:
                heartbeat_due = self._loop.time() + self.settings.heartbeat_seconds
                for each in self._all():
                    each.beat()

    def _all(self) -> list[Channel | Group]:
        return [*self._channels.values(), *self._groups.values()]

    def _supervise(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(self._watch(work, name), name=f"relay: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _watch(self, work: Coroutine[object, object, None], name: str) -> None:
        try:
            await work
        except Exception:
            logger.exception("The %s of the hub failed; this is a bug. Ending every stream.", name)
            self._failed = True
            self.end_streams()
            raise


def _limited(owner: Owner) -> list[tuple[str, str]]:
    """What the streams of an owner are counted by."""
    return [(w, who) for w, who in (("user", owner.user), ("address", owner.address)) if who]


def _is_group(founds: Sequence[Target], latest_seconds: float | None) -> bool:
    return len(founds) > 1 or founds[0].is_wildcard or latest_seconds is not None


def _key(channels: Sequence[Channel], latest_seconds: float | None) -> GroupKey:
    return frozenset(channel.name for channel in channels), latest_seconds
