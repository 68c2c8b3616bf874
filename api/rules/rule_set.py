"""What rules of a tenant are to each other: looked at when they are saved.

A `correlate` may look at signals of other rules. What it needs of them, that nobody waits for its
own signals, and how deep rules stand, only all of them together tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import dsl
from api.database import Connection, queries
from api.rules.definitions import Definition, refusal
from dsl.many.rule_set import check_rule_set, fields_among

_WORD = "violated"
"""Without it a text looks at no signals."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A rule that may matter: its text and what its signals are grouped by."""

    text: str
    group_by: tuple[str, ...]


async def refuse_unfit(connection: Connection, definitions: Sequence[Definition]) -> None:
    """Refuse rules that do not go together with the others of the tenant.

    The caller holds the lock of the tenant. Raises ApiError 422 with every problem.
    """
    known = {definition.id: _of_definition(definition) for definition in definitions}
    others = await _read(connection, word=_WORD)
    if not others and not any(_WORD in one.text for one in known.values()):
        return
    known = {**others, **known}
    missing = await asyncio.to_thread(_named_beyond, known)
    known = {**await _read(connection, ids=sorted(missing)), **known}
    problems = await asyncio.to_thread(_problems, known, [one.id for one in definitions])
    if problems:
        raise refusal(problems)


def problems_together(
    definitions: Sequence[Definition], ids: Sequence[str]
) -> list[dict[str, object]]:
    """Return what is wrong with some of the rules of a set that holds all they look at."""
    return _problems({one.id: _of_definition(one) for one in definitions}, ids)


def _of_definition(definition: Definition) -> _Known:
    group_by = definition.object.get("group_by") or ()
    return _Known(definition.compiled.text, tuple(map(str, group_by)))


async def _read(
    connection: Connection, *, word: str | None = None, ids: Sequence[str] | None = None
) -> dict[str, _Known]:
    if ids is not None and not ids:
        return {}
    rows = queries("rules").texts(connection, word=word, ids=None if ids is None else list(ids))
    return {
        row["id"]: _Known(row["text"], tuple(map(str, row["group_by"] or ()))) async for row in rows
    }


def _named_beyond(known: dict[str, _Known]) -> set[str]:
    """Return the rules whose signals are looked at and that are not known yet."""
    named: set[str] = set()
    for one in known.values():
        rule = dsl.check(one.text).rule if _WORD in one.text else None
        if isinstance(rule, dsl.CorrelateRule):
            named.update(rule.correlated)
    return named - known.keys()


def _problems(known: dict[str, _Known], ids: Sequence[str]) -> list[dict[str, object]]:
    """Return what is wrong with rules, at places of their texts."""
    fields_of = fields_among({id_: (one.text, one.group_by) for id_, one in known.items()})
    checked = {id_: dsl.check(one.text, fields_of=fields_of) for id_, one in known.items()}
    together = check_rule_set(
        {id_: one.rule for id_, one in checked.items() if one.rule is not None}
    )
    return [
        {"rule": id_, **problem.to_dict()}
        for id_ in ids
        for problem in (*checked[id_].problems, *together.problems.get(id_, ()))
    ]
