"""Finding evidence, the matrix of controls and what looking at records finds, in Postgres."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from uuid import uuid5

import psycopg
import pytest

from api.auth.principal import TenantScope
from api.database import Pool
from api.evidence.matrix import Matrix, Standing, read_control, read_matrix
from api.evidence.search import DAY_MS, EvidenceFilter, EvidencePage, day_of, search
from api.evidence.verification import Badge, verify_records
from dsl.controls import catalogue
from tests.support.evidence import (
    BEGIN_MS,
    MINUTE_MS,
    RULE,
    EvidenceLog,
    LocalSigner,
    span,
    verdict,
)
from tests.support.postgres import Database
from tests.support.stored_evidence import log_of, outcome_of, store_log
from tests.support.tenants import insert_rule, make_tenant
from udfs.evidence.records import (
    ComplianceSpan,
    Coverage,
    Kind,
    Outcome,
    Record,
    RuleVerdict,
)

CC61, CC72, LOGGED = "soc2.CC6.1", "soc2.CC7.2", "hipaa.164.312(b)"
FIRST_DAY = day_of(BEGIN_MS)
DAYS = 5


def a_log_of_days(scope: TenantScope) -> EvidenceLog:
    """Some records on each of five days, at all hours, of several kinds, controls and services."""
    log = log_of(scope.tenant_id)
    for day in range(DAYS):
        for hour in range(0, 24, 5):
            log.now_ms = BEGIN_MS // DAY_MS * DAY_MS + day * DAY_MS + hour * 3_600_000
            said = replace(span(log.frontier.size), service=("web", "crm")[hour % 2])
            log.append(said, controls=[CC61])
            log.append(
                replace(span(log.frontier.size), outcome=Outcome.FAILURE), controls=[CC61, CC72]
            )
            log.append(verdict(log.frontier.size), controls=[CC72, LOGGED, "own.7"])
            log.append(covered(log.now_ms, violated=1 if day < 2 else 0), controls=[CC72])
            log.now_ms += MINUTE_MS
        log.seal()
    return log


def covered(at_ms: int, *, violated: int = 0, judged: int = 10) -> Coverage:
    """Return coverage of a minute."""
    numbers = {"satisfied": judged - violated, "violated": violated, "inconclusive": 0}
    return Coverage(RULE, at_ms, at_ms + MINUTE_MS, judged, late=0, dropped=0, **numbers)


@pytest.fixture
def log(shared_database: Database, scope: TenantScope) -> EvidenceLog:
    made = a_log_of_days(scope)
    store_log(shared_database, made)
    return made


async def every_page(
    pool: Pool, scope: TenantScope, chosen: EvidenceFilter, *, limit: int
) -> list[EvidencePage]:
    pages, cursor = [], None
    while True:
        pages.append(await search(pool, scope, chosen, cursor=cursor, limit=limit))
        cursor = pages[-1].next_cursor
        if cursor is None:
            return pages


def expected(log: EvidenceLog, chosen: EvidenceFilter) -> list[int]:
    """Return, by looking at each record, the places of those that a filter chooses."""

    def fits(one: Record) -> bool:
        rule = getattr(one.body, "rule", None)
        return (
            (
                not chosen.framework
                or any(c.startswith(chosen.framework + ".") for c in one.controls)
            )
            and (not chosen.control or chosen.control in one.controls)
            and (not chosen.rule or (rule is not None and rule.id == chosen.rule))
            and (
                not chosen.service
                or (isinstance(one.body, ComplianceSpan) and one.body.service == chosen.service)
            )
            and (not chosen.text or says(one, chosen.text))
            and (not chosen.kinds or one.kind in chosen.kinds)
            and (not chosen.outcomes or outcome_of(one) in chosen.outcomes)
            and (chosen.from_ms is None or one.time_ms >= chosen.from_ms)
            and (chosen.to_ms is None or one.time_ms < chosen.to_ms)
        )

    found = [one for one in log.records if fits(one)]
    return [one.seq for one in sorted(found, key=lambda one: (-one.time_ms, -one.seq))]


def words_of(one: Record) -> list[str]:
    """Return what a record says, word by word."""
    body = one.body
    said = [one.kind.value, outcome_of(one), *one.controls]
    for name in ("evidence_type", "operation", "service", "action", "target"):
        said.append(getattr(body, name, ""))
    said.append(body.rule.id if isinstance(body, RuleVerdict | Coverage) else "")
    return re.findall(r"[^\W_]+", " ".join(said).lower())


def says(one: Record, text: str) -> bool:
    """Return whether a record has every group of words in a row, the last perhaps only begun."""
    words = words_of(one)

    def has(group: list[str]) -> bool:
        *whole, last = group
        return any(
            words[at : at + len(whole)] == whole and words[at + len(whole)].startswith(last)
            for at in range(len(words) - len(whole))
        )

    groups = [re.findall(r"[^\W_]+", term.lower()) for term in text.split()]
    asked = [group for group in groups if group]
    return bool(asked) and all(map(has, asked))


BEGIN = BEGIN_MS // DAY_MS * DAY_MS
FILTERS = [
    EvidenceFilter(),
    EvidenceFilter(framework="soc2"),
    EvidenceFilter(framework="hipaa", kinds=(Kind.VERDICT,)),
    EvidenceFilter(framework="own"),
    EvidenceFilter(framework="gdpr"),
    EvidenceFilter(control=CC72),
    EvidenceFilter(control=CC72, outcomes=("violated", "failure")),
    EvidenceFilter(control=CC61, framework="hipaa"),
    EvidenceFilter(rule=RULE.id),
    EvidenceFilter(rule=RULE.id, control=LOGGED),
    EvidenceFilter(rule="another"),
    EvidenceFilter(service="crm"),
    EvidenceFilter(service="web", control=CC72, outcomes=("failure",)),
    EvidenceFilter(kinds=(Kind.SPAN, Kind.KEY)),
    EvidenceFilter(from_ms=BEGIN + DAY_MS),
    EvidenceFilter(to_ms=BEGIN + 2 * DAY_MS + 7 * 3_600_000),
    EvidenceFilter(from_ms=BEGIN + 6 * 3_600_000, to_ms=BEGIN + 3 * DAY_MS + 1, framework="soc2"),
    EvidenceFilter(from_ms=BEGIN + 6 * 3_600_000, to_ms=BEGIN + 11 * 3_600_000, control=CC72),
    EvidenceFilter(from_ms=BEGIN + DAY_MS, to_ms=BEGIN + DAY_MS),
    EvidenceFilter(text="crm"),
    EvidenceFilter(text="FAIL  soc2.CC6.1"),
    EvidenceFilter(text="cc7.2 viol"),
    EvidenceFilter(text="pii-needs"),
    EvidenceFilter(text="needs pii hipaa"),
    EvidenceFilter(text="span", service="web", outcomes=("failure",)),
    EvidenceFilter(text="verdict", framework="own", rule=RULE.id),
    EvidenceFilter(text="span", control="gdpr.32"),
    EvidenceFilter(text="nothing of the kind"),
    EvidenceFilter(text="':* & !"),
    EvidenceFilter(text="ccm.7.2"),
    EvidenceFilter(
        text="soc2", from_ms=BEGIN + 6 * 3_600_000, to_ms=BEGIN + 3 * DAY_MS + 7 * 3_600_000
    ),
    EvidenceFilter(text="soc2", from_ms=BEGIN + 6 * 3_600_000, to_ms=BEGIN + 11 * 3_600_000),
    EvidenceFilter(text="soc2", from_ms=BEGIN + DAY_MS, to_ms=BEGIN + DAY_MS),
]


async def test_pages_have_what_the_filters_choose_and_count_it_exactly(
    pool: Pool, scope: TenantScope, log: EvidenceLog
) -> None:
    for chosen in FILTERS:
        pages = await every_page(pool, scope, chosen, limit=7)
        found = [one.seq for page in pages for one in page.items]
        assert found == expected(log, chosen), chosen
        assert {page.total for page in pages} == {len(found)}, chosen


async def test_a_record_is_found_by_the_name_that_its_rule_had(
    pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    insert_rule(shared_database.app, scope, RULE.id, name="Every look at a patient is audited")
    log = log_of(scope.tenant_id)
    log.append(replace(verdict(1), rule=replace(RULE, version=1)), controls=[CC72])
    log.append(verdict(2), controls=[CC72])
    log.seal()
    store_log(shared_database, log)
    found = await search(pool, scope, EvidenceFilter(text="patient audit"))
    assert ([one.seq for one in found.items], found.total) == ([1], 1)


async def test_ids_and_numbers_are_no_words_and_make_no_combinations(
    pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    log = log_of(scope.tenant_id)
    for number in range(1_000, 1_030):
        order = uuid5(scope.tenant_id, str(number))
        operation = f"GET /v2/orders/{order}/lines/{number}/item4f00{number}"
        log.append(replace(span(number), operation=operation), controls=[CC61])
    log.seal()
    store_log(shared_database, log)
    assert (await search(pool, scope, EvidenceFilter(text="v2/orders"))).total == 30
    assert (await search(pool, scope, EvidenceFilter(text="1007"))).total == 0
    with psycopg.connect(shared_database.admin) as connection:
        counted = connection.execute(
            "select count(*) from evidence_texts where tenant_id = %s and kind = 'span'",
            [scope.tenant_id],
        ).fetchone()
    assert counted == (1,)


async def test_another_tenant_finds_nothing(
    pool: Pool, scope: TenantScope, log: EvidenceLog
) -> None:
    other = await make_tenant(pool)
    assert log.tenant != str(other.tenant_id)
    for chosen in FILTERS:
        page = await search(pool, other, chosen)
        assert (page.items, page.total) == ((), 0)
    matrix = await read_matrix(pool, other, from_day=FIRST_DAY, to_day=day_after(DAYS))
    assert {row.standing for row in matrix.rows} == {Standing.NONE}
    assert "own.7" not in {row.id for row in matrix.rows}
    assert await read_control(pool, other, "own.7", from_day=FIRST_DAY, to_day=day_after(1)) is None


def day_after(days: int) -> date:
    return day_of(BEGIN + days * DAY_MS)


async def the_matrix(
    pool: Pool, scope: TenantScope, *, days: Sequence[int] = (0, DAYS), framework: str = ""
) -> Matrix:
    return await read_matrix(
        pool,
        scope,
        from_day=day_after(days[0]),
        to_day=day_after(days[1]),
        framework=framework,
    )


async def test_the_matrix_counts_what_rules_judged_and_services_said(
    pool: Pool, scope: TenantScope, log: EvidenceLog
) -> None:
    rows = {row.id: row for row in (await the_matrix(pool, scope)).rows}
    guarded, watched = rows[CC61], rows[CC72]
    assert (guarded.said, guarded.rules) == ({"success": 25, "failure": 25}, ())
    assert (guarded.satisfied, guarded.violated, guarded.standing) == (25, 25, Standing.VIOLATED)
    [sums] = watched.rules
    assert (sums.rule, sums.intervals, sums.judged, sums.violated) == (RULE.id, 25, 250, 10)
    assert (watched.satisfied, watched.violated, watched.inconclusive) == (240, 10 + 25, 0)
    assert watched.day_count == DAYS
    assert rows[LOGGED].violated == 25
    assert rows["own.7"].described is None


async def test_controls_without_evidence_are_shown_in_the_order_of_their_catalogue(
    pool: Pool, scope: TenantScope, log: EvidenceLog
) -> None:
    matrix = await the_matrix(pool, scope, framework="soc2")
    described = catalogue("soc2")
    assert described is not None
    assert [row.id for row in matrix.rows] == [one.id for one in described.controls]
    nothing = [row for row in matrix.rows if row.standing is Standing.NONE]
    assert len(nothing) == len(matrix.rows) - 2
    assert {(row.last_ms, row.days_without, row.day_count) for row in nothing} == {(None, None, 0)}


async def test_a_period_has_its_own_numbers_and_the_last_evidence_of_any_time(
    pool: Pool, scope: TenantScope, log: EvidenceLog
) -> None:
    rows = {row.id: row for row in (await the_matrix(pool, scope, days=(2, 4))).rows}
    assert (rows[CC72].rules[0].judged, rows[CC72].rules[0].violated) == (100, 0)
    later = await the_matrix(pool, scope, days=(DAYS + 10, DAYS + 20))
    row = next(row for row in later.rows if row.id == CC61)
    assert (row.standing, row.satisfied, row.violated) == (Standing.NONE, 0, 0)
    assert row.last_ms == max(one.time_ms for one in log.records if CC61 in one.controls)
    assert row.days_without == 20
    late = {row.id for row in later.without_since(20)}
    assert CC61 in late
    assert CC61 not in {row.id for row in later.without_since(21)}
    assert "gdpr.17" in late


async def test_a_rule_that_looked_and_saw_nothing_is_watched_and_no_evidence(
    pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    log = log_of(scope.tenant_id)
    log.append(covered(BEGIN_MS, judged=0), controls=[CC61], time_ms=BEGIN_MS)
    log.seal()
    store_log(shared_database, log)
    row = await read_control(pool, scope, CC61, from_day=FIRST_DAY, to_day=day_after(1))
    assert row is not None
    assert (row.standing, row.last_ms, row.day_count) == (Standing.WATCHED, None, 0)


async def test_records_are_valid_and_what_is_not_signed_yet_is_unsigned(
    pool: Pool, scope: TenantScope, log: EvidenceLog, shared_database: Database
) -> None:
    size = log.frontier.size
    log.append(span(size), controls=[CC61])
    store_log(shared_database, log, first=size, heads=len(log.heads))
    page = await search(pool, scope, EvidenceFilter(), limit=1_000)
    found = await verify_records(pool, scope, page.items)
    assert found.head is not None
    assert found.head.signers == (log.verifier_key(),)
    assert {seq: one.badge for seq, one in found.by_seq.items()} == {
        **dict.fromkeys(range(size), Badge.VALID),
        size: Badge.UNSIGNED,
    }


async def test_a_key_that_was_replaced_still_has_valid_records(
    pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    log = log_of(scope.tenant_id)
    log.minute(begins=True)
    log.rotate(LocalSigner.numbered(2))
    log.minute()
    store_log(shared_database, log)
    page = await search(pool, scope, EvidenceFilter(), limit=1_000)
    found = await verify_records(pool, scope, page.items)
    assert {one.badge for one in found.by_seq.values()} == {Badge.VALID}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (
            "update evidence_records set line = 'x' where tenant_id = %s and seq = 3",
            "record_malformed",
        ),
        (
            "update evidence_records set time_ms = time_ms + 1 where tenant_id = %s and seq = 3",
            "columns_altered",
        ),
        (
            "update evidence_records set line = convert_to(replace(convert_from(line, 'UTF8'),"
            " '\"success\"', '\"failure\"'), 'UTF8') where tenant_id = %s and seq = 1",
            "record_altered",
        ),
        (
            "update evidence_records set leaf = sha256('\\x00'::bytea || convert_to(replace("
            "convert_from(line, 'UTF8'), '\"success\"', '\"failure\"'), 'UTF8')), line ="
            " convert_to(replace(convert_from(line, 'UTF8'), '\"success\"', '\"failure\"'), 'UTF8')"
            " where tenant_id = %s and seq = 1",
            "records_altered",
        ),
    ],
)
async def test_whoever_gets_at_the_tables_is_found_out(
    pool: Pool,
    scope: TenantScope,
    log: EvidenceLog,
    shared_database: Database,
    change: str,
    code: str,
) -> None:
    altered(shared_database, change, scope)
    page = await search(pool, scope, EvidenceFilter(), limit=1_000)
    found = await verify_records(pool, scope, page.items)
    bad = {one.code: one.badge for one in found.by_seq.values() if one.badge is not Badge.VALID}
    assert bad[code] is Badge.INVALID


async def test_a_checkpoint_that_nobody_signed_makes_records_invalid_and_missing_hashes_do_not(
    pool: Pool, scope: TenantScope, log: EvidenceLog, shared_database: Database
) -> None:
    altered(shared_database, "delete from evidence_nodes where tenant_id = %s", scope)
    page = await search(pool, scope, EvidenceFilter(), limit=3)
    found = await verify_records(pool, scope, page.items)
    assert {(one.badge, one.code) for one in found.by_seq.values()} == {
        (Badge.UNVERIFIED, "hashes_missing")
    }
    altered(
        shared_database,
        "update evidence_checkpoints set note = regexp_replace(note, 'time_ms \\d', 'time_ms 9')"
        " where tenant_id = %s",
        scope,
    )
    found = await verify_records(pool, scope, page.items)
    assert {(one.badge, one.code) for one in found.by_seq.values()} == {
        (Badge.INVALID, "checkpoint_untrusted")
    }


def altered(database: Database, statement: str, scope: TenantScope) -> None:
    """Change what no role may, as somebody who owns the machine can."""
    with psycopg.connect(database.admin) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(statement.encode(), [scope.tenant_id])
