"""The certificate of a key and those above it, as objects that everybody may read.

The request is a PKCS#10 request that the key signs. The certificate has the id and the label of its
key; those above it have an id of their own, the beginning of their digest, so that one authority is
there once for all keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from yubikit.piv import KEY_TYPE

from tokenprov.issuer import CertificateRequest, CertificateSettings, IssuedCertificate, Issuer
from tokenprov.model import Holder, Json
from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Evidence, Finding, Intent, State, conflict
from tokenprov.steps.piv.signature import with_csr
from tokenprov.steps.piv.slot_key import certified_key
from tokenprov.steps.pkcs11.key import KeyStep
from tokenprov.steps.pkcs11.user_pin import USER_PIN, held
from tokenprov.token import Token

CERTIFICATE = "CERTIFICATE"
CHAIN_ID = 8  # bytes of a digest


class CertificateStep:
    """The certificate beside a key, from an issuer, and its chain."""

    def __init__(
        self,
        *,
        key: KeyStep,
        order: str,
        holder: Holder,
        settings: CertificateSettings,
        issuer: Issuer,
        clock: Callable[[], datetime],
    ) -> None:
        self.key, self._holder, self._settings = key, holder, settings
        self._issuer, self._clock = issuer, clock
        self._request = f"{order}/{key.key_id.hex()}"
        self.id = f"pkcs11/{key.key_id.hex()}/certificate"
        self.title = f"certificate of {key.label}"

    def draw(self, random: RandomBytes) -> Drawn:
        """The request's name, under which the issuer answers the same again, and the issuer."""
        return Drawn(public={"request": self._request, "authority": self._issuer.uri})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """The one that was issued is there, for the key beside it, with all above it."""
        applet = token.pkcs11()
        if not applet.info().initialised:
            return Finding(state=State.ABSENT)
        found = applet.objects()
        there = [one.value for one in found.of(CERTIFICATE, self.key.key_id)]
        if not there:
            return Finding(state=State.ABSENT)
        if intent is None:
            return conflict(f"it holds a certificate {self.key.label}")
        issued = self.issued(intent)
        if issued is None or there != [issued.der]:
            return conflict(f"the certificate of {self.key.label} is not the one in force")
        if certified_key(issued.der) != self.key.public_key(token):
            return conflict(f"the certificate of {self.key.label} is for another key")
        shown = {one.value for one in found.of(CERTIFICATE)}
        if not shown.issuperset(issued.chain):
            return Finding(state=State.ABSENT, reason="certificates above it are missing")
        return self._match(issued)

    def issued(self, intent: Intent) -> IssuedCertificate | None:
        """What the issuer gave for the request, if it did."""
        return self._issuer.find(intent.public["request"])

    def _match(self, issued: IssuedCertificate) -> Finding:
        certificate = x509.load_der_x509_certificate(issued.der)
        facts: dict[str, Json] = {
            "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
            "serialNumber": f"{certificate.serial_number:x}",
            "issuer": certificate.issuer.rfc4514_string(),
            "notAfter": certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "authority": self._issuer.uri,
            "chain": len(issued.chain),
        }
        if issued.doubts:
            facts["doubts"] = list(issued.doubts)
        evidence = Evidence(type="certificate", data=issued.der)
        return Finding(state=State.MATCH, facts=facts, evidence=(evidence,))

    def apply(self, token: Token, intent: Intent) -> None:
        """Ask the issuer, then write what is not there yet: from the top, the certificate last."""

        def sign(message: bytes) -> bytes:
            return self.key.sign(token, message)

        request = CertificateRequest(
            request_id=intent.public["request"],
            holder=self._holder,
            public_key=self.key.public_key(token),
            csr=None,
            attestation=None,
            token_serial=token.id.serial,
            settings=self._settings,
        )
        algorithm, able = KEY_TYPE[self.key.algorithm.upper()], self._issuer.abilities
        request = with_csr(request, algorithm, sign, names_token=able.names_token)
        issued = self._issuer.issue(request, self._clock())
        applet, pin = token.pkcs11(), held(token, USER_PIN)
        there = {one.value for one in applet.objects().of(CERTIFICATE)}
        for der in reversed(issued.chain):
            if der not in there:
                digest = hashlib.sha256(der).digest()
                applet.put_certificate(pin, der, digest[:CHAIN_ID], _name(der))
        if issued.der not in there:
            applet.put_certificate(pin, issued.der, self.key.key_id, self.key.label)


def _name(der: bytes) -> str:
    return x509.load_der_x509_certificate(der).subject.rfc4514_string()
