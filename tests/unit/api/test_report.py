"""The report for auditors: what its pages say, read out of the PDF again."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pypdfium2
import pytest

from api.evidence import report_pdf
from api.evidence.matrix import ControlRow, Matrix, RuleSums
from api.evidence.oscal import Sealed
from api.evidence.report import Population, Report
from api.evidence.report_pdf import draw_report
from dsl.controls import catalogue, control
from tests.support.evidence import BEGIN_MS, EvidenceLog

LOG = EvidenceLog()
KEY = LOG.verifier_key()
JUDGED, SAID, NOTHING = "soc2.CC7.2", "soc2.CC6.1", "soc2.A1.1"
SUMS = RuleSums("large-charges", 744, 1_234_567, 1_234_560, 4, 3, 2, 1, 31, date(2026, 10, 31))


def row(control_id: str, **given: object) -> ControlRow:
    return ControlRow(id=control_id, described=control(control_id), **given)  # type: ignore[arg-type]


MATRIX = Matrix(
    framework="soc2",
    from_day=date(2026, 10, 1),
    to_day=date(2026, 11, 1),
    rows=(
        row(JUDGED, rules=(SUMS,), day_count=31, last_ms=BEGIN_MS, days_without=0),
        row(SAID, said={"success": 4_000, "blocked": 7}, day_count=12, last_ms=BEGIN_MS),
        row(NOTHING),
    ),
)


def report_of(**changed: object) -> Report:
    """Return a report of a framework; the checkpoint is one that was really signed."""
    made = Report(
        tenant=LOG.tenant,
        tenant_name="Acme & Søns <b>",
        control="",
        matrix=MATRIX,
        population=(Population("coverage", "violated", 744), Population("span", "success", 4_000)),
        sealed=Sealed(LOG.origin, 120, BEGIN_MS, NOTE),
        number=17,
        size=123,
        keys=(KEY,),
    )
    return replace(made, **changed)  # type: ignore[arg-type]


def _note() -> str:
    log = EvidenceLog()
    log.minute(begins=True)
    log.seal()
    return log.checkpoints[-1].note.decode()


NOTE = _note()


def pages_of(pdf: bytes) -> list[str]:
    """Return what the pages say, each as one line of words."""
    document = pypdfium2.PdfDocument(pdf)
    return [" ".join(page.get_textpage().get_text_range().split()) for page in document]


def said(report: Report) -> str:
    return " ".join(pages_of(draw_report(report)))


def test_it_has_population_standings_coverage_checkpoint_and_how_to_verify() -> None:
    text = said(report_of())
    for words in (
        "Evidence of SOC 2",
        "Acme & Søns <b>, 2026-10-01 to 2026-10-31, days in UTC",
        "4,744 records name controls of the framework",
        "coverage violated 744",
        "compliance spans success 4,000",
        "3 of the 123 records of the log are under no checkpoint yet",
        "soc2.CC7.2",
        "1,234,560 4 3 31 of 31",
        "large-charges 744 1,234,567 1,234,560 4 3 3",
        "checkpoint 17, signed 2026-11-18T11:06:40.000Z",
        "Controls without evidence",
        "soc2.A1.1",
        "--framework soc2",
        "--from 2026-10-01 --to 2026-11-01",
        "python verify.py PACK.zip",
    ):
        assert words in text, words


def test_it_never_says_more_than_satisfied_violated_or_inconclusive() -> None:
    described = catalogue("soc2")
    assert described is not None
    everything = replace(MATRIX, rows=tuple(row(one.id) for one in described.controls))
    for report in (report_of(), report_of(matrix=everything), report_of(control=JUDGED)):
        text = said(report).lower().replace("compliance spans", "")
        assert "compliant" not in text
        assert "complian" not in text


def test_a_note_and_a_key_stand_in_it_so_that_they_can_be_copied() -> None:
    pages = pypdfium2.PdfDocument(draw_report(report_of()))
    lines = [
        line.strip() for page in pages for line in page.get_textpage().get_text_range().splitlines()
    ]
    for line in (*filter(None, NOTE.splitlines()), KEY):
        assert line in lines, line


def test_equal_reports_have_equal_bytes_and_others_have_others() -> None:
    first = draw_report(report_of())
    assert first == draw_report(report_of())
    assert first != draw_report(report_of(size=124))


def test_letters_that_the_fonts_lack_are_question_marks_and_nothing_is_markup() -> None:
    odd = row('own.<a href="x">7</a>&amp;', rules=(replace(SUMS, rule="規則-1"),))
    text = said(report_of(tenant_name="東京", matrix=replace(MATRIX, rows=(odd,))))
    assert "??, 2026-10-01" in text
    assert 'own.<a href="x">7</a>&amp;' in text.replace("7</a> &amp;", "7</a>&amp;")
    assert "not in the catalogue" in text


def test_of_a_control_alone_it_says_what_that_asks_for_and_what_traces_cannot_show() -> None:
    described = control(JUDGED)
    assert described is not None
    of_one = replace(MATRIX, rows=MATRIX.rows[:1])
    text = said(report_of(control=JUDGED, matrix=of_one))
    assert f"Evidence of {JUDGED}" in text
    for words in (described.asks, described.shows, described.lacks):
        assert " ".join(words.split()) in text
    assert f"--control '{JUDGED}'" in text


def test_without_anything_sealed_it_says_so() -> None:
    nothing = report_of(
        matrix=replace(MATRIX, rows=(row(NOTHING),)),
        population=(),
        sealed=Sealed("", 0, 0, ""),
        number=0,
        size=0,
        keys=(),
    )
    text = said(nothing)
    for words in (
        "nothing was sealed yet",
        "no checkpoint yet",
        "None in these days.",
        "No rule names these controls",
        "The head of the log has not been signed yet.",
    ):
        assert words in text, words


def test_of_very_many_rules_it_says_how_many_it_leaves_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(report_pdf, "RULES_MOST", 20)
    many = row(JUDGED, rules=tuple(replace(SUMS, rule=f"r{one}") for one in range(25)))
    assert "5 more rules are in the pack." in said(report_of(matrix=replace(MATRIX, rows=(many,))))
