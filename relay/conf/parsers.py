"""Parsers of single settings: each returns the value, or raises for one that cannot be used.

They take text from the environment as well as Python values. What they raise is ValueError,
TypeError, OverflowError, LookupError or AttributeError.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from relay.broker.address import RedisAddress
from relay.conf.catalogue import is_name
from relay.conf.origins import Origins
from relay.conf.proxies import Network, parse_networks

_PATH = re.compile(r"/?[\w.~-]+(/[\w.~-]+)*/?", re.ASCII)


def whole(low: int, high: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if isinstance(value, bool) or int(value) != float(value) or not low <= int(value) <= high:
            raise ValueError
        return int(value)

    return parse


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
        if not keys or any(key["kty"] != "RSA" for key in keys):
            raise ValueError
    return str(value)


def redis_url(value: Any) -> str:
    RedisAddress(value)
    return str(value)


def origins(value: Any) -> Origins:
    return Origins(words(value))


def networks(value: Any) -> tuple[Network, ...]:
    return parse_networks(words(value))


def path(value: Any) -> str:
    """A path below the site's, in the form that Settings.stream_path has."""
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        raise ValueError
    return value.strip("/") + "/"
