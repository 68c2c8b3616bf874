"""Master keys of a local source: read from a file or the environment, and refused if unfit.

    # one a line or between commas: an id, a space or colon, 64 hex digits; the last one wraps
    2026-11 5d1c…
    2027-02 91ab…

Those before the last only unwrap. Whoever rotates appends a line and has keys rewrapped.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Final

from udfs.keysource.keys import KEY_BYTES
from udfs.keysource.trouble import MasterRefused

_ENTRY: Final = re.compile(r"([A-Za-z0-9._-]{1,64})[\s:]+(\S+)")
_HOW: Final = "Write `ID $(openssl rand -hex 32)`."
_DISTINCT_MIN: Final = 16
"""Of 32 random bytes less than 16 differ once in 10^15 draws."""
_OTHERS: Final = stat.S_IRWXO | stat.S_IWGRP


@dataclass(frozen=True, slots=True)
class Masters:
    """Master keys by id. newest: the id of the one that wraps."""

    newest: str
    by_id: Mapping[str, bytes] = field(repr=False)


def read_masters(text: str, *, where: str) -> Masters:
    """Read master keys. where: for messages. Raises MasterRefused."""
    lines = [line.partition("#")[0] for line in text.splitlines()]
    entries = [part.strip() for line in lines for part in line.split(",") if part.strip()]
    if not entries:
        raise MasterRefused("there is no master key", where=where, next_step=_HOW)
    by_id: dict[str, bytes] = {}
    for number, entry in enumerate(entries, start=1):
        name, key = _read(entry, where=f"{where}, entry {number}")
        if name in by_id:
            raise MasterRefused(
                f"two master keys are called {name!r}",
                where=where,
                next_step="Give each an id of its own: keys on record name it.",
            )
        by_id[name] = key
    return Masters(newest=next(reversed(by_id)), by_id=MappingProxyType(by_id))


def read_master_file(path: Path) -> Masters:
    """Read master keys from a file that none but owner and group may read. Raises MasterRefused."""
    where = str(path)
    try:
        with path.open() as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise MasterRefused(
            f"the file of master keys cannot be read: {error}",
            where=where,
            next_step=f"{_HOW} Keep a copy of the file: without it every key is lost.",
        ) from error
    if mode & _OTHERS:
        raise MasterRefused(
            f"the file of master keys is open to others (mode {mode:04o})",
            where=where,
            next_step=f"chmod 600 {where}, and make a new master key if others could read it.",
        )
    return read_masters(text, where=where)


def new_master(name: str) -> str:
    """Return an entry with a master key just drawn."""
    return f"{name} {secrets.token_hex(KEY_BYTES)}"


def _read(entry: str, *, where: str) -> tuple[str, bytes]:
    found = _ENTRY.fullmatch(entry)
    if found is None:
        raise MasterRefused("this is no id with a key", where=where, next_step=_HOW)
    name, text = found.groups()
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if not key:
        problem = "is not in hex"
    elif len(key) != KEY_BYTES:
        problem = f"has {len(key)} bytes and not {KEY_BYTES}"
    elif _is_made_up(key):
        problem = "was made up and not drawn by chance"
    else:
        return name, key
    raise MasterRefused(f"master key {name!r} {problem}", where=where, next_step=_HOW)


def _is_made_up(key: bytes) -> bool:
    """Return whether a key is a pattern, an example or text, as no random bytes ever are."""
    steps = {(after - before) % 256 for before, after in pairwise(key)}
    return len(set(key)) < _DISTINCT_MIN or len(steps) == 1 or all(byte < 0x80 for byte in key)
