"""What a policy says of each attribute and each kind, worked out once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import re2

from udfs.redaction import conventions, keys, kinds
from udfs.redaction.accounts import ACCOUNTS
from udfs.redaction.contacts import CONTACTS
from udfs.redaction.credentials import CREDENTIALS
from udfs.redaction.detectors import KEY_START, Detector
from udfs.redaction.machines import MACHINES
from udfs.redaction.national_ids import NATIONAL_IDS
from udfs.redaction.patterns import unconditional
from udfs.redaction.policy import Policy, matches
from udfs.redaction.scanner import ANY_TEXT, CustomPattern, Scanner, Within
from udfs.redaction.strategies import Strategy

DETECTORS: Final[tuple[Detector, ...]] = (
    *CREDENTIALS,
    *CONTACTS,
    *ACCOUNTS,
    *MACHINES,
    *NATIONAL_IDS,
    *conventions.DATABASE,
)
_MAX_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Ruling:
    """What holds for the values of an attribute.

    whole: the strategy for all of every value, which then is of that kind; None: detectors decide.
    even_switches: whether booleans are values, too (where a policy names the key).
    within: what detectors must know. untouched: nothing is looked at.
    """

    whole: Strategy | None = None
    kind: str = kinds.CHOSEN
    even_switches: bool = False
    within: Within = ANY_TEXT
    untouched: bool = False

    @property
    def of_items(self) -> Ruling:
        """What holds for the items of an array: a detector of one key looks at its text alone."""
        return replace(self, within=replace(self.within, key="")) if self.within.key else self


AS_TEXT: Final = Ruling()
"""For what is no attribute: names, messages, states."""


class Rulings:
    """Asks a policy, and remembers what it said of a key."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._remembered: dict[tuple[str, str, str], Ruling] = {}
        self._strategies = {kind: policy.strategy_of(kind) for kind in policy.weights()}

    def strategy_of(self, kind: str) -> Strategy:
        """Return the strategy for a kind that was found."""
        return self._strategies[kind]

    def of(self, key: str, *, path: str, parent: str = "") -> Ruling:
        """Return what holds for an attribute.

        path: its key behind those of the maps around it, joined by dots. parent: the last of these.
        """
        asked = (key, path, parent)
        ruling = self._remembered.get(asked)
        if ruling is None:
            if len(self._remembered) >= _MAX_REMEMBERED:
                self._remembered.clear()
            ruling = self._remembered[asked] = self._found(key, path, parent)
        return ruling

    def _found(self, key: str, path: str, parent: str) -> Ruling:
        policy = self._policy
        told = self._told_by(key, parent)
        for pattern, strategy in policy.keys.items():
            if matches(pattern, path):
                if strategy is Strategy.ALLOW:
                    return Ruling(untouched=True)
                return Ruling(strategy, told or kinds.CHOSEN, even_switches=True)
        allowed = policy.allow_list
        if (
            allowed
            and allowed.otherwise is not Strategy.ALLOW
            and not any(matches(pattern, path) for pattern in allowed.keys)
        ):
            return Ruling(allowed.otherwise, told or kinds.CHOSEN, even_switches=True)
        if told is None or self._strategies[told] is Strategy.ALLOW:
            return Ruling(within=self._within(key))
        return Ruling(self._strategies[told], told)

    def _within(self, key: str) -> Within:
        if not self._policy.conventions:
            return Within(key)
        return Within(key, conventions.spared(key), key in conventions.PATHS)

    def _told_by(self, key: str, parent: str) -> str | None:
        if self._policy.conventions:
            known, kind = conventions.meant_by(key)
            if known:
                return kind
        return keys.kind_of_key(key, parent)

    def scanner(self) -> Scanner:
        """Return the scanner for all that the policy does not allow."""
        policy = self._policy
        wanted = {k for k, strategy in self._strategies.items() if strategy is not Strategy.ALLOW}
        by_key = (*keys.GATES, *(conventions.GATES if policy.conventions else ()))
        return Scanner(
            [detector for detector in DETECTORS if detector.kind in wanted],
            key_gates=[
                *(gate for kind, gate in by_key if kind in wanted),
                *_gates_of(policy.keys),
                *([rb"\A"] if policy.allow_list else []),
            ],
            key_kinds=frozenset(wanted),
            custom=[
                CustomPattern(custom.kind, custom.pattern, unconditional(custom.pattern))
                for custom in policy.custom
                if custom.kind in wanted
            ],
            weights=policy.weights(),
        )


def _gates_of(patterns: Iterable[str]) -> Iterable[bytes]:
    """Yield what is in serialized bytes with such a key, in one piece or as maps in maps.

    Of `a.b` the last part ends a key, or is one; of `a.*` the first part begins one.
    """
    for pattern in patterns:
        if pattern.endswith(".*"):
            yield KEY_START + re2.escape(pattern[:-2].split(".")[0].encode())
        else:
            yield rb"(?:\.|" + KEY_START + rb")" + re2.escape(pattern.split(".")[-1].encode())
