"""`betrace evidence`: packs of evidence, verified without a server and without a connection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from udfs.evidence import verify as verifier

app = typer.Typer(no_args_is_help=True, help="Packs of evidence for auditors.")


@app.callback()
def root() -> None:
    """Packs of evidence for auditors."""


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
