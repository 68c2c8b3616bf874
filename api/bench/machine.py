"""What the run costs the machine: CPU seconds and memory by group of processes, from /proc."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds since the processes began (ended children included) and resident memory."""

    cpu_s: float = 0.0
    rss_bytes: int = 0

    def __add__(self, other: Usage) -> Usage:
        """Return both together."""
        return Usage(self.cpu_s + other.cpu_s, self.rss_bytes + other.rss_bytes)


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    parent: int
    name: str
    usage: Usage


def usage_by_group(roots: Mapping[str, int]) -> dict[str, Usage]:
    """Return what each group uses: the process named and all its descendants.

    roots: group → pid. Python workers below the group "taskmanager" are a group of their own,
    "python".
    """
    processes = {process.pid: process for process in _processes()}
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: dict[str, Usage] = {}
    for group, root in roots.items():
        for pid in _descent(root, children):
            if pid not in processes:
                continue
            process = processes[pid]
            python = group == "taskmanager" and process.name.startswith("python")
            name = "python" if python else group
            found[name] = found.get(name, Usage()) + process.usage
    return found


def hardware() -> str:
    """Describe the machine in one line."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in (_PROC / "cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES
    return f"{os.cpu_count()} × {cpu}, {memory_bytes / _GIB:.0f} GiB, Linux {platform.release()}"


def cpu_capacity_s(seconds: float) -> float:
    """Return the CPU seconds that this machine has in so many seconds."""
    return seconds * len(os.sched_getaffinity(0))


def _descent(root: int, children: Mapping[int, Iterable[int]]) -> list[int]:
    found = [root]
    for pid in found:
        found += children.get(pid, ())
    return found


def _processes() -> Iterable[_Process]:
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            process = _process(int(entry.name))
            if process is not None:
                yield process


def _process(pid: int) -> _Process | None:
    """Read /proc/<pid>/stat (proc(5)); None if the process has gone."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    name = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    # Counted from the state, field 3: ppid 4, utime 14, stime 15, cutime 16, cstime 17, rss 24.
    ticks = sum(int(field) for field in fields[11:15])
    return _Process(
        pid, int(fields[1]), name, Usage(ticks / _TICKS_PER_S, int(fields[21]) * _PAGE_BYTES)
    )
