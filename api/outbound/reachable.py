"""Which addresses a call to a stranger's URL may go to. Pure.

Whoever chooses a URL must not reach what only this machine reaches: itself, its neighbours, the
cloud's metadata. The operator may open networks of their own.

Source: IANA's special-purpose address registries (RFC 6890), as `ipaddress` knows them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network
from typing import Final

from api.auth.addresses import Address, Networks, is_within, parse_address

_CLOUDS: Final = tuple(
    ip_network(text)
    for text in (
        "168.63.129.16/32",  # Azure's own services, at an address that looks public
        "192.88.99.0/24",  # relays of 6to4
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
_V4_MASK: Final = 0xFFFFFFFF


class AddressForbidden(Exception):
    """A name leads to an address that calls may not go to."""


def is_reachable(address: Address, *, allowed: Networks = ()) -> bool:
    """Return whether a call may go to an address. allowed: networks that are open all the same."""
    embedded = _embedded(address)
    if embedded is not None:
        return is_reachable(embedded, allowed=allowed)
    if is_within(address, allowed):
        return True
    return address.is_global and not address.is_multicast and not is_within(address, _CLOUDS)


def reachable_addresses(texts: Iterable[str], *, allowed: Networks = ()) -> Sequence[Address]:
    """Return the addresses of a name, in order.

    Raises AddressForbidden if there is none, or if one may not be called: a name that leads to the
    inside among others is not a mistake.
    """
    addresses = [parse_address(text) for text in texts]
    good = [each for each in addresses if each and is_reachable(each, allowed=allowed)]
    if not addresses or len(good) != len(addresses):
        raise AddressForbidden
    return good


def _embedded(address: Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address stands for, if it does."""
    if not isinstance(address, IPv6Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & _V4_MASK)
    return address.ipv4_mapped or address.sixtofour
