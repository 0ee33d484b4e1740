"""Reports to operators, while somebody watches. Otherwise this waits, and costs nothing.

A process that has a stream of the operator's page renews the watch on the control channel of all hub
processes. Each process that hears of a watch reports once a second on the operator's channel. Nothing of
this is kept in Redis. When the renewals stop, so do the reports.
"""

import asyncio
import logging

from relay import tasks
from relay.access.operators import still_operates
from relay.broker.errors import RedisUnavailable
from relay.broker.keys import HubKeys
from relay.broker.outage import Outage
from relay.control.watch import RENEW_SECONDS, Watch, Watches
from relay.engine.hub import Hub
from relay.operator.channels import ChannelTable
from relay.operator.figures import figures_of, process_of, redis_of, take_sample
from relay.operator.records import RecentRecords
from relay.operator.report import encode
from relay.operator.streams import StreamTable

logger = logging.getLogger("relay")

REPORT_SECONDS = 1.0

SOON_SECONDS = 0.25
"""The pause before a report that has a text to look for."""

RIGHTS_SECONDS = 5.0
"""How often the right of those who watch is looked up."""


async def report_to_operators(hub: Hub) -> None:
    """Reports until cancelled."""
    records = RecentRecords()
    log = logging.getLogger("relay")
    log.addHandler(records)
    try:
        await Reports(hub, records).run()
    finally:
        log.removeHandler(records)


class Reports:
    """`run` it beside a hub."""

    def __init__(self, hub: Hub, records: RecentRecords) -> None:
        self._hub = hub
        self._records = records
        self._channel = hub.catalogue.operators.name
        self._control = HubKeys(hub.settings.prefix).control
        self._time = asyncio.get_running_loop().time
        self._watches = Watches()
        self._outage = Outage(
            "The operator's page gets no reports of this process: %s.",
            "The operator's page gets reports again.",
        )

    async def run(self) -> None:
        """Reports while somebody watches, until cancelled. A bug in it must not take the process out."""
        while True:
            while self._is_watched():
                rights = asyncio.create_task(_check_rights(self._hub))
                try:
                    await self._while_watched(rights)
                except Exception:
                    logger.exception("A report to operators failed; this is a bug.")
                    await asyncio.sleep(REPORT_SECONDS)
                finally:
                    await tasks.end([rights])
            self._watches.hear(await self._hub.context.link.heard(None), self._time())

    async def _while_watched(self, rights: asyncio.Task[None]) -> None:
        channels, streams = ChannelTable(), StreamTable(self._hub.settings)
        before = take_sample(self._hub, self._time())
        renewed_at = 0.0
        while self._is_watched():
            if rights.done():
                rights.result()  # raises
            now = self._time()
            if self._is_watched_here() and now - renewed_at >= RENEW_SECONDS:
                await self._send("PUBLISH", self._control, Watch().encode())
                renewed_at = now
            sample = take_sample(self._hub, self._time())
            rates = sample.since(before)
            before = sample
            report = await self._report(channels, streams)
            await self._send(
                self._hub.settings.publish_command,
                self._channel,
                encode({**report, "rates": rates}),
            )
            await self._pause(now + REPORT_SECONDS)

    def _is_watched(self) -> bool:
        """Whether to report: also while Redis does not answer, so that the page goes on when it does."""
        return self._is_watched_here() or self._watches.watched(self._time())

    def _is_watched_here(self) -> bool:
        """Whether this process has a stream of the operator's page."""
        channels = self._hub.channels
        return self._channel in channels.names and len(channels[self._channel]) > 0

    async def _pause(self, due: float) -> None:
        """Waits until the next report is due: sooner if a new text is to be looked for."""
        while (left := due - self._time()) > 0:
            if self._watches.hear(await self._hub.context.link.heard(left), self._time()):
                due = min(due, self._time() + SOON_SECONDS)

    async def _report(
        self, channel_table: ChannelTable, stream_table: StreamTable
    ) -> dict[str, object]:
        hub, now_ms = self._hub, self._hub.context.clock.now_ms()
        channels = await channel_table.take(list(hub.channels), self._time())
        texts = self._watches.texts(self._time())
        streams = await stream_table.take(list(hub.streams), texts, self._time())
        return {
            "at": now_ms,
            "process": process_of(hub),
            "figures": figures_of(hub, channels),
            "redis": redis_of(hub),
            "channels": channels.rows,
            "streams": streams.top,
            "found": streams.found,
            "gaps": hub.last_hour.minutes(now_ms),
            "errors": self._records.lines(now_ms),
        }

    async def _send(self, *words: str | bytes) -> None:
        try:
            await self._hub.context.broker.commands.run(*words)
        except RedisUnavailable as error:
            if error.refused:  # the listener reports a lost Redis
                self._outage.begin(self, error)
        else:
            self._outage.end(self)


async def _check_rights(hub: Hub) -> None:
    """Ends the streams of operators whose right was withdrawn, until cancelled."""
    names = (hub.catalogue.operators.name,)
    while True:
        await asyncio.sleep(RIGHTS_SECONDS)
        theirs = [stream for stream in hub.streams if stream.names == names and stream.owner.user]
        for user in {stream.owner.user for stream in theirs}:
            if not await _may_stay(user):
                for stream in [each for each in theirs if each.owner.user == user]:
                    hub.end(stream)


async def _may_stay(user: str) -> bool:
    """Whether the user has the right, or the database does not answer: then a later look decides."""
    try:
        return await still_operates(user)
    except Exception:
        return True
