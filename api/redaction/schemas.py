"""Policies of redaction as JSON, and what they do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.redaction.counting import Counted
from api.redaction.service import Looked, Revealed, Suggested
from api.redaction.stored import StoredPolicy
from api.redaction.wanted import Changed, RuleInDoubt
from udfs.redaction import kinds
from udfs.redaction.policy import DEFAULT_STRATEGIES
from udfs.redaction.policy_json import (
    FORMAT,
    MAX_CUSTOM,
    MAX_KEY_CHARACTERS,
    MAX_KEYS,
    MAX_PATTERN_CHARACTERS,
)
from udfs.redaction.strategies import Strategy

_STRATEGY: Final[dict[str, Any]] = {"enum": [strategy.value for strategy in Strategy]}
_KEY: Final[dict[str, Any]] = {"type": "string", "minLength": 1, "maxLength": MAX_KEY_CHARACTERS}
_KEY_LIST: Final[dict[str, Any]] = {"type": "array", "maxItems": MAX_KEYS, "items": _KEY}
POLICY_EXAMPLE: Final[JsonDict] = {
    "format": FORMAT,
    "strategies": {"email": "tokenize", "ip_address": "allow"},
    "keys": {"customer.id": "hash", "debug.*": "remove"},
    "exempt": ["order.reference"],
    "custom": [{"name": "badge", "pattern": "EMP-[0-9]{6}", "strategy": "mask"}],
    "allow_list": None,
    "semantic_conventions": True,
}
POLICY_SCHEMA: Final[dict[str, Any]] = {
    "title": "RedactionPolicy",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "format": {"const": FORMAT},
        "version": {"type": "integer", "description": "Is not looked at: it is counted here."},
        "strategies": {
            "type": "object",
            "description": "By kind of what is found, where it is not to be as usual.",
            "propertyNames": {"enum": list(kinds.BY_WEIGHT)},
            "additionalProperties": _STRATEGY,
        },
        "keys": {
            "type": "object",
            "description": "By key of an attribute, or `beginning.*`; the first that fits decides.",
            "maxProperties": MAX_KEYS,
            "additionalProperties": _STRATEGY,
        },
        "exempt": {**_KEY_LIST, "description": "Keys of attributes that are not looked at."},
        "custom": {
            "type": "array",
            "maxItems": MAX_CUSTOM,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "pattern", "strategy"],
                "properties": {
                    "name": {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,39}$"},
                    "pattern": {
                        "type": "string",
                        "maxLength": MAX_PATTERN_CHARACTERS,
                        "description": "In the syntax of RE2.",
                    },
                    "strategy": _STRATEGY,
                },
            },
        },
        "allow_list": {
            "type": ["object", "null"],
            "description": "Only these keys pass; all others get a strategy.",
            "additionalProperties": False,
            "required": ["keys"],
            "properties": {"keys": _KEY_LIST, "otherwise": _STRATEGY},
        },
        "semantic_conventions": {"type": "boolean"},
    },
}
POLICY_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": POLICY_SCHEMA, "example": POLICY_EXAMPLE}},
    }
}


class PolicyBody(BaseModel):
    """A version of the policy. version: 0: the defaults, which nobody wrote.

    defaults: what becomes of each kind that `strategies` does not name.
    """

    version: int
    policy: dict[str, Any] = Field(json_schema_extra=POLICY_SCHEMA)
    author: str
    acting: str
    created_at: datetime | None
    defaults: dict[str, Strategy]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "version": 3,
                    "policy": POLICY_EXAMPLE,
                    "author": "user:4f0c2a0e-6b0f-4d6c-9a3e-0e6f5f6f7d11",
                    "acting": "",
                    "created_at": "2026-11-26T10:12:00Z",
                    "defaults": {"email": "hash"},
                }
            ]
        }
    )

    @classmethod
    def of(cls, stored: StoredPolicy) -> Self:
        """Return a version as JSON."""
        return cls(
            version=stored.version,
            policy=stored.form,
            author=stored.author,
            acting=stored.acting,
            created_at=stored.created_at,
            defaults=dict(DEFAULT_STRATEGIES),
        )


class RuleInDoubtBody(BaseModel):
    """A rule that asks for what the policy takes away, with what is to be said of its text."""

    rule: str
    problems: list[dict[str, Any]]

    @classmethod
    def of(cls, rule: RuleInDoubt) -> Self:
        """Return it as JSON."""
        return cls(rule=rule.id, problems=[problem.to_dict() for problem in rule.problems])


class ChangedPolicyBody(PolicyBody):
    """The policy that holds now. published: rules that are judged by other literals for it."""

    published: list[str]
    rules_in_doubt: list[RuleInDoubtBody]

    @classmethod
    def of_change(cls, changed: Changed) -> Self:
        """Return what a change did as JSON."""
        return cls(
            **dict(PolicyBody.of(changed.stored)),
            published=list(changed.published),
            rules_in_doubt=[RuleInDoubtBody.of(rule) for rule in changed.in_doubt],
        )


class PolicyVersionsBody(BaseModel):
    """Versions, newest first. next_before: where older ones begin, None: there are none."""

    items: list[PolicyBody]
    next_before: int | None


class FoundBody(BaseModel):
    """What is found in one place. path: key of an attribute, or a field such as `span.name`.

    samples: a few different values, under a mask.
    """

    kind: str
    path: str
    count: int
    strategy: Strategy
    samples: list[str]


class PreviewBody(BaseModel):
    """What a policy would do to the traces that were stored last, which stay as they are.

    Those are redacted by the policy of their time: what it took out is not found any more.
    """

    traces: int
    spans: int
    changed: int
    failures: int
    by_kind: dict[str, int]
    found: list[FoundBody]
    rules_in_doubt: list[RuleInDoubtBody]

    @classmethod
    def of(cls, looked: Looked, rules: Sequence[RuleInDoubt]) -> Self:
        """Return it as JSON."""
        counts = looked.found.counts
        return cls(
            traces=looked.recent.traces,
            spans=looked.recent.spans,
            changed=counts.spans,
            failures=counts.failures,
            by_kind=dict(counts.by_kind),
            found=[
                FoundBody(
                    kind=row.kind,
                    path=row.path,
                    count=row.count,
                    strategy=row.strategy,
                    samples=list(row.samples),
                )
                for row in looked.found.rows
            ],
            rules_in_doubt=[RuleInDoubtBody.of(rule) for rule in rules],
        )


class SuggestionBody(BaseModel):
    """A key that the policy ought to name. because: of its `name`, or of its `values`.

    seen: values of the key; found: those with something in them, of a kind. sample: masked.
    """

    key: str
    because: str
    strategy: Strategy
    seen: int
    found: int
    kind: str
    sample: str


class SuggestionsBody(BaseModel):
    """Guesses by the traces that were stored last, for a person to look at."""

    traces: int
    spans: int
    items: list[SuggestionBody]

    @classmethod
    def of(cls, suggested: Suggested) -> Self:
        """Return them as JSON."""
        return cls(
            traces=suggested.recent.traces,
            spans=suggested.recent.spans,
            items=[
                SuggestionBody(
                    key=one.key,
                    because=one.because.value,
                    strategy=one.strategy,
                    seen=one.seen,
                    found=one.found,
                    kind=one.kind,
                    sample=one.sample,
                )
                for one in suggested.suggestions
            ],
        )


class CountsBody(BaseModel):
    """What was taken out of spans at the door in some days (UTC), both inclusive.

    by_kind: values, by what they were. by_version: values, by version of the policy. values: all of
    them. spans: spans, resources and scopes that were changed. failures: values that were removed
    because their strategy failed. unreadable: spans dropped as they do not decode. unknown_fields:
    spans with fields dropped that no schema names.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "first": "2026-10-29",
                    "last": "2026-11-27",
                    "values": 1_214,
                    "by_kind": {"password": 2, "email": 1_212},
                    "by_version": {"0": 2, "1": 1_212},
                    "spans": 1_104,
                    "failures": 0,
                    "unreadable": 0,
                    "unknown_fields": 0,
                }
            ]
        }
    )
    first: date
    last: date
    values: int
    by_kind: dict[str, int]
    by_version: dict[int, int]
    spans: int
    failures: int
    unreadable: int
    unknown_fields: int

    @classmethod
    def of(cls, counted: Counted) -> Self:
        """Return it as JSON."""
        return cls(
            first=counted.first,
            last=counted.last,
            values=counted.values,
            by_kind=counted.by_kind,
            by_version=counted.by_version,
            spans=counted.spans,
            failures=counted.failures,
            unreadable=counted.unreadable,
            unknown_fields=counted.unknown_fields,
        )


class RevealBody(BaseModel):
    """A value as it stands in a span: tok:KEY:… or enc:KEY:…."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "token": "tok:3f9e7d5c-8a35-4a3e-9b7e-2d1c6a5b4f30:"
                    "0123456789abcdef0123456789abcdef"
                }
            ]
        },
    )
    token: str = Field(max_length=1_000_000)


class RevealedBody(BaseModel):
    """What stood there. revoked: its key was, so that a thief may have written it as well."""

    value: str
    revoked: bool

    @classmethod
    def of(cls, revealed: Revealed) -> Self:
        """Return it as JSON."""
        return cls(value=revealed.value, revoked=revealed.revoked)
