"""The supervisor's account of the stack, in a file that `up`, `down` and `status` read.

The file is replaced whole at every change, so a reader sees one moment. It outlives the
supervisor: what it names as running is what a next start has to clear away.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from deploy.embedded.envfile import write_private
from deploy.embedded.process import ProcessIdentity


class Phase(StrEnum):
    """Where a component is."""

    WAITING = "waiting"  # for what it needs
    STARTING = "starting"
    READY = "ready"
    DONE = "done"  # a task that has run
    RESTARTING = "restarting"  # it died and is being brought back
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"  # it did not come up and nobody tries again


GOOD = frozenset({Phase.READY, Phase.DONE})


@dataclass(slots=True)
class ComponentState:
    """One row of `status`; times are seconds since the epoch."""

    phase: Phase = Phase.WAITING
    process: ProcessIdentity | None = None
    since: float = 0.0
    took_s: float = 0.0
    restarts: int = 0
    detail: str = ""


@dataclass(slots=True)
class StackState:
    """All rows, and the supervisor who keeps them."""

    supervisor: ProcessIdentity
    stack_id: str
    started: float
    components: dict[str, ComponentState] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        write_private(path, json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> StackState | None:
        """The last account written, or None if there is none that can be read."""
        try:
            values = json.loads(path.read_text())
            return cls(
                supervisor=ProcessIdentity(**values["supervisor"]),
                stack_id=values["stack_id"],
                started=values["started"],
                components={name: _component(row) for name, row in values["components"].items()},
            )
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    @property
    def all_good(self) -> bool:
        return all(row.phase in GOOD for row in self.components.values())

    @property
    def failed(self) -> list[str]:
        return [name for name, row in self.components.items() if row.phase is Phase.FAILED]


def _component(row: dict[str, object]) -> ComponentState:
    process = row.pop("process")
    return ComponentState(
        **{  # type: ignore[arg-type]  # read back from what asdict wrote
            **row,
            "phase": Phase(str(row["phase"])),
            "process": ProcessIdentity(**process) if isinstance(process, dict) else None,
        }
    )
