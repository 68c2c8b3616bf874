"""Tests of a rule as YAML that people write on: one span a line, read again as it was.

- name: audited
  trace:
    - {name: GET /customer, id: r, duration: 2s}
  expect: satisfied
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_PLAIN: Final = re.compile(
    r"[A-Za-z_/][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*|[0-9]+(?:ns|us|ms|s|m|h|d)"
)
_NO_TEXT: Final = frozenset({"true", "false", "null"})


def written_tests(tests: Sequence[Mapping[str, Any]]) -> str:
    """Return a `tests:` list as YAML; nothing for none. `dsl.documents` reads it as it was."""
    return "".join(line + "\n" for test in tests for line in _entry(test))


def _entry(test: Mapping[str, Any]) -> Iterator[str]:
    lead = "- "
    for key, value in test.items():
        yield from (f"{lead if not i else '  '}{line}" for i, line in enumerate(_field(key, value)))
        lead = "  "
    if not test:
        yield "- {}"


def _field(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        yield f"{_flow(key)}:"
        yield from (f"  - {_flow(item)}" for item in value)
    elif isinstance(value, str) and "\n" in value.strip("\n") and _fits_block(value):
        yield f"{_flow(key)}: |{'' if value.endswith(chr(10)) else '-'}"
        yield from (f"  {line}" if line else "" for line in value.removesuffix("\n").split("\n"))
    else:
        yield f"{_flow(key)}: {_flow(value)}"


def _fits_block(text: str) -> bool:
    """Tell whether a block holds a text as it is: printable, not indented, one line end at most."""
    lines = text.split("\n")
    return (
        all(line.isprintable() for line in lines)
        and not text.startswith((" ", "\n"))
        and not text.endswith("\n\n")
    )


def _flow(value: Any) -> str:
    """Return a value on one line."""
    match value:
        case Mapping():
            return "{" + ", ".join(f"{_flow(str(k))}: {_flow(v)}" for k, v in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_flow, value)) + "]"
        case str() if _PLAIN.fullmatch(value) and value.lower() not in _NO_TEXT:
            return value
        case str():
            text = json.dumps(value, ensure_ascii=False)
            return "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in text)
        case float() if value != value:
            return ".nan"
        case float() if value in (float("inf"), float("-inf")):
            return ".inf" if value > 0 else "-.inf"
        case _:
            return json.dumps(value, ensure_ascii=False)
