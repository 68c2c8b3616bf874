"""Exceptions made, proven and ended. Each change is a version of its rule, saved as any other.

A proof is made before every save: what would silence a violation that a test or a case of the rule
expects is refused, and what does not silence the signal it was made for.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dsl
from api.auth.principal import TenantScope
from api.cases.service import Cases
from api.database import Connection, Pool, queries, tenant_transaction
from api.exceptions.model import (
    OWNER_MAX,
    PAST_DAYS,
    PAST_SIGNALS,
    PAST_SPANS,
    REASON_MAX,
    SAMPLES,
    WHERE_MAX,
    Past,
    PastSignal,
    Proof,
)
from api.exceptions.proof import Asked, Held, Judging, answers, held_to, span_of
from api.problems import ApiError, not_found
from api.redaction.redactors import RedactionUnavailable, Redactors
from api.redaction.service import redacted_text, redaction_unavailable
from api.rules.definitions import Definition, Form, read_definition
from api.rules.model import Rule, RuleState
from api.rules.outbox import Publisher
from api.rules.redacted import RedactedExceptions, fit, redacted_exceptions, redacted_rule
from api.rules.service import Precondition, Saved, Why, check_precondition, get_rule, save_rule
from api.rules.trial import Trials, bounds
from api.signals.service import parse_signal_id
from api.tenants.settings import TenantSettings
from api.traces.judged import dsl_span
from api.traces.service import span_of_row
from dsl.exceptions import RuleException, end_of
from dsl.excusing import conditions_of
from dsl.problems import Problem
from dsl.rule import check_filter
from dsl.spans import Span


@dataclass(frozen=True, slots=True)
class Shown:
    """A signal and what stands for it. span: None where that cannot be told."""

    signal: PastSignal
    rule: Rule
    span: dsl.SpanView | None
    conditions: tuple[str, ...]


class Exceptions:
    """Proves, adds and ends exceptions of a tenant's rules."""

    def __init__(
        self,
        pool: Pool,
        publisher: Publisher,
        redactors: Redactors,
        *,
        trials: Trials,
        cases: Cases,
    ) -> None:
        self._pool = pool
        self._publisher = publisher
        self._redactors = redactors
        self._trials = trials
        self._cases = cases

    async def shown(self, scope: TenantScope, signal_id: str) -> Shown:
        """Return a signal with its rule and the span that stands for it. Raises ApiError 404."""
        signal = await self._signal(scope, signal_id)
        rule = await get_rule(self._pool, scope, signal.rule_id)
        judging, spans = await self._spans(scope, [signal])
        found = await self._trials.turn(
            lambda: span_of(signal, spans.get(signal.trace_id or ""), judging)
        )
        span = found.span if found is not None else None
        conditions = conditions_of(span) if isinstance(span, Span) else ()
        return Shown(signal, rule, span, conditions)

    async def prove(
        self,
        scope: TenantScope,
        rule_id: str,
        exception: RuleException,
        *,
        signal_id: str = "",
        past: bool = True,
    ) -> Proof:
        """Return what an exception would do. Saves nothing.

        signal_id: the signal it is made for. past: signals of the last days are asked too.
        Raises ApiError 404, 422 for a filter that does not check, an end that is none or is over
        and over a bound of trials, 503.
        """
        rule = await get_rule(self._pool, scope, rule_id)
        return await self._proof(scope, rule, exception, signal_id=signal_id, past=past)

    async def add(
        self,
        scope: TenantScope,
        rule_id: str,
        exception: RuleException,
        *,
        signal_id: str = "",
        precondition: Precondition = Precondition(),  # noqa: B008 - nothing can change it
    ) -> Saved:
        """Save a rule with one exception more, if the proof allows it.

        Raises ApiError 400 without a reason, 404, 409 in quarantine, 412 if the rule has another
        version than it had to, 422 as `prove` and for what an exception may not silence, 503.
        """
        rule = await self._rule(scope, rule_id, precondition)
        reason = exception.reason.replace("\0", "").strip()
        if not reason:
            raise ApiError(400, "exception.no_reason", "Say why this is no problem.")
        told = await redacted_text(self._redactors, scope, reason[:REASON_MAX])
        exception = replace(
            exception, reason=told[:REASON_MAX], owner=exception.owner.strip()[:OWNER_MAX]
        )
        proof = await self._proof(scope, rule, exception, signal_id=signal_id, past=False)
        refuse_unproven(proof)
        kept = [*_exceptions(rule), exception.to_dict()]
        return await self._save(scope, rule, kept, why=exception.reason)

    async def end(
        self,
        scope: TenantScope,
        rule_id: str,
        number: int,
        *,
        precondition: Precondition = Precondition(),  # noqa: B008 - nothing can change it
    ) -> Saved:
        """Save a rule with one of its exceptions over from now on. number: counts from 1.

        Raises ApiError 404, 409 in quarantine and for one that is over, 412 if the rule has another
        version than it had to, 503.
        """
        rule = await self._rule(scope, rule_id, precondition)
        kept, now = [*_exceptions(rule)], datetime.now(UTC).replace(microsecond=0)
        if not 1 <= number <= len(kept):
            raise not_found("exception of that rule")
        ended = RuleException.from_dict(kept[number - 1])
        if ended.is_over(now):
            raise ApiError(409, "exception.over", "This exception is over already.")
        until = now.isoformat().replace("+00:00", "Z")
        kept[number - 1] = {**kept[number - 1], "until": until}
        return await self._save(scope, rule, kept, why=f"Ended: {ended.reason}")

    # -- saving ------------------------------------------------------------------------------------

    async def _rule(self, scope: TenantScope, rule_id: str, precondition: Precondition) -> Rule:
        rule = await get_rule(self._pool, scope, rule_id)
        check_precondition(rule, precondition)
        if rule.state is RuleState.QUARANTINED:
            raise ApiError(
                409,
                "exception.quarantined",
                "The rule is in quarantine and judges nothing: change it or switch it on first.",
            )
        return rule

    async def _save(
        self, scope: TenantScope, rule: Rule, kept: Sequence[Mapping[str, Any]], *, why: str
    ) -> Saved:
        definition = await asyncio.to_thread(_with_exceptions, rule, kept)
        (definition,) = await fit(self._redactors, scope, [definition])
        return await save_rule(
            self._pool,
            self._publisher,
            scope,
            definition,
            precondition=Precondition(version=rule.version),
            why=Why(why[:REASON_MAX]),
        )

    # -- the proof ---------------------------------------------------------------------------------

    async def _proof(
        self,
        scope: TenantScope,
        rule: Rule,
        exception: RuleException,
        *,
        signal_id: str,
        past: bool,
    ) -> Proof:
        now = datetime.now(UTC)
        check_exception(exception, now=now)
        redacted, text = await self._redacted(scope, rule, exception)
        asked = Asked(exception, now)
        if redacted.stored is not None:
            asked = Asked(RuleException.from_dict(redacted.stored[0]), now)
        signal = None
        if signal_id:
            signal = await self._silences(scope, rule, asked, signal_id)
        held = await self._held(scope, rule, asked, text)
        return Proof(
            exception=exception,
            rule_version=rule.version,
            signal=signal,
            silences=tuple(held.silences),
            held=held.held,
            unproven=tuple(held.unproven),
            warnings=redacted.warnings,
            past=await self._past(scope, rule, asked) if past else None,
        )

    async def _redacted(
        self, scope: TenantScope, rule: Rule, exception: RuleException
    ) -> tuple[RedactedExceptions, str]:
        """Return the exception and the text of the rule as they are asked of redacted spans."""
        try:
            redactor = (await self._redactors.of(scope.tenant_id)).redactor
        except RedactionUnavailable as error:
            raise redaction_unavailable() from error
        text = await asyncio.to_thread(redacted_rule, rule.text, redactor)
        found = await asyncio.to_thread(redacted_exceptions, [exception.to_dict()], redactor)
        refuse_problems(found.problems)
        return found, text.text or rule.text

    async def _silences(
        self, scope: TenantScope, rule: Rule, asked: Asked, signal_id: str
    ) -> bool | None:
        signal = await self._signal(scope, signal_id)
        if signal.rule_id != rule.id:
            raise not_found("signal")
        if not signal.violated:
            return None
        [(_, silenced)] = await self._answers(scope, asked, [signal])
        return silenced

    async def _past(self, scope: TenantScope, rule: Rule, asked: Asked) -> Past:
        async with tenant_transaction(self._pool, scope) as connection:
            signals = await _violations(
                connection,
                rule_id=rule.id,
                since=asked.at - timedelta(days=PAST_DAYS),
                limit=PAST_SIGNALS + 1,
            )
        told = await self._answers(scope, asked, signals[:PAST_SIGNALS])
        silenced = [signal for signal, answer in told if answer]
        unknown = sum(answer is None for _, answer in told)
        return Past(
            days=PAST_DAYS,
            asked=len(told) - unknown,
            silenced=len(silenced),
            unknown=unknown,
            more=len(signals) > PAST_SIGNALS,
            true_problems=sum(signal.true_problem for signal in silenced),
            samples=_samples(silenced),
        )

    async def _answers(
        self, scope: TenantScope, asked: Asked, signals: Sequence[PastSignal]
    ) -> list[tuple[PastSignal, bool | None]]:
        judging, spans = await self._spans(scope, signals)
        return await self._trials.turn(lambda: list(answers(asked, signals, spans, judging)))

    async def _held(self, scope: TenantScope, rule: Rule, asked: Asked, text: str) -> Held:
        found = await self._cases.with_samples(scope, rule.id)
        expecting = [one for one in found if one[0].expect == "violated"]
        fields = {"id": rule.id, **rule.object}
        return await self._trials.turn(
            lambda: held_to(
                asked, fields, rule.text, expecting, redacted_text=text, before=bounds()
            )
        )

    # -- reading -----------------------------------------------------------------------------------

    async def _signal(self, scope: TenantScope, signal_id: str) -> PastSignal:
        async with tenant_transaction(self._pool, scope) as connection:
            found = await _violations(connection, signal_id=parse_signal_id(signal_id), limit=1)
        if not found:
            raise not_found("signal")
        return found[0]

    async def _spans(
        self, scope: TenantScope, signals: Sequence[PastSignal]
    ) -> tuple[Judging, dict[str, list[Span]]]:
        """Return how traces are judged, and the stored spans of signals, as many as are borne."""
        found: dict[str, list[Span]] = {trace_id: [] for trace_id in _borne(signals)}
        async with tenant_transaction(self._pool, scope) as connection:
            settings = TenantSettings.from_dict(await queries("tenants").settings(connection))
            if found:
                rows = queries("traces").spans_of_many(
                    connection, trace_ids=[bytes.fromhex(trace_id) for trace_id in found]
                )
                async for row in rows:
                    values = {name: value for name, value in row.items() if name != "trace_id"}
                    span = dsl_span(span_of_row(values))
                    found[bytes(row["trace_id"]).hex()].append(span)
        return Judging(settings.clock_skew_ms, settings.external_roots), found


def check_exception(exception: RuleException, *, now: datetime) -> None:
    """Raise ApiError 422 for a filter that does not check, and for an end that is none or is over.

    Problems of the filter are in `problems`, at their places in it.
    """
    if len(exception.where) > WHERE_MAX:
        raise ApiError(422, "exception.too_long", f"A filter has {WHERE_MAX:,} characters at most.")
    if not exception.where.strip():
        raise ApiError(422, "exception.no_filter", "Say where: choose a condition or write one.")
    refuse_problems(check_filter(exception.where).problems)
    if exception.until:
        try:
            end_of(exception.until)
        except ValueError as error:
            raise ApiError(422, "exception.until", f"Until when: {error}.") from error
    if exception.is_over(now):
        raise ApiError(422, "exception.until", "Until when: that is over already.")


def refuse_problems(problems: Sequence[Problem]) -> None:
    """Raise ApiError 422 if a filter has problems."""
    if problems:
        raise ApiError(
            422,
            "exception.invalid",
            "The filter cannot be used as it is.",
            problems=[problem.to_dict() for problem in problems],
        )


def refuse_unproven(proof: Proof) -> None:
    """Raise ApiError 422 for an exception that may not be saved."""
    if proof.silences:
        names = ", ".join(f"`{one.name}`" for one in proof.silences)
        raise ApiError(
            422,
            "exception.silences_expected",
            f"It would silence what the rule has to find: {names}. Ask for less.",
            silences=[{"name": one.name, "case_id": one.case_id} for one in proof.silences],
        )
    if proof.signal is False:
        raise ApiError(
            422, "exception.not_this_signal", "It would not silence the signal it is made for."
        )


def _exceptions(rule: Rule) -> Sequence[Mapping[str, Any]]:
    return rule.object.get("exceptions") or ()


def _with_exceptions(rule: Rule, kept: Sequence[Mapping[str, Any]]) -> Definition:
    """Return the rule as it is with other exceptions."""
    fields = {"id": rule.id, "rule": rule.text, **rule.object, "exceptions": list(kept)}
    return read_definition(json.dumps(fields), form=Form.JSON)


async def _violations(connection: Connection, **wanted: Any) -> list[PastSignal]:
    asked = {"signal_id": None, "rule_id": None, "since": None, **wanted}
    rows = queries("exceptions").violations(connection, **asked)
    return [PastSignal.from_row(row) async for row in rows]


def _borne(signals: Sequence[PastSignal]) -> list[str]:
    """Return the traces whose spans are read: as many as stay within the bound together."""
    found: dict[str, None] = {}
    left = PAST_SPANS
    for signal in signals:
        if signal.trace_id is None or signal.span_count is None or signal.trace_id in found:
            continue
        if signal.span_count <= left:
            left -= signal.span_count
            found[signal.trace_id] = None
    return list(found)


def _samples(silenced: Sequence[PastSignal]) -> tuple[PastSignal, ...]:
    """Return some of the signals: true problems first, since those are to be looked at."""
    return tuple(sorted(silenced, key=lambda one: not one.true_problem)[:SAMPLES])
