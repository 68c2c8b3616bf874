"""The page of notices: what was done or found, and what can be done about it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from api.notices.model import ITSELF, Notice
from api.web.views.anchors import EVIDENCE_HREF
from api.web.views.evidence import control_href
from api.web.views.links import rule_href
from api.web.views.moments import Moment, moment
from api.web.views.usage import USAGE_HREF
from api.web.views.words import Message


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """One notice. acknowledge_href: empty if somebody did, or may not."""

    title: str
    happened: str
    href: str
    what: str
    next_step: str
    owner: str
    at: Moment
    is_new: bool
    acknowledged: str
    acknowledge_href: str


@dataclass(frozen=True, slots=True)
class NoticeList:
    """The page."""

    rows: tuple[NoticeRow, ...]
    older_href: str
    message: Message | None


def notice_list(
    notices: Sequence[Notice],
    *,
    next_cursor: str,
    takes: Collection[str],
    message: Message | None = None,
) -> NoticeList:
    """Return a page of notices, newest first. takes: kinds that the reader may acknowledge."""
    return NoticeList(
        rows=tuple(_row(notice, may_write=notice.kind in takes) for notice in notices),
        older_href=f"/notices?{urlencode({'cursor': next_cursor})}" if next_cursor else "",
        message=message,
    )


def _row(notice: Notice, *, may_write: bool) -> NoticeRow:
    is_new = notice.acknowledged_at is None
    title, happened, href = _told(notice)
    return NoticeRow(
        title=title,
        happened=happened,
        href=href,
        what=notice.what,
        next_step=notice.next_step if is_new else "",
        owner=notice.owner,
        at=moment(notice.at),
        is_new=is_new,
        acknowledged="" if is_new else _acknowledged(notice),
        acknowledge_href=f"/notices/{notice.id}/acknowledge" if is_new and may_write else "",
    )


def _told(notice: Notice) -> tuple[str, str, str]:
    """Return what a notice is about, what happened to it, and where it is shown."""
    if notice.quota:
        return f"{notice.quota.percent} % of the quota", "is used", USAGE_HREF
    if notice.quiet:
        control_id = notice.quiet.control
        happened = "has no evidence any more" if notice.quiet.last_at else "has no evidence"
        return control_id, happened, control_href(control_id)
    if notice.target:
        return notice.target.place, "takes no checkpoints", EVIDENCE_HREF
    return notice.rule_name or "", "was put into quarantine", rule_href(notice.rule_id or "")


def _acknowledged(notice: Notice) -> str:
    if notice.acknowledged_by != ITSELF:
        return f"Acknowledged by {notice.acknowledged_by}"
    return "Evidence came again" if notice.quiet else "It takes checkpoints again"
