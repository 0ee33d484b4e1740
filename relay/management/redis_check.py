"""What a running Redis says about itself and about the rights of our user."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import redis

from relay.broker.address import RedisAddress
from relay.broker.master import USE
from relay.broker.pairs import read_pairs
from relay.broker.sync import SyncRedis, open_sync
from relay.conf import Settings
from relay.management.redis_samples import CLUSTER_SAMPLES, SAMPLES, STREAM_SAMPLES, right_for

SECONDS = 5
OLDEST = (6, 2)
SHARDED = (7, 0), "RELAY_PUBSUB=sharded needs"


class RedisFault(Exception):
    """One line for the operator."""


class RedisAway(RedisFault):
    """A server cannot be reached."""


def require_subscription(url: str, settings: Settings) -> None:
    """Raises RedisFault unless a master answers, and each that does lets us subscribe to the channel."""
    server = open_sync(url, "relay-check")
    try:
        masters = server.masters()
    except (redis.exceptions.RedisError, redis.exceptions.RedisClusterException, OSError) as error:
        raise RedisFault(_unreachable(server.name, error)) from None
    finally:
        server.close()
    away: list[Exception] = []
    for master in masters:
        try:
            _require_subscription(master, _mode(server), settings)
        except RedisAway as fault:
            away.append(fault)
    if away and len(away) == len(masters):
        raise away[0]


def _require_subscription(address: RedisAddress, mode: str, settings: Settings) -> None:
    name, channel = address.name, settings.channel
    client = address.sync_client("relay-check")
    try:
        with client.pubsub() as pubsub:
            pubsub.subscribe(channel)
            pubsub.get_message(timeout=SECONDS)
        hello = read_hello(client)
        for line in (*_wrong_mode(hello, mode), *_too_old(hello, settings)):
            raise RedisFault(f"Redis {name} {line}")
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
        raise RedisAway(_unreachable(name, error)) from None
    finally:
        client.close()


def _unreachable(name: str, error: Exception) -> str:
    return f"Redis {name} cannot be reached: {_said(error)}. Start it, or set REDIS_URL to one that runs."


def find_faults(settings: Settings) -> Iterator[str]:
    """A line for each thing that the hub needs and this Redis does not have or give."""
    try:
        require_subscription(settings.redis_url, settings)
    except RedisFault as fault:
        yield str(fault)
        if "denied" not in str(fault):
            return
    server = open_sync(settings.redis_url, "relay-check")
    try:
        for master in server.masters():
            yield from _faults_of(master, _mode(server), settings)
    finally:
        server.close()


def _faults_of(address: RedisAddress, mode: str, settings: Settings) -> Iterator[str]:
    with address.sync_client("relay-check") as client:
        try:
            yield from (f"Redis {address.name} {line}" for line in _wrong_server(client))
            yield from (
                f"Redis {address.name} denies {line}" for line in _denied(client, mode, settings)
            )
        except (redis.exceptions.RedisError, OSError) as error:
            yield f"Redis {address.name}: {_said(error)}."


def describe(url: str) -> str:
    """The version and the role of each master. Raises RedisError or OSError."""
    server = open_sync(url, "relay-check")
    try:
        return ", ".join(_describe(address) for address in server.masters())
    finally:
        server.close()


def _describe(address: RedisAddress) -> str:
    with address.sync_client("relay-check") as client:
        hello = read_hello(client)
    return f"Redis {address.name}: version {hello['version']}, {hello['role']}"


def _mode(server: SyncRedis) -> str:
    """What each server of the deployment must say of itself."""
    return "cluster" if server.deployment == "cluster" else "standalone"


def _wrong_mode(hello: Mapping[str, str], expected: str) -> Iterator[str]:
    mode = hello["mode"]
    if mode != expected:
        yield f"{USE.get(mode, 'is in no cluster: use redis:// in REDIS_URL')}."


def _too_old(hello: Mapping[str, str], settings: Settings) -> Iterator[str]:
    version = hello["version"]
    oldest, what = (OLDEST, "the hub needs") if not settings.sharded else SHARDED
    if tuple(int(part) for part in version.split(".")[:2]) < oldest:
        yield f"has version {version}; {what} {'.'.join(map(str, oldest))} or later."


def _wrong_server(client: "redis.Redis") -> Iterator[str]:
    if read_hello(client)["role"] != "master":
        yield "is a replica: what is published on it reaches nobody else. Name its master."


def read_hello(client: "redis.Redis") -> dict[str, str]:
    """HELLO needs no right and tells what INFO does (https://redis.io/docs/latest/commands/hello)."""
    return read_pairs(client.execute_command("HELLO"))


def _denied(client: "redis.Redis", mode: str, settings: Settings) -> Iterator[str]:
    """Tries each right for what it is there for; what it writes is gone after ten seconds."""
    place = _place(client, settings.prefix)
    keys = {kind: f"{place}:{kind}" for kind in ("text", "stream", "set", "hash")}
    stored = any(spec.is_stored for spec in settings.catalogue().specs)
    samples = (*SAMPLES, *(STREAM_SAMPLES if stored else ()))
    for words in (*samples, *(CLUSTER_SAMPLES if mode == "cluster" else ())):
        sample = [w.format(**keys) if isinstance(w, str) and w[0] == "{" else w for w in words]
        yield from _try(client, f"the command {words[0]} (+{right_for(words)})", *sample)
    with suppress(redis.exceptions.RedisError):
        client.delete(*keys.values())
    publish = settings.publish_command
    yield from _try(client, f"publishing on {place} (&{settings.prefix}:*)", publish, place, "")
    yield from _denied_channels(client, settings)


def _place(client: "redis.Redis", prefix: str) -> str:
    """Returns how names begin of which this server is the master; of a cluster it has some slots."""
    place = ""
    for _ in range(1000):
        place = f"{prefix}:{{check:{secrets.token_hex(8)}}}"
        try:
            client.get(f"{place}:text")
        except (redis.exceptions.MovedError, redis.exceptions.AskError):
            continue
        except redis.exceptions.NoPermissionError:
            pass
        break
    return place


def _denied_channels(client: "redis.Redis", settings: Settings) -> Iterator[str]:
    names, catalogue = [], settings.catalogue()
    for spec in catalogue.specs:
        if spec.is_stored:
            what = f"reading the key {spec.sample} (~{spec.glob})"
            with suppress(
                redis.exceptions.MovedError
            ):  # it says so only to those who have the right
                yield from _try(client, what, "XRANGE", spec.sample, "-", "+", "COUNT", 1)
            continue
        names.append(spec.sample)
        if spec.wildcard is not None:
            what = f"subscribing to the pattern {spec.pattern} (+psubscribe &{spec.pattern})"
            yield from _try_to_subscribe(client, what, "psubscribe", spec.pattern)
    how = "ssubscribe" if settings.sharded else "subscribe"
    for command, name in (("subscribe", f"{settings.prefix}:check"), *((how, n) for n in names)):
        what = f"subscribing to {name} (+{command} &{name})"
        yield from _try_to_subscribe(client, what, command, name)


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
        except redis.exceptions.MovedError:
            pass  # another node has the slot, which says so only to those who have the right
        except redis.exceptions.NoPermissionError:
            yield f"{what}. Give the user of REDIS_URL the rights in docs/operations.md."


def _said(error: Exception) -> str:
    return str(error).rstrip(".")
