"""The tree of commands: each group lives in its own module, imported when it is called.

A module exposes `app` (a typer application with sub-commands) or `run` (one command).
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command

from api.errors import OperatorError

GROUPS: Final = {
    "api": "api.command.api",
    "bench": "api.command.bench",
    "controls": "api.command.controls",
    "db": "api.command.db",
    "dead-letters": "api.command.dead_letters",
    "evidence": "api.command.evidence",
    "identity": "api.command.identity",
    "ingest": "api.command.ingest",
    "job": "api.command.job",
    "key": "api.command.key",
    "keyring": "api.command.keyring",
    "lsp": "api.command.lsp",
    "operator": "api.command.operators",
    "rules": "api.command.rules",
    "tenant": "api.command.tenant",
    "tier": "api.command.tier",
    "topics": "api.command.topics",
    "user": "api.command.user",
    "worker": "api.command.worker",
}


EXTENSIONS: Final = {
    "evidence": "api.command.evidence_lists",
    "rules": "api.command.rules_apply",
    "tenant": "api.command.tenant_life",
}
"""Modules whose `extend(app)` adds commands to a group of another module."""


class LazyGroup(TyperGroup):
    """A group whose commands are imported by name, so that `betrace db` does not load Kafka."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name the groups in the order of the alphabet."""
        return [name for name, module in GROUPS.items() if find_spec(module)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the module of a command; None if there is no such command."""
        module_name = GROUPS.get(cmd_name)
        if module_name is None or find_spec(module_name) is None:
            return None
        found = _typer_app(import_module(module_name))
        if cmd_name in EXTENSIONS:
            import_module(EXTENSIONS[cmd_name]).extend(found)
        command = get_command(found)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Promises about behaviour, judged on OpenTelemetry traces.",
)


@app.callback()
def root() -> None:
    """Promises about behaviour, judged on OpenTelemetry traces."""


def main() -> None:
    """Run the command line; a missing setting or server is one line and exit 2."""
    try:
        app()
    except OperatorError as error:
        typer.echo(f"betrace: {error}", err=True)
        raise SystemExit(2) from error


def _typer_app(module: Any) -> typer.Typer:
    if hasattr(module, "app"):
        found: typer.Typer = module.app
        return found
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    single.command()(module.run)
    return single
