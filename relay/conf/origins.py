"""Which pages of other origins may read streams (Fetch standard, "CORS protocol")."""

import re
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv6Address
from typing import NamedTuple

_ORIGIN = re.compile(
    r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::([0-9]{1,5}))?", re.ASCII
)
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Scheme, host and port as browsers compare them (RFC 6454); a default port is None."""

    scheme: str
    host: str
    port: int | None


def parse_origin(text: str) -> Origin | None:
    """Returns None for what is no origin, and for `null`, which any page can have."""
    match = _ORIGIN.fullmatch(text.lower())
    if match is None:
        return None
    scheme, host, digits = match.groups()
    port = int(digits) if digits else None
    if port is not None and not 0 < port < 65536:
        return None
    if host.startswith("[") and (host := _address(host)) == "":
        return None
    return Origin(scheme, host, None if port == _DEFAULT_PORTS.get(scheme) else port)


def _address(host: str) -> str:
    """Returns an IPv6 address as browsers write it, or nothing."""
    try:
        return f"[{IPv6Address(host[1:-1]).compressed}]"
    except AddressValueError:
        return ""


class Origins:
    """Exact origins (`https://app.example.com`), or any host below one (`https://*.example.com`).

    Any scheme will do: apps and browser extensions have their own (`capacitor://localhost`). Raises
    ValueError for an entry that is no origin.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._exact: set[Origin] = set()
        self._below: set[Origin] = set()
        for entry in entries:
            below = "://*." in entry
            origin = parse_origin(entry.replace("://*.", "://", 1))
            if origin is None:
                raise ValueError(f"{entry!r} is no origin")
            (self._below if below else self._exact).add(origin)

    def allows(self, origin: str, host: str) -> bool:
        """Whether a page of `origin` may read what this server says under the name `host`."""
        return is_own(origin, host) or self.lists(origin)

    def lists(self, origin: str) -> bool:
        """Whether `origin` is one of the entries."""
        found = parse_origin(origin)
        if found is None:
            return False
        below = ((s, h) for s, h, port in self._below if port == found.port)
        return found in self._exact or any(
            scheme == found.scheme and found.host.endswith(f".{host}") for scheme, host in below
        )


def is_own(origin: str, host: str) -> bool:
    """Whether a page of `origin` is one of the server's own name, by HTTP or HTTPS."""
    found = parse_origin(origin)
    if found is None or found.scheme not in _DEFAULT_PORTS:
        return False
    return found == parse_origin(f"{found.scheme}://{host}")
