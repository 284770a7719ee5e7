"""The state of a PIV application: what lasts, what the session holds, and who may do what.

Rules (SP 800-73-4 part 1, 5.2 and part 2, 2.4; YubiKey "PIN and touch policies")
- Security status is the PIN's and the management key's; it is lost with power and when another
  application is selected, not by selecting this one again.
- PIN policy "once" wants the PIN in this session. "Always" wants it for each use: a YubiKey
  accepts one verification for one operation, a standard card wants VERIFY right before it.
- 9c defaults to "always", 9e to "never", others to "once" (part 1, table 5).
- A cached touch counts for 15 seconds.
- Reset keeps the attestation key and its certificate (f9).
"""

from __future__ import annotations

from typing import Any

from tokenprov.sim.apdu import SW, Refusal
from tokenprov.sim.applet import Body
from tokenprov.sim.applets.piv_attest import factory_attestation
from tokenprov.sim.applets.piv_features import features_of
from tokenprov.sim.applets.piv_keys import PivKey
from tokenprov.sim.applets.piv_management_key import ManagementKey
from tokenprov.sim.applets.piv_objects import ObjectId, Objects, new_chuid
from tokenprov.sim.applets.piv_reference_data import (
    DEFAULT_PIN,
    DEFAULT_PUK,
    DEFAULT_TRIES,
    ReferenceData,
)
from tokenprov.sim.applets.piv_wire import (
    TOUCH_CACHED_FOR,
    PinPolicy,
    Slot,
    TouchPolicy,
)
from tokenprov.sim.attestation import VirtualRoots
from tokenprov.sim.models import Model


class PivCard:
    """One PIV application's state. Handlers of commands work on it."""

    def __init__(self, body: Body, model: Model, roots: VirtualRoots | None) -> None:
        self.body = body
        self.model = model
        self.features = features_of(model, body.version)
        self.pin = ReferenceData(value=DEFAULT_PIN, default=DEFAULT_PIN)
        self.puk = ReferenceData(value=DEFAULT_PUK, default=DEFAULT_PUK)
        self.management_key = ManagementKey.from_factory(self.features.default_cipher)
        self.objects = Objects(self.features)
        self._keys: dict[int, PivKey] = {}
        self._roots = roots
        self._attestation_made = not self.features.vendor
        if not self.features.vendor:
            self.objects.put(ObjectId.CHUID, new_chuid(body.random))
        self.forget()

    # --- session ---------------------------------------------------------------------------

    def forget(self) -> None:
        """Lose the security status."""
        self.pin_verified = False
        self.pin_fresh = False  # verified, and not used by an operation yet
        self.management_authenticated = False
        self.management_key.forget()
        self._touched_at: float | None = None

    def verified(self, right: bool) -> None:
        """Note how a verification of the PIN went."""
        self.pin_verified = self.pin_fresh = right

    def require_management(self) -> None:
        """Refuse with 6982 unless the management key was authenticated."""
        if not self.management_authenticated:
            raise Refusal(SW.SECURITY_NOT_SATISFIED)

    def require_policies(self, key: PivKey) -> None:
        """Refuse with 6982 unless PIN and touch are given as the key wants them.

        A verification that "always" accepted is used up.
        """
        policy = key.pin_policy
        if policy in (PinPolicy.ALWAYS, PinPolicy.MATCH_ALWAYS):
            if not self.pin_fresh:
                raise Refusal(SW.SECURITY_NOT_SATISFIED)
        elif policy is not PinPolicy.NEVER and not self.pin_verified:
            raise Refusal(SW.SECURITY_NOT_SATISFIED)
        self.pin_fresh = False
        self.require_touch(key.touch_policy)

    def require_touch(self, policy: TouchPolicy) -> None:
        """Refuse with 6982 when a touch is wanted and does not come."""
        if policy in (TouchPolicy.DEFAULT, TouchPolicy.NEVER):
            return
        now, touched = self.body.clock(), self._touched_at
        recent = touched is not None and now - touched < TOUCH_CACHED_FOR
        if policy is TouchPolicy.CACHED and recent:
            return
        if not self.body.touch():
            raise Refusal(SW.SECURITY_NOT_SATISFIED)
        self._touched_at = self.body.clock()

    @property
    def approved(self) -> bool:
        """Whether PIN, PUK and management key all differ from the factory's (FIPS 140-3 mode)."""
        return not (self.pin.is_default or self.puk.is_default or self.management_key.is_default)

    # --- keys ------------------------------------------------------------------------------

    def key(self, slot: int) -> PivKey | None:
        """The key in a slot, or None."""
        if slot == Slot.ATTESTATION:
            self._make_attestation()
        return self._keys.get(slot)

    def set_key(self, slot: int, key: PivKey | None) -> None:
        """Put a key into a slot, or with None remove it."""
        if slot == Slot.ATTESTATION:
            self._make_attestation()
        if key is None:
            self._keys.pop(slot, None)
        else:
            self._keys[slot] = key

    def object(self, object_id: int) -> bytes | None:
        """The content of a data object, or None."""
        if object_id == ObjectId.ATTESTATION_CERTIFICATE:
            self._make_attestation()
        return self.objects.get(object_id)

    def put_object(self, object_id: int, content: bytes) -> None:
        """Write a data object, or with nothing remove it. Raises `Refusal` 6A84."""
        if object_id == ObjectId.ATTESTATION_CERTIFICATE:
            self._make_attestation()
        self.objects.put(object_id, content)

    def _make_attestation(self) -> None:
        """Have f9 and its certificate, as from the factory: made when first asked for."""
        if not self._attestation_made:
            self._attestation_made = True
            key, content = factory_attestation(self.body, self.model, self._roots)
            self._keys[Slot.ATTESTATION] = key
            self.objects.put(ObjectId.ATTESTATION_CERTIFICATE, content)
            self.body.save()

    # --- lasting state ---------------------------------------------------------------------

    def reset(self) -> None:
        """Back to the factory, but for f9."""
        attestation = self._keys.get(Slot.ATTESTATION)
        self._keys = {} if attestation is None else {Slot.ATTESTATION: attestation}
        self.objects.clear(keep=frozenset({ObjectId.ATTESTATION_CERTIFICATE}))
        self.pin.restore(DEFAULT_TRIES)
        self.puk.restore(DEFAULT_TRIES)
        self.management_key = ManagementKey.from_factory(self.features.default_cipher)
        self.forget()
        self.body.save()

    def dump(self) -> dict[str, Any]:
        """The lasting state."""
        return {
            "pin": self.pin.dump(),
            "puk": self.puk.dump(),
            "management_key": self.management_key.dump(),
            "keys": {f"{slot:02x}": key.dump() for slot, key in sorted(self._keys.items())},
            "objects": self.objects.dump(),
            "attestation_made": self._attestation_made,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take the lasting state that `dump` gave."""
        self.pin.load(state["pin"])
        self.puk.load(state["puk"])
        self.management_key = ManagementKey.from_state(state["management_key"])
        self._keys = {int(slot, 16): PivKey.from_state(key) for slot, key in state["keys"].items()}
        self.objects.load(state["objects"])
        self._attestation_made = state["attestation_made"]
        self.forget()
