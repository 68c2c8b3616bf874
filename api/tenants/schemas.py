"""A tenant as JSON."""

from __future__ import annotations

from typing import Annotated, Any, Final, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator
from pydantic.config import JsonDict

from api.tenants.own import NAME_LENGTH, TenantChange
from api.tenants.service import Tenant
from api.tenants.settings import OPERATORS

_LIFE: Final[JsonDict] = {
    "settle_ms": 10_000,
    "patience_ms": 60_000,
    "max_life_ms": 3_600_000,
    "lateness_ms": 600_000,
    "span_sampled": False,
    "external_roots": False,
    "clock_skew_ms": 0,
    "fold_after": 10,
    "quiet_days": 30,
}
_TENANT: Final[JsonDict] = {
    "id": "6f1f4a0e-8a57-4c0b-9d43-0f2f7c3d0a11",
    "name": "Acme",
    "settings": _LIFE,
    "limits": {"max_rules": 1_000, "max_trace_spans": 200_000},
}
_NULLABLE: Final = frozenset({"fold_after", "quiet_days"})
Milliseconds = Annotated[int | None, Field(ge=0)]


class LifeBody(BaseModel):
    """How traces are judged; what is not sent stays as it is.

    settle_ms: a trace is judged once it has been quiet for so long. patience_ms: so long it waits
    for a root or a parent. max_life_ms: and then in any case. lateness_ms: for so long after that
    spans still correct a verdict. span_sampled: spans are sampled one by one. external_roots:
    traces begin outside. clock_skew_ms: by how much clocks differ. fold_after: whole signals of a
    rule, lane and minute; more are counted; null: never. quiet_days: after so many days without
    evidence of a control there is a notice; null: never.
    """

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_LIFE]})
    settle_ms: Milliseconds = None
    patience_ms: Milliseconds = None
    max_life_ms: Milliseconds = None
    lateness_ms: Milliseconds = None
    span_sampled: bool | None = None
    external_roots: bool | None = None
    clock_skew_ms: Milliseconds = None
    fold_after: int | None = None
    quiet_days: int | None = None

    def changes(self) -> dict[str, Any]:
        """Return what was sent; null says something for two of them alone."""
        sent = self.model_dump(exclude_unset=True)
        return {k: v for k, v in sent.items() if v is not None or k in _NULLABLE}


class TenantChangeBody(BaseModel):
    """What is to be other than it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "Acme", "settings": {"settle_ms": 5_000}}]},
    )
    name: str | None = Field(default=None, max_length=NAME_LENGTH)
    settings: LifeBody = LifeBody()
    _change: TenantChange = PrivateAttr()

    @model_validator(mode="after")
    def _as_change(self) -> Self:
        name = self.name if self.name is None else self.name.strip()
        self._change = TenantChange(display_name=name, settings=self.settings.changes())
        return self

    @property
    def change(self) -> TenantChange:
        """The change."""
        return self._change


class TenantBody(BaseModel):
    """The tenant. limits: what its operator sets."""

    model_config = ConfigDict(json_schema_extra={"examples": [_TENANT]})
    id: UUID
    name: str
    settings: dict[str, int | bool | None]
    limits: dict[str, int | None]

    @classmethod
    def of(cls, tenant: Tenant) -> Self:
        """Return a tenant as JSON."""
        values = tenant.settings.to_dict()
        return cls(
            id=tenant.id,
            name=tenant.title,
            settings={name: value for name, value in values.items() if name not in OPERATORS},
            limits={name: values[name] for name in sorted(OPERATORS)},
        )
