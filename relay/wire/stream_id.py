"""The ids of a stream of several channels: a position in each, and the channel of the event."""

from collections.abc import Mapping
from urllib.parse import parse_qsl, quote

from relay.wire.position import Position
from relay.wire.sse import SAFE

SPEAKER = "@"
"""The key under which an id names the channel that its event is from."""

MAX_BYTES = 16 * 1024


def encode(speaker: bytes, positions: Mapping[str, Position | None]) -> bytes:
    """An id, in the form of a query string; `speaker` is percent-encoded already, and may be empty."""
    parts = [b"%b=%b" % (SPEAKER.encode(), speaker)] if speaker else []
    parts += [f"{quote(n, safe=SAFE)}={p}".encode() for n, p in positions.items() if p]
    return b"&".join(parts)


def decode(text: str) -> dict[str, Position | None] | None:
    """The positions of an id; None for what is no such id. Whatever a client sends may be given."""
    if len(text) > MAX_BYTES or "=" not in text:
        return None
    try:
        pairs = parse_qsl(text, strict_parsing=True, max_num_fields=200)
    except ValueError:
        return None
    return {name: Position.parse(value) for name, value in pairs if name != SPEAKER}
