"""A plan bound to the numbers of a tenant: which way of judging a rule takes.

Rules that predicates and counts of the trace decide are judged by dsl.compiler, all others by
dsl.promise.
"""

from __future__ import annotations

from collections.abc import Sequence

from dsl import compiler
from dsl.captures import Capturing
from dsl.compiler import LinkedRule
from dsl.joins import Wiring
from dsl.plan import Plan, SpanTest, is_plain, names_in
from dsl.promise import compile_promise


def link(
    plan: Plan, capturing: Capturing, numbers: Sequence[int], captures: Sequence[int]
) -> LinkedRule:
    """Return the judging function of a plan.

    numbers[i]: dictionary number of test i. captures[i]: number of capture i.
    """
    if all(map(is_plain, plan.telling)):
        return compiler.link(plan, numbers)
    wiring = wiring_of(plan, capturing, numbers, captures)
    promise = compile_promise(plan, wiring)
    return LinkedRule(bits_only=False, judge=promise.judge, violation=promise.violation)


def wiring_of(
    plan: Plan, capturing: Capturing, numbers: Sequence[int], captures: Sequence[int]
) -> Wiring:
    """Return where the closures of a linked rule find predicates, captures and bindings.

    The bindings of `when` have the first slots.
    """
    names = dict.fromkeys(plan.bindings)
    names.update(dict.fromkeys(name for leaf in plan.telling for name in names_in(leaf)))
    every_span = SpanTest(None, None)
    of_every_span = (number for number in plan.counted if plan.tests[number] == every_span)
    return Wiring(
        numbers=numbers,
        captures={key: captures[at] for at, key in enumerate(capturing.keys)},
        slots={name: at for at, name in enumerate(names)},
        trace_spans=next((numbers[number] for number in of_every_span), None),
    )
