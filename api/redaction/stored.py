"""Policies on record: versions that only get more, the defaults where there is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from api.database import Connection, queries
from udfs.redaction.policy import Policy
from udfs.redaction.policy_json import policy_form, read_policy


class PolicyUnreadable(Exception):
    """A policy on record is none for this release; nothing is guessed in its place."""


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """A policy and where it comes from. version: 0: the defaults, which nobody wrote.

    author, acting, created_at: as on the audit log; empty and None for the defaults.
    """

    policy: Policy
    version: int = 0
    author: str = ""
    acting: str = ""
    created_at: datetime | None = None

    @property
    def etag(self) -> str:
        """The version as an entity tag."""
        return f'"{self.version}"'

    @property
    def form(self) -> dict[str, Any]:
        """The policy as JSON values, without its version."""
        return form_of(self.policy)

    @property
    def content(self) -> str:
        """What two policies have in common that do the same."""
        return json.dumps(self.form)  # the order of keys is part of it: the first that fits holds

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of redaction_policies. Raises PolicyUnreadable."""
        policy = read_policy({**row["form"], "version": row["version"]})
        if isinstance(policy, list):
            raise PolicyUnreadable(f"version {row['version']}: {policy[0].at} {policy[0].message}")
        return cls(policy, row["version"], row["author"], row["acting"], row["created_at"])


DEFAULT: Final = StoredPolicy(Policy())


def form_of(policy: Policy) -> dict[str, Any]:
    """Return a policy as JSON values, without a version."""
    form = policy_form(policy)
    del form["version"]
    return form


async def current_policy(connection: Connection) -> StoredPolicy:
    """Return the policy that holds for the tenant of a transaction. Raises PolicyUnreadable."""
    row = await queries("redaction").policy(connection, version=None)
    return StoredPolicy.from_row(row) if row else DEFAULT
