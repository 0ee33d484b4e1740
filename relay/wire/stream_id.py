"""The ids of a stream of several channels: the event's channel, and a position in each channel."""

from collections.abc import Mapping
from urllib.parse import parse_qsl, quote

from relay.wire.position import Position
from relay.wire.sse import SAFE

SOURCE_KEY = "@"
"""The key in an id that names the channel of its event."""

MAX_BYTES = 16 * 1024


def encode(source: bytes, positions: Mapping[str, Position | None]) -> bytes:
    """Returns an id in the form of a query string. `source` is percent-encoded, and may be empty."""
    parts = [b"%b=%b" % (SOURCE_KEY.encode(), source)] if source else []
    parts += [f"{quote(n, safe=SAFE)}={p}".encode() for n, p in positions.items() if p]
    return b"&".join(parts)


def decode(text: str) -> dict[str, str] | None:
    """Returns the positions in an id as text; None for any other text.

    So a client's input may be passed. How a position is read depends on its channel.
    """
    if len(text) > MAX_BYTES or "=" not in text:
        return None
    try:
        pairs = parse_qsl(text, strict_parsing=True, max_num_fields=200)
    except ValueError:
        return None
    return {name: value for name, value in pairs if name != SOURCE_KEY}
