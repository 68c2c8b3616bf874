"""The settings page of the evidence log: what it says of targets and checkpoints."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from api.anchors.model import Anchor, Bucket, Head, Kind, Lock, State, Target, Webhook
from api.anchors.service import Anchored
from api.web.views.anchors import INTERVALS, KINDS, TargetText, evidence_settings, target_form

NOW = datetime(2026, 11, 27, 8, tzinfo=UTC)
TARGET = Target(
    id=UUID(int=1),
    tenant_id=UUID(int=2),
    where=Webhook("https://hooks.example.com"),
    every_s=3_600,
    enabled=True,
    created_at=NOW,
    created_by="ada@example.com",
)
DONE = Anchor(
    id=UUID(int=3),
    target_id=UUID(int=1),
    kind=Kind.TSA,
    place="https://a.example/tsr",
    checkpoint=1_440,
    state=State.DONE,
    attempts=1,
    reason=None,
    created_at=NOW,
    finished_at=NOW,
    stamped_at=NOW,
)


@pytest.mark.parametrize(
    ("changed", "label"),
    [
        ({}, "New"),
        ({"last_done_at": NOW}, "Works"),
        ({"failures": 3, "failing_since": NOW, "last_error": "No answer."}, "Fails"),
        ({"enabled": False, "failures": 3, "failing_since": NOW, "last_error": "No."}, "Off"),
    ],
)
def test_a_target_says_in_one_word_how_it_does(changed: dict[str, Any], label: str) -> None:
    page = evidence_settings([replace(TARGET, **changed)], [], may_write=True)
    [row] = page.targets
    assert (row.state_label, row.problem) == (label, changed.get("last_error", ""))


def test_whoever_may_not_change_it_sees_no_buttons() -> None:
    page = evidence_settings([TARGET], [], may_write=False)
    [row] = page.targets
    assert (row.send_action, row.switch_action, row.remove_action) == ("", "", "")
    assert page.kinds == ()


def test_only_stamps_are_to_be_downloaded() -> None:
    head = Head(number=1_440, size=20_000, time_ms=1_795_000_000_000, note=b"")
    waiting = replace(DONE, state=State.PENDING, kind=Kind.MAIL, reason="No mail server.")
    page = evidence_settings([], [Anchored(head, (DONE, waiting))], may_write=False)
    [row] = page.checkpoints
    assert (row.number, row.size) == ("1,440", "20,000")
    assert [(each.label, bool(each.stamp_href)) for each in row.anchors] == [
        ("Stamped", True),
        ("Waiting", False),
    ]


def test_every_kind_has_a_form_and_every_form_a_draft() -> None:
    assert set(KINDS) == set(Kind)
    for kind in Kind:
        assert target_form(TargetText(kind=kind.value)).kind is kind
    text = TargetText(
        kind="s3",
        name="evidence",
        region="eu-central-1",
        access_key_id="AKIA1",
        secret="a long secret",
        lock="governance",
        lock_days="30",
    )
    draft = text.draft()
    assert isinstance(draft.where, Bucket)
    assert (draft.where.lock, draft.where.lock_days) == (Lock.GOVERNANCE, 30)
    assert str(draft.every_s) in INTERVALS
    for changed in ({"lock_days": "ten"}, {"every_s": "5"}, {"lock": "iron"}, {"kind": "pigeon"}):
        with pytest.raises(ValueError, match=r"."):
            replace(text, **changed).draft()
