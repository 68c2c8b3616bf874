"""A small reader of TextMate grammars: enough for flat ones with `match` and `begin`/`end`."""

from __future__ import annotations

import re
from typing import Any


def scopes_of(grammar: dict[str, Any], text: str) -> list[str]:
    """Return the scope of each character of a text ("" where no rule applies)."""
    found: list[str] = []
    inside: dict[str, Any] | None = None  # the rule whose `end` is awaited
    for line in text.splitlines(keepends=True):
        scopes, inside = _line(grammar["patterns"], line, inside)
        found += scopes
    return found


def _line(
    patterns: list[dict[str, Any]], line: str, inside: dict[str, Any] | None
) -> tuple[list[str], dict[str, Any] | None]:
    scopes: list[str] = []
    while len(scopes) < len(line):
        here = [*inside["patterns"], inside] if inside is not None else patterns
        rule, match = _first(here, line, len(scopes), ending=inside)
        if rule is None or match is None or not match.group():
            scopes.append(inside["name"] if inside is not None else "")
            continue
        scopes += [rule["name"]] * len(match.group())
        if rule is inside:
            inside = None
        elif "begin" in rule:
            inside = rule
    return scopes, inside


def _first(
    rules: list[dict[str, Any]], line: str, at: int, *, ending: dict[str, Any] | None
) -> tuple[dict[str, Any] | None, re.Match[str] | None]:
    """Return the first rule that matches exactly at a place of a line."""
    for rule in rules:
        pattern = rule["end"] if rule is ending else rule.get("match", rule.get("begin"))
        match = re.compile(pattern, re.M).match(line, at)
        if match is not None and (match.group() or rule is ending):
            return rule, match
    return None, None
