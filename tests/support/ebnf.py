"""Sentences of a grammar in EBNF: `,` `|` `[ ]` `{ }` `( )`, a rule ends with `;` (ISO 14977)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

_TOKEN = re.compile(r'\(\*.*?\*\)|"[^"]*"|\w+|[=,|;\[\]{}()]', re.S)
OPTIONAL = 0.3
"""How often an optional or repeated part is written (once): sentences stay short."""
_CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True, slots=True)
class Grammar:
    """Rules by name. samples: what stands for the names that the grammar does not define.

    A definition is a list of alternatives, each a list of parts: ("word", text), ("rule", name) or
    (bracket, definition).
    """

    rules: Mapping[str, list[list[tuple[str, object]]]]
    samples: Mapping[str, Sequence[str]]

    def sentence(self, name: str, random: Random, *, depth: int) -> str:
        """Return a random sentence. depth: rules deep after which the shortest way is taken."""
        return " ".join(self._rule(name, random, depth))

    def _rule(self, name: str, random: Random, depth: int) -> list[str]:
        if name in self.samples:
            return [random.choice(self.samples[name])]
        return self._any_of(self.rules[name], random, depth - 1)

    def _any_of(
        self, alternatives: list[list[tuple[str, object]]], random: Random, depth: int
    ) -> list[str]:
        chosen = random.choice(alternatives) if depth > 0 else alternatives[-1]
        return [word for part in chosen for word in self._part(part, random, depth)]

    def _part(self, part: tuple[str, object], random: Random, depth: int) -> list[str]:
        match part:
            case ("word", str() as text):
                return [text]
            case ("rule", str() as name):
                return self._rule(name, random, depth)
            case (bracket, list() as inner):
                taken = bracket == "(" or (depth > 0 and random.random() < OPTIONAL)
                return self._any_of(inner, random, depth) if taken else []
            case _:
                raise AssertionError(part)


def read_grammar(text: str, samples: Mapping[str, Sequence[str]]) -> Grammar:
    """Read a grammar; of every rule the last alternative must end soonest."""
    tokens = [token for token in _TOKEN.findall(text) if not token.startswith("(*")]
    rules = {}
    while tokens:
        name = tokens.pop(0)
        assert tokens.pop(0) == "="
        rules[name] = _alternatives(tokens, ";")
    return Grammar(rules, samples)


def _alternatives(tokens: list[str], closing: str) -> list[list[tuple[str, object]]]:
    found: list[list[tuple[str, object]]] = [[]]
    while (token := tokens.pop(0)) != closing:
        if token == "|":
            found.append([])
        elif token in _CLOSING:
            found[-1].append((token, _alternatives(tokens, _CLOSING[token])))
        elif token.startswith('"'):
            found[-1].append(("word", token[1:-1]))
        elif token != ",":
            found[-1].append(("rule", token))
    return found
