"""Changing many signals on a page: the bar below the list, and what it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from api.signals.bulk import CHANGED_MAX, BulkChange
from api.signals.model import DISPOSITIONS, Status
from api.web.views.words import DISPOSITION_WORDS, STATUSES, Choice, Message, bad, good

KEEP = ""
NOBODY = "nobody"
STEPS = {
    "": "Keep the status",
    Status.INVESTIGATING.value: "Investigate",
    Status.RESOLVED.value: "Resolve",
    Status.FALSE_POSITIVE.value: "False positive",
    Status.OPEN.value: "Open again",
}


@dataclass(frozen=True, slots=True)
class Endings:
    """How one of the closing statuses may end."""

    label: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class BulkBar:
    """The form. query: the filters of the list. back: where to return.

    all_count: how many signals the filters show, as a number; all_label: on the button for them.
    """

    query: str
    back: str
    steps: tuple[Choice, ...]
    endings: tuple[Endings, ...]
    people: tuple[Choice, ...]
    all_count: int
    all_label: str
    what: str


@dataclass(frozen=True, slots=True)
class Done:
    """What a change of many did. undo_href: empty when it cannot be taken back any more."""

    message: Message
    undo_href: str


def bulk_bar(
    *,
    query: str,
    back: str,
    total: int,
    people: Sequence[tuple[str, str]],
    me: str,
    grouped: bool,
) -> BulkBar:
    """Return the bar. people: addresses and names. grouped: whether the list is of groups."""
    others = [(email, name or email) for email, name in people if email != me]
    mine = [(me, "Me")] if me and any(email == me for email, _ in people) else []
    named = [(KEEP, "Keep the assignee"), *mine, (NOBODY, "Nobody"), *others]
    count = min(total, CHANGED_MAX)
    newest = "newest " if total > CHANGED_MAX else ""
    return BulkBar(
        query=query,
        back=back,
        steps=tuple(Choice(value, label, not value) for value, label in STEPS.items()),
        endings=tuple(
            Endings(
                STATUSES[status],
                tuple(Choice(one, DISPOSITION_WORDS[one], selected=False) for one in dispositions),
            )
            for status, dispositions in DISPOSITIONS.items()
        ),
        people=tuple(Choice(value, label, not value) for value, label in named),
        all_count=total,
        all_label=f"Change all {newest}{count:,} that match" if total else "",
        what="groups" if grouped else "signals",
    )


def done_view(change: BulkChange, *, may_write: bool) -> Done:
    """Return what to say of a change that was made a moment ago."""
    if change.undone_at is not None:
        left = change.changed - change.restored
        text = f"Taken back for {_signals(change.restored)}."
        if left:
            text += f" {_signals(left)} stayed: somebody has changed them since."
        return Done(good(text), "")
    if not change.changed:
        return Done(bad(f"Nothing was changed.{_skipped(change)}"), "")
    more = (
        f" More than {CHANGED_MAX:,} match: apply it again for the others." if change.left else ""
    )
    text = f"{_what(change)}: {_signals(change.changed)}.{_skipped(change)}{more}"
    return Done(good(text), f"/signals/bulk/{change.id}/undo" if may_write else "")


def _what(change: BulkChange) -> str:
    parts = []
    if change.status is not None:
        ended = f", {DISPOSITION_WORDS[change.disposition].lower()}" if change.disposition else ""
        parts.append(f"{STATUSES[change.status]}{ended}")
    if change.assigns:
        parts.append(f"Given to {change.assignee or 'nobody'}")
    return " and ".join(parts)


def _skipped(change: BulkChange) -> str:
    if not change.skipped:
        return ""
    return (
        f" {_signals(change.skipped)} left alone: their status does not allow it, or it is so"
        " already."
    )


def _signals(count: int) -> str:
    return "1 signal" if count == 1 else f"{count:,} signals"
