"""What is published: the channel, and the bytes that stand for the data."""

import json
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from relay import conf
from relay.conf.catalogue import Target
from relay.wire import sse
from relay.wire.envelope import unwrap, wrap


def find(channel: str) -> Target:
    """What the catalogue has under a name. Raises ValueError for what is no single channel of it."""
    found = conf.load_catalogue().find(channel)
    if found is None or found.is_wildcard:
        raise ValueError(f"{channel!r} is no channel of RELAY_CHANNELS.")
    return found


def encode(found: Target, data: Any, event: str | None) -> bytes:
    """The message that stands for `data`. Raises ValueError or TypeError where none can."""
    payload = _payload(data)
    if event is not None:
        if not found.spec.envelope:
            raise ValueError(
                f"{found.name!r} has no named events. Set envelope=True in its entry in RELAY_CHANNELS."
            )
        payload = wrap(event, payload.decode())
    size = event_size(found, payload)
    if size > found.spec.event_bytes:
        raise ValueError(
            f"The message has {size} bytes as an event; {found.name!r} takes {found.spec.event_bytes}"
            " (event_bytes of its entry in RELAY_CHANNELS, or RELAY_EVENT_BYTES)."
        )
    return payload


def event_size(found: Target, payload: bytes) -> int:
    """How many bytes the hub counts against the channel's event_bytes."""
    if not payload.isascii():
        payload = payload.decode(errors="replace").encode()
    if found.spec.envelope and (wish := unwrap(payload)) is not None:
        payload = wish.data
    return sse.message_size(payload)


def _payload(data: Any) -> bytes:
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    text = json.dumps(
        data, cls=DjangoJSONEncoder, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return text.encode()
