"""The parts of signing in by a provider that need none: settings, claims, keys, flows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.auth.principal import Role
from api.auth.sealing import Sealer, Unreadable
from api.identity.claims import acting_of, email_of, name_of, texts_at
from api.identity.config import OidcConfig, WorkosConfig
from api.identity.discovery import discovery_url, read_metadata
from api.identity.fetching import MAX_ANSWER_BYTES, fetch_json
from api.identity.flow import LIFETIME_S, Flow, Flows
from api.identity.grants import Grant, Kind
from api.identity.provider_keys import ProviderKeys, read_jwks
from api.identity.remembered import ProviderUnavailable
from api.identity.tokens import is_compact
from api.problems import ApiError
from api.settings import SettingError, Settings
from tests.support.oidc import SigningKey

PEPPER = b"a pepper for tests, of 32 characters or more"
OIDC = {
    "oidc_issuer": "https://id.example/realms/shop",
    "oidc_client_id": "betrace",
    "public_url": "https://betrace.example/",
}


# Settings


def test_a_provider_is_described_by_few_settings() -> None:
    config = Settings.model_validate(OIDC).identity
    assert isinstance(config, OidcConfig)
    assert config.redirect_uri == "https://betrace.example/sign-in/provider/callback"
    assert (config.label, config.scopes) == ("id.example", "openid email profile")
    assert config.algorithms == ("RS256", "PS256", "ES256", "EdDSA")


def test_without_an_issuer_there_is_no_provider() -> None:
    assert Settings.model_validate({}).identity is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"oidc_client_id": ""}, "BETRACE_OIDC_CLIENT_ID is not"),
        ({"oidc_issuer": ""}, "BETRACE_OIDC_ISSUER is not"),
        ({"public_url": ""}, "BETRACE_PUBLIC_URL is not set"),
        ({"public_url": "http://betrace.example"}, "BETRACE_PUBLIC_URL is"),
        ({"oidc_issuer": "http://id.example"}, "write an https address"),
        ({"oidc_issuer": "https://id.example?x=1"}, "write an https address"),
        ({"oidc_audience": "betrace"}, "ID tokens would be taken for access tokens"),
        ({"oidc_algorithms": "RS256,HS256"}, "BETRACE_OIDC_ALGORITHMS"),
        ({"oidc_algorithms": "none"}, "BETRACE_OIDC_ALGORITHMS"),
        ({"oidc_algorithms": ""}, "BETRACE_OIDC_ALGORITHMS"),
        (
            {"oidc_issuer": "", "oidc_client_id": "", "local_accounts": False},
            "nobody could sign in",
        ),
        ({"workos_client_id": "client_1"}, "choose one provider"),
        ({"oidc_issuer": "", "workos_client_id": "client_1"}, "BETRACE_WORKOS_API_KEY is not"),
    ],
)
def test_a_provider_that_could_not_work_stops_the_start(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingError, match=told):
        _ = Settings.model_validate({**OIDC, **changes}).identity


def test_workos_is_described_by_two_settings() -> None:
    config = Settings.model_validate(
        {
            "public_url": "https://betrace.example",
            "workos_client_id": "client_1",
            "workos_api_key": "sk_1",
            "local_accounts": False,
        }
    ).identity
    assert isinstance(config, WorkosConfig)
    assert config.issuer == "https://api.workos.com/user_management/client_1"


def test_more_than_a_minute_between_clocks_is_no_setting() -> None:
    with pytest.raises(ValueError, match="less than or equal to 60"):
        Settings.model_validate({**OIDC, "oidc_leeway_s": 61})


# Claims


@pytest.mark.parametrize(
    ("claims", "name", "texts"),
    [
        ({"groups": ["a", "b"]}, "groups", {"a", "b"}),
        ({"groups": "a"}, "groups", {"a"}),
        ({"groups": ["a", 7, None, ""]}, "groups", {"a"}),
        ({"groups": {"a": 1}}, "groups", set()),
        ({"groups": ["a\0", "b\n"]}, "groups", set()),
        ({}, "groups", set()),
        ({"": ["a"]}, "groups", set()),
        ({"realm_access": {"roles": ["a"]}}, "realm_access.roles", {"a"}),
        ({"realm_access": ["roles"]}, "realm_access.roles", set()),
        ({"https://x.example/roles": ["a"]}, "https://x.example/roles", {"a"}),
        ({"a.b": ["flat"], "a": {"b": ["deep"]}}, "a.b", {"flat"}),
        ({"org_id": True}, "org_id", set()),
    ],
)
def test_texts_of_a_claim(claims: dict[str, Any], name: str, texts: set[str]) -> None:
    assert texts_at(claims, name) == texts


@pytest.mark.parametrize(
    ("email", "read"),
    [("Ada@Example.com", "ada@example.com"), ("ada", ""), (7, ""), ("a\0@b", ""), (None, "")],
)
def test_an_address_is_one_or_nothing(email: object, read: str) -> None:
    assert email_of({"email": email}) == read


def test_a_name_falls_back_to_the_address_and_holds_no_control_characters() -> None:
    assert name_of({"name": "Ada\n L", "email": "a@b.example"}) == "Ada L"
    assert name_of({"name": " ", "email": "a@b.example"}) == "a@b.example"


def test_who_acts_in_anothers_place_is_known() -> None:
    assert acting_of({"act": {"sub": "support@vendor.example"}}) == "support@vendor.example"
    assert acting_of({"act": None}) == acting_of({}) == ""


@pytest.mark.parametrize("act", ["x", [], {}, {"sub": ""}, {"sub": 7}, {"sub": "a\nb"}])
def test_a_claim_that_names_nobody_is_not_nobody(act: object) -> None:
    with pytest.raises(ValueError, match="names nobody"):
        acting_of({"act": act})


# Grants


@pytest.mark.parametrize(
    ("kind", "value", "role"),
    [
        (Kind.GROUP, "x", Role.AUDITOR),
        (Kind.GROUP, "x", Role.API_CLIENT),
        (Kind.CLIENT, "x", Role.AUDITOR),
        (Kind.CLIENT, "*", Role.VIEWER),
        (Kind.SUBJECT, "*", Role.VIEWER),
    ],
)
def test_some_grants_cannot_be_made(kind: Kind, value: str, role: Role) -> None:
    with pytest.raises(ApiError):
        Grant(issuer="https://id.example", kind=kind, value=value, role=role)


# Flows


def test_a_flow_survives_its_cookie_for_ten_minutes_and_in_one_place_only() -> None:
    now = [1_000.0]
    flows = Flows(PEPPER, clock=lambda: now[0])
    flow = Flow(next="/rules", links=uuid4())
    cookie = flows.seal(flow)
    assert flows.unseal(cookie) == flow
    assert flow.verifier not in cookie
    assert Flows(b"another pepper, of 32 characters or more").unseal(cookie) is None
    now[0] += LIFETIME_S + 1
    assert flows.unseal(cookie) is None


def test_what_is_sealed_is_bound_to_its_purpose_and_its_owner() -> None:
    sealed = Sealer(PEPPER, purpose="a").seal("secret", bound_to=b"ada")
    assert Sealer(PEPPER, purpose="a").unseal(sealed, bound_to=b"ada") == "secret"
    for purpose, owner, text in (
        ("b", b"ada", sealed),
        ("a", b"eve", sealed),
        ("a", b"ada", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        ("a", b"ada", b"short"),
    ):
        with pytest.raises(Unreadable):
            Sealer(PEPPER, purpose=purpose).unseal(text, bound_to=owner)


# Discovery and fetching

DOCUMENT = {
    "issuer": "https://id.example/realms/shop",
    "authorization_endpoint": "https://id.example/auth",
    "token_endpoint": "https://id.example/token",
    "jwks_uri": "https://id.example/jwks",
}


def test_a_description_is_read_where_the_standard_has_it() -> None:
    assert discovery_url("https://id.example/realms/shop/") == (
        "https://id.example/realms/shop/.well-known/openid-configuration"
    )
    metadata = read_metadata(DOCUMENT, issuer=DOCUMENT["issuer"])
    assert (metadata.jwks_uri, metadata.end_session_endpoint) == ("https://id.example/jwks", "")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"issuer": "https://id.example/realms/shop/"}, "the same to the letter"),
        ({"issuer": None}, "the same to the letter"),
        ({"jwks_uri": "http://id.example/jwks"}, "jwks_uri"),
        ({"token_endpoint": None}, "token_endpoint"),
        ({"end_session_endpoint": "javascript:alert(1)"}, "end_session_endpoint"),
    ],
)
def test_a_description_that_leads_astray_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ProviderUnavailable, match=told):
        read_metadata({**DOCUMENT, **changes}, issuer=DOCUMENT["issuer"])


@pytest.mark.parametrize(
    ("status", "content"),
    [(302, b""), (404, b"{}"), (500, b"{}"), (429, b"{}"), (200, b" " * (MAX_ANSWER_BYTES + 1))],
)
async def test_an_answer_that_is_none_is_an_outage(status: int, content: bytes) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(status, content=content, headers={"location": "http://10.0.0.1/"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        request = client.build_request("GET", "https://id.example/jwks?secret=1")
        with pytest.raises(ProviderUnavailable) as refused:
            await fetch_json(client, request)
    assert asked == ["https://id.example/jwks?secret=1"], "no redirect was followed"
    assert "secret" not in str(refused.value)


# Keys


@dataclass
class Jwks:
    """What a provider lists, and how often it was asked; time is moved by hand."""

    keys: list[dict[str, Any]]
    now_s: float = 0.0
    asked: int = 0
    away: bool = False
    found: ProviderKeys = field(init=False)

    def __post_init__(self) -> None:
        self.found = ProviderKeys(self.fetch, clock=lambda: self.now_s)

    async def fetch(self) -> dict[str, Any]:
        self.asked += 1
        if self.away:
            raise ProviderUnavailable("away")
        return {"keys": self.keys}

    async def has(self, key_id: str) -> bool:
        return await self.found.find(key_id, algorithm="RS256") is not None


@pytest.fixture
def one() -> SigningKey:
    return SigningKey()


@pytest.fixture
def jwks(one: SigningKey) -> Jwks:
    return Jwks([one.jwk])


async def test_the_list_is_asked_for_once_and_again_when_it_is_old(
    jwks: Jwks, one: SigningKey
) -> None:
    for moment in (0, 1, 599):
        jwks.now_s = moment
        assert await jwks.has(one.id)
    assert jwks.asked == 1
    jwks.now_s = 601
    assert await jwks.has(one.id)
    assert jwks.asked == 2


async def test_an_unknown_key_is_looked_for_once_a_minute_however_many_tokens_name_one(
    jwks: Jwks, one: SigningKey
) -> None:
    assert await jwks.has(one.id)
    new = SigningKey()
    jwks.keys = [new.jwk]
    assert await jwks.has(new.id), "rotated a moment after the list was read"
    assert jwks.asked == 2
    for moment in range(60):
        jwks.now_s = moment
        for number in range(10):
            assert not await jwks.has(f"made-up-{moment}-{number}")
    assert jwks.asked == 2
    jwks.now_s = 61
    assert not await jwks.has("made-up")
    assert jwks.asked == 3


async def test_a_key_that_is_taken_out_is_forgotten_within_ten_minutes(
    jwks: Jwks, one: SigningKey
) -> None:
    assert await jwks.has(one.id)
    jwks.keys = [SigningKey().jwk]
    jwks.now_s = 601
    assert not await jwks.has(one.id)


async def test_known_keys_count_for_an_hour_while_the_provider_is_away(
    jwks: Jwks, one: SigningKey
) -> None:
    assert await jwks.has(one.id)
    jwks.away, jwks.now_s = True, 3_500
    assert await jwks.has(one.id)
    asked = jwks.asked
    assert await jwks.has(one.id)
    assert jwks.asked == asked, "a provider that is away is not asked by every request"
    jwks.now_s = 3_700
    with pytest.raises(ProviderUnavailable):
        await jwks.has(one.id)


async def test_a_key_is_for_its_own_kind_of_algorithm(jwks: Jwks, one: SigningKey) -> None:
    for algorithm in ("ES256", "EdDSA", "PS256", "RS512"):
        assert await jwks.found.find(one.id, algorithm=algorithm) is None


@pytest.mark.parametrize(
    "key",
    [
        {"use": "enc"},
        {"kid": None},
        {"kid": 7},
        {"kty": "oct", "k": "c2VjcmV0"},
    ],
)
def test_a_key_that_is_not_for_signatures_is_not_listed(
    one: SigningKey, key: dict[str, Any]
) -> None:
    other = SigningKey()
    assert read_jwks({"keys": [{**one.jwk, **key}, other.jwk]}).keys() == {other.id}
    with pytest.raises(ProviderUnavailable, match="no key for signatures"):
        read_jwks({"keys": [{**one.jwk, **key}]})


@pytest.mark.parametrize(
    ("text", "compact"),
    [
        ("aaaa.bbbb.cccc", True),
        ("aaaa.bbbb.", True),
        ("aaaa.bbbb", False),
        ("aaaa.bbbb.cccc.dddd", False),
        ("aaaa.bb bb.cccc", False),
        ("aaaa.bbbb.cccc\n", False),
        ("aaaa.bbbb.cc=c", False),
        ("betrace_live_x", False),
        ("a" * 20_000 + ".bbbb.cccc", False),
    ],
)
def test_a_token_has_three_parts_and_nothing_else(text: str, *, compact: bool) -> None:
    assert is_compact(text) is compact
