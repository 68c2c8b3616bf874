"""The matrix of controls as OSCAL assessment results (NIST, version 1.1.2), pure.

    result ─ reviewed-controls: all of the framework, those without evidence among them
           ─ observations:      by control: what each rule judged, what services said
           ─ findings:          of controls that were satisfied or violated, with their observations

OSCAL has two states for an objective, satisfied and not-satisfied; what is inconclusive, was only
watched, or has no evidence gets no finding. Nothing here says "compliant". Equal matrices and
checkpoints have equal bytes: ids are made from what they are of (UUID version 5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Final
from uuid import UUID, uuid5

from api.evidence.matrix import ControlRow, Matrix, RuleSums, Standing, framework_title
from udfs.evidence.canonical import canonical
from udfs.evidence.table_lines import moment_text

OSCAL_VERSION: Final = "1.1.2"
PROPERTIES: Final = "urn:betrace:oscal"
"""The namespace of our properties."""

_NAMESPACE: Final = UUID("5d0b1c0e-8a52-5b7e-9d57-0f2b8f7c6a11")
_STATES: Final = {
    Standing.SATISFIED: ("satisfied", "pass"),
    Standing.VIOLATED: ("not-satisfied", "fail"),
}
_REMARKS: Final = (
    "Made from sealed evidence of traces. Satisfied says that judgements were made and none found "
    "a violation; it is no opinion on whether the control is effective, and traces cannot show all "
    "that it asks for. Controls without a finding are inconclusive or have no evidence."
)


@dataclass(frozen=True, slots=True)
class Sealed:
    """The log that the evidence is in. time_ms, size: of its newest checkpoint; note: as signed."""

    origin: str
    size: int
    time_ms: int
    note: str


def assessment_results(matrix: Matrix, *, tenant: str, tenant_name: str, sealed: Sealed) -> bytes:
    """Return the document: canonical JSON."""
    document = _Document(matrix, tenant, tenant_name or tenant, sealed)
    return canonical(document.value()) + b"\n"


@dataclass(frozen=True, slots=True)
class _Document:
    matrix: Matrix
    tenant: str
    tenant_name: str
    sealed: Sealed

    def value(self) -> dict[str, Any]:
        plan, log = self.id("plan"), self.id("log")
        return {
            "assessment-results": {
                "uuid": self.id("results"),
                "metadata": {
                    "title": f"Evidence for {framework_title(self.matrix.framework)}",
                    "last-modified": moment_text(self.sealed.time_ms),
                    "version": str(self.sealed.size),
                    "oscal-version": OSCAL_VERSION,
                    "parties": [
                        {
                            "uuid": self.id("party"),
                            "type": "organization",
                            "name": self.tenant_name,
                        }
                    ],
                    "remarks": _REMARKS,
                },
                "import-ap": {"href": f"#{plan}"},
                "results": [self.result(log)],
                "back-matter": {
                    "resources": [
                        {
                            "uuid": plan,
                            "title": "Rules as the plan of assessment",
                            "description": "The rules of the tenant, judged on every trace. A pack "
                            "of the same period has their texts, and who approved them.",
                        },
                        {
                            "uuid": log,
                            "title": "Checkpoint of the evidence log",
                            "description": self.sealed.note or "Nothing has been signed yet.",
                            "props": [_prop("origin", self.sealed.origin or "none")],
                        },
                    ]
                },
            }
        }

    def result(self, log: str) -> dict[str, Any]:
        observed = {row.id: list(self.observations(row, log)) for row in self.matrix.rows}
        observations = [one for each in observed.values() for one in each]
        findings = [
            self.finding(row, observed[row.id])
            for row in self.matrix.rows
            if row.standing in _STATES and observed[row.id]
        ]
        return {
            "uuid": self.id("result"),
            "title": f"{self.matrix.from_day} up to {self.matrix.to_day}",
            "description": "What was judged and said of each control in these days (UTC).",
            "start": _begins(self.matrix.from_day),
            "end": _begins(self.matrix.to_day),
            "reviewed-controls": {
                "control-selections": [
                    {
                        "include-controls": [
                            {"control-id": control_token(row.id)} for row in self.matrix.rows
                        ]
                    }
                ]
            },
            **({"observations": observations} if observations else {}),
            **({"findings": findings} if findings else {}),
        }

    def observations(self, row: ControlRow, log: str) -> Iterator[dict[str, Any]]:
        for sums in row.rules:
            yield self.observation(row, log, f"rule:{sums.rule}", f"Rule {sums.rule}", _told(sums))
        if row.said:
            said = {name: row.said[name] for name in sorted(row.said)}
            yield self.observation(row, log, "said", "What services and people did", said)
        if row.verdicts and not row.rules:
            verdicts = {name: row.verdicts[name] for name in sorted(row.verdicts)}
            yield self.observation(row, log, "verdicts", "Single verdicts", verdicts)

    def observation(
        self, row: ControlRow, log: str, what: str, title: str, counts: dict[str, int]
    ) -> dict[str, Any]:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        return {
            "uuid": self.id(f"observation:{row.id}:{what}"),
            "title": title,
            "description": f"{row.id}: {told}.",
            "props": [
                _prop("control", row.id),
                *(_prop(name, str(count)) for name, count in counts.items()),
            ],
            "methods": ["TEST"],
            "relevant-evidence": [
                {"href": f"#{log}", "description": "Records of the log under this checkpoint."}
            ],
            "collected": moment_text(self.sealed.time_ms),
        }

    def finding(self, row: ControlRow, observed: list[dict[str, Any]]) -> dict[str, Any]:
        state, reason = _STATES[row.standing]
        counts = (
            f"{row.satisfied} satisfied, {row.violated} violated, {row.inconclusive} inconclusive"
        )
        return {
            "uuid": self.id(f"finding:{row.id}"),
            "title": f"{row.id}: {row.described.title if row.described else row.id}",
            "description": f"{counts}. {row.described.lacks if row.described else ''}".strip(),
            "target": {
                "type": "objective-id",
                "target-id": control_token(row.id),
                "props": [_prop("control", row.id)],
                "status": {"state": state, "reason": reason},
            },
            "related-observations": [{"observation-uuid": one["uuid"]} for one in observed],
        }

    def id(self, what: str) -> str:
        """Return the id of a part: it changes with the tenant, the period and the log's size."""
        of = (
            *(self.tenant, self.matrix.framework, self.matrix.from_day, self.matrix.to_day),
            *(self.sealed.origin, self.sealed.size, what),
        )
        return str(uuid5(_NAMESPACE, "\n".join(map(str, of))))


def control_token(control_id: str) -> str:
    """Return a control as OSCAL may write it; those of NIST as NIST writes them: ac-2.1."""
    framework, _, name = control_id.partition(".")
    if framework == "fedramp":
        return re.sub(r"\((\d+)\)", r".\1", name).lower()
    plain = re.sub(r"[^A-Za-z0-9.]+", ".", name).strip(".")
    token = f"{re.sub(r'[^A-Za-z0-9-]', '', framework)}_{plain}"
    return token if token[0].isalpha() else f"_{token}"


def _told(sums: RuleSums) -> dict[str, int]:
    return {
        "judged": sums.judged,
        "satisfied": sums.satisfied,
        "violated": sums.violated,
        "inconclusive": sums.inconclusive,
        "late": sums.late,
        "dropped": sums.dropped,
        "intervals": sums.intervals,
    }


def _prop(name: str, value: str) -> dict[str, str]:
    return {"name": name, "ns": PROPERTIES, "value": value}


def _begins(day: date) -> str:
    return datetime.combine(day, time(), UTC).isoformat().replace("+00:00", "Z")
