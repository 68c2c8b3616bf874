"""The catalogue of problems: every row is used, every hint helps."""

from __future__ import annotations

from pathlib import Path

from dsl.problems import CATALOGUE

SOURCES = Path(__file__).parents[3] / "dsl"


def test_every_code_of_the_catalogue_is_used() -> None:
    text = "".join(file.read_text() for file in SOURCES.rglob("*.py") if file.name != "problems.py")
    assert [code for code in CATALOGUE if f'"{code}"' not in text] == []


def test_a_message_is_one_sentence_without_a_full_stop() -> None:
    assert [code for code, row in CATALOGUE.items() if row.message.endswith(".")] == []
