"""Lists of serials, as they come with a delivery: what is read of them, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tokenprov.errors import InputError
from tokenprov.stock import parse_serials

GOOD = {
    "one a line": b"12345678\n12345679\n\n# a remark\n",
    "zeros of a label, and Windows lines": b"0012345678\r\n0012345679\r\n",
    "a range": b"12345678-12345679\n",
    "a range with dots": b"12345678..12345679",
    "a column named serial": b"serial\n12345678\n12345679\n",
    "a packing list": b"Pos,Article,Serial Number\n1,YubiKey 5 NFC,12345678\n2,x,12345679\n",
    "semicolons": b'Artikel;"Serial No."\r\n"YubiKey; 5";12345678\r\nx;12345679\r\n',
    "tabs and a mark": "\ufeffS/N\tmodel\n12345678\tx\n12345679\tx\n".encode(),
    "UTF-16": "SERIAL\n12345678\n12345679\n".encode("utf-16"),
}


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD.keys())
def test_read(data: bytes) -> None:
    """Each form says the same two serials."""
    assert parse_serials(data, "list") == ("12345678", "12345679")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A file, and what is said of it."""

    data: bytes
    says: str


BAD = {
    "empty": Bad(data=b"\n", says="no serial is in it"),
    "only a heading": Bad(data=b"serial\n", says="no serial is in it"),
    "twice": Bad(data=b"1\n2\n01\n", says="line 3: serial 1 stands in line 1 already"),
    "twice by a range": Bad(data=b"5\n3-6\n", says="line 2: serial 5 stands in line 1"),
    "letters": Bad(data=b"12345678\n1234567O\n", says="line 2: '1234567O' is no serial"),
    "hexadecimal": Bad(data=b"0x123\n", says="line 1: '0x123' is no serial"),
    "zero": Bad(data=b"0\n", says="0 is no token's serial"),
    "too large": Bad(data=b"4294967296\n", says="4294967296 is no token's serial"),
    "backwards": Bad(data=b"9-3\n", says="runs backwards"),
    "a slip": Bad(data=b"1-100001\n", says="100001 tokens, and 10000 are the most"),
    "no column": Bad(data=b"id,name\n1,x\n", says="no column is named serial"),
    "two columns": Bad(data=b"serial,s/n\n1,2\n", says="two columns are serials"),
    "ragged": Bad(data=b"serial,x\n1,2\n3\n", says="line 3: the line has 1 cells"),
    "empty cell": Bad(data=b"serial,x\n1,2\n,2\n", says="line 3: '' is no serial"),
    "a workbook": Bad(data=b"PK\x03\x04\xff\xfe\xfa", says="no text in UTF-8"),
}


@pytest.mark.parametrize(
    ("cell", "serial"),
    [
        ("0123456789ABCDEF0123456789abcdef", "0123456789abcdef0123456789abcdef"),
        ("01234567-89ab-cdef-0123-456789abcdef", "0123456789abcdef0123456789abcdef"),
        ("0032-0001-092446", "0032-0001-092446"),
        ("9dfa3f3fb9238499", "9dfa3f3fb9238499"),
    ],
)
def test_serials_of_cards(cell: str, serial: str) -> None:
    """GUID, FASC-N, and what PKCS#11 has room for, each as the token says it."""
    assert parse_serials(f"{cell}\n12345678\n".encode(), "list") == (serial, "12345678")


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_refused(bad: Bad) -> None:
    """Each is refused whole, with its line."""
    with pytest.raises(InputError) as refused:
        parse_serials(bad.data, "list")
    assert bad.says in str(refused.value)


def test_every_problem_is_told() -> None:
    """A file is mended once: all its problems stand in one message, the first twenty in words."""
    with pytest.raises(InputError) as refused:
        parse_serials(b"1\n" + b"x1\n" * 25, "list")
    assert "25 problems" in str(refused.value)
    assert "and 5 more" in str(refused.value)
    assert len(refused.value.problems) == 20
