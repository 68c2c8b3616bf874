"""The fields of the form that writes a rule, as browsers send them."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Depends, Form

from api.web.pages.typed import lines_of
from api.web.views.playground import ON, PlayDraft
from api.web.views.rule_form import RuleDraft
from api.web.views.words import SEVERITIES, STATES

PASTED_MAX: Final = 900_000
"""Characters of a pasted trace; a body holds a mebibyte."""


def rule_draft(
    id: Annotated[str, Form(max_length=255)] = "",  # noqa: A002 - a field of the form
    name: Annotated[str, Form(max_length=255)] = "",
    description: Annotated[str, Form(max_length=2_000)] = "",
    rule: Annotated[str, Form(max_length=100_000)] = "",
    tests: Annotated[str, Form(max_length=400_000)] = "",
    severity: Annotated[str, Form(max_length=20)] = "",
    state: Annotated[str, Form(max_length=20)] = "",
    suppress: Annotated[str, Form(max_length=40)] = "",
) -> RuleDraft:
    """Read the fields of the rule."""
    return RuleDraft(
        id=id.strip(),
        name=name.strip(),
        description=lines_of(description).strip(),
        text=lines_of(rule),
        tests=lines_of(tests),
        severity=severity if severity in SEVERITIES else "medium",
        state=state if state in STATES else "active",
        suppress=suppress,
    )


def play_draft(
    on: Annotated[str, Form(max_length=20)] = "recent",
    one: Annotated[str, Form(max_length=500)] = "",
    pasted: Annotated[str, Form(max_length=PASTED_MAX)] = "",
) -> PlayDraft:
    """Read the fields of the playground."""
    return PlayDraft(on=on if on in ON else "recent", one=one.strip(), pasted=lines_of(pasted))


Draft = Annotated[RuleDraft, Depends(rule_draft)]
Play = Annotated[PlayDraft, Depends(play_draft)]
