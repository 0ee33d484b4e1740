"""Messages that say how they want to be an event: the hub's own JSON envelope, and CloudEvents 1.0.

Only channels whose entry has `envelope` read them (docs/publishing.md); everywhere else, and for
whatever is neither, a message is its own data.
"""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NAME = re.compile(r"(?!hub\.)[A-Za-z][A-Za-z0-9_.:/-]{0,127}")
"""What an event may be called; `hub.` is for what the hub itself says."""

MAX_RETRY_MS = 3_600_000
_OWN_KEYS = {"event", "data", "retry"}


_WHITE = b" \t\r\n"
"""The white space of JSON (RFC 8259, section 2)."""


class _Number(str):
    """A number with a fraction or an exponent, as it was written: 12.50 is not to become 12.5.

    `json` writes it as a string that begins with MARK, which no sender can know.
    """

    MARK = f"\ue000{secrets.token_hex(8)}"

    __slots__ = ()

    @classmethod
    def read(cls, text: str) -> "_Number":
        return cls(cls.MARK + text)


_NUMBERS = re.compile(f'"{_Number.MARK}([^"]*)"')
_SURROGATES = re.compile("[\ud800-\udfff]")


def _refuse(text: str) -> None:
    """NaN and Infinity are no JSON."""
    raise ValueError(text)


@dataclass(frozen=True, slots=True)
class Envelope:
    """`data` is the text of the event, `event` its name, `retry_ms` its reconnection time."""

    data: bytes
    event: str | None = None
    retry_ms: int | None = None


def wrap(event: str, data: str) -> bytes:
    """The envelope of a named event. Raises ValueError for a name that cannot be one."""
    if not NAME.fullmatch(event):
        raise ValueError(f"{event!r} is no event name. Use letters, digits and _ . : / -")
    return json.dumps({"event": event, "data": data}, ensure_ascii=False).encode()


def unwrap(payload: bytes) -> Envelope | None:
    """What the payload says; None for whatever is no envelope."""
    if payload[:1] != b"{" and not payload.lstrip(_WHITE).startswith(b"{"):
        return None
    try:
        message = json.loads(payload, parse_constant=_refuse, parse_float=_Number.read)
    except (ValueError, RecursionError):
        return None
    if "specversion" in message:
        return _cloud_event(message)
    return _own(message)


def _own(message: Mapping[str, Any]) -> Envelope | None:
    event, retry = message.get("event"), message.get("retry")
    if "data" not in message or not message.keys() <= _OWN_KEYS:
        return None
    if event is not None and not is_name(event):
        return None
    if retry is not None and not (type(retry) is int and 0 <= retry <= MAX_RETRY_MS):
        return None
    return Envelope(_text(message["data"]), event, retry)


def _cloud_event(message: Mapping[str, Any]) -> Envelope | None:
    """CloudEvents 1.0.2, section 3.1: the attributes that every event has."""
    required = all(_is_text(message.get(key)) for key in ("id", "source", "type"))
    if message["specversion"] != "1.0" or not required or not is_name(message["type"]):
        return None
    return Envelope(_text(message.get("data", message.get("data_base64", ""))), message["type"])


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not isinstance(value, _Number)


def is_name(value: Any) -> bool:
    """Whether an event can have this name."""
    return isinstance(value, str) and NAME.fullmatch(value) is not None


def _text(data: Any) -> bytes:
    """Returns text as it is, and anything else as compact JSON with its numbers unchanged."""
    if isinstance(data, _Number):
        text = data.removeprefix(_Number.MARK)
    elif isinstance(data, str):
        text = data
    else:
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        text = _NUMBERS.sub(r"\1", text) if _Number.MARK in text else text
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub("\ufffd", text).encode()
