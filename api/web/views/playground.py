"""The playground beside a rule's text: what a draft says of traces, clause by clause."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from api.rules.playground import RECENT_TRACES, OfSignal, On, OneTrace, Pasted, Played, PlayedTrace
from api.rules.playground import Recent as RecentTraces
from api.web.views.explanation import Explanation, explanation_view
from api.web.views.moments import Moment, moment
from api.web.views.waterfall import counted
from api.web.views.words import VERDICTS, Choice, choices
from dsl.trial import Told

ON: Final[Mapping[str, str]] = MappingProxyType(
    {
        "recent": f"The last {RECENT_TRACES} stored traces",
        "one": "One stored trace, or that of a signal",
        "pasted": "A trace that I paste",
    }
)
_TONES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "violated": ("bad", "circle-x"),
        "satisfied": ("good", "circle-check"),
        "not_applicable": ("plain", "circle"),
        "inconclusive": ("unknown", "circle-help"),
    }
)
"""Verdict to tone and icon."""
_SAYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "satisfied": "The promise is kept.",
        "not_applicable": "The promise does not apply to this trace.",
        "inconclusive": "It cannot be said.",
    }
)
_ORDER: Final = ("violated", "inconclusive", "satisfied", "not_applicable")
_ID: Final = re.compile(r"(?<![0-9a-fA-F])([0-9a-fA-F]{32})(?![0-9a-fA-F])")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayDraft:
    """The fields of the playground as typed. one: the id or address of a trace or signal."""

    on: str = "recent"
    one: str = ""
    pasted: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedRow:
    """A trace that was tried. href: of its page, empty for a pasted one. opened: shown at once."""

    href: str
    name: str
    service: str
    at: Moment | None
    verdict: str
    tone: str
    icon: str
    notes: str
    explanation: Explanation
    opened: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Playground:
    """The panel. problem: why nothing could be tried. summary: what came of it, in a line."""

    ons: tuple[Choice, ...]
    on: str
    one: str
    pasted: str
    problem: str
    summary: str
    rows: tuple[TriedRow, ...]
    together: Explanation | None


def what_on(draft: PlayDraft) -> On:
    """Return what a draft is to be tried on. Raises ValueError, for people, for no id."""
    match draft.on:
        case "pasted":
            return Pasted(draft.pasted)
        case "one":
            found = _ID.findall(draft.one)
            if not found:
                raise ValueError(
                    "paste the id of a trace or signal (32 hexadecimal digits), or its address"
                )
            is_signal = "signal" in draft.one.lower()
            return OfSignal(found[-1].lower()) if is_signal else OneTrace(found[-1].lower())
    return RecentTraces()


def playground(draft: PlayDraft, played: Played | None = None, *, problem: str = "") -> Playground:
    """Return the panel. played: what came of the fields, None: nothing was tried."""
    on = draft.on if draft.on in ON else "recent"
    rows = _rows(played) if played is not None and not played.together else ()
    return Playground(
        ons=choices(ON, on),
        on=on,
        one=draft.one,
        pasted=draft.pasted,
        problem=problem or _problem(played),
        summary=_summary(played) if played is not None and played.verdicts else "",
        rows=rows,
        together=_together(played) if played is not None and played.together else None,
    )


def _problem(played: Played | None) -> str:
    if played is None:
        return ""
    if not played.valid:
        return "The text has problems; without them it is tried at once."
    if not played.traces:
        return (
            "No trace is stored yet. Copies are kept of traces with signals and of a sample of "
            "the others: send some spans, or paste a trace."
        )
    return ""


def _summary(played: Played) -> str:
    traces = counted(len(played.traces), "trace")
    if played.together:
        verdict = VERDICTS[played.verdicts[0].verdict].lower()
        return f"{traces} together: {verdict}"
    counts = Counter(told.verdict for told in played.verdicts)
    told = ", ".join(
        f"{counts[verdict]} {VERDICTS[verdict].lower()}" for verdict in _ORDER if counts[verdict]
    )
    return f"{traces}: {told}"


def _rows(played: Played) -> tuple[TriedRow, ...]:
    """Return the traces, the violated ones first; the first that says something is opened."""
    both = sorted(
        zip(played.traces, played.verdicts, strict=bool(played.verdicts)),
        key=lambda pair: _ORDER.index(pair[1].verdict),
    )
    return tuple(_row(trace, told, opened=not number) for number, (trace, told) in enumerate(both))


def _row(trace: PlayedTrace, told: Told, *, opened: bool) -> TriedRow:
    tone, icon = _TONES[told.verdict]
    href = f"/traces/{trace.trace_id}" if trace.stored else ""
    notes = [counted(len(trace.spans), "span")]
    if not trace.whole:
        notes.append("copied in part")
    return TriedRow(
        href=href,
        name=trace.root_name or "A trace without a root span",
        service=trace.root_service,
        at=moment(trace.began_at) if trace.began_at else None,
        verdict=VERDICTS[told.verdict],
        tone=tone,
        icon=icon,
        notes=" · ".join(notes),
        explanation=_explanation(told.verdict, told.explanation, trace_href=href or None),
        opened=opened,
    )


def _together(played: Played) -> Explanation | None:
    if not played.verdicts:
        return None
    [told] = played.verdicts
    return _explanation(told.verdict, told.explanation, trace_href=None)


def _explanation(
    verdict: str, explanation: Mapping[str, Any], *, trace_href: str | None
) -> Explanation:
    view = explanation_view(
        explanation,
        verdict=verdict,
        broken_clause=explanation.get("broken") or "",
        reasons=explanation.get("reasons") or (),
        incomplete=bool(explanation.get("incomplete")),
        mismatch=False,
        outdated=False,
        rule_text="",
        rule_version=None,
        trace_href=trace_href,
    )
    return replace(view, headline=_SAYS.get(verdict, view.headline))
