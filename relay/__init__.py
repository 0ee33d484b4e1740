"""Relay: what is published on a Redis channel reaches every open stream as Server-Sent Events.

These names are public:

publish, apublish   send a message
kick, akick         end open streams
RedisError          Redis cannot, or will not (a ConnectionError)
Grant, Problem      what a site's own hook returns, and raises
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from relay.version import __version__ as __version__

if TYPE_CHECKING:
    from relay.access.grant import Grant
    from relay.access.problem import Problem
    from relay.broker.errors import RedisError
    from relay.control.kicks import akick, kick
    from relay.publishing import apublish, publish

__all__ = ["Grant", "Problem", "RedisError", "akick", "apublish", "kick", "publish"]

_HOMES = {
    "Grant": "relay.access.grant",
    "Problem": "relay.access.problem",
    "RedisError": "relay.broker.errors",
    "akick": "relay.control.kicks",
    "apublish": "relay.publishing",
    "kick": "relay.control.kicks",
    "publish": "relay.publishing",
}


def __getattr__(name: str) -> Any:
    """Imports late, so that importing `relay` alone needs no Django settings."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
