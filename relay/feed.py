"""What clients of one channel share: its messages, numbered, encoded once, kept in one ring."""

from relay import frames
from relay.events import Gap, GapReason, Oversize
from relay.ring import Ring
from relay.stats import Stats


class Feed:
    """Turns the payloads of a Redis channel into frames.

    Nothing here awaits: between a message's receipt and its place in the ring no other code runs,
    which is what makes the count exact and joining free of gaps.
    """

    def __init__(self, channel: str, ring: Ring, max_event_bytes: int, stats: Stats) -> None:
        self.channel = channel
        self.ring = ring
        self._max_event_bytes = max_event_bytes
        self._stats = stats
        self._count = 0

    def receive(self, payload: bytes) -> None:
        """Appends one message. Invalid UTF-8 is replaced, an event over the size limit is announced."""
        self._count += 1
        self._stats.messages += 1
        self.ring.append(self._encode(payload), self._count)

    def lose(self, reason: GapReason) -> None:
        """Tells every stream that an unknown number of messages was lost here."""
        self._note(frames.hub_event(Gap(self.channel, None, reason)))

    def heartbeat(self) -> None:
        """A comment on every stream, in order with everything else."""
        self._note(frames.heartbeat())

    def _note(self, frame: bytes) -> None:
        self.ring.append(frame, self._count)

    def _encode(self, payload: bytes) -> bytes:
        data = payload if payload.isascii() else self._utf8(payload)
        # Most messages are far from the limit; what a line end can add at most (a byte becomes seven)
        # decides whether the exact size has to be worked out.
        if len(data) * 7 + 8 > self._max_event_bytes:
            size = frames.message_size(data)
            if size > self._max_event_bytes:
                self._stats.oversize += 1
                return frames.hub_event(Oversize(self.channel, size, self._max_event_bytes))
        return frames.message(data)

    def _utf8(self, payload: bytes) -> bytes:
        try:
            payload.decode()
        except UnicodeDecodeError:
            self._stats.invalid_utf8 += 1
            return payload.decode(errors="replace").encode()
        return payload
