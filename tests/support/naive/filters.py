"""What one span (or one event of it) answers to what stands inside `where(…)`."""

from __future__ import annotations

from typing import Any, TypeAlias

import dsl.nodes as n
from dsl import GONE, MISSING, Event, Link, Span
from dsl.values import Duration
from tests.support.naive.truth import Truth, every, known, opposite, some, unknown
from tests.support.naive.values import equal, holds
from tests.support.naive.world import UNSEEN, Lost, Unseen, World

KINDS = {"server", "client", "internal", "producer", "consumer"}
STATUSES = {"ok", "error", "unset"}
SCOPES = {"span", "resource", "scope", "event", "link"}
TEXTS = {"name", "service", "status_message"}
TIMES = {"duration", "start"}
TRACE = {"trace.duration", "trace.spans", "trace.root.name", "trace.root.service"}
ORDER = {"<", "<=", ">", ">="}

Place: TypeAlias = Span | Unseen | Event | Link


def filtered(node: Any, place: Place, world: World) -> Truth:
    """Return how a filter stands for a span, an event or a link."""
    if isinstance(node, n.And):
        return every(filtered(item, place, world) for item in node.items)
    if isinstance(node, n.Or):
        return some(filtered(item, place, world) for item in node.items)
    if isinstance(node, n.Not):
        return opposite(filtered(node.item, place, world))
    if isinstance(node, n.Some):
        return _some(node, place, world)
    assert isinstance(node, n.Test)
    if isinstance(node.left, n.Key) and node.left.scope in ("event", "link"):
        inner = n.Test(n.Key("", node.left.name, True, 0, 0), node.op, node.right, 0, 0)
        return _some(n.Some(node.left.scope, inner, 0, 0), place, world)
    return _tested(node, place, world)


def _some(node: n.Some, place: Place, world: World) -> Truth:
    if isinstance(place, Unseen):
        return unknown("still_open")
    assert isinstance(place, Span)
    items = place.events if node.scope == "event" else place.links
    dropped = place.events_dropped if node.scope == "event" else place.links_dropped
    answers = [filtered(node.item, item, world) for item in items]
    return some([*answers, *([unknown("redacted")] if dropped else [])])


def _tested(node: n.Test, place: Place, world: World) -> Truth:
    left = _left_value(node, place, world)
    if node.op == "exists":
        return unknown(left.why) if isinstance(left, Lost) else known(left is not MISSING)
    if node.op == "":
        return unknown(left.why) if isinstance(left, Lost) else known(equal(left, True))
    right = node.right
    if isinstance(right, n.ListLiteral):
        if isinstance(left, Lost):
            return unknown(left.why)
        return known(any(equal(left, item.value) for item in right.items))
    value = _right_value(node, place, world)
    if left is MISSING or value is MISSING:
        return known(False)
    lost = [one.why for one in (left, value) if isinstance(one, Lost)]
    return unknown(*lost) if lost else known(holds(left, node.op, value))


# -- what a key means ------------------------------------------------------------------------------


def bound_key(key: n.Key, world: World) -> tuple[Place, n.Key] | None:
    """Return whom a key in front of which a binding stands means, and the rest of the key."""
    word, _, rest = key.name.partition(".")
    if key.quoted or key.scope or not rest or word not in world.bound:
        return None
    scope, dot, name = rest.partition(".")
    if dot and scope in SCOPES:
        return world.bound[word], n.Key(scope, name, False, key.at, key.end)
    return world.bound[word], n.Key("", rest, False, key.at, key.end)


def _left_value(node: n.Test, place: Place, world: World) -> Any:
    key = node.left
    if isinstance(key, n.AttributeOf):
        return _attribute(place, key.key.scope, key.key.name)
    if not key.quoted and not key.scope and key.name in TRACE:
        return _of_trace(key.name, world)
    owner, own = bound_key(key, world) or (place, key)
    if _plain(own) and _is_own(node, own.name, owner, world):
        return _property(owner, own.name)
    return _attribute(owner, own.scope, own.name)


def _right_value(node: n.Test, place: Place, world: World) -> Any:
    right = node.right
    if isinstance(right, n.Literal):
        return right.value.ns if isinstance(right.value, Duration) else right.value
    if isinstance(right, n.AttributeOf):
        return _attribute(place, right.key.scope, right.key.name)
    assert isinstance(right, n.Key)
    if not right.scope and right.name in TRACE:
        return _of_trace(right.name, world)
    bound = bound_key(right, world)
    if bound is None and node.op not in ORDER:
        return right.name
    owner, own = bound or (place, right)
    timed = own.name in TIMES and _left_is_time(node, world)
    if _plain(own) and isinstance(owner, Span | Unseen) and (own.name in TEXTS or timed):
        return _property(owner, own.name)
    return _attribute(owner, own.scope, own.name)


def _plain(key: n.Key) -> bool:
    return not key.quoted and not key.scope


def _left_is_time(node: n.Test, world: World) -> bool:
    if not isinstance(node.left, n.Key) or not _plain(node.left):
        return False
    _, own = bound_key(node.left, world) or (None, node.left)
    return _plain(own) and own.name in TIMES and _right_is_time(node, world)


def _right_is_time(node: n.Test, world: World) -> bool:
    right = node.right
    if isinstance(right, n.Literal):
        return isinstance(right.value, Duration)
    if not isinstance(right, n.Key) or not _plain(right):
        return False
    bound = bound_key(right, world)
    if bound is not None:
        return _plain(bound[1]) and bound[1].name in TIMES
    return right.name == "trace.duration" or (node.op in ORDER and right.name in TIMES)


def _is_own(node: n.Test, name: str, owner: Place, world: World) -> bool:
    """Tell whether a name is the span's own property in this comparison."""
    if not isinstance(owner, Span | Unseen):
        return name == "name" and isinstance(owner, Event)
    if name in TEXTS:
        return True
    if name in TIMES:
        return _right_is_time(node, world)
    if name == "is_root":
        literal = isinstance(node.right, n.Literal) and isinstance(node.right.value, bool)
        return node.op == "" or (literal and node.op in ("==", "!="))
    words = {"status": STATUSES, "kind": KINDS}.get(name)
    return words is not None and _asks_for(node, words, world)


def _asks_for(node: n.Test, words: set[str], world: World) -> bool:
    right = node.right
    if node.op == "in" and isinstance(right, n.ListLiteral):
        return all(item.value in words for item in right.items)
    if isinstance(right, n.Key) and bound_key(right, world) is not None:
        return False
    text = right.name if isinstance(right, n.Key) else getattr(right, "value", None)
    return node.op in ("==", "!=") and isinstance(text, str) and text in words


# -- reading ---------------------------------------------------------------------------------------


def _property(span: Place, name: str) -> Any:
    if span is UNSEEN:
        return Lost("still_open")
    if isinstance(span, Event):
        return span.name
    assert isinstance(span, Span)
    if name == "service":
        return _kept(span.resource_attribute("service.name"))
    if name == "duration":
        return span.end_ns - span.start_ns
    if name == "start":
        return span.start_ns
    if name == "is_root":
        return not any(span.parent_span_id)
    return getattr(span, name)


def _attribute(place: Place, scope: str, key: str) -> Any:
    if isinstance(place, Unseen):
        return Lost("still_open")
    if isinstance(place, Event | Link):
        return _kept(place.attribute(key))
    if scope == "resource":
        return _kept(place.resource_attribute(key))
    if scope == "scope":
        return _kept(place.scope_attribute(key))
    value = place.span_attribute(key)
    return _kept(place.resource_attribute(key) if value is MISSING and scope == "" else value)


def _kept(value: Any) -> Any:
    return Lost("redacted") if value is GONE else value


def _of_trace(word: str, world: World) -> Any:
    """Return one of the trace's four values; while the trace is open, none is known."""
    if not world.complete:
        return Lost("still_open")
    if word == "trace.spans":
        return len(world.spans)
    if word == "trace.duration":
        if not world.spans:
            return MISSING
        return max(s.end_ns for s in world.spans) - min(s.start_ns for s in world.spans)
    if world.root is None:
        return MISSING
    return world.root.name if word == "trace.root.name" else _property(world.root, "service")


def value_of(key: n.Key, span: Span) -> Any:
    """Return what an aggregate reads off a span: times and texts of its own, else an attribute."""
    if _plain(key) and key.name in TEXTS | TIMES:
        return _property(span, key.name)
    return _attribute(span, key.scope, key.name)
