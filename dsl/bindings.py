"""Which names a rule binds by `as`, and where each of them holds.

A binding of `when` holds from its `as` to the end of the rule; one of `always` or `never` to the
end of its clause. In front of a dot its name always means the bound span, so nothing else in the
rule may begin with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from dsl.nodes import (
    And,
    Compare,
    Key,
    Negative,
    Node,
    Not,
    Or,
    Product,
    Promise,
    Relation,
    Sequence,
    SpanTerm,
    Sum,
)
from dsl.source import Source
from dsl.words import RESERVED, SCOPES, did_you_mean

MAX_BINDINGS: Final = 16
"""Of a rule. Every one of them multiplies the combinations to be judged."""
_NEVER_BOUND: Final = SCOPES | RESERVED | {"any", "trace"}


def names_bound(promise: Promise) -> frozenset[str]:
    """Return every name that a rule binds, wherever the `as` stands."""
    found: set[str] = set()
    todo: list[Node] = [clause.body for clause in promise.clauses.values()]
    while todo:
        node = todo.pop()
        match node:
            case And() | Or() | Sum() | Product():
                todo.extend(node.items)
            case Not() | Negative():
                todo.append(node.item)
            case Compare(left=left, right=right):
                todo.append(left)
                if right is not None:
                    todo.append(right)
            case Sequence(steps=steps):
                todo.extend(steps)
            case SpanTerm(alias=alias) if alias is not None:
                found.add(alias)
            case _:
                pass
    return frozenset(found)


@dataclass(slots=True)
class Bindings:
    """The names bound in a rule. here: those that hold at the place looked at, in order."""

    source: Source
    all: frozenset[str] = frozenset()
    here: list[str] = field(default_factory=list)
    _coming: str | None = None
    _taken: bool = False

    def expect(self, name: str | None) -> None:
        """Note the name that the term looked at is about to make: nothing in it may begin so."""
        self._coming = None if name in self.here else name
        self._taken = False

    def bind(self, term: SpanTerm) -> bool:
        """Let the name of a term hold from here on; False with a problem if it must not."""
        name = term.alias
        assert name is not None
        if name in _NEVER_BOUND:
            self._refuse_name(term, "it has a meaning of its own: take another one")
        elif self._taken or (not term.quoted and term.parts[0] == name):
            self._refuse_name(term, "a name in the span test itself begins with it")
        elif name in self.here:
            self.source.refuse("rule.binding_twice", term.at, term.end, word=name)
        elif len(self.here) >= MAX_BINDINGS:
            self.source.refuse("rule.too_many_bindings", term.at, term.end, limit=MAX_BINDINGS)
        else:
            self.here.append(name)
            return True
        return False

    def forget(self, count: int) -> None:
        """Let no more than the first bindings hold: those of a clause end with it."""
        del self.here[count:]

    def _refuse_name(self, term: SpanTerm, following: str) -> None:
        self.source.refuse("rule.binding_name", term.at, term.end, word=term.alias, next=following)

    def begins(self, word: str, *, at: int, end: int) -> bool | None:
        """Tell whether a first segment means a bound span; None with a problem: not at this place.

        `at` and `end` are the places of the whole name that begins so.
        """
        if word not in self.all:
            return False
        if word in self.here:
            return True
        if word == self._coming:
            self._taken = True
            return None
        text = self.source.text[at:end]
        self.source.refuse("rule.binding_not_here", at, end, text=text, word=word)
        return None

    def owner(self, key: Key) -> tuple[str, Key] | None:
        """Return the binding in front of a key and the rest of the key; None if there is none.

        The binding must hold here (`begins`). The rest of a bare binding has no name.
        """
        if key.quoted or key.scope:
            return None
        first, _, rest = key.name.partition(".")
        if first not in self.all:
            return None
        scope, dot, name = rest.partition(".")
        whole = bool(rest) and rest == key.quoted_tail
        if dot and scope in SCOPES and not whole:
            return first, Key(scope, name, False, key.at, key.end)
        return first, Key("", rest, whole, key.at, key.end)

    def is_known(self, relation: Relation) -> bool:
        """Tell whether the binding of a relation holds here, and say if not."""
        word = relation.binding
        if self.begins(word, at=relation.at, end=relation.end):
            return True
        if word not in self.all:
            hint = did_you_mean(word, self.here) or f"name the span first: `some.span as {word}`"
            self.source.refuse(
                "rule.unknown_binding", relation.at, relation.end, hint=hint, word=word
            )
        return False
