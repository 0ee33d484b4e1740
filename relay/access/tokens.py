"""Short-lived signed tokens (JWT, RFC 7519): whose they are, and which channels they grant.

HS256 with RELAY_TOKEN_KEY, or RS256 with the public keys of RELAY_TOKEN_JWKS (RFC 7517). A token must
have `sub`, `aud`, `iat` and `exp`. `channels`, `publish` and `presence` are lists of channel names; a
`*` at the end of a name stands for any text.
"""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jwt
from django.utils.translation import gettext_lazy as _

from relay import conf
from relay.conf.catalogue import Target

MAX_BYTES = 8 * 1024
LEEWAY_SECONDS = 5
"""How far the clock of an issuer may be ahead: for `iat` and `nbf`, never for `exp`."""

LISTS = ("channels", "publish", "presence")
"""The claims that are lists of channels."""

MAX_TIME = 2**53
"""Unix time in seconds that a double still holds exactly."""

_SURROGATE = re.compile("[\ud800-\udfff]")


class TokenRefused(Exception):
    """Says in a sentence what is wrong with the token, and never repeats any part of it."""


def issue(
    subject: str,
    channels: Sequence[str],
    seconds: float | None = None,
    publish: Sequence[str] = (),
    presence: Sequence[str] = (),
) -> str:
    """Returns a token that expires after `seconds` (by default RELAY_TOKEN_SECONDS).

    Raises ValueError when RELAY_TOKEN_KEY is not set.
    """
    settings = conf.load()
    if not settings.token_key:
        raise ValueError(
            "RELAY_TOKEN_KEY is not set. Set it to a secret of at least 32 characters."
        )
    now = time.time()
    claims: dict[str, Any] = {
        "sub": subject,
        "aud": settings.token_audience,
        "iat": int(now),
        "exp": int(now + (settings.token_seconds if seconds is None else seconds)),
        "channels": list(channels),
    }
    if publish:
        claims["publish"] = list(publish)
    if presence:
        claims["presence"] = list(presence)
    return jwt.encode(claims, settings.token_key, algorithm="HS256")


def decode(token: str) -> Mapping[str, Any]:
    """Returns the claims of a token that is valid now. Raises TokenRefused."""
    if len(token) > MAX_BYTES:
        raise TokenRefused(_("The token is too long."))
    settings = conf.load()
    try:
        key, algorithm = _key(settings, jwt.get_unverified_header(token))
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=settings.token_audience,
            leeway=LEEWAY_SECONDS,
            options={"require": ["sub", "aud", "iat", "exp"], "verify_exp": False},
        )
    except jwt.InvalidAudienceError:
        raise TokenRefused(_("The token is for another audience.")) from None
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        raise TokenRefused(_("The token is not valid.")) from None
    if not _is_time(claims["exp"]):
        raise TokenRefused(_("The token is not valid."))
    if claims["exp"] <= time.time():
        raise TokenRefused(_("The token has expired."))
    if not _is_subject(claims["sub"]):
        raise TokenRefused(_("The token has no subject."))
    return claims


def _is_time(value: object) -> bool:
    """Whether `exp` is a number that a clock can reach: PyJWT takes any, and text as well."""
    return type(value) in (int, float) and 0 < value < MAX_TIME  # type: ignore[operator]


def _is_subject(value: object) -> bool:
    """Whether `sub` is text that has a form in UTF-8, which a lone surrogate has not."""
    return isinstance(value, str) and bool(value) and not _SURROGATE.search(value)


def grants(claims: Mapping[str, Any], claim: str, target: Target) -> bool:
    """Whether the list in `claim` covers the channel.

    A wildcard never covers a channel that a pattern of the catalogue matches, while the channel has an
    entry of its own. `*` alone covers every channel, unless it is a pattern of the catalogue.
    """
    entries = claims.get(claim)
    if not isinstance(entries, list):
        return False
    return any(_covers(entry, target) for entry in entries if isinstance(entry, str))


def heads(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns with what a name begins that an entry of `channels` covers."""
    entries = claims.get("channels")
    texts = entries if isinstance(entries, list) else []
    return tuple(text.removesuffix("*") for text in texts if isinstance(text, str))


def _covers(entry: str, target: Target) -> bool:
    if not entry.endswith("*") or target.is_wildcard:
        return entry == target.name
    head = entry[:-1]
    return target.name.startswith(head) and not _is_hidden(entry, head, target)


def _is_hidden(entry: str, head: str, target: Target) -> bool:
    """Whether the wildcard means another entry of the catalogue than the one that the channel has."""
    if entry in target.hidden_from:
        return True
    names_own_entry = target.spec.is_pattern and head.startswith(target.spec.head)
    return bool(head and target.hidden_from) and not names_own_entry


def _key(settings: conf.Settings, header: Mapping[str, Any]) -> tuple[Any, str]:
    """Returns the key and its algorithm. The key that is set decides, never the token alone."""
    if header.get("alg") == "HS256" and settings.token_key:
        return settings.token_key, "HS256"
    if header.get("alg") == "RS256" and settings.token_jwks:
        for jwk in jwt.PyJWKSet.from_json(settings.token_jwks).keys:
            if jwk.key_id == header.get("kid") and jwk.algorithm_name == "RS256":
                return jwk.key, "RS256"
    raise TokenRefused(_("The token is not signed with a key of ours."))
