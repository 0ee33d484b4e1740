"""For the tests of a site: what it publishes, and what its streams deliver (docs/django.md)."""

from relay.testing.capture import Captured, capture
from relay.testing.stream import Event, Stream, open_stream, redis_server

__all__ = ["Captured", "Event", "Stream", "capture", "open_stream", "redis_server"]
