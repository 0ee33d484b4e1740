"""Who is at the other end, also behind proxies that are trusted."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network


def parse_networks(words: Iterable[str]) -> tuple[Network, ...]:
    """Raises ValueError for what is no address and no network."""
    return tuple(ip_network(word) for word in words)


def client_address(peer: str, forwarded_for: str, trusted: tuple[Network, ...]) -> str:
    """The address of the client.

    X-Forwarded-For counts only as far as trusted proxies wrote it: it is read from its end, and the
    first address that is none of theirs is the client's.
    """
    address = peer
    for word in reversed(forwarded_for.split(",") if forwarded_for else []):
        if not _is_in(address, trusted):
            break
        try:
            address = str(ip_address(word.strip()))
        except ValueError:
            break
    return address


def _is_in(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks if network.version == parsed.version)
