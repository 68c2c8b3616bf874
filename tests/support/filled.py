"""A tenant with one of everything, and a mark in its texts by which it would be found elsewhere."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

from psycopg.types.json import Jsonb

from api.auth.principal import Role, TenantScope
from api.database import Pool
from api.identity.grants import Grant, Kind, put_grant
from api.invitations.model import InvitationMaker
from api.invitations.service import invite
from api.keys.authority import OPERATOR
from api.members.model import Terms
from tests.support.anchors import insert_target
from tests.support.keys import insert_key
from tests.support.policies import insert_redaction
from tests.support.postgres import Database
from tests.support.sealing import insert_evidence, verification_id_of
from tests.support.tenants import (
    PEPPER,
    add_key,
    insert_backtest,
    insert_bulk_change,
    insert_case,
    insert_count,
    insert_fold,
    insert_letter,
    insert_link,
    insert_member,
    insert_note,
    insert_notice,
    insert_part,
    insert_result,
    insert_rule,
    insert_sample,
    insert_signal,
    insert_snooze,
    insert_trace,
    insert_view,
    make_tenant,
)


@dataclass(frozen=True, slots=True)
class Filled:
    """A tenant, the ids of what it has by the names that routes give them, and its mark."""

    scope: TenantScope
    ids: Mapping[str, str]
    mark: str


async def filled_tenant(pool: Pool, database: Database, *, evidence: bool = True) -> Filled:
    """Make a tenant and give it one of everything that a route shows.

    evidence: marked records and a checkpoint, which are no log that could go on; without them there
    is no target of checkpoints either.
    """
    scope = await make_tenant(pool)
    key = await add_key(pool, scope, role=Role.ADMIN)
    mark = f"mark-{secrets.token_hex(8)}"
    grant = Grant(issuer="https://id.example", kind=Kind.GROUP, value=mark, role=Role.DEVELOPER)
    await put_grant(pool, scope, grant)
    insert_rule(database.app, scope)
    trace_id = secrets.token_hex(16)
    signal = {"trace_id": bytes.fromhex(trace_id), "rule_name": mark, "root_name": mark}
    signal_id = insert_signal(database.worker, scope, **signal, explanation=Jsonb({"text": mark}))
    other_id = insert_signal(
        database.worker, scope, rule_name=mark, id=b"\xff" * 8 + secrets.token_bytes(8)
    )
    insert_link(database.app, scope, signal_id)
    note_id = insert_note(database.app, scope, mark)
    insert_fold(database.worker, scope, rule_name=mark)
    insert_snooze(database.app, scope, reason=mark)
    view_id = insert_view(database.app, scope, mark, shared=True)
    bulk_id = insert_bulk_change(database.app, scope)
    insert_trace(database.worker, scope, trace_id, mark, "child")
    sample_id = insert_sample(database.app, scope, name=mark)
    case = insert_case(database.app, scope, name=mark)
    backtest_id = insert_backtest(database.app, scope, requested_by=mark)
    insert_part(database.worker, scope, backtest_id)
    insert_count(database.worker, scope, backtest_id, "", "violated", 1)
    insert_result(database.worker, scope, backtest_id, root_name=mark)
    insert_key(database.app, scope, destroyed=True)
    target_id = uuid4()
    if evidence:
        insert_evidence(database, scope, mark=mark)
        target_id = insert_target(database, scope, place=f"https://{mark}.example")
    insert_redaction(database.app, scope)
    invited = await invite(
        pool,
        scope,
        f"{mark}@example.com",
        Terms(Role.VIEWER),
        maker=InvitationMaker(PEPPER),
        authority=OPERATOR,
    )
    ids = {
        "rule_id": "promise",
        "version": "1",
        "signal_id": signal_id,
        "other_id": other_id,
        "note_id": note_id,
        "view_id": view_id,
        "bulk_id": bulk_id,
        "ordinal": "0",
        "trace_id": trace_id,
        "sample_id": sample_id,
        **case,
        "letter_id": insert_letter(database.worker, scope, detail=mark),
        "seq": "0",
        "control_id": "soc2.CC6.1",
        "number": "1",
        "notice_id": insert_notice(database, scope),
        "backtest_id": backtest_id,
        "key_id": str(key.key.id),
        "member_id": insert_member(database, scope),
        "invitation_id": str(invited.invitation.id),
        "target_id": str(target_id),
        "anchor_id": str(target_id),
        "verification_id": str(verification_id_of(scope)),
        "tenant_id": str(scope.tenant_id),
        "token": "nobodys",
        "session_id": str(uuid4()),
        "path": "favicon.svg",
    }
    return Filled(scope, ids, mark)
