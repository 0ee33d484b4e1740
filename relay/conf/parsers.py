"""Parsers of single settings: each returns the value, or raises for one that cannot be used.

They take text from the environment as well as Python values. What they raise is ValueError,
TypeError, OverflowError, LookupError or AttributeError.
"""

import base64
import json
import re
from collections.abc import Callable
from typing import Any

from relay.broker.address import addresses_of
from relay.broker.urls import UnusableOption
from relay.conf.addresses import Address, parse_address
from relay.conf.catalogue import is_name
from relay.conf.entries import InvalidEntry
from relay.conf.origins import Origins
from relay.conf.proxies import Network, parse_networks

_PATH = re.compile(r"/?[\w.~-]+(/[\w.~-]+)*/?", re.ASCII)


def whole(low: int, high: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if isinstance(value, bool) or int(value) != float(value) or not low <= int(value) <= high:
            raise ValueError
        return int(value)

    return parse


def workers(value: Any) -> int:
    return 0 if value == "auto" else whole(1, 256)(value)


def seconds(low: float, high: float) -> Callable[[Any], float]:
    def parse(value: Any) -> float:
        if isinstance(value, bool) or not low <= float(value) <= high:
            raise ValueError
        return float(value)

    return parse


def channel(value: Any) -> str:
    if not isinstance(value, str) or not is_name(value):
        raise ValueError
    return value


def prefix(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\w.:-]{1,64}", value, re.ASCII):
        raise ValueError
    return value


def words(value: Any) -> list[str]:
    """The words of a text, separated by spaces or commas; or a list as it is."""
    return value.replace(",", " ").split() if isinstance(value, str) else list(value)


def text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def token_key(value: Any) -> str:
    if not isinstance(value, str) or 0 < len(value) < 32:
        raise ValueError
    return value


FLAGS = {
    **dict.fromkeys(("1", "true", "on", "yes"), True),
    **dict.fromkeys(("0", "false", "off", "no"), False),
}
"""How a setting is switched on and off."""


def flag(value: Any) -> bool:
    return FLAGS[str(value).strip().lower()]


def jwks(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    if value:
        keys = json.loads(value)["keys"]
        if not keys:
            raise ValueError
        for key in keys:
            _check_key(key)
    return str(value)


MIN_KEY_BITS = 2048
"""RFC 7518, section 3.3."""


def _check_key(key: Any) -> None:
    """Raises ValueError unless tokens can be checked by the key: an RSA key with a `kid`."""
    if key["kty"] != "RSA" or not isinstance(key["kid"], str) or not key["kid"]:
        raise ValueError
    if key.get("alg", "RS256") != "RS256" or key.get("use", "sig") != "sig":
        raise ValueError
    modulus, exponent = _number(key["n"]), _number(key["e"])
    if modulus.bit_length() < MIN_KEY_BITS or not modulus % 2 or exponent < 3 or not exponent % 2:
        raise ValueError


def _number(text: str) -> int:
    """Returns a number of a key (RFC 7518, section 2, "Base64urlUInt")."""
    padded = text + "=" * (-len(text) % 4)
    return int.from_bytes(base64.b64decode(padded, altchars=b"-_", validate=True))


def redis_url(value: Any) -> str:
    try:
        addresses_of(value)
    except UnusableOption as error:
        raise InvalidEntry(str(error)) from None
    return str(value)


def pubsub(value: Any) -> str:
    chosen = str(value).strip()
    if chosen not in {"classic", "sharded"}:
        raise ValueError
    return chosen


def origins(value: Any) -> Origins:
    return Origins(words(value))


def networks(value: Any) -> tuple[Network, ...]:
    return parse_networks(words(value))


def address(value: Any) -> Address | None:
    """Where to listen: `host:port`, an IPv6 address in brackets, or nothing at all."""
    return None if value == "" else parse_address(value.strip())


def path(value: Any) -> str:
    """A path below the site's, in the form that Settings.stream_path has."""
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        raise ValueError
    return value.strip("/") + "/"
