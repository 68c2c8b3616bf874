"""Signals: found by filters, counted, changed, linked, noted upon, and told of live."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict, Unpack

from api.client.connection import Connection, given
from api.client.live import LiveSignal, listen
from api.signals.counting import GroupSort
from api.signals.model import Disposition, Severity, Shown, Sort, Status, VerdictName
from api.signals.overview_schemas import (
    BulkChangeBody,
    FacetsBody,
    FiguresBody,
    GroupBody,
    GroupPageBody,
    IncidentBody,
    IncidentsBody,
    TrendsBody,
    UndoneBody,
    ViewBody,
    ViewDraftBody,
    ViewListBody,
)
from api.signals.schemas import (
    ComparisonBody,
    FoldBody,
    FoldPageBody,
    NoteBody,
    NotePageBody,
    RelatedBody,
    SignalBody,
    SignalDetailBody,
    SignalPageBody,
)
from api.signals.service import Keep
from api.traces.schemas import FoundRowsBody, RowsBody, SpanBody


class SignalQuery(TypedDict, total=False):
    """Which signals; of several values of one filter one must fit.

    Without `shown` those that alert. assignee: addresses, an empty one for signals that nobody has.
    from_at, to_at: aware times; from inclusive, to exclusive, of occurred_at.
    """

    shown: Shown
    rule_id: str | Sequence[str]
    status: Status | Sequence[Status]
    severity: Severity | Sequence[Severity]
    assignee: str | Sequence[str]
    tag: str | Sequence[str]
    group: str | Sequence[str]
    verdict: VerdictName | Sequence[VerdictName]
    trace_id: str
    service: str
    from_at: datetime
    to_at: datetime


@dataclass(frozen=True, slots=True)
class Signals:
    """The signals of the tenant."""

    _to: Connection

    def each(
        self, *, sort: Sort = Sort.NEWEST, limit: int | None = None, **chosen: Unpack[SignalQuery]
    ) -> Iterator[SignalBody]:
        """Yield signals, newest first unless asked for otherwise. limit: so many at most."""
        query = {**chosen, "sort": sort}
        return self._to.pages("/signals", SignalPageBody, limit=limit, query=query)

    def stream(
        self, *, since: str | None = None, shown: Shown = Shown.ALERTS
    ) -> Iterator[LiveSignal]:
        """Yield what happens to signals from now on, as it happens, for as long as it is asked.

        since: the `id` of what was seen last, by this or another script, within a day: what
        happened after it comes first. A connection that breaks is made again, and nothing is
        missed. Raises Unavailable if the server stays away for minutes; go on with `since` then.
        """
        return listen(self._to, "/signals/stream", query={"shown": shown}, since=since)

    def get(self, signal_id: str, *, spans: bool = True) -> SignalDetailBody:
        """Return a signal with all that explains it. spans: whether with those of its trace."""
        return self._to.ask(
            "GET",
            "/signals/{signal_id}",
            SignalDetailBody,
            query={"spans": spans},
            signal_id=signal_id,
        )

    def change(
        self,
        signal_id: str,
        *,
        status: Status | None = None,
        reason: str | None = None,
        disposition: Disposition | None = None,
        until_regression: bool = False,
        assignee: str | Keep | None = Keep.AS_IS,
        if_version: int | None = None,
    ) -> SignalDetailBody:
        """Move a signal through its life cycle, or assign it. assignee: an address, None: nobody.

        Resolved and false_positive need a reason. if_version: Conflict if the signal has another.
        """
        change = _change(status, reason, disposition, until_regression, assignee)
        return self._to.ask(
            "PATCH",
            "/signals/{signal_id}",
            SignalDetailBody,
            body={**change, **given(version=if_version)},
            signal_id=signal_id,
        )

    def change_many(
        self,
        which: Sequence[str] | SignalQuery,
        *,
        status: Status | None = None,
        reason: str | None = None,
        disposition: Disposition | None = None,
        until_regression: bool = False,
        assignee: str | Keep | None = Keep.AS_IS,
    ) -> BulkChangeBody:
        """Change signals at once, 2,000 at most: those with the ids, or the newest of a query."""
        change = _change(status, reason, disposition, until_regression, assignee)
        query = which if isinstance(which, dict) else None
        return self._to.ask(
            "POST",
            "/signals/bulk",
            BulkChangeBody,
            query=query,
            body=change if isinstance(which, dict) else {**change, "ids": list(which)},
        )

    def undo(self, bulk_id: str) -> UndoneBody:
        """Take a change of many back, where nobody has changed the signal since."""
        return self._to.ask("POST", "/signals/bulk/{bulk_id}/undo", UndoneBody, bulk_id=bulk_id)

    def folds(
        self,
        *,
        rule_id: str | None = None,
        severity: Severity | Sequence[Severity] | None = None,
        from_at: datetime | None = None,
        to_at: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[FoldBody]:
        """Yield minutes in which signals of storms were folded, newest first."""
        query = {"rule_id": rule_id, "severity": severity, "from_at": from_at, "to_at": to_at}
        return self._to.pages("/signals/folds", FoldPageBody, limit=limit, query=query)

    def facets(self, **chosen: Unpack[SignalQuery]) -> FacetsBody:
        """Count the signals of a query, and those that each value of a filter would show."""
        return self._to.ask("GET", "/signals/facets", FacetsBody, query=chosen)

    def groups(
        self,
        *,
        sort: GroupSort = GroupSort.LAST_SEEN,
        limit: int | None = None,
        **chosen: Unpack[SignalQuery],
    ) -> Iterator[GroupBody]:
        """Yield groups of signals: those of one rule that have its `group_by` in common."""
        query = {**chosen, "sort": sort}
        return self._to.pages("/signals/groups", GroupPageBody, limit=limit, query=query)

    def figures(self) -> FiguresBody:
        """Return what is open and critical, and what came in the last day."""
        return self._to.ask("GET", "/signals/figures", FiguresBody)

    def trending(self, *, hours: int = 1) -> TrendsBody:
        """List rules and services that raise more signals than they used to."""
        return self._to.ask("GET", "/signals/trending", TrendsBody, query={"hours": hours})

    def incidents(self) -> Sequence[IncidentBody]:
        """List unresolved signals of the last day that belong together."""
        return self._to.ask("GET", "/signals/incidents", IncidentsBody).items

    def comparison(self, signal_id: str) -> ComparisonBody:
        """Compare the signal's trace with one of the same root that kept the promise."""
        return self._to.ask(
            "GET", "/signals/{signal_id}/comparison", ComparisonBody, signal_id=signal_id
        )

    def related(self, signal_id: str) -> RelatedBody:
        """List signals that have to do with one."""
        return self._to.ask("GET", "/signals/{signal_id}/related", RelatedBody, signal_id=signal_id)

    def link(self, signal_id: str, other_id: str) -> RelatedBody:
        """Say that two signals belong together."""
        return self._to.ask(
            "PUT",
            "/signals/{signal_id}/links/{other_id}",
            RelatedBody,
            harmless=True,
            signal_id=signal_id,
            other_id=other_id,
        )

    def unlink(self, signal_id: str, other_id: str) -> RelatedBody:
        """Take a link back."""
        return self._to.ask(
            "DELETE",
            "/signals/{signal_id}/links/{other_id}",
            RelatedBody,
            signal_id=signal_id,
            other_id=other_id,
        )

    def notes(self, signal_id: str, *, limit: int | None = None) -> Iterator[NoteBody]:
        """Yield the notes of a signal, newest first."""
        return self._to.pages(
            "/signals/{signal_id}/notes", NotePageBody, limit=limit, signal_id=signal_id
        )

    def add_note(self, signal_id: str, text: str) -> NoteBody:
        """Write a note on a signal, in Markdown."""
        return self._to.ask(
            "POST",
            "/signals/{signal_id}/notes",
            NoteBody,
            body={"text": text},
            signal_id=signal_id,
        )

    def change_note(
        self, signal_id: str, note_id: str, text: str, *, if_version: int | None = None
    ) -> NoteBody:
        """Correct a note of one's own."""
        return self._to.ask(
            "PUT",
            "/signals/{signal_id}/notes/{note_id}",
            NoteBody,
            body={"text": text},
            if_version=if_version,
            signal_id=signal_id,
            note_id=note_id,
        )

    def remove_note(
        self, signal_id: str, note_id: str, *, if_version: int | None = None
    ) -> NoteBody:
        """Take the text of a note of one's own away."""
        return self._to.ask(
            "DELETE",
            "/signals/{signal_id}/notes/{note_id}",
            NoteBody,
            if_version=if_version,
            signal_id=signal_id,
            note_id=note_id,
        )

    def rows(self, signal_id: str, *, first: int = 0, limit: int = 1_000) -> RowsBody:
        """Return a stretch of the rows of a signal's trace, marked by its clauses, with ghosts."""
        return self._to.ask(
            "GET",
            "/signals/{signal_id}/rows",
            RowsBody,
            query={"first": first, "limit": limit},
            signal_id=signal_id,
        )

    def rows_with(self, signal_id: str, text: str = "", *, failed: bool = False) -> FoundRowsBody:
        """Return the numbers of the rows whose spans hold a text, or failed."""
        return self._to.ask(
            "GET",
            "/signals/{signal_id}/rows/search",
            FoundRowsBody,
            query={"q": text, "failed": failed},
            signal_id=signal_id,
        )

    def span(self, signal_id: str, ordinal: int) -> SpanBody:
        """Return one span of the signal's trace. ordinal: as its row says."""
        return self._to.ask(
            "GET",
            "/signals/{signal_id}/spans/{ordinal}",
            SpanBody,
            signal_id=signal_id,
            ordinal=ordinal,
        )

    def views(self) -> Sequence[ViewBody]:
        """List one's own saved views and those of all."""
        return self._to.ask("GET", "/signals/views", ViewListBody).items

    def save_view(self, view: ViewDraftBody) -> ViewBody:
        """Keep filters and order under a name."""
        return self._to.ask("POST", "/signals/views", ViewBody, body=view)

    def change_view(
        self, view_id: str, view: ViewDraftBody, *, if_version: int | None = None
    ) -> ViewBody:
        """Change a view of one's own."""
        return self._to.ask(
            "PUT",
            "/signals/views/{view_id}",
            ViewBody,
            body=view,
            if_version=if_version,
            view_id=view_id,
        )

    def delete_view(self, view_id: str) -> None:
        """Remove a view."""
        self._to.do("DELETE", "/signals/views/{view_id}", view_id=view_id)


def _change(
    status: Status | None,
    reason: str | None,
    disposition: Disposition | None,
    until_regression: bool,
    assignee: str | Keep | None,
) -> dict[str, object]:
    change = given(status=status, reason=reason, disposition=disposition)
    if until_regression:
        change["until_regression"] = True
    return change if isinstance(assignee, Keep) else {**change, "assignee": assignee}
