"""A tenant's policy of redaction: read, changed, looked at before it holds, and undone by a few.

Versions are only added. What spans held before a change stays as it was redacted then.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from psycopg.types.json import Json

from api.audit.trail import record
from api.auth.principal import TenantScope
from api.database import Connection, Pool, queries, tenant_transaction
from api.keyring.wiring import Keys
from api.problems import ApiError, not_found, unavailable
from api.redaction.recent import Recent, recent_records
from api.redaction.redactors import RedactionUnavailable, Redactors
from api.redaction.stored import StoredPolicy, current_policy, form_of
from udfs.keysource.keys import KeyState, Purpose
from udfs.keysource.trouble import KeysUnavailable, KeyTrouble
from udfs.redaction.policy import Policy
from udfs.redaction.policy_json import FORMAT, read_policy
from udfs.redaction.preview import Preview, preview
from udfs.redaction.suggestions import Suggestion, suggest
from udfs.redaction.tokens import NotOurs, RedactionKey, Tokens

HISTORY_MAX: Final = 100
_PROTECTED: Final = re.compile(
    r"tok:(?P<tok>[0-9a-f-]{36}):[0-9a-f]{32}|enc:(?P<enc>[0-9a-f-]{36}):[0-9A-Za-z_-]{39,}"
)


@dataclass(frozen=True, slots=True)
class Looked:
    """What a policy would do to what is stored. traces, spans: how many were looked at."""

    found: Preview
    recent: Recent


@dataclass(frozen=True, slots=True)
class Suggested:
    """Keys that the policy ought to name, by what is stored."""

    suggestions: tuple[Suggestion, ...]
    recent: Recent


@dataclass(frozen=True, slots=True)
class Revealed:
    """What stood there. revoked: the key was, so that a thief may have written it as well."""

    value: str
    revoked: bool


def parse_policy(form: object) -> Policy:
    """Return the policy that parsed JSON describes. Raises ApiError 422 with every problem."""
    if isinstance(form, dict):
        form = {"format": FORMAT, **form, "version": 0}
    policy = read_policy(form)
    if isinstance(policy, list):
        count = len(policy)
        raise ApiError(
            422,
            "redaction.invalid",
            f"The policy has {'a problem' if count == 1 else f'{count} problems'}.",
            problems=[
                {"code": one.code, "at": one.at, "message": one.message} for one in policy[:100]
            ],
        )
    return policy


async def read_current(pool: Pool, scope: TenantScope) -> StoredPolicy:
    """Return the policy that holds."""
    async with tenant_transaction(pool, scope) as connection:
        return await current_policy(connection)


async def read_history(
    pool: Pool, scope: TenantScope, *, before: int | None = None, limit: int = 50
) -> tuple[StoredPolicy, ...]:
    """Return versions, newest first, without the defaults that held before the first one."""
    async with tenant_transaction(pool, scope) as connection:
        rows = queries("redaction").history(connection, before=before, limit=limit)
        return tuple([StoredPolicy.from_row(row) async for row in rows])


async def change_in(
    connection: Connection, scope: TenantScope, policy: Policy, *, version: int | None = None
) -> StoredPolicy:
    """Let a policy hold from the end of a transaction on, whose turn it is at the tenant.

    The same again changes nothing. version: that it was made from. Raises ApiError 412 if another
    holds by now.
    """
    before = await current_policy(connection)
    if version is not None and version != before.version:
        raise ApiError(
            412,
            "request.stale_version",
            "The policy was changed in the meantime. Read it again.",
            current_version=before.version,
        )
    form = form_of(policy)
    if form == before.form and list(form["keys"]) == list(before.form["keys"]):
        return before
    await queries("redaction").insert_policy(
        connection, version=before.version + 1, form=Json(form), author=scope.actor
    )
    await record(
        connection,
        scope,
        "redaction.changed",
        f"redaction:{before.version + 1}",
        before=before.version,
        fields=_changed_fields(before.form, form),
    )
    return await current_policy(connection)


def _changed_fields(before: dict[str, Any], after: dict[str, Any]) -> str:
    names = (name for name in after if before[name] != after[name])
    return ", ".join(sorted(names)) or "order of keys"


async def look_ahead(pool: Pool, scope: TenantScope, policy: Policy) -> Looked:
    """Run a policy dry over the traces that were copied last: what it finds that is there still."""
    recent = await recent_records(pool, scope)
    return Looked(await asyncio.to_thread(preview, policy, recent.records), recent)


async def suggestions_for(
    pool: Pool, scope: TenantScope, policy: Policy | None = None
) -> Suggested:
    """Return the keys that a policy does not name and ought to, by stored traces.

    policy: None: that of now.
    """
    if policy is None:
        policy = (await read_current(pool, scope)).policy
    recent = await recent_records(pool, scope)
    found = await asyncio.to_thread(suggest, policy, recent.records)
    return Suggested(found, recent)


async def reveal(pool: Pool, scope: TenantScope, keys: Keys | None, protected: str) -> Revealed:
    """Return what a token or an encrypted value stands for; that it was asked for is on record.

    Raises ApiError 400 for what is neither, 404 for what this tenant has not, 409 where its key is
    gone, 503.
    """
    match = _PROTECTED.fullmatch(protected.strip())
    if match is None:
        raise ApiError(
            400,
            "redaction.no_token",
            "Send one value as it stands in a span: tok:KEY:… or enc:KEY:…. Hashes and masks cannot"
            " be undone.",
        )
    try:
        key_id = UUID(match["tok"] or match["enc"])
    except ValueError as error:
        raise not_found("token") from error
    whole = match[0]
    async with tenant_transaction(pool, scope) as connection:
        sealed = whole
        if match["tok"]:
            sealed = await queries("redaction").sealed(connection, token=whole)
        # Asked for is enough to be told of, whatever comes of it.
        await record(connection, scope, "redaction.revealed", _target(whole), found=bool(sealed))
    if not sealed:
        raise not_found("token")
    if keys is None:
        raise ApiError(409, "redaction.no_keys", "This installation has no keys of tenants.")
    try:
        key = await keys.ring.open(scope.tenant_id, key_id, Purpose.REDACTION, even_revoked=True)
        tokens = Tokens(RedactionKey(str(key.record.id), key.secret))
        clear = tokens.decrypted(sealed)
    except KeysUnavailable as error:
        raise unavailable("redaction.unavailable", "The key cannot be had now.") from error
    except KeyTrouble as error:
        raise ApiError(409, "redaction.key", f"Its key cannot be used: {error}") from error
    except NotOurs as error:
        raise not_found("token") from error
    return Revealed(clear.decode(errors="replace"), key.record.state is KeyState.REVOKED)


def _target(protected: str) -> str:
    """Return a token as the audit log names it: not what it stands for, and short."""
    if protected.startswith("tok:"):
        return f"token:{protected}"
    return f"token:enc:sha256:{hashlib.sha256(protected.encode()).hexdigest()}"


async def redacted_text(redactors: Redactors, scope: TenantScope, text: str) -> str:
    """Return what a person wrote without what the tenant's policy takes out.

    Raises ApiError 503 where that cannot be told: it is not kept then.
    """
    try:
        tenant = await redactors.of(scope.tenant_id)
        redacted = tenant.redactor.text(text)
        await tenant.settle()
    except RedactionUnavailable as error:
        raise redaction_unavailable() from error
    return redacted


def redaction_unavailable() -> ApiError:
    """Return what refuses texts that nobody can redact now."""
    return unavailable(
        "redaction.unavailable", "The text cannot be redacted now, and is not kept without that."
    )
