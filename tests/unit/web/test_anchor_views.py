"""The settings page of the evidence log: what it says of targets and checkpoints."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from api.anchors.drafts import TargetChange
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


BUCKET = Bucket(
    name="evidence",
    region="eu-central-1",
    endpoint="",
    prefix="betrace/",
    access_key_id="AKIAEXAMPLE",
    lock=Lock.COMPLIANCE,
    lock_days=30,
)


def test_the_form_of_a_target_asks_for_what_it_has_and_no_secret() -> None:
    target = replace(TARGET, where=BUCKET, every_s=7_200)
    form = target_form(TargetText.of(target), target=target)
    assert (form.place, form.action) == (
        "s3://evidence/betrace/",
        f"/settings/evidence/{target.id}",
    )
    assert (form.text.access_key_id, form.text.secret) == ("AKIAEXAMPLE", "")
    assert [one.label for one in form.intervals if one.selected] == ["Every 7,200 s"]


@pytest.mark.parametrize(
    ("typed", "changed"),
    [
        ({}, {}),
        ({"every_s": "86400"}, {"every_s": 86_400}),
        (
            {"access_key_id": "AKIAOTHER", "secret": "a new secret"},
            {"access_key_id": "AKIAOTHER", "secret": "a new secret"},
        ),
        ({"secret": "a new secret"}, {"access_key_id": "AKIAEXAMPLE", "secret": "a new secret"}),
        ({"lock": "none", "lock_days": "30"}, {"lock": Lock.NONE, "lock_days": 0}),
    ],
)
def test_a_form_changes_what_was_typed(typed: dict[str, str], changed: dict[str, Any]) -> None:
    target = replace(TARGET, where=BUCKET, every_s=7_200)
    as_it_is = {"every_s": 7_200, "lock": Lock.COMPLIANCE, "lock_days": 30}
    text = replace(TargetText.of(target), **typed)
    assert text.change(target) == TargetChange(**(as_it_is | changed))


def test_a_key_without_its_secret_is_refused_and_so_is_an_unknown_interval() -> None:
    target = replace(TARGET, where=BUCKET)
    for typed, words in (
        ({"access_key_id": "AKIAOTHER"}, "secret"),
        ({"every_s": "5"}, "how often"),
        ({"lock_days": "many"}, "number of days"),
    ):
        with pytest.raises(ValueError, match=words):
            replace(TargetText.of(target), **typed).change(target)


def test_a_webhook_gets_a_new_secret_only_if_that_is_wanted() -> None:
    for wanted in (False, True):
        text = replace(TargetText.of(TARGET), new_secret=wanted)
        assert text.change(TARGET) == TargetChange(every_s=3_600, new_secret=wanted)
