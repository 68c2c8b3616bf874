"""`betrace evidence`: packs, exported from a server, and verified without one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from api.command.remote import Server
from api.errors import OperatorError
from udfs.evidence import verify as verifier

app = typer.Typer(no_args_is_help=True, help="Packs of evidence for auditors.")


@app.callback()
def root() -> None:
    """Packs of evidence for auditors."""


_TIMES: Final = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]


@app.command()
def export(
    out: Annotated[Path, typer.Option(metavar="PACK", help="The file; it must not be there yet.")],
    *,
    framework: Annotated[
        list[str] | None, typer.Option(help="As soc2; repeatable. Without any: all.")
    ] = None,
    control: Annotated[
        list[str] | None, typer.Option(help="As soc2.CC7.2; repeatable. Without any: all.")
    ] = None,
    from_at: Annotated[
        datetime | None,
        typer.Option("--from", formats=_TIMES, help="In UTC, inclusive; without it the beginning."),
    ] = None,
    to_at: Annotated[
        datetime | None,
        typer.Option("--to", formats=_TIMES, help="In UTC, exclusive; without it what is signed."),
    ] = None,
    selected: Annotated[
        bool, typer.Option(help="Show what is asked for alone, and hashes in place of the rest.")
    ] = False,
    no_payloads: Annotated[
        bool, typer.Option("--no-payloads", help="Leave out what is personal.")
    ] = False,
) -> None:
    """Export a pack from the server of BETRACE_URL, as whoever owns BETRACE_API_KEY."""
    body: dict[str, Any] = {
        "frameworks": framework or [],
        "controls": control or [],
        "disclosure": "selected" if selected else "all",
        "payloads": not no_payloads,
    }
    body |= {
        name: at.replace(tzinfo=UTC).isoformat()
        for name, at in (("from", from_at), ("to", to_at))
        if at is not None
    }
    try:
        file = out.open("xb")
    except OSError as error:
        raise OperatorError(f"{out}: {error.strerror}; --out names another file") from error
    try:
        with file, Server() as server:
            size = server.download("/evidence/export", body, file)
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    typer.echo(f"{out}: {size:,} bytes")


@app.command()
def verify(
    pack: Annotated[Path, typer.Argument(metavar="PACK", help="PACK.zip, as it was exported.")],
    *,
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="VERIFIER_KEY", help="A key of the log that you know; repeatable."),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="The last checkpoint of the log that you have seen.")
    ] = None,
    tsa: Annotated[
        Path | None, typer.Option(help="Certificate of the time-stamping authority you trust.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Verify a pack, offline: exit 0 if it is valid, 1 if not, with a reason for each failure.

    It runs udfs/evidence/verify.py, the one file that auditors run by themselves.
    """
    options = [f"--key={one}" for one in key or ()]
    options += [f"--checkpoint={checkpoint}"] if checkpoint else []
    options += [f"--tsa={tsa}"] if tsa else []
    options += ["--json"] if as_json else []
    raise typer.Exit(verifier.main([*options, "--", str(pack)]))
