"""Reads the streams of a hub: `for` and `async for`, over httpx, without losing the place.

    for event in listen("https://example.com/stream/", channels=["news"]):
        print(event)

This package needs no Django settings and no Redis. `pip install relay-hub[client]` installs httpx.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from relay.client.events import Event, Gap, Message, Oversize
from relay.client.session import StreamRefused

if TYPE_CHECKING:
    from relay.client.listening import Listening, listen

__all__ = ["Event", "Gap", "Listening", "Message", "Oversize", "StreamRefused", "listen"]


def __getattr__(name: str) -> Any:
    """Imports httpx late, so that whoever lacks it is told what to do."""
    if name not in {"Listening", "listen"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module("relay.client.listening"), name)
    except ModuleNotFoundError:
        raise ImportError("This needs httpx. Run: pip install 'relay-hub[client]'.") from None
