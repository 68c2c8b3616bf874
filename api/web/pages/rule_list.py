"""The list of rules, and what is done to many of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

import yaml
from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.problems import ApiError
from api.rules.bulk import BULK_MAX, BulkAct, BulkDone, act_on_rules
from api.rules.listing import health_of
from api.rules.model import Rule
from api.rules.service import every_rule
from api.services import services_of
from api.snoozes.service import running_snoozes
from api.web.render import render
from api.web.views.rule_list import RuleQuery, name_of, rows_of, rule_list
from api.web.views.waterfall import counted
from api.web.views.words import Message, bad, good

router = APIRouter(include_in_schema=False, prefix="/rules")

Reader = Annotated[Principal, Depends(require(Permission.RULES_READ))]
Writer = Annotated[Principal, Depends(require(Permission.RULES_WRITE))]
_ID_MAX: Final = 255
_DONE: Final = {
    BulkAct.ACTIVE: "switched on",
    BulkAct.SHADOW: "put into shadow",
    BulkAct.OFF: "switched off",
    BulkAct.DELETE: "deleted",
    BulkAct.DUPLICATE: "copied; the copies are off",
}


def rule_query(
    q: Annotated[str, Query(max_length=200)] = "",
    state: Annotated[str, Query(max_length=20)] = "",
    severity: Annotated[str, Query(max_length=20)] = "",
    tag: Annotated[list[str] | None, Query(max_length=20)] = None,
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
) -> RuleQuery:
    """Read the filters out of the address."""
    chosen = tuple(dict.fromkeys(one[:_ID_MAX] for one in tag or () if one))
    return RuleQuery(q=q, state=state, severity=severity, tag=chosen, page=page)


@router.get("")
async def rules(
    request: Request,
    who: Reader,
    query: Annotated[RuleQuery, Depends(rule_query)],
    done: Annotated[str, Query(max_length=20)] = "",
    n: Annotated[int, Query(ge=0, le=BULK_MAX)] = 0,
) -> Response:
    """Show rules. done, n: what was just done to how many of them."""
    message = good(_said(BulkAct(done), n)) if done in _DONE else None
    return await _list(request, who, query, message=message)


@router.get("/export")
async def export(
    request: Request,
    who: Reader,
    id: Annotated[list[str] | None, Query(max_length=BULK_MAX)] = None,  # noqa: A002
) -> Response:
    """Send rules as the file that `betrace rules apply` takes; without any id, all of them."""
    found = await every_rule(services_of(request).pool, who.scope)
    wanted = set(id or ())
    return _file([rule for rule in found if rule.id in wanted or not wanted])


@router.post("/bulk")
async def bulk(
    request: Request,
    who: Writer,
    act: Annotated[str, Form(max_length=20)] = "",
    id: Annotated[list[str] | None, Form()] = None,  # noqa: A002
    sure: Annotated[str, Form(max_length=3)] = "",
) -> Response:
    """Do the same to the chosen rules; before they are deleted it is asked once more."""
    rule_ids = [one[:_ID_MAX] for one in dict.fromkeys(id or ()) if "\0" not in one]
    if not rule_ids or len(rule_ids) > BULK_MAX:
        choose = f"Choose rules first, {BULK_MAX} at most."
        return await _list(request, who, RuleQuery(), message=bad(choose), status=400)
    if act == "export":
        found = await every_rule(services_of(request).pool, who.scope)
        return _file([rule for rule in found if rule.id in rule_ids])
    if act not in tuple(BulkAct):
        return await _list(
            request, who, RuleQuery(), message=bad("Choose what is to be done."), status=400
        )
    if act == BulkAct.DELETE and not sure:
        return await _ask(request, who, rule_ids)
    services = services_of(request)
    try:
        done = await act_on_rules(
            services.pool,
            services.publisher,
            services.redactors,
            who.scope,
            rule_ids,
            BulkAct(act),
        )
    except ApiError as error:
        if error.status not in (404, 409, 422):
            raise
        return await _list(
            request, who, RuleQuery(), message=bad(_refused(error)), status=error.status
        )
    return RedirectResponse(f"/rules?done={act}&n={_count(done)}", 303)


async def _list(
    request: Request,
    who: Principal,
    query: RuleQuery,
    *,
    message: Message | None = None,
    status: int = 200,
) -> Response:
    pool, now = services_of(request).pool, datetime.now(UTC)
    found = await every_rule(pool, who.scope)
    _, shown = rows_of(found, query)
    health = await health_of(pool, who.scope, [rule.id for rule in shown], now=now)
    page = rule_list(
        found,
        query,
        health,
        now=now,
        may_write=who.may(Permission.RULES_WRITE),
        snoozes=await running_snoozes(pool, who.scope),
        message=message,
    )
    return render(request, "rules/list.html", page=page, status=status)


async def _ask(request: Request, who: Principal, rule_ids: list[str]) -> Response:
    found = await every_rule(services_of(request).pool, who.scope)
    names = {rule.id: name_of(rule) for rule in found}
    chosen = [(rule_id, names[rule_id]) for rule_id in rule_ids if rule_id in names]
    return render(
        request,
        "rules/delete.html",
        page={"rules": chosen, "what": counted(len(chosen), "rule")},
    )


def _said(act: BulkAct, count: int) -> str:
    if not count:
        return "Nothing was changed: they were so already."
    return f"{counted(count, 'rule')} {_DONE[act]}."


def _count(done: BulkDone) -> int:
    return len(done.changed)


def _refused(error: ApiError) -> str:
    if error.status == 404:
        return "One of these rules was deleted meanwhile. Nothing was changed."
    return f"{error.detail} Nothing was changed."


def _file(rules: list[Rule]) -> Response:
    objects: list[dict[str, Any]] = [rule.object for rule in rules]
    text = yaml.safe_dump({"rules": objects}, sort_keys=False, allow_unicode=True, width=100)
    headers = {"Content-Disposition": 'attachment; filename="rules.yaml"'}
    return Response(text, media_type="application/yaml", headers=headers)
