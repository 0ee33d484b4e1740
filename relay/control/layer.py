"""The channel layer (CHANNEL_LAYERS): the second route by which hub processes are notified of kicks.

It is used if the site has one that reaches other processes.

Where this diverges from how consumers use channels_redis, and why:

* One task of the process receives, and not each stream. So streams cost the layer nothing, and its
  errors cannot reach them.
* That task has a layer of its own. A layer lets only one event loop receive, and only pools that
  nobody else uses may be closed. The sender of a kick uses the shared one: each layer wraps
  `loop.close` for good, so one for every kick would be a leak.
* `brpop_timeout` is shortened. It is 5 s, which is also redis-py's socket timeout, so every 5 s
  without a message might end in an error.
* The membership of the group is renewed every RENEW_SECONDS: Redis forgets it with a restart, and the
  layer after `group_expiry`.
* Waits are tasks that are cancelled until they end (`_within`), not `asyncio.timeout`: redis-py sends
  with `asyncio.wait_for`, which before Python 3.12 may swallow a cancellation
  (https://bugs.python.org/issue42130). Then neither the wait nor the process would end.
"""

import asyncio
import random
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from channels import DEFAULT_CHANNEL_LAYER
from channels.layers import channel_layers

from relay import tasks
from relay.broker.backoff import Backoff
from relay.broker.link import Link
from relay.broker.outage import Outage

IN_MEMORY = "channels.layers.InMemoryChannelLayer"
"""The channel layer for tests, which reaches no other process."""

ANSWER_SECONDS = 2.0
LEAVE_SECONDS = 0.5
POP_SECONDS = 2
RENEW_SECONDS = 30.0
AWAY_SECONDS = 30.0
"""The longest wait for the hub's own link, without which the layer is not tried: Redis is away."""

SEND_ATTEMPTS = 3
BACKOFF_SECONDS = 0.05, 1.0

FAILURES_REPORTED = 3
"""The number of failures in a row that is reported. A restart of Redis causes one or two."""


def is_configured() -> bool:
    """Whether the site has a channel layer that reaches other processes."""
    config = channel_layers.configs.get(DEFAULT_CHANNEL_LAYER)
    return bool(config) and config.get("BACKEND") != IN_MEMORY


async def send(group: str) -> None:
    """Notifies the members of the group. Raises any error of the layer, or TimeoutError."""
    if not await _within(ANSWER_SECONDS, _send(group, {"type": "relay.look"})):
        raise TimeoutError("no answer")


async def _send(group: str, message: dict[str, str]) -> None:
    """Sends, with retries: after a restart of Redis each connection of the pool fails once."""
    layer = channel_layers[DEFAULT_CHANNEL_LAYER]
    for _ in range(SEND_ATTEMPTS - 1):
        with suppress(Exception):
            await layer.group_send(group, message)
            return
    await layer.group_send(group, message)


def reason(error: Exception) -> str:
    return str(error) or type(error).__name__


class LayerMember:
    """This process as a member of the group: each message to the group calls the link."""

    def __init__(self, group: str, link: Link) -> None:
        self._group = group
        self._link = link
        self._layer: Any = None
        self._channel = ""
        self._failures = 0
        self._backoff = Backoff(*BACKOFF_SECONDS)
        self._outage = Outage(
            "The channel layer fails: %s. Kicks come over Redis alone; trying again.",
            "The channel layer works again.",
        )

    async def run(self) -> None:
        """Receives until cancelled."""
        try:
            await _within(None, self._listen_always())
        finally:
            with suppress(Exception):  # a membership that stays behind in Redis expires
                await _within(LEAVE_SECONDS, self._leave())

    async def _listen_always(self) -> None:
        """Receives; reconnects after any error of the layer."""
        while True:
            try:
                await self._listen()
            except Exception as error:
                self._failed(error)
                await _within(AWAY_SECONDS, self._link.connected())
                await asyncio.sleep(self._backoff.next())

    async def _listen(self) -> None:
        """Calls the link now and with every message, until the membership is due for renewal."""
        loop = asyncio.get_running_loop()
        try:
            if not await _within(ANSWER_SECONDS, self._join()):
                raise TimeoutError("no answer")
            self._works()
            self._link.call()  # a message may have come before the membership
            renew_at = loop.time() + RENEW_SECONDS * random.uniform(0.8, 1.0)
            while await _within(renew_at - loop.time(), self._layer.receive(self._channel)):
                self._link.call()
        finally:
            await self._close()

    async def _join(self) -> None:
        if self._layer is None:
            self._layer = channel_layers.make_backend(DEFAULT_CHANNEL_LAYER)
            if hasattr(self._layer, "brpop_timeout"):
                self._layer.brpop_timeout = POP_SECONDS
            self._channel = await self._layer.new_channel()
        await self._layer.group_add(self._group, self._channel)

    def _works(self) -> None:
        self._failures = 0
        self._backoff.reset()
        self._outage.end(self)

    def _failed(self, error: Exception) -> None:
        """Calls the link, in case a message was lost. The listener reports a lost Redis."""
        self._link.call()
        if self._link.live:
            self._failures += 1
        if self._failures >= FAILURES_REPORTED:
            self._outage.begin(self, reason(error))

    async def _leave(self) -> None:
        try:
            if self._channel:
                await self._layer.group_discard(self._group, self._channel)
        finally:
            await self._close()

    async def _close(self) -> None:
        """Closes all connections and tasks of the layer, which reconnects on its next use."""
        for cleaner in getattr(self._layer, "receive_cleaners", ()):
            cleaner.cancel()
        if hasattr(self._layer, "close_pools"):
            await self._layer.close_pools()


async def _within(seconds: float | None, work: Coroutine[Any, Any, object]) -> bool:
    """Awaits the work. Returns False, and cancels it, when it takes longer than `seconds`."""
    task = asyncio.create_task(work)
    task.add_done_callback(lambda task: task.cancelled() or task.exception())
    try:
        await asyncio.wait([task], timeout=seconds)
        in_time = task.done()
    finally:
        await tasks.end([task])
    if in_time:
        task.result()
    return in_time
