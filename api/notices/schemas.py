"""Notices as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict

_EXAMPLE: Final[JsonDict] = {
    "id": "6f1f4a0e-8a57-4c0b-9d43-0f2f7c3d0a11",
    "kind": "over_budget",
    "rule_id": "every-pair",
    "rule_name": "Every pair of queries is audited",
    "rule_version": 3,
    "quarantined_version": 4,
    "owner": "team-privacy",
    "figures": {
        "over_budget": 412,
        "judged": 980,
        "minutes": 4,
        "since": "2026-11-23T21:00:00Z",
        "until": "2026-11-23T21:06:00Z",
    },
    "quota": None,
    "quiet": None,
    "target": None,
    "what": "Its budget ran out in 412 of 980 judgements, in 4 of ten minutes. It is not judged "
    "any more.",
    "next_step": "Make the rule cheaper, or switch it on again.",
    "at": "2026-11-23T21:06:12.340Z",
    "acknowledged_at": None,
    "acknowledged_by": None,
}


class FiguresBody(BaseModel):
    """How often the budget ran out, between two event times."""

    model_config = ConfigDict(from_attributes=True)
    over_budget: int
    judged: int
    minutes: int
    since: datetime
    until: datetime


class QuotaBody(BaseModel):
    """How much of a month's quota of spans was used; percent: 80, 90 or 100 was reached."""

    model_config = ConfigDict(from_attributes=True)
    used: int
    quota: int
    percent: int
    month: str


class QuietBody(BaseModel):
    """Nothing was seen of a control for so many days; last_at: null: nothing ever was."""

    model_config = ConfigDict(from_attributes=True)
    control: str
    days: int
    since: datetime
    last_at: datetime | None


class TargetBody(BaseModel):
    """A target of checkpoints fails. kind: tsa, webhook, s3 or mail; reason: the last time."""

    model_config = ConfigDict(from_attributes=True)
    target: str
    kind: str
    place: str
    failures: int
    since: datetime
    reason: str


class NoticeBody(BaseModel):
    """What happened, and what can be done now.

    kind `over_budget`: a rule was put into quarantine. rule_version: the one that ran out of its
    budget; quarantined_version: the one that put it into quarantine, at `at`. kind `quota`: a part
    of the month's spans is used; only `quota` says more. `quiet_control`: there is no evidence of a
    control any more, `quiet`. `failing_target`: checkpoints do not get to `target`.
    """

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_EXAMPLE]})
    id: str
    kind: str
    rule_id: str | None
    rule_name: str | None
    rule_version: int | None
    quarantined_version: int | None
    owner: str
    figures: FiguresBody | None
    quota: QuotaBody | None
    quiet: QuietBody | None
    target: TargetBody | None
    what: str
    next_step: str
    at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None


class NoticePageBody(BaseModel):
    """A page of notices, newest first."""

    model_config = ConfigDict(from_attributes=True)
    items: list[NoticeBody]
    next_cursor: str | None
