"""Cases: what rules have to say of samples, and runs of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from api.cases.schemas import (
    CaseBody,
    CasesBody,
    NewCaseBody,
    RunBody,
    RunPageBody,
    RunWithResultsBody,
)
from api.client.connection import Connection


@dataclass(frozen=True, slots=True)
class Cases:
    """The cases of the tenant's rules."""

    _to: Connection

    def of_rule(self, rule_id: str) -> Sequence[CaseBody]:
        """Return what a rule has to say of which samples, with what came of it the last time."""
        return self._to.ask("GET", "/rules/{rule_id}/cases", CasesBody, rule_id=rule_id).items

    def add(self, rule_id: str, case: NewCaseBody) -> CaseBody:
        """Keep a case. Raises Conflict for a name that the rule has already."""
        return self._to.ask("POST", "/rules/{rule_id}/cases", CaseBody, body=case, rule_id=rule_id)

    def delete(self, rule_id: str, case_id: str) -> None:
        """Delete a case. What came of it stays on record."""
        self._to.do("DELETE", "/rules/{rule_id}/cases/{case_id}", rule_id=rule_id, case_id=case_id)

    def run(self, rule_id: str, *, draft: str = "") -> RunWithResultsBody:
        """Judge the cases of a rule by its current version, or by a draft of its text."""
        return self._to.ask(
            "POST",
            "/rules/{rule_id}/test-runs",
            RunWithResultsBody,
            body={"rule": draft},
            rule_id=rule_id,
        )

    def run_all(self) -> RunWithResultsBody:
        """Judge the cases of all rules by their current versions."""
        return self._to.ask("POST", "/test-runs", RunWithResultsBody)

    def runs(self, *, rule_id: str | None = None, limit: int | None = None) -> Iterator[RunBody]:
        """Yield runs, newest first: all of them, or those in which a rule had a case."""
        return self._to.pages("/test-runs", RunPageBody, limit=limit, query={"rule_id": rule_id})

    def get_run(self, run_id: str) -> RunWithResultsBody:
        """Return a run with what came of each case."""
        return self._to.ask("GET", "/test-runs/{run_id}", RunWithResultsBody, run_id=run_id)
