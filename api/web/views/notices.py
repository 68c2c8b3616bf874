"""The page of notices: what was done to rules, and what their owners can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from api.notices.model import Notice
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
    may_write: bool,
    message: Message | None = None,
) -> NoticeList:
    """Return a page of notices, newest first."""
    return NoticeList(
        rows=tuple(_row(notice, may_write=may_write) for notice in notices),
        older_href=f"/notices?{urlencode({'cursor': next_cursor})}" if next_cursor else "",
        message=message,
    )


def _row(notice: Notice, *, may_write: bool) -> NoticeRow:
    is_new = notice.acknowledged_at is None
    return NoticeRow(
        title=f"{notice.quota.percent} % of the quota" if notice.quota else notice.rule_name or "",
        happened="is used" if notice.quota else "was put into quarantine",
        href=rule_href(notice.rule_id) if notice.rule_id else USAGE_HREF,
        what=notice.what,
        next_step=notice.next_step if is_new else "",
        owner=notice.owner,
        at=moment(notice.at),
        is_new=is_new,
        acknowledged="" if is_new else f"Acknowledged by {notice.acknowledged_by}",
        acknowledge_href=f"/notices/{notice.id}/acknowledge" if is_new and may_write else "",
    )
