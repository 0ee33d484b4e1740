"""REDIS_URL: one server, or the servers of a deployment with Sentinel or of a Redis Cluster.

    redis://, rediss://, unix://    one server, as redis-py reads it
    redis+sentinel://[user:password@]host[:26379][,host…]/service[/db][?options]
    redis+cluster://[user:password@]host[:6379][,host…][/0][?options]

`rediss+sentinel://` and `rediss+cluster://` are the same over TLS. The user and the password are those of
the data; the sentinels have options of their own, `sentinel_username` and `sentinel_password`. All other
options are those of redis-py.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlencode

SENTINEL_PORT = 26379
CLUSTER_PORT = 6379

SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")


class UnusableOption(ValueError):
    """A part of REDIS_URL that redis-py might accept and the hub cannot work with."""


@dataclass(frozen=True, slots=True)
class ServerUrls:
    """What the URLs of all servers of a deployment have in common."""

    scheme: str
    credentials: str = field(repr=False)
    """Percent-encoded, with its @; or empty."""
    tail: str = field(default="", repr=False)
    """The number of the database and the options."""

    def of(self, host: str, port: int) -> str:
        """Returns the URL of one server, as redis-py reads it."""
        name = f"[{host}]" if ":" in host else host
        return f"{self.scheme}://{self.credentials}{name}:{port}{self.tail}"


@dataclass(frozen=True, slots=True)
class ServerUrl:
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    hosts: tuple[tuple[str, int], ...]
    """The sentinels."""
    service: str
    sentinels: ServerUrls
    masters: ServerUrls

    @property
    def name(self) -> str:
        """For the log; holds no password."""
        return f"{self.service} ({_listed(self.hosts)})"


@dataclass(frozen=True, slots=True)
class ClusterUrl:
    hosts: tuple[tuple[str, int], ...]
    """Nodes that know the others."""
    nodes: ServerUrls

    @property
    def name(self) -> str:
        """For the log; holds no password."""
        return f"cluster ({_listed(self.hosts)})"


def _listed(hosts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{host}:{port}" for host, port in hosts)


def parse(url: str) -> ServerUrl | SentinelUrl | ClusterUrl:
    """Raises UnusableOption for a URL of several servers that is not complete."""
    scheme, _, rest = url.partition("://")
    transport, _, kind = scheme.lower().partition("+")
    if kind not in {"sentinel", "cluster"} or transport not in {"redis", "rediss"}:
        return ServerUrl(url)
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    credentials, at, hosts = authority.rpartition("@")
    words = [word for word in path.split("/") if word]
    options = parse_qsl(query, keep_blank_values=True)
    if kind == "sentinel":
        return _sentinel(transport, hosts, words, credentials + at, options)
    return _cluster(transport, hosts, words, credentials + at, options)


def _sentinel(
    transport: str,
    hosts: str,
    words: list[str],
    credentials: str,
    options: list[tuple[str, str]],
) -> SentinelUrl:
    if not words:
        raise UnusableOption("the name of the service is missing: redis+sentinel://host/service")
    service, *database = words
    own = {key: value for key, value in options if key in SENTINEL_OPTIONS}
    rest = [(key, value) for key, value in options if key not in SENTINEL_OPTIONS]
    user, password = (quote(own.get(key, ""), safe="") for key in SENTINEL_OPTIONS)
    sign_in = f"{user}:{password}@" if user or password else ""
    return SentinelUrl(
        _hosts(hosts, SENTINEL_PORT),
        service,
        ServerUrls(transport, sign_in, _tail("", rest)),
        ServerUrls(transport, credentials, _tail(_database(database), rest)),
    )


def _cluster(
    transport: str,
    hosts: str,
    words: list[str],
    credentials: str,
    options: list[tuple[str, str]],
) -> ClusterUrl:
    if _database(words) not in {"", "0"} or _db_of(options) != ("db", "0"):
        raise UnusableOption("a cluster has no database but 0")
    return ClusterUrl(
        _hosts(hosts, CLUSTER_PORT), ServerUrls(transport, credentials, _tail("0", options))
    )


def _db_of(options: list[tuple[str, str]]) -> tuple[str, str]:
    return next((option for option in options if option[0] == "db"), ("db", "0"))


def _database(words: list[str]) -> str:
    if len(words) > 1 or not all(word.isdecimal() for word in words):
        raise UnusableOption(f"the database must be one number, not {'/'.join(words)}")
    return words[0] if words else ""


def _tail(database: str, options: list[tuple[str, str]]) -> str:
    return f"/{database}" + (f"?{urlencode(options)}" if options else "")


def _hosts(text: str, port: int) -> tuple[tuple[str, int], ...]:
    """Splits by hand: urlsplit takes a list with an IPv6 address for an invalid one."""
    return tuple(_host(each.strip(), port) for each in text.split(","))


def _host(text: str, default: int) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(default)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise UnusableOption(f"an IPv6 address must stand in brackets: [{text}]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise UnusableOption(f"{text!r} is no host, or no host:port")
    return host, int(port)
