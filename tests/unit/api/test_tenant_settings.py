"""Settings of a tenant: limits, reading back, and the record for the job."""

from __future__ import annotations

from dataclasses import asdict
from uuid import UUID

import pytest

from api.durations import duration_ms
from api.tenants.settings import TenantSettings
from udfs.rulebook import LifeSettings
from udfs.wire import betrace_pb2 as pb

TENANT = UUID("0f8fad5b-d9cb-469f-a165-70867728950e")


def test_defaults_are_those_of_the_language() -> None:
    assert TenantSettings().to_dict() == {
        "settle_ms": 10_000,
        "patience_ms": 60_000,
        "max_life_ms": 3_600_000,
        "lateness_ms": 600_000,
        "span_sampled": False,
        "external_roots": False,
        "clock_skew_ms": 0,
        "max_trace_spans": 200_000,
        "max_open_traces": 640_000,
        "max_open_bytes": 1_073_741_824,
        "max_known_traces": 128_000_000,
        "fold_after": 10,
        "max_rules": 1_000,
        "max_members": None,
        "monthly_spans": None,
        "quiet_days": 30,
        "requests_per_min": None,
        "person_requests_per_min": None,
        "key_requests_per_min": None,
        "spans_per_s": None,
        "span_bytes_per_s": None,
    }


def test_defaults_are_those_of_the_job() -> None:
    of_job, of_tenants = asdict(LifeSettings()), TenantSettings().to_dict()
    assert of_job == {name: of_tenants[name] for name in of_job}


def test_what_was_written_is_read_back() -> None:
    settings = TenantSettings(settle_ms=2_000, external_roots=True, fold_after=None)
    assert TenantSettings.from_dict({**settings.to_dict(), "unknown": 1}) == settings


@pytest.mark.parametrize(
    "values",
    [
        {"settle_ms": 0},
        {"patience_ms": 999},
        {"max_life_ms": 2 * 24 * 3_600_000},
        {"lateness_ms": -1},
        {"settle_ms": 60_000, "max_life_ms": 30_000},
        {"clock_skew_ms": -1},
        {"max_trace_spans": 99},
        {"max_open_traces": 999},
        {"max_open_bytes": 1_000_000},
        {"max_known_traces": 0},
        {"max_rules": 0},
        {"monthly_spans": 0},
        {"quiet_days": 0},
        {"fold_after": 0},
        {"fold_after": 2**32 - 1},
    ],
)
def test_values_outside_their_limits_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        TenantSettings.from_dict(values)


def test_the_record_carries_every_setting() -> None:
    record = TenantSettings(settle_ms=2_000, span_sampled=True).log_record(TENANT)
    assert pb.RuleLogRecord.FromString(record) == pb.RuleLogRecord(
        tenant=pb.TenantSettings(
            tenant=str(TENANT),
            settle_ms=2_000,
            patience_ms=60_000,
            max_life_ms=3_600_000,
            lateness_ms=600_000,
            span_sampled=True,
            max_trace_spans=200_000,
            max_open_traces=640_000,
            max_open_bytes=1_073_741_824,
            max_known_traces=128_000_000,
            fold_after=10,
        )
    )


def test_no_lateness_is_told_apart_from_nothing_said() -> None:
    record = TenantSettings(lateness_ms=0).log_record(TENANT)
    told = pb.RuleLogRecord.FromString(record).tenant
    assert (told.HasField("lateness_ms"), told.lateness_ms) == (True, 0)


def test_no_limit_has_a_number_on_the_wire() -> None:
    record = TenantSettings(fold_after=None).log_record(TENANT)
    assert pb.RuleLogRecord.FromString(record).tenant.fold_after == 2**32 - 1


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        ("2s", 2_000),
        ("1.5s", 1_500),
        ("250ms", 250),
        ("10m", 600_000),
        ("1h", 3_600_000),
        ("1d", 86_400_000),
    ],
)
def test_durations_are_read_as_the_language_writes_them(text: str, expected_ms: int) -> None:
    assert duration_ms(text) == expected_ms


@pytest.mark.parametrize("text", ["", "2", "s", "-2s", "2 s", "2w", "1e3s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        duration_ms(text)
