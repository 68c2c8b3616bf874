"""How long a next attempt waits, and what counts as one network."""

from __future__ import annotations

import pytest

from api.auth.attempts import ACCOUNT, CODE, NETWORK, Limit, network_of


def test_waits_double_from_the_first_failure_that_is_not_free_up_to_the_limit() -> None:
    waits = [ACCOUNT.wait_s(count) for count in range(16)]
    assert waits == [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


@pytest.mark.parametrize("limit", [ACCOUNT, NETWORK, CODE])
def test_no_number_of_failures_waits_for_longer_than_the_limit(limit: Limit) -> None:
    assert limit.wait_s(10**6) == limit.most_s


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002"),
        ("2001:db8:1:2::9", "2001:0db8:0001:0002"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unknown", "unknown"),
    ],
)
def test_an_ipv6_network_is_one_however_many_addresses_it_has(address: str, network: str) -> None:
    assert network_of(address) == network
