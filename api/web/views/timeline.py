"""What became of a signal, in one line of time: judgements, what people did, and their notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from api.markdown import markdown_html
from api.signals.model import HistoryEntry, Signal
from api.signals.notes import Note
from api.web.views.moments import Moment, moment
from api.web.views.words import DISPOSITION_WORDS, REASONS, STATUSES, VERDICTS, doer

ENGINE = "BeTrace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry. kind: raised, status, verdict, assignee, link or note, for its look.

    href: what it leads to. html: of a note, safe. edit_href: of a note that its reader may change;
    source: its Markdown.
    """

    kind: str
    icon: str
    text: str
    actor: str
    at: Moment
    reason: str = ""
    href: str = ""
    href_label: str = ""
    html: Markup | None = None
    id: str = ""
    changed: bool = False
    edit_href: str = ""
    source: str = ""
    version: int = 0


def timeline(
    history: Sequence[HistoryEntry], notes: Sequence[Note], signal: Signal, *, actor: str
) -> tuple[Entry, ...]:
    """Return the entries, newest first, ending at the raising of the signal.

    actor: who looks at it, as notes name their authors.
    """
    entries: list[tuple[datetime, Entry]] = [(entry.at, _of_history(entry)) for entry in history]
    entries += [(note.created_at, _of_note(note, actor=actor)) for note in notes]
    entries.sort(key=lambda one: one[0], reverse=True)
    raised = Entry(
        kind="raised",
        icon="circle-alert",
        text="Raised",
        actor=ENGINE,
        at=moment(signal.occurred_at),
    )
    return (*(entry for _, entry in entries), raised)


def _of_history(entry: HistoryEntry) -> Entry:
    return Entry(
        kind={"linked": "link", "unlinked": "link"}.get(entry.change, entry.change),
        icon=_icon(entry),
        text=_text(entry),
        actor=ENGINE if entry.actor == "engine" else doer(entry.actor, entry.acting),
        at=moment(entry.at),
        reason=REASONS.get(entry.reason or "", entry.reason or ""),
        href=f"/signals/{entry.other_id}" if entry.other_id else "",
        href_label=f"Signal {entry.other_id[:8]}" if entry.other_id else "",
    )


def _icon(entry: HistoryEntry) -> str:
    if entry.change == "status":
        return "rotate-ccw" if entry.to_status == "open" else "circle-dot"
    icons = {"verdict": "history", "assignee": "user", "linked": "link-2", "unlinked": "link-2"}
    return icons.get(entry.change, "circle")


def _text(entry: HistoryEntry) -> str:
    match entry.change:
        case "status":
            text = (
                f"{STATUSES.get(entry.from_status or '')} → {STATUSES.get(entry.to_status or '')}"
            )
            words = [DISPOSITION_WORDS[entry.disposition]] if entry.disposition else []
            words += ["until it happens again"] if entry.until_regression else []
            return f"{text} ({', '.join(words)})" if words else text
        case "verdict":
            before, after = (VERDICTS.get(v or "") for v in (entry.from_verdict, entry.to_verdict))
            return f"Judged anew: {before} → {after}"
        case "linked":
            return "Linked"
        case "unlinked":
            return "Link taken back"
    return f"Assigned to {entry.assignee}" if entry.assignee else "Assigned to nobody"


def _of_note(note: Note, *, actor: str) -> Entry:
    gone = note.removed_at is not None
    own = note.author == actor and not gone
    return Entry(
        kind="note",
        icon="message-square",
        text="A note was removed" if gone else "",
        actor=doer(note.author, note.acting),
        at=moment(note.created_at),
        html=None if gone else Markup(markdown_html(note.text)),
        id=note.id,
        changed=note.changed_at is not None and not gone,
        edit_href=f"/signals/{note.signal_id}/notes/{note.id}" if own else "",
        source=note.text,
        version=note.version,
    )
