"""The table of settings: one row each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from relay.conf import parsers
from relay.conf.entries import parse_channels

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Setting:
    """`check` is the id of its system check, `field` its name in Settings."""

    check: str
    field: str
    default: Any
    parse: Callable[[Any], Any]
    hint: str

    @property
    def name(self) -> str:
        """Its name in Django's settings and in the environment."""
        return "REDIS_URL" if self.field == "redis_url" else f"RELAY_{self.field.upper()}"


def _whole(check: str, field: str, default: int, bounds: tuple[int, int], unit: str) -> Setting:
    hint = f"Use a whole number of {unit} from {bounds[0]} to {bounds[1]}."
    return Setting(check, field, default, parsers.whole(*bounds), hint)


def _seconds(check: str, field: str, default: float, low: float, high: float) -> Setting:
    hint = f"Use a number of seconds from {low:g} to {high:g}."
    return Setting(check, field, default, parsers.seconds(low, high), hint)


_REDIS = (
    "Use redis://[[user]:password@]host:port/db, rediss://… for TLS, unix:///path/to/socket,"
    " redis+sentinel://host,host/service or redis+cluster://host,host."
)
_PUBSUB = "Use classic, or sharded for a cluster of Redis 7 or later."
_CHANNEL = (
    "Use up to 255 letters, digits and _ . : / @ ~ ! $ ' , ; ( ) -, and no name that is Redis' own."
)
_PREFIX = "Use 1 to 64 letters, digits, dots, dashes, underscores or colons."
_CHANNELS = (
    "Use a dictionary of names to entries, or text such as news orders.*=signed-in; see"
    " docs/channels.md."
)
_ORIGINS = "Use origins such as https://app.example.com or https://*.example.com, without a path."
_NETWORKS = "Use addresses or networks such as 10.0.0.0/8."
_LIMITED = "streams (0: no limit)"
_NEW = "channels a minute (0: no limit)"
_KEY = "Use a secret of at least 32 characters."
_JWKS = "Use a JSON Web Key Set (RFC 7517) with RS256 keys of at least 2048 bits, each with a kid."
_WORKERS = "Use a whole number of processes from 1 to 256, or auto: one for each core."
_ADDRESS = "Use host:port, such as 127.0.0.1:9464 or [::1]:9464, or nothing: no address."
_PATH = "Use a path such as stream/ or live/stream/, of letters, digits and . _ ~ -."

# A new setting gets a new check id. The id of a setting that was removed is not used again.
TABLE = (
    Setting("relay.E001", "redis_url", "redis://127.0.0.1:6379/0", parsers.redis_url, _REDIS),
    Setting("relay.E002", "channel", "demo_stream", parsers.channel, _CHANNEL),
    _whole("relay.E003", "ring_events", 65_536, (1, 10_000_000), "events"),
    _whole("relay.E004", "ring_bytes", 16 * MIB, (1024, 4096 * MIB), "bytes"),
    _whole("relay.E005", "event_bytes", 2 * MIB, (256, 512 * MIB), "bytes"),
    _whole("relay.E006", "client_buffer_bytes", 64 * 1024, (4096, 16 * MIB), "bytes"),
    _whole("relay.E007", "max_streams", 10_000, (1, 1_000_000), "streams"),
    _seconds("relay.E008", "heartbeat_seconds", 15.0, 0.1, 3600.0),
    _whole("relay.E009", "retry_ms", 2000, (1, 3_600_000), "milliseconds"),
    _whole("relay.E010", "overload_retry_ms", 30_000, (1, 3_600_000), "milliseconds"),
    _seconds("relay.E011", "stall_seconds", 30.0, 1.0, 3600.0),
    Setting("relay.E012", "prefix", "relay", parsers.prefix, _PREFIX),
    _whole("relay.E013", "history_size", 10_000, (0, 10_000_000), "messages"),
    _seconds("relay.E014", "history_seconds", 86_400.0, 0.0, 31_536_000.0),
    Setting("relay.E015", "channels", "", parse_channels, _CHANNELS),
    _seconds("relay.E016", "channel_idle_seconds", 60.0, 0.0, 86_400.0),
    Setting("relay.E017", "allowed_origins", "", parsers.origins, _ORIGINS),
    Setting("relay.E018", "trusted_proxies", "", parsers.networks, _NETWORKS),
    _whole("relay.E019", "max_streams_per_user", 0, (0, 1_000_000), _LIMITED),
    _whole("relay.E020", "max_streams_per_address", 0, (0, 1_000_000), _LIMITED),
    Setting("relay.E021", "token_key", "", parsers.token_key, _KEY),
    Setting("relay.E022", "token_jwks", "", parsers.jwks, _JWKS),
    Setting(
        "relay.E023", "token_audience", "relay-hub", parsers.text, "Use the text that aud must be."
    ),
    _seconds("relay.E024", "token_seconds", 300.0, 1.0, 86_400.0),
    Setting("relay.E025", "http_publish", 0, parsers.flag, "Use 1 or 0."),
    _whole("relay.E026", "publish_per_second", 1000, (1, 1_000_000), "messages per second"),
    _whole("relay.E027", "max_channels", 10_000, (1, 1_000_000), "channels"),
    Setting("relay.E028", "stream_path", "stream/", parsers.path, _PATH),
    _whole("relay.E040", "body_bytes", 16 * MIB, (64 * 1024, 4096 * MIB), "bytes"),
    _seconds("relay.E029", "session_check_seconds", 900.0, 0.0, 86_400.0),
    _whole("relay.E030", "new_channels_per_minute", 6000, (0, 1_000_000), _NEW),
    _whole("relay.E031", "new_channels_per_address", 0, (0, 1_000_000), _NEW),
    Setting("relay.E032", "workers", "1", parsers.workers, _WORKERS),
    _seconds("relay.E033", "drain_seconds", 5.0, 0.0, 3600.0),
    Setting("relay.E034", "admin_address", "", parsers.address, _ADDRESS),
    Setting("relay.E035", "pubsub", "classic", parsers.pubsub, _PUBSUB),
    Setting("relay.E036", "operator_link", 0, parsers.flag, "Use 1 or 0."),
)

DEFAULTS = {setting.name: setting.default for setting in TABLE}
NAMES = tuple(DEFAULTS)
SECRETS = ("REDIS_URL", "RELAY_TOKEN_KEY")
"""Settings whose values are never shown."""
