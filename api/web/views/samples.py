"""Sample traces: those of the library and a tenant's own, and one of them with a rule on it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from api.samples.judging import REJECTED, Said
from api.samples.model import Entry, Sample
from api.traces.layout import ERROR, SPAN_ID_BYTES, Layout, SpanColumns, lay_out
from api.web.views.addresses import with_query
from api.web.views.explanation import Explanation, explanation_view, marks_of
from api.web.views.moments import Moment, duration_text, moment
from api.web.views.waterfall import HUES, INDENT, INDENT_LEVELS, Attribute, counted, value_text
from api.web.views.words import VERDICTS, Choice, Message, choices
from dsl.traces import span_from_fields

ROWS_MAX: Final = 300
TONES: Final = {"violated": "bad", "satisfied": "good", "inconclusive": "warn", REJECTED: "bad"}
_BAR_MIN: Final = 0.35
_SEPARATORS: Final = re.compile(r"[,\n]")


@dataclass(frozen=True, slots=True)
class SampleRow:
    """A sample in a list."""

    id: str
    href: str
    name: str
    description: str
    tags: tuple[str, ...]
    spans: str
    services: str
    expect: str
    tone: str
    at: Moment | None


@dataclass(frozen=True, slots=True)
class SampleForm:
    """What was typed into the form of a new sample. open: shown at once."""

    name: str = ""
    description: str = ""
    tags: str = ""
    text: str = ""
    open: bool = False


@dataclass(frozen=True, slots=True)
class SampleList:
    """The page."""

    own: tuple[SampleRow, ...]
    library: tuple[SampleRow, ...]
    tags: tuple[Choice, ...]
    text: str
    clear_href: str
    filtered: bool
    may_write: bool
    form: SampleForm
    message: Message | None
    older_href: str
    newest_href: str


def sample_list(
    own: Sequence[Sample],
    library: Sequence[Sample],
    *,
    tag: str,
    text: str,
    cursor: str,
    next_cursor: str | None,
    tags: Sequence[str],
    may_write: bool,
    form: SampleForm,
    message: Message | None,
) -> SampleList:
    """Return the page. own: a page of the tenant's; library: those that fit the filters."""
    filters = {"tag": tag, "q": text}
    return SampleList(
        own=tuple(map(_row, own)),
        library=() if cursor else tuple(map(_row, library)),
        tags=choices(
            {one: one for one in (*tags, *([tag] if tag else []))}, tag, nothing="Any tag"
        ),
        text=text,
        clear_href="/samples" if tag or text else "",
        filtered=bool(tag or text),
        may_write=may_write,
        form=form,
        message=message,
        older_href=with_query("/samples", {**filters, "cursor": next_cursor})
        if next_cursor
        else "",
        newest_href=with_query("/samples", filters) if cursor else "",
    )


def fits(sample: Sample, *, tag: str, text: str) -> bool:
    """Return whether a sample of the library is one that a list with filters shows."""
    wanted = text.lower()
    return (not tag or tag in sample.tags) and (
        wanted in sample.name.lower() or wanted in sample.description.lower()
    )


def split_tags(text: str) -> tuple[str, ...]:
    """Return the tags of a field: parted by commas."""
    return tuple(tag.strip() for tag in _SEPARATORS.split(text) if tag.strip())


def _row(sample: Sample) -> SampleRow:
    return SampleRow(
        id=sample.id,
        href=f"/samples/{sample.id}",
        name=sample.name,
        description=sample.description,
        tags=sample.tags,
        spans=counted(sample.span_count, "span"),
        services=", ".join(sample.services[:4])
        + (f" and {len(sample.services) - 4} more" if len(sample.services) > 4 else ""),
        expect=VERDICTS.get(sample.expect, ""),
        tone=TONES.get(sample.expect, "plain"),
        at=moment(sample.created_at) if sample.created_at else None,
    )


# ------------------------------------------------------------------ one of them


@dataclass(frozen=True, slots=True)
class SampleSpan:
    """A span of a sample, with its place in the tree. x, width: per cent of the sample."""

    id: str
    name: str
    service: str
    hue: int
    error: bool
    marks: tuple[str, ...]
    indent: int
    x: str
    width: str
    offset: str
    duration: str
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class TrialView:
    """What a rule says of the sample. problems: lines, where its text does not check."""

    verdict: str
    tone: str
    explanation: Explanation | None
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SamplePage:
    """The page of one sample."""

    id: str
    href: str
    name: str
    description: str
    tags: tuple[str, ...]
    tag_text: str
    summary: str
    library: bool
    version: int
    at: Moment | None
    created_by: str
    redacted_by: str
    spans: tuple[SampleSpan, ...]
    hidden_count: int
    json_href: str
    rules: tuple[Choice, ...]
    rule_text: str
    trial: TrialView | None
    may_write: bool
    message: Message | None


def sample_page(
    sample: Sample,
    *,
    rules: Mapping[str, str],
    rule_id: str = "",
    rule_text: str = "",
    said: Said | None = None,
    may_write: bool,
    message: Message | None = None,
) -> SamplePage:
    """Return the page of a sample with its spans.

    rules: id to name, to be tried. rule_id, rule_text, said: what was tried just now.
    """
    entries = sample.spans or ()
    layout, ordered = laid_out(entries)
    marks = marks_of(said.explanation) if said else {}
    own = not sample.is_library
    return SamplePage(
        id=sample.id,
        href=f"/samples/{sample.id}",
        name=sample.name,
        description=sample.description,
        tags=sample.tags,
        tag_text=", ".join(sample.tags),
        summary=" · ".join(
            (
                counted(sample.span_count, "span"),
                counted(len(sample.services), "service"),
                duration_text(layout.duration_ns),
            )
        ),
        library=sample.is_library,
        version=sample.version,
        at=moment(sample.created_at) if sample.created_at else None,
        created_by=sample.created_by,
        redacted_by=f"by version {sample.redaction_version} of the policy" if own else "",
        spans=tuple(
            _span(layout, ordered, row, marks) for row in range(min(len(layout), ROWS_MAX))
        ),
        hidden_count=max(0, len(layout) - ROWS_MAX),
        json_href=f"/api/v1/samples/{sample.id}",
        rules=choices(rules, rule_id, nothing="The text below"),
        rule_text=rule_text or sample.rule,
        trial=_trial(said) if said else None,
        may_write=may_write,
        message=message,
    )


def laid_out(entries: Sequence[Entry]) -> tuple[Layout, list[Entry]]:
    """Return entries as rows, and the entries in the order that the rows' ordinals count."""
    spans = [span_from_fields(entry, position=at) for at, entry in enumerate(entries)]
    order = sorted(range(len(spans)), key=lambda at: (spans[at].start_ns, spans[at].span_id))
    first_ns = min((span.start_ns for span in spans), default=0)
    columns = SpanColumns(
        span_ids=b"".join(spans[at].span_id for at in order),
        parent_ids=b"".join(spans[at].parent_span_id or bytes(SPAN_ID_BYTES) for at in order),
        starts_ns=[spans[at].start_ns - first_ns for at in order],
        durations_ns=[spans[at].end_ns - spans[at].start_ns for at in order],
        names=[spans[at].name for at in order],
        services=[spans[at].service for at in order],
        errors=[spans[at].status == "error" for at in order],
    )
    return lay_out(columns), [entries[at] for at in order]


def _span(
    layout: Layout, ordered: Sequence[Entry], row: int, marks: Mapping[str, tuple[str, ...]]
) -> SampleSpan:
    entry = ordered[layout.ordinals[row]]
    span_id = layout.span_ids[row * SPAN_ID_BYTES : (row + 1) * SPAN_ID_BYTES].hex()
    extent_ns = max(layout.duration_ns, 1)
    x = min(layout.starts_ns[row] / extent_ns * 100, 100 - _BAR_MIN)
    width = max(layout.durations_ns[row] / extent_ns * 100, _BAR_MIN)
    service = layout.service_counts[layout.services[row]].name
    return SampleSpan(
        id=f"span-{span_id}",
        name=layout.name_table[layout.names[row]],
        service=service or "unknown service",
        hue=layout.services[row] % HUES,
        error=bool(layout.flags[row] & ERROR),
        marks=marks.get(span_id, ()),
        indent=min(layout.depths[row], INDENT_LEVELS) * INDENT,
        x=f"{x:.3f}",
        width=f"{min(width, 100 - x):.3f}",
        offset=duration_text(layout.starts_ns[row]),
        duration=duration_text(layout.durations_ns[row]),
        attributes=_attributes(entry),
    )


def _attributes(entry: Entry) -> tuple[Attribute, ...]:
    values: Mapping[str, Any] = entry.get("attributes") or {}
    told = [Attribute(str(key), value_text(value)) for key, value in values.items()]
    told += [Attribute(str(key), "removed by redaction") for key in entry.get("redacted") or ()]
    if entry.get("status_message"):
        told.append(Attribute("status", str(entry["status_message"])))
    return tuple(told)


def _trial(said: Said) -> TrialView:
    if said.verdict == REJECTED:
        return TrialView("Does not check", "bad", None, tuple(problem_lines(said.problems)))
    told = explanation_view(
        said.explanation,
        verdict=said.verdict,
        broken_clause=str(said.explanation.get("broken") or ""),
        reasons=tuple(map(str, said.explanation.get("reasons") or ())),
        incomplete=bool(said.explanation.get("incomplete")),
        mismatch=False,
        outdated=False,
        rule_text="",
        rule_version=0,
        has_trace=False,
    )
    view = replace(told, source="Judged just now")
    return TrialView(VERDICTS[said.verdict], TONES.get(said.verdict, "plain"), view, ())


def problem_lines(problems: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return problems of a text as lines: 2:8 this name is not known."""
    return [_problem_line(problem) for problem in problems[:20]]


def _problem_line(problem: Mapping[str, Any]) -> str:
    where = f"{problem['line']}:{problem['column']} " if problem.get("line") else ""
    hint = f" ({problem['hint']})" if problem.get("hint") else ""
    return f"{where}{problem['message']}{hint}"
