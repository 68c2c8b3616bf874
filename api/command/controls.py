"""`betrace controls`: the catalogues of controls, read without any server."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Final

import typer

from api.command.terminal import counted
from api.errors import OperatorError
from dsl.controls import Catalogue, catalogue, catalogues, control, misnamed

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Controls of frameworks: what they ask for, and what traces can show of them.",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_PARTS: Final = (("asks for", "asks"), ("traces show", "shows"), ("they lack", "lacks"))


@app.callback()
def root() -> None:
    """Controls of frameworks: what they ask for, and what traces can show of them."""


@app.command("list")
def list_controls(
    framework: Annotated[
        str, typer.Argument(metavar="[FRAMEWORK]", help="soc2, hipaa, …; none: all of them.")
    ] = "",
    beyond: Annotated[
        bool, typer.Option("--beyond", help="Also those of which traces show nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the controls of a framework, or the frameworks."""
    if not framework:
        _list_frameworks(as_json=as_json)
        return
    found = _catalogue(framework)
    shown = [(one.id, one.title) for one in found.controls]
    if beyond:
        shown += [(f"{found.id}.{name}", f"({why})") for name, why in found.beyond.items()]
    if as_json:
        rows = [{"id": control_id, "title": title} for control_id, title in shown]
        typer.echo(json.dumps({"framework": found.id, "edition": found.edition, "controls": rows}))
        return
    width = max(len(control_id) for control_id, _ in shown)
    for control_id, title in shown:
        typer.echo(f"{control_id:{width}}  {title}")
    typer.echo(f"{counted(len(shown), 'control')} of {found.title}: {found.edition}")


@app.command()
def show(
    control_id: Annotated[str, typer.Argument(metavar="CONTROL", help="soc2.CC6.1")],
    as_json: AsJson = False,
) -> None:
    """Show what a control asks for, and what traces can show of it."""
    found = control(control_id)
    if found is None:
        raise OperatorError(_not_described(control_id))
    if as_json:
        typer.echo(json.dumps({"id": found.id, **asdict(found)}))
        return
    typer.echo(f"{found.id}  {found.title}")
    for label, name in _PARTS:
        typer.echo(f"{label:12} {getattr(found, name)}")


def _list_frameworks(*, as_json: bool) -> None:
    if as_json:
        rows = [
            {"id": one.id, "title": one.title, "edition": one.edition, "about": one.about}
            for one in catalogues()
        ]
        typer.echo(json.dumps({"frameworks": rows}))
        return
    for one in catalogues():
        typer.echo(f"{one.id:10} {len(one.controls):3} controls  {one.title}: {one.edition}")


def _catalogue(framework: str) -> Catalogue:
    found = catalogue(framework)
    if found is None:
        known = ", ".join(one.id for one in catalogues())
        raise OperatorError(f"there is no catalogue {framework!r}; there are {known}")
    return found


def _not_described(control_id: str) -> str:
    wrong = misnamed(control_id)
    if wrong is not None:
        return f"{control_id} names no control: {wrong.hint}"
    framework, _, name = control_id.partition(".")
    found = catalogue(framework)
    why = found.beyond.get(name, "") if found else "Its framework has no catalogue."
    return f"{control_id} may be named, and is not described here. {why}".strip()
