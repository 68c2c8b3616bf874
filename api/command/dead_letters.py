"""`betrace dead-letters`: what could not be used, looked at and put back through the REST API.

The tenant is that of the API key. Reading needs the permission dead-letters.read, putting back and
putting aside dead-letters.write.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Annotated, Any

import typer

from api.command.remote import Refusal, Server
from api.command.terminal import counted

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Spans and records that could not be used."
)

_PAGE = 500
_SHOWN_BYTES = 2_000

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID…", help="As `list` shows them.")]
State = Annotated[str | None, typer.Option(help="waiting, replayed or discarded.")]
Source = Annotated[str | None, typer.Option(help="ingest, match, correlate or worker.")]
Code = Annotated[str | None, typer.Option(help="One code, or all below it: `otlp`.")]
From = Annotated[datetime | None, typer.Option("--from", help="Inclusive, UTC.")]
To = Annotated[datetime | None, typer.Option("--to", help="Exclusive, UTC.")]


@app.command("list")
def list_letters(
    state: State = "waiting",
    source: Source = None,
    code: Code = None,
    from_at: From = None,
    to_at: To = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List letters, newest first."""
    with Server() as server:
        found = _letters(
            server, limit, state=state, source=source, code=code, from_at=from_at, to_at=to_at
        )
        letters = list(found)
    if as_json:
        typer.echo(json.dumps({"letters": letters}))
        return
    for letter in letters:
        typer.echo(
            f"{letter['id']:>14}  {letter['at'][:19]}  {letter['state']:9}  "
            f"{letter['code']:24}  {letter['detail']}"
        )
    typer.echo(counted(len(letters), "letter"))


@app.command()
def show(letter_id: Annotated[str, typer.Argument(metavar="ID")], as_json: AsJson = False) -> None:
    """Show one letter with what is kept of its content."""
    with Server() as server:
        letter = server.get(f"/dead-letters/{letter_id}")
    if as_json:
        typer.echo(json.dumps(letter))
        return
    content = b64decode(letter.pop("content"))
    for name, value in letter.items():
        typer.echo(f"{name:14} {'' if value is None else value}")
    typer.echo(f"\n{content[:_SHOWN_BYTES]!r}")


@app.command()
def replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID…]")] = None,
    every: Annotated[bool, typer.Option("--all", help="All waiting ones that match.")] = False,
    source: Source = None,
    code: Code = None,
    from_at: From = None,
    to_at: To = None,
    as_json: AsJson = False,
) -> None:
    """Put letters back into the stream; again changes nothing. Exit 1 if one could not be."""
    if bool(ids) == every:
        raise typer.BadParameter("name letters by their ids, or choose them with --all")
    with Server() as server:
        chosen = ids or [
            letter["id"]
            for letter in _letters(
                server,
                None,
                state="waiting",
                source=source,
                code=code,
                from_at=from_at,
                to_at=to_at,
            )
        ]
        _settle(chosen, lambda letter: _replayed(server, letter), as_json=as_json)


@app.command()
def discard(
    ids: Ids,
    note: Annotated[str, typer.Option(help="Why; kept with the letter.")] = "",
    as_json: AsJson = False,
) -> None:
    """Put letters aside for good. Exit 1 if one could not be."""
    with Server() as server:

        def put_aside(letter: str) -> dict[str, Any]:
            answer = server.post(f"/dead-letters/{letter}/discard", {"note": note})
            return {"id": letter, "outcome": answer["state"]}

        _settle(ids, put_aside, as_json=as_json)


def _replayed(server: Server, letter: str) -> dict[str, Any]:
    answer = server.post(f"/dead-letters/{letter}/replay")
    return {
        "id": letter,
        "outcome": answer["letter"]["state"],
        "spans": answer["spans"],
        "refused": answer["refused"],
    }


def _settle(ids: list[str], settle: Callable[[str], dict[str, Any]], *, as_json: bool) -> None:
    """Settle one letter after the other; one that is refused does not stop the others."""
    results = []
    for letter in ids:
        try:
            results.append(settle(letter))
        except Refusal as refusal:
            if refusal.status in (401, 403):
                raise
            results.append({"id": letter, "outcome": "refused", "reason": str(refusal)})
    if as_json:
        typer.echo(json.dumps({"letters": results}))
    else:
        for result in results:
            more = result.get("reason") or (f"{result['spans']} spans" if "spans" in result else "")
            typer.echo(f"{result['id']:>14}  {result['outcome']:9}  {more}".rstrip())
    if any(result["outcome"] == "refused" for result in results):
        raise typer.Exit(1)


def _letters(
    server: Server,
    limit: int | None,
    *,
    from_at: datetime | None,
    to_at: datetime | None,
    **chosen: str | None,
) -> Iterator[dict[str, Any]]:
    """Yield letters of all pages, at most `limit`."""
    cursor: str | None = None
    left = limit
    while left is None or left > 0:
        page = server.get(
            "/dead-letters",
            cursor=cursor,
            limit=_PAGE if left is None else min(left, _PAGE),
            **{"from": _utc(from_at), "to": _utc(to_at)},
            **chosen,
        )
        yield from page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return
        left = None if left is None else left - len(page["items"])


def _utc(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.isoformat()}Z"
