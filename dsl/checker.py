"""A tree to a plan: what every name, word and number in the rule means.

Expands short forms, takes span tests apart into predicates and what they say about other spans,
says where bindings hold, gives numbers their units, and refuses what has no meaning. Filters are
read by dsl.filter_checker, calculations by dsl.number_checker; warnings about rules that mean
something useless are in dsl.lint.
"""

from __future__ import annotations

from typing import Final

from dsl.bindings import Bindings, names_bound
from dsl.filter_checker import FilterChecker, Right, all_filters
from dsl.nodes import (
    And,
    AttributeOf,
    Broken,
    Clause,
    Compare,
    Key,
    ListLiteral,
    Literal,
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
    Test,
    trace_word,
)
from dsl.number_checker import NumberChecker
from dsl.plan import (
    AllFilters,
    Ask,
    Condition,
    Either,
    Every,
    Exists,
    Filter,
    Fixed,
    Found,
    Held,
    Operand,
    Opposite,
    Ordered,
    Plan,
    Reader,
    Related,
    RootAsk,
    SpanTest,
    Term,
    looks_elsewhere,
)
from dsl.printer import duration_text
from dsl.source import Source
from dsl.values import Duration
from dsl.words import FLIPPED, ORDER_OPERATORS, SCOPES, SYMBOL_OPERATORS

MAX_LIFE_NS: Final = 3_600_000_000_000
"""How long a trace stays open at most, unless the tenant says otherwise: an hour."""


def check_promise(
    source: Source, promise: Promise, *, max_life_ns: int = MAX_LIFE_NS
) -> Plan | None:
    """Return the plan of a promise, or None if something in it is wrong (see source.problems)."""
    checker = _Checker(source, names_bound(promise), max_life_ns)
    clauses = {clause.word: checker.clause(clause) for clause in _in_order(promise, checker)}
    when = clauses.get("when")
    if source.problems or when is None:
        return None
    if "spans" in checker.filters.trace_words:
        checker.numbers.trace_spans()
    return Plan(
        when=when,
        always=clauses.get("always"),
        never=clauses.get("never"),
        tests=tuple(checker.tests),
        counted=frozenset(checker.numbers.counted),
        needs_extent=checker.needs_extent,
        needs_root=checker.needs_root,
        bindings=tuple(checker.bindings.here),
    )


def check_filter(source: Source, node: Node) -> Filter | None:
    """Return the meaning of a filter alone, or None if something in it is wrong."""
    found = FilterChecker(source, Bindings(source), alone=True).filter(node, scope="")
    return None if source.problems else found


def _in_order(promise: Promise, checker: _Checker) -> list[Clause]:
    """Return the clauses as written; `when` first where it makes bindings for the others."""
    clauses = sorted(promise.clauses.values(), key=lambda clause: clause.at)
    if checker.bindings.all:
        clauses.sort(key=lambda clause: clause.word != "when")
    return clauses


class _Checker:
    def __init__(self, source: Source, names: frozenset[str], max_life_ns: int) -> None:
        self.source = source
        self.max_life_ns = max_life_ns
        self.bindings = Bindings(source, names)
        self.filters = FilterChecker(source, self.bindings)
        self.numbers = NumberChecker(source, self.bindings, self.term, self.number_of)
        self.tests: list[SpanTest] = []
        self.places: dict[tuple[str | None, Filter | None], int] = {}

    @property
    def needs_extent(self) -> bool:
        """Whether something depends on `trace.duration`."""
        return self.numbers.needs_extent or "duration" in self.filters.trace_words

    @property
    def needs_root(self) -> bool:
        """Whether something depends on the root."""
        return bool(self.filters.trace_words & {"root.name", "root.service"})

    # -- conditions ----------------------------------------------------------------------------

    def clause(self, clause: Clause) -> Condition | None:
        """Check a clause; what `always` or `never` binds holds no longer than itself."""
        before = len(self.bindings.here)
        condition = self.condition(clause.body, binds=True)
        if clause.word != "when":
            self.bindings.forget(before)
        return condition

    def condition(self, node: Node, *, binds: bool = False) -> Condition | None:
        """Return the meaning of a condition. binds: `as` may stand in it."""
        match node:
            case And(items=items) | Or(items=items):
                both = isinstance(node, And)
                conditions = [self.condition(item, binds=binds and both) for item in items]
                known = tuple(one for one in conditions if one is not None)
                if len(known) < len(conditions):
                    return None
                return _flat_every(known) if both else _flat_either(known)
            case Not(item=item):
                condition = self.condition(item)
                return None if condition is None else Opposite(condition)
            case SpanTerm():
                return self.exists(node, binds=binds)
            case Compare():
                return self.comparison(node)
            case Sequence():
                return self.sequence(node, binds=binds)
            case Broken():
                pass
            case AttributeOf():
                self.source.refuse("rule.no_span", node.at, node.end, word=node.key.name)
            case _:
                self.refuse_number(node)
        return None

    def refuse_number(self, node: Node) -> None:
        text = self.text_of(node)
        constant = isinstance(node, Literal)
        self.source.refuse(
            "rule.number_as_condition",
            node.at,
            node.end,
            found=f"`{text}`",
            next="write the name of a span" if constant else "compare it: `count(…) > 3`",
        )
        if not isinstance(node, Literal):
            self.numbers.number(node)

    def text_of(self, node: Node | Key) -> str:
        return self.source.text[node.at : node.end]

    # -- spans -----------------------------------------------------------------------------------

    def exists(self, node: SpanTerm, *, binds: bool) -> Condition | None:
        bound = self.is_bound(node)
        if bound is None:
            return None
        if bound:
            return self.held(node)
        if node.alias is None and not node.filters and not node.relations:
            return Exists(self.number_of(name_of(node), None), node.at, node.end)
        term = self.unbound_term(node, binds=binds)
        if term is None:
            return None
        if term.is_plain:
            return Exists(term.predicate, node.at, node.end)
        return Found(term, node.at, node.end)

    def is_bound(self, node: SpanTerm) -> bool | None:
        """Tell whether a path begins with a binding; None with a problem."""
        if node.quoted or not self.bindings.all:
            return False
        if node.parts[0] == node.alias and node.alias not in self.bindings.here:
            return False
        return self.bindings.begins(node.parts[0], at=node.at, end=node.end)

    def term(self, node: SpanTerm, *, binds: bool = False) -> Term | None:
        """Return the meaning of a span test with its filters, relations and name."""
        bound = self.is_bound(node)
        if bound:
            self.refuse_bound(node, "a binding is one span: name the spans, with a relation to it")
        return None if bound is not False else self.unbound_term(node, binds=binds)

    def unbound_term(self, node: SpanTerm, *, binds: bool) -> Term | None:
        """Return the meaning of a span test that does not begin with a binding."""
        if node.alias is None and not node.filters and not node.relations:
            return Term(self.number_of(name_of(node), None))
        self.bindings.expect(node.alias)
        filters = [self.filters.filter(one, scope="") for one in node.filters]
        known = [one for one in filters if one is not None]
        related = [self.related(one, node) for one in node.relations]
        relations = tuple(one for one in related if one is not None)
        bindable = node.alias is None or self.bind(node, binds=binds)
        if len(known) < len(filters) or len(relations) < len(related) or not bindable:
            return None
        return self.term_of(name_of(node), known, relations, node.alias or "")

    def term_of(
        self, name: str | None, filters: list[Filter], relations: tuple[Related, ...], alias: str
    ) -> Term:
        """Take the filters of a span test apart: its predicate, and what reads other spans."""
        own: list[Filter] = []
        joined: list[Filter] = []
        for one in _conjuncts(filters):
            (joined if looks_elsewhere(one) else own).append(one)
        predicate = self.number_of(name, all_filters(own) if own else None)
        return Term(predicate, all_filters(joined) if joined else None, relations, alias)

    def bind(self, node: SpanTerm, *, binds: bool) -> bool:
        if not binds:
            self.source.refuse("rule.binding_place", node.at, node.end, word=node.alias)
            return False
        return self.bindings.bind(node)

    def refuse_bound(self, node: SpanTerm, following: str) -> None:
        self.source.refuse(
            "rule.bare_binding",
            node.at,
            node.end,
            text=self.text_of(node),
            word=node.parts[0],
            next=following,
        )

    def related(self, relation: Relation, node: SpanTerm) -> Related | None:
        """Return the meaning of a relation, or None with a problem."""
        held = node.parts[0] if not node.quoted and node.parts[0] in self.bindings.here else None
        if relation.binding in (node.alias, held):
            word = relation.binding
            self.source.refuse("rule.own_relation", relation.at, relation.end, word=word)
            return None
        if not self.bindings.is_known(relation):
            return None
        within = relation.within
        if within is not None and not self.is_short(within, relation.at, relation.end):
            return None
        return Related(relation.word, relation.binding, None if within is None else within.ns)

    def is_short(self, within: Duration, at: int, end: int) -> bool:
        """Tell whether a window fits into the life of a trace, and say if not."""
        if within.ns <= self.max_life_ns:
            return True
        limit = duration_text(self.max_life_ns)
        self.source.refuse("rule.window_too_long", at, end, limit=limit)
        return False

    def sequence(self, node: Sequence, *, binds: bool) -> Condition | None:
        steps = [self.step(step, binds=binds) for step in node.steps]
        known = tuple(step for step in steps if step is not None)
        within = node.within
        short = within is None or self.is_short(within, node.at, node.end)
        if len(known) < len(steps) or not short:
            return None
        return Ordered(known, None if within is None else within.ns, node.at, node.end)

    def step(self, node: SpanTerm, *, binds: bool) -> Term | None:
        if node.relations:
            first = node.relations[0]
            self.source.refuse("rule.sequence_brackets", first.at, first.end)
            return None
        bound = self.is_bound(node)
        if bound:
            self.refuse_bound(node, f"write the next step with `after {node.parts[0]}`")
        return None if bound is not False else self.unbound_term(node, binds=binds)

    def held(self, node: SpanTerm) -> Condition | None:
        """What the span of a binding itself fulfils: `q.where(status == ok)`, `q child of r`."""
        binding = node.parts[0]
        if len(node.parts) > 1:
            key = ".".join(node.parts[1:])
            self.refuse_bound(node, f"write `{binding}.where({key})`")
            return None
        if node.alias is not None:
            self.source.refuse("rule.binding_place", node.at, node.end, word=node.alias)
            return None
        if not node.filters and not node.relations:
            self.refuse_bound(node, f"ask something of it: `{binding}.where(…)`")
            return None
        filters = [self.filters.filter(one, scope="") for one in node.filters]
        related = [self.related(one, node) for one in node.relations]
        known = [one for one in filters if one is not None]
        relations = tuple(one for one in related if one is not None)
        if len(known) < len(filters) or len(relations) < len(related):
            return None
        return Held(binding, all_filters(known) if known else None, relations, node.at, node.end)

    def number_of(self, name: str | None, condition: Filter | None) -> int:
        """Return the number of a span test in the rule."""
        number = self.places.setdefault((name, condition), len(self.tests))
        if number == len(self.tests):
            self.tests.append(SpanTest(name, condition))
        return number

    # -- comparisons at trace level --------------------------------------------------------------

    def comparison(self, node: Compare) -> Condition | None:
        left = node.left
        if isinstance(left, AttributeOf):
            self.source.refuse("rule.no_span", left.at, left.end, word=left.key.name)
            return None
        if isinstance(left, SpanTerm):
            word = trace_word(left)
            if word in ("root.name", "root.service"):
                return self.root_ask(node, word)
            if word is None:
                return self.path_comparison(node, left)
        if isinstance(left, Literal) and isinstance(node.right, SpanTerm):
            right = node.right
            foreign = trace_word(right) is None and right.parts[0] not in self.bindings.all
            if foreign and node.op in SYMBOL_OPERATORS:
                self.refuse_flipped(node)
                return None
        return self.numbers.comparison(node)

    def refuse_flipped(self, node: Compare) -> None:
        assert node.right is not None
        turned = f"{self.text_of(node.right)} {FLIPPED[node.op]} {self.text_of(node.left)}"
        self.source.refuse("rule.literal_left", node.at, node.end, instead=turned)

    def path_comparison(self, node: Compare, left: SpanTerm) -> Condition | None:
        """A comparison whose left is the value of a binding, or of a span by the short form."""
        bound = self.is_bound(left)
        if bound is None:
            return None
        if not bound:
            return self.short_form(node, left)
        if left.filters or left.relations:
            self.source.refuse("rule.filtered_comparison", left.at, left.end)
            return None
        if self.numbers.is_calculated(node.right) and node.op in SYMBOL_OPERATORS:
            return self.numbers.comparison(node)
        return self.bound_comparison(node, left)

    def bound_comparison(self, node: Compare, left: SpanTerm) -> Condition | None:
        """`q.amount > 1000` is `q.where(amount > 1000)`."""
        if len(left.parts) < 2:
            self.refuse_bound(left, f"compare something of it: `{left.parts[0]}.user.id == …`")
            return None
        condition = self.attribute_test(node, left.parts[1:], left)
        if condition is None:
            return None
        return Held(left.parts[0], condition, (), node.at, node.end)

    def attribute_test(self, node: Compare, parts: list[str], left: SpanTerm) -> Filter | None:
        """Compare an attribute, given as the last parts of a path, with the right side."""
        scoped = len(parts) > 1 and parts[0] in SCOPES
        name = ".".join(parts[1:] if scoped else parts)
        key = Key(parts[0] if scoped else "", name, False, left.end - len(name), left.end)
        right: Right = None
        if node.op != "exists":
            right = self.right_value(node)
            if right is None:
                return None
        return self.filters.test(Test(key, node.op, right, node.at, node.end), scope="")

    def root_ask(self, node: Compare, word: str) -> Condition | None:
        self.filters.trace_words.add(word)
        reader = Reader("trace", word)
        right = node.right
        if isinstance(right, SpanTerm) and trace_word(right) in ("root.name", "root.service"):
            if node.op in ("in", "matches"):
                self.numbers.refuse_operator(node, "two names of the root", "write a text")
                return None
            operand: Operand = Reader("trace", trace_word(right) or "")
        elif node.op == "exists":
            operand = None
        else:
            value = self.right_value(node)
            if value is None:
                return None
            if isinstance(value, AttributeOf) or (
                isinstance(value, Key) and (node.op in ORDER_OPERATORS or _is_dotted(value))
            ):
                self.refuse_right(node, "the root's name and service are compared with texts")
                return None
            found = self.filters.operand(node.op, value, text_only=True, at=node.at, end=node.end)
            if found is None:
                return None
            operand = found
        ask = Ask(reader, node.op, operand, node.at, node.end)
        return RootAsk(ask, node.at, node.end)

    def refuse_right(self, node: Compare, hint: str) -> None:
        assert node.right is not None
        self.source.refuse(
            "rule.unexpected",
            node.right.at,
            node.right.end,
            found=f"`{self.text_of(node.right)}`",
            hint=hint,
        )

    def short_form(self, node: Compare, term: SpanTerm) -> Condition | None:
        """`payment.charge.amount > 1000` is `payment.charge.where(amount > 1000)`."""
        if term.filters or term.relations or term.alias is not None:
            self.source.refuse("rule.filtered_comparison", term.at, term.end)
            return None
        if len(term.parts) < 2:
            if term.quoted:
                self.source.refuse("rule.quoted_comparison", term.at, term.end)
            else:
                self.source.refuse("rule.no_span", term.at, term.end, word=term.parts[0])
            return None
        condition = self.attribute_test(node, term.parts[-1:], term)
        if condition is None:
            return None
        name = ".".join(term.parts[:-1])
        found = self.term_of(
            None if name == "any" and not term.quoted else name, [condition], (), ""
        )
        if found.is_plain:
            return Exists(found.predicate, node.at, node.end)
        return Found(found, node.at, node.end)

    def right_value(self, node: Compare) -> Key | AttributeOf | Literal | ListLiteral | None:
        """Return what stands to the right of an operator as a filter would see it."""
        right = node.right
        match right:
            case Literal() | ListLiteral() | AttributeOf():
                return right
            case SpanTerm(parts=parts, at=at, end=end):
                scoped = len(parts) > 1 and parts[0] in SCOPES
                scope = parts[0] if scoped else ""
                return Key(scope, ".".join(parts[1:] if scoped else parts), False, at, end)
            case Sum() | Product() | Negative():
                return self.folded(right)
            case Broken() | None:
                return None
            case _:
                self.refuse_right(node, "an attribute is compared with a value, or with `attr(…)`")
                return None

    def folded(self, node: Node) -> Literal | None:
        number = self.numbers.number(node)
        if number is None:
            return None
        if not isinstance(number, Fixed):
            self.source.refuse(
                "rule.unexpected",
                node.at,
                node.end,
                found=f"`{self.text_of(node)}`",
                hint="an attribute is compared with a value, or with `attr(…)`",
            )
            return None
        value = number.value
        if number.unit == "duration":
            return Literal(Duration(int(value)), False, node.at, node.end)
        plain = value if isinstance(value, int) else float(value)
        return Literal(plain, False, node.at, node.end)


def name_of(node: SpanTerm) -> str | None:
    """Return the name that a span test asks for; None: any."""
    if not node.quoted and node.parts == ["any"]:
        return None
    return ".".join(node.parts)


def _is_dotted(key: Key) -> bool:
    return bool(key.scope) or "." in key.name


def _conjuncts(filters: list[Filter]) -> list[Filter]:
    found: list[Filter] = []
    for one in filters:
        found.extend(one.items if isinstance(one, AllFilters) else (one,))
    return found


def _flat_every(items: tuple[Condition, ...]) -> Condition:
    flat: list[Condition] = []
    for item in items:
        flat.extend(item.items if isinstance(item, Every) else (item,))
    return Every(tuple(flat))


def _flat_either(items: tuple[Condition, ...]) -> Condition:
    flat: list[Condition] = []
    for item in items:
        flat.extend(item.items if isinstance(item, Either) else (item,))
    return Either(tuple(flat))
