"""Versions of a rule: how two of them differ, and bringing an earlier one back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any, Final

from api.auth.principal import TenantScope
from api.database import Pool
from api.problems import ApiError
from api.redaction.redactors import Redactors
from api.redaction.service import redacted_text
from api.rules.definitions import Form, read_definition
from api.rules.model import Rule
from api.rules.outbox import Publisher
from api.rules.redacted import fit
from api.rules.service import Precondition, Saved, Why, get_rule, get_version, save_rule

REASON_MAX: Final = 2_000


@dataclass(frozen=True, slots=True)
class Line:
    """A line of two texts side by side; None where one of them has nothing there."""

    was: str | None
    now: str | None

    @property
    def changed(self) -> bool:
        """Whether the two differ."""
        return self.was != self.now


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field of the rule object that differs; None where one has none."""

    name: str
    was: Any
    now: Any


@dataclass(frozen=True, slots=True)
class Difference:
    """How two versions differ."""

    was: Rule
    now: Rule
    lines: tuple[Line, ...]
    fields: tuple[FieldChange, ...]


def difference(was: Rule, now: Rule) -> Difference:
    """Return how two versions differ: their texts line by line, and the other fields."""
    names = sorted((was.object.keys() | now.object.keys()) - {"rule"})
    return Difference(
        was,
        now,
        lines=tuple(lines_of(was.text, now.text)),
        fields=tuple(
            FieldChange(name, was.object.get(name), now.object.get(name))
            for name in names
            if was.object.get(name) != now.object.get(name)
        ),
    )


def lines_of(was: str, now: str) -> Iterator[Line]:
    """Yield the lines of two texts side by side, the same ones next to each other."""
    before, after = was.splitlines(), now.splitlines()
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for kind, i, j, k, n in matcher.get_opcodes():
        if kind == "equal":
            yield from (Line(line, line) for line in before[i:j])
        else:
            yield from (Line(*pair) for pair in zip_longest(before[i:j], after[k:n]))


async def restore_rule(
    pool: Pool,
    publisher: Publisher,
    redactors: Redactors,
    scope: TenantScope,
    rule_id: str,
    *,
    version: int,
    reason: str,
    precondition: Precondition | None = None,
) -> Saved:
    """Save an earlier version as the next one, with the reason; the state stays what it is.

    It is checked and redacted as any save: what the language or the policy refuses now is refused.
    Raises ApiError 404, 400 without a reason, 409 for a version that deleted the rule, 412 if the
    rule has another version than it had to, 422 with every problem.
    """
    if not reason.strip("\0 \n\t"):
        raise ApiError(400, "rule.no_reason", "Say why the version is brought back.")
    current = await get_rule(pool, scope, rule_id)
    wanted = await get_version(pool, scope, rule_id, version)
    if wanted.deleted:
        raise ApiError(409, "rule.deleted_version", "This version deleted the rule. Take another.")
    fields = {**wanted.object, "state": current.object.get("state", "active")}
    definition = await asyncio.to_thread(read_definition, json.dumps(fields), form=Form.JSON)
    (definition,) = await fit(redactors, scope, [definition])
    told = await redacted_text(redactors, scope, reason.replace("\0", "").strip())
    return await save_rule(
        pool,
        publisher,
        scope,
        definition,
        precondition=precondition or Precondition(version=current.version),
        why=Why(told[:REASON_MAX], version if version != current.version else None),
    )
