"""Turns the payloads of one channel into events without their ids."""

from relay.stats import Stats
from relay.wire import sse
from relay.wire.envelope import unwrap
from relay.wire.notices import Oversize
from relay.wire.position import Position


class Encoder:
    """Replaces invalid UTF-8, and announces an event over `max_bytes` instead of sending it."""

    def __init__(
        self, channel: str, max_bytes: int, stats: Stats, *, envelope: bool = False
    ) -> None:
        self._channel = channel
        self._max_bytes = max_bytes
        self._stats = stats
        self._envelope = envelope

    def encode(self, payload: bytes, epoch: int, offset: int) -> bytes:
        """Returns the event of the message at this position."""
        data = payload if payload.isascii() else self._utf8(payload)
        if self._envelope and (wish := unwrap(data)) is not None:
            event = self._plain(wish.data, epoch, offset)
            return sse.named(wish.event, wish.retry_ms, event)
        return self._plain(data, epoch, offset)

    def _plain(self, data: bytes, epoch: int, offset: int) -> bytes:
        # Computing the exact size costs a scan. A line end turns one byte into at most seven, so a
        # message far below the limit needs no scan.
        if len(data) * 7 + 8 > self._max_bytes:
            size = sse.message_size(data)
            if size > self._max_bytes:
                self._stats.oversize += 1
                position = Position(epoch, offset)
                return sse.hub_event(Oversize(self._channel, position, size, self._max_bytes))
        return sse.message(data)

    def _utf8(self, payload: bytes) -> bytes:
        try:
            payload.decode()
        except UnicodeDecodeError:
            self._stats.invalid_utf8 += 1
            return payload.decode(errors="replace").encode()
        return payload
