"""Where a request comes from, with and without proxies, and what lies in which network."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.auth.addresses import (
    caller_address,
    is_inside,
    is_within,
    parse_address,
    parse_network,
    parse_networks,
)

TRUSTED = parse_networks(["10.0.0.0/8", "2001:db8:ffff::/48"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["203.0.113.7, 10.9.9.9 ,10.0.0.2"], "203.0.113.7"),
        ("10.0.0.1", ["10.0.0.3"], "10.0.0.3"),
        ("10.0.0.1", ["203.0.113.7, unknown"], None),
        ("10.0.0.1", [""], None),
        ("2001:db8:ffff::1", ["2001:db8::5"], "2001:db8::5"),
        ("::ffff:10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("::ffff:203.0.113.7", [], "203.0.113.7"),
        ("fe80::1%eth0", [], "fe80::1"),
        ("", [], None),
        ("testclient", ["203.0.113.7"], None),
    ],
)
def test_the_caller_is_the_last_hop_that_is_no_trusted_proxy(
    peer: str, forwarded: list[str], caller: str | None
) -> None:
    found = caller_address(peer, forwarded, trusted=TRUSTED)
    assert found == (parse_address(caller) if caller else None)


@given(st.lists(st.text()))
def test_without_trusted_proxies_no_header_says_anything(forwarded: list[str]) -> None:
    assert caller_address("203.0.113.7", forwarded, trusted=()) == parse_address("203.0.113.7")


@given(st.ip_addresses(), st.lists(st.ip_addresses()))
def test_what_a_caller_writes_into_the_header_does_not_move_them(
    caller: object, made_up: list[object]
) -> None:
    header = ", ".join(map(str, [*made_up, caller]))
    found = caller_address("10.0.0.1", [header], trusted=TRUSTED)
    real = parse_address(str(caller))
    assert found == real or is_within(real, TRUSTED)


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("192.0.2.7", True),
        ("192.0.3.1", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("::ffff:192.0.2.7", True),
        ("198.51.100.9", True),
        ("198.51.100.8", False),
    ],
)
def test_an_address_lies_in_networks_of_its_own_version(address: str, inside: bool) -> None:
    networks = parse_networks(["192.0.2.0/24", "2001:db8::/32", "198.51.100.9"])
    assert is_within(parse_address(address), networks) is inside


def test_an_unknown_address_lies_in_no_network() -> None:
    assert not is_within(None, parse_networks(["0.0.0.0/0", "::/0"]))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("10.0.0.7/8", "bits beyond the prefix"),
        ("example.com", "no address or network"),
        ("", "no address or network"),
        ("::ffff:10.0.0.0/104", "without ::ffff:"),
    ],
)
def test_what_is_no_network_is_refused_with_the_reason(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_network(text)


def test_a_network_is_inside_a_wider_one_of_the_same_version() -> None:
    wide = parse_networks(["10.0.0.0/8", "2001:db8::/32"])
    assert is_inside(parse_network("10.1.0.0/16"), wide)
    assert is_inside(parse_network("2001:db8:1::/48"), wide)
    assert not is_inside(parse_network("0.0.0.0/0"), wide)
    assert not is_inside(parse_network("::/0"), wide)
    assert not is_inside(parse_network("11.0.0.0/16"), wide)
