"""What a rule says of a sample, by the evaluator of trials."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from api.auth.principal import TenantScope
from api.redaction.redactors import RedactionUnavailable, Redactors
from api.redaction.service import redaction_unavailable
from api.rules.definitions import Form
from api.rules.redacted import redacted_rule
from api.rules.trial import Trials
from api.samples.model import Entry, Sample

REJECTED: Final = "rejected"
"""In place of a verdict: the text does not check."""
_OF_LIFE: Final = ("settle", "on_incomplete", "group_by")
_TRIED: Final = "tried"
_WORST_FIRST: Final = ("violated", "inconclusive", "satisfied", "not_applicable")


@dataclass(frozen=True, slots=True)
class Said:
    """What a rule says of a sample.

    verdict: of several traces the worst; `rejected` where the text does not check, and then
    problems say why. explanation: of that verdict.
    """

    verdict: str
    explanation: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[Mapping[str, Any], ...] = ()


class Judge:
    """Judges samples of a tenant."""

    def __init__(self, trials: Trials, redactors: Redactors) -> None:
        self._trials = trials
        self._redactors = redactors

    async def say(
        self,
        scope: TenantScope,
        text: str,
        sample: Sample,
        *,
        settings: Mapping[str, Any] = MappingProxyType({}),
    ) -> Said:
        """Return what a text of a rule says of a sample with its spans.

        settings: of a rule object: how its traces live. What a tenant's own samples hold was
        redacted, so the text is judged as it is in the stream.
        Raises ApiError 422 for what a trial does not bear, 503.
        """
        judged = text if sample.is_library else await self.as_judged(scope, text)
        lives = {name: settings[name] for name in _OF_LIFE if name in settings}
        return await self.on_spans(judged, sample.spans or (), lives=lives)

    async def as_judged(self, scope: TenantScope, text: str) -> str:
        """Return a text as it is judged on redacted spans. Raises ApiError 503."""
        try:
            tenant = await self._redactors.of(scope.tenant_id)
        except RedactionUnavailable as error:
            raise redaction_unavailable() from error
        redacted = await asyncio.to_thread(redacted_rule, text, tenant.redactor)
        return redacted.text or text

    async def on_spans(
        self, text: str, spans: Sequence[Entry], *, lives: Mapping[str, Any]
    ) -> Said:
        """Return what a text says of spans as they are. Raises ApiError 422, 503."""
        rule = {"id": _TRIED, "rule": text, **lives}
        body = json.dumps({"rules": [rule], "traces": [list(spans)]})
        tried = await self._trials.run(body, form=Form.JSON)
        if tried.problems:
            return Said(REJECTED, problems=tried.problems, warnings=tried.warnings)
        told = min(tried.verdicts, key=lambda one: _WORST_FIRST.index(one.verdict))
        return Said(told.verdict, told.explanation, warnings=tried.warnings)
