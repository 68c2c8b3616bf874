"""The client for scripts against the running application, over the network."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4
from zipfile import ZipFile

import httpx
import pytest

from api.auth.principal import Role, TenantScope
from api.client import BeTrace, Conflict, Invalid, NotFound, Refused
from api.database import open_pool
from api.keys.authority import OPERATOR
from api.keys.model import KeyDraft
from api.keys.service import KeyMaker, create_key
from api.rules.model import RuleState
from api.rules.schemas import RuleBody
from api.signals.feed import Change
from api.signals.model import Sort, Status
from tests.support.by_hand import script_of
from tests.support.console import SECRET, Console, running_console
from tests.support.postgres import Database
from tests.support.tenants import (
    NOON,
    insert_backtest,
    insert_rule,
    insert_signal,
    insert_trace,
    make_tenant,
    update_signal,
)

RULE = {"rule": "when { payment.charge } always { fraud.check }", "severity": "high"}


@pytest.fixture(scope="module")
def console(shared_database: Database) -> Iterator[Console]:
    """The application, served on a port."""
    with running_console(shared_database) as served:
        yield served


def _new_key(database: Database, role: Role = Role.ADMIN) -> tuple[TenantScope, str]:
    async def make() -> tuple[TenantScope, str]:
        async with open_pool(database.app, size=1) as pool:
            scope = await make_tenant(pool)
            draft = KeyDraft(name=f"key-{uuid4()}", role=role)
            maker = KeyMaker(SECRET.encode(), most=10_000)
            made = await create_key(pool, scope, draft, maker=maker, authority=OPERATOR)
            return scope, made.text

    return asyncio.run(make())


@pytest.fixture
def tenant(console: Console) -> tuple[TenantScope, str]:
    """A new tenant and an administrator's key."""
    return _new_key(console.database)


@pytest.fixture
def scope(tenant: tuple[TenantScope, str]) -> TenantScope:
    """The new tenant."""
    return tenant[0]


@pytest.fixture
def betrace(console: Console, tenant: tuple[TenantScope, str]) -> Iterator[BeTrace]:
    """The new tenant as a script sees it."""
    with BeTrace(console.url, tenant[1]) as opened:
        yield opened


@pytest.fixture
def stranger(console: Console) -> Iterator[BeTrace]:
    """Another new tenant as a script sees it."""
    with BeTrace(console.url, _new_key(console.database)[1]) as opened:
        yield opened


def test_a_rule_lives_through_all_its_versions(betrace: BeTrace) -> None:
    rules = betrace.rules
    made = rules.create({"id": "paid", **RULE})
    assert (made.id, made.version, made.state) == ("paid", 1, RuleState.ACTIVE)
    changed = rules.save("paid", {**RULE, "severity": "low"}, if_version=1)
    assert changed.version == 2
    with pytest.raises(Conflict) as stale:
        rules.save("paid", {**RULE, "severity": "info"}, if_version=1)
    assert stale.value.status == 412
    assert rules.switch("paid", "off").state is RuleState.OFF
    assert rules.restore("paid", version=1, reason="Low was wrong.").reason == "Low was wrong."
    assert [rule.version for rule in rules.versions("paid")] == [4, 3, 2, 1]
    assert rules.version("paid", 2).version == 2
    assert [field.name for field in rules.difference("paid", was=1, now=2).fields] == ["severity"]
    rules.delete("paid")
    with pytest.raises(NotFound) as gone:
        rules.get("paid")
    assert (gone.value.code, bool(gone.value.request_id)) == ("request.not_found", True)


def test_rules_are_read_as_yaml_too_and_told_what_is_wrong(betrace: BeTrace) -> None:
    assert betrace.rules.create("id: y\nrule: when { a } never { b }\n").id == "y"
    with pytest.raises(Conflict) as taken:
        betrace.rules.create("id: y\nrule: when { a } never { b }\n")
    assert taken.value.code == "rule.exists"
    with pytest.raises(Invalid) as wrong:
        betrace.rules.create({"id": "z", "rule": "never { ("})
    assert wrong.value.members["problems"][0]["line"] == 1
    said = betrace.rules.validate({"rule": "never { ("})
    assert (said.valid, said.problems[0].line) == (False, 1)


def test_a_suite_is_tried_without_saving(betrace: BeTrace) -> None:
    tried = betrace.rules.trial({"rule": RULE["rule"], "traces": [[{"name": "payment.charge"}]]})
    assert [verdict.verdict for verdict in tried.verdicts] == ["violated"]
    assert list(betrace.rules.each()) == []


def test_a_list_is_read_page_by_page_as_far_as_it_is_wanted(
    betrace: BeTrace, scope: TenantScope, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.client.connection.PAGE", 2)
    insert_rule(console.database.app, scope)
    ids = [
        insert_signal(console.database.worker, scope, judged_at=NOON + timedelta(seconds=n))
        for n in range(5)
    ]
    update_signal(console.database.worker, scope, ids[0], status="investigating", version=2)
    signals = betrace.signals
    assert [signal.id for signal in signals.each()] == ids[::-1]
    assert [signal.id for signal in signals.each(limit=3, sort=Sort.OLDEST)] == ids[:3]
    later = signals.each(from_at=NOON + timedelta(seconds=2), status=[Status.OPEN])
    assert [signal.id for signal in later] == ids[:1:-1]
    assert [signal.id for signal in signals.each(status=Status.INVESTIGATING)] == ids[:1]
    assert list(signals.each(limit=0)) == []


def test_a_signal_is_worked_on(betrace: BeTrace, scope: TenantScope, console: Console) -> None:
    insert_rule(console.database.app, scope)
    one, other = (insert_signal(console.database.worker, scope) for _ in range(2))
    signals = betrace.signals
    taken = signals.change(one, status=Status.INVESTIGATING, if_version=1)
    assert (taken.status, taken.version) == (Status.INVESTIGATING, 2)
    with pytest.raises(Conflict) as stale:
        signals.change(one, assignee=None, if_version=1)
    assert stale.value.members["current_version"] == 2
    with pytest.raises(Invalid, match="reason"):
        signals.change(one, status=Status.RESOLVED)
    note = signals.add_note(one, "The **flag** was off.")
    assert signals.change_note(one, note.id, "On.", if_version=1).version == 2
    assert [written.text for written in signals.notes(one)] == ["On."]
    assert [linked.id for linked in signals.link(one, other).linked] == [other]
    done = signals.change_many([one, other], status=Status.RESOLVED, reason="Fixed.")
    assert (done.changed, signals.undo(done.id).changed) == (2, 2)
    assert signals.change_many({"status": Status.OPEN}, status=Status.INVESTIGATING).changed == 1
    assert signals.facets().total == 2


def test_a_key_sees_its_own_tenant_alone(
    betrace: BeTrace, stranger: BeTrace, scope: TenantScope, console: Console
) -> None:
    betrace.rules.create({"id": "mine", **RULE})
    signal_id = insert_signal(console.database.worker, scope, rule_id="mine")
    assert [signal.id for signal in betrace.signals.each()] == [signal_id]
    assert list(stranger.signals.each()) == list(stranger.rules.each()) == []
    for ask in (
        lambda: stranger.rules.get("mine"),
        lambda: stranger.signals.get(signal_id),
        lambda: stranger.signals.change(signal_id, status=Status.INVESTIGATING),
    ):
        with pytest.raises(NotFound):
            ask()


def test_a_key_that_is_none_is_refused(console: Console) -> None:
    with BeTrace(console.url, "betrace_live_none") as betrace, pytest.raises(Refused) as refused:
        betrace.tenant.get()
    assert (refused.value.status, refused.value.code) == (401, "auth.unauthenticated")


def test_a_key_may_do_what_it_is_for_and_no_more(console: Console) -> None:
    _, key = _new_key(console.database, Role.DEVELOPER)
    with BeTrace(console.url, key) as betrace:
        assert list(betrace.rules.each()) == []
        with pytest.raises(Refused) as refused:
            list(betrace.keys.each())
    assert (refused.value.status, refused.value.code) == (403, "auth.forbidden")


def test_traces_backtests_and_the_tenant_come_as_what_they_are(
    betrace: BeTrace, scope: TenantScope, console: Console
) -> None:
    insert_trace(console.database.worker, scope, "5b" * 16, "GET /", "b")
    [found] = betrace.traces.each(service="shop")
    assert found.trace_id == "5b" * 16
    assert [span.name for span in betrace.traces.get(found.trace_id).spans] == ["GET /", "b"]
    backtest_id = insert_backtest(console.database.app, scope, state="done", finished_at=NOON)
    [backtest] = betrace.backtests.each()
    assert (str(backtest.id), backtest.to_at) == (backtest_id, NOON)
    assert betrace.backtests.wait(backtest.id).state.is_over
    assert betrace.tenant.get().id == scope.tenant_id
    assert betrace.evidence.controls(framework="soc2").framework == "soc2"
    assert betrace.redaction.get().version == 0
    assert [row.action for row in betrace.audit.each(limit=1)]
    assert betrace.request("GET", "/rules", answer=dict[str, Any])["items"] == []


def test_all_of_a_tenant_is_written_into_a_file(betrace: BeTrace, tmp_path: Path) -> None:
    betrace.rules.create({"id": "mine", **RULE})
    archive = tmp_path / "all.zip"
    with archive.open("wb") as into:
        assert betrace.tenant.export(into) == into.tell()
    with ZipFile(archive) as opened:
        assert opened.testzip() is None
        assert "manifest.json" in opened.namelist()
    rows = io.BytesIO()
    betrace.audit.export(rows, action="rule")
    assert "rule:mine" in {json.loads(row)["target"] for row in rows.getvalue().splitlines()}


class Breaking(httpx.BaseTransport):
    """The network, whose first stream breaks once some text was heard; `meanwhile` happens then."""

    def __init__(self, after: bytes, meanwhile: Callable[[], object]) -> None:
        self.last_event_ids: list[str | None] = []
        self._after = after
        self._meanwhile = meanwhile
        self._network = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and let the first answer break."""
        self.last_event_ids.append(request.headers.get("Last-Event-ID"))
        answer = self._network.handle_request(request)
        if len(self.last_event_ids) > 1:
            return answer
        assert isinstance(answer.stream, httpx.SyncByteStream)
        broken = _Broken(answer.stream, self._after, self._meanwhile)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=broken)


class _Broken(httpx.SyncByteStream):
    def __init__(
        self, stream: httpx.SyncByteStream, after: bytes, meanwhile: Callable[[], object]
    ) -> None:
        self._stream = stream
        self._after = after
        self._meanwhile = meanwhile

    def __iter__(self) -> Iterator[bytes]:
        heard = b""
        for piece in self._stream:
            heard += piece
            yield piece
            if self._after in heard:
                self.close()
                self._meanwhile()
                raise httpx.ReadError("the connection broke")

    def close(self) -> None:
        self._stream.close()


@pytest.mark.parametrize("after", [b"id: ", b"event: raised"])
def test_a_stream_that_breaks_misses_nothing_and_tells_nothing_twice(
    after: bytes, console: Console, tenant: tuple[TenantScope, str]
) -> None:
    scope, key = tenant
    insert_rule(console.database.app, scope)
    since = next(_places(console, key))
    before = insert_signal(console.database.worker, scope)
    meanwhile: list[str] = []
    network = Breaking(
        after, lambda: meanwhile.append(insert_signal(console.database.worker, scope))
    )
    begun = None if after == b"id: " else since
    with BeTrace(console.url, key, transport=network, rest=lambda _: None) as betrace:
        stream = betrace.signals.stream(since=begun)
        told = [next(stream) for _ in range(1 if begun is None else 2)]
        last = insert_signal(console.database.worker, scope)
        told.append(next(stream))
        update_signal(console.database.worker, scope, last, status="investigating", version=2)
        told.append(next(stream))
    expected = [*([before] if begun else []), *meanwhile, last, last]
    assert [event.signal.id for event in told if event.signal] == expected
    assert [event.change for event in told][-2:] == [Change.RAISED, Change.CHANGED]
    assert network.last_event_ids[0] == begun
    assert network.last_event_ids[1] is not None


def _places(console: Console, key: str) -> Iterator[str]:
    """Yield the places that a stream names."""
    headers = {"X-API-Key": key}
    with httpx.stream("GET", f"{console.url}/api/v1/signals/stream", headers=headers) as answer:
        for line in answer.iter_lines():
            if line.startswith("id: "):
                yield line.removeprefix("id: ")


def test_the_script_of_the_manual_runs(
    betrace: BeTrace,
    console: Console,
    tenant: tuple[TenantScope, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scope, key = tenant
    monkeypatch.setenv("BETRACE_URL", console.url)
    monkeypatch.setenv("BETRACE_API_KEY", key)
    betrace.rules.create({"id": "large-payments-are-checked", **RULE})
    signal_id = insert_signal(
        console.database.worker, scope, rule_id="large-payments-are-checked", severity="high"
    )
    script = script_of("README.md", "### From Python")
    exec(compile(script, "README.md", "exec"), {"__name__": "__main__"})
    rule: RuleBody = betrace.rules.get("large-payments-are-checked")
    assert rule.version == 2
    assert signal_id in capsys.readouterr().out
    assert betrace.signals.get(signal_id).status is Status.INVESTIGATING
