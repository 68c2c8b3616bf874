"""Headers of records of spans, good and bad."""

from __future__ import annotations

import pytest

from udfs.addressing import MAX_CONTENT_BYTES, Address, fallback_lane, read_address, refused
from udfs.facts import DEAD_LETTER
from udfs.lanes import LANES
from udfs.wire import betrace_pb2 as wire

TENANT = b"3f0c7d0e-0c1b-4c0a-9a55-1f2e3d4c5b6a"


def test_both_headers_make_an_address() -> None:
    assert read_address(tenant=TENANT, lane=b"31") == Address(TENANT.decode(), 31)


def test_a_lane_of_a_release_that_has_more_lies_in_one_of_ours() -> None:
    assert read_address(tenant=TENANT, lane=b"63") == Address(TENANT.decode(), 63 % LANES)


@pytest.mark.parametrize(
    ("tenant", "lane"),
    [
        (None, b"1"),
        (b"", b"1"),
        (TENANT, None),
        (TENANT, b""),
        (TENANT, b"-1"),
        (TENANT, b"128"),
        (TENANT, b"1.0"),
        (TENANT, b"9" * 100_000),
        (b"\xff\xfe", b"1"),
        (TENANT, "٣".encode()),
    ],
)
def test_unusable_headers_make_none(tenant: bytes | None, lane: bytes | None) -> None:
    assert read_address(tenant=tenant, lane=lane) is None


def test_what_has_no_lane_gets_one_of_its_partition() -> None:
    assert [fallback_lane(partition) for partition in (0, 31, 32)] == [0, 31, 0]


def test_a_refused_record_is_a_dead_letter_with_the_beginning_of_its_content() -> None:
    element = refused(b"x" * 20_000, tenant="t", code="c", detail="d", partition=3, offset=4)
    assert element[0] == DEAD_LETTER
    assert wire.DeadLetter.FromString(element[1:]) == wire.DeadLetter(
        tenant="t",
        source="match",
        code="c",
        detail="d",
        topic="spans",
        partition=3,
        offset=4,
        content=b"x" * MAX_CONTENT_BYTES,
    )
