"""Rules as JSON: the object of a rules file, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.rules.bulk import BULK_MAX, BulkAct
from api.rules.definitions import Validation
from api.rules.library import ShippedPack
from api.rules.model import Rule, RuleState
from api.rules.versions import REASON_MAX, Difference

RULE_TEXT: Final = """\
when   { payment.charge.where(amount > 1000) }
always { fraud.check }
never  { payment.bypass }
"""

OBJECT_EXAMPLE: Final[JsonDict] = {
    "id": "large-payments-are-checked",
    "name": "Large payments are checked for fraud",
    "severity": "high",
    "state": "active",
    "controls": ["pci-dss.6.4.2"],
    "tags": ["payments"],
    "rule": RULE_TEXT,
}

_YAML_EXAMPLE: Final = """\
id: large-payments-are-checked
name: Large payments are checked for fraud
severity: high
rule: |
  when   { payment.charge.where(amount > 1000) }
  always { fraud.check }
  never  { payment.bypass }
"""

_OBJECT_SCHEMA: Final[dict[str, Any]] = {
    "title": "RuleObject",
    "type": "object",
    "required": ["id", "rule"],
    "properties": {
        "id": {"type": "string", "description": "Stable, unique in the tenant."},
        "name": {"type": "string"},
        "description": {"type": "string"},
        "severity": {"enum": ["critical", "high", "medium", "low", "info"]},
        "state": {"enum": ["active", "shadow", "off"]},
        "controls": {"type": "array", "items": {"type": "string"}},
        "tags": {"type": "array", "items": {"type": "string"}},
        "owner": {"type": "string"},
        "runbook": {"type": "string"},
        "rule": {"type": "string", "description": "The promise, in the rule language."},
        "settle": {"type": "string", "examples": ["10s"]},
        "on_incomplete": {"enum": ["signal", "hold"]},
        "group_by": {"type": "array", "items": {"type": "string"}},
        "suppress": {
            "type": "string",
            "description": "Of a group, one signal in so long a time alerts; 1s to 7d.",
            "examples": ["15m"],
        },
        "exceptions": {"type": "array", "items": {"type": "object"}},
        "tests": {"type": "array", "items": {"type": "object"}},
    },
    "examples": [OBJECT_EXAMPLE],
}

OBJECT_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _OBJECT_SCHEMA},
            "application/yaml": {"schema": {"type": "string"}, "example": _YAML_EXAMPLE},
        },
    }
}
"""What a route that reads a rule object says of its body in OpenAPI."""

VALIDATE_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            **OBJECT_BODY["requestBody"]["content"],
            "text/plain": {"schema": {"type": "string"}, "example": RULE_TEXT},
        },
    }
}


class ProblemBody(BaseModel):
    """What is wrong with a rule, and where. Lines and columns count from 1."""

    model_config = ConfigDict(extra="allow")
    code: str = Field(examples=["rule.unknown_operator"])
    message: str
    line: int
    column: int
    end_line: int
    end_column: int
    hint: str | None = None


class ValidationBody(BaseModel):
    """Whether a rule could be saved, everything that is wrong, and everything that looks so."""

    valid: bool
    problems: list[ProblemBody]
    warnings: list[ProblemBody]

    @classmethod
    def of(cls, validation: Validation) -> Self:
        """Lay out what checking found."""
        return cls.model_validate(
            {
                "valid": validation.valid,
                "problems": validation.problems,
                "warnings": validation.warnings,
            }
        )


class RuleBody(BaseModel):
    """The rule object, and what became of this version of it.

    version: 1, 2, 3 … (the entity tag). state: `quarantined` if it ran out of its budget again and
    again; then it is not judged until it is changed or switched on again. published: whether the
    rules log has this version; false means that Kafka did not answer, and it follows by itself.
    takes_effect_at: traces that begin from then on are judged by this version. active_since: the
    same, once it is past and the rule is judged. active_everywhere_since: since when every subtask
    of the job is known to have read it. acting: who acted in the author's place, null: nobody.
    reason: why this version was made, null: nobody said. restored: the version it brings back.
    """

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    **OBJECT_EXAMPLE,
                    "version": 1,
                    "deleted": False,
                    "author": "ada@example.com",
                    "acting": None,
                    "reason": None,
                    "restored": None,
                    "created_at": "2026-11-23T21:00:00Z",
                    "updated_at": "2026-11-23T21:00:00Z",
                    "published": True,
                    "published_at": "2026-11-23T21:00:00.100Z",
                    "takes_effect_at": "2026-11-23T21:00:05.100Z",
                    "active_since": None,
                    "active_everywhere_since": None,
                }
            ]
        },
    )
    id: str
    rule: str
    state: RuleState
    version: int
    deleted: bool
    author: str
    acting: str | None
    reason: str | None
    restored: int | None
    created_at: datetime
    updated_at: datetime
    published: bool
    published_at: datetime | None
    takes_effect_at: datetime | None
    active_since: datetime | None
    active_everywhere_since: datetime | None
    warnings: list[ProblemBody] | None = None

    @classmethod
    def of(cls, rule: Rule, *, now: datetime, warnings: list[dict[str, Any]] | None = None) -> Self:
        """Lay the object and what became of it side by side. warnings: only after a save."""
        return cls.model_validate(
            {
                **rule.object,
                "id": rule.id,
                "rule": rule.text,
                "state": rule.state,
                "version": rule.version,
                "deleted": rule.deleted,
                "author": rule.author,
                "acting": rule.acting or None,
                "reason": rule.reason or None,
                "restored": rule.restored,
                "created_at": rule.created_at,
                "updated_at": rule.updated_at,
                "published": rule.published,
                "published_at": rule.published_at,
                "takes_effect_at": rule.takes_effect_at,
                "active_since": rule.active_since(now),
                "active_everywhere_since": rule.active_everywhere_since(now),
                "warnings": warnings,
            }
        )


class RuleStateBody(BaseModel):
    """The state that a rule is to be in."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"state": "active"}]})
    state: Literal["active", "shadow", "off"]


class RestoreBody(BaseModel):
    """The version to bring back, and why."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"version": 3, "reason": "Version 4 missed refunds."}]},
    )
    version: int = Field(ge=1, le=2**31 - 1)
    reason: str = Field(min_length=1, max_length=REASON_MAX, pattern=r"^[^\x00]*$")


class FieldChangeBody(BaseModel):
    """A field of the rule object in both versions; null where one has none."""

    name: str
    was: Any
    now: Any


class LineBody(BaseModel):
    """A line of the texts side by side; null where one has nothing there."""

    was: str | None
    now: str | None
    changed: bool


class DifferenceBody(BaseModel):
    """How two versions of a rule differ: the lines of their texts, and the other fields."""

    was: int
    now: int
    lines: list[LineBody]
    fields: list[FieldChangeBody]

    @classmethod
    def of(cls, difference: Difference) -> Self:
        """Lay out a difference."""
        return cls(
            was=difference.was.version,
            now=difference.now.version,
            lines=[
                LineBody(was=line.was, now=line.now, changed=line.changed)
                for line in difference.lines
            ],
            fields=[
                FieldChangeBody(name=field.name, was=field.was, now=field.now)
                for field in difference.fields
            ],
        )


RuleIds = Annotated[
    list[Annotated[str, Field(max_length=255, pattern=r"^[^\x00]*$")]],
    Field(min_length=1, max_length=BULK_MAX),
]


class BulkBody(BaseModel):
    """Rules, and what is done to all of them. A duplicate is off, and called a copy."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"ids": ["large-payments-are-checked"], "act": "shadow"}]},
    )
    ids: RuleIds
    act: BulkAct


class BulkDoneBody(BaseModel):
    """Ids of the rules that are another now, or new, and of those that were so already."""

    changed: list[str]
    unchanged: list[str]


class ShippedPackBody(BaseModel):
    """A pack of shipped rules, as rule objects with their tests."""

    id: str
    title: str
    description: str
    rules: list[dict[str, Any]]


class LibraryBody(BaseModel):
    """Every pack."""

    packs: list[ShippedPackBody]

    @classmethod
    def of(cls, packs: tuple[ShippedPack, ...]) -> Self:
        """Lay out the packs."""
        return cls(
            packs=[
                ShippedPackBody(
                    id=pack.id,
                    title=pack.title,
                    description=pack.description,
                    rules=[one.rule.to_dict() for one in pack.rules],
                )
                for pack in packs
            ]
        )


class TakeBody(BaseModel):
    """Shipped rules, and the state that they begin in."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"ids": ["security-weak-tls"], "state": "shadow"}]},
    )
    ids: RuleIds
    state: Literal["active", "shadow", "off"] = "shadow"


class TakenBody(BaseModel):
    """Ids of the rules that are new, and of those that were there and stayed as they were."""

    taken: list[str]
    there: list[str]


class ForgetBody(BaseModel):
    """The key of an `expect`, as its signals show it; empty for a rule without `by`."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"key": "host-17.example"}]}
    )
    key: str = Field("", max_length=4_096, pattern=r"^[^\x00]*$")


class ForgottenBody(BaseModel):
    """A key of which nothing is expected from a few seconds on, until it is seen again.

    published: whether the rules log has it; false means that Kafka did not answer, and it follows
    by itself.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"rule_id": "hosts-report", "key": "host-17.example", "published": True}]
        }
    )
    rule_id: str
    key: str
    published: bool


class RulePageBody(BaseModel):
    """A page of rules by id."""

    items: list[RuleBody]
    next_cursor: str | None


class RuleVersionsBody(BaseModel):
    """Every version of a rule, newest first."""

    items: list[RuleBody]
    next_cursor: Literal[None] = None
