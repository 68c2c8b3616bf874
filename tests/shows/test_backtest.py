"""Backtests of a customer: of the live rule, which says what the stream said, and of a draft."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.shows.customer import Customer, MadeTrace, eventually, make_trace

pytestmark = pytest.mark.e2e

RULE = "when { payment.charge.where(amount > 1000) } always { fraud.check }"
STRICTER = "when { payment.charge.where(amount > 500) } always { fraud.check }"
PATIENCE_S = 120.0
SETTLED_S = 12.0
CHECK = ("fraud.check", dict[str, Any]())


def charged(amount: int, *more: tuple[str, Mapping[str, Any]]) -> MadeTrace:
    return make_trace(("payment.charge", {"amount": amount}), *more)


def send_all(customer: Customer) -> dict[str, list[MadeTrace]]:
    """Send traces that break the promise, keep it, keep it late, and are not its business."""
    exporter = customer.exporter("http")
    sent = {
        "broken": [charged(1500) for _ in range(5)],
        "kept": [charged(2000, CHECK) for _ in range(5)],
        "middling": [charged(700) for _ in range(3)],
        "small": [charged(100) for _ in range(4)],
    }
    late = charged(3000, CHECK)
    checks = [span for span in late.spans if span.name == "fraud.check"]
    exporter.export([span for span in late.spans if span not in checks])
    for traces in sent.values():
        for trace in traces:
            trace.send(exporter)
    time.sleep(SETTLED_S)
    exporter.export(checks)
    time.sleep(SETTLED_S)
    exporter.shutdown()
    return {**sent, "late": [late]}


def ids(traces: list[MadeTrace]) -> set[str]:
    return {trace.trace_id for trace in traces}


def finished(customer: Customer, backtest_id: str) -> dict[str, Any]:
    """Wait until a backtest is over."""

    def look() -> dict[str, Any] | None:
        body: dict[str, Any] = customer.api.get(f"/api/v1/backtests/{backtest_id}").json()
        return body if body["finished_at"] else None

    done = eventually(look, within_s=PATIENCE_S)
    assert done is not None, "the backtest is not over"
    assert done["state"] == "done", done["problem"]
    return done


def test_the_live_rule_gives_the_live_signals_and_a_draft_the_planted_difference(
    customer: Customer, tmp_path: Path
) -> None:
    with customer.rule(RULE) as rule_id:
        from_text = datetime.now(UTC).isoformat()
        sent = send_all(customer)
        expected = ids(sent["broken"]) | ids(sent["late"])

        def all_said() -> bool:
            verdicts = [signal["verdict"] for signal in customer.signals(rule_id)]
            return (verdicts.count("violated"), verdicts.count("satisfied")) == (5, 1)

        assert eventually(all_said, within_s=PATIENCE_S)
        live = {
            (signal["id"], signal["revision"], signal["verdict"], signal["trace_id"])
            for signal in customer.signals(rule_id)
        }
        assert {trace_id for *_, trace_id in live} == expected

        answer = customer.api.post(
            "/api/v1/backtests", json={"rules": [{"id": rule_id}], "from": from_text}
        )
        assert answer.status_code == 202, answer.text
        done = finished(customer, answer.json()["id"])
        (summary,) = done["summary"]
        assert summary["changed"] == 0
        assert (summary["now"]["violated"], summary["now"]["satisfied"]) == (5, 6)
        found = customer.api.get(f"/api/v1/backtests/{done['id']}/results").json()["items"]
        assert {
            (item["now"]["signal_id"], item["now"]["revision"], "violated", item["trace_id"])
            for item in found
        } == {signal for signal in live if signal[2] == "violated"}

        told = backtest(customer, tmp_path, rule_id, from_text)
        assert told.returncode == 1, told.stderr
        said = json.loads(told.stdout)
        (summary,) = said["backtest"]["summary"]
        assert summary["changes"] == [{"was": "not_applicable", "now": "violated", "traces": 3}]
        changed = [item for item in said["results"] if item["changed"]]
        assert {item["trace_id"] for item in changed} == ids(sent["middling"])
        example = next(item for item in changed if item["copied"])
        assert len(customer.trace(example["trace_id"])) == 2


def backtest(
    customer: Customer, folder: Path, rule_id: str, from_text: str
) -> subprocess.CompletedProcess[str]:
    """Run the command on the stricter text."""
    file = folder / f"{rule_id}.rule"
    file.write_text(STRICTER)
    program = Path(sys.executable).parent / "betrace"
    options = ("--from", from_text, "--json", "--fail-on", "new")
    return subprocess.run(
        [str(program), "rules", "backtest", str(file), *options],
        env={"BETRACE_URL": str(customer.api.base_url), "BETRACE_API_KEY": customer.key},
        capture_output=True,
        text=True,
        check=False,
    )
