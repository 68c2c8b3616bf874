"""Nobody hands on by a key what they have not: neither permissions, nor places, nor time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.auth.addresses import parse_networks
from api.auth.principal import (
    GRANTS,
    MACHINE_ROLES,
    ApiKeyPrincipal,
    Permission,
    Role,
    UserPrincipal,
    grant_scope,
)
from api.keys.authority import OPERATOR, Authority, authority_of, refuse_excess
from api.keys.model import KeyDraft
from api.problems import ApiError

SCOPE = grant_scope(uuid4(), actor="test")
NEXT_WEEK = datetime(2026, 12, 1, tzinfo=UTC)


def draft(**fields: Any) -> KeyDraft:
    return KeyDraft(
        **{"name": "collector", "scopes": frozenset({Permission.SPANS_INGEST}), **fields}
    )


@given(
    st.frozensets(st.sampled_from(Permission)),
    st.frozensets(st.sampled_from(Permission), min_size=1),
)
def test_scopes_are_granted_exactly_where_all_of_them_are_held(
    held: frozenset[Permission], wanted: frozenset[Permission]
) -> None:
    if wanted <= held:
        refuse_excess(Authority(held), draft(scopes=wanted))
        return
    with pytest.raises(ApiError) as refused:
        refuse_excess(Authority(held), draft(scopes=wanted))
    assert (refused.value.status, refused.value.code) == (403, "key.exceeds")
    assert refused.value.members == {"missing": sorted(wanted - held)}


@pytest.mark.parametrize("role", MACHINE_ROLES)
def test_a_role_is_granted_by_whoever_may_all_of_it(role: Role) -> None:
    wanted = draft(scopes=None, role=role)
    refuse_excess(OPERATOR, wanted)
    refuse_excess(Authority(GRANTS[role]), wanted)
    with pytest.raises(ApiError, match="may not do themselves"):
        refuse_excess(Authority(GRANTS[role] - {min(GRANTS[role])}), wanted)


@pytest.mark.parametrize(
    ("networks", "granted"),
    [
        (["10.1.0.0/16"], True),
        (["10.1.0.0/16", "10.2.0.9"], True),
        ([], False),
        (["10.1.0.0/16", "203.0.113.7"], False),
        (["::/0"], False),
    ],
)
def test_a_key_bound_to_places_makes_keys_bound_to_these(
    networks: list[str], granted: bool
) -> None:
    bound = Authority(frozenset(Permission), networks=parse_networks(["10.0.0.0/8"]))
    wanted = draft(networks=parse_networks(networks))
    if granted:
        refuse_excess(bound, wanted)
        return
    with pytest.raises(ApiError, match=r"10\.0\.0\.0/8"):
        refuse_excess(bound, wanted)


@pytest.mark.parametrize(
    ("expires_at", "granted"),
    [(NEXT_WEEK, True), (None, False), (NEXT_WEEK + timedelta(seconds=1), False)],
)
def test_a_key_that_ends_makes_keys_that_end_no_later(
    expires_at: datetime | None, granted: bool
) -> None:
    ending = Authority(frozenset(Permission), expires_at=NEXT_WEEK)
    if granted:
        refuse_excess(ending, draft(expires_at=expires_at))
        return
    with pytest.raises(ApiError, match="no later"):
        refuse_excess(ending, draft(expires_at=expires_at))


def test_a_person_hands_on_what_their_role_grants_anywhere_and_for_ever() -> None:
    person = UserPrincipal(uuid4(), "a@example.com", "Ada", Role.SRE, SCOPE, "csrf")
    assert authority_of(person) == Authority(GRANTS[Role.SRE])


def test_a_key_hands_on_its_scopes_within_its_places_and_its_time() -> None:
    networks = parse_networks(["10.0.0.0/8"])
    held = frozenset({Permission.KEYS_WRITE})
    key = ApiKeyPrincipal(uuid4(), "k", None, SCOPE, held, networks, NEXT_WEEK)
    assert authority_of(key) == Authority(held, networks, NEXT_WEEK)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"scopes": None}, "either a role or scopes"),
        ({"role": Role.ADMIN}, "either a role or scopes"),
        ({"scopes": frozenset()}, "could do nothing"),
        ({"name": ""}, "1 to 50"),
        ({"name": "x" * 51}, "1 to 50"),
        ({"name": "a\nb"}, "printable"),
        ({"expires_at": datetime(2026, 12, 1)}, "time zone"),
    ],
)
def test_what_no_key_can_be_is_no_draft(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        draft(**fields)
