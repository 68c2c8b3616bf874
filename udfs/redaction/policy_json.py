"""Policies as JSON, and everything that may be wrong with one.

    {"format": 1, "version": 7,
     "strategies": {"email": "tokenize", "ip_address": "allow"},
     "keys": {"customer.id": "hash", "debug.*": "remove"},
     "exempt": ["order.reference"],
     "custom": [{"name": "badge", "pattern": "EMP-[0-9]{6}", "strategy": "mask"}],
     "allow_list": {"keys": ["http.*", "order.id"], "otherwise": "remove"},
     "semantic_conventions": true}

Only `format` is required.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import re2

from udfs.redaction import kinds
from udfs.redaction.patterns import unconditional
from udfs.redaction.policy import AllowList, CustomDetector, Policy
from udfs.redaction.searching import options
from udfs.redaction.strategies import Strategy

FORMAT: Final = 1
MAX_CUSTOM: Final = 20
MAX_PATTERN_CHARACTERS: Final = 500
MAX_PATTERN_PROGRAM: Final = 2_000
"""Instructions of a compiled pattern: `(a{100}){100}` is short to write."""
MAX_KEYS: Final = 1_000
MAX_KEY_CHARACTERS: Final = 256
T = TypeVar("T")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_FIELDS = {
    "format",
    "version",
    "strategies",
    "keys",
    "exempt",
    "custom",
    "allow_list",
    "semantic_conventions",
}
_STRATEGIES = ", ".join(Strategy)


@dataclass(frozen=True, slots=True)
class PolicyProblem:
    """One thing wrong with a policy. at: where, as in `custom[0].pattern`."""

    code: str
    at: str
    message: str


def read_policy(form: object) -> Policy | list[PolicyProblem]:
    """Return the policy that parsed JSON describes, or all that is wrong with it."""
    reading = _Reading()
    policy = reading.policy(form)
    return reading.problems or policy


def policy_form(policy: Policy) -> dict[str, Any]:
    """Return a policy as JSON values; `read_policy` reads the same policy from them."""
    allow_list = policy.allow_list
    return {
        "format": FORMAT,
        "version": policy.version,
        "strategies": {kind: str(strategy) for kind, strategy in policy.strategies.items()},
        "keys": {key: str(strategy) for key, strategy in policy.keys.items()},
        "custom": [
            {"name": custom.name, "pattern": custom.pattern, "strategy": str(custom.strategy)}
            for custom in policy.custom
        ],
        "allow_list": allow_list
        and {"keys": list(allow_list.keys), "otherwise": str(allow_list.otherwise)},
        "semantic_conventions": policy.conventions,
    }


class _Reading:
    """One reading of a form; gathers problems and goes on."""

    def __init__(self) -> None:
        self.problems: list[PolicyProblem] = []

    def policy(self, form: object) -> Policy:
        fields = self._mapping(form, "policy")
        for name in sorted(set(fields) - _FIELDS):
            self._problem("unknown_field", name, f"there is no such field: take {_listed(_FIELDS)}")
        if fields and fields.get("format") != FORMAT:
            self._problem("format", "format", f"must be {FORMAT}, the only format there is")
        keys = self._strategies(fields.get("keys", {}), "keys", self._key)
        exempt = self._keys(fields.get("exempt", []), "exempt")
        return Policy(
            version=self._typed(fields.get("version", 0), int, 0, "version", "a whole number"),
            strategies=self._strategies(fields.get("strategies", {}), "strategies", self._kind),
            keys={**keys, **dict.fromkeys(exempt, Strategy.ALLOW)},
            custom=self._customs(fields.get("custom", [])),
            allow_list=self._allow_list(fields.get("allow_list")),
            conventions=self._typed(
                fields.get("semantic_conventions", True),
                bool,
                True,
                "semantic_conventions",
                "true or false",
            ),
        )

    def _strategies(
        self, form: object, at: str, check: Callable[[str, str], None]
    ) -> dict[str, Strategy]:
        read: dict[str, Strategy] = {}
        mapping = self._mapping(form, at)
        if len(mapping) > MAX_KEYS:
            self._problem("too_many", at, f"has {len(mapping)} entries; at most {MAX_KEYS}")
            return read
        for name, value in mapping.items():
            check(name, f"{at}.{name}")
            strategy = self._strategy(value, f"{at}.{name}")
            if strategy is not None:
                read[name] = strategy
        return read

    def _strategy(self, value: object, at: str) -> Strategy | None:
        if isinstance(value, str) and value in set(Strategy):
            return Strategy(value)
        self._problem("strategy", at, f"{value!r} is no strategy: take one of {_STRATEGIES}")
        return None

    def _kind(self, kind: str, at: str) -> None:
        if kind not in kinds.BY_WEIGHT:
            known = ", ".join(kinds.BY_WEIGHT)
            self._problem("kind", at, f"{kind!r} is not looked for: take one of {known}")

    def _key(self, key: object, at: str) -> None:
        if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY_CHARACTERS:
            self._problem("key", at, f"a key is a text of 1 to {MAX_KEY_CHARACTERS} characters")
        elif "*" in key.removesuffix(".*"):
            self._problem("key", at, f"{key!r}: a star is only taken at the end, as in `debug.*`")

    def _keys(self, form: object, at: str) -> list[str]:
        if not isinstance(form, list) or len(form) > MAX_KEYS:
            self._problem("keys", at, f"must be a list of at most {MAX_KEYS} keys")
            return []
        for number, key in enumerate(form):
            self._key(key, f"{at}[{number}]")
        return [key for key in form if isinstance(key, str)]

    def _customs(self, form: object) -> tuple[CustomDetector, ...]:
        if not isinstance(form, list) or len(form) > MAX_CUSTOM:
            self._problem("too_many", "custom", f"must be a list of at most {MAX_CUSTOM} patterns")
            return ()
        read = [self._custom(entry, f"custom[{number}]") for number, entry in enumerate(form)]
        customs = tuple(custom for custom in read if custom is not None)
        names = [custom.name for custom in customs]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self._problem("name_taken", "custom", f"two patterns are named {name!r}")
        return customs

    def _custom(self, form: object, at: str) -> CustomDetector | None:
        fields = self._mapping(form, at)
        before = len(self.problems)
        for field in sorted(set(fields) - {"name", "pattern", "strategy"}):
            self._problem("unknown_field", f"{at}.{field}", "take name, pattern and strategy")
        name, pattern = fields.get("name"), fields.get("pattern")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            message = "is 1 to 40 lower-case letters, digits and _, beginning with a letter"
            self._problem("name", f"{at}.name", message)
        strategy = self._strategy(fields.get("strategy"), f"{at}.strategy")
        if isinstance(pattern, str):
            self._pattern(pattern, f"{at}.pattern")
        else:
            self._problem("pattern", f"{at}.pattern", "must be a text, in the syntax of RE2")
        if len(self.problems) > before or strategy is None:
            return None
        return CustomDetector(str(name), str(pattern), strategy)

    def _pattern(self, pattern: str, at: str) -> None:
        if len(pattern) > MAX_PATTERN_CHARACTERS:
            self._problem(
                "pattern_too_long",
                at,
                f"has {len(pattern)} characters; at most {MAX_PATTERN_CHARACTERS}",
            )
            return
        try:
            compiled = re2.compile(pattern.encode(), options=options(is_latin1=False))
            re2.compile(unconditional(pattern).encode(), options=options(is_latin1=False))
        except re2.error as error:
            reason = error.args[0] if error.args else error
            text = reason.decode() if isinstance(reason, bytes) else str(reason)
            self._problem("pattern", at, f"is no pattern of RE2: {text}")
            return
        if compiled.programsize > MAX_PATTERN_PROGRAM:
            self._problem("pattern_too_large", at, "repeats too much: take smaller {counts}")
        elif compiled.search(b"") is not None:
            self._problem("pattern_empty", at, "finds the empty text, which is everywhere")

    def _allow_list(self, form: object) -> AllowList | None:
        if form is None:
            return None
        fields = self._mapping(form, "allow_list")
        for name in sorted(set(fields) - {"keys", "otherwise"}):
            self._problem("unknown_field", f"allow_list.{name}", "take keys and otherwise")
        keys = self._keys(fields.get("keys", []), "allow_list.keys")
        strategy = self._strategy(fields.get("otherwise", "remove"), "allow_list.otherwise")
        return AllowList(tuple(keys), strategy or Strategy.REMOVE)

    def _mapping(self, form: object, at: str) -> Mapping[str, object]:
        if isinstance(form, dict) and all(isinstance(name, str) for name in form):
            return form
        self._problem("not_an_object", at, "must be a JSON object")
        return {}

    def _typed(self, value: object, wanted: type[T], default: T, at: str, what: str) -> T:
        if type(value) is wanted:
            return value
        self._problem("type", at, f"must be {what}")
        return default

    def _problem(self, code: str, at: str, message: str) -> None:
        self.problems.append(PolicyProblem(f"redaction.{code}", at, message))


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))
