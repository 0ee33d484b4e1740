"""The servers that are compared, and how each is started, read and published to."""

from bench.servers.base import MAX_STREAMS, Place, Running, Server
from bench.servers.centrifugo import Centrifugo
from bench.servers.eventstream import EventStream
from bench.servers.floor import Floor
from bench.servers.hub import Hub, HubOfStreams, HubUnderDaphne, HubWithWorkers
from bench.servers.mercure import Mercure
from bench.servers.nchan import Nchan
from bench.servers.redis import redis_version, start_redis

__all__ = [
    "MAX_STREAMS",
    "SERVERS",
    "Hub",
    "Place",
    "Running",
    "Server",
    "redis_version",
    "start_redis",
]

SERVERS: tuple[Server, ...] = (
    Hub("hub", "Relay Hub"),
    HubUnderDaphne("hub-daphne", "Relay Hub, daphne", {"RELAY_PREFIX": "relay-daphne"}),
    HubOfStreams("hub-stream", "Relay Hub, Redis Stream"),
    HubWithWorkers("hub-workers", "Relay Hub, 2 workers", {"RELAY_WORKERS": "2"}),
    Nchan("nchan", "nchan"),
    Floor("floor", "bare send loop"),
    EventStream("django-eventstream", "django-eventstream"),
    Mercure("mercure", "Mercure"),
    Centrifugo("centrifugo", "Centrifugo"),
)
