"""The OTP part of the profile language: the two slots that a touch or a challenge reads.

Source: "YubiKey Manual" 3.4 (slots, flags, access codes, swap) and RFC 4226 for HOTP. A slot is
written whole: seed, flags and access code in one command.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from pydantic import Discriminator, StrictBool, StrictInt, Tag

from tokenprov.profile.faults import Fault
from tokenprov.profile.fields import OF_ISSUE, Template
from tokenprov.profile.keyboard import MAX_SCAN_CODES, Layout, untypable
from tokenprov.profile.modhex import (
    MANUFACTURER_AND_TYPE,
    public_id_fault,
    token_id_fault,
)
from tokenprov.profile.ndef import Ndef
from tokenprov.profile.section import Section, TemplateText, Text

BY_SERIAL = "serial"  # an identity made of the token's serial
NO_TOKEN_ID = "none"
PACINGS = (0, 20, 40, 60)  # milliseconds between keystrokes: two flags
COUNTER_STEP, MAX_COUNTER = 16, 0xFFFF0  # of the initial moving factor: 16 bits of it are kept
DIGITS = (6, 8)  # RFC 4226, 5.3, as a slot can type them
MIN_PASSWORD_BITS = 64  # policy: a password that nobody types by hand can be out of reach


class Slot(Section):
    """What every slot that is written has.

    Slot 1 leaves the factory with a credential for YubiCloud that cannot be read back. Without
    `replace_factory` it is kept, and the slot is written only where it is empty.
    """

    access_code: StrictBool = True  # drawn; without it nobody overwrites the slot
    replace_factory: StrictBool = False


class TypingSlot(Slot):
    """A slot that types by a touch, as a keyboard."""

    append_enter: StrictBool = True
    pacing: StrictInt = 0  # milliseconds between keystrokes, for computers that lose some
    fast_trigger: StrictBool = True  # a short touch is enough where slot 1 alone is set
    numeric_keypad: StrictBool = False  # digits as the keypad's, the same on every layout

    def rules(self) -> Iterator[Fault]:
        """A pacing that there is."""
        if self.pacing not in PACINGS:
            yield Fault(
                at=("pacing",),
                message=f"{self.pacing} is not a pacing: 0, 20, 40 or 60 milliseconds",
                remedy="Write pacing = 20 for a computer that loses keystrokes.",
            )


Place = Literal["before", "after-id", "after-code"]
Pause = Literal["after-id", "after-code"]


class YubicoOtpSlot(TypingSlot):
    """A Yubico OTP: private id and key drawn, the public id made of the serial or given."""

    kind: Literal["yubico-otp"]
    public_id: TemplateText = Template.parse(BY_SERIAL)  # or modhex
    tabs: tuple[Place, ...] = ()  # where a tab is typed
    delays: tuple[Pause, ...] = ()  # where it waits half a second

    def rules(self) -> Iterator[Fault]:
        """A public id that a slot can type."""
        yield from super().rules()
        yield from _identity(
            "public-id", self.public_id, (BY_SERIAL,), public_id_fault, 'public-id = "serial"'
        )


class HotpSlot(TypingSlot):
    """An OATH HOTP (RFC 4226): the seed drawn, counted from `counter`."""

    kind: Literal["hotp"]
    digits: StrictInt = 6
    counter: StrictInt = 0  # initial moving factor
    token_id: TemplateText = Template.parse(NO_TOKEN_ID)  # or serial, or twelve characters

    def rules(self) -> Iterator[Fault]:
        """Digits and a counter that a slot can hold, and a token identifier."""
        yield from super().rules()
        if self.digits not in DIGITS:
            yield Fault(
                at=("digits",),
                message=f"a slot types HOTP codes of 6 or 8 digits, not of {self.digits}",
                remedy="Write digits = 6, which most servers expect.",
            )
        if not 0 <= self.counter <= MAX_COUNTER or self.counter % COUNTER_STEP:
            yield Fault(
                at=("counter",),
                message=f"a slot counts from a multiple of {COUNTER_STEP} up to {MAX_COUNTER}, "
                f"not from {self.counter}",
                remedy="Write counter = 0, and have the server count from 0 too.",
            )
        yield from _identity(
            "token-id",
            self.token_id,
            (BY_SERIAL, NO_TOKEN_ID),
            token_id_fault,
            f'token-id = "serial" for {MANUFACTURER_AND_TYPE} and the serial',
        )


class StaticPasswordSlot(TypingSlot):
    """A drawn password that a touch types, of characters that the keyboard layout has."""

    kind: Literal["static-password"]
    length: StrictInt = 20  # characters
    layout: Layout = Layout.MODHEX  # of the computers that it is typed at
    characters: Text | None = None  # what it is drawn from; None: the layout's usual ones

    @property
    def drawn_from(self) -> str:
        """The characters it is drawn from."""
        return self.characters or self.layout.usual_characters

    def rules(self) -> Iterator[Fault]:
        """It fits, each character can be typed and counts once, and nobody guesses it."""
        yield from super().rules()
        if not 1 <= self.length <= MAX_SCAN_CODES:
            yield Fault(
                at=("length",),
                message=f"a slot types from 1 to {MAX_SCAN_CODES} characters, not {self.length}",
                remedy="Write length = 20.",
            )
            return
        drawn_from = self.drawn_from
        missing = untypable(drawn_from, self.layout)
        if missing:
            yield Fault(
                at=("characters",),
                message=f"the keyboard layout {self.layout} has no key for {_listed(missing)}",
                remedy="Take the character out, or choose the layout of the computers.",
            )
        twice = "".join(sorted({one for one in drawn_from if drawn_from.count(one) > 1}))
        if twice:
            yield Fault(
                at=("characters",),
                message=f"{_listed(twice)} stands twice, so that it would be drawn more often",
                remedy="Write each character once.",
            )
        bits = self.length * math.log2(len(set(drawn_from)))
        if bits < MIN_PASSWORD_BITS:
            needed = math.ceil(MIN_PASSWORD_BITS / max(math.log2(len(set(drawn_from))), 1))
            yield Fault(
                at=("length",),
                message=f"{self.length} of these characters have {bits:.0f} bits: policy asks for "
                f"{MIN_PASSWORD_BITS}",
                remedy=f"Write length = {needed} or more"
                + (", or more characters." if needed > MAX_SCAN_CODES else "."),
            )


class HmacSha1Slot(Slot):
    """HMAC-SHA1 challenge-response."""

    kind: Literal["hmac-sha1"]
    touch: StrictBool = False


class EmptySlot(Section):
    """A slot that is to be empty: the factory's credential is deleted."""

    kind: Literal["empty"] = "empty"
    delete: StrictBool = True

    def rules(self) -> Iterator[Fault]:
        """It says so."""
        if not self.delete:
            yield Fault(
                at=("delete",),
                message="delete = false says nothing about the slot",
                remedy="Delete the table: then the slot is left alone.",
            )


def _kind(value: Any) -> Any:
    """Which of the tables below a slot's is: by its kind, or by `delete`."""
    if not isinstance(value, dict):
        return getattr(value, "kind", None)
    return value.get("kind", "empty" if "delete" in value else None)


OtpSlot = Annotated[
    Annotated[YubicoOtpSlot, Tag("yubico-otp")]
    | Annotated[HmacSha1Slot, Tag("hmac-sha1")]
    | Annotated[HotpSlot, Tag("hotp")]
    | Annotated[StaticPasswordSlot, Tag("static-password")]
    | Annotated[EmptySlot, Tag("empty")],
    Discriminator(_kind),
]


class OtpSection(Section):
    """The OTP applet: what is done with slot 1 first, the two slots, and what NFC gives."""

    swap: StrictBool = False  # the factory's credential moves to slot 2, slot 1 is then empty
    slot1: OtpSlot | None = None
    slot2: OtpSlot | None = None
    ndef: Ndef | None = None

    def rules(self) -> Iterator[Fault]:
        """Something to write, and a factory credential only where there is one."""
        if self.slot1 is None and self.slot2 is None and self.ndef is None and not self.swap:
            yield Fault(
                message="[otp] sets neither slot",
                remedy="Add [otp.slot1] or [otp.slot2], or delete [otp].",
            )
        if isinstance(self.slot2, Slot) and self.slot2.replace_factory:
            yield Fault(
                at=("slot2", "replace-factory"),
                message="slot 2 leaves the factory empty: there is nothing to replace",
                remedy="Delete the key; it belongs to slot 1.",
            )
        if self.swap:
            yield from self._swapped()
        if self.ndef is not None:
            yield from self._given_by_nfc(self.ndef)

    def _swapped(self) -> Iterator[Fault]:
        if self.slot2 is not None:
            yield Fault(
                at=("slot2",),
                message="swap moves the factory's credential to slot 2, which is set here",
                remedy="Delete [otp.slot2], or delete swap.",
            )
        if isinstance(self.slot1, EmptySlot):
            yield Fault(
                at=("slot1",),
                message="swap leaves slot 1 empty by itself",
                remedy="Delete [otp.slot1].",
            )
        elif self.slot1 is not None and self.slot1.replace_factory:
            yield Fault(
                at=("slot1", "replace-factory"),
                message="swap keeps the factory's credential, in slot 2",
                remedy="Delete replace-factory, or delete swap.",
            )

    def _given_by_nfc(self, ndef: Ndef) -> Iterator[Fault]:
        """A slot that will type something."""
        if ndef.slot not in (1, 2):
            return  # told by its own table
        number, slot = ndef.slot, self.slot1 if ndef.slot == 1 else self.slot2
        from_factory = (number == 2) is self.swap
        if isinstance(slot, TypingSlot) or (slot is None and from_factory):
            return
        what = "is empty" if slot is None or isinstance(slot, EmptySlot) else "types nothing"
        yield Fault(
            at=("ndef", "slot"),
            message=f"slot {number} {what}, so it has no code for NDEF",
            remedy=f"Write slot = {3 - number}, or set [otp.slot{number}].",
        )


def _identity(
    key: str, template: Template, words: tuple[str, ...], fault: Callable[[str], str], example: str
) -> Iterator[Fault]:
    """What is wrong with an identity; one that names the holder is checked with the roster."""
    if any(field in OF_ISSUE for _, field in template.pieces):
        yield Fault(
            at=(key,),
            message=f"{template.text!r}: neither the serial nor the day is put into an identity",
            remedy=f"Write {example}.",
        )
        return
    if template.fields or template.text in words:
        return
    found = fault(template.text)
    if found:
        yield Fault(at=(key,), message=found, remedy=f"Write {example}.")


def _listed(characters: str) -> str:
    return ", ".join(map(repr, characters))
