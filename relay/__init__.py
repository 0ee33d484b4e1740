"""Relay: what is published on a Redis channel reaches every open stream as Server-Sent Events."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relay.publishing import apublish, publish

__version__ = "0.2.0"

__all__ = ["apublish", "publish"]


def __getattr__(name: str) -> Any:
    """Imports late: whoever imports `relay` alone needs no Django settings."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from relay import publishing

    return getattr(publishing, name)
