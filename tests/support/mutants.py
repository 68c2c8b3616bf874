"""How much of the language its corpus pins down: mutants of checker and evaluator, and a score.

mutmut makes the mutants (see `tool.mutmut` in pyproject.toml) and runs the tests of the corpus that
reach each; this runs it on a sample that a seed decides, and prints for every module

    score = killed / (killed + survived)

A mutant that no test reaches has survived; one that never comes to an end is killed.

    python -m tests.support.mutants [--sample 200] [--seed 1] [--minutes 8]
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

MADE = Path("mutants")
FIRST = "dsl.ranges.x_same__mutmut_1"
"""A mutant that is tried in the run that makes them all and notes which test reaches what."""
_KILLED = frozenset({1, 3})
_SURVIVED = frozenset({0, 5, 33})
_ENDLESS = frozenset({36, 24, -24, 152, 255, -9})
_SECONDS_TO_STOP = 60


def main() -> int:
    """Try a sample of mutants and print the score."""
    parser = argparse.ArgumentParser(prog="mutants", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sample", type=int, default=200, help="how many mutants; 0: all")
    parser.add_argument("--seed", type=int, default=1, help="which mutants are in the sample")
    parser.add_argument("--minutes", type=float, default=8, help="when to stop; 0: never")
    parser.add_argument("--children", type=int, default=2, help="how many at a time")
    asked = parser.parse_args()
    seconds = asked.minutes * 60 or None
    _run_mutmut([FIRST], children=asked.children, seconds=None)
    every = sorted(exit_codes())
    chosen = sample(every, size=asked.sample, seed=asked.seed)
    print(f"{len(chosen):,} of {len(every):,} mutants, seed {asked.seed}", flush=True)
    _forget_results()
    in_time = _run_mutmut(chosen, children=asked.children, seconds=seconds)
    results = exit_codes()
    print("\n".join(report({name: results[name] for name in chosen})))
    if not in_time:
        print(f"stopped after {asked.minutes:g} minutes; the quickest mutants were tried first")
    return 0


def sample(names: Sequence[str], *, size: int, seed: int) -> list[str]:
    """Return the mutants to be tried, sorted; size 0 is all of them."""
    if not 0 < size < len(names):
        return sorted(names)
    return sorted(random.Random(seed).sample(names, size))


def exit_codes() -> dict[str, int | None]:
    """Return every mutant that was made, with the exit code of its tests; None: not tried."""
    found: dict[str, int | None] = {}
    for file in sorted(MADE.glob("dsl/*.py.meta")):
        found.update(json.loads(file.read_text(encoding="utf-8"))["exit_code_by_key"])
    return found


def report(results: Mapping[str, int | None]) -> list[str]:
    """Return the lines of the report: a score for each module and in all, then who survived."""
    modules: dict[str, Counter[str]] = {}
    for name, code in results.items():
        module = name.rpartition(".")[0]
        modules.setdefault(module, Counter())[_outcome(code)] += 1
    lines = [_row("module", ("killed", "survived", "untried", "score"))]
    lines += [_score_row(module, counts) for module, counts in sorted(modules.items())]
    lines.append(_score_row("in all", sum(modules.values(), Counter[str]())))
    survivors = [name for name, code in results.items() if _outcome(code) == "survived"]
    return [*lines, "", "survived (`mutmut show NAME` tells how each differs):", *survivors]


def _outcome(code: int | None) -> str:
    if code in _KILLED or code in _ENDLESS:
        return "killed"
    return "survived" if code in _SURVIVED else "untried"


def _score_row(name: str, counts: Counter[str]) -> str:
    tried = counts["killed"] + counts["survived"]
    score = f"{counts['killed'] / tried:.1%}" if tried else "-"
    return _row(name, (counts["killed"], counts["survived"], counts["untried"], score))


def _row(name: str, cells: Iterable[object]) -> str:
    return f"{name:<24}" + "".join(f"{cell!s:>10}" for cell in cells)


def _forget_results() -> None:
    """Take back what earlier runs found, so that a run which is stopped reports only its own."""
    for file in MADE.glob("dsl/*.py.meta"):
        kept = json.loads(file.read_text(encoding="utf-8"))
        kept["exit_code_by_key"] = dict.fromkeys(kept["exit_code_by_key"])
        file.write_text(json.dumps(kept), encoding="utf-8")


def _run_mutmut(names: Sequence[str], *, children: int, seconds: float | None) -> bool:
    """Run mutmut on mutants; False if it was stopped because its time was over."""
    mutmut = Path(sys.executable).with_name("mutmut")
    command = [str(mutmut), "run", "--max-children", str(children), *names]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
        try:
            output, _ = running.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGINT)
            running.communicate(timeout=_SECONDS_TO_STOP)
            return False
    if running.returncode != 0:
        raise SystemExit(output.decode(errors="replace")[-4_000:])
    return True


if __name__ == "__main__":
    raise SystemExit(main())
