"""/rules: rule objects in JSON or YAML, their versions, and checking without saving."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.etags import version_of
from api.rules.bodies import PLAIN, form_of, media_type, text_of
from api.rules.bulk import act_on_rules
from api.rules.definitions import Definition, read_definition, validate_object, validate_text
from api.rules.forgetting import forget_key
from api.rules.library import install_rules, shipped
from api.rules.model import RuleState
from api.rules.redacted import fit, with_redaction
from api.rules.schemas import (
    OBJECT_BODY,
    VALIDATE_BODY,
    BulkBody,
    BulkDoneBody,
    DifferenceBody,
    ForgetBody,
    ForgottenBody,
    LibraryBody,
    RestoreBody,
    RuleBody,
    RulePageBody,
    RuleStateBody,
    RuleVersionsBody,
    TakeBody,
    TakenBody,
    ValidationBody,
)
from api.rules.service import (
    PAGE_MAX,
    Outcome,
    Precondition,
    Saved,
    delete_rule,
    get_rule,
    get_version,
    list_rules,
    list_versions,
    save_rule,
)
from api.rules.states import switch_rule
from api.rules.trial_schemas import TRIAL_BODY, TrialBody
from api.rules.versions import difference, restore_rule
from api.services import services_of

router = APIRouter(prefix="/rules", tags=["rules"])

Reader = Annotated[Principal, Depends(require(Permission.RULES_READ))]
Writer = Annotated[Principal, Depends(require(Permission.RULES_WRITE))]
Tester = Annotated[Principal, Depends(require(Permission.RULES_TEST))]
RuleId = Annotated[str, Path(max_length=255, examples=["large-payments-are-checked"])]
IfMatch = Annotated[str | None, Header(description='The version that is to be changed, as "3".')]

_VERSION_MAX: Final = 2**31 - 1
VersionNumber = Annotated[int, Query(ge=1, le=_VERSION_MAX)]


@router.post("", status_code=201, openapi_extra=OBJECT_BODY)
async def create_rule(request: Request, response: Response, principal: Writer) -> RuleBody:
    """Save a new rule. 409 if its id is taken, 422 with all problems if it is not valid."""
    definition = await _definition(request, principal)
    services = services_of(request)
    saved = await save_rule(
        services.pool,
        services.publisher,
        principal.scope,
        definition,
        precondition=Precondition(absent=True),
    )
    response.headers["Location"] = str(request.url_for("read_rule", rule_id=definition.id).path)
    return _saved(response, saved, definition)


@router.get("")
async def read_rules(
    request: Request,
    principal: Reader,
    state: Annotated[list[RuleState] | None, Query()] = None,
    cursor: Annotated[str | None, Query(max_length=2_000)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
) -> RulePageBody:
    """List rules by id."""
    page = await list_rules(
        services_of(request).pool, principal.scope, states=state or (), cursor=cursor, limit=limit
    )
    now = datetime.now(UTC)
    return RulePageBody(
        items=[RuleBody.of(rule, now=now) for rule in page.items], next_cursor=page.next_cursor
    )


@router.post("/validate", openapi_extra=VALIDATE_BODY)
async def validate_rule(request: Request, principal: Tester) -> ValidationBody:
    """Check a rule without saving it: an object, `{"rule": text}`, or the text as text/plain.

    What the tenant's redaction takes away from the rule is told as well.
    """
    if media_type(request) == PLAIN:
        found = await asyncio.to_thread(validate_text, await text_of(request))
    else:
        form = form_of(request)
        found = await asyncio.to_thread(validate_object, await text_of(request), form=form)
    redactors = services_of(request).redactors
    return ValidationBody.of(await with_redaction(redactors, principal.scope, found))


@router.post("/trial", openapi_extra=TRIAL_BODY)
async def try_rules(request: Request, _: Tester) -> TrialBody:
    """Judge traces that come with the request by rules that do, or run a suite. Saves nothing.

    A body is `rule`, one text, or `rules`, a list of rule objects, and `traces`; or a suite, as
    `betrace rules test` reads it. Rules that do not check are an answer (200), not a refusal.
    """
    form, text = form_of(request), await text_of(request)
    return TrialBody.of(await services_of(request).trials.run(text, form=form))


@router.get("/library")
async def read_library(_: Reader) -> LibraryBody:
    """List the rules that are shipped with BeTrace, in packs."""
    return LibraryBody.of(await asyncio.to_thread(shipped))


@router.post("/library")
async def take_from_library(request: Request, principal: Writer, body: TakeBody) -> TakenBody:
    """Take shipped rules; those whose ids are in use in the tenant stay as they are.

    404 for an id that no pack has: nothing is taken then.
    """
    services = services_of(request)
    done = await install_rules(
        services.pool,
        services.publisher,
        services.redactors,
        principal.scope,
        body.ids,
        RuleState(body.state),
    )
    return TakenBody(taken=[*done.taken], there=[*done.there])


@router.post("/bulk")
async def change_many(request: Request, principal: Writer, body: BulkBody) -> BulkDoneBody:
    """Switch, delete or duplicate many rules: all of them or none."""
    services = services_of(request)
    done = await act_on_rules(
        services.pool,
        services.publisher,
        services.redactors,
        principal.scope,
        body.ids,
        body.act,
    )
    return BulkDoneBody(changed=[*done.changed], unchanged=[*done.unchanged])


@router.get("/{rule_id}")
async def read_rule(
    request: Request, response: Response, principal: Reader, rule_id: RuleId
) -> RuleBody:
    """Return the current version of a rule."""
    rule = await get_rule(services_of(request).pool, principal.scope, rule_id)
    response.headers["ETag"] = rule.etag
    return RuleBody.of(rule, now=datetime.now(UTC))


@router.put("/{rule_id}", openapi_extra=OBJECT_BODY, responses={201: {"model": RuleBody}})
async def put_rule(
    request: Request,
    response: Response,
    principal: Writer,
    rule_id: RuleId,
    if_match: IfMatch = None,
    if_none_match: Annotated[str | None, Header(description="`*`: only if new.")] = None,
) -> RuleBody:
    """Save a rule under its id: 201 if it is new, 200 otherwise. The same again changes nothing."""
    definition = await _definition(request, principal, rule_id)
    services = services_of(request)
    saved = await save_rule(
        services.pool,
        services.publisher,
        principal.scope,
        definition,
        precondition=Precondition(version=version_of(if_match), absent=if_none_match == "*"),
    )
    response.status_code = 201 if saved.outcome is Outcome.CREATED else 200
    return _saved(response, saved, definition)


@router.delete("/{rule_id}", status_code=204)
async def remove_rule(
    request: Request, principal: Writer, rule_id: RuleId, if_match: IfMatch = None
) -> None:
    """Delete a rule. Its versions and signals stay; the id may be used again."""
    services = services_of(request)
    await delete_rule(
        services.pool,
        services.publisher,
        principal.scope,
        rule_id,
        precondition=Precondition(version=version_of(if_match)),
    )


@router.post("/{rule_id}/state")
async def switch(
    request: Request,
    response: Response,
    principal: Writer,
    rule_id: RuleId,
    body: RuleStateBody,
    if_match: IfMatch = None,
) -> RuleBody:
    """Switch a rule on, into shadow or off; this also takes it out of quarantine.

    Nothing else of it changes. Signals of a rule that is off are refused from now on.
    """
    services = services_of(request)
    saved = await switch_rule(
        services.pool,
        services.publisher,
        principal.scope,
        rule_id,
        RuleState(body.state),
        precondition=Precondition(version=version_of(if_match)),
    )
    response.headers["ETag"] = saved.rule.etag
    return RuleBody.of(saved.rule, now=datetime.now(UTC))


@router.post("/{rule_id}/forget", status_code=202)
async def forget(
    request: Request, principal: Writer, rule_id: RuleId, body: ForgetBody
) -> ForgottenBody:
    """Expect nothing of a key of an `expect` any more, until it is seen again.

    What is overdue of it is resolved. In force ten seconds later at most.
    """
    services = services_of(request)
    said = await forget_key(services.pool, services.publisher, principal.scope, rule_id, body.key)
    return ForgottenBody(rule_id=said.rule_id, key=said.key, published=said.published)


@router.get("/{rule_id}/versions")
async def read_versions(request: Request, principal: Reader, rule_id: RuleId) -> RuleVersionsBody:
    """List every version of a rule, newest first, of a deleted one too."""
    versions = await list_versions(services_of(request).pool, principal.scope, rule_id)
    now = datetime.now(UTC)
    return RuleVersionsBody(items=[RuleBody.of(rule, now=now) for rule in versions])


@router.get("/{rule_id}/difference")
async def read_difference(
    request: Request, principal: Reader, rule_id: RuleId, was: VersionNumber, now: VersionNumber
) -> DifferenceBody:
    """Tell how two versions of a rule differ, line by line and field by field."""
    pool = services_of(request).pool
    return DifferenceBody.of(
        difference(
            await get_version(pool, principal.scope, rule_id, was),
            await get_version(pool, principal.scope, rule_id, now),
        )
    )


@router.post("/{rule_id}/restore")
async def restore(
    request: Request,
    response: Response,
    principal: Writer,
    rule_id: RuleId,
    body: RestoreBody,
    if_match: IfMatch = None,
) -> RuleBody:
    """Bring back an earlier version as a new one, with the reason; the rule's state stays.

    412 if the rule has another version than `If-Match` says, 409 for a version that is a deletion.
    """
    services = services_of(request)
    saved = await restore_rule(
        services.pool,
        services.publisher,
        services.redactors,
        principal.scope,
        rule_id,
        version=body.version,
        reason=body.reason,
        precondition=Precondition(version=version_of(if_match)),
    )
    response.headers["ETag"] = saved.rule.etag
    return RuleBody.of(saved.rule, now=datetime.now(UTC))


@router.get("/{rule_id}/versions/{version}")
async def read_version(
    request: Request,
    principal: Reader,
    rule_id: RuleId,
    version: Annotated[int, Path(ge=1, le=_VERSION_MAX)],
) -> RuleBody:
    """Return one version of a rule."""
    rule = await get_version(services_of(request).pool, principal.scope, rule_id, version)
    return RuleBody.of(rule, now=datetime.now(UTC))


async def _definition(
    request: Request, principal: Principal, rule_id: str | None = None
) -> Definition:
    form = form_of(request)
    text = await text_of(request)
    definition = await asyncio.to_thread(read_definition, text, form=form, expected_id=rule_id)
    (fitted,) = await fit(services_of(request).redactors, principal.scope, [definition])
    return fitted


def _saved(response: Response, saved: Saved, definition: Definition) -> RuleBody:
    response.headers["ETag"] = saved.rule.etag
    warnings = [warning.to_dict() for warning in definition.warnings]
    return RuleBody.of(saved.rule, now=datetime.now(UTC), warnings=warnings)
