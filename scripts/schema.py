"""Writes docs/events.schema.json and docs/asyncapi.json from what the hub sends.

Usage: .venv/bin/python scripts/schema.py
"""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from relay.http.answer import ERROR_EVENT  # noqa: E402
from relay.http.query import MAX_CHANNELS  # noqa: E402
from relay.version import __version__  # noqa: E402
from relay.wire import envelope, position  # noqa: E402
from relay.wire.notices import Gap, GapReason, Oversize  # noqa: E402

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PLACE = {"type": "string", "pattern": f"^{position.ENTRY.pattern}$"}
PLACES = {
    "type": "string",
    "description": (
        "A query string: `@` names the channel of the event, every other key a channel and its position."
    ),
    "pattern": "^[^=&]+=[^&]*(&[^=&]+=[^&]*)*$",
}


def _object(properties: dict[str, Any], description: str) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
    }


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _count(least: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": least}


def definitions() -> dict[str, Any]:
    reasons = {
        "type": "string",
        "description": "Later hubs may have more.",
        "examples": [*GapReason],
    }
    gap = {
        "channel": {"type": "string"},
        "from": _or_null(PLACE),
        "to": _or_null(PLACE),
        "missed": _or_null(_count(0)),
        "reason": reasons,
    }
    oversize = {
        "channel": {"type": "string"},
        "id": PLACE,
        "bytes": _count(1),
        "max_bytes": _count(256),
    }
    error = {
        "title": {"type": "string"},
        "status": _count(400),
        "detail": {"type": "string"},
    }
    return {
        "id": {"anyOf": [PLACE, PLACES]},
        "message": {"type": "string", "description": "What was published, unchanged."},
        Gap.name: _object(gap, "Messages between two positions are missing from this stream."),
        Oversize.name: _object(oversize, "A message that is larger than the hub sends."),
        ERROR_EVENT: _object(error, "Why there is no stream (RFC 9457), with ?errors=stream."),
    }


def event_schema() -> dict[str, Any]:
    """An event as an object of its `event`, `id` and `data`; the data of the hub's own is parsed."""
    kinds = definitions()
    own = [Gap.name, Oversize.name, ERROR_EVENT]
    variants = [_variant({"const": name}, name) for name in own]
    name = {"type": "string", "pattern": f"^{envelope.NAME.pattern}$"}
    variants.append(_variant(name, "message"))
    return {
        "$schema": DIALECT,
        "$id": "urn:relay-hub:events",
        "title": f"Events of a Relay Hub {__version__}",
        "oneOf": variants,
        "$defs": kinds,
    }


def _variant(name: dict[str, Any], data: str) -> dict[str, Any]:
    properties = {"event": name, "id": {"$ref": "#/$defs/id"}, "data": {"$ref": f"#/$defs/{data}"}}
    required = ["event", "data"] if data in (Gap.name, ERROR_EVENT) else ["event", "id", "data"]
    return {"type": "object", "properties": properties, "required": required}


def asyncapi() -> dict[str, Any]:
    kinds = definitions()
    names = {"message": "message", "gap": Gap.name, "oversize": Oversize.name, "error": ERROR_EVENT}
    schemas = {key: kinds[name] for key, name in names.items()}
    messages = {
        key: {
            "name": name,
            "contentType": "text/plain" if key == "message" else "application/json",
            "payload": {"$ref": f"#/components/schemas/{key}"},
            "headers": {
                "type": "object",
                "properties": {"id": kinds["id"], "event": {"type": "string"}},
            },
        }
        for key, name in names.items()
    }
    query = {
        "channel": {
            "type": "array",
            "items": {"type": "string"},
            "maxItems": MAX_CHANNELS,
            "description": "Channels and wildcards of the catalogue. Without any: the default channel.",
        },
        "last_event_id": kinds["id"],
        "rewind": {"type": "string", "pattern": "^(all|[0-9]{1,9})$"},
        "since": {"type": "string"},
        "latest": {"type": "number", "minimum": 0.05, "maximum": 3600},
        "errors": {"type": "string", "enum": ["stream"]},
        "token": {"type": "string", "description": "Where there is no Authorization field."},
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Relay Hub",
            "version": __version__,
            "description": "What is published on a Redis channel, as Server-Sent Events. See protocol.md.",
            "license": {"name": "BSD-3-Clause"},
        },
        "defaultContentType": "text/event-stream",
        "channels": {
            "stream": {
                "address": "/stream/",
                "messages": {key: {"$ref": f"#/components/messages/{key}"} for key in names},
            }
        },
        "operations": {
            "listen": {
                "action": "send",
                "channel": {"$ref": "#/channels/stream"},
                "bindings": {
                    "http": {
                        "method": "GET",
                        "query": {"type": "object", "properties": query},
                        "bindingVersion": "0.3.0",
                    }
                },
            }
        },
        "components": {"schemas": schemas, "messages": messages},
    }


FILES = {"docs/events.schema.json": event_schema, "docs/asyncapi.json": asyncapi}


def text_of(make: Any) -> str:
    return json.dumps(make(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for path, make in FILES.items():
        (ROOT / path).write_text(text_of(make))
