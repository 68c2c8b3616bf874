"""Rules by their ids: saved, switched, compared, tried without saving, and taken from the library.

A rule object is a mapping as in a file of rules, or its YAML.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from api.client.connection import Connection, given
from api.exceptions.schemas import ProofBody
from api.rules.bulk import BulkAct
from api.rules.editor_schemas import PlayedBody
from api.rules.model import RuleState
from api.rules.schemas import (
    BulkDoneBody,
    DifferenceBody,
    ForgottenBody,
    LibraryBody,
    RuleBody,
    RulePageBody,
    RuleVersionsBody,
    TakenBody,
    ValidationBody,
)
from api.rules.trial_schemas import TrialBody
from api.snoozes.schemas import SnoozeBody, SnoozeListBody

RuleObject = Mapping[str, Any] | str
ChosenState = Literal["active", "shadow", "off"]


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of the tenant."""

    _to: Connection

    def each(
        self, *, state: Sequence[RuleState] | None = None, limit: int | None = None
    ) -> Iterator[RuleBody]:
        """Yield rules by id. limit: so many at most."""
        return self._to.pages("/rules", RulePageBody, limit=limit, query={"state": state})

    def get(self, rule_id: str) -> RuleBody:
        """Return the current version of a rule."""
        return self._to.ask("GET", "/rules/{rule_id}", RuleBody, rule_id=rule_id)

    def create(self, rule: RuleObject) -> RuleBody:
        """Save a new rule. Raises Conflict if its id is taken, Invalid with all its `problems`."""
        return self._to.ask("POST", "/rules", RuleBody, body=rule)

    def save(self, rule_id: str, rule: RuleObject, *, if_version: int | None = None) -> RuleBody:
        """Save a rule under its id, new or not; the same again changes nothing.

        if_version: the one that is to be changed; Conflict if it is not the current one any more.
        """
        return self._to.ask(
            "PUT",
            "/rules/{rule_id}",
            RuleBody,
            body=rule,
            if_version=if_version,
            harmless=if_version is None,
            rule_id=rule_id,
        )

    def delete(self, rule_id: str, *, if_version: int | None = None) -> None:
        """Delete a rule. Its versions and signals stay."""
        self._to.do("DELETE", "/rules/{rule_id}", if_version=if_version, rule_id=rule_id)

    def switch(
        self, rule_id: str, state: ChosenState, *, if_version: int | None = None
    ) -> RuleBody:
        """Switch a rule on, into shadow or off; this takes it out of quarantine too."""
        return self._to.ask(
            "POST",
            "/rules/{rule_id}/state",
            RuleBody,
            body={"state": state},
            if_version=if_version,
            rule_id=rule_id,
        )

    def change_many(self, rule_ids: Sequence[str], act: BulkAct) -> BulkDoneBody:
        """Switch, delete or duplicate many rules: all of them or none."""
        return self._to.ask(
            "POST", "/rules/bulk", BulkDoneBody, body={"ids": list(rule_ids), "act": act}
        )

    def forget(self, rule_id: str, key: str = "") -> ForgottenBody:
        """Expect nothing of a key of an `expect` any more, until it is seen again."""
        return self._to.ask(
            "POST", "/rules/{rule_id}/forget", ForgottenBody, body={"key": key}, rule_id=rule_id
        )

    def versions(self, rule_id: str) -> Sequence[RuleBody]:
        """Return every version of a rule, newest first, of a deleted one too."""
        return self._to.ask(
            "GET", "/rules/{rule_id}/versions", RuleVersionsBody, rule_id=rule_id
        ).items

    def version(self, rule_id: str, version: int) -> RuleBody:
        """Return one version of a rule."""
        return self._to.ask(
            "GET",
            "/rules/{rule_id}/versions/{version}",
            RuleBody,
            rule_id=rule_id,
            version=version,
        )

    def difference(self, rule_id: str, *, was: int, now: int) -> DifferenceBody:
        """Tell how two versions of a rule differ."""
        return self._to.ask(
            "GET",
            "/rules/{rule_id}/difference",
            DifferenceBody,
            query={"was": was, "now": now},
            rule_id=rule_id,
        )

    def restore(
        self, rule_id: str, *, version: int, reason: str, if_version: int | None = None
    ) -> RuleBody:
        """Bring back an earlier version as a new one. if_version: the one that is to be changed."""
        return self._to.ask(
            "POST",
            "/rules/{rule_id}/restore",
            RuleBody,
            body={"version": version, "reason": reason},
            if_version=if_version,
            rule_id=rule_id,
        )

    def try_exception(
        self, rule_id: str, where: str, *, until: str = "", signal_id: str = ""
    ) -> ProofBody:
        """Tell what an exception would silence. signal_id: for which it is made."""
        return self._to.ask(
            "POST",
            "/rules/{rule_id}/exceptions/trial",
            ProofBody,
            body={"where": where, "until": until, "signal_id": signal_id},
            harmless=True,
            rule_id=rule_id,
        )

    def add_exception(
        self,
        rule_id: str,
        where: str,
        *,
        reason: str,
        owner: str = "",
        until: str = "",
        signal_id: str = "",
        if_version: int | None = None,
    ) -> RuleBody:
        """Save a rule with one exception more.

        until: the last day, or a moment with its offset; empty: without an end. Raises Invalid if
        it silences what a test or a case has to find.
        """
        return self._to.ask(
            "POST",
            "/rules/{rule_id}/exceptions",
            RuleBody,
            body={
                "where": where,
                "reason": reason,
                "owner": owner,
                "until": until,
                "signal_id": signal_id,
            },
            if_version=if_version,
            rule_id=rule_id,
        )

    def end_exception(
        self, rule_id: str, number: int, *, if_version: int | None = None
    ) -> RuleBody:
        """Let an exception be over. number: its place in the list of the rule, from 1."""
        return self._to.ask(
            "POST",
            "/rules/{rule_id}/exceptions/{number}/end",
            RuleBody,
            if_version=if_version,
            rule_id=rule_id,
            number=number,
        )

    def snoozes(self, rule_id: str) -> list[SnoozeBody]:
        """Return the snoozes of a rule, newest first."""
        return self._to.ask(
            "GET", "/rules/{rule_id}/snoozes", SnoozeListBody, rule_id=rule_id
        ).items

    def snooze(self, rule_id: str, *, until: datetime, reason: str) -> SnoozeBody:
        """Let a rule alert nobody until a moment. Raises Invalid for one that is over."""
        return self._to.ask(
            "POST",
            "/rules/{rule_id}/snoozes",
            SnoozeBody,
            body={"until": until.isoformat(), "reason": reason},
            rule_id=rule_id,
        )

    def wake(self, rule_id: str) -> SnoozeBody:
        """Let a rule alert again. Raises Conflict if it is not snoozed."""
        return self._to.ask("POST", "/rules/{rule_id}/snoozes/end", SnoozeBody, rule_id=rule_id)

    def validate(self, rule: RuleObject) -> ValidationBody:
        """Check a rule object without saving it. What is wrong with it is an answer."""
        return self._to.ask("POST", "/rules/validate", ValidationBody, body=rule, harmless=True)

    def trial(self, suite: RuleObject) -> TrialBody:
        """Judge traces that come along by rules that do, or run a suite. Saves nothing.

        suite: `rule`, one text, or `rules`, and `traces`; or rules with tests as in a file of them.
        """
        return self._to.ask("POST", "/rules/trial", TrialBody, body=suite, harmless=True)

    def trial_on_stored(
        self,
        text: str,
        *,
        recent: int | None = None,
        trace_id: str | None = None,
        signal_id: str | None = None,
    ) -> PlayedBody:
        """Judge stored traces by a draft: the newest so many, one, or that of a signal."""
        return self._to.ask(
            "POST",
            "/rules/trial/stored",
            PlayedBody,
            body={"rule": text, **given(recent=recent, trace_id=trace_id, signal_id=signal_id)},
            harmless=True,
        )

    def library(self) -> LibraryBody:
        """Return the rules that are shipped with BeTrace, in packs."""
        return self._to.ask("GET", "/rules/library", LibraryBody)

    def take(self, rule_ids: Sequence[str], *, state: ChosenState = "shadow") -> TakenBody:
        """Take shipped rules; those whose ids are in use stay as they are."""
        return self._to.ask(
            "POST",
            "/rules/library",
            TakenBody,
            body={"ids": list(rule_ids), "state": state},
            harmless=True,
        )
