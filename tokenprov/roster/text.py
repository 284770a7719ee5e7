"""Bytes of a roster to text, without guessing.

Rules: a BOM decides (UTF-8: EF BB BF, UTF-16: FF FE or FE FF; Unicode 15, 23.8); without one the
bytes are UTF-8 or refused. Workbooks and UTF-16 without BOM are recognised to say what they are.
"""

from __future__ import annotations

import codecs
import re

from tokenprov.roster.problems import Problems

ZIP = b"PK\x03\x04"  # .xlsx, .ods
COMPOUND_FILE = bytes.fromhex("d0cf11e0a1b11ae1")  # .xls

SAVE_AS_UTF8 = (
    'Save it as UTF-8: in Excel "CSV UTF-8 (Comma delimited)", in LibreOffice "Character set: '
    'Unicode (UTF-8)", or run: iconv -f WINDOWS-1252 -t UTF-8'
)

# What no name needs and what could make one look like another: control characters (Cc), marks of
# direction and other invisible ones (Cf without the joiners that Persian and Indic scripts use),
# line separators, halves of surrogate pairs, and what a broken export puts for a lost character.
FORBIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def decode(data: bytes, problems: Problems) -> tuple[str, str]:
    """The text and the name of its encoding.

    Raises RosterError for an empty file, a workbook, NUL bytes and every wrong byte.
    """
    if data.startswith((ZIP, COMPOUND_FILE)):
        raise problems.stop(
            0, "", "this is a workbook, not a CSV file", 'In Excel: Save As, "CSV UTF-8".'
        )
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise problems.stop(0, "", "the file is UTF-32", SAVE_AS_UTF8)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text, encoding = _utf16(data, problems)
    else:
        text, encoding = _utf8(data, problems)
    if not text.strip():
        raise problems.stop(
            0,
            "",
            "the file is empty",
            "Write a first line id,name,email and then one line for each holder.",
        )
    nul = text.find("\0")
    if nul >= 0:
        raise problems.stop(
            text.count("\n", 0, nul) + 1,
            "",
            "there is a NUL byte in the line",
            "The file is damaged or is not text: export the roster again.",
        )
    return text, encoding


def _utf16(data: bytes, problems: Problems) -> tuple[str, str]:
    little = data.startswith(codecs.BOM_UTF16_LE)
    encoding = "utf-16-le" if little else "utf-16-be"
    try:
        text = data[2:].decode(encoding)
    except UnicodeDecodeError as exc:
        before = data[2 : 2 + exc.start].decode(encoding, "replace")
        raise problems.stop(
            before.count("\n") + 1,
            "",
            f"the file is UTF-16, and its bytes {exc.start + 2} to {exc.end + 2} are no character",
            "The file was cut short or damaged: export the roster again.",
        ) from exc
    return text, encoding.upper()


def _utf8(data: bytes, problems: Problems) -> tuple[str, str]:
    bom = data.startswith(codecs.BOM_UTF8)
    body = data[3:] if bom else data
    head = body[:512]
    if head.count(0) * 3 > len(head):
        raise problems.stop(0, "", "the file is UTF-16 or UTF-32 without a mark", SAVE_AS_UTF8)
    try:
        return body.decode("utf-8"), "UTF-8 with BOM" if bom else "UTF-8"
    except UnicodeDecodeError as exc:
        start = exc.start
    line = body.count(b"\n", 0, start) + 1
    column = start - (body.rfind(b"\n", 0, start) + 1) + 1
    wrong = body[start : start + 1]
    windows = wrong.decode("cp1252", "replace")
    hint = (
        f"; in Windows-1252 it would be {windows!r}"
        if windows != "\N{REPLACEMENT CHARACTER}"
        else ""
    )
    raise problems.stop(
        line,
        "",
        f"byte {column} of the line is 0x{wrong.hex()}, which is not UTF-8{hint}",
        SAVE_AS_UTF8,
    )
