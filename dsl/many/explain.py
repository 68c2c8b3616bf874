"""Why a rule over many traces says what it says: members, values, counts, window, what is missing.

The same structure as the explanation of a promise: clauses with conditions, what was measured, and
as witnesses the members (or the last sighting). Times are nanoseconds of event time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fractions import Fraction
from math import inf
from typing import Any, Final

from dsl.evidence import MAX_WITNESSES
from dsl.explanation import ExplainedClause, ExplainedCondition, Witness, condition_rows
from dsl.many.correlation import Correlation
from dsl.many.correlation import Key as CorrelateKey
from dsl.many.episodes import Episode, Moment
from dsl.many.expectation import Expectation, Overdue
from dsl.many.having import Found, compile_bound, compile_having, measures_of
from dsl.many.keys import field_name
from dsl.many.members import Member
from dsl.many.plan import CorrelatePlan, bounds_of
from dsl.many.printer import measure_text
from dsl.many.rule import CorrelateRule, ExpectRule
from dsl.printer import duration_text, span_test_text
from dsl.ranges import is_range
from dsl.source import Source
from dsl.verdict import ADVICE, Reason, Verdict

_STATES: Final = {True: "true", False: "false", None: "unknown"}
_YEAR_NS: Final = 365 * 86_400_000_000_000


@dataclass(frozen=True, slots=True)
class ManyExplanation:
    """A verdict, and the key that shows best why.

    key: its name and value for each of `by`. times: what happened when, by name. signals: how many
    there are in all.
    """

    verdict: Verdict
    reasons: tuple[Reason, ...]
    clauses: tuple[ExplainedClause, ...]
    key: dict[str, str] = field(default_factory=dict)
    times: dict[str, int | None] = field(default_factory=dict)
    missing: str = ""
    signals: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: that of a promise's explanation, and more."""
        return {
            "verdict": self.verdict.value,
            "broken": "",
            "reasons": [reason.value for reason in self.reasons],
            "clauses": [clause.to_dict() for clause in self.clauses],
            "key": self.key,
            "times": self.times,
            "missing": self.missing,
            "signals": self.signals,
        }

    def render_text(self) -> str:
        """Return the explanation for a terminal."""
        rows = [self.verdict.value]
        rows += [f"  {reason.value}: {ADVICE[reason]}" for reason in self.reasons]
        rows += [f"  {name} = {value}" for name, value in self.key.items()]
        rows += [f"  missing: {self.missing}"] if self.missing else []
        for name, time_ns in self.times.items():
            if time_ns is not None:
                rows.append(f"  {name.replace('_', ' ')}: {moment_text(time_ns)}")
        for clause in self.clauses:
            rows.append(f"{clause.clause} is {clause.state}")
            for condition in clause.conditions:
                rows.extend(condition_rows(condition))
        return "\n".join(rows)


def moment_text(time_ns: int) -> str:
    """Return a moment for people: a date, or in a test, whose time begins at 0, a length."""
    if abs(time_ns) < _YEAR_NS:
        return duration_text(time_ns)
    return datetime.fromtimestamp(time_ns // 10**9, UTC).isoformat()


# -- correlate -------------------------------------------------------------------------------------


def explain_correlation(
    rule: CorrelateRule, state: Correlation, *, now: bool = False
) -> ManyExplanation:
    """Return why a `correlate` stands as it does, as of the last `collect`."""
    verdict, reasons = state.verdict(now=now)
    standing = state.standing()
    signals = [one for one in standing if one[1].certain] or standing
    if signals:
        key, episode = min(signals, key=lambda one: (one[1].since_ns, one[0]))
        members = _members(state, key, episode.since_ns - state.plan.within_ns, episode.last_ns)
        told = explain_episode(rule, key, episode, members)
        return replace(told, verdict=verdict, reasons=reasons, signals=len(standing))
    nearest = _nearest(state)
    if nearest is None:
        return ManyExplanation(verdict, reasons, _correlate_clauses(rule, [], None))
    key, moment = nearest
    from_ns = moment.time_ns - state.plan.within_ns
    members = _members(state, key, from_ns, moment.time_ns)
    return ManyExplanation(
        verdict,
        reasons,
        _correlate_clauses(rule, members, moment.found),
        _named_key(state.plan, key),
        {"window_from": from_ns, "window_to": moment.time_ns},
    )


def explain_episode(
    rule: CorrelateRule, key: CorrelateKey, episode: Episode, members: Sequence[Member]
) -> ManyExplanation:
    """Return why there is one signal of a `correlate`. members: those that contribute, by time."""
    return ManyExplanation(
        Verdict.VIOLATED if episode.certain else Verdict.INCONCLUSIVE,
        tuple(sorted(episode.reasons)),
        _correlate_clauses(rule, members, episode.found),
        _named_key(rule.plan, key),
        _episode_times(rule.plan, episode),
        signals=1,
    )


def _named_key(plan: CorrelatePlan, key: CorrelateKey) -> dict[str, str]:
    return dict(zip(map(field_name, plan.by), key, strict=True))


def _episode_times(plan: CorrelatePlan, episode: Episode) -> dict[str, int | None]:
    return {
        "window_from": episode.last_ns - plan.within_ns,
        "window_to": episode.last_ns,
        "held_since": episode.since_ns,
        "held_last": episode.last_ns,
    }


def _members(state: Correlation, key: CorrelateKey, from_ns: int, to_ns: int) -> list[Member]:
    of_key = state.keys[key]
    return list(of_key.timeline.between(from_ns, to_ns))


def _nearest(state: Correlation) -> tuple[CorrelateKey, Moment] | None:
    """Return the window that came closest: most comparisons met, then most members, earliest."""
    bounds = bounds_of(state.plan.having)
    measures = measures_of(state.plan.having)
    holds = [compile_bound(one, measures.index(one.measure)) for one in bounds]

    def rank(found: tuple[CorrelateKey, Moment]) -> tuple[int, int, int, CorrelateKey]:
        key, moment = found
        met = sum(one(moment.found) is True for one in holds)
        from_ns = moment.time_ns - state.plan.within_ns
        count = len(_members(state, key, from_ns, moment.time_ns))
        return -met, -count, moment.time_ns, key

    moments = [(key, one) for key, kept in state.keys.items() for one in kept.moments]
    return min(moments, key=rank, default=None)


def _correlate_clauses(
    rule: CorrelateRule, members: Sequence[Member], found: tuple[Found, ...] | None
) -> tuple[ExplainedClause, ...]:
    source = Source(rule.text)
    conditions = []
    for i, one in enumerate(rule.plan.sources):
        of_source = [member for member in members if member.source == i]
        certain = [member for member in of_source if not member.doubtful]
        state: bool | None = True if certain else None if of_source else False
        conditions.append(
            _condition(source, one.at, one.end, state, witnesses=_witnesses(rule.plan, of_source))
        )
    any_member = _STATES[bool(members)]
    text = rule.text[rule.plan.sources[0].at : rule.plan.sources[-1].end]
    clause = ExplainedClause("correlate", any_member, text, tuple(conditions))
    return clause, _having_clause(rule, source, found)


def _having_clause(
    rule: CorrelateRule, source: Source, found: tuple[Found, ...] | None
) -> ExplainedClause:
    having = rule.plan.having
    measures, bounds = measures_of(having), bounds_of(having)
    conditions = []
    for bound in bounds:
        index = measures.index(bound.measure)
        state = False if found is None else compile_bound(bound, index)(found)
        measured = {} if found is None else {measure_text(bound.measure): _pair(found[index])}
        conditions.append(_condition(source, bound.at, bound.end, state, measured=measured))
    answer = False if found is None else compile_having(having)(found)
    text = rule.text[bounds[0].at : bounds[-1].end]
    return ExplainedClause("having", _STATES[answer], text, tuple(conditions))


def _condition(
    source: Source,
    at: int,
    end: int,
    state: bool | None,
    *,
    witnesses: Sequence[Witness] = (),
    measured: dict[str, Any] | None = None,
) -> ExplainedCondition:
    line, column = source.place(at)
    return ExplainedCondition(
        text=source.text[at:end],
        line=line,
        column=column,
        state=_STATES[state],
        spans=tuple(witnesses[:MAX_WITNESSES]),
        total=len(witnesses),
        measured=measured or {},
    )


def _witnesses(plan: CorrelatePlan, members: Sequence[Member]) -> list[Witness]:
    return [
        Witness(
            member.id,
            member.label,
            {
                "at": moment_text(member.time_ns),
                "trace": member.trace_id,
                **_read(plan, member),
            },
        )
        for member in members
    ]


def _read(plan: CorrelatePlan, member: Member) -> dict[str, Any]:
    pairs = zip(plan.fields, member.values, strict=True)
    return {field_name(reader): value for reader, value in pairs if value is not None}


def _pair(found: Found) -> list[Any] | None:
    return [_shown(one) for one in found] if is_range(found) else None


def _shown(value: int | float | Fraction) -> int | float | None:
    if value in (inf, -inf):
        return None
    return int(value) if value == int(value) else float(value)


# -- expect ----------------------------------------------------------------------------------------


def explain_expectation(
    rule: ExpectRule, state: Expectation, *, now: bool = False
) -> ManyExplanation:
    """Return why an `expect` stands as it does, as of the last `collect`."""
    verdict, reasons = state.verdict(now=now)
    standing = state.standing()
    stands_now = [one for one in standing if one[1].until_ns is None] if now else standing
    signals = [one for one in stands_now if one[1].certain] or stands_now
    if not signals:
        return _kept_expectation(rule, state)
    key, overdue = min(signals, key=lambda one: (one[1].due_ns, one[0]))
    told = explain_overdue(rule, key, overdue, now_ns=state.watermark_ns)
    return replace(told, verdict=verdict, reasons=reasons, signals=len(standing))


def explain_overdue(
    rule: ExpectRule, key: str, overdue: Overdue, *, now_ns: int | None
) -> ManyExplanation:
    """Return why there is one signal of an `expect`. now_ns: how far event time has come."""
    return ManyExplanation(
        Verdict.VIOLATED if overdue.certain else Verdict.INCONCLUSIVE,
        tuple(sorted(overdue.reasons)),
        (_expect_clause(rule, overdue, now_ns),),
        _named_one(rule, key),
        {
            "last_seen": overdue.since.time_ns,
            "due": overdue.due_ns,
            "seen_again" if overdue.why != "forgotten" else "forgotten": overdue.until_ns,
        },
        missing=span_test_text(rule.plan.test),
        signals=1,
    )


def _kept_expectation(rule: ExpectRule, state: Expectation) -> ManyExplanation:
    """Explain by the key that is due next."""
    verdict, reasons = state.verdict(now=True)
    due = {key: due_ns for key in state.keys if (due_ns := state.due_ns(key)) is not None}
    if not due:
        return ManyExplanation(verdict, reasons, (_expect_clause(rule, None, None),))
    key = min(due, key=lambda one: (due[one], one))
    since = state.keys[key].runs[-1].last
    overdue = Overdue(since, due[key])
    times: dict[str, int | None] = {"last_seen": since.time_ns, "due": due[key]}
    clause = _expect_clause(rule, overdue, state.watermark_ns, kept=True)
    return ManyExplanation(verdict, reasons, (clause,), _named_one(rule, key), times)


def _named_one(rule: ExpectRule, key: str) -> dict[str, str]:
    return {} if rule.plan.by is None else {field_name(rule.plan.by): key}


def _expect_clause(
    rule: ExpectRule, overdue: Overdue | None, now_ns: int | None, *, kept: bool = False
) -> ExplainedClause:
    plan = rule.plan
    witnesses: list[Witness] = []
    measured: dict[str, Any] = {}
    answer: bool | None = kept
    if overdue is not None:
        if overdue.since.trace_id:
            at = moment_text(overdue.since.time_ns)
            values = {"at": at, "trace": overdue.since.trace_id}
            witnesses.append(Witness("", span_test_text(plan.test), values, "last seen"))
        until_ns = overdue.until_ns if overdue.until_ns is not None else now_ns
        if until_ns is not None:
            gap_ns = until_ns - overdue.since.time_ns
            measured = {"not seen for": [duration_text(gap_ns), duration_text(gap_ns)]}
        answer = answer if overdue.certain else None
    source = Source(rule.text)
    condition = _condition(
        source, plan.at, plan.end, answer, witnesses=witnesses, measured=measured
    )
    return ExplainedClause("expect", _STATES[answer], rule.text[plan.at : plan.end], (condition,))
