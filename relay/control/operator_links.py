"""One-time links to the operator's page. Redis keeps a digest of each until somebody uses it."""

import hashlib
import hmac
import re
import secrets

from relay.broker.commands import Commands
from relay.broker.keys import HubKeys
from relay.broker.sync import open_sync, run_sync

LINK_SECONDS = 86_400
"""How long a link can be used."""

_SECRET = re.compile(r"[\w-]{43}", re.ASCII)


def make_link(url: str, keys: HubKeys) -> str:
    """Returns the secret of a new link. Raises RedisUnavailable."""
    secret = secrets.token_urlsafe(32)
    digest = _digest(secret)
    server = open_sync(url)
    try:
        run_sync(
            lambda: server.client().set(_name(keys, digest), digest, ex=LINK_SECONDS), command="SET"
        )
    finally:
        server.close()
    return secret


async def take_link(commands: Commands, keys: HubKeys, secret: str) -> bool:
    """Whether the link exists. It does not any more afterwards. Raises RedisUnavailable."""
    if not _SECRET.fullmatch(secret):
        return False
    digest = _digest(secret)
    kept = await commands.script("link_take", [_name(keys, digest)], [])
    return hmac.compare_digest(kept or b"", digest.encode())


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _name(keys: HubKeys, digest: str) -> str:
    """A part of the digest alone: how long Redis compares names says nothing of the rest."""
    return keys.link(digest[:16])
