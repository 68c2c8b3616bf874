"""Pages out of templates.

A template gets `page` (a view) and `chrome` (the frame) and nothing else. Pages are never cached:
they belong to a person.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from api.auth.principal import Permission, UserPrincipal
from api.problems import ApiError
from api.web.assets import BundleMissing, read_manifest
from api.web.views.chrome import Chrome, OtherTenant, Viewer, theme_of
from api.web.views.moments import minute_moment
from api.web.views.signal_list import SignalRow

THEME_COOKIE: Final = "betrace_theme"
_TEMPLATES: Final = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """Return the template environment. Raises BundleMissing."""
    manifest = read_manifest()
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals["asset"] = lambda name: f"/static/dist/{manifest[name]}"
    made.globals["static"] = lambda name: f"/static/{name}"
    return made


def render(request: Request, template: str, *, page: object, status: int = 200) -> HTMLResponse:
    """Answer with a whole page, framed for whoever the request was found to be from."""
    html = _template(template).render(page=page, chrome=chrome_of(request))
    return HTMLResponse(html, status, headers={"Cache-Control": "no-store"})


def render_row(row: SignalRow) -> str:
    """Return one row of the list, for the live stream."""
    return _template("signals/row.html").render(row=row)


def chrome_of(request: Request) -> Chrome:
    """Return the frame of a request's page."""
    who = getattr(request.state, "principal", None)
    person = who if isinstance(who, UserPrincipal) else None
    return Chrome(
        path=request.url.path,
        theme=theme_of(request.cookies.get(THEME_COOKIE)),
        viewer=_viewer(person) if person else None,
        csrf_token=person.csrf_token if person else "",
    )


def home_href(person: UserPrincipal) -> str:
    """Return where the console begins for somebody."""
    return _viewer(person).home


def _viewer(person: UserPrincipal) -> Viewer:
    return Viewer(
        person.name,
        person.email,
        person.role.value,
        tenant=person.tenant_name,
        others=tuple(
            OtherTenant(str(other.tenant_id), other.tenant_name, other.role.value)
            for other in person.others
        ),
        may_read_signals=person.may(Permission.SIGNALS_READ),
        may_read_traces=person.may(Permission.TRACES_READ),
        may_read_evidence=person.may(Permission.EVIDENCE_READ),
        may_read_letters=person.may(Permission.LETTERS_READ),
        may_read_rules=person.may(Permission.RULES_READ),
        may_write_keys=person.may(Permission.KEYS_WRITE),
        may_read_audit=person.may(Permission.AUDIT_READ),
        delete_after=minute_moment(person.delete_after) if person.delete_after else None,
        acting=person.acting,
    )


def _template(name: str) -> Template:
    try:
        return environment().get_template(name)
    except BundleMissing as error:
        raise ApiError(503, "web.not_built", str(error)) from error
