"""The token of a client: a text, or a function that returns one, which is called before it expires."""

import base64
import inspect
import json
import time
from collections.abc import Awaitable, Callable

TokenSource = str | Callable[[], "str | Awaitable[str | None] | None"] | None

RENEW_SECONDS = 30.0
"""How long before its end a token is replaced: at least two heartbeats, at most half of its life."""


class Token:
    """`get` and `aget` return the token, or None for no token."""

    def __init__(self, source: TokenSource) -> None:
        self._function = source if callable(source) else None
        self._value = None if callable(source) else source
        self._is_rejected = False
        self._forget()

    def get(self) -> str | None:
        if self._function and self._is_due():
            value = self._function()
            if inspect.isawaitable(value):
                if inspect.iscoroutine(value):
                    value.close()  # or Python warns that nobody awaited it
                raise TypeError("The token function is async: use `async for`.")
            self._note(value)
        return self._value

    async def aget(self) -> str | None:
        if self._function and self._is_due():
            value = self._function()
            self._note(await value if inspect.isawaitable(value) else value)
        return self._value

    def renew_if_due(self, heartbeat_seconds: float) -> bool:
        """Forgets a token that is about to expire. Returns whether the next request has another."""
        is_due = self._is_due(heartbeat_seconds)
        if is_due:
            self._forget()
        return is_due

    def accepted(self) -> None:
        self._is_rejected = False

    def rejected(self) -> bool:
        """Forgets a token that the hub rejects. Returns whether another is worth a try: once in a row."""
        is_first, self._is_rejected = not self._is_rejected, True
        self._forget()
        return is_first and self._function is not None

    def _is_due(self, heartbeat_seconds: float = 0.0) -> bool:
        # A token that came expired shows that the clocks differ: the hub decides.
        if not self._function or self._life_seconds <= 0:
            return False
        margin = min(max(RENEW_SECONDS, 2 * heartbeat_seconds), self._life_seconds / 2)
        return time.time() >= self._expires_at - margin

    def _note(self, value: str | None) -> None:
        self._value, self._expires_at = value, _expiry(value)
        self._life_seconds = self._expires_at - time.time()

    def _forget(self) -> None:
        self._expires_at, self._life_seconds = 0.0, float("inf")


def _expiry(token: str | None) -> float:
    """Returns the `exp` of a JSON Web Token; infinity of anything else."""
    try:
        payload = (token or "").split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"])
    except (ValueError, LookupError, TypeError, OverflowError):
        return float("inf")
