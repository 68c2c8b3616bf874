"""Two versions of a rule side by side, and bringing one of them back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from api.rules.model import Rule
from api.rules.versions import REASON_MAX, Difference, Line, lines_of
from api.web.views.links import rule_href
from api.web.views.moments import Moment, moment
from api.web.views.rule_text import Piece, pieces
from api.web.views.words import STATE_LABELS, Choice, Message, doer
from dsl.writing import written_tests

_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "name": "Name",
        "description": "Description",
        "severity": "Severity",
        "state": "State",
        "controls": "Controls",
        "tags": "Tags",
        "owner": "Owner",
        "runbook": "Runbook",
        "settle": "Settle",
        "on_incomplete": "Where spans are missing",
        "group_by": "Grouped by",
        "suppress": "Repeats are silent for",
        "exceptions": "Exceptions",
        "tests": "Tests",
    }
)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of both texts; kind: same, removed, added or changed."""

    kind: str
    was_number: int | None
    was: tuple[Piece, ...]
    now_number: int | None
    now: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A field of the rule, line by line."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """A version above its column."""

    number: int
    state: str
    state_label: str
    author: str
    at: Moment
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferencePage:
    """The page. restore: the version that can be brought back, 0: none."""

    rule_id: str
    rule_href: str
    was: Side
    now: Side
    others_was: tuple[Choice, ...]
    others_now: tuple[Choice, ...]
    choose_href: str
    parts: tuple[Part, ...]
    same: bool
    restore: int
    restore_href: str
    current: int
    reason: str
    reason_max: int
    message: Message | None


def difference_page(
    found: Difference,
    versions: Sequence[Rule],
    *,
    may_write: bool,
    reason: str = "",
    message: Message | None = None,
) -> DifferencePage:
    """Return the page. versions: all of the rule, newest first. reason: as typed."""
    current = versions[0]
    texts = Part("Promise", _rows(found.lines, coloured=True))
    fields = tuple(
        Part(
            _WORDS.get(field.name, field.name),
            _rows(tuple(lines_of(_text(field.name, field.was), _text(field.name, field.now)))),
        )
        for field in found.fields
    )
    text_differs = any(line.changed for line in found.lines)
    can_restore = may_write and not current.deleted and not found.was.deleted
    older = found.was.version < current.version
    return DifferencePage(
        rule_id=current.id,
        rule_href=rule_href(current.id),
        was=_side(found.was),
        now=_side(found.now),
        others_was=_choices(versions, found.was.version),
        others_now=_choices(versions, found.now.version),
        choose_href=f"{rule_href(current.id)}/difference",
        parts=(texts, *fields) if text_differs else fields,
        same=not text_differs and not fields,
        restore=found.was.version if can_restore and older else 0,
        restore_href=f"{rule_href(current.id)}/restore",
        current=current.version,
        reason=reason,
        reason_max=REASON_MAX,
        message=message,
    )


def _rows(lines: Sequence[Line], *, coloured: bool = False) -> tuple[Row, ...]:
    rows: list[Row] = []
    before = after = 0
    for line in lines:
        before += line.was is not None
        after += line.now is not None
        rows.append(
            Row(
                _kind(line),
                before if line.was is not None else None,
                _pieces(line.was, coloured=coloured),
                after if line.now is not None else None,
                _pieces(line.now, coloured=coloured),
            )
        )
    return tuple(rows)


def _kind(line: Line) -> str:
    if not line.changed:
        return "same"
    if line.was is None:
        return "added"
    return "removed" if line.now is None else "changed"


def _pieces(text: str | None, *, coloured: bool) -> tuple[Piece, ...]:
    if not text:
        return ()
    return pieces(text) if coloured else (Piece("", text),)


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "tests":
        return written_tests(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _side(version: Rule) -> Side:
    return Side(
        version.version,
        version.state,
        STATE_LABELS[version.state],
        doer(version.author, version.acting),
        moment(version.updated_at),
        version.reason,
    )


def _choices(versions: Sequence[Rule], chosen: int) -> tuple[Choice, ...]:
    return tuple(
        Choice(str(one.version), f"Version {one.version}", one.version == chosen)
        for one in versions
    )
