"""What became of a signal, in one line of time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from api.signals.model import HistoryEntry, Signal
from api.signals.notes import Note
from api.web.views.timeline import timeline
from tests.support.tenants import NOON

SIGNAL = cast(Signal, SimpleNamespace(occurred_at=NOON))


def change(minutes: int, kind: str, **fields: Any) -> HistoryEntry:
    values: dict[str, Any] = {
        "actor": "user:ada@example.com",
        "acting": "",
        "from_status": None,
        "to_status": None,
        "from_verdict": None,
        "to_verdict": None,
        "assignee": None,
        "reason": None,
        "version": 1,
        "revision": 1,
    }
    return HistoryEntry(at=after(minutes), change=kind, **{**values, **fields})


def note(minutes: int, text: str = "Seen.", author: str = "user:ada@example.com") -> Note:
    return Note(
        id="5f0c",
        signal_id="ab" * 16,
        text=text,
        text_hash="00" * 32,
        author=author,
        acting="",
        version=3,
        created_at=after(minutes),
        changed_at=None,
        removed_at=None,
        removed_by=None,
    )


def after(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)


def test_judgements_changes_and_notes_stand_newest_first_and_the_raising_last() -> None:
    told = timeline(
        [
            change(1, "status", from_status="open", to_status="investigating"),
            change(
                5,
                "verdict",
                actor="engine",
                from_verdict="violated",
                to_verdict="satisfied",
                reason="late_evidence",
            ),
        ],
        [note(3)],
        SIGNAL,
        actor="",
    )
    assert [(entry.kind, entry.text, entry.actor) for entry in told] == [
        ("verdict", "Judged anew: Violated → Satisfied", "BeTrace"),
        ("note", "", "user:ada@example.com"),
        ("status", "Open → Investigating", "user:ada@example.com"),
        ("raised", "Raised", "BeTrace"),
    ]
    assert told[0].reason == "Spans that came late changed the verdict."


def test_how_it_ended_and_what_opened_it_again_is_told() -> None:
    ended = change(
        1,
        "status",
        from_status="investigating",
        to_status="resolved",
        disposition="wont_fix",
        until_regression=True,
    )
    again = change(
        2,
        "status",
        actor="engine",
        from_status="resolved",
        to_status="open",
        reason="regressed",
        other_id="cd" * 16,
    )
    first, second, _ = timeline([ended, again], [], SIGNAL, actor="")
    assert (first.reason, first.href) == ("It happened again.", f"/signals/{'cd' * 16}")
    assert second.text == "Investigating → Resolved (Will not be fixed, until it happens again)"


def test_who_wrote_a_note_may_change_it_and_what_is_removed_is_gone() -> None:
    own = note(1, "**Mine**")
    removed = replace(own, text="", removed_at=after(2), removed_by=own.author)
    for each, html, may_change in (
        (own, "<strong>Mine</strong>", True),
        (note(1, "Theirs", "user:bob@example.com"), "Theirs", False),
        (removed, None, False),
    ):
        entry, _ = timeline([], [each], SIGNAL, actor=own.author)
        assert bool(entry.edit_href) is may_change
        assert entry.html is None if html is None else html in (entry.html or "")
    assert entry.text == "A note was removed"
