"""Customers' own compliance spans: which controls a span speaks of, and what of it is sealed.

A service says `betrace.compliance.framework = soc2` and `betrace.compliance.control = CC6.1`; the
prefix `compliance.` is read as well, and so are the spellings that the first BeTrace had. What the
schema has no place for is the payload, apart from the record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from udfs.evidence.canonical import Json
from udfs.evidence.malformed import Malformed
from udfs.evidence.records import Outcome

PREFIXES: Final = ("betrace.compliance.", "compliance.")
"""The first that has a name wins."""

_SPELLINGS: Final = {
    "evidence.type": "evidence_type",
    "evidenceType": "evidence_type",
    "status": "outcome",
    "controls": "control",
}

_FRAMEWORKS: Final = {
    "pcidss": "pci-dss",
    "pci": "pci-dss",
    "iso27001": "iso27001",
    "iso270012022": "iso27001",
    "soc2typeii": "soc2",
}
"""By the letters and digits alone, in lower case; any other framework is named by those."""

_OUTCOMES: Final = {
    **dict.fromkeys(("success", "pass", "passed", "ok", "allowed", "granted"), Outcome.SUCCESS),
    **dict.fromkeys(("failure", "fail", "failed", "error"), Outcome.FAILURE),
    **dict.fromkeys(("blocked", "denied", "refused", "rejected"), Outcome.BLOCKED),
}

_SEALED: Final = frozenset({"framework", "control", "evidence_type", "operation", "outcome"})


@dataclass(frozen=True, slots=True)
class Compliance:
    """What a span says. controls: <framework>.<control>, sorted; personal: all else it says."""

    controls: tuple[str, ...]
    evidence_type: str
    operation: str
    outcome: Outcome
    personal: Mapping[str, Json]


def read_compliance(attributes: Mapping[str, Json]) -> Compliance | Malformed | None:
    """Read a span's attributes; None if it says nothing of compliance.

    Malformed if it does and names no framework or no control: such a span is counted as refused.
    """
    said = _said(attributes)
    if not said:
        return None
    framework = _framework(said.get("framework"))
    controls = _controls(said.get("control"))
    if not framework or not controls:
        return Malformed(
            "a compliance span needs betrace.compliance.framework (soc2) and .control (CC6.1)"
        )
    return Compliance(
        controls=tuple(sorted({f"{framework}.{control}" for control in controls})),
        evidence_type=_word(said.get("evidence_type")),
        operation=_word(said.get("operation")),
        outcome=_OUTCOMES.get(_word(said.get("outcome")).lower(), Outcome.UNKNOWN),
        personal={name: value for name, value in said.items() if name not in _SEALED},
    )


def control_name(text: str) -> str:
    """Return a control as catalogues spell it: CC6_1 is CC6.1."""
    return re.sub(r"(?<=\d)_(?=\d)", ".", text.strip())


def _said(attributes: Mapping[str, Json]) -> dict[str, Json]:
    said: dict[str, Json] = {}
    for prefix in PREFIXES:
        for name, value in attributes.items():
            if name.startswith(prefix):
                rest = name.removeprefix(prefix)
                said.setdefault(_SPELLINGS.get(rest, rest), value)
    return said


def _framework(value: Json) -> str:
    letters = re.sub(r"[^a-z0-9]", "", _word(value).lower())
    return _FRAMEWORKS.get(letters, letters)


def _controls(value: Json) -> list[str]:
    values = value if isinstance(value, list | tuple) else [value]
    return [name for one in values if (name := control_name(_word(one)))]


def _word(value: Json) -> str:
    return value if isinstance(value, str) else ""
