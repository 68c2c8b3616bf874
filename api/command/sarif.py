"""Findings as SARIF 2.1.0, which code hosts show at their lines.

Source: OASIS Static Analysis Results Interchange Format 2.1.0, §3. Columns count characters, which
a run has to say (§3.14.17); addresses of files are relative to the place of the call where they can
be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from dsl.problems import CATALOGUE, Problem
from dsl.rendering import Level

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
PROJECT: Final = "https://github.com/betracehq/betrace"
_ROOT: Final = "%SRCROOT%"
_BLANK = re.compile(r"\{[a-z_]+\}")


class Finding(NamedTuple):
    """One thing to report, and the file it is in."""

    file: Path
    level: Level
    problem: Problem


def sarif(findings: Iterable[Finding], *, root: Path) -> dict[str, Any]:
    """Return the log of one run. root: what addresses are relative to."""
    listed = list(findings)
    codes = sorted({finding.problem.code for finding in listed})
    levels = {finding.problem.code: finding.level for finding in listed}
    driver = {
        "name": "betrace",
        "informationUri": PROJECT,
        "rules": [_rule(code, levels[code]) for code in codes],
    }
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_result(finding, codes, root) for finding in listed],
            }
        ],
    }


def _rule(code: str, level: Level) -> dict[str, Any]:
    """Describe a code by its row in the catalogue; words of the one finding are left open."""
    row = CATALOGUE[code]
    message = _sentence(_BLANK.sub("…", row.message))
    hint = _BLANK.sub("…", row.hint)
    told = f"{message} {_sentence(hint)}" if hint.strip("… ") else message
    return {
        "id": code,
        "name": "".join(part.capitalize() for part in re.split(r"[._]", code)),
        "shortDescription": {"text": message},
        "fullDescription": {"text": told},
        "help": {"text": told},
        "defaultConfiguration": {"level": level},
    }


def _result(finding: Finding, codes: list[str], root: Path) -> dict[str, Any]:
    problem = finding.problem
    text = _sentence(problem.message)
    return {
        "ruleId": problem.code,
        "ruleIndex": codes.index(problem.code),
        "level": finding.level,
        "message": {"text": f"{text} {_sentence(problem.hint)}" if problem.hint else text},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": _address(finding.file, root),
                    "region": {
                        "startLine": problem.line,
                        "startColumn": problem.column,
                        "endLine": problem.end_line,
                        "endColumn": problem.end_column,
                    },
                }
            }
        ],
    }


def _address(file: Path, root: Path) -> dict[str, str]:
    absolute = file if file.is_absolute() else root / file
    if absolute.is_relative_to(root):
        return {"uri": quote(absolute.relative_to(root).as_posix()), "uriBaseId": _ROOT}
    return {"uri": absolute.as_uri()}


def _sentence(text: str) -> str:
    """Return a message as a sentence: a capital letter, a full stop."""
    return f"{text[:1].upper()}{text[1:]}."
