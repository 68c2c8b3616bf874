"""The pack of any log passes, whatever was written into it and whatever is asked for."""

from __future__ import annotations

import io

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.evidence import BEGIN_MS, CONTROL, EvidenceLog, LocalSigner
from udfs.evidence import verify
from udfs.evidence.pack import Disclosure, Query
from udfs.evidence.pack_range import range_for
from udfs.evidence.records import Kind

STEPS = ("minute", "quiet minute", "seal", "rotate", "erase")


def grown(steps: list[str]) -> EvidenceLog:
    """Return a log after some steps; what is not sealed by them is sealed at the end."""
    log = EvidenceLog()
    log.minute(begins=True)
    fresh = 1
    for step in steps:
        if step == "minute":
            log.minute(violated=2, spans=1)
        elif step == "quiet minute":
            log.minute(violated=0, spans=0)
        elif step == "rotate":
            fresh += 1
            log.rotate(LocalSigner.numbered(fresh))
        elif step == "erase" and log.payloads:
            log.erase(min(log.payloads))
        elif step == "seal":
            log.seal()
    log.seal()
    return log


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(STEPS), max_size=20), st.data())
def test_a_pack_of_any_log_is_valid(steps: list[str], data: st.DataObject) -> None:
    log = grown(steps)
    from_ms = data.draw(st.integers(BEGIN_MS, log.now_ms))
    query = Query(
        from_ms=from_ms,
        to_ms=data.draw(st.integers(from_ms, log.now_ms)),
        controls=data.draw(st.sampled_from([(), (CONTROL,), ("soc2.CC6.1", "gdpr.17")])),
        frameworks=data.draw(st.sampled_from([(), ("hipaa",)])),
        kinds=data.draw(st.sampled_from([(), (Kind.VERDICT, Kind.COVERAGE)])),
    )
    spanned = range_for(query, log.heads)
    assert spanned is not None
    first, end = spanned
    head = log.head(
        first=first,
        end=end,
        query=query,
        disclosure=data.draw(st.sampled_from(Disclosure)),
    )
    asked = verify.Asked([log.verifier_key(LocalSigner.numbered(1))], log.checkpoints[0].note)
    result = verify.verify(io.BytesIO(log.pack(head)), asked)
    assert result["failures"] == []
    shown = sum(
        query.asks_for({"time_ms": one.time_ms, "kind": one.kind, "controls": one.controls})
        for one in log.records
        if one.seq < end or one.kind is Kind.KEY
    )
    assert result["population"]["records"] == shown
