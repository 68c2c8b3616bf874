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


class NoticeBody(BaseModel):
    """A rule was put into quarantine: what happened, and what its owner can do now.

    rule_version: the one that ran out of its budget. quarantined_version: the one that put it into
    quarantine, at `at`.
    """

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_EXAMPLE]})
    id: str
    kind: str
    rule_id: str
    rule_name: str
    rule_version: int
    quarantined_version: int
    owner: str
    figures: FiguresBody
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
