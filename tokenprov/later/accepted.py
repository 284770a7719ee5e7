"""An entry, told to who accepts certificates and passkeys: the station's own, which lost it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cryptography import x509
from fido2.utils import websafe_encode

from tokenprov.attestation import FidoAttestation
from tokenprov.home import Home
from tokenprov.issuer import LocalCa
from tokenprov.model import Order
from tokenprov.ordering import profile_of
from tokenprov.profile import Profile
from tokenprov.record.entry import Entry

_PASSKEY = "fido2/credential/"


class Accepted:
    """One entry."""

    def __init__(self, *, home: Home, entry: Entry) -> None:
        self._home, self._entry = home, entry
        self._at = datetime.fromisoformat(entry["time"])

    def tell(self) -> None:
        """What the entry made, and what it says of what became of others. Raises IssuerError."""
        label = self._label
        order = self._home.ledger.order_of_token(None, label) if label else None
        if order is None:
            return
        batch = self._home.ledger.batch(order.order.batch)
        assert batch is not None, "every order is of a batch"
        profile = profile_of(batch)
        for step in self._entry.get("steps", ()):
            if step["state"] == "match" and step["id"].startswith(_PASSKEY):
                self._registered(step, profile, order.order)
            elif step["state"] == "match" and step["id"] in profile.certified:
                self._certified(step, profile.certified[step["id"]], order.id)
        for one in self._entry.get("credentials", ()):
            if one["outcome"] == "done" and one["id"].startswith(_PASSKEY):
                self._passkey_is(one["facts"], order.id)
            elif one["outcome"] == "done" and "issuer" in one["facts"]:
                self._certificate_is(one["facts"])

    def _certified(self, step: Mapping[str, Any], uri: str, order: str) -> None:
        """A certificate by an authority of the station's own, which issued it."""
        slot = step["id"].split("/")[1]
        issuer = self._home.issuer(uri)
        if not isinstance(issuer, LocalCa):
            return  # an authority elsewhere knows what it issued
        for digest in _evidence(step, "certificate"):
            certificate = x509.load_der_x509_certificate(self._home.manifest.blob(digest))
            if issuer.issued.with_serial(f"{certificate.serial_number:x}") is None:
                issuer.record(f"{order}/{slot}", certificate, self._at)

    def _certificate_is(self, facts: Mapping[str, Any]) -> None:
        issuer = self._home.issuer(facts["issuer"])
        if not isinstance(issuer, LocalCa):
            return  # it is accepted elsewhere, and as it was left there
        if "reason" in facts:
            reason = x509.ReasonFlags(facts["reason"])
            issuer.revoke(facts["serialNumber"], reason, datetime.fromisoformat(facts["since"]))
        elif facts.get("status") == "good":
            issuer.release(facts["serialNumber"], self._at)

    def _registered(self, step: Mapping[str, Any], profile: Profile, order: Order) -> None:
        rp_id = step["facts"]["rpId"]
        for one in profile.fido2.credentials if profile.fido2 is not None else ():
            if one.rp_id != rp_id:
                continue
            blob = self._home.manifest.blob
            (registration,) = _evidence(step, "fido2-attestation")
            (client_data,) = _evidence(step, "fido2-client-data")
            self._home.relying_party(rp_id, one.rp_name).take_back(
                order.id,
                blob(registration),
                blob(client_data),
                FidoAttestation.from_json(step["facts"]["attestation"]),
                user_name=one.user_name.render(order.holder),
                display_name=one.display_name.render(order.holder),
                registered=self._at,
            )

    def _passkey_is(self, facts: Mapping[str, Any], order: str) -> None:
        party = self._home.relying_party(facts["rpId"], facts["rpId"])
        found = party.find(order)
        if found is None or websafe_encode(found.credential_id) != facts["credentialId"]:
            return  # another one is in its place
        if not facts["registered"]:
            party.remove(order)
        else:
            party.suspend(order, self._at if facts.get("suspended") else None)

    @property
    def _label(self) -> str:
        """The holder's token that it is about; empty for none that can be told from others."""
        token = self._entry.get("token", {}) if "holder" in self._entry else {}
        return token.get("serial") or token.get("mark") or ""


def _evidence(step: Mapping[str, Any], kind: str) -> list[str]:
    return [one["sha256"] for one in step.get("evidence", ()) if one["type"] == kind]
