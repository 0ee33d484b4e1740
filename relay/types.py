"""The types of ASGI (specification 3.0), each once."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
Headers = Sequence[tuple[bytes, bytes]]
Scope = Mapping[str, Any]
Application = Callable[[Any, Any, Any], Awaitable[None]]
"""Not typed by the above: every server and framework has types of its own."""
