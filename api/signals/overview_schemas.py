"""Counts, groups, trends, views and changes of many signals as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.signals.bulk import CHANGED_MAX, BulkChange
from api.signals.counting import Facet, Facets, Group
from api.signals.incidents import Incident, Why
from api.signals.model import Disposition, Severity, Status
from api.signals.saved_views import NAME_MAX, QUERY_MAX, SavedView, ViewDraft
from api.signals.service import Keep, SignalChange


class CountedBody(BaseModel):
    """A value of a filter, and how many signals it would show. Of assignees, empty is nobody."""

    model_config = ConfigDict(from_attributes=True)
    value: str
    count: int


class FacetsBody(BaseModel):
    """How many signals fit, and the values of each filter under all the other filters.

    Most frequent first; of services the first 50.
    """

    total: int
    severity: list[CountedBody]
    status: list[CountedBody]
    rule: list[CountedBody]
    service: list[CountedBody]
    assignee: list[CountedBody]
    tag: list[CountedBody]

    @classmethod
    def of(cls, facets: Facets) -> Self:
        """Lay the filters side by side."""
        values = {facet.value: facets.values[facet] for facet in Facet}
        return cls.model_validate({"total": facets.total, **values})


class GroupBody(BaseModel):
    """A group of signals, as far as the filters show it.

    group: for the parameter of the same name; `rule:…` holds the signals of a rule whose group is
    not known yet. values: what the `group_by` of the rule found. signal_id: the newest one. days:
    signals of each of the last 14 days (UTC), oldest first, whatever became of them.
    """

    group: str
    rule_id: str
    rule_name: str
    severity: Severity
    root_name: str
    root_service: str
    values: dict[str, Any]
    signal_id: str
    count: int
    open: int
    investigating: int
    first_at: datetime
    last_at: datetime
    days: list[int]

    @classmethod
    def of(cls, group: Group) -> Self:
        """Put a group into JSON."""
        names = [name for name in cls.model_fields if name != "group"]
        values = {name: getattr(group, name) for name in names}
        return cls(group=str(group.key), **{**values, "days": list(group.days)})


class GroupPageBody(BaseModel):
    """A page of groups. total: how many groups the filters show in all."""

    items: list[GroupBody]
    next_cursor: str | None
    total: int


class ResolutionBody(BaseModel):
    """How long it took to resolve signals, in the last 30 days; of the last 10,000 at most.

    From the first judgement to the moment when the signal was resolved last. False positives do not
    count.
    """

    model_config = ConfigDict(from_attributes=True)
    resolved: int
    median_s: float | None
    p90_s: float | None


class FiguresBody(BaseModel):
    """What waits, and what came, of signals that alert.

    critical: open or investigating. last_day: in the last 24 hours of event time; day_before: in
    the 24 hours before. folded: in the last 24 hours, of storms, counted and not kept one by one.
    """

    model_config = ConfigDict(from_attributes=True)
    open: int
    investigating: int
    critical: int
    last_day: int
    day_before: int
    folded: int
    resolution: ResolutionBody


class TrendBody(BaseModel):
    """A rule or service that raises more signals than it uses to.

    current: in the hours looked at. baseline: median of the same hours of the days before. score:
    how many spreads (1.4826 × MAD) it lies above. increase_percent: 100 where nothing was before.
    """

    model_config = ConfigDict(from_attributes=True)
    subject: str
    name: str
    current: int
    baseline: float
    score: float
    increase_percent: float


class TrendsBody(BaseModel):
    """What stands out in a stretch of time, most of all first; at most ten of each."""

    model_config = ConfigDict(from_attributes=True)
    from_at: datetime
    to_at: datetime
    rules: list[TrendBody]
    services: list[TrendBody]


class ReasonBody(BaseModel):
    """What joins signals: a `trace`, a `deploy` (`service version`) or a `service`; how many."""

    model_config = ConfigDict(from_attributes=True)
    why: Why
    what: str
    count: int


class RuleNameBody(BaseModel):
    """A rule of an incident."""

    id: str
    name: str


class IncidentBody(BaseModel):
    """Unresolved signals of several rules that probably have one cause, newest first, and why."""

    signal_ids: list[str]
    rules: list[RuleNameBody]
    services: list[str]
    severity: Severity
    first_at: datetime
    last_at: datetime
    reasons: list[ReasonBody]

    @classmethod
    def of(cls, incident: Incident) -> Self:
        """Put an incident into JSON."""
        return cls(
            signal_ids=list(incident.signal_ids),
            rules=[RuleNameBody(id=rule_id, name=name) for rule_id, name in incident.rules],
            services=list(incident.services),
            severity=incident.severity,
            first_at=incident.first_at,
            last_at=incident.last_at,
            reasons=[ReasonBody.model_validate(reason) for reason in incident.reasons],
        )


class IncidentsBody(BaseModel):
    """Incidents of the last 24 hours, most severe and then newest first; at most twenty."""

    items: list[IncidentBody]


class ViewBody(BaseModel):
    """A view of the signals. query: the parameters of the list, as after the `?` of its address."""

    model_config = ConfigDict(from_attributes=True)
    id: str
    name: str
    query: str
    owner: str
    shared: bool
    version: int
    created_at: datetime
    changed_at: datetime


class ViewListBody(BaseModel):
    """One's own views, then those of all, by name."""

    items: list[ViewBody]

    @classmethod
    def of(cls, views: tuple[SavedView, ...]) -> Self:
        """Put views into JSON."""
        return cls(items=[ViewBody.model_validate(view) for view in views])


class ViewDraftBody(BaseModel):
    """What a view is to be. shared: everybody of the tenant sees it; needs `signals.write`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Mine, critical",
                    "query": "severity=critical&assignee=me&status=open",
                    "shared": False,
                }
            ]
        },
    )
    name: str = Field(max_length=NAME_MAX)
    query: str = Field(max_length=QUERY_MAX)
    shared: bool = False

    def draft(self) -> ViewDraft:
        """Return the draft."""
        return ViewDraft(name=self.name, query=self.query, shared=self.shared)


class BulkBody(BaseModel):
    """A change of many signals: of those with `ids`, or, without, of those that the query shows.

    status, reason, disposition, until_regression and assignee as for one signal; null as assignee
    is nobody. An open signal that is to be resolved is taken up first.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "ids": ["0f8fad5bd9cb469fa16570867728950e"],
                    "status": "resolved",
                    "reason": "Fixed in release 4.2.",
                    "disposition": "fixed",
                }
            ]
        },
    )
    ids: list[str] | None = Field(default=None, min_length=1, max_length=CHANGED_MAX)
    status: Status | None = None
    reason: str | None = Field(default=None, max_length=4_000)
    disposition: Disposition | None = None
    until_regression: bool = False
    assignee: str | None = Field(default=None, max_length=320)

    @model_validator(mode="after")
    def _something_to_do(self) -> Self:
        if self.status is None and "assignee" not in self.model_fields_set:
            raise ValueError("name a status or an assignee")
        if self.status is None and (self.disposition is not None or self.until_regression):
            raise ValueError("a disposition goes with a status")
        return self

    def change(self) -> SignalChange:
        """Return the change; an assignee that is not named stays."""
        named = "assignee" in self.model_fields_set
        return SignalChange(
            status=self.status,
            reason=self.reason,
            disposition=self.disposition,
            until_regression=self.until_regression,
            assignee=self.assignee if named else Keep.AS_IS,
        )


class SkippedBody(BaseModel):
    """A signal that was left alone, and why."""

    model_config = ConfigDict(from_attributes=True)
    id: str
    why: str


class BulkChangeBody(BaseModel):
    """What a change of many did. details: of those left alone the first hundred.

    more: whether more signals fit the query than one change may touch; ask again for them.
    """

    id: str
    changed: int
    skipped: int
    more: bool
    details: list[SkippedBody]
    undone_at: datetime | None

    @classmethod
    def of(cls, change: BulkChange) -> Self:
        """Put a change into JSON."""
        return cls(
            id=change.id,
            changed=change.changed,
            skipped=change.skipped,
            more=change.left > 0,
            details=[SkippedBody.model_validate(one) for one in change.details],
            undone_at=change.undone_at,
        )


class UndoneBody(BaseModel):
    """What taking back did. left: signals that somebody has changed since."""

    model_config = ConfigDict(from_attributes=True)
    changed: int
    left: int
