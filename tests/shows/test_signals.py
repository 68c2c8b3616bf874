"""Show 3: a rule posted, traces sent by the SDK's exporters, signals and traces read back."""

from __future__ import annotations

import time

import pytest

from tests.shows.customer import Customer, eventually, make_trace

pytestmark = pytest.mark.e2e

RULE = 'when { payment.charge.where(amount > 1000) } always { fraud.check } never { "bypass" }'
SETTLE_S = 2.0
COPY_S = 60.0
"""The copier is the part that may wait, for whatever else the machine has to do."""
SIGNAL_S = 10.0
"""From a trace's closing to its signal, at most."""
LARGE = ("payment.charge", {"amount": 1500})
SMALL = ("payment.charge", {"amount": 10})
CHECK = ("fraud.check", {})


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_violating_trace_gives_exactly_one_signal_and_keeps_all_its_spans(
    customer: Customer, protocol: str
) -> None:
    exporter = customer.exporter(protocol)
    broken, kept, other = make_trace(LARGE), make_trace(LARGE, CHECK), make_trace(SMALL)
    with customer.rule(RULE) as rule_id:
        for trace in (kept, other, broken):
            trace.send(exporter)
        found = eventually(lambda: customer.signals(rule_id), within_s=SETTLE_S + SIGNAL_S)
        assert [(s["trace_id"], s["verdict"]) for s in found] == [(broken.trace_id, "violated")]

        broken.send(exporter)
        kept.send(exporter)
        time.sleep(2 * SETTLE_S + 3)
        again = customer.signals(rule_id)
        assert [(s["id"], s["verdict"]) for s in again] == [(found[0]["id"], "violated")]

        spans = eventually(lambda: customer.trace(broken.trace_id), within_s=COPY_S)
        sent = {format(span.get_span_context().span_id, "016x") for span in broken.spans}
        assert {span["span_id"] for span in spans} == sent
    exporter.shutdown()


def test_a_late_span_that_keeps_the_promise_withdraws_the_signal(customer: Customer) -> None:
    exporter = customer.exporter("http")
    whole = make_trace(LARGE, CHECK)
    check = [span for span in whole.spans if span.name == "fraud.check"]
    rest = [span for span in whole.spans if span.name != "fraud.check"]
    with customer.rule(RULE) as rule_id:
        exporter.export(rest)
        raised = eventually(lambda: customer.signals(rule_id), within_s=SETTLE_S + SIGNAL_S)
        assert [s["verdict"] for s in raised] == ["violated"]
        exporter.export(check)

        def withdrawn() -> bool:
            return [s["verdict"] for s in customer.signals(rule_id)] == ["satisfied"]

        assert eventually(withdrawn, within_s=SETTLE_S + SIGNAL_S)
    exporter.shutdown()
