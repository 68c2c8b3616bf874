"""The options by which operators say how long things are kept, of a tenant or a tier."""

from __future__ import annotations

from typing import Annotated

import typer

from api.errors import OperatorError
from api.retention.terms import FOREVER, Kind, Term

Days = Annotated[
    str | None, typer.Option(metavar="DAYS|forever", help="Kept for so long unless chosen.")
]
Least = Annotated[int | None, typer.Option(metavar="DAYS", help="No shorter.")]
Most = Annotated[
    str | None, typer.Option(metavar="DAYS|none", help="No longer; none: for ever as well.")
]
_NONE = "none"


def changed_term(
    now: Term, kind: Kind, *, days: str | None, least: int | None, most: str | None
) -> Term:
    """Return a term with what is given. Raises OperatorError for what cannot be."""
    values = {
        "days": now.days if days is None else _number(days, none=FOREVER),
        "least": now.least if least is None else least,
        "most": now.most if most is None else _number(most, none=_NONE),
    }
    try:
        return Term.from_dict(kind, values)
    except ValueError as error:
        raise OperatorError(str(error)) from error


def _number(text: str, *, none: str) -> int | None:
    if text == none:
        return None
    try:
        return int(text)
    except ValueError as error:
        raise OperatorError(f"{text!r} is neither a number of days nor `{none}`") from error
