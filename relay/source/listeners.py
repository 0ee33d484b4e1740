"""Has each channel listened to at the server that is its master, also when that becomes another one."""

import asyncio
import logging
from collections.abc import Iterable, Sequence

from relay import tasks
from relay.broker.errors import RedisUnavailable
from relay.broker.keys import HubKeys
from relay.broker.master import Master
from relay.broker.outage import Outage
from relay.feed.context import Context
from relay.source.entered import Channel
from relay.source.listener import Listener

logger = logging.getLogger("relay")

LOOK_SECONDS = 1.0
"""How often it asks which servers are the masters: one that is replaced as planned closes nothing."""

LOST_LOOK_SECONDS = 0.1
"""The same while a master is lost, or about to be replaced."""

FIXED_SECONDS = 3600.0
"""The same where there is one server, of which nobody has to be asked."""

MOVE_SECONDS = 0.02
"""How often it looks whether a channel that moves counts at its new master."""


class Listeners:
    """One listener for each master that has a channel of this process.

    The master of the keys of all hub processes has one in any case: kicks come from there. A channel
    moves when another server has become its master. The new listener enters the channel
    first. The old one is left when the messages of the new one count.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._topology = context.broker.topology
        self._control_key = HubKeys(context.settings.prefix).processes
        self._listeners: dict[Master, Listener] = {}
        self._running: dict[Listener, asyncio.Task[None]] = {}
        self._holders: dict[Channel, list[Listener]] = {}
        """The listeners of each channel; the last is the one that is to have it."""
        self._outage = Outage(
            "Redis %s: %s. Trying again.", "Redis %s: its masters are known again."
        )
        self._orphans = Outage(
            "Redis %s: no master has the slots of %s channels (such as %s). Their streams wait.",
            "Redis %s: each channel has a master again.",
        )

    @property
    def masters(self) -> Sequence[tuple[str, bool]]:
        """The name of each master that has a listener, and whether its connection is live."""
        return [(master.name, each.live) for master, each in self._listeners.items()]

    def add(self, channel: Channel) -> None:
        """Begins delivery of the channel as soon as possible."""
        self._holders[channel] = []
        self._place([channel])

    def remove(self, channel: Channel) -> None:
        """Ends delivery of the channel."""
        for listener in self._holders.pop(channel, []):
            listener.remove(channel)

    async def run(self) -> None:
        """Listens until cancelled."""
        try:
            while True:
                await self._look()
                if not self._topology.fixed:
                    self._report_orphans(self._place(self._holders))
                if (control := self._topology.master(self._control_key)) is not None:
                    self._listener(control)
                self._close_unused()
                await self._wait()
        except (Exception, asyncio.CancelledError):
            await tasks.end(self._running.values())
            self._running.clear()
            self._context.link.forget(self)
            raise

    # -- which server is the master

    async def _look(self) -> None:
        try:
            await self._topology.look()
        except RedisUnavailable as error:
            self._outage.begin(self, self._topology.name, error)
            if not self._listeners:
                self._context.link.lost(self)
            return
        self._outage.end(self, self._topology.name)
        self._context.link.forget(self)

    async def _wait(self) -> None:
        """Returns when it is time to look again. Raises what a listener has raised, which is a bug."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._pause()
        for listener in self._listeners.values():
            if listener not in self._running:
                self._running[listener] = asyncio.create_task(listener.run())
        doubt = asyncio.create_task(self._context.link.doubted())
        try:
            while not doubt.done() and (left := until - loop.time()) > 0:
                moving = self._finish_moves()
                done, _ = await asyncio.wait(
                    [doubt, *self._running.values()],
                    timeout=min(left, MOVE_SECONDS) if moving else left,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in done - {doubt}:
                    task.result()
        finally:
            doubt.cancel()

    def _pause(self) -> float:
        if self._topology.fixed:
            return FIXED_SECONDS
        lost = not self._listeners or any(each.unsettled for each in self._listeners.values())
        return LOST_LOOK_SECONDS if lost or not self._topology.settled else LOOK_SECONDS

    # -- channels and their listeners

    def _place(self, channels: Iterable[Channel]) -> Sequence[Channel]:
        """Gives each channel to the listener of its master. Harmless where it has it already.

        Returns those without a master.
        """
        moved: dict[Listener, int] = {}
        orphans = []
        for channel in list(channels):
            master = self._topology.master(channel.key)
            if master is None:
                orphans.append(channel)
                continue
            listener, holders = self._listener(master), self._holders[channel]
            if holders and holders[-1] is listener:
                listener.renew(channel)
                continue
            if holders:
                moved[listener] = moved.get(listener, 0) + 1
            if listener in holders:  # it is the master again
                holders.remove(listener)
                listener.renew(channel)
            else:
                listener.add(channel)
            holders.append(listener)
        for listener, number in moved.items():
            name = listener.master.name
            self._context.stats.redis_moves += 1
            logger.info("Redis %s: is the master now; %s channels move there.", name, number)
        return orphans

    def _report_orphans(self, orphans: Sequence[Channel]) -> None:
        name = self._topology.name
        if orphans:
            self._orphans.begin(self, name, len(orphans), orphans[0].feed.channel)
        else:
            self._orphans.end(self, name)

    def _finish_moves(self) -> bool:
        """Leaves the old masters of channels that count at the new one. Returns whether others move."""
        moving = [channel for channel, holders in self._holders.items() if len(holders) > 1]
        still = False
        for channel in moving:
            holders = self._holders[channel]
            if holders[-1].counts(channel):
                for listener in holders[:-1]:
                    listener.remove(channel)
                del holders[:-1]
            else:
                still = True
        return still

    def _listener(self, master: Master) -> Listener:
        listener = self._listeners.get(master)
        if listener is None:
            listener = self._listeners[master] = Listener(self._context, master)
            self._context.link.doubt()  # so that it is started
        return listener

    def _close_unused(self) -> None:
        """Ends the listeners of masters that have nothing for this process."""
        control = self._topology.master(self._control_key)
        for master, listener in list(self._listeners.items()):
            if not listener.channels and master is not control:
                del self._listeners[master]
                if (task := self._running.pop(listener, None)) is not None:
                    tasks.cancel(task)
