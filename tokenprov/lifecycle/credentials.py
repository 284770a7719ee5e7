"""What relies on a token, by what was read back from it: certificates, passkeys, passwords.

Rules:
- Of a step that was rotated or renewed, the last reading counts.
- Nothing is left out because nobody here can end it: it is listed with where that is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tokenprov.lifecycle.subject import Issued
from tokenprov.model import Json
from tokenprov.profile import Profile
from tokenprov.profile.lifecycle import Ending, Fate

_REGISTERED = ("yubico-otp", "hotp")  # kinds of OTP slots that a server has the seed of


class CredentialKind(StrEnum):
    """What it is; the word stands in entries."""

    CERTIFICATE = "certificate"
    ENCRYPTION_CERTIFICATE = "encryption-certificate"
    PASSKEY = "passkey"
    ONE_TIME_PASSWORD = "one-time-password"
    OTHER = "other"  # a key or a secret that somebody else was told of


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One thing that relies on a token."""

    id: str  # the step that made it: "piv/9a/certificate"
    kind: CredentialKind
    title: str
    facts: Mapping[str, Json]
    where: str  # who accepts it: an issuer's URI, a relying party's id, or in words
    order: str  # that issued the token

    def fate(self, ending: Ending) -> Fate:
        """What a row of the matrix does to it; what it has no key for ends with the token."""
        match self.kind:
            case CredentialKind.CERTIFICATE:
                return ending.certificates
            case CredentialKind.ENCRYPTION_CERTIFICATE:
                return ending.encryption_certificates
            case CredentialKind.PASSKEY:
                return ending.passkeys
        return ending.one_time_passwords


def credentials_of(token: Issued, profile: Profile) -> list[Credential]:
    """All that relies on the token, in the order of its steps."""
    return [
        credential
        for id, step in token.steps.items()
        if step["state"] == "match"
        for credential in _credential(id, step["facts"], profile, token.order.id)
    ]


def _credential(
    id: str, facts: Mapping[str, Json], profile: Profile, order: str
) -> Iterator[Credential]:
    applet, _, rest = id.partition("/")

    def made(kind: CredentialKind, title: str, where: str, *shown: str) -> Credential:
        named = {name: facts[name] for name in shown if facts.get(name)}
        return Credential(id=id, kind=kind, title=title, facts=named, where=where, order=order)

    if applet == "piv" and rest.endswith("/certificate"):
        for key in profile.piv.keys if profile.piv is not None else ():
            if key.slot == rest[:2] and key.certificate is not None:  # not of the history
                kind = CredentialKind.CERTIFICATE
                if key.encrypts:
                    kind = CredentialKind.ENCRYPTION_CERTIFICATE
                title = f"certificate in {key.slot}"
                yield made(kind, title, key.certificate.issuer, "serialNumber", "notAfter")
    elif applet == "pkcs11" and rest.endswith("/certificate"):
        for kept in profile.pkcs11.keys if profile.pkcs11 is not None else ():
            if rest == f"{kept.id}/certificate" and kept.certificate is not None:
                title, where = f"certificate of {kept.label}", kept.certificate.issuer
                yield made(CredentialKind.CERTIFICATE, title, where, "serialNumber", "notAfter")
    elif id.startswith("fido2/credential/"):
        title = f"passkey for {facts['rpId']}"
        yield made(CredentialKind.PASSKEY, title, facts["rpId"], "rpId", "credentialId")
    elif applet == "otp" and "kind" in facts:
        kind, where = CredentialKind.OTHER, "whatever was set up with it"
        if facts["kind"] in _REGISTERED:
            kind, where = CredentialKind.ONE_TIME_PASSWORD, "the authentication server"
        yield made(kind, f"{facts['kind']} in slot {rest}", where, "publicId", "tokenId")
    elif id.startswith("oath/account/"):
        title = f"OATH account {rest.partition('/')[2]}"
        yield made(CredentialKind.ONE_TIME_PASSWORD, title, "the server of that account")
    elif applet == "openpgp" and rest.endswith("/key"):
        yield made(CredentialKind.OTHER, f"OpenPGP key {rest[:3]}", "whoever has its public key")
    elif id.startswith("hsmauth/credential/"):
        title = f"YubiHSM credential {rest.partition('/')[2]}"
        yield made(CredentialKind.OTHER, title, "the YubiHSM 2")
