"""Every setting of the hub, typed and valid."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relay.conf.addresses import Address
from relay.conf.catalogue import Catalogue, Spec
from relay.conf.origins import Origins
from relay.conf.proxies import Network


@dataclass(frozen=True, slots=True)
class Settings:
    """docs/settings.md says what each is for."""

    redis_url: str = field(repr=False)
    channel: str
    ring_events: int
    ring_bytes: int
    event_bytes: int
    client_buffer_bytes: int
    max_streams: int
    heartbeat_seconds: float
    retry_ms: int
    overload_retry_ms: int
    stall_seconds: float
    prefix: str
    history_size: int
    history_seconds: float
    channels: tuple[tuple[str, Mapping[str, Any]], ...]
    channel_idle_seconds: float
    allowed_origins: Origins
    trusted_proxies: tuple[Network, ...]
    max_streams_per_user: int
    max_streams_per_address: int
    token_key: str = field(repr=False)
    token_jwks: str = field(repr=False)
    token_audience: str
    token_seconds: float
    http_publish: bool
    publish_per_second: int
    max_channels: int
    stream_path: str
    """As in a URLconf: without a slash at the beginning, with one at the end."""
    body_bytes: int
    session_check_seconds: float
    new_channels_per_minute: int
    new_channels_per_address: int
    workers: int
    """0: one for each core."""
    drain_seconds: float
    admin_address: Address | None
    """None: nothing listens."""
    pubsub: str
    """`classic` or `sharded`."""
    operator_link: bool
    """Whether `relay serve` prints a link to the operator's page."""

    @property
    def sharded(self) -> bool:
        """Whether channels are sharded channels of a cluster."""
        return self.pubsub == "sharded"

    @property
    def publish_command(self) -> str:
        return "SPUBLISH" if self.sharded else "PUBLISH"

    def catalogue(self) -> Catalogue:
        """What RELAY_CHANNELS says, and the default channel, which needs no entry."""
        entries = {self.channel: {"access": "public", "always": True}, **dict(self.channels)}
        bounds = {
            "history_size": self.history_size,
            "history_seconds": self.history_seconds,
            "event_bytes": self.event_bytes,
        }
        specs = (Spec(pattern=name, **{**bounds, **entry}) for name, entry in entries.items())
        return Catalogue(specs, self.prefix)
