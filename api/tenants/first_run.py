"""How far a tenant has come on its way to the first signal, and the key for its first spans."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from api.auth.principal import Permission, TenantScope
from api.database import Pool, queries, tenant_transaction
from api.keys.authority import Authority
from api.keys.model import KeyDraft, MadeKey
from api.keys.service import KeyMaker, create_key
from api.rules.service import current_rule
from api.tenants.starter import FIRST

KEY_LIFETIME: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class FirstSignal:
    """A signal that is there."""

    id: str
    rule_name: str


@dataclass(frozen=True, slots=True)
class Progress:
    """What has happened so far.

    has_rule: the rule that the example breaks is there and is to be judged; judging: it is in force
    now. spans: spans have come.
    """

    has_rule: bool
    judging: bool
    spans: bool
    signal: FirstSignal | None


async def progress_of(pool: Pool, scope: TenantScope) -> Progress:
    """Return how far the tenant has come."""
    async with tenant_transaction(pool, scope) as connection:
        rule = await current_rule(connection, FIRST)
        spans = await queries("first_run").first_spans_at(connection)
        newest = await queries("first_run").newest_signal(connection)
    has_rule = rule is not None and not rule.deleted and rule.judges
    return Progress(
        has_rule=has_rule,
        judging=has_rule and rule is not None and rule.active_since(datetime.now(UTC)) is not None,
        spans=spans is not None or newest is not None,
        signal=FirstSignal(newest["id"], newest["rule_name"] or newest["rule_id"])
        if newest
        else None,
    )


async def first_key(
    pool: Pool, scope: TenantScope, *, maker: KeyMaker, authority: Authority
) -> MadeKey:
    """Make a key that sends spans and nothing else. Raises ApiError 403, 409 for too many keys."""
    draft = KeyDraft(
        name=f"first-steps-{secrets.token_hex(3)}",
        scopes=frozenset({Permission.SPANS_INGEST}),
        expires_at=datetime.now(UTC) + KEY_LIFETIME,
    )
    return await create_key(pool, scope, draft, maker=maker, authority=authority)
