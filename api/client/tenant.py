"""The tenant itself, what it uses, for how long it keeps things, and what is taken out of spans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from api.client.connection import Connection
from api.health.routes import ConditionBody
from api.redaction.schemas import (
    ChangedPolicyBody,
    CountsBody,
    PolicyBody,
    PolicyVersionsBody,
    PreviewBody,
    RevealedBody,
    SuggestionsBody,
)
from api.retention.schemas import RetentionBody, RetentionChangeBody
from api.tenants.deletion_schemas import DeletionBody
from api.tenants.schemas import TenantBody, TenantChangeBody
from api.usage.routes import UsageBody


@dataclass(frozen=True, slots=True)
class Tenant:
    """The tenant that the key belongs to."""

    _to: Connection

    def get(self) -> TenantBody:
        """Return its name, settings and limits."""
        return self._to.ask("GET", "/tenant", TenantBody)

    def change(self, change: TenantChangeBody) -> TenantBody:
        """Change its name or settings."""
        return self._to.ask("PATCH", "/tenant", TenantBody, body=change)

    def usage(self, month: str | None = None) -> UsageBody:
        """Return the spans of a month, as `2026-11`, and what the tenant may have."""
        return self._to.ask("GET", "/usage", UsageBody, query={"month": month})

    def condition(self) -> ConditionBody:
        """Return whether BeTrace is up to its work, and what is the matter if not."""
        return self._to.ask("GET", "/condition", ConditionBody)

    def retention(self) -> RetentionBody:
        """Return for how long what is kept."""
        return self._to.ask("GET", "/tenant/retention", RetentionBody)

    def keep_for(self, change: RetentionChangeBody) -> RetentionBody:
        """Choose for how long what is kept, within the bounds of the operator."""
        return self._to.ask("PUT", "/tenant/retention", RetentionBody, body=change, harmless=True)

    def hold(self) -> RetentionBody:
        """Let nothing be deleted until that is lifted."""
        return self._to.ask("PUT", "/tenant/hold", RetentionBody, harmless=True)

    def lift_hold(self) -> RetentionBody:
        """Let things be deleted by their age again."""
        return self._to.ask("DELETE", "/tenant/hold", RetentionBody, harmless=True)

    def export(self, into: BinaryIO) -> int:
        """Write all that the tenant has into a ZIP archive; return its bytes. It is recorded."""
        return self._to.save("GET", "/tenant/export", into)

    def deletion(self) -> DeletionBody:
        """Return whether, and when, the tenant is to be deleted."""
        return self._to.ask("GET", "/tenant/deletion", DeletionBody)


@dataclass(frozen=True, slots=True)
class Redaction:
    """The tenant's policy of redaction."""

    _to: Connection

    def get(self) -> PolicyBody:
        """Return the policy."""
        return self._to.ask("GET", "/tenant/redaction", PolicyBody)

    def save(
        self, policy: Mapping[str, Any], *, if_version: int | None = None
    ) -> ChangedPolicyBody:
        """Let another policy be in force. if_version: the one that is to be changed, 0: none."""
        return self._to.ask(
            "PUT", "/tenant/redaction", ChangedPolicyBody, body=policy, if_version=if_version
        )

    def versions(self, *, before: int | None = None) -> Iterator[PolicyBody]:
        """Yield the versions of the policy, newest first. before: with a smaller number."""
        while True:
            found = self._to.ask(
                "GET", "/tenant/redaction/versions", PolicyVersionsBody, query={"before": before}
            )
            yield from found.items
            before = found.next_before
            if before is None:
                return

    def counts(self, *, days: int = 30) -> CountsBody:
        """Return how much was taken out of spans, and of what kinds."""
        return self._to.ask("GET", "/tenant/redaction/counts", CountsBody, query={"days": days})

    def preview(self, policy: Mapping[str, Any]) -> PreviewBody:
        """Return what a policy would take out of the traces that were stored last."""
        return self._to.ask(
            "POST", "/tenant/redaction/preview", PreviewBody, body=policy, harmless=True
        )

    def suggestions(self) -> SuggestionsBody:
        """Return what stored traces hold that a policy might take out."""
        return self._to.ask("GET", "/tenant/redaction/suggestions", SuggestionsBody)

    def reveal(self, token: str) -> RevealedBody:
        """Return what a token or an encrypted value stands for. It is recorded."""
        return self._to.ask("POST", "/tenant/redaction/reveal", RevealedBody, body={"token": token})
