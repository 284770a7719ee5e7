"""The virtual authenticator's CBOR: what it says, what it takes, and what it refuses."""

from __future__ import annotations

from typing import Any

import fido2.cbor
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenprov.sim.ctap import cbor

KEYS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.text(max_size=30), st.binary(max_size=30))
LEAVES = st.one_of(st.booleans(), KEYS)
VALUES = st.one_of(
    LEAVES,
    st.lists(LEAVES, max_size=30),
    st.dictionaries(KEYS, st.one_of(LEAVES, st.lists(LEAVES, max_size=3)), max_size=30),
)

RFC_8949_EXAMPLES = [  # RFC 8949, appendix A
    ("00", 0),
    ("17", 23),
    ("1818", 24),
    ("1903e8", 1000),
    ("1bffffffffffffffff", 18446744073709551615),
    ("20", -1),
    ("3903e7", -1000),
    ("f4", False),
    ("f5", True),
    ("f6", None),
    ("4401020304", b"\x01\x02\x03\x04"),
    ("63e6b0b4", "\u6c34"),
    ("8301820203820405", [1, [2, 3], [4, 5]]),
    ("a26161016162820203", {"a": 1, "b": [2, 3]}),
]


@pytest.mark.parametrize(("encoded", "value"), RFC_8949_EXAMPLES)
def test_rfc_8949_examples(encoded: str, value: Any) -> None:
    """The standard's examples decode to their values and encode to their bytes."""
    raw = bytes.fromhex(encoded)
    assert cbor.decode(raw) == value
    assert cbor.encode(value) == raw


@given(VALUES)
def test_agrees_with_the_makers_codec(value: Any) -> None:
    """Whatever CTAP2 can say, the maker's library encodes to the same bytes, and both read it."""
    raw = cbor.encode(value)
    assert raw == fido2.cbor.encode(value)
    assert cbor.decode(raw) == value


@given(st.binary(max_size=60))
def test_takes_only_what_it_would_say_itself(raw: bytes) -> None:
    """Bytes that decode at all encode to themselves; everything else is a `CborError`."""
    try:
        value = cbor.decode(raw)
    except cbor.CborError:
        return
    if b"\xf7" not in raw:  # undefined reads as null
        assert cbor.encode(value) == raw


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        ("", "ends within"),
        ("1817", "longer than it need be"),
        ("190017", "longer than it need be"),
        ("19", "ends within"),
        ("43aabb", "ends after"),
        ("5801aa", "longer than it need be"),
        ("5f41aaff", "indefinite"),
        ("a2020001f4", "out of order"),
        ("a201000100", "twice"),
        ("a2626161006162 00", "out of order"),
        ("a1f500", "neither"),
        ("c074323031332d30332d32315432303a30343a30305a", "tag"),
        ("f90000", "floating"),
        ("f0", "simple value"),
        ("61ff", "UTF-8"),
        ("0000", "after the item"),
        ("818181818100", "too deep"),
    ],
)
def test_refusals(encoded: str, reason: str) -> None:
    """What is not canonical is refused, with the rule that it breaks."""
    with pytest.raises(cbor.CborError, match=reason):
        cbor.decode(bytes.fromhex(encoded))


def test_four_levels_are_allowed() -> None:
    """Four levels of arrays are within the limit."""
    assert cbor.decode(bytes.fromhex("8181818100")) == [[[[0]]]]


def test_no_place_for_other_types() -> None:
    """A type that CTAP2 does not have is a programming error."""
    with pytest.raises(TypeError, match="float"):
        cbor.encode(1.5)
