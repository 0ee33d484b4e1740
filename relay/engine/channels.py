"""The channels and groups of this process: opened on first use, left when unused."""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

from relay import tasks
from relay.conf.catalogue import Target
from relay.engine.channel import Channel
from relay.engine.delivery import Delivery
from relay.engine.group import Group
from relay.engine.heartbeats import Heartbeats
from relay.engine.newcomers import Newcomers
from relay.engine.pubsub_channel import PubSubChannel
from relay.engine.stored_channel import StoredChannel
from relay.engine.stream import Admission, Full, Refusal
from relay.engine.supervisor import Supervisor
from relay.feed.context import Context
from relay.feed.ring import Ring
from relay.history.outage import history_outage
from relay.source.listeners import Listeners
from relay.source.trackers import Trackers

LATEST_EVENTS = 16
"""The number of events in the ring of a conflated group, for each of its channels."""

GroupKey = tuple[frozenset[str], float | None]


class Sources(NamedTuple):
    """Where the messages of each kind of channel come from."""

    listeners: Listeners
    trackers: Trackers


class Channels:
    """All channels and groups of the process. Iterates over both."""

    def __init__(self, context: Context, sources: Sources, supervisor: Supervisor) -> None:
        self._context = context
        self._sources = sources
        self._supervisor = supervisor
        self.catalogue = context.settings.catalogue()
        self._withholds = lru_cache(maxsize=4096)(self.catalogue.withholds)
        self._outage = history_outage()
        self._channels: dict[str, Channel] = {}
        self._groups: dict[GroupKey, Group] = {}
        self._journals: dict[Channel, asyncio.Task[None]] = {}
        self._grouped: Counter[Channel] = Counter()
        """The number of groups that each channel belongs to."""
        self._newcomers = Newcomers(context.settings, context.clock)
        self.heartbeats = Heartbeats(context.settings.heartbeat_seconds, context.clock)
        self._unused: dict[Channel, float] = {}
        """The loop time since which each unused channel is unused, the longest unused first."""

    def __iter__(self) -> Iterator[Delivery]:
        return iter([*self._channels.values(), *self._groups.values()])

    @property
    def names(self) -> Collection[str]:
        """The names of the channels and patterns of the process."""
        return self._channels.keys()

    def __getitem__(self, name: str) -> Channel:
        return self._channels[name]

    def start(self) -> None:
        """Opens the channels that are always subscribed to."""
        for target in self.catalogue.always:
            self._channel(target)

    def check_room(self, admission: Admission) -> None:
        """Raises Full unless the channels are open or can be opened. Leaves unused ones to make room.

        Counts the new ones whose names the client chose.
        """
        first, *others = admission.targets
        if not others and first.name in self._channels and not _is_group(admission):
            return
        names = frozenset(target.name for target in admission.targets)
        needed = sum(name not in self._channels for name in names)
        if _is_group(admission) and (names, admission.latest_seconds) not in self._groups:
            needed += 1
        if needed and not self._make_room(needed, names):
            raise Full("All channels are taken.", Refusal.CHANNELS)
        chosen = [
            t for t in admission.targets if t.spec.is_pattern and t.name not in self._channels
        ]
        self._newcomers.take(admission.owner.address, len(chosen))

    def open(self, admission: Admission) -> Delivery:
        """Returns the channel or group of an admission. Opens it on first use."""
        channels = [self._channel(target) for target in admission.targets]
        if _is_group(admission):
            return self._group(channels, admission.latest_seconds)
        return channels[0]

    def release(self, delivery: Delivery) -> None:
        """Called after a stream has left. Closes a group that has no streams any more."""
        if len(delivery):
            return
        if isinstance(delivery, Channel):
            self._note_unused([delivery])
        elif isinstance(delivery, Group) and self._groups.get(delivery.key) is delivery:
            self._drop(delivery)

    def leave_unused(self) -> None:
        """Unsubscribes from channels that were unused for RELAY_CHANNEL_IDLE_SECONDS."""
        limit = self._context.clock.time() - self._context.settings.channel_idle_seconds
        for channel in [c for c, unused_since in self._unused.items() if unused_since <= limit]:
            self._leave(channel)

    async def flush(self) -> None:
        """Writes what the histories lack."""
        await asyncio.gather(*(channel.flush() for channel in self._channels.values()))

    def _channel(self, target: Target) -> Channel:
        channel = self._channels.get(target.name)
        if channel is None:
            channel = self._channels[target.name] = self._opened(target)
            self.heartbeats.add(channel)
        self._unused.pop(channel, None)
        return channel

    def _opened(self, target: Target) -> Channel:
        if target.spec.is_stored:
            stored = StoredChannel(target, self._context)
            self._sources.trackers.add(stored)
            return stored
        channel = PubSubChannel(target, self._context, self._outage)
        name = f"journal of {target.name}"
        self._journals[channel] = self._supervisor.start(channel.run, name)
        self._sources.listeners.add(channel)
        return channel

    def _group(self, channels: Sequence[Channel], latest_seconds: float | None) -> Group:
        key = frozenset(channel.name for channel in channels), latest_seconds
        group = self._groups.get(key)
        if group is None:
            ring = self._group_ring(len(channels), latest_seconds)
            group = Group(channels, ring, self._context, self._withholds, latest_seconds)
            self._groups[key] = group
            self.heartbeats.add(group)
            self._grouped.update(channels)
        return group

    def _group_ring(self, channels: int, latest_seconds: float | None) -> Ring:
        """Clients choose how many groups there are, so each new one gets a smaller ring."""
        settings = self._context.settings
        events = LATEST_EVENTS * channels if latest_seconds else settings.ring_events
        share = 2 * settings.ring_bytes // (len(self._groups) + 1)
        return Ring(events, min(share, settings.ring_bytes))

    def _make_room(self, needed: int, asked: frozenset[str]) -> bool:
        limit = self._context.settings.max_channels
        missing = needed - (limit - len(self._channels) - len(self._groups))
        unused = [channel for channel in self._unused if channel.name not in asked]
        for channel in unused[: max(missing, 0)]:
            self._leave(channel)
        return missing <= len(unused)

    def _drop(self, group: Group) -> None:
        del self._groups[group.key]
        self.heartbeats.remove(group)
        group.close()
        for channel in group.channels:
            self._grouped[channel] -= 1
            if not self._grouped[channel]:
                del self._grouped[channel]
        self._note_unused(group.channels)

    def _note_unused(self, channels: Iterable[Channel]) -> None:
        for channel in channels:
            if not len(channel) and not self._grouped[channel] and not channel.spec.always:
                self._unused[channel] = self._context.clock.time()

    def _leave(self, channel: Channel) -> None:
        del self._channels[channel.name]
        del self._unused[channel]
        self.heartbeats.remove(channel)
        if isinstance(channel, StoredChannel):
            self._sources.trackers.remove(channel)
        elif isinstance(channel, PubSubChannel):
            self._sources.listeners.remove(channel)
        self._supervisor.start(partial(self._end, channel), f"end of {channel.name}")

    async def _end(self, channel: Channel) -> None:
        await channel.end()
        journal = self._journals.pop(channel, None)
        if journal:
            await tasks.end([journal])


def _is_group(admission: Admission) -> bool:
    targets = admission.targets
    return len(targets) > 1 or targets[0].is_wildcard or admission.latest_seconds is not None
