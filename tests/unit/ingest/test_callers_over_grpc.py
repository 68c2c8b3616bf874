"""How gRPC names its peers."""

from __future__ import annotations

import pytest

from api.auth.addresses import parse_address
from api.ingest.otlp_grpc import _host_of


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:203.0.113.9:52110", "203.0.113.9"),
        ("ipv6:%5B2001:db8::7%5D:52110", "2001:db8::7"),
        ("ipv6:[::ffff:203.0.113.9]:52110", "203.0.113.9"),
    ],
)
def test_a_peer_is_known_by_its_address(peer: str, address: str) -> None:
    assert parse_address(_host_of(peer)) == parse_address(address)


@pytest.mark.parametrize("peer", ["unix:/run/ingest.sock", "unix:", "", "ipv4:"])
def test_a_peer_without_an_address_is_unknown(peer: str) -> None:
    assert parse_address(_host_of(peer)) is None
