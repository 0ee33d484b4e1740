"""Kicks: ends open streams from outside, on every hub process within a second.

A kick is noted in Redis; a message only says "look". It goes over the control channel, to which every
hub process is subscribed beside its channels, and over the channel layer where the site has one. A
message that is lost therefore delays a kick and loses none: each process looks with every message, when
it has connected again, and every 30 s (kick_receiver.py).
"""

import logging

from asgiref.sync import async_to_sync

from relay import conf
from relay.broker.address import name_of
from relay.broker.broker import Broker
from relay.broker.errors import RedisUnavailable
from relay.broker.keys import HubKeys
from relay.control import layer
from relay.control.kick import Kick
from relay.control.kick_notes import KickNotes, note
from relay.control.kick_receiver import LOOK_SECONDS

logger = logging.getLogger("relay")


def kick(
    *,
    user: str | None = None,
    channel: str | None = None,
    all: bool = False,
    stream: str | None = None,
) -> int:
    """Ends the streams of one user, of one channel, all, or one; returns how many hub processes there are.

    Raises ValueError unless exactly one is given, `relay.RedisError` when Redis does not take the kick;
    then nobody was kicked.
    """
    return send(Kick.of(user, channel, all, stream))


def kick_at_sign_out(user: str) -> int:
    """Ends the streams of a user whose session ends now, or up to some seconds later."""
    return send(Kick(user, by_sign_out=True))


def send(kick: Kick) -> int:
    """Sends a kick without an event loop: a greenlet (gevent) has none, and a hung layer delays none.

    The channel layer is used only where Redis denies the control channel. Raises like `kick`.
    """
    settings = conf.load()
    keys = HubKeys(settings.prefix)
    try:
        processes, refusal = note(settings.redis_url, keys, kick)
    except RedisUnavailable as error:
        raise _not_kicked(settings.redis_url, error) from None
    if refusal:
        try:
            async_to_sync(_tell_by_layer)(keys.group, refusal)
        except (
            RuntimeError
        ) as error:  # a greenlet whose thread runs an event loop; the kick is noted
            _report_delay(error)
    return processes


async def akick(
    *,
    user: str | None = None,
    channel: str | None = None,
    all: bool = False,
    stream: str | None = None,
) -> int:
    """The same as `kick`, for asynchronous code."""
    return await asend(Kick.of(user, channel, all, stream))


async def asend(kick: Kick) -> int:
    """Does what `send` does, on an event loop."""
    settings = conf.load()
    keys, broker = HubKeys(settings.prefix), Broker(settings.redis_url)
    try:
        processes, refusal = await KickNotes(broker.commands, keys).note(kick)
    except RedisUnavailable as error:
        raise _not_kicked(settings.redis_url, error) from None
    finally:
        await broker.aclose()
    await _tell_by_layer(keys.group, refusal)
    return processes


def _not_kicked(url: str, error: RedisUnavailable) -> RedisUnavailable:
    text = f"Redis {name_of(url)}: {str(error).rstrip('.')}. Nobody was kicked."
    return RedisUnavailable(text, refused=error.refused)


async def _tell_by_layer(group: str, refusal: str) -> None:
    """`refusal` is why the control channel did not take the message, or empty."""
    if layer.is_configured():
        try:
            await layer.send(group)
            return
        except Exception as error:  # whatever it is, the kick is noted
            logger.warning("A kick did not go over the channel layer: %s", layer.reason(error))
    if refusal:
        _report_delay(refusal)


def _report_delay(reason: object) -> None:
    logger.warning("A kick may take up to %s s: %s", LOOK_SECONDS, reason)
