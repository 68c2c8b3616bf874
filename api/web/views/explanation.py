"""Why a signal was raised: the clauses of its rule with what each of them found.

Reads the JSON form of an explanation as the worker stored it. What is missing there is left out
here; nothing is judged again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from api.web.views.rule_text import Piece, pieces
from api.web.views.waterfall import Attribute, value_text
from api.web.views.words import REASONS

EVIDENCE_MAX: Final = 8
"""Spans listed of one condition; the waterfall marks all of them."""

_ICONS: Final[Mapping[str, str]] = {"true": "check", "false": "x", "unknown": "circle-help"}

_TONES: Final[Mapping[tuple[str, str], str]] = {
    ("always", "true"): "good",
    ("always", "false"): "bad",
    ("never", "true"): "bad",
    ("never", "false"): "good",
}
"""Clause and state to tone: a `never` that is false was kept. `when` is neither good nor bad."""

_SAYS: Final[Mapping[tuple[str, str], str]] = {
    ("when", "true"): "The promise applies to this trace",
    ("when", "false"): "The promise does not apply to this trace",
    ("when", "unknown"): "It is not known whether the promise applies",
    ("always", "true"): "This had to happen, and did",
    ("always", "false"): "This had to happen, and did not",
    ("always", "unknown"): "It is not known whether this happened",
    ("never", "true"): "This must not happen, and did",
    ("never", "false"): "This must not happen, and did not",
    ("never", "unknown"): "It is not known whether this happened",
    ("correlate", "true"): "These came together",
    ("correlate", "false"): "Nothing of this came",
    ("having", "true"): "And this held of them",
    ("having", "false"): "This does not hold of them any more",
    ("having", "unknown"): "It is not known whether this holds of them",
    ("expect", "true"): "This is expected, and was seen in time",
    ("expect", "false"): "This is expected, and was not seen in time",
    ("expect", "unknown"): "It is not known whether this was seen in time",
}

_MANY: Final = frozenset({"correlate", "having", "expect"})
"""Clauses of rules over many traces: what they rest on is not in one trace."""

_HEADLINES: Final[Mapping[tuple[str, str], tuple[str, str, str]]] = {
    ("violated", "always"): ("bad", "circle-x", "Something that must always happen did not."),
    ("violated", "never"): ("bad", "circle-x", "Something that must never happen did."),
    ("violated", ""): ("bad", "circle-x", "The promise was broken."),
    ("violated", "correlate"): ("bad", "circle-x", "What the rule watches for came together."),
    ("violated", "expect"): ("bad", "circle-x", "What is expected did not come in time."),
    ("satisfied", "correlate"): ("good", "circle-check", "It does not hold after all."),
    ("satisfied", "expect"): ("good", "circle-check", "It was seen after all."),
    ("satisfied", "sighted"): ("good", "circle-check", "It was not seen in time, and then again."),
    ("satisfied", "forgotten"): ("good", "circle-check", "It is not expected any more."),
    ("satisfied", ""): ("good", "circle-check", "The promise was kept after all."),
    ("not_applicable", ""): ("good", "circle-check", "The promise does not apply to this trace."),
    ("inconclusive", ""): ("warn", "circle-help", "It cannot be said any more."),
}
"""Verdict and broken clause to tone, icon and sentence."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A span that made a condition what it is, with the values read from it. href: or nothing."""

    href: str
    name: str
    values: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class Miss:
    """The span that came nearest to fulfilling a condition, and what it failed."""

    href: str
    name: str
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a clause."""

    text: tuple[Piece, ...]
    state: str
    tone: str
    icon: str
    note: str
    evidence: tuple[Evidence, ...]
    miss: Miss | None


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause: what it says, whether it is true, and whether it is the one that broke."""

    word: str
    state: str
    tone: str
    icon: str
    says: str
    broke: bool
    text: tuple[Piece, ...]
    """Empty where the only condition says it all."""
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The panel. rule: the whole text, where the clauses are not explained yet."""

    tone: str
    icon: str
    headline: str
    details: tuple[str, ...]
    source: str
    clauses: tuple[Clause, ...]
    rule: tuple[Piece, ...]


def explanation_view(
    explanation: Mapping[str, Any] | None,
    *,
    verdict: str,
    broken_clause: str,
    reasons: Sequence[str],
    incomplete: bool,
    mismatch: bool,
    outdated: bool,
    rule_text: str,
    rule_version: int | None,
    has_trace: bool = True,
    trace_href: str | None = "",
) -> Explanation:
    """Return the panel of a signal, or of a draft that was tried.

    explanation: as `dsl.explain(...).to_dict()`, or None if the trace has not been copied yet.
    mismatch: the explanation disagrees with the stream; said, since one of them is wrong.
    outdated: the signal was judged anew since the explanation was made.
    broken_clause: of a rule over many traces its kind, or how it ended. has_trace: false for those.
    rule_version: None for a draft. trace_href: the page that has the spans, empty: this one; None:
    there is none.
    """
    tone, icon, headline = _headline(verdict, broken_clause)
    details = [REASONS.get(reason, reason) for reason in reasons]
    if incomplete:
        details.append("Spans of this trace are missing; one of them may have kept the promise.")
    if mismatch:
        details.append("The clauses below were read from the stored trace and disagree with this.")
    clauses: Iterable[Mapping[str, Any]] = (explanation or {}).get("clauses", ())
    if outdated:
        details.append("The clauses below are of an earlier judgement; newer ones are on the way.")
    views = tuple(
        _clause(clause, verdict=verdict, broken=broken_clause, trace_href=trace_href)
        for clause in clauses
    )
    if not views and has_trace:
        details.append("The trace is being copied; the clauses are explained in a moment.")
    return Explanation(
        tone=tone,
        icon=icon,
        headline=headline,
        details=tuple(details),
        source="Draft" if rule_version is None else f"Rule version {rule_version}",
        clauses=views,
        rule=() if views else pieces(rule_text),
    )


def marks_of(explanation: Mapping[str, Any] | None) -> dict[str, tuple[str, ...]]:
    """Return, by span id, the clauses with conditions that rest on the span."""
    marks: dict[str, tuple[str, ...]] = {}
    for clause in (explanation or {}).get("clauses", ()):
        word = clause["clause"]
        for condition in clause.get("conditions", ()):
            for span in condition.get("spans", ()):
                found = marks.get(span["span_id"], ())
                if word not in found:
                    marks[span["span_id"]] = (*found, word)
    return marks


def _headline(verdict: str, broken: str) -> tuple[str, str, str]:
    return _HEADLINES.get((verdict, broken)) or _HEADLINES[verdict, ""]


def _clause(
    clause: Mapping[str, Any], *, verdict: str, broken: str, trace_href: str | None
) -> Clause:
    word, state = clause["clause"], clause["state"]
    bad = {"always": "false", "never": "true"}.get(word) == state
    tone = _tone(word, state)
    text = _outdent(str(clause["text"]))
    conditions = tuple(
        _condition(condition, word, trace_href) for condition in clause.get("conditions", ())
    )
    return Clause(
        word=word,
        state=state,
        tone=tone,
        icon=_ICONS[state],
        says=_SAYS[word, state],
        broke=verdict == "violated" and bad and broken in ("", word),
        text=() if _says_it_all(conditions, text) else pieces(text),
        conditions=conditions,
    )


def _says_it_all(conditions: Sequence[Condition], text: str) -> bool:
    """Whether the only condition repeats the clause's text."""
    shown = ["".join(piece.text for piece in condition.text) for condition in conditions]
    return shown == [" ".join(text.split())]


def _tone(word: str, state: str) -> str:
    return "unknown" if state == "unknown" else _TONES.get((word, state), "plain")


def _condition(condition: Mapping[str, Any], word: str, trace_href: str | None) -> Condition:
    state = condition["state"]
    spans = condition.get("spans") or ()
    miss = condition.get("nearest_miss")
    return Condition(
        text=pieces(" ".join(str(condition["text"]).split())),
        state=state,
        tone=_tone(word, state),
        icon=_ICONS[state],
        note=_note(condition, word),
        evidence=tuple(_evidence(span, word, trace_href) for span in spans[:EVIDENCE_MAX]),
        miss=_miss(miss, trace_href) if miss else None,
    )


def _note(condition: Mapping[str, Any], word: str) -> str:
    counts: Mapping[str, int] = condition.get("counts") or {}
    measured: Mapping[str, Any] = condition.get("measured") or {}
    if word in _MANY and measured:
        return ", ".join(f"{what} is {_range(found)}" for what, found in measured.items())
    if counts:
        return ", ".join(f"{what} is {count}" for what, count in counts.items())
    spans = condition.get("spans") or ()
    total = max(condition.get("total") or 0, len(spans))
    if total > EVIDENCE_MAX:
        return f"{total} spans; the first {EVIDENCE_MAX}:"
    if condition["state"] == "false" and not total and not condition.get("nearest_miss"):
        return "" if word in _MANY else "No such span in this trace."
    return ""


def _range(found: Any) -> str:
    """Return a measured number, which may be known in bounds only."""
    if not found or found == [None, None]:
        return "not known"
    least, greatest = found
    if least == greatest:
        return str(least)
    return f"at least {least}" if greatest is None else f"{least} to {greatest}"


def _evidence(span: Mapping[str, Any], word: str, trace_href: str | None) -> Evidence:
    values = span.get("values") or {}
    return Evidence(
        "" if word in _MANY else _span_href(trace_href, span["span_id"]),
        span.get("name", ""),
        tuple(Attribute(key, value_text(value)) for key, value in values.items()),
    )


def _miss(miss: Mapping[str, Any], trace_href: str | None) -> Miss:
    href = _span_href(trace_href, miss["span_id"])
    return Miss(href, miss["name"], tuple(map(str, miss["failed"])))


def _span_href(trace_href: str | None, span_id: str) -> str:
    return "" if trace_href is None else f"{trace_href}#span-{span_id}"


def _outdent(text: str) -> str:
    """Remove the indent that lines after the first have in common."""
    first, *rest = text.strip("\n").split("\n")
    indents = [len(line) - len(line.lstrip()) for line in rest if line.strip()]
    cut = max(min(indents) - 2, 0) if indents else 0
    return "\n".join([first.strip(), *(line[cut:].rstrip() for line in rest)])
