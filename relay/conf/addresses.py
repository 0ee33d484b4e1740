"""Addresses at which this process listens beside the streams."""

import re
from ipaddress import ip_address
from typing import NamedTuple

_HOST = r"[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,252}[a-zA-Z0-9])?"
_ADDRESS = re.compile(rf"(?:\[([0-9a-fA-F:.]+)\]|({_HOST})):([0-9]{{1,5}})")


class Address(NamedTuple):
    """A host, without brackets, and a port."""

    host: str
    port: int

    @property
    def shown(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of this machine reach it."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine's own. A name other than localhost may be anybody's."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def parse_address(text: str) -> Address:
    """Raises ValueError, or TypeError, for what is not `host:port`."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise ValueError
    inner, name, digits = match.groups()
    if inner is not None and ip_address(inner).version != 6:
        raise ValueError
    if not 1 <= int(digits) <= 65535:
        raise ValueError
    return Address(inner or name, int(digits))
