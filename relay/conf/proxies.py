"""Who is at the other end, also behind proxies that are trusted."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network


def parse_networks(words: Iterable[str]) -> tuple[Network, ...]:
    """Raises ValueError for what is no address and no network."""
    return tuple(ip_network(word) for word in words)


def client_address(peer: str, forwarded_for: str, trusted: tuple[Network, ...]) -> str:
    """Whom to count the client as: an IPv4 address, or the /64 network of an IPv6 one.

    X-Forwarded-For counts only as far as trusted proxies wrote it: it is read from its end, and the
    first address that is none of theirs is the client's.
    """
    address = peer
    for word in reversed(forwarded_for.split(",") if forwarded_for else []):
        if not _is_in(address, trusted):
            break
        try:
            address = str(_parse(word))
        except ValueError:
            break
    return _counted(address)


def direct_address(peer: str, trusted: tuple[Network, ...]) -> str:
    """Returns whom to count a connection as whose fields are not known; empty for a trusted proxy's."""
    return "" if _is_in(peer, trusted) else _counted(peer)


def _counted(address: str) -> str:
    try:
        parsed = _parse(address)
    except ValueError:
        return address
    return str(parsed if parsed.version == 4 else ip_network((parsed, 64), strict=False))


_WITH_PORT = re.compile(r"\[([0-9a-fA-F:.]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")
"""As some proxies write an address into X-Forwarded-For: `1.2.3.4:5678`, `[2001:db8::1]:443`."""


def _parse(word: str) -> IPv4Address | IPv6Address:
    """An IPv4 address within an IPv6 one, as a socket for both has them, is the former."""
    word = word.strip().strip('"')
    match = _WITH_PORT.fullmatch(word)
    parsed = ip_address((match[1] or match[2]) if match else word)
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _is_in(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        parsed = _parse(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks if network.version == parsed.version)
