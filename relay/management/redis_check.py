"""What a running Redis says about itself and about the rights of our user."""

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import redis

from relay.broker.address import RedisAddress
from relay.conf import Settings

SECONDS = 5
OLDEST = (6, 2)
SCRIPT = "return 1"

SAMPLES: tuple[tuple[str | int, ...], ...] = (
    ("PING",),
    ("TIME",),
    ("EVAL", SCRIPT, 0),
    ("EVALSHA", hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest(), 0),
    ("SET", "{text}", 1, "EX", 10),
    ("GET", "{text}"),
    ("EXPIRE", "{text}", 10),
    ("PEXPIRE", "{text}", 10_000),
    ("XADD", "{stream}", "1-1", "f", "v"),
    ("XLEN", "{stream}"),
    ("PUBSUB", "NUMSUB", "{text}"),
    ("XRANGE", "{stream}", "-", "+"),
    ("XREVRANGE", "{stream}", "+", "-"),
    ("XDEL", "{stream}", "1-1"),
    ("ZADD", "{set}", 1, "m"),
    ("ZCOUNT", "{set}", 0, 1),
    ("ZRANGE", "{set}", 0, 1),
    ("ZRANGEBYSCORE", "{set}", 0, 1),
    ("ZREMRANGEBYSCORE", "{set}", 5, 6),
    ("ZREM", "{set}", "m"),
    ("HSET", "{hash}", "f", 1),
    ("HSETNX", "{hash}", "f", 1),
    ("HGET", "{hash}", "f"),
    ("HKEYS", "{hash}"),
    ("HDEL", "{hash}", "f"),
    ("DEL", "{text}", "{stream}", "{set}", "{hash}"),
)
"""Every command that the hub sends, its scripts included, on keys that exist for the check alone."""


class RedisFault(Exception):
    """One line for the operator."""


def require_subscription(url: str, channel: str) -> None:
    """Raises RedisFault unless Redis answers and lets us subscribe to the channel."""
    address = RedisAddress(url)
    name, client = address.name, address.sync_client("relay-check")
    try:
        with client.pubsub() as pubsub:
            pubsub.subscribe(channel)
            pubsub.get_message(timeout=SECONDS)
    except redis.exceptions.AuthenticationError as error:
        raise RedisFault(
            f"Redis {name} refused the user or password: {_said(error)}. Check REDIS_URL."
        ) from None
    except redis.exceptions.NoPermissionError as error:
        raise RedisFault(
            f"Redis {name} denied the subscription: {_said(error)}. Give the user of REDIS_URL the"
            f" rights in docs/operations.md, &{channel} among them."
        ) from None
    except (redis.exceptions.RedisError, OSError) as error:
        raise RedisFault(
            f"Redis {name} cannot be reached: {_said(error)}. Start it, or set REDIS_URL to one that"
            " runs."
        ) from None
    finally:
        client.close()


def find_faults(settings: Settings) -> Iterator[str]:
    """A line for each thing that the hub needs and this Redis does not have or give."""
    url = settings.redis_url
    name = RedisAddress(url).name
    try:
        require_subscription(url, settings.channel)
    except RedisFault as fault:
        yield str(fault)
        if "denied" not in str(fault):
            return
    client = RedisAddress(url).sync_client("relay-check")
    with client:
        try:
            yield from (f"Redis {name} {line}" for line in _wrong_server(client))
            yield from (f"Redis {name} denies {line}" for line in _denied(client, settings))
        except (redis.exceptions.RedisError, OSError) as error:
            yield f"Redis {name}: {_said(error)}."


def describe(url: str) -> str:
    """The version and the role. Raises RedisError or OSError."""
    with RedisAddress(url).sync_client("relay-check") as client:
        hello = read_hello(client)
    return f"Redis {RedisAddress(url).name}: version {hello['version']}, {hello['role']}"


def _wrong_server(client: "redis.Redis") -> Iterator[str]:
    hello = read_hello(client)
    version = str(hello["version"])
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        yield f"has version {version}; the hub needs 6.2 or later."
    if hello["mode"] == "sentinel":
        yield "is a Sentinel. REDIS_URL must name the master that it watches."
    elif hello["mode"] == "cluster":
        yield "is a node of a cluster. REDIS_URL must name one server, or a master with replicas."
    elif hello["role"] != "master":
        yield "is a replica: what is published on it reaches nobody else. Name its master."


def read_hello(client: "redis.Redis") -> dict[str, str]:
    """HELLO needs no right and tells what INFO does (https://redis.io/docs/latest/commands/hello)."""
    answer = client.execute_command("HELLO")
    if not isinstance(answer, dict):
        answer = dict(zip(answer[::2], answer[1::2], strict=True))
    return {_text(key): _text(value) for key, value in answer.items()}


def _denied(client: "redis.Redis", settings: Settings) -> Iterator[str]:
    """Tries each right for what it is there for; what it writes is gone after ten seconds."""
    place = f"{settings.prefix}:check:{secrets.token_hex(8)}"
    keys = {kind: f"{place}:{kind}" for kind in ("text", "stream", "set", "hash")}
    for words in SAMPLES:
        sample = [w.format(**keys) if isinstance(w, str) and w[0] == "{" else w for w in words]
        yield from _try(client, f"the command {words[0]} (+{str(words[0]).lower()})", *sample)
    with suppress(redis.exceptions.RedisError):
        client.delete(*keys.values())
    yield from _try(client, f"publishing on {place} (&{settings.prefix}:*)", "PUBLISH", place, "")
    yield from _denied_channels(client, settings)


def _denied_channels(client: "redis.Redis", settings: Settings) -> Iterator[str]:
    names = [f"{settings.prefix}:check"]
    catalogue = settings.catalogue()
    for spec in catalogue.specs:
        names.append(spec.sample)
        if spec.wildcard is not None:
            what = f"subscribing to the pattern {spec.pattern} (+psubscribe &{spec.pattern})"
            yield from _try_to_subscribe(client, what, "psubscribe", spec.pattern)
    for name in names:
        what = f"subscribing to {name} (+subscribe &{name})"
        yield from _try_to_subscribe(client, what, "subscribe", name)


def _try(client: "redis.Redis", what: str, *words: Any) -> Iterator[str]:
    try:
        client.execute_command(*words)
    except redis.exceptions.NoPermissionError:
        yield f"{what}. Give the user of REDIS_URL the rights in docs/operations.md."
    except redis.exceptions.ResponseError as error:
        if "NOPERM" not in str(error) and "permission" not in str(error).lower():
            raise


def _try_to_subscribe(client: "redis.Redis", what: str, how: str, name: str) -> Iterator[str]:
    with client.pubsub() as pubsub:
        try:
            getattr(pubsub, how)(name)
            pubsub.get_message(timeout=SECONDS)
        except redis.exceptions.NoPermissionError:
            yield f"{what}. Give the user of REDIS_URL the rights in docs/operations.md."


def _said(error: Exception) -> str:
    return str(error).rstrip(".")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
