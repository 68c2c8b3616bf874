"""How a report looks: pages of A4, tables that go on over pages, and how to verify what they say.

Equal reports have equal bytes: the time of a report is that of its checkpoint, and ReportLab is
told to write nothing else that changes. The letters are those of Bitstream Vera, which ReportLab
brings along and which are put into the file, as far as they are used; a letter that they lack
(names of tenants may have any) is a question mark. Nothing here says more than satisfied, violated
or inconclusive.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import cache
from typing import Any, Final
from xml.sax.saxutils import escape

import reportlab
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import registerFont, registerFontFamily
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    Flowable,
    KeepTogether,
    Paragraph,
    Preformatted,
    SimpleDocTemplate,
    Table,
    TableStyle,
)

from api.evidence.matrix import ControlRow, Standing, framework_title
from api.evidence.report import Report
from udfs.evidence.table_lines import moment_text

RULES_MOST: Final = 2_000
"""Rows of coverage; a report with more says how many it leaves to the pack."""

_INK: Final = HexColor("#1c2024")
_MUTED: Final = HexColor("#60646c")
_LINE: Final = HexColor("#d9d9e0")
_SHADE: Final = HexColor("#f4f4f7")
_WIDTH: Final = A4[0] - 36 * mm - 12
"""Of text, in points: frames have a margin of 6 on both sides."""
_CODE_SIZE: Final = 7.5
_CODE_LEAST: Final = 4.0
_CODE_ADVANCE: Final = 0.6
"""Of a letter of Courier, by its size."""
STANDINGS: Final = {
    Standing.VIOLATED: ("violated", HexColor("#c62a2f")),
    Standing.INCONCLUSIVE: ("inconclusive", HexColor("#ad5700")),
    Standing.SATISFIED: ("satisfied", HexColor("#18794e")),
    Standing.WATCHED: ("watched", _MUTED),
    Standing.NONE: ("no evidence", _MUTED),
}
_MEANINGS: Final = {
    Standing.VIOLATED: "a rule was broken, or a service said that what it did failed",
    Standing.INCONCLUSIVE: "something could not be judged, and nothing was violated",
    Standing.SATISFIED: "there is evidence, and none of a violation",
    Standing.WATCHED: "rules looked, and nothing that concerns them happened",
    Standing.NONE: "nothing of it was sealed in these days",
}
_KINDS: Final = {
    "span": "compliance spans",
    "verdict": "verdicts of rules",
    "coverage": "coverage",
    "act": "acts in BeTrace",
    "key": "keys of the log",
}


def draw_report(report: Report) -> bytes:
    """Return a report as PDF. Equal reports, equal bytes."""
    file = io.BytesIO()
    document = SimpleDocTemplate(
        file,
        pagesize=A4,
        leftMargin=18 * mm,
        rightMargin=18 * mm,
        topMargin=18 * mm,
        bottomMargin=20 * mm,
        title=_letters(_title(report)),
        author=_letters(report.tenant_name or report.tenant),
        subject="Evidence sealed by BeTrace",
        creator="BeTrace",
        lang="en",
        invariant=1,
    )
    _fonts()

    def foot(canvas: Canvas, page: Any) -> None:
        _foot(canvas, page, report)

    document.build(list(_story(report)), onFirstPage=foot, onLaterPages=foot)
    return file.getvalue()


def _story(report: Report) -> Iterator[Flowable]:
    yield from _head(report)
    yield from _population(report)
    if report.control:
        yield from _described(report.matrix.rows[0])
    yield from _controls(report)
    yield from _without(report)
    yield from _coverage(report)
    yield from _checkpoint(report)
    yield from _verifying(report)


def _title(report: Report) -> str:
    return f"Evidence of {report.control or framework_title(report.matrix.framework)}"


def _period(report: Report) -> str:
    last = report.matrix.to_day - timedelta(days=1)
    return f"{report.matrix.from_day.isoformat()} to {last.isoformat()}"


def _head(report: Report) -> Iterator[Flowable]:
    yield _text(_title(report), "title")
    yield _text(f"{report.tenant_name or report.tenant}, {_period(report)}, days in UTC", "lead")
    yield _table(
        [
            ("Tenant", report.tenant),
            ("Log", report.sealed.origin or "nothing was sealed yet"),
            (
                "As of",
                f"checkpoint {report.number:,}, signed {moment_text(report.sealed.time_ms)}"
                if report.number
                else "no checkpoint yet",
            ),
        ],
        widths=(0.16, 0.84),
    )
    yield _text(
        "This report counts what was seen in traces and sealed. Whether a control is effective is "
        "for people to judge: traces cannot show all that a control asks for, nor that all traces "
        "were sent. A PDF proves nothing; the last page says how to verify each number."
    )
    counts = dict.fromkeys(Standing, 0)
    for row in report.matrix.rows:
        counts[row.standing] += 1
    yield _table(
        [
            (str(count), _standing(standing), _MEANINGS[standing])
            for standing, count in counts.items()
        ],
        widths=(0.1, 0.2, 0.7),
        numbers=(0,),
    )


def _population(report: Report) -> Iterator[Flowable]:
    yield _heading("Population")
    of = f"control {report.control}" if report.control else "controls of the framework"
    yield _text(f"{report.records:,} records name {of} and happened in these days.")
    if report.population:
        yield _table(
            [
                (_KINDS.get(one.kind, one.kind), one.outcome, f"{one.records:,}")
                for one in report.population
            ],
            head=("Kind", "Outcome", "Records"),
            widths=(0.4, 0.4, 0.2),
            numbers=(2,),
        )
    open_count = report.size - report.sealed.size
    if open_count > 0:
        yield _text(
            f"{open_count:,} of the {report.size:,} records of the log are under no checkpoint "
            "yet; some of them may be counted here."
        )


def _described(row: ControlRow) -> Iterator[Flowable]:
    if row.described is None:
        yield _text("No catalogue describes this control: rules and spans name it.")
        return
    yield _heading(row.described.title)
    for label, text in (
        ("What it asks for", row.described.asks),
        ("What traces show of it", row.described.shows),
        ("What they cannot show", row.described.lacks),
    ):
        yield _text(f"{label}: {text}")


def _controls(report: Report) -> Iterator[Flowable]:
    seen = [row for row in report.matrix.rows if row.standing is not Standing.NONE]
    yield _heading("Controls with evidence")
    if not seen:
        yield _text("None in these days.")
        return
    days = (report.matrix.to_day - report.matrix.from_day).days
    yield _table(
        [
            (
                _control(row),
                _standing(row.standing),
                f"{row.satisfied:,}",
                f"{row.violated:,}",
                f"{row.inconclusive:,}",
                f"{row.day_count:,} of {days:,}",
                "never" if row.last_ms is None else moment_text(row.last_ms)[:10],
            )
            for row in seen
        ],
        head=(
            *("Control", "Standing", "Satisfied", "Violated", "Incon- clusive"),
            *("Days with evidence", "Last, of any time"),
        ),
        widths=(0.3, 0.15, 0.12, 0.1, 0.1, 0.12, 0.11),
        numbers=(2, 3, 4, 5),
    )


def _without(report: Report) -> Iterator[Flowable]:
    nothing = [row for row in report.matrix.rows if row.standing is Standing.NONE]
    if not nothing:
        return
    yield _heading("Controls without evidence")
    yield _text(
        "Nothing that concerns these was sealed in these days. That says nothing of them, good or "
        "bad."
    )
    yield _table(
        [
            (
                _control(row),
                "never" if row.last_ms is None else moment_text(row.last_ms)[:10],
                "–" if row.days_without is None else f"{row.days_without:,}",
            )
            for row in nothing
        ],
        head=("Control", "Last evidence of any time", "Days without"),
        widths=(0.6, 0.2, 0.2),
        numbers=(2,),
    )


def _coverage(report: Report) -> Iterator[Flowable]:
    rows = [(row, sums) for row in report.matrix.rows for sums in row.rules]
    yield _heading("Coverage")
    if not rows:
        yield _text("No rule names these controls, so none was judged.")
        return
    yield _text(
        "How often each rule was judged, interval by interval, those with nothing to judge "
        "included. Late and dropped: spans that came too late to be judged, or were refused, in "
        "these intervals."
    )
    yield _table(
        [
            (
                row.id,
                sums.rule,
                *(
                    f"{number:,}"
                    for number in (
                        *(sums.intervals, sums.judged, sums.satisfied, sums.violated),
                        *(sums.inconclusive, sums.late + sums.dropped),
                    )
                ),
            )
            for row, sums in rows[:RULES_MOST]
        ],
        head=(
            *("Control", "Rule", "Inter- vals", "Judged", "Satisfied", "Violated"),
            *("Incon- clusive", "Late, dropped"),
        ),
        widths=(0.17, 0.23, 0.09, 0.11, 0.11, 0.1, 0.09, 0.1),
        numbers=(2, 3, 4, 5, 6, 7),
    )
    if len(rows) > RULES_MOST:
        yield _text(f"{len(rows) - RULES_MOST:,} more rules are in the pack.")


def _checkpoint(report: Report) -> Iterator[Flowable]:
    yield _heading("Checkpoint")
    if not report.number:
        yield _text("The head of the log has not been signed yet.")
        return
    yield _text(
        f"The newest checkpoint of the log, number {report.number:,}, covers "
        f"{report.sealed.size:,} records and was signed {moment_text(report.sealed.time_ms)}:"
    )
    yield _code(report.sealed.note)
    yield _text("Verifier keys of the log, oldest first. Ask for one on another way than this:")
    yield _code("\n".join(report.keys))


def _verifying(report: Report) -> Iterator[Flowable]:
    last = report.matrix.to_day
    asked = (
        f"--control '{report.control}'"
        if report.control
        else f"--framework {report.matrix.framework}"
    )
    yield KeepTogether(
        [
            _heading("How to verify this"),
            _text(
                "1. Have a pack of the same days exported, or export one. It holds every record of "
                "the period, what proves that none was changed or left out, and the numbers above."
            ),
            _code(
                f"betrace evidence export --out PACK.zip {asked} \\\n"
                f"  --from {report.matrix.from_day.isoformat()} --to {last.isoformat()}"
            ),
            _text(
                "2. Verify it on a computer of your own, without a network. verify.py is one file "
                "of Python that can be read beforehand; a page of BeTrace does the same in a "
                "browser that is offline."
            ),
            _code(f"python verify.py PACK.zip --key '{_newest_key(report)}'"),
            _text(
                "3. Compare: it counts the population and the coverage anew, and says which "
                "checkpoint they were sealed under. Save the checkpoint above as SEEN.note and add "
                "--checkpoint SEEN.note: then a log that was forked or set back since this report "
                "is found out."
            ),
        ]
    )


def _newest_key(report: Report) -> str:
    return report.keys[-1] if report.keys else "VERIFIER_KEY"


def _foot(canvas: Canvas, page: Any, report: Report) -> None:
    canvas.saveState()
    canvas.setFont("Vera", 7)
    canvas.setFillColor(_MUTED)
    canvas.drawString(18 * mm, 11 * mm, _letters(f"{_title(report)}, {_period(report)}"))
    canvas.drawRightString(A4[0] - 18 * mm, 11 * mm, f"Page {page.page}")
    canvas.restoreState()


# pieces


class _Marked(str):
    """A text that is markup already."""


def _standing(standing: Standing) -> _Marked:
    word, colour = STANDINGS[standing]
    return _Marked(f'<font color="{_hex(colour)}"><b>{word}</b></font>')


def _control(row: ControlRow) -> _Marked:
    title = row.described.title if row.described else "not in the catalogue"
    return _Marked(
        f"<b>{escape(_letters(row.id))}</b><br/>"
        f'<font color="{_hex(_MUTED)}">{escape(_letters(title))}</font>'
    )


def _heading(text: str) -> Flowable:
    return _text(text, "heading")


def _text(text: str, style: str = "text") -> Paragraph:
    marked = text if isinstance(text, _Marked) else escape(_letters(text))
    return Paragraph(marked, _styles()[style])


def _code(text: str) -> Flowable:
    """Return lines as they are: a note that is copied must not be broken, so it gets smaller."""
    longest = max(map(len, text.splitlines()), default=1)
    size = max(_CODE_LEAST, min(_CODE_SIZE, (_WIDTH - 8) / (_CODE_ADVANCE * longest)))
    style = ParagraphStyle("sized", parent=_styles()["code"], fontSize=size, leading=size * 1.35)
    most = round((_WIDTH - 8) / (_CODE_ADVANCE * size))
    return Preformatted(text, style, maxLineLength=most, splitChars=" +/")


def _table(
    rows: Sequence[tuple[str, ...]],
    *,
    widths: tuple[float, ...],
    head: tuple[str, ...] = (),
    numbers: tuple[int, ...] = (),
) -> Flowable:
    """Return a table as wide as the page.

    widths: shares of it. numbers: columns that are set to the right.
    """

    def cells(row: tuple[str, ...], style: str) -> list[Paragraph]:
        return [
            _text(cell, f"{style}-number" if at in numbers else style)
            for at, cell in enumerate(row)
        ]

    body = [cells(row, "cell") for row in rows]
    table = Table(
        [cells(head, "head"), *body] if head else body,
        colWidths=[share * _WIDTH for share in widths],
        repeatRows=1 if head else 0,
        spaceBefore=4,
        spaceAfter=8,
        hAlign="LEFT",
    )
    style: list[Any] = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE),
        ("LEFTPADDING", (0, 0), (-1, -1), 4),
        ("RIGHTPADDING", (0, 0), (-1, -1), 4),
        ("TOPPADDING", (0, 0), (-1, -1), 3),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
    ]
    if head:
        style.append(("BACKGROUND", (0, 0), (-1, 0), _SHADE))
    table.setStyle(TableStyle(style))
    return table


@cache
def _styles() -> dict[str, ParagraphStyle]:
    text = ParagraphStyle(
        "text", fontName="Vera", fontSize=8.5, leading=12.5, textColor=_INK, spaceAfter=5
    )
    cell = ParagraphStyle("cell", parent=text, fontSize=7.5, leading=10, spaceAfter=0)
    head = ParagraphStyle("head", parent=cell, fontName="VeraBd", fontSize=7)
    made = [
        text,
        cell,
        head,
        ParagraphStyle("title", parent=text, fontName="VeraBd", fontSize=18, leading=23),
        ParagraphStyle("lead", parent=text, fontSize=10, textColor=_MUTED, spaceAfter=8),
        ParagraphStyle(
            "heading",
            parent=text,
            fontName="VeraBd",
            fontSize=12,
            leading=16,
            spaceBefore=10,
            keepWithNext=1,
        ),
        ParagraphStyle("cell-number", parent=cell, alignment=TA_RIGHT),
        ParagraphStyle("head-number", parent=head, alignment=TA_RIGHT),
        ParagraphStyle(
            "code",
            fontName="Courier",
            fontSize=_CODE_SIZE,
            textColor=_INK,
            backColor=_SHADE,
            borderPadding=4,
            leftIndent=4,
            spaceBefore=5,
            spaceAfter=10,
        ),
    ]
    return {style.name: style for style in made}


@cache
def _fonts() -> TTFont:
    """Register the letters; return those of plain text."""
    folder = f"{reportlab.__path__[0]}/fonts"
    for name in ("Vera", "VeraBd"):
        registerFont(TTFont(name, f"{folder}/{name}.ttf"))
    registerFontFamily("Vera", normal="Vera", bold="VeraBd", italic="Vera", boldItalic="VeraBd")
    return TTFont("Vera", f"{folder}/Vera.ttf")


def _letters(text: str) -> str:
    """Return a text with a question mark for what the letters lack."""
    known = _fonts().face.charToGlyph
    return "".join(char if ord(char) in known else "?" for char in text)


def _hex(colour: Color) -> str:
    return f"#{colour.hexval()[2:]}"
