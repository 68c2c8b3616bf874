"""`betrace evidence list|controls|records|oscal|report|check`: single records and sums of controls.

All but `check` ask the server of BETRACE_URL, as whoever owns BETRACE_API_KEY; reading needs the
permission evidence.read, files evidence.export.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from api.command.remote import Server
from api.command.terminal import counted
from api.errors import OperatorError
from udfs.evidence.exports import check_export
from udfs.evidence.keys import VerifierKey, parse_verifier_key
from udfs.evidence.malformed import Malformed

_PAGE: Final = 500
_TIMES: Final = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Out = Annotated[Path, typer.Option(metavar="FILE", help="The file; it must not be there yet.")]
Framework = Annotated[str | None, typer.Option(help="As soc2.")]
Control = Annotated[str | None, typer.Option(help="As soc2.CC7.2.")]
Rule = Annotated[str | None, typer.Option(help="Id of a rule.")]
Service = Annotated[str | None, typer.Option(help="That sent a compliance span.")]
Text = Annotated[str | None, typer.Option(help="Words that a record says, as: login blocked.")]
Kind = Annotated[list[str] | None, typer.Option(help="span, verdict, coverage, act or key.")]
Outcome = Annotated[list[str] | None, typer.Option(help="satisfied, violated, success, …")]
From = Annotated[datetime | None, typer.Option("--from", formats=_TIMES, help="In UTC, inclusive.")]
To = Annotated[datetime | None, typer.Option("--to", formats=_TIMES, help="In UTC, exclusive.")]


def extend(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command("list")(list_command)
    app.command("controls")(controls_command)
    app.command("records")(records_command)
    app.command("oscal")(oscal_command)
    app.command("report")(report_command)
    app.command("check")(check_command)


def list_command(
    framework: Framework = None,
    control: Control = None,
    rule: Rule = None,
    service: Service = None,
    text: Text = None,
    kind: Kind = None,
    outcome: Outcome = None,
    from_at: From = None,
    to_at: To = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List sealed records, newest first, with what the server finds of each."""
    asked = _filters(framework, control, rule, service, text, kind, outcome, from_at, to_at)
    with Server() as server:
        total, records = _records(server, asked, limit)
    if as_json:
        typer.echo(json.dumps({"total": total, "records": records}))
        return
    for one in records:
        record = one["record"]
        typer.echo(
            f"{one['seq']:>10}  {one['time'][:19]}  {one['kind']:8}  "
            f"{one['verification']['badge']:10}  {' '.join(record.get('controls', []))}"
        )
    typer.echo(f"{len(records)} of {counted(total, 'record')}")


def controls_command(
    framework: Framework = None,
    from_at: From = None,
    to_at: To = None,
    without_days: Annotated[
        int | None, typer.Option(min=0, help="Only those without evidence for so long.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what was seen of each control: satisfied, violated, inconclusive, and since when not."""
    with Server() as server:
        matrix = server.get(
            "/evidence/controls",
            framework=framework,
            without_days=without_days,
            **{"from": _day(from_at), "to": _day(to_at)},
        )
    if as_json:
        typer.echo(json.dumps(matrix))
        return
    for row in matrix["controls"]:
        quiet = "never" if row["days_without"] is None else f"{row['days_without']} d"
        typer.echo(
            f"{row['id']:28}  {row['standing']:12}  {row['satisfied']:>10} satisfied  "
            f"{row['violated']:>7} violated  {row['inconclusive']:>7} inconclusive  "
            f"without for {quiet}"
        )
    typer.echo(f"{counted(len(matrix['controls']), 'control')}, {matrix['from']} to {matrix['to']}")


def records_command(
    out: Out,
    form: Annotated[str, typer.Option("--format", help="csv, json or jsonl.")] = "jsonl",
    framework: Framework = None,
    control: Control = None,
    rule: Rule = None,
    service: Service = None,
    text: Text = None,
    kind: Kind = None,
    outcome: Outcome = None,
    from_at: From = None,
    to_at: To = None,
) -> None:
    """Export records into a file; json and jsonl end with a manifest that the log signed."""
    asked = _filters(framework, control, rule, service, text, kind, outcome, from_at, to_at)
    _save("/evidence/export", out, {**asked, "format": form})


def oscal_command(
    out: Out,
    framework: Annotated[str, typer.Option(help="As soc2.")],
    from_at: From = None,
    to_at: To = None,
) -> None:
    """Export what was seen of a framework's controls as OSCAL assessment results."""
    _save(
        "/evidence/oscal",
        out,
        {"framework": framework, "from": _day(from_at), "to": _day(to_at)},
    )


def report_command(
    out: Out,
    framework: Framework = None,
    control: Control = None,
    from_at: From = None,
    to_at: To = None,
) -> None:
    """Export a report of a framework or of one control for an auditor, as PDF."""
    if (framework is None) == (control is None):
        raise OperatorError("Give either --framework or --control.")
    asked = {"framework": framework, "control": control}
    _save("/evidence/report", out, {**asked, "from": _day(from_at), "to": _day(to_at)})


def check_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Of `records`: json or jsonl.")],
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="VERIFIER_KEY", help="A key of the log that you know; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a file of records, offline: exit 0 if it is as it was exported, 1 if not.

    That nothing was left out, only a pack proves.
    """
    keys = [_key(one) for one in key or ()]
    try:
        with file.open("rb") as lines:
            found = check_export(lines, keys)
    except OSError as error:
        raise OperatorError(f"{file}: {error.strerror}") from error
    if as_json:
        told = {"records": found.records, "problems": found.problems, "signers": found.signers}
        typer.echo(json.dumps(told))
    else:
        for problem in found.problems:
            typer.echo(f"{file}: {problem}")
        if not found.problems:
            signed = f"signed by {', '.join(found.signers)}" if found.signers else "no key given"
            typer.echo(f"{file}: {counted(found.records, 'record')} as exported, {signed}")
    if found.problems:
        raise typer.Exit(1)


def _filters(
    framework: str | None,
    control: str | None,
    rule: str | None,
    service: str | None,
    text: str | None,
    kind: list[str] | None,
    outcome: list[str] | None,
    from_at: datetime | None,
    to_at: datetime | None,
) -> dict[str, Any]:
    return {
        "framework": framework,
        "control": control,
        "rule": rule,
        "service": service,
        "text": text,
        "kind": kind or None,
        "outcome": outcome or None,
        "from": from_at.replace(tzinfo=UTC).isoformat() if from_at else None,
        "to": to_at.replace(tzinfo=UTC).isoformat() if to_at else None,
    }


def _records(server: Server, asked: dict[str, Any], limit: int) -> tuple[int, list[Any]]:
    total = 0
    records: list[Any] = []

    def pages() -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        while True:
            size = min(_PAGE, limit - len(records))
            page = server.get("/evidence/records", **asked, cursor=cursor, limit=size)
            yield page
            cursor = page["next_cursor"]
            if cursor is None or len(records) >= limit:
                return

    for page in pages():
        total = page["total"]
        records += page["items"]
    return total, records


def _save(path: str, out: Path, asked: dict[str, Any]) -> None:
    try:
        file = out.open("xb")
    except OSError as error:
        raise OperatorError(f"{out}: {error.strerror}; --out names another file") from error
    try:
        with file, Server() as server:
            size = server.fetch(path, file, **asked)
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    typer.echo(f"{out}: {size:,} bytes")


def _day(at: datetime | None) -> str | None:
    return at.date().isoformat() if at else None


def _key(text: str) -> VerifierKey:
    key = parse_verifier_key(text)
    if isinstance(key, Malformed):
        raise typer.BadParameter(str(key))
    return key
