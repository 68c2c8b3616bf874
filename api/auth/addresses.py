"""Where a request comes from, and whether that is among the places that a key may be used from.

A proxy names its caller in X-Forwarded-For, and so can anybody: the header is read only where the
peer is a proxy that the operator trusts, from right to left, as each hop appends its own peer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Networks = tuple[Network, ...]
_OWN_BITS = 64


class AddressRefused(Exception):
    """The key is good, but not from this address."""

    def __init__(self, address: Address | None) -> None:
        self.sentence = f"This API key may not be used from {address or 'an unknown address'}."
        super().__init__(self.sentence)


def parse_network(text: str) -> Network:
    """Return an address or a network in CIDR notation. Raises ValueError that says what is wrong.

    Bits beyond the prefix are refused: 10.0.0.7/8 is a typing mistake more often than not.
    """
    try:
        network = ip_network(text.strip())
    except ValueError as error:
        raise ValueError(
            f"{text.strip()!r} is no address or network such as 203.0.113.7, 10.0.0.0/8 or "
            "2001:db8::/32 (bits beyond the prefix must be zero)"
        ) from error
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        raise ValueError(f"{text.strip()!r} is an IPv4 network: write it without ::ffff:")
    return network


def parse_networks(texts: Iterable[str]) -> Networks:
    """Return networks without doubles, in the order given. Raises ValueError."""
    return tuple(dict.fromkeys(parse_network(text) for text in texts))


def parse_address(text: str) -> Address | None:
    """Return an address; None for what is none. An IPv4 address mapped into IPv6 is that one."""
    try:
        address = ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_within(address: Address | None, networks: Networks) -> bool:
    """Return whether an address lies in one of the networks; an unknown one lies in none."""
    return address is not None and any(address in network for network in networks)


def is_inside(network: Network, others: Networks) -> bool:
    """Return whether a whole network lies in one of the others."""
    return any(
        network.version == other.version
        and network.network_address in other
        and network.prefixlen >= other.prefixlen
        for other in others
    )


def network_of_address(address: Address | None) -> str:
    """Return what one household or host owns: an IPv4 address, or the first 64 bits of IPv6."""
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _OWN_BITS), strict=False))
    return str(address) if address else "unknown"


def caller_address(peer: str, forwarded_for: Sequence[str], *, trusted: Networks) -> Address | None:
    """Return the address of whoever sent a request, None if it cannot be known.

    peer: the other end of the connection. forwarded_for: the X-Forwarded-For headers as they came.
    The first hop from the right that is no trusted proxy is the caller. A hop that is no address
    (`unknown`, a name) leaves the caller unknown: what it hides is not guessed.
    """
    address = parse_address(peer)
    hops = [hop for header in forwarded_for for hop in header.split(",")]
    while hops and is_within(address, trusted):
        address = parse_address(hops.pop())
    return address
