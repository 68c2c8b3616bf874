"""Cases kept and run. A run is on the record: in a table of its own, on the audit log, as evidence.

cases, their samples, the rules ─► judged one by one ─► run and results  ┐ one
                                                        row of the audit │ transaction
                                                        log, sealed later┘
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb

from api.audit.trail import record
from api.auth.principal import TenantScope
from api.cases.model import CASES_MAX, ERROR, EXPECTED, Case, LastResult, Result, Run, RunPage
from api.cursors import decode_cursor, encode_cursor
from api.database import Connection, Pool, queries, tenant_transaction
from api.problems import ApiError, not_found
from api.redaction.redactors import Redactors
from api.redaction.service import redacted_text
from api.rules.model import Rule
from api.rules.service import current_rule
from api.samples.judging import Judge, Said
from api.samples.library import library
from api.samples.model import Sample
from api.samples.service import own_sample, sample_of_row
from api.tenants.turns import take_turn
from api.worker.trace_copy import to_json

PAGE_MAX: Final = 200
NAME_MAX: Final = 255
_SECONDS_MAX: Final = 60.0
"""Of a run: cases that are not judged by then have failed."""


@dataclass(frozen=True, slots=True)
class NewCase:
    """A case to be kept. name: empty: as its sample is called."""

    sample: str
    expect: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a run judges."""

    cases: tuple[Case, ...]
    rules: Mapping[str, Rule]
    samples: Mapping[str, Sample]


class Cases:
    """Reads, writes and runs cases."""

    def __init__(self, pool: Pool, redactors: Redactors, judge: Judge) -> None:
        self._pool = pool
        self._redactors = redactors
        self._judge = judge

    async def of_rule(self, scope: TenantScope, rule_id: str) -> tuple[Case, ...]:
        """Return the cases of a rule, oldest first. Raises ApiError 404."""
        async with tenant_transaction(self._pool, scope) as connection:
            await _look_for_rule(connection, rule_id)
            return await _cases(connection, rule_id)

    async def with_samples(
        self, scope: TenantScope, rule_id: str
    ) -> tuple[tuple[Case, Sample], ...]:
        """Return the cases of a rule with what each is judged on. Raises ApiError 404."""
        async with tenant_transaction(self._pool, scope) as connection:
            await _look_for_rule(connection, rule_id)
            plan = await _plan(connection, rule_id)
        return tuple((case, plan.samples[case.sample]) for case in plan.cases)

    async def add(self, scope: TenantScope, rule_id: str, new: NewCase) -> Case:
        """Keep a case. Raises ApiError 404 for no such rule or sample, 409 for a name that is taken
        and for one case too many, 400 for what no rule says.
        """
        if new.expect not in EXPECTED:
            raise ApiError(400, "case.expect", f"A rule says one of: {', '.join(EXPECTED)}.")
        typed = new.name.strip()
        if len(typed) > NAME_MAX:
            raise ApiError(400, "case.name", f"A name has {NAME_MAX} characters at most.")
        name = await redacted_text(self._redactors, scope, typed) if typed else ""
        case_id = uuid4()
        async with tenant_transaction(self._pool, scope) as connection:
            await take_turn(connection)
            await _look_for_rule(connection, rule_id)
            known = library().get(new.sample)
            sample = known or await own_sample(connection, new.sample)
            if await queries("cases").count(connection) >= CASES_MAX:
                raise ApiError(
                    409, "case.too_many", f"There are {CASES_MAX} cases, and there may be no more."
                )
            try:
                await queries("cases").insert(
                    connection,
                    id=case_id,
                    rule_id=rule_id,
                    name=(name or sample.name)[:NAME_MAX],
                    library_id=sample.id if known else None,
                    sample_id=None if known else UUID(sample.id),
                    expect=new.expect,
                    created_by=scope.actor,
                )
            except psycopg.errors.UniqueViolation as error:
                raise ApiError(
                    409, "case.name_taken", "The rule has a case of that name: give it another."
                ) from error
            await record(
                connection,
                scope,
                "rule.case_added",
                f"rule:{rule_id}",
                case=case_id,
                sample=sample.id,
                expect=new.expect,
            )
            [case] = [one for one in await _cases(connection, rule_id) if one.id == str(case_id)]
        return case

    async def delete(self, scope: TenantScope, rule_id: str, case_id: str) -> None:
        """Delete a case; what came of it stays. Raises ApiError 404."""
        wanted = _uuid(case_id, "case")
        async with tenant_transaction(self._pool, scope) as connection:
            gone = await queries("cases").delete(connection, rule_id=rule_id, id=wanted)
            if gone is None:
                raise not_found("case")
            await record(connection, scope, "rule.case_deleted", f"rule:{rule_id}", case=case_id)

    async def run(self, scope: TenantScope, rule_id: str = "", *, draft: str = "") -> Run:
        """Judge the cases of a rule, or of all rules, and put what came of it on record.

        draft: a text in place of the rule's own. Raises ApiError 404; 409 without any case; 503.
        """
        async with tenant_transaction(self._pool, scope) as connection:
            if rule_id:
                await _look_for_rule(connection, rule_id)
            plan = await _plan(connection, rule_id)
        if not plan.cases:
            raise ApiError(409, "case.none", "There is no case to run: keep one first.")
        began_s = time.monotonic()
        results: list[Result] = []
        for case in plan.cases:
            late = time.monotonic() - began_s > _SECONDS_MAX
            results.append(await self._result(scope, case, plan, draft=draft, late=late))
        lasted_ms = round((time.monotonic() - began_s) * 1_000)
        async with tenant_transaction(self._pool, scope) as connection:
            run_id = await _store(
                connection, scope, results, rule_id=rule_id, draft=bool(draft), ms=lasted_ms
            )
            return await _run(connection, run_id)

    async def runs(
        self,
        scope: TenantScope,
        *,
        rule_id: str = "",
        cursor: str | None = None,
        limit: int = 50,
    ) -> RunPage:
        """Return a page of runs, newest first. Raises ApiError 400 for a foreign cursor."""
        before_at, before_id = decode_cursor(cursor, datetime, UUID) if cursor else (None, None)
        async with tenant_transaction(self._pool, scope) as connection:
            rows = queries("cases").runs(
                connection,
                rule_id=rule_id or None,
                before_at=before_at,
                before_id=before_id,
                limit=limit + 1,
            )
            found = [_run_of(row) async for row in rows]
        items = tuple(found[:limit])
        last = items[-1] if len(found) > limit else None
        return RunPage(items, encode_cursor(last.at, UUID(last.id)) if last else None)

    async def read_run(self, scope: TenantScope, run_id: str) -> Run:
        """Return a run with its results. Raises ApiError 404."""
        async with tenant_transaction(self._pool, scope) as connection:
            return await _run(connection, _uuid(run_id, "run"))

    async def _result(
        self, scope: TenantScope, case: Case, plan: _Plan, *, draft: str, late: bool
    ) -> Result:
        rule = plan.rules[case.rule_id]
        said = await self._said(scope, rule, plan.samples[case.sample], draft=draft, late=late)
        passed = said.verdict == case.expect
        told: dict[str, Any] | None = None
        if not passed:
            told = dict(said.explanation)
            if said.problems:
                told["problems"] = [dict(problem) for problem in said.problems]
        return Result(
            case_id=case.id,
            case_name=case.name,
            rule_id=case.rule_id,
            rule_version=None if draft else rule.version,
            text_hash=hashlib.sha256((draft or rule.text).encode()).hexdigest(),
            sample=case.sample,
            expect=case.expect,
            verdict=said.verdict,
            passed=passed,
            explanation=told,
        )

    async def _said(
        self, scope: TenantScope, rule: Rule, sample: Sample, *, draft: str, late: bool
    ) -> Said:
        if late:
            return Said(ERROR, {"error": f"The run took {_SECONDS_MAX:.0f} s."})
        try:
            return await self._judge.say(scope, draft or rule.text, sample, settings=rule.object)
        except ApiError as error:
            if error.status not in (400, 422):
                raise
            return Said(ERROR, {"error": error.detail})


async def _look_for_rule(connection: Connection, rule_id: str) -> Rule:
    rule = await current_rule(connection, rule_id)
    if rule is None or rule.deleted:
        raise not_found("rule")
    return rule


async def _plan(connection: Connection, rule_id: str) -> _Plan:
    cases = await _cases(connection, rule_id)
    rules = {
        one: await _look_for_rule(connection, one) for one in sorted({c.rule_id for c in cases})
    }
    rows = queries("cases").samples(connection, rule_id=rule_id or None)
    own = [sample_of_row(row, spans=row["spans"]) async for row in rows]
    return _Plan(cases, rules, {**library(), **{sample.id: sample for sample in own}})


async def _cases(connection: Connection, rule_id: str) -> tuple[Case, ...]:
    rows = queries("cases").of_rule(connection, rule_id=rule_id or None)
    return tuple([_case(row) async for row in rows])


def _case(row: Mapping[str, Any]) -> Case:
    sample = row["library_id"] or str(row["sample_id"])
    known = library().get(sample)
    last = None
    if row["run_id"] is not None:
        last = LastResult(
            row["at"], str(row["run_id"]), row["rule_version"], row["verdict"], row["passed"]
        )
    return Case(
        id=str(row["id"]),
        rule_id=row["rule_id"],
        name=row["name"],
        sample=sample,
        sample_name=row["sample_name"] or (known.name if known else sample),
        expect=row["expect"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        last=last,
    )


async def _store(
    connection: Connection,
    scope: TenantScope,
    results: Sequence[Result],
    *,
    rule_id: str,
    draft: bool,
    ms: int,
) -> UUID:
    run_id, passed = uuid4(), sum(result.passed for result in results)
    digest = digest_of(results)
    await queries("cases").insert_run(
        connection,
        id=run_id,
        actor=scope.actor,
        rule_id=rule_id or None,
        draft=draft,
        case_count=len(results),
        passed_count=passed,
        duration_ms=ms,
        digest=bytes.fromhex(digest),
    )
    for place, result in enumerate(results):
        await queries("cases").insert_result(
            connection,
            run_id=run_id,
            place=place,
            rule_id=result.rule_id,
            rule_version=result.rule_version,
            text_hash=bytes.fromhex(result.text_hash),
            case_id=UUID(result.case_id),
            case_name=result.case_name,
            sample=result.sample,
            expect=result.expect,
            verdict=result.verdict,
            passed=result.passed,
            explanation=_jsonb(result.explanation),
        )
    await record(
        connection,
        scope,
        "rule.cases_passed" if passed == len(results) else "rule.cases_failed",
        f"case-run:{run_id}:{digest}",
        rule=rule_id or None,
        draft=draft or None,
        cases=len(results),
        passed=passed,
    )
    return run_id


def _jsonb(explanation: Mapping[str, Any] | None) -> Jsonb | None:
    return None if explanation is None else Jsonb(json.loads(to_json(explanation)))


def digest_of(results: Sequence[Result]) -> str:
    """Return SHA-256 in hex of what came of the cases: their JSON, keys sorted, without spaces.

    Explanations are left out: they can be made again of the texts and the samples.
    """
    told = [
        {key: value for key, value in asdict(result).items() if key != "explanation"}
        for result in results
    ]
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


async def _run(connection: Connection, run_id: UUID) -> Run:
    row = await queries("cases").run(connection, id=run_id)
    if row is None:
        raise not_found("run")
    rows = queries("cases").results(connection, run_id=run_id)
    return _run_of(row, results=[_result_of(one) async for one in rows])


def _run_of(row: Mapping[str, Any], *, results: Sequence[Result] | None = None) -> Run:
    return Run(
        id=str(row["id"]),
        at=row["at"],
        actor=row["actor"],
        acting=row["acting"],
        rule_id=row["rule_id"] or "",
        draft=row["draft"],
        case_count=row["case_count"],
        passed_count=row["passed_count"],
        duration_ms=row["duration_ms"],
        digest=bytes(row["digest"]).hex(),
        results=results,
    )


def _result_of(row: Mapping[str, Any]) -> Result:
    return Result(
        **{
            **row,
            "case_id": str(row["case_id"]),
            "text_hash": bytes(row["text_hash"]).hex(),
        }
    )


def _uuid(text: str, what: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise not_found(what) from error
