"""Why a signal of a rule over many traces was raised: told by the language from what it carries."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import inf
from typing import Any

import dsl
from dsl.many.episodes import Episode
from dsl.many.expectation import Overdue, Sighting
from dsl.many.explain import explain_episode, explain_overdue
from dsl.many.having import Found
from dsl.many.keys import field_name
from dsl.many.members import Member


def explanation_of(rule_text: str, seen: Mapping[str, Any], *, judged_ns: int) -> dict[str, Any]:
    """Return the explanation as JSON: that of a suite, for this one signal.

    seen: as the worker stores it (api.worker.many). judged_ns: when it was said, by event time.
    {} if this build no longer reads the rule.
    """
    rule = dsl.check(rule_text).rule
    if isinstance(rule, dsl.CorrelateRule) and seen["kind"] == "correlate":
        return _of_correlate(rule, seen)
    if isinstance(rule, dsl.ExpectRule) and seen["kind"] == "expect":
        return _of_expect(rule, seen, judged_ns=judged_ns)
    return {}


def _of_correlate(rule: dsl.CorrelateRule, seen: Mapping[str, Any]) -> dict[str, Any]:
    members = [_member(rule, one) for one in seen["members"]]
    episode = Episode(
        trace_id=members[0].trace_id if members else "",
        occurrence=0,
        since_ns=seen["since_ns"],
        last_ns=seen["last_ns"],
        count=seen["count"],
        found=tuple(map(_found, seen["measured"])),
        certain=True,
    )
    key = tuple(seen["key"].get(field_name(reader), "") for reader in rule.plan.by)
    return explain_episode(rule, key, episode, members).to_dict()


def _member(rule: dsl.CorrelateRule, one: Mapping[str, Any]) -> Member:
    values = one["values"]
    return Member(
        id=one["signal_id"] or one["span_id"],
        time_ns=one["time_ns"],
        trace_id=one["trace_id"],
        keys=(),
        values=tuple(values.get(field_name(reader)) for reader in rule.plan.fields),
        doubtful=one["doubtful"],
        source=one["source"],
        label=one["name"],
    )


def _found(one: Mapping[str, str]) -> Found:
    least, greatest = one["least"], one["greatest"]
    if not least and not greatest:
        return None
    return Fraction(least) if least else -inf, Fraction(greatest) if greatest else inf


def _of_expect(rule: dsl.ExpectRule, seen: Mapping[str, Any], *, judged_ns: int) -> dict[str, Any]:
    overdue = Overdue(
        Sighting(seen["last_seen_ns"], seen["last_trace_id"]),
        seen["due_ns"],
        seen["until_ns"],
        seen["ended"] if seen["ended"] in ("sighted", "forgotten") else "",
        seen["seen_trace_id"],
    )
    key = next(iter(seen["key"].values()), "")
    return explain_overdue(rule, key, overdue, now_ns=judged_ns).to_dict()


def signals_of(seen: Mapping[str, Any]) -> frozenset[str]:
    """Return the ids of the signals that a signal speaks of."""
    members = seen["members"] if seen["kind"] == "correlate" else ()
    return frozenset(one["signal_id"] for one in members) - {""}


def traces_of(seen: Mapping[str, Any]) -> frozenset[str]:
    """Return the ids of the traces that a signal speaks of."""
    if seen["kind"] == "correlate":
        found = {one["trace_id"] for one in seen["members"]}
    else:
        found = {seen["last_trace_id"], seen["seen_trace_id"]}
    return frozenset(found - {""})
