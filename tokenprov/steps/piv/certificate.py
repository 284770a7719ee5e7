"""A certificate for the key in a slot, from an issuer, and read back beside the key.

The request is the key's attestation where the token attests, else a PKCS#10 request that the key
signs. The issuer gives the same certificate for the same request, so a second run writes the
same bytes.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tokenprov.issuer import CertificateRequest, CertificateSettings, Issuer
from tokenprov.model import Holder
from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Evidence, Finding, Intent, State
from tokenprov.steps.piv.access import authenticate, verify_pin
from tokenprov.steps.piv.key import Clock, KeyStep
from tokenprov.steps.piv.signature import certification_request
from tokenprov.token import Token


class CertificateStep:
    """The certificate in a slot."""

    def __init__(
        self,
        *,
        key: KeyStep,
        order: str,
        holder: Holder,
        settings: CertificateSettings,
        issuer: Issuer,
        clock: Clock,
    ) -> None:
        self._key, self._holder, self._settings = key, holder, settings
        self._issuer, self._clock = issuer, clock
        self._request = f"{order}/{key.slot:02x}"
        self.id = f"piv/{key.slot:02x}/certificate"
        self.title = f"certificate in {key.slot:02x}"

    def draw(self, random: RandomBytes) -> Drawn:
        """The name of the request, under which the issuer answers the same again."""
        return Drawn(public={"request": self._request})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """The certificate on the token is the one issued, and it is for the key beside it."""
        there = token.piv().certificate(self._key.slot)
        slot = f"{self._key.slot:02x}"
        if there is None:
            return Finding(state=State.ABSENT)
        if intent is None:
            return Finding(state=State.CONFLICT, reason=f"slot {slot} holds a certificate")
        issued = self._issuer.find(self._request)
        if issued is None or issued.der != there:
            return Finding(
                state=State.CONFLICT, reason=f"the certificate in {slot} is not the one issued"
            )
        certificate = x509.load_der_x509_certificate(there)
        public_key = certificate.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        if public_key != self._key.public_key(token):
            return Finding(
                state=State.CONFLICT, reason=f"the certificate in {slot} is for another key"
            )
        return Finding(
            state=State.MATCH,
            facts={
                "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
                "serialNumber": f"{certificate.serial_number:x}",
                "issuer": certificate.issuer.rfc4514_string(),
                "notAfter": certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
            evidence=(Evidence(type="certificate", data=there),),
        )

    def apply(self, token: Token, intent: Intent) -> None:
        """Ask the issuer, then write what it gave. Needs the management key."""
        public_key = self._key.public_key(token)
        attested = self._key.attestation(token)
        request = CertificateRequest(
            request_id=self._request,
            holder=self._holder,
            public_key=public_key,
            csr=None if attested else self._sign_request(token, public_key),
            attestation=attested[0] if attested else None,
            token_serial=token.id.serial,
            settings=self._settings,
        )
        issued = self._issuer.issue(request, self._clock())
        authenticate(token)
        token.piv().put_certificate(self._key.slot, x509.load_der_x509_certificate(issued.der))

    def _sign_request(self, token: Token, public_key: bytes) -> bytes:
        def sign(message: bytes) -> bytes:
            verify_pin(token)
            with token.touch(f"sign the request for {self.title}"):
                return token.piv().sign(self._key.slot, self._key.algorithm, message)

        return certification_request(public_key, self._key.algorithm, self._holder.name, sign)
