"""The rules that a new tenant begins with: few, of the library, and true of most systems.

They read nothing but names of OpenTelemetry's conventions, so that they judge what instrumentation
sends already, and none waits for a span that nobody may ever send.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from api.rules.definitions import Definition, define
from dsl.library import pack

FIRST: Final = "security-credential-in-url"
"""What the trace of the first-run page breaks."""
_CHOSEN: Final = (
    ("security", FIRST),
    ("security", "security-weak-tls"),
    ("reliability", "reliability-missing-timeout"),
    ("reliability", "reliability-n-plus-one"),
    ("reliability", "reliability-unbounded-delete"),
    ("reliability", "reliability-error-swallowed"),
)


@cache
def starter_rules() -> tuple[Definition, ...]:
    """Return the rules, checked, in the order in which they are shown."""
    packs = {pack_id: pack(pack_id) for pack_id, _ in _CHOSEN}
    rules = {(pack_id, rule.id): rule for pack_id, each in packs.items() for rule in each.rules}
    return tuple(define(rules[chosen]) for chosen in _CHOSEN)
