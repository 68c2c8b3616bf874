"""What the pages of API keys say, and to whom the form offers what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from api.auth.addresses import parse_networks
from api.auth.keys import KeyKind
from api.auth.principal import GRANTS, MACHINE_ROLES, Permission, Role
from api.keys.authority import Authority
from api.keys.model import Key, KeyState, MadeKey
from api.web.views.keys import (
    LIFETIMES,
    MAY,
    OVERLAPS,
    ROLES,
    KeyDraftText,
    end_of,
    key_form,
    key_list,
    key_page,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ID = UUID("6f1f4a0e-8a57-4c0b-9d43-0f2f7c3d0a11")


def key(**fields: Any) -> Key:
    return Key(
        **{
            "id": ID,
            "name": "collectors",
            "kind": KeyKind.LIVE,
            "state": KeyState.ACTIVE,
            "role": None,
            "scopes": frozenset({Permission.SIGNALS_READ, Permission.SPANS_INGEST}),
            "shown": "betrace_live_3kP9xQ",
            "networks": parse_networks(["203.0.113.0/24"]),
            "created_by": "ada@example.com",
            "created_at": NOON,
            "expires_at": None,
            "last_used_at": None,
            "revoked_at": None,
            "revoked_by": None,
            "replaced_by": None,
            **fields,
        }
    )


def test_every_permission_and_role_has_words() -> None:
    assert MAY.keys() == set(Permission)
    assert ROLES.keys() == set(MACHINE_ROLES)


@pytest.mark.parametrize(
    ("state", "rotates", "revokes"),
    [
        (KeyState.ACTIVE, True, True),
        (KeyState.REPLACED, False, True),
        (KeyState.EXPIRED, False, False),
        (KeyState.REVOKED, False, False),
    ],
)
def test_a_key_is_offered_what_can_still_be_done_to_it(
    state: KeyState, *, rotates: bool, revokes: bool
) -> None:
    page = key_page(key(state=state), now=NOON)
    assert (bool(page.rotate_action), bool(page.revoke_action)) == (rotates, revokes)


def test_a_key_says_its_rights_in_the_order_of_the_form() -> None:
    page = key_page(key(), now=NOON)
    assert (page.may, page.row.scopes, page.row.role, page.networks) == (
        ("Send spans", "Read signals"),
        ("spans.ingest", "signals.read"),
        "",
        ("203.0.113.0/24",),
    )
    by_role = key_page(key(role=Role.API_CLIENT, scopes=None), now=NOON).row
    assert (by_role.role, by_role.scopes) == ("API client", ())


@pytest.mark.parametrize(
    ("left", "state", "soon"),
    [
        (timedelta(days=13), KeyState.ACTIVE, True),
        (timedelta(days=15), KeyState.ACTIVE, False),
        (timedelta(days=-1), KeyState.EXPIRED, False),
    ],
)
def test_an_end_that_is_near_stands_out(left: timedelta, state: KeyState, *, soon: bool) -> None:
    page = key_list(
        [key(expires_at=NOON + left, state=state)], now=NOON, ended=True, next_cursor=""
    )
    assert page.rows[0].ends_soon is soon


@pytest.mark.parametrize(
    ("went_on", "says"),
    [
        ("", ""),
        (OVERLAPS["0"], "The key before has ended."),
        (OVERLAPS["3600"], "The key before goes on for 1 hour, if it does not end earlier."),
    ],
)
def test_a_new_key_says_what_becomes_of_the_one_before(went_on: str, says: str) -> None:
    made = MadeKey(key(), "betrace_live_…")
    page = key_list([], now=NOON, ended=False, next_cursor="", made=made, went_on=went_on)
    assert page.made is not None
    assert page.made.before[: len(says)] == says
    assert bool(page.made.before) is bool(says)


@pytest.mark.parametrize("role", Role)
def test_the_form_offers_only_what_its_reader_may_hand_on(role: Role) -> None:
    form = key_form(KeyDraftText(), Authority(GRANTS[role]), test_keys=False)
    assert {scope.value for scope in form.scopes} == GRANTS[role]
    assert {choice.value for choice in form.roles} == {
        other for other in MACHINE_ROLES if GRANTS[other] <= GRANTS[role]
    }


def test_the_form_is_filled_with_sending_spans_for_ninety_days() -> None:
    form = key_form(KeyDraftText(), Authority(frozenset(Permission)), test_keys=False)
    assert [scope.value for scope in form.scopes if scope.checked] == ["spans.ingest"]
    assert [choice.value for choice in form.lifetimes if choice.selected] == ["90"]


def test_every_offered_end_is_understood_and_no_other() -> None:
    ends = {days: end_of(days) for days in LIFETIMES}
    assert [days for days, end in ends.items() if end is None] == ["never"]
    for other in ("", "-1", "100000", "x"):
        with pytest.raises(ValueError, match="choose when"):
            end_of(other)
