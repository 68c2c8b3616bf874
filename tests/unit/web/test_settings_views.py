"""The settings pages of tenant, team and usage, and the first-run page: what they show of what."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest

from api.auth.principal import GRANTS, Role
from api.invitations.accepting import Offer
from api.keys.authority import OPERATOR, Authority
from api.members.model import Member, Terms
from api.tenants.first_run import FirstSignal, Progress
from api.tenants.service import Tenant
from api.tenants.settings import TenantSettings
from api.tiers.allowance import Allowance, Quota
from api.usage.model import Usage, UsedDay, parse_month
from api.web.views.team import KEPT, member_page, offer_page, team_page, terms_of
from api.web.views.tenant import TenantText, tenant_page
from api.web.views.usage import usage_page
from api.web.views.welcome import KEY_IN_PLACE_OF, welcome_page

NOW = datetime(2026, 11, 27, 8, tzinfo=UTC)
ALLOWANCE = Allowance(
    "team",
    (
        Quota("monthly_spans", None, None, own=False),
        Quota("max_rules", 100, 12, own=True),
        Quota("max_members", None, 4, own=False),
        Quota("spans_per_s", 20_000, None, own=False),
        Quota("span_bytes_per_s", None, None, own=False),
    ),
)


def member(role: Role, *, until: datetime | None = None, email: str = "ada@example.com") -> Member:
    return Member(
        id=uuid4(),
        email=email,
        name="Ada",
        terms=Terms(role, until),
        joined_at=NOW,
        ended=until is not None and until <= NOW,
        last_seen_at=None,
    )


def test_only_members_whose_rights_the_viewer_has_lead_to_their_page() -> None:
    people = [member(Role.ADMIN, email="a@x"), member(Role.VIEWER, email="v@x")]
    weak = Authority(GRANTS[Role.VIEWER])
    page = team_page(people, [], viewer="v@x", authority=weak, may_write=True, now=NOW)
    assert [bool(row.href) for row in page.members] == [False, True]
    assert [row.is_self for row in page.members] == [False, True]
    assert [choice.value for choice in page.roles] == ["viewer"]


def test_whoever_may_not_write_sees_no_form_and_no_links() -> None:
    page = team_page(
        [member(Role.VIEWER)], [], viewer="", authority=OPERATOR, may_write=False, now=NOW
    )
    assert page.roles == ()
    assert page.members[0].href == ""


@pytest.mark.parametrize(("days", "soon", "ended"), [(13, True, False), (15, False, False)])
def test_an_end_that_is_near_stands_out(days: int, soon: bool, ended: bool) -> None:
    someone = member(Role.AUDITOR, until=NOW + timedelta(days=days))
    row = member_page(someone, viewer="", authority=OPERATOR, now=NOW).row
    assert (row.ends_soon, row.ended) == (soon, ended)


def test_a_form_can_leave_the_end_as_it_is() -> None:
    until = NOW + timedelta(days=5)
    assert terms_of("sre", KEPT, kept=until) == Terms(Role.SRE, until)
    assert terms_of("sre", "always") == Terms(Role.SRE)
    with pytest.raises(ValueError, match="for how long"):
        terms_of("sre", "12")


@pytest.mark.parametrize(
    ("signed_in_as", "has_account", "passwords", "step"),
    [
        ("", False, True, "account"),
        ("", False, False, "sign-in"),
        ("", True, True, "sign-in"),
        ("ada@example.com", True, True, "join"),
        ("ada@example.com", True, False, "join"),
        ("eve@example.com", True, True, "other"),
        ("eve@example.com", False, True, "other"),
    ],
)
def test_a_link_offers_what_fits_whoever_opens_it(
    signed_in_as: str, has_account: bool, passwords: bool, step: str
) -> None:
    offer = Offer(
        id=uuid4(),
        tenant_id=uuid4(),
        tenant_name="Acme",
        email="ada@example.com",
        terms=Terms(Role.SRE),
        invited_by="grace@example.com",
        expires_at=NOW,
        has_account=has_account,
    )
    page = offer_page(offer, "t", signed_in_as=signed_in_as, passwords=passwords, least=15)
    assert (page.step, page.tenant, page.role) == (step, "Acme", "SRE")
    over = offer_page(None, "t", signed_in_as=signed_in_as, passwords=passwords, least=15)
    assert over.step == "over"


def test_the_form_of_a_tenant_says_back_what_is_stored() -> None:
    settings = TenantSettings(settle_ms=1_500, max_life_ms=7_200_000, fold_after=None)
    text = TenantText.of(Tenant(uuid4(), "acme", settings, "Acme"))
    assert (text.name, text.durations["settle_ms"], text.durations["max_life_ms"]) == (
        "Acme",
        "1500ms",
        "2h",
    )
    change = text.change()
    assert TenantSettings.from_dict({**settings.to_dict(), **change.settings}) == settings


def test_limits_that_are_not_there_are_shown_as_none() -> None:
    page = tenant_page(Tenant(uuid4(), "acme", TenantSettings()), may_write=True)
    shown = {limit.label: limit.value for limit in page.limits}
    assert shown["Spans of one trace"] == "200,000"


@pytest.mark.parametrize(
    ("spans", "quota", "percent", "meter", "tone"),
    [
        (5, None, "", 0, ""),
        (799, 1_000, "79 %", 79, "good"),
        (800, 1_000, "80 %", 80, "warn"),
        (999, 1_000, "99 %", 99, "warn"),
        (3_000, 1_000, "300 %", 100, "bad"),
    ],
)
def test_usage_changes_its_tone_with_the_quota(
    spans: int, quota: int | None, percent: str, meter: int, tone: str
) -> None:
    usage = Usage(date(2026, 11, 1), (UsedDay(date(2026, 11, 3), spans),), quota, NOW)
    page = usage_page(usage, ALLOWANCE, today=NOW.date())
    assert (page.percent, page.meter, page.tone) == (percent, meter, tone)
    assert len(page.bars) == 30
    assert [bar.share for bar in page.bars[:4]] == [0, 0, 100, 0]
    assert (page.before_href, page.after_href) == ("/settings/usage?month=2026-10", "")


def test_usage_of_a_month_before_leads_on_to_the_next() -> None:
    page = usage_page(Usage(date(2025, 12, 1), (), None, None), ALLOWANCE, today=NOW.date())
    assert page.before_href == "/settings/usage?month=2025-11"
    assert page.after_href == "/settings/usage?month=2026-01"
    assert {bar.share for bar in page.bars} == {0}


def test_the_page_of_usage_shows_the_tier_and_what_is_the_tenant_s_own() -> None:
    page = usage_page(Usage(date(2026, 11, 1), (), None, None), ALLOWANCE, today=NOW.date())
    assert page.tier == "Team"
    assert [(quota.value, quota.own) for quota in page.quotas] == [
        ("none", False),
        ("12 of 100", True),
        ("4", False),
        ("20,000", False),
        ("as installed", False),
    ]


def test_a_month_is_read_and_anything_else_refused() -> None:
    assert parse_month("2026-11") == date(2026, 11, 1)
    for text in ("2026-00", "202611", "2026-1-", "abcd-ef"):
        with pytest.raises(ValueError, match="is no month"):
            parse_month(text)


def test_what_is_to_be_copied_holds_the_key_only_while_it_is_shown() -> None:
    progress = Progress(has_rule=True, judging=True, spans=False, signal=None)
    page = welcome_page(
        progress, otlp_url="https://otlp.example.com", may_make_key=True, may_write_rules=True
    )
    assert KEY_IN_PLACE_OF in page.example.text
    assert all("https://otlp.example.com" in item.text for item in (page.example, *page.own))
    assert [step.state for step in page.progress.steps] == ["done", "now", "later"]
    assert page.progress.waits


def test_a_signal_ends_the_wait() -> None:
    progress = Progress(has_rule=True, judging=True, spans=True, signal=FirstSignal("ab", "No"))
    page = welcome_page(progress, otlp_url="http://x", may_make_key=False, may_write_rules=False)
    assert (page.progress.signal_href, page.progress.waits) == ("/signals/ab", False)
