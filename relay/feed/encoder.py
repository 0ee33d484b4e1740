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
        self._fits = (max_bytes - 8) // 7  # for sure: a line end turns one byte into at most seven
        self.plain_bytes = -1 if envelope else self._fits
        """ASCII of up to so many bytes needs no more than `sse.message`."""

    def encode(self, payload: bytes, epoch: int, offset: int) -> bytes:
        """Returns the event of the message at this position."""
        data = payload if payload.isascii() else self._utf8(payload)
        if self._envelope and (wish := unwrap(data)) is not None:
            event = self._plain(wish.data, epoch, offset)
            return sse.named(wish.event, wish.retry_ms, event)
        return self._plain(data, epoch, offset)

    def _plain(self, data: bytes, epoch: int, offset: int) -> bytes:
        if len(data) > self._fits:  # the exact size costs a scan
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
