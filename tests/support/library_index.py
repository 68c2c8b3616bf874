"""What the shipped rules read, and the tables of `dsl/library/README.md` made from them.

`python -m tests.support.library_index` writes the tables anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

from dsl.lexer import Token, tokenize
from dsl.library import Pack, packs
from dsl.objects import RuleObject
from dsl.source import Source
from dsl.words import SCOPES

README: Final = Path(__file__).parents[2] / "dsl" / "library" / "README.md"
_TABLES: Final = re.compile(r"(?<=<!-- tables -->\n).*(?=<!-- end of tables -->)", re.S)

CONVENTIONS: Final = frozenset(
    {"cicd.pipeline.task.run.result", "cicd.pipeline.task.type", "client.address", "cloud.region"}
    | {"db.collection.name", "db.namespace", "db.operation.name", "db.query.text"}
    | {"db.response.returned_rows", "db.response.status_code", "db.system.name"}
    | {"deployment.environment.name", "enduser.id", "error.type", "file.name"}
    | {"gen_ai.agent.name", "gen_ai.evaluation.name", "gen_ai.evaluation.result"}
    | {"gen_ai.evaluation.score.label", "gen_ai.input.messages", "gen_ai.operation.name"}
    | {"gen_ai.response.finish_reasons", "gen_ai.tool.call.arguments", "gen_ai.tool.call.id"}
    | {"gen_ai.tool.definitions", "gen_ai.tool.name", "gen_ai.usage.input_tokens"}
    | {"gen_ai.usage.output_tokens", "geo.country.iso_code", "http.request.body.size"}
    | {"http.request.header.idempotency-key", "http.request.method", "http.request.resend_count"}
    | {"http.response.status_code", "http.route", "messaging.consumer.group.name"}
    | {"messaging.destination.name", "messaging.message.id", "messaging.operation.name"}
    | {"messaging.operation.type", "server.address", "service.name", "tls.protocol.name"}
    | {"tls.protocol.version", "url.full", "url.path", "url.query", "user.id", "user.roles"}
)
"""Names of OpenTelemetry's semantic conventions that the rules read."""


def names_read(rule: str) -> frozenset[str]:
    """Return the dotted names of spans, events and attributes in a rule's text.

    Scopes and bindings in front are left out. A quoted name counts where a name stands: before
    `exists`, and where it is compared with `name`.
    """
    tokens = tokenize(Source(rule))
    assert tokens is not None
    bindings = {str(b.value) for a, b in pairwise(tokens) if a.value == "as"}
    found = set()
    for path in _paths(tokens):
        inner = path[1:] if path[0] in bindings | SCOPES else path
        if inner[-1:] == ["where"]:
            inner = inner[:-1]
        found.add(".".join(inner))
    return frozenset(name for name in found if "." in name)


def _paths(tokens: list[Token]) -> Iterator[list[str]]:
    last = [""]
    i = 0
    while i < len(tokens):
        token, following = tokens[i], tokens[min(i + 1, len(tokens) - 1)]
        if token.kind == "string" and (following.value == "exists" or last == ["name"]):
            yield [str(token.value)]
        if token.kind != "ident":
            i += 1
            continue
        path = [str(token.value)]
        while tokens[i + 1].kind == "." and tokens[i + 2].kind == "ident":
            path.append(str(tokens[i + 2].value))
            i += 2
        yield path
        if path not in (["and"], ["in"]):
            last = path
        i += 1


def own_names(rule: RuleObject) -> frozenset[str]:
    """Return the names that no convention gives: a program has to send them on purpose."""
    return names_read(rule.rule) - CONVENTIONS


def tables() -> str:
    """Return the tables of all packs, as Markdown."""
    return "".join(map(_table, packs()))


def _table(pack: Pack) -> str:
    rows = "".join(map(_row, pack.rules))
    return (
        f"\n### {pack.title} (`{pack.id}.yaml`, {len(pack.rules)} rules)\n\n{pack.description}\n\n"
        "| rule | promise | severity | controls | OpenTelemetry names | your own names |\n"
        "|---|---|---|---|---|---|\n" + rows
    )


def _row(rule: RuleObject) -> str:
    read = names_read(rule.rule)
    cells = (
        f"`{rule.id}`",
        rule.name,
        rule.severity,
        ", ".join(rule.controls),
        _listed(read & CONVENTIONS),
        _listed(read - CONVENTIONS),
    )
    return f"| {' | '.join(cells)} |\n"


def _listed(names: frozenset[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def with_tables(readme: str) -> str:
    """Return the text of the README with its tables made anew."""
    return _TABLES.sub(lambda _: tables() + "\n", readme)


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")
