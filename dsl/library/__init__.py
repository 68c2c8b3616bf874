"""The rules shipped with BeTrace, in packs: read from the YAML files beside this module.

    for pack in packs():
        pack.title, [rule.id for rule in pack.rules]

A pack is what `betrace rules test` and `apply` take, so its `text` can be saved as it is. What the
rules ask of a program is listed in README.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from dsl.objects import RuleObject, parse_rules

_SHIPPED: Final = (
    (
        "ai-agents",
        "AI agents",
        "Agents keep to their goal, their tools, their user and their budget.",
    ),
    (
        "reliability",
        "Reliability",
        "Retries, timeouts, transactions and messages behave when something behind them fails.",
    ),
    (
        "security",
        "Security",
        "Nobody gets in unknown, nobody gets more than is theirs, and nothing gets out.",
    ),
    ("soc2", "SOC 2", "The common criteria CC6.1 to CC8.1, shown at work in every trace."),
    ("hipaa", "HIPAA", "The technical safeguards of 45 CFR 164.312, for health data."),
    ("gdpr", "GDPR", "Access and erasure (15, 17), protection by design (25), security (32)."),
    ("pci-dss", "PCI DSS", "Requirements 3, 7, 8 and 10 of version 4.0.1, for card data."),
    ("iso27001", "ISO 27001", "Technological controls of Annex A.8 of the edition of 2022."),
    (
        "data-pipelines",
        "Data pipelines",
        "Data is checked, reconciled, masked, traced and backed up on its way.",
    ),
)


@dataclass(frozen=True, slots=True)
class Pack:
    """Rules that belong together. text: the YAML file as it is shipped."""

    id: str
    title: str
    description: str
    text: str
    rules: tuple[RuleObject, ...]


def packs() -> tuple[Pack, ...]:
    """Return every pack, in the order in which they are shown."""
    return tuple(_read(*shipped) for shipped in _SHIPPED)


def pack(pack_id: str) -> Pack:
    """Return one pack. Raises KeyError if there is none with the id."""
    return _read(*{shipped[0]: shipped for shipped in _SHIPPED}[pack_id])


def _read(pack_id: str, title: str, description: str) -> Pack:
    file = f"{pack_id}.yaml"
    text = files(__name__).joinpath(file).read_text(encoding="utf-8")
    return Pack(pack_id, title, description, text, parse_rules(text, filename=file).rules)
