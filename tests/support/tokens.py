"""Tokens for the tests, signed with the key that `tests.support.site` gives the hub."""

import time

import jwt

TOKEN_KEY = "a key for tests only, long enough"


def token(**claims: object) -> str:
    """A token of `svc` for every channel, valid for ten minutes; a claim that is None is left out."""
    now = int(time.time())
    full = {"sub": "svc", "aud": "relay-hub", "iat": now, "exp": now + 600, "channels": ["*"]}
    kept = {name: value for name, value in {**full, **claims}.items() if value is not None}
    return jwt.encode(kept, TOKEN_KEY, "HS256")


def bearer(**claims: object) -> dict[str, str]:
    """The header of a request with such a token."""
    return {"Authorization": f"Bearer {token(**claims)}"}
