"""A certificate for the key in a slot, from an issuer, and read back beside the key.

The request is the key's attestation where the token attests, else a PKCS#10 request that the key
signs, or both where the issuer asks for one. The issuer gives the same certificate for the same
request, so a second run writes the same bytes. A certificate that its object has no room for is
refused before it is written.
"""

from __future__ import annotations

import gzip
from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tokenprov.errors import NotSupported
from tokenprov.issuer import CertificateRequest, CertificateSettings, Issuer
from tokenprov.model import Holder, Json
from tokenprov.profile.piv_certificate import CardNames
from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Evidence, Finding, Intent, State, conflict
from tokenprov.steps.piv.access import authenticate
from tokenprov.steps.piv.key import Clock
from tokenprov.steps.piv.objects import read_identifiers
from tokenprov.steps.piv.signature import with_csr
from tokenprov.steps.piv.slot_key import SlotKey, certified_key
from tokenprov.token import Token

MAX_CERTIFICATE = 3052  # bytes that an object holds, compressed or not (Yubico, PIV "Slots")


class CertificateStep:
    """The certificate in a slot, from an issuer."""

    def __init__(
        self,
        *,
        key: SlotKey,
        order: str,
        holder: Holder,
        settings: CertificateSettings,
        issuer: Issuer,
        clock: Clock,
        compress: bool = False,
        card_names: CardNames = CardNames.NO,
    ) -> None:
        self._key, self._holder, self._settings = key, holder, settings
        self._issuer, self._clock, self._compress = issuer, clock, compress
        self._card_names = card_names
        self._request = f"{order}/{key.slot:02x}"
        self.id = f"piv/{key.slot:02x}/certificate"
        self.title = f"certificate in {key.slot:02x}"

    @property
    def key(self) -> SlotKey:
        """That it is for."""
        return self._key

    def draw(self, random: RandomBytes) -> Drawn:
        """The request's name, under which the issuer answers the same again, and the issuer."""
        return Drawn(public={"request": self._request, "authority": self._issuer.uri})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """The certificate on the token is the one issued, and it is for the key beside it."""
        slot = f"{self._key.slot:02x}"
        there = token.piv().certificate(self._key.slot)
        if there is None:
            return Finding(state=State.ABSENT)
        if intent is None:
            return conflict(f"slot {slot} holds a certificate")
        found = found_certificate(token, self._key, there, compressed=self._compress)
        issued = self._issuer.find(intent.public["request"])
        if found.state is not State.MATCH:
            return found
        if issued is None or issued.der != there:
            return Finding(
                state=State.UNKNOWN,
                reason=f"the certificate in {slot} is not the one in force, and is written again",
                facts=found.facts,
            )
        doubts = {"doubts": list(issued.doubts)} if issued.doubts else {}
        return replace(found, facts={**found.facts, "authority": self._issuer.uri, **doubts})

    def apply(self, token: Token, intent: Intent) -> None:
        """Ask the issuer, then write what it gave. Needs the management key."""
        attested = self._key.attestation(token)

        def sign(message: bytes) -> bytes:
            return self._key.sign(token, message, f"sign the request for {self.title}")

        request = CertificateRequest(
            request_id=intent.public["request"],
            holder=self._holder,
            public_key=self._key.public_key(token),
            csr=None,
            attestation=attested[0] if attested else None,
            attestation_chain=attested[0].certificates[:-1] if attested else (),
            token_serial=token.id.serial,
            settings=self._settings_for(token),
            sign=sign,
        )
        able = self._issuer.abilities
        if attested is None or able.needs_csr:
            request = with_csr(request, self._key.algorithm, sign, names_token=able.names_token)
        issued = self._issuer.issue(request, self._clock())
        put_certificate(token, self._key, issued.der, compress=self._compress)

    def _settings_for(self, token: Token) -> CertificateSettings:
        """With what the card's CHUID names it by, where the certificate is to name it."""
        if self._card_names is CardNames.NO:
            return self._settings
        card = read_identifiers(token)
        if self._card_names is CardNames.UUID:
            card = replace(card, fasc_n=None)
        return replace(self._settings, card=card)


def found_certificate(token: Token, key: SlotKey, there: bytes, *, compressed: bool) -> Finding:
    """MATCH for the right certificate (DER) in a slot, if it is for the key beside it."""
    try:
        certified = certified_key(there)
    except ValueError:
        return conflict(f"what stands in {key.slot:02x} is no certificate")
    certificate = x509.load_der_x509_certificate(there)
    if certified != key.public_key(token):
        return conflict(f"the certificate in {key.slot:02x} is for another key")
    facts: dict[str, Json] = {
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
        "serialNumber": f"{certificate.serial_number:x}",
        "issuer": certificate.issuer.rfc4514_string(),
        "notAfter": certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if compressed:
        facts["compressed"] = True
    return Finding(
        state=State.MATCH, facts=facts, evidence=(Evidence(type="certificate", data=there),)
    )


def put_certificate(token: Token, key: SlotKey, der: bytes, *, compress: bool) -> None:
    """Write a certificate into a key's slot. Needs the management key.

    Raises `NotSupported`, and writes nothing, where its object has no room for it.
    """
    size = len(gzip.compress(der) if compress else der)
    if size > MAX_CERTIFICATE:
        raise NotSupported(
            f"the certificate for {key.slot:02x} has {size} bytes{' compressed' * compress}, and"
            f" {MAX_CERTIFICATE} fit on the token",
            remedy="Have the authority leave extensions out."
            if compress
            else "Write compress = true for it in the profile, where its readers can expand it.",
        )
    authenticate(token)
    token.piv().put_certificate(key.slot, x509.load_der_x509_certificate(der), compress=compress)
