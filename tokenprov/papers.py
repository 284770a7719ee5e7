"""Labels for kits, letters with PINs and sheets of recovery codes, as PDF (ISO 32000).

Rules:
- A label and a PIN never stand in one file: whoever packs the tokens does not see their PINs.
- A QR code (ISO/IEC 18004, error correction M) holds a token's serial, a blank, and its kit.
- Names are set in DejaVu Sans, what it lacks in a font of the reader for Japanese.
- The same data give the same bytes: no time, no random id.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reportlab.graphics import renderPDF
from reportlab.graphics.barcode.qr import QrCodeWidget
from reportlab.graphics.shapes import Drawing
from reportlab.lib.pagesizes import A4, A6
from reportlab.lib.units import mm
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.pdfmetrics import registerFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

_DEJAVU = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")  # Debian: fonts-dejavu-core
_OTHER = "HeiseiKakuGo-W5"  # one of those that every PDF reader brings (ISO 32000-1, 9.7.5.2)
_QR = 28 * mm
_MARGIN = 8 * mm
_ROWS = 25  # recovery codes in a column of a sheet


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """One token of a kit: its place in words, its serial, and its PINs by what they are for."""

    place: str
    serial: str
    pins: Sequence[tuple[str, str]] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """One holder's tokens."""

    kit: str
    name: str
    tokens: Sequence[Packed]


def labels(kits: Sequence[Kit]) -> bytes:
    """A6, one page a kit: whose it is, and each token with its code. No PIN is drawn."""
    pages = _Pages(A6)
    for kit in kits:
        width, height = A6
        pages.text(_MARGIN, height - 14 * mm, kit.name, 13)
        pages.text(_MARGIN, height - 20 * mm, f"kit {kit.kit}", 9)
        for number, token in enumerate(kit.tokens):
            column, row = number % 2, number // 2
            x = _MARGIN + column * (width / 2 - _MARGIN / 2)
            y = height - 26 * mm - _QR - row * (_QR + 11 * mm)
            pages.code(f"{token.serial} {kit.kit}", x, y)
            pages.text(x, y - 3 * mm, token.place, 8)
            pages.text(x, y - 7 * mm, token.serial, 10)
        pages.end()
    return pages.done()


def letters(kits: Sequence[Kit], station: str) -> bytes:
    """A4, one page a kit: the PINs of each token. It is a secret as a whole."""
    pages = _Pages(A4)
    for kit in kits:
        _, height = A4
        left, y = 25 * mm, height - 60 * mm
        pages.text(left, y, kit.name, 14)
        y -= 14 * mm
        pages.text(left, y, f"Your PINs, from station {station}. Keep them from your tokens.", 10)
        for token in kit.tokens:
            y -= 14 * mm
            pages.text(left, y, f"{token.place}, serial {token.serial}", 11)
            for what, value in token.pins:
                y -= 8 * mm
                pages.text(left + 8 * mm, y, what, 10)
                pages.text(left + 60 * mm, y, value, 14)
        pages.end()
    return pages.done()


def recovery_sheet(name: str, codes: Sequence[str], until: str, station: str) -> bytes:
    """A4, one page: a holder's recovery codes. It is a secret as a whole."""
    pages = _Pages(A4)
    _, height = A4
    left, y = 25 * mm, height - 60 * mm
    pages.text(left, y, name, 14)
    y -= 14 * mm
    pages.text(left, y, f"Your recovery codes, from station {station}, until {until}.", 10)
    y -= 6 * mm
    pages.text(left, y, "Each serves once. Keep them from your tokens.", 10)
    for column in range(0, len(codes), _ROWS):
        for row, code in enumerate(codes[column : column + _ROWS]):
            x = left + column // _ROWS * 80 * mm
            pages.text(x, y - (row + 1) * 7 * mm, f"{column + row + 1:2}  {code}", 12)
    pages.end()
    return pages.done()


class _Pages:
    """A document of pages of one size."""

    def __init__(self, size: tuple[float, float]) -> None:
        self._buffer = io.BytesIO()
        self._canvas = Canvas(self._buffer, pagesize=size, invariant=1)
        self._main = TTFont("names", str(_DEJAVU) if _DEJAVU.is_file() else "Vera.ttf")
        self._other = UnicodeCIDFont(_OTHER)
        for font in (self._main, self._other):
            registerFont(font)

    def text(self, x: float, y: float, text: str, size: int) -> None:
        """One line from (x, y) on, each character in a font that has it."""
        line = self._canvas.beginText(x, y)
        for character in text:
            known = ord(character) in self._main.face.charToGlyph
            line.setFont("names" if known else _OTHER, size)
            line.textOut(character)
        self._canvas.drawText(line)

    def code(self, text: str, x: float, y: float) -> None:
        """A QR code with its lower left corner there."""
        widget = QrCodeWidget(text, barLevel="M", barWidth=_QR, barHeight=_QR)
        drawing = Drawing(_QR, _QR)
        drawing.add(widget)
        renderPDF.draw(drawing, self._canvas, x, y)

    def end(self) -> None:
        """The page is full."""
        self._canvas.showPage()

    def done(self) -> bytes:
        """The file."""
        self._canvas.save()
        return self._buffer.getvalue()
