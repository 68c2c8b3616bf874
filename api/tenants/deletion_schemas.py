"""The deletion of a tenant as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from api.retention.terms import HoldBy
from api.tenants.deletion import Deletion


class DeletionAskBody(BaseModel):
    """name: of the tenant, as it is written, to say that this one is meant."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "Acme"}]})
    name: str = Field(min_length=1, max_length=255)


class DeletionBody(BaseModel):
    """Whether the tenant is to be deleted.

    due_at: when all of it goes, null: it is kept. asked_by: as in the audit log. hold: who lets
    nothing of it be deleted, so that it waits; null: nobody.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "due_at": "2026-12-27T10:00:00Z",
                    "asked_at": "2026-11-27T10:00:00Z",
                    "asked_by": "user:6f1f4a0e-8a57-4c0b-9d43-0f2f7c3d0a11",
                    "hold": None,
                }
            ]
        }
    )
    due_at: datetime | None
    asked_at: datetime | None
    asked_by: str | None
    hold: HoldBy | None

    @classmethod
    def of(cls, deletion: Deletion) -> Self:
        """Return it as JSON."""
        return cls(
            due_at=deletion.due_at,
            asked_at=deletion.asked_at,
            asked_by=deletion.asked_by,
            hold=deletion.held_by,
        )
