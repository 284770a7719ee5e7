"""Old encryption keys in the retired slots, and the object that tells readers of them.

SP 800-73-4 part 1, 3.3.3: the Key History object counts the retired keys whose certificates are on
the card (which take the slots from 82 on, without a gap) and those whose certificates are not, with
the URL of a file that holds these. Readers that find no such object look into no retired slot.

The object is written last, so that it never promises what is not there yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cryptography import x509
from yubikit.core import Tlv
from yubikit.piv import KEY_TYPE, OBJECT_ID, SLOT

from tokenprov.model import Json
from tokenprov.secret import RandomBytes, Secret
from tokenprov.step import Drawn, Finding, Intent, State, Step, conflict
from tokenprov.steps.piv.certificate import found_certificate, put_certificate
from tokenprov.steps.piv.imported_key import ImportedKeyStep, load_private
from tokenprov.steps.piv.objects import ObjectStep
from tokenprov.steps.piv.slot_key import SlotKey
from tokenprov.token import Token

RETIRED_SLOTS = tuple(slot for slot in SLOT if SLOT.RETIRED1 <= slot <= SLOT.RETIRED20)
TAG_ON_CARD, TAG_OFF_CARD, TAG_URL, TAG_ERROR_DETECTION = 0xC1, 0xC2, 0xF3, 0xFE  # table 17


@dataclass(frozen=True, slots=True, kw_only=True)
class RetiredKey:
    """An encryption key of the holder's past, out of escrow, and its certificate."""

    private_key: Secret  # PKCS#8, DER
    certificate: bytes  # DER


def history_steps(keys: Sequence[RetiredKey], *, first: SLOT = SLOT.RETIRED1) -> Iterator[Step]:
    """Steps that import keys and certificates, newest first, from a retired slot on.

    `KeyHistoryStep` is to follow, with all keys of the retired slots counted.
    """
    slots = RETIRED_SLOTS[RETIRED_SLOTS.index(first) :]
    for slot, retired in zip(slots, keys, strict=False):
        public_key = load_private(retired.private_key).public_key()
        key = ImportedKeyStep(
            slot=slot,
            algorithm=KEY_TYPE.from_public_key(public_key),
            given=retired.private_key,
        )
        yield key
        yield GivenCertificateStep(key=key, certificate=retired.certificate)


class GivenCertificateStep:
    """A certificate that was issued long ago, beside its key."""

    def __init__(self, *, key: SlotKey, certificate: bytes, compress: bool = False) -> None:
        self._key, self._certificate, self._compress = key, certificate, compress
        self.id = f"piv/{key.slot:02x}/certificate"
        self.title = f"certificate in {key.slot:02x}"

    def draw(self, random: RandomBytes) -> Drawn:
        """Its serial number, so that the journal says which it was."""
        serial = x509.load_der_x509_certificate(self._certificate).serial_number
        return Drawn(public={"serialNumber": f"{serial:x}"})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """The certificate on the token is the given one, and it is for the key beside it."""
        slot = f"{self._key.slot:02x}"
        there = token.piv().certificate(self._key.slot)
        if there is None:
            return Finding(state=State.ABSENT)
        if intent is None:
            return conflict(f"slot {slot} holds a certificate")
        if there != self._certificate:
            return conflict(f"the certificate in {slot} is not the one from escrow")
        return found_certificate(token, self._key, there, compressed=self._compress)

    def apply(self, token: Token, intent: Intent) -> None:
        """One write. Needs the management key."""
        put_certificate(token, self._key, self._certificate, compress=self._compress)


class KeyHistoryStep(ObjectStep):
    """The Key History object."""

    id = "piv/key-history"
    title = "key history"
    object_id = OBJECT_ID.KEY_HISTORY

    def __init__(self, *, on_card: int, off_card: int = 0, url: str = "") -> None:
        """How many retired keys have their certificates on the token, and how many at `url`."""
        self._public: dict[str, Json] = {"onCard": on_card, "offCard": off_card}
        if url:
            self._public["url"] = url

    def draw(self, random: RandomBytes) -> Drawn:
        """The counts."""
        return Drawn(public=self._public)

    def value(self, public: Mapping[str, Json]) -> bytes:
        """Table 17: the counts, the URL where there is one, and an empty error detection code."""
        fields = [
            Tlv(TAG_ON_CARD, bytes([public["onCard"]])),
            Tlv(TAG_OFF_CARD, bytes([public["offCard"]])),
        ]
        if "url" in public:
            fields.append(Tlv(TAG_URL, public["url"].encode("ascii")))
        return b"".join([*fields, Tlv(TAG_ERROR_DETECTION)])
