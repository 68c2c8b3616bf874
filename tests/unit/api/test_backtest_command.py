"""`betrace rules backtest` as people and CI call it, against a server that plays its part."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.command.rules import app

TEXT = "when { payment.charge }\nalways { fraud.check }\n"
STARTED = "2026-11-23T12:00:00Z"


def backtest(state: str, *, changes: tuple[tuple[str, str, int], ...] = (), **more: Any) -> Any:
    """Return a backtest as the API tells it."""
    now = dict.fromkeys(("violated", "satisfied", "inconclusive", "not_applicable", "open"), 0)
    was = dict(now)
    for before, after, count in changes:
        was[before] += count
        now[after] += count
    over = state in ("done", "failed", "cancelled")
    rule = {
        "id": "charges",
        "name": "Charges",
        "severity": "high",
        "kind": "promise",
        "now": {"version": None, "text": TEXT},
        "was": {"version": 3, "text": TEXT},
    }
    progress = {
        "share": 1.0 if over else 0.4,
        "records_read": 40,
        "records_total": 100,
        "spans": 12_345,
        "traces": 50,
        "partitions_done": 32 if over else 3,
        "partitions_total": 32,
        "gathering": False,
        "seconds_left": None,
    }
    return {
        "id": "b1",
        "state": state,
        "from": "2026-11-23T10:00:00Z",
        "to": STARTED,
        "requested_by": "key:ci",
        "created_at": STARTED,
        "started_at": STARTED,
        "finished_at": STARTED if over else None,
        "log_end_at": STARTED,
        "problem": None,
        "rules": [rule],
        "progress": progress,
        "open_traces": 0,
        "summary": [
            {
                "rule_id": "charges",
                "now": now,
                "was": was,
                "changed": sum(count for a, b, count in changes if a != b),
                "changes": [
                    {"was": a, "now": b, "traces": count} for a, b, count in changes if a != b
                ],
            }
        ],
        **more,
    }


def result(was: str, now: str) -> dict[str, Any]:
    """Return a result as the API tells it."""

    def outcome(verdict: str) -> dict[str, Any]:
        broken = "always" if verdict == "violated" else ""
        return {"verdict": verdict, "broken_clause": broken, "reasons": [], "incomplete": False}

    condition = {
        "text": "fraud.check",
        "state": "false",
        "nearest_miss": {"name": "fraud.check", "failed": ["score > 1: score is 0"]},
    }
    return {
        "rule_id": "charges",
        "trace_id": "ab" * 16,
        "was": outcome(was),
        "now": outcome(now),
        "begin_at": STARTED,
        "root_name": "POST /pay",
        "root_service": "shop",
        "seen": None,
        "explanations": {"now": {"clauses": [{"clause": "always", "conditions": [condition]}]}},
    }


@dataclass
class Played:
    """What the server answers, and what it was asked."""

    states: list[dict[str, Any]]
    results: list[dict[str, Any]] | None = field(default_factory=list)
    refusal: tuple[int, dict[str, Any]] | None = None
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    watched: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        self.asked.append((method, path.partition("?")[0], body))
        if method == "POST" and path.endswith("/cancel"):
            self.states = [backtest("cancelled")]
            return 200, backtest("cancelling")
        if method == "POST":
            return self.refusal or (202, backtest("queued"))
        if "/results" in path:
            if self.results is None:
                return 403, {"detail": "no", "code": "auth.forbidden"}
            return 200, {"items": self.results, "next_cursor": None}
        self.watched.set()
        return 200, self.states.pop(0) if len(self.states) > 1 else self.states[0]


@contextmanager
def playing(played: Played) -> Iterator[Played]:
    """Serve what is played on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            assert self.headers["X-API-Key"] == "the key"
            status, told = played.answer(
                self.command, self.path, json.loads(body) if body else None
            )
            text = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = _serve  # noqa: N815 - the base's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    played.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield played
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def rule(tmp_path: Path) -> Path:
    file = tmp_path / "charges.rule"
    file.write_text(TEXT)
    return file


def run(played: Played, *words: str) -> Any:
    environment = {"BETRACE_URL": played.url, "BETRACE_API_KEY": "the key", "TZ": "UTC"}
    return CliRunner().invoke(app, ["backtest", *words], env=environment)


def test_a_text_is_asked_about_and_the_difference_shown(rule: Path) -> None:
    done = backtest("done", changes=(("satisfied", "violated", 7), ("violated", "violated", 2)))
    played = Played([backtest("running"), done], [result("satisfied", "violated")])
    with playing(played):
        told = run(played, str(rule), "--from", "2h")
    assert told.exit_code == 0, told.output
    assert played.asked[0] == (
        "POST",
        "/api/v1/backtests",
        {
            "rules": [{"id": "charges", "rule": TEXT}],
            "from": "2h",
            "to": "now",
            "against": "live",
        },
    )
    lines = [" ".join(line.split()) for line in told.stdout.splitlines()]
    assert "charges the draft against version 3" in lines
    assert "violated 2 9 +7" in lines
    assert "satisfied 7 0 -7" in lines
    assert "satisfied → violated: 7 traces" in lines
    assert f"2026-11-23 12:00:00 {'ab' * 16} shop POST /pay" in lines
    assert "always: fraud.check is false" in lines
    assert "nearest: fraud.check fails score > 1: score is 0" in lines


def test_a_rule_over_many_traces_counts_signals_and_shows_keys(rule: Path) -> None:
    changes = (
        ("satisfied", "violated", 2),
        ("violated", "violated", 1),
        ("satisfied", "satisfied", 9),
    )
    done = backtest("done", changes=changes)
    done["rules"][0]["kind"] = "correlate"
    seen = {"kind": "correlate", "count": 7, "since_ns": 0, "last_ns": 65 * 10**9,
            "within_ns": 300 * 10**9}  # fmt: skip
    raised = {
        **result("satisfied", "violated"),
        "trace_id": None,
        "seen": {"key": {"user.id": "u1"}, "was": None, "now": seen},
        "explanations": None,
    }
    played = Played([done], [raised])
    with playing(played):
        told = run(played, str(rule))
    lines = [" ".join(line.split()) for line in told.stdout.splitlines()]
    assert "signal 1 3 +2" in lines
    assert "no signal 11 9 -2" in lines
    assert "no signal → signal: 2 signals" in lines
    assert "2026-11-23 12:00:00 user.id = u1 7 within 6 min 5 s" in lines


def test_json_holds_the_backtest_and_its_results(rule: Path) -> None:
    done = backtest("done")
    played = Played([done], [result("satisfied", "violated")])
    with playing(played):
        told = run(played, str(rule), "--json")
    assert json.loads(told.stdout) == {"backtest": done, "results": played.results}


@pytest.mark.parametrize(
    ("changes", "fail_on", "code"),
    [
        ((("satisfied", "violated", 1),), ("new",), 1),
        ((("satisfied", "violated", 1),), ("lost",), 0),
        ((("violated", "satisfied", 1),), ("lost",), 1),
        ((("violated", "satisfied", 1),), ("new",), 0),
        ((("violated", "violated", 1),), ("new", "lost", "changed"), 0),
        ((("violated", "violated", 1),), ("violated",), 1),
        ((("satisfied", "inconclusive", 1),), ("changed",), 1),
        ((("satisfied", "satisfied", 1),), ("changed", "violated"), 0),
    ],
)
def test_fail_on_decides_the_exit_code(
    rule: Path, changes: tuple[tuple[str, str, int], ...], fail_on: tuple[str, ...], code: int
) -> None:
    played = Played([backtest("done", changes=changes)])
    with playing(played):
        words = [word for what in fail_on for word in ("--fail-on", what)]
        assert run(played, str(rule), *words).exit_code == code


def test_what_it_is_compared_with_may_be_a_version_or_a_file(rule: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.rule"
    other.write_text("when { a } always { b }")
    played = Played([backtest("done")])
    with playing(played):
        run(played, str(rule), "--against", "7")
        run(played, str(rule), "--against", str(other))
        run(played, str(rule), "--against", "nothing")
        unknown = run(played, str(rule), "--against", "yesterday")
    asked = [body["against"] for method, _, body in played.asked if method == "POST"]
    assert asked == [
        [{"id": "charges", "version": 7}],
        [{"id": "charges", "rule": "when { a } always { b }"}],
        "nothing",
    ]
    assert unknown.exit_code != 0
    assert "'yesterday'" in str(unknown.exception)


def test_objects_are_sent_whole(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("id: one\nseverity: low\nrule: when { a } always { b }\n")
    played = Played([backtest("done")])
    with playing(played):
        run(played, str(file))
    (sent,) = played.asked[0][2]["rules"]
    assert (sent["id"], sent["severity"], sent["rule"]) == ("one", "low", "when { a } always { b }")


def test_a_rule_that_does_not_check_is_shown_with_a_caret_and_not_sent(tmp_path: Path) -> None:
    file = tmp_path / "wrong.rule"
    file.write_text("when { a }\nalways { b.where(x = 1) }\n")
    played = Played([backtest("done")])
    with playing(played):
        told = run(played, str(file))
    assert (told.exit_code, played.asked) == (2, [])
    assert "rule.single_equals" in told.stderr
    assert "^" in told.stderr


def test_a_refusal_is_told_with_what_to_do(rule: Path) -> None:
    body = {"detail": "The range begins too early.", "code": "backtest.expired"}
    played = Played([backtest("done")], refusal=(422, body))
    with playing(played):
        told = _betrace(played, str(rule))
        _, stderr = told.communicate(timeout=60)
    assert told.returncode == 2
    assert stderr == "betrace: The range begins too early. [backtest.expired]\n"


def test_a_failed_one_is_neither_good_nor_a_finding(rule: Path) -> None:
    failed = backtest("failed", problem="the spans log has lost its beginning")
    played = Played([failed])
    with playing(played):
        told = run(played, str(rule), "--fail-on", "changed")
    assert told.exit_code == 3
    assert "the spans log has lost its beginning" in told.stdout


def test_a_key_that_may_not_see_traces_gets_the_counts(rule: Path) -> None:
    played = Played([backtest("done", changes=(("satisfied", "violated", 7),))], None)
    with playing(played):
        told = run(played, str(rule))
    assert told.exit_code == 0
    assert "satisfied → violated: 7 traces" in told.stdout
    assert "may not see single traces" in told.stdout


def test_ctrl_c_calls_it_off(rule: Path) -> None:
    played = Played([backtest("running")])
    with playing(played):
        process = _betrace(played, str(rule))
        assert played.watched.wait(60)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert ("POST", "/api/v1/backtests/b1/cancel", None) in played.asked
    assert stderr == f"Also at {played.url}/backtests/b1\nThe backtest is cancelled.\n"


def test_without_an_address_it_says_what_to_set(rule: Path) -> None:
    process = _betrace(Played([]), str(rule))
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "BETRACE_URL is not set" in stderr


def _betrace(played: Played, *words: str) -> subprocess.Popen[str]:
    program = Path(sys.executable).parent / "betrace"
    return subprocess.Popen(
        [str(program), "rules", "backtest", *words],
        env={"BETRACE_URL": played.url, "BETRACE_API_KEY": "the key"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Of a shell's background job, which ignores Ctrl-C, children would ignore it too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
