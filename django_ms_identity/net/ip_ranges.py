"""Decide which IP addresses are public, and look up a host's addresses."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

IPAddress: TypeAlias = IPv4Address | IPv6Address
Resolve: TypeAlias = Callable[[str, int], Sequence[IPAddress]]
"""Finds all addresses of a host, the best first; raises ``OSError`` or ``ValueError``."""

_NEVER_V4 = (
    IPv4Network("168.63.129.16/32"),  # Azure's own services, on every machine there
    IPv4Network("192.0.0.0/24"),  # IETF assignments, RFC 6890
    IPv4Network("192.88.99.0/24"),  # 6to4 relays, RFC 7526
)
_UNICAST_V6 = IPv6Network("2000::/3")
"""What IANA has opened for global unicast; everything else is local, mapped or unassigned."""
_NEVER_V6 = (
    IPv6Network("2001::/23"),  # Teredo and other IETF assignments: may carry any IPv4 address
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("2002::/16"),  # 6to4: carries any IPv4 address
    IPv6Network("3fff::/20"),  # documentation, RFC 9637
)
_NAT64 = IPv6Network("64:ff9b::/96")
"""How a network without IPv4 reaches IPv4 (RFC 6052): as public as the embedded address."""


def is_public(address: IPAddress) -> bool:
    """Return whether an address is of the public Internet (IANA's special-purpose registries)."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        # Python's is_global knows fewer special networks in older patch releases.
        return address in _UNICAST_V6 and address.is_global and not _within(address, _NEVER_V6)
    # Python counts multicast as global.
    return address.is_global and not address.is_multicast and not _within(address, _NEVER_V4)


def _within(address: IPAddress, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in networks)


def resolve(host: str, port: int) -> tuple[IPAddress, ...]:
    """Ask the system for all addresses of a host; blocks without a time limit."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(ip_address(address[0]) for *_, address in found))
