"""Shows a start: a line for every part that is ready, and how long is left.

What is left is guessed from how long the last start in this home took.
"""

from __future__ import annotations

import json
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from deploy.embedded.layout import Layout
from deploy.embedded.state import GOOD, Phase, StackState

FIRST_START_S = 60.0


class Progress:
    """A progress bar on a terminal; only the lines elsewhere."""

    def __init__(self, console: Console, layout: Layout) -> None:
        self._console = console
        self._layout = layout
        self._begun = time.monotonic()
        self._expected_s = _expected_s(layout)
        self._told: set[str] = set()
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[time]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=None, time="")
        self._all_good = False

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()
        if self._all_good:
            took_s = time.monotonic() - self._begun
            self._layout.timings.write_text(json.dumps({"up_s": round(took_s, 1)}))
            self._console.print(f"Up in {took_s:.0f} s.")

    def show(self, state: StackState) -> None:
        """Take a new account of the supervisor."""
        self._all_good = state.all_good
        good = [name for name, row in state.components.items() if row.phase in GOOD]
        busy = [name for name, row in state.components.items() if row.phase is Phase.STARTING]
        elapsed_s = time.monotonic() - self._begun
        for name in good:
            if name not in self._told:
                self._told.add(name)
                self._console.print(
                    f"  [green]✓[/] {name:<12} [dim]{state.components[name].took_s:5.1f} s[/]"
                )
        left_s = self._expected_s - elapsed_s
        left = f"about {left_s:.0f} s left" if left_s >= 1 else "any moment"
        self._bar.update(
            self._task,
            total=len(state.components),
            completed=len(good),
            description=f"starting {', '.join(busy)}",
            time=f"{elapsed_s:.0f} s, {left}",
        )


def _expected_s(layout: Layout) -> float:
    try:
        return float(json.loads(layout.timings.read_text())["up_s"])
    except (OSError, ValueError, KeyError):
        return FIRST_START_S
