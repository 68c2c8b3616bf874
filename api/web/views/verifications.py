"""The pages of verifications that are on record: the list, and one with its findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from api.evidence.search_schemas import moment_of
from api.evidence.verifying import Finding, Verification, VerificationPage, Verified
from api.web.views.addresses import with_query
from api.web.views.evidence import (
    KINDS,
    LIST_HREF,
    OUTCOME_LABELS,
    VERIFICATIONS_HREF,
    BadgeView,
    badge_of,
    record_href,
    title_of,
    verification_href,
    who_did,
)
from api.web.views.moments import Moment, moment

_SHOWN: Final = 200
"""Findings on a page; the REST answer has all."""


@dataclass(frozen=True, slots=True)
class CountView:
    """So many records were found so."""

    count: str
    badge: BadgeView


@dataclass(frozen=True, slots=True)
class VerificationRow:
    """A verification in words. over: what was looked at; counts: those that are not nought."""

    href: str
    over: str
    who: str
    at: Moment
    checked: str
    counts: tuple[CountView, ...]
    checkpoint: str


@dataclass(frozen=True, slots=True)
class VerificationList:
    """The page of the list."""

    rows: tuple[VerificationRow, ...]
    older_href: str
    newest_href: str


@dataclass(frozen=True, slots=True)
class FindingRow:
    """What was found of a record."""

    seq: str
    href: str
    badge: BadgeView


@dataclass(frozen=True, slots=True)
class VerificationView:
    """The page of one. left: findings that are not shown; next_cursor: for those of the filter
    that are older, empty: there are none; fields: of the filter, to go on with."""

    row: VerificationRow
    findings: tuple[FindingRow, ...]
    left: str
    next_cursor: str
    fields: tuple[tuple[str, str], ...]
    records_href: str
    json_href: str


def verification_list(page: VerificationPage, *, cursor: str) -> VerificationList:
    """Return a page of verifications, newest first. cursor: of this page."""
    return VerificationList(
        rows=tuple(map(verification_row, page.items)),
        older_href=_at(page.next_cursor) if page.next_cursor else "",
        newest_href=VERIFICATIONS_HREF if cursor else "",
    )


def verification_row(one: Verification) -> VerificationRow:
    """Return a verification in words."""
    return VerificationRow(
        href=verification_href(str(one.id)),
        over=_over(one.asked),
        who=who_did(one.actor, one.actor_name, one.acting),
        at=moment(one.at),
        checked=f"{one.checked:,} record{'' if one.checked == 1 else 's'}",
        counts=tuple(
            CountView(f"{count:,}", badge_of(badge, ""))
            for badge, count in one.counts.items()
            if count
        ),
        checkpoint=(
            f"Followed to checkpoint {one.head_number:,}, of {one.head_size:,} records."
            if one.head_number is not None and one.head_size is not None
            else "No checkpoint had been signed yet."
        ),
    )


def verification_page(found: Verified) -> VerificationView:
    """Return the page of a verification."""
    one = found.verification
    fields = _fields(one.asked)
    return VerificationView(
        row=verification_row(one),
        findings=tuple(_finding(each) for each in found.findings[:_SHOWN]),
        left=f"{len(found.findings) - _SHOWN:,}" if len(found.findings) > _SHOWN else "",
        next_cursor=one.next_cursor or "",
        fields=tuple(fields.items()),
        records_href="" if "records" in one.asked else with_query(LIST_HREF, fields),
        json_href=f"/api/v1/evidence/verifications/{one.id}",
    )


def _finding(one: Finding) -> FindingRow:
    is_there = one.code not in ("record_missing", "no_record")
    return FindingRow(
        seq=f"{one.seq:,}",
        href=record_href(one.seq) if is_there else "",
        badge=badge_of(one.badge, one.reason),
    )


def _over(asked: Mapping[str, Any]) -> str:
    """Return in words what was looked at."""
    named = asked.get("records")
    if named is not None:
        if len(named) == 1:
            return f"Record {named[0]:,}"
        return f"{len(named):,} records by number"
    said = [
        title_of(asked["framework"]) if "framework" in asked else "",
        asked.get("control", ""),
        ", ".join(KINDS.get(kind, kind) for kind in asked.get("kinds", ())),
        ", ".join(OUTCOME_LABELS.get(one, one) for one in asked.get("outcomes", ())),
        f"rule {asked['rule']}" if "rule" in asked else "",
        f"service {asked['service']}" if "service" in asked else "",
        f"“{asked['text']}”" if "text" in asked else "",
        f"from {_day(asked['from_ms'])}" if "from_ms" in asked else "",
        f"before {_day(asked['to_ms'])}" if "to_ms" in asked else "",
    ]
    return " · ".join(one for one in said if one) or "The newest records"


def _fields(asked: Mapping[str, Any]) -> dict[str, str]:
    """Return a filter as the fields of the list's form, as far as that has them."""
    fields = {
        "framework": asked.get("framework", ""),
        "control": asked.get("control", ""),
        "rule": asked.get("rule", ""),
        "service": asked.get("service", ""),
        "text": asked.get("text", ""),
        "kind": next(iter(asked.get("kinds", ())), ""),
        "outcome": next(iter(asked.get("outcomes", ())), ""),
        "since": _day(asked["from_ms"]) if "from_ms" in asked else "",
        "until": _day(asked["to_ms"] - 1) if "to_ms" in asked else "",
    }
    return {name: value for name, value in fields.items() if value}


def _day(time_ms: int) -> str:
    return moment_of(time_ms).date().isoformat()


def _at(cursor: str) -> str:
    return f"{VERIFICATIONS_HREF}?{urlencode({'cursor': cursor})}"
