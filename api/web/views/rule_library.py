"""The shipped rules and the templates, to take from."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import dsl
from api.rules.library import ShippedPack, ShippedRule
from api.web.views.links import rule_href
from api.web.views.rule_templates import TEMPLATES
from api.web.views.rule_text import Piece, pieces
from api.web.views.words import SEVERITIES, STATES, Choice, Message, choices

BEGIN_IN: Final = "shadow"


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryRule:
    """A rule of a pack. href: of the tenant's own, where the id is in use."""

    id: str
    name: str
    description: str
    severity: str
    severity_label: str
    text: tuple[Piece, ...]
    controls: tuple[str, ...]
    href: str
    seen: str


@dataclass(frozen=True, slots=True)
class LibraryPack:
    """A pack."""

    id: str
    title: str
    description: str
    count: str
    rules: tuple[LibraryRule, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A template."""

    href: str
    name: str
    what: str


@dataclass(frozen=True, slots=True)
class Library:
    """The page."""

    templates: tuple[Template, ...]
    packs: tuple[LibraryPack, ...]
    states: tuple[Choice, ...]
    message: Message | None


def library(
    packs: tuple[ShippedPack, ...],
    in_use: Collection[str],
    known: dsl.KnownNames | None,
    *,
    message: Message | None = None,
) -> Library:
    """Return the page. in_use: ids of the tenant's rules. known: what was seen in its traffic."""
    names = known.span_names if known else frozenset()
    return Library(
        templates=tuple(
            Template(f"/rules/new?template={key}", one.draft.name, one.what)
            for key, one in TEMPLATES.items()
        ),
        packs=tuple(
            LibraryPack(
                pack.id,
                pack.title,
                pack.description,
                _count(pack, in_use),
                tuple(_rule(one, in_use, names) for one in pack.rules),
            )
            for pack in packs
        ),
        states=choices(STATES, BEGIN_IN),
        message=message,
    )


def _count(pack: ShippedPack, in_use: Collection[str]) -> str:
    taken = sum(one.rule.id in in_use for one in pack.rules)
    return f"{len(pack.rules)} rules" + (f", {taken} taken" if taken else "")


def _rule(one: ShippedRule, in_use: Collection[str], names: Collection[str]) -> LibraryRule:
    rule = one.rule
    return LibraryRule(
        id=rule.id,
        name=rule.name or rule.id,
        description=rule.description,
        severity=rule.severity,
        severity_label=SEVERITIES[rule.severity],
        text=pieces(rule.rule.rstrip()),
        controls=rule.controls,
        href=rule_href(rule.id) if rule.id in in_use else "",
        seen=_seen(one, names),
    )


def _seen(one: ShippedRule, names: Collection[str]) -> str:
    """Return whether the spans it asks for by name were seen in the tenant's traffic."""
    if not one.spans or not names:
        return ""
    found = sum(name in names for name in one.spans)
    return "All its spans were seen" if found == len(one.spans) else ""
