"""Receives kicks: looks for them with every call of the link, and every half minute without one."""

import asyncio
import random
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from relay import tasks
from relay.broker.backoff import Backoff
from relay.broker.commands import Commands
from relay.broker.errors import RedisUnavailable
from relay.broker.keys import HubKeys
from relay.broker.link import Link
from relay.broker.outage import Outage
from relay.control import layer
from relay.control.kick import Kick, OpenStream
from relay.control.kick_ledger import KickLedger
from relay.control.kick_notes import KickNotes
from relay.control.processes import Processes

LOOK_SECONDS = 30.0
"""How often a process looks without a call."""

BACKOFF_SECONDS = 0.05, 1.0
LEAVE_SECONDS = 0.5

FAILURES_REPORTED = 3
"""The number of refusals in a row that is reported. A restart of Redis causes one or two."""

SLICE = 256
"""Streams ended before the receiver yields to the event loop."""


class OpenStreams(Protocol):
    """The open streams of a process."""

    @property
    def streams(self) -> Iterable[OpenStream]:
        """The streams that are open."""

    def end(self, stream: Any) -> None:
        """Ends a stream. Harmless when it has ended."""


class KickReceiver:
    """Applies each kick that is noted while the process lives to its streams, once."""

    def __init__(
        self,
        streams: OpenStreams,
        commands: Commands,
        keys: HubKeys,
        link: Link,
        processes: Processes,
    ) -> None:
        self._streams = streams
        self._notes = KickNotes(commands, keys)
        self._keys = keys
        self._link = link
        self._processes = processes
        self._ledger = KickLedger(asyncio.get_running_loop().time())
        self._backoff = Backoff(*BACKOFF_SECONDS)
        self._refusals = 0
        self._outage = Outage(
            "Kicks may come late or not at all: %s. Trying again.", "Kicks are received again."
        )

    def reached(self, stream: OpenStream, asked_at: float) -> bool:
        """Whether a kick covers a new stream and came while its client was being admitted.

        `asked_at` is when the request came, in the event loop's time.
        """
        return self._ledger.reached(stream, asked_at)

    async def run(self) -> None:
        """Receives until cancelled."""
        members = []
        if layer.is_configured():
            members = [asyncio.create_task(layer.LayerMember(self._keys.group, self._link).run())]
        try:
            while True:
                await self._wait(await self._attempt())
        finally:
            with suppress(RedisUnavailable, TimeoutError):
                async with asyncio.timeout(LEAVE_SECONDS):
                    await self._processes.leave()
            await tasks.end(members)

    async def _wait(self, seconds: float) -> None:
        """Waits for a call of the link, but no longer than `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._link.called()

    async def _attempt(self) -> float:
        """Looks for kicks. Returns how long to wait for a call before the next attempt."""
        try:
            await self._look()
        except RedisUnavailable as error:
            self._failed(error)
            return self._backoff.next()
        self._works()
        return LOOK_SECONDS * random.uniform(0.8, 1.0)

    async def _look(self) -> None:
        """Raises RedisUnavailable."""
        looked = self._notes.look(self._ledger.since_ms)
        (now_ms, found), _ = await asyncio.gather(looked, self._sign())
        now = asyncio.get_running_loop().time()
        await self._apply(self._ledger.note(found, now_ms, now))

    async def _sign(self) -> None:
        """Signs. Kicks can be read even if Redis refuses this write, which presence reports."""
        with suppress(RedisUnavailable):
            await self._processes.sign()

    async def _apply(self, kicks: Sequence[Kick]) -> None:
        users = {kick.user for kick in kicks if kick.user}
        others = [kick for kick in kicks if not kick.user]
        covered = [
            stream
            for stream in (self._streams.streams if kicks else ())
            if stream.owner.user in users or any(kick.covers(stream) for kick in others)
        ]
        for number, stream in enumerate(covered, start=1):
            self._streams.end(stream)
            if number % SLICE == 0:
                await asyncio.sleep(0)

    # -- reports to the operator

    def _works(self) -> None:
        self._refusals = 0
        self._backoff.reset()
        self._outage.end(self)

    def _failed(self, error: RedisUnavailable) -> None:
        """Reports refusals only: the listener reports a lost Redis."""
        if error.refused:
            self._refusals += 1
        if self._refusals >= FAILURES_REPORTED:
            self._outage.begin(self, error)
