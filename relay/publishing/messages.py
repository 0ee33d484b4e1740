"""A message: its channel, and the bytes that its data becomes."""

import json
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from relay import conf
from relay.conf.catalogue import Target
from relay.publishing.once import Outgoing
from relay.wire import sse
from relay.wire.envelope import unwrap, wrap


def outgoing(channel: str, data: Any, event: str | None) -> Outgoing:
    """Returns the message for `data`. Raises ValueError or TypeError for what cannot be sent."""
    target = conf.load_catalogue().find(channel)
    if target is None or target.is_wildcard:
        raise ValueError(f"{channel!r} is no channel of RELAY_CHANNELS.")
    return Outgoing.to(target, (encode(target, data, event),))


def encode(target: Target, data: Any, event: str | None) -> bytes:
    """Returns the bytes of a message. Raises ValueError or TypeError."""
    payload = _payload(data)
    if event is not None:
        if not target.spec.envelope:
            raise ValueError(
                f"{target.name!r} has no named events."
                " Set envelope=True in its entry in RELAY_CHANNELS."
            )
        payload = wrap(event, payload.decode())
    if not fits(target, payload):
        raise ValueError(
            f"The message has {_event_bytes(target, payload)} bytes as an event;"
            f" {target.name!r} takes {target.spec.event_bytes}"
            " (event_bytes of its entry in RELAY_CHANNELS, or RELAY_EVENT_BYTES)."
        )
    return payload


def fits(target: Target, payload: bytes) -> bool:
    """Whether the hub sends the message, and does not only announce it (hub.oversize)."""
    return _event_bytes(target, payload) <= target.spec.event_bytes


def _event_bytes(target: Target, payload: bytes) -> int:
    """Returns how many bytes the hub counts against the channel's event_bytes."""
    if not payload.isascii():
        payload = payload.decode(errors="replace").encode()
    if target.spec.envelope and (envelope := unwrap(payload)) is not None:
        payload = envelope.data
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
