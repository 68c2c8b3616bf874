"""Backtests: the form that asks for one, its progress, and what differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import dsl
from api.backtests.model import (
    NOTHING,
    Backtest,
    BacktestState,
    ComparedRule,
    Progress,
    Result,
    Summary,
    Version,
)
from api.rules.model import Rule
from api.web.views.addresses import with_query
from api.web.views.backtest_keys import COUNTED as KEYS_COUNTED
from api.web.views.backtest_keys import WORDS as KEY_WORDS
from api.web.views.backtest_keys import KeyRow, key_row
from api.web.views.backtest_keys import counted as counted_keys
from api.web.views.backtest_keys import headline as headline_of_keys
from api.web.views.links import NEW_RULE_HREF, rule_href
from api.web.views.moments import Moment, duration_text, moment
from api.web.views.problems import ProblemView, problem_view
from api.web.views.rule_text import Piece, pieces
from api.web.views.words import REASONS, Choice, Message, choices
from dsl.problems import Problem

RANGES: Final[Mapping[str, str]] = {
    "15m": "The last 15 minutes",
    "1h": "The last hour",
    "6h": "The last 6 hours",
    "24h": "The last 24 hours",
}
AGAINST: Final[Mapping[str, str]] = {
    "live": "The version that is live",
    "nothing": "Nothing: only what would be violated",
}
VERDICTS: Final[Mapping[str, str]] = {
    "violated": "Violated",
    "satisfied": "Satisfied",
    "inconclusive": "Inconclusive",
    "not_applicable": "Not applicable",
    "open": "Still open",
}
_TONES: Final[Mapping[str, str]] = {
    "violated": "bad",
    "satisfied": "good",
    "inconclusive": "warn",
    "open": "warn",
}
_STATES: Final[Mapping[BacktestState, tuple[str, str]]] = {
    BacktestState.QUEUED: ("Waiting", ""),
    BacktestState.RUNNING: ("Running", "chip-running"),
    BacktestState.CANCELLING: ("Stopping", "chip-warn"),
    BacktestState.CANCELLED: ("Cancelled", "chip-warn"),
    BacktestState.DONE: ("Done", "state-active"),
    BacktestState.FAILED: ("Failed", "chip-bad"),
}
_STALLED_S: Final = 10
_ICONS: Final = {"true": "check", "false": "x", "unknown": "circle-help"}


@dataclass(frozen=True, slots=True)
class Earlier:
    """A backtest in a list."""

    href: str
    state: str
    chip: str
    at: Moment
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestForm:
    """The page that asks for a backtest of a rule. version: 0 of one that was never saved.

    typed_id, typed_name: of such a one, sent back with the form.
    """

    rule_id: str
    rule_name: str
    rule_href: str
    typed_id: str
    typed_name: str
    action: str
    text_label: str
    text: str
    saved_text: str
    version: int
    ranges: tuple[Choice, ...]
    against: tuple[Choice, ...]
    from_exact: str
    to_exact: str
    problems: tuple[ProblemView, ...]
    refused: bool
    checked_well: str
    earlier: tuple[Earlier, ...]
    message: Message | None
    running_href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestDraft:
    """The fields of the form as typed. exact times are in UTC, as `2026-11-23T12:00`.

    id, name: of a rule that was never saved.
    """

    text: str
    range: str = "1h"
    against: str = "live"
    from_exact: str = ""
    to_exact: str = ""
    id: str = ""
    name: str = ""

    @property
    def rule_id(self) -> str:
        """What a rule that was never saved is called meanwhile."""
        return self.id or "draft"


@dataclass(frozen=True, slots=True)
class ProgressView:
    """How far it is, for a bar of 0 to 1000 and a line below it."""

    value: int
    percent: str
    says: str


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """A row of the table: how many traces, before and now."""

    label: str
    tone: str
    was: str
    now: str
    gap: str


@dataclass(frozen=True, slots=True)
class Line:
    """A condition that made a verdict what it is. miss: the span that came nearest."""

    word: str
    text: tuple[Piece, ...]
    icon: str
    state: str
    miss: str


@dataclass(frozen=True, slots=True)
class Why:
    """What one version says of a trace. reasons: why it cannot be said."""

    title: str
    verdict: str
    tone: str
    lines: tuple[Line, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TraceRow:
    """A trace whose verdict differs, or that would signal. href: empty if it was not copied."""

    trace_id: str
    short_id: str
    href: str
    root_name: str
    root_service: str
    span_count: int
    at: Moment
    signal_href: str
    why: tuple[Why, ...]


Row = TraceRow | KeyRow


@dataclass(frozen=True, slots=True)
class ChangeView:
    """Traces that are judged otherwise in the same way, or would signal.

    of_keys: signals of a rule over many traces, or keys.
    """

    title: str
    was: str
    was_tone: str
    now: str
    now_tone: str
    count: str
    rows: tuple[Row, ...]
    more_href: str
    of_keys: bool


@dataclass(frozen=True, slots=True)
class RuleView:
    """What became of all traces under one rule. nothing: what stands in place of an empty table."""

    id: str
    name: str
    href: str
    versions: str
    compared: bool
    caption: str
    counts_what: str
    nothing: str
    verdicts: tuple[VerdictRow, ...]
    changes: tuple[ChangeView, ...]
    headline: str
    headline_tone: str
    headline_icon: str
    text: tuple[Piece, ...]
    was_text: tuple[Piece, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestPage:
    """The page of a backtest."""

    id: str
    href: str
    title: str
    back_href: str
    back_label: str
    again_href: str
    state: str
    chip: str
    is_over: bool
    may_cancel: bool
    reports: str
    from_at: Moment
    to_at: Moment
    asked_by: str
    created_at: Moment
    progress: ProgressView | None
    messages: tuple[Message, ...]
    rules: tuple[RuleView, ...]
    counted: str


@dataclass(frozen=True, slots=True)
class TracesPage:
    """All traces, or keys, that are shown of one kind, a page of them."""

    title: str
    back_href: str
    rule_id: str
    was: str
    was_tone: str
    now: str
    now_tone: str
    rows: tuple[Row, ...]
    next_href: str
    of_keys: bool


Kind = tuple[str, str, str]
"""Rule id, what was said, what is said now."""


def backtest_form(
    rule: Rule | None,
    draft: BacktestDraft,
    *,
    earlier: Sequence[Backtest] = (),
    problems: Sequence[Problem] = (),
    warnings: Sequence[Problem] = (),
    message: Message | None = None,
    running: str | None = None,
) -> BacktestForm:
    """Return the form. rule: None for one that was never saved. running: id of the backtest that
    must be over first.
    """
    rule_id = rule.id if rule else draft.rule_id
    href = rule_href(rule.id) if rule else NEW_RULE_HREF
    against = AGAINST if rule else {"nothing": AGAINST["nothing"]}
    return BacktestForm(
        rule_id=rule_id,
        rule_name=str(rule.object.get("name") or rule.id) if rule else draft.name or rule_id,
        rule_href=href,
        typed_id="" if rule else draft.id,
        typed_name="" if rule else draft.name,
        action=f"{href}/backtest",
        text_label="Rule" if _is_over_many_traces(rule.text if rule else draft.text) else "Promise",
        text=draft.text,
        saved_text=rule.text if rule else "",
        version=rule.version if rule else 0,
        ranges=choices(RANGES, draft.range),
        against=choices(against, draft.against),
        from_exact=draft.from_exact,
        to_exact=draft.to_exact,
        problems=(
            *(problem_view(problem, draft.text) for problem in problems),
            *(problem_view(warning, draft.text, warning=True) for warning in warnings),
        ),
        refused=bool(problems),
        checked_well="",
        earlier=tuple(_earlier(backtest, rule_id) for backtest in earlier),
        message=message,
        running_href=backtest_href(running) if running else "",
    )


def _is_over_many_traces(text: str) -> bool:
    checked = dsl.check(text)
    return checked.rule is not None and checked.promise is None


def backtest_page(
    backtest: Backtest,
    results: Mapping[Kind, Sequence[Result]],
    *,
    now: datetime,
    may_cancel: bool,
    is_saved: bool = True,
) -> BacktestPage:
    """Return the page. results: the first traces of each kind that is shown. is_saved: the rule, of
    one rule, is there.
    """
    state, chip = _STATES[backtest.state]
    first = backtest.rules[0]
    several = len(backtest.rules) > 1
    return BacktestPage(
        id=str(backtest.id),
        href=backtest_href(backtest.id),
        title=f"{len(backtest.rules)} rules" if several else first.name,
        back_href="/rules" if several or not is_saved else rule_href(first.id),
        back_label="Rules" if several or not is_saved else first.id,
        again_href="" if several or first.was is None else f"{rule_href(first.id)}/backtest",
        state=state,
        chip=chip,
        is_over=backtest.state.is_over,
        may_cancel=may_cancel and backtest.state in (BacktestState.QUEUED, BacktestState.RUNNING),
        reports="Signals" if all(r.over_many_traces for r in backtest.rules) else "Traces",
        from_at=moment(backtest.from_at),
        to_at=moment(backtest.to_at),
        asked_by=backtest.requested_by.partition(":")[2] or backtest.requested_by,
        created_at=moment(backtest.created_at),
        progress=None if backtest.state.is_over else _progress(backtest, now=now),
        messages=tuple(_messages(backtest)),
        rules=tuple(_rule(backtest, summary, results) for summary in backtest.summaries())
        if backtest.progress.parts_done
        else (),
        counted=_counted_text(backtest.progress),
    )


def shown_kinds(backtest: Backtest) -> list[Kind]:
    """Return the kinds of traces to show: changes, or violations where nothing is compared."""
    kinds: list[Kind] = []
    for summary in backtest.summaries():
        if summary.was is None:
            if summary.now["violated"]:
                kinds.append((summary.rule.id, NOTHING, "violated"))
            continue
        kinds += ((change.rule_id, change.was, change.now) for change in summary.changes)
    return kinds


def traces_page(
    backtest: Backtest, kind: Kind, results: Sequence[Result], *, next_cursor: str | None
) -> TracesPage:
    """Return a page of traces of one kind."""
    rule_id, was, now = kind
    rule = next((rule for rule in backtest.rules if rule.id == rule_id), None)
    of_keys = rule is not None and rule.over_many_traces
    words = KEY_WORDS if of_keys else VERDICTS
    return TracesPage(
        title=rule.name if rule else rule_id,
        back_href=backtest_href(backtest.id),
        rule_id=rule_id,
        was=words.get(was, ""),
        was_tone=_TONES.get(was, "plain"),
        now=words.get(now, now),
        now_tone=_TONES.get(now, "plain"),
        rows=tuple(map(_row, results)),
        next_href=_traces_href(backtest, kind, cursor=next_cursor) if next_cursor else "",
        of_keys=of_keys,
    )


def backtest_href(backtest_id: object) -> str:
    """Return the address of a backtest's page."""
    return f"/backtests/{backtest_id}"


def _earlier(backtest: Backtest, rule_id: str) -> Earlier:
    state, chip = _STATES[backtest.state]
    says = ""
    for summary in backtest.summaries():
        if summary.rule.id == rule_id and backtest.state is BacktestState.DONE:
            says = _headline(summary)[0]
    return Earlier(backtest_href(backtest.id), state, chip, moment(backtest.created_at), says)


def _progress(backtest: Backtest, *, now: datetime) -> ProgressView:
    progress = backtest.progress
    if backtest.state is BacktestState.QUEUED:
        waited_s = (now - backtest.created_at).total_seconds()
        stalled = " No worker has taken it yet: is one running?" if waited_s > _STALLED_S else ""
        return ProgressView(0, "", f"Waiting for a worker.{stalled}")
    parts = [f"{progress.span_count:,} spans", f"{progress.trace_count:,} traces"]
    if progress.gathers:
        parts.append("judging the rules over many traces")
    left_s = backtest.seconds_left(now)
    if left_s is not None:
        parts.append(f"{duration_text(round(left_s) * 1_000_000_000)} left")
    return ProgressView(round(progress.share * 1000), f"{progress.share:.0%}", " · ".join(parts))


def _messages(backtest: Backtest) -> Iterable[Message]:
    progress = backtest.progress
    if backtest.state is BacktestState.FAILED:
        yield Message("bad", "circle-alert", f"It failed: {backtest.problem}")
    if backtest.state is BacktestState.CANCELLED:
        yield Message(
            "warn",
            "ban",
            f"It was cancelled when {progress.parts_done} of {progress.parts_total} partitions of "
            "the log had been judged. What follows is of those."
            if progress.parts_done
            else "It was cancelled before anything had been judged.",
        )
    if backtest.open_count and backtest.state is BacktestState.DONE:
        yield Message(
            "warn",
            "clock",
            f"{_counted(backtest.open_count, 'trace')} had not ended when the log did.",
        )


def _counted_text(progress: Progress) -> str:
    if not progress.parts_done:
        return ""
    return f"{_counted(progress.trace_count, 'trace')} · {_counted(progress.span_count, 'span')}"


def _rule(
    backtest: Backtest, summary: Summary, results: Mapping[Kind, Sequence[Result]]
) -> RuleView:
    rule = summary.rule
    headline, tone, icon = _headline(summary)
    counts = _kinds_of(summary)
    return RuleView(
        id=rule.id,
        name=rule.name,
        href=rule_href(rule.id) if rule.was or rule.now.number else "",
        versions=_versions(rule),
        compared=summary.was is not None,
        caption="Signals and keys" if rule.over_many_traces else "Traces by verdict",
        counts_what="Of each key" if rule.over_many_traces else "Verdict",
        nothing=_nothing(backtest, rule),
        verdicts=tuple(_verdicts(summary)),
        changes=tuple(
            _change(backtest, rule, kind, count, results.get(kind, ())) for kind, count in counts
        ),
        headline=headline,
        headline_tone=tone,
        headline_icon=icon,
        text=_text(rule.now),
        was_text=_text(rule.was),
    )


def _text(version: Version | None) -> tuple[Piece, ...]:
    text = version.text if version else None
    return pieces(text.strip("\n")) if text else ()


def _nothing(backtest: Backtest, rule: ComparedRule) -> str:
    if not rule.over_many_traces:
        return "No trace began in the range."
    if not backtest.progress.to_gather:
        return "Nothing that the rule looks at came in the range."
    if backtest.state.is_over:
        return "Not judged: it ended before all partitions of the log were done."
    return "Judged last, when all partitions of the log are done."


def _kinds_of(summary: Summary) -> list[tuple[Kind, int]]:
    if summary.was is None:
        violated = summary.now["violated"]
        return [((summary.rule.id, NOTHING, "violated"), violated)] if violated else []
    return [((c.rule_id, c.was, c.now), c.trace_count) for c in summary.changes]


def _headline(summary: Summary) -> tuple[str, str, str]:
    """Return what a rule comes to in one sentence, its tone and icon."""
    if summary.rule.over_many_traces:
        return headline_of_keys(summary)
    if summary.was is None:
        violated = summary.now["violated"]
        if not violated:
            return "No trace would be violated.", "good", "circle-check"
        return f"{_counted(violated, 'trace')} would be violated.", "bad", "circle-x"
    if not summary.changed_count:
        return "No trace is judged otherwise.", "good", "circle-check"
    new = sum(change.trace_count for change in summary.changes if change.now == "violated")
    lost = sum(change.trace_count for change in summary.changes if change.was == "violated")
    parts = [f"{_counted(summary.changed_count, 'trace')} judged otherwise"]
    if new:
        parts.append(f"{new:,} newly violated")
    if lost:
        parts.append(f"{lost:,} no longer violated")
    return (
        f"{': '.join([parts[0], ', '.join(parts[1:])]) if parts[1:] else parts[0]}.",
        ("warn"),
        "triangle-alert",
    )


def _versions(rule: ComparedRule) -> str:
    now = _version(rule.now)
    return f"{now} against {_version(rule.was).lower()}" if rule.was else f"{now}, on its own"


def _version(version: Version) -> str:
    return f"Version {version.number}" if version.number else "The draft"


def _verdicts(summary: Summary) -> Iterable[VerdictRow]:
    labels = KEYS_COUNTED if summary.rule.over_many_traces else VERDICTS
    for verdict, label in labels.items():
        now = summary.now.get(verdict, 0)
        was = summary.was.get(verdict, 0) if summary.was is not None else 0
        if now or was:
            gap = now - was
            yield VerdictRow(
                label,
                _TONES.get(verdict, "plain"),
                f"{was:,}",
                f"{now:,}",
                f"{gap:+,}".replace("-", "−") if gap else "",
            )


def _change(
    backtest: Backtest, rule: ComparedRule, kind: Kind, count: int, results: Sequence[Result]
) -> ChangeView:
    _, was, now = kind
    words = KEY_WORDS if rule.over_many_traces else VERDICTS
    return ChangeView(
        title=f"{words[was]} to {words[now].lower()}" if was else words[now],
        was=words.get(was, ""),
        was_tone=_TONES.get(was, "plain"),
        now=words[now],
        now_tone=_TONES.get(now, "plain"),
        count=counted_keys(count, was, now) if rule.over_many_traces else _counted(count, "trace"),
        rows=tuple(map(_row, results)),
        more_href=_traces_href(backtest, kind) if count > len(results) else "",
        of_keys=rule.over_many_traces,
    )


def _row(result: Result) -> Row:
    return _trace(result) if result.seen is None else key_row(result)


def _trace(result: Result) -> TraceRow:
    told = result.explanations or {}
    sides = [
        ("Before", result.was, result.was_outcome, told.get("was")),
        ("Now", result.now, result.now_outcome, told.get("now")),
    ]
    signal_id = (result.was_outcome or {}).get("signal_id") or ""
    return TraceRow(
        trace_id=result.trace_id,
        short_id=result.trace_id[:8],
        href=f"/traces/{result.trace_id}" if result.copied else "",
        root_name=result.root_name or "A trace without a root span",
        root_service=result.root_service,
        span_count=result.span_count,
        at=moment(result.begin_at),
        signal_href=f"/signals/{signal_id}" if signal_id and result.was == "violated" else "",
        why=tuple(
            _why(title, verdict, outcome, explanation)
            for title, verdict, outcome, explanation in sides
            if outcome is not None and (explanation or outcome["reasons"])
        ),
    )


def _why(
    title: str,
    verdict: str,
    outcome: Mapping[str, Any],
    explanation: Mapping[str, Any] | None,
) -> Why:
    wanted = {"violated": {outcome["broken"]}, "not_applicable": {"when"}}
    words = wanted.get(verdict, {"when", "always", "never"})
    clauses = (explanation or {}).get("clauses", ())
    return Why(
        title=title,
        verdict=VERDICTS.get(verdict, verdict),
        tone=_TONES.get(verdict, "plain"),
        lines=tuple(
            _line(clause["clause"], condition)
            for clause in clauses
            if clause["clause"] in words
            for condition in clause["conditions"]
        ),
        reasons=tuple(REASONS.get(reason, reason) for reason in outcome["reasons"]),
    )


def _line(word: str, condition: Mapping[str, Any]) -> Line:
    state = condition["state"]
    miss = condition.get("nearest_miss")
    return Line(
        word=word,
        text=pieces(" ".join(str(condition["text"]).split())),
        icon=_ICONS[state],
        state=state,
        miss=f"{miss['name']} fails {'; '.join(map(str, miss['failed']))}" if miss else "",
    )


def _traces_href(backtest: Backtest, kind: Kind, *, cursor: str = "") -> str:
    rule_id, was, now = kind
    wanted = {"rule_id": rule_id, "was": was, "now": now, "cursor": cursor}
    return with_query(f"{backtest_href(backtest.id)}/traces", wanted)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
