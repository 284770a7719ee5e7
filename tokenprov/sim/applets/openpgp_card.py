"""The state of an OpenPGP application: what lasts, what the session holds, and who may do what.

Rules
- Security status belongs to PW1 for signatures (81), PW1 for the rest (82) and PW3; it is lost with
  power and when another application is selected. Whether one PW1 is good for one signature or for
  many says the first byte of DO C4 (OPGP 4.3).
- A new or imported signature key starts its counter again (OPGP 7.2.14 and 4.4.3.12).
- A fixed user interaction flag stays until its key goes (maker, "touch policy").
- A reset keeps the attestation key, its fingerprint and its certificate (read off a 5.4.3).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tokenprov.sim.apdu import SW, Refusal
from tokenprov.sim.applet import Body
from tokenprov.sim.applets.openpgp_algorithms import Attributes, rsa_attributes
from tokenprov.sim.applets.openpgp_attest import factory_attestation
from tokenprov.sim.applets.openpgp_features import features_of
from tokenprov.sim.applets.openpgp_keys import OpenPgpKey
from tokenprov.sim.applets.openpgp_passwords import Passwords
from tokenprov.sim.applets.openpgp_wire import AID as APPLICATION
from tokenprov.sim.applets.openpgp_wire import (
    CA_FINGERPRINTS,
    MANUFACTURER,
    TOUCH_CACHED_FOR,
    Origin,
    Reference,
    Slot,
    Status,
    Tag,
    Uif,
)
from tokenprov.sim.attestation import VirtualRoots
from tokenprov.sim.models import Model

FINGERPRINT_BYTES = 20
TIME_BYTES = 4
CERTIFICATE_SLOTS = (Slot.AUT, Slot.DEC, Slot.SIG)  # by number of DO 7F21 (OPGP 7.2.5)
SEX_NOT_ANNOUNCED = b"9"  # ISO 5218
_COUNTER_LIMIT = 0xFFFFFF  # three bytes


@dataclass(slots=True, kw_only=True)
class KeySlot:
    """What belongs to one key reference: a key, perhaps, and all that is said of it."""

    attributes: Attributes
    key: OpenPgpKey | None = None
    fingerprint: bytes = bytes(FINGERPRINT_BYTES)
    time: bytes = bytes(TIME_BYTES)
    uif: Uif = Uif.OFF
    certificate: bytes = field(default=b"", repr=False)

    @property
    def origin(self) -> Origin:
        """Where its key comes from."""
        return Origin.ABSENT if self.key is None else self.key.origin


class OpenPgpCard:
    """One OpenPGP application's state. Handlers of commands work on it."""

    def __init__(self, body: Body, model: Model, roots: VirtualRoots | None) -> None:
        self.body = body
        self.model = model
        self.features = features_of(model, body.version)
        self.passwords = Passwords(complexity=self.features.pin_complexity)
        self._roots = roots
        self._attestation_made = Slot.ATT not in self.features.slots
        self._slots: dict[Slot, KeySlot] = {}
        self._restore()
        self.forget()

    # --- session ---------------------------------------------------------------------------

    def forget(self) -> None:
        """Lose the security status, and which certificate is selected."""
        self.verified: set[Reference] = set()
        self.certificate_number = 0
        self._touched_at: float | None = None

    def require(self, reference: Reference) -> None:
        """Refuse with 6982 unless that password was verified."""
        if reference not in self.verified:
            raise Refusal(SW.SECURITY_NOT_SATISFIED)

    def require_touch(self, slot: Slot) -> None:
        """Refuse with 6600 when a touch is wanted and does not come."""
        uif = self.slot(slot).uif
        if uif is Uif.OFF:
            return
        now, touched = self.body.clock(), self._touched_at
        recent = touched is not None and now - touched < TOUCH_CACHED_FOR
        if uif.is_cached and recent:
            return
        if not self.body.touch():
            raise Refusal(Status.NOT_ACKNOWLEDGED)
        self._touched_at = self.body.clock()

    @property
    def approved(self) -> bool:
        """Whether PW1 and PW3 both differ from the factory's (FIPS 140-3 mode)."""
        return not (self.passwords.user.is_default or self.passwords.admin.is_default)

    # --- keys ------------------------------------------------------------------------------

    @property
    def aid(self) -> bytes:
        """The whole AID: with version, manufacturer and serial number (OPGP 4.2.1)."""
        digits = f"{self.body.serial or 0:08d}"[-8:]
        return (
            APPLICATION
            + self.features.specification
            + MANUFACTURER.to_bytes(2)
            + bytes.fromhex(digits)
            + bytes(2)
        )

    def slot(self, slot: Slot) -> KeySlot:
        """What belongs to a key reference; f9's like is made when first asked for."""
        if slot is Slot.ATT and not self._attestation_made:
            self._attestation_made = True
            made = factory_attestation(self.body.version, self.model.fips, self._roots)
            place = self._slots[slot]
            place.key, place.certificate = made.key, made.certificate
            place.fingerprint, place.time = made.fingerprint, made.time
            self.body.save()
        return self._slots[slot]

    def usable_key(self, slot: Slot) -> OpenPgpKey:
        """The key of a slot. Raises `Refusal` 6A88 when there is none that may be used."""
        place = self.slot(slot)
        if place.key is None or (self.features.needs_time and not any(place.time)):
            raise Refusal(SW.REFERENCE_NOT_FOUND)
        return place.key

    def set_key(self, slot: Slot, key: OpenPgpKey | None) -> None:
        """Put a key into a slot, or with None remove it; what the old one fixed is free again."""
        place = self.slot(slot)
        place.key = key
        if place.uif.is_fixed:
            place.uif = Uif.OFF
        if slot is Slot.SIG:
            self.signature_counter = 0
        self.body.save()

    def count_signature(self) -> None:
        """One more signature; PW1 is used up when it is good for one."""
        self.signature_counter = min(self.signature_counter + 1, _COUNTER_LIMIT)
        if self.pin_policy == 0:
            self.verified.discard(Reference.SIGN)
        self.body.save()

    # --- lasting state ---------------------------------------------------------------------

    def _restore(self) -> None:
        attestation = self._slots.get(Slot.ATT)
        self._slots = {slot: KeySlot(attributes=rsa_attributes(2048)) for slot in Slot}
        if attestation is not None:
            attestation.uif = Uif.OFF
            self._slots[Slot.ATT] = attestation
        self.passwords.restore()
        self.objects: dict[int, bytes] = {Tag.SEX: SEX_NOT_ANNOUNCED}
        self.ca_fingerprints = [bytes(FINGERPRINT_BYTES) for _ in CA_FINGERPRINTS]
        self.pin_policy = self.features.pin_policy
        self.signature_counter = 0
        self.terminated = False

    def activate(self) -> None:
        """Back to the factory after a termination, but for the attestation key."""
        self._restore()
        self.certificate_number = 0
        self.body.save()

    def dump(self) -> dict[str, Any]:
        """The lasting state."""
        return {
            "passwords": self.passwords.dump(),
            "slots": {slot.name: _dump_slot(place) for slot, place in self._slots.items()},
            "objects": {f"{tag:04x}": value.hex() for tag, value in sorted(self.objects.items())},
            "ca_fingerprints": [value.hex() for value in self.ca_fingerprints],
            "pin_policy": self.pin_policy,
            "signature_counter": self.signature_counter,
            "terminated": self.terminated,
            "attestation_made": self._attestation_made,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take the lasting state that `dump` gave."""
        self.passwords.load(state["passwords"])
        self._slots = {Slot[name]: _load_slot(place) for name, place in state["slots"].items()}
        self.objects = {int(tag, 16): bytes.fromhex(v) for tag, v in state["objects"].items()}
        self.ca_fingerprints = [bytes.fromhex(value) for value in state["ca_fingerprints"]]
        self.pin_policy = state["pin_policy"]
        self.signature_counter = state["signature_counter"]
        self.terminated = state["terminated"]
        self._attestation_made = state["attestation_made"]
        self.forget()


def _dump_slot(place: KeySlot) -> dict[str, Any]:
    return {
        "attributes": bytes(place.attributes).hex(),
        "key": None if place.key is None else place.key.dump(),
        "fingerprint": place.fingerprint.hex(),
        "time": place.time.hex(),
        "uif": place.uif.name,
        "certificate": place.certificate.hex(),
    }


def _load_slot(state: dict[str, Any]) -> KeySlot:
    return KeySlot(
        attributes=Attributes.from_bytes(bytes.fromhex(state["attributes"])),
        key=None if state["key"] is None else OpenPgpKey.from_state(state["key"]),
        fingerprint=bytes.fromhex(state["fingerprint"]),
        time=bytes.fromhex(state["time"]),
        uif=Uif[state["uif"]],
        certificate=bytes.fromhex(state["certificate"]),
    )
