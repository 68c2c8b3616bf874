"""`betrace db`: the schema."""

from __future__ import annotations

import typer

from api.migrations import migrate, pending, set_role_password
from api.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="The database schema.")


@app.command("migrate")
def migrate_command() -> None:
    """Bring the database of BETRACE_DATABASE_ADMIN_URL to the newest schema; again is harmless.

    Passwords named in DATABASE_URL and BETRACE_DATABASE_WORKER_URL are given to their roles.
    """
    settings = load_settings()
    applied = migrate(settings.admin_dsn, say=lambda name: typer.echo(f"applying {name}"))
    for dsn in (settings.database_url, settings.database_worker_url):
        if dsn.get_secret_value():
            set_role_password(settings.admin_dsn, role_dsn=dsn.get_secret_value())
    typer.echo(f"{len(applied)} migrations applied" if applied else "the schema is up to date")


@app.command("status")
def status_command() -> None:
    """List the migrations that the database lacks. Exit 1 if there are any."""
    lacking = pending(load_settings().admin_dsn)
    for name in lacking:
        typer.echo(name)
    raise typer.Exit(1 if lacking else 0)
