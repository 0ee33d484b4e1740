"""The Authorization field of a request, and how a token in it is refused (RFC 6750)."""

from collections.abc import Mapping
from typing import Any

from relay.access import tokens
from relay.access.problem import Problem


def bearer(authorization: str) -> str | None:
    """Returns the token of an Authorization field, or None where it names another scheme or none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def claims_of(token: str) -> Mapping[str, Any]:
    """Returns the claims of a token that is valid now. Raises Problem (401)."""
    try:
        return tokens.decode(token)
    except tokens.TokenRefused as error:
        raise Problem(401, error.args[0], _challenge("invalid_token")) from None


def unauthenticated(detail: object) -> Problem:
    """Refuses a request that shows nobody's credentials."""
    return Problem(401, detail, _challenge())


def insufficient_scope(detail: object) -> Problem:
    """Refuses a valid token that does not grant what is asked for."""
    return Problem(403, detail, _challenge("insufficient_scope"))


def _challenge(error: str = "") -> list[tuple[bytes, bytes]]:
    value = f'Bearer error="{error}"' if error else "Bearer"
    return [(b"WWW-Authenticate", value.encode())]
