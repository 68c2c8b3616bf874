"""What a stranger's URL may lead to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.auth.addresses import parse_address, parse_networks
from api.outbound.calls import CallRefused, refuse_url
from api.outbound.reachable import AddressForbidden, is_reachable, reachable_addresses

INSIDE = [
    *("127.0.0.1", "127.8.9.10", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1"),
    *("169.254.169.254", "100.64.0.1", "100.100.100.200", "168.63.129.16", "198.18.0.1"),
    *("224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "203.0.113.1", "192.88.99.1"),
    *("::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
    *("2002:7f00:1::1", "2002:a9fe:a9fe::", "fe80::1%eth0"),
]
OUTSIDE = ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("text", INSIDE)
def test_nothing_inside_is_reached(text: str) -> None:
    with pytest.raises(AddressForbidden):
        reachable_addresses([text])
    with pytest.raises(AddressForbidden):
        reachable_addresses(["8.8.8.8", text])


@pytest.mark.parametrize("text", OUTSIDE)
def test_the_outside_is_reached(text: str) -> None:
    assert reachable_addresses([text]) == [parse_address(text)]


def test_a_name_without_an_address_leads_nowhere() -> None:
    for texts in ([], ["nonsense"], ["8.8.8.8", "nonsense"]):
        with pytest.raises(AddressForbidden):
            reachable_addresses(texts)


def test_the_operator_opens_single_networks() -> None:
    allowed = parse_networks(["10.0.0.0/24", "fd00::/64"])
    texts = ["10.0.0.7", "::ffff:10.0.0.7", "fd00::7", "10.0.1.7", "127.0.0.1"]
    addresses = [address for address in map(parse_address, texts) if address is not None]
    reached = [is_reachable(address, allowed=allowed) for address in addresses]
    assert reached == [True, True, True, False, False]


@given(st.ip_addresses(v=4))
def test_how_an_address_is_written_changes_nothing(address: object) -> None:
    four = parse_address(str(address))
    assert four is not None
    forms = [f"::ffff:{address}", f"64:ff9b::{int(four) >> 16:x}:{int(four) & 0xFFFF:x}"]
    for form in forms:
        six = parse_address(form)
        assert six is not None
        assert is_reachable(six) == is_reachable(four)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "https:///path",
        "https://user:secret@example.com/",
        "https://user@example.com/",
        "https://example.com:22/",
        "https://example.com:25/",
        "https://example.com:99999/",
        "https://example.com\\@evil.example/",
        "https://exa mple.com/",
        "https://example.com/\r\nX: y",
        "https://exämple.com/",
        "https://[::1/",
        "https://example.com/" + "a" * 2_048,
        "",
    ],
)
def test_urls_that_are_not_called(url: str) -> None:
    with pytest.raises(CallRefused):
        refuse_url(url)


@pytest.mark.parametrize(
    "url", ["https://example.com", "https://example.com:8443/a?b=c", "https://[2606:4700::1]/"]
)
def test_urls_that_are_called(url: str) -> None:
    refuse_url(url)
    refuse_url("http://example.com:80/", plain_http=True)
