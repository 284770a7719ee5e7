"""Virtual tokens in this process behind yubikit's secure channels, and hosts with certificates.

No test is in this module.
"""

from __future__ import annotations

import datetime
import functools
import os
from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from yubikit.core import TRANSPORT
from yubikit.core.smartcard import AID, SmartCardConnection, SmartCardProtocol
from yubikit.core.smartcard.scp import (
    KeyRef,
    Scp03KeyParams,
    Scp11KeyParams,
    ScpKeyParams,
    ScpKid,
    StaticKeys,
)
from yubikit.securitydomain import SecurityDomainSession

from tokenprov.sim.assembly import make_token
from tokenprov.sim.token import VirtualToken

MODEL = "yubikey-5.7.4"
SERIAL = 30_000_001
FACTORY_SCP11B = KeyRef(ScpKid.SCP11b, 1)
KINDS = ("scp03", "scp11a", "scp11b", "scp11c")
VALIDITY = (datetime.datetime(2024, 1, 1), datetime.datetime(2044, 1, 1))


class Wire(SmartCardConnection):
    """yubikit's connection to a token in this process; NFC makes it use short APDUs.

    `sent` and `got` are what went over it both ways; `alter` may change a command before it does.
    """

    def __init__(self, token: VirtualToken, transport: TRANSPORT = TRANSPORT.USB) -> None:
        self.token = token
        self.sent: list[bytes] = []
        self.got: list[bytes] = []
        self.alter: Callable[[bytes], bytes] = bytes
        self._transport = transport

    @property
    def transport(self) -> TRANSPORT:
        """As told."""
        return self._transport

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """One exchange."""
        self.sent.append(self.alter(apdu))
        answer = self.token.transmit(self.sent[-1])
        self.got.append(answer)
        return answer[:-2], int.from_bytes(answer[-2:])

    def send(self, apdu: str | bytes) -> int:
        """The status word of one command, in hex or as bytes."""
        return self.send_and_receive(bytes.fromhex(apdu) if isinstance(apdu, str) else apdu)[1]

    def close(self) -> None:
        """Nothing to do."""


def wire(model: str = MODEL, transport: TRANSPORT = TRANSPORT.USB) -> Wire:
    """A fresh token of that model."""
    return Wire(make_token(model, SERIAL), transport)


def protocol(on: Wire, aid: AID, params: ScpKeyParams) -> SmartCardProtocol:
    """A channel to the applet with that AID, for commands of one's own."""
    found = SmartCardProtocol(on)
    found.select(aid)
    found.init_scp(params)
    return found


def static_keys() -> StaticKeys:
    """Three new keys."""
    return StaticKeys(os.urandom(16), os.urandom(16), os.urandom(16))


def domain(on: Wire, params: ScpKeyParams | None = None) -> SecurityDomainSession:
    """A session with the security domain, over a channel if `params` are given."""
    session = SecurityDomainSession(on)
    if params is not None:
        session.authenticate(params)
    return session


# --- hosts and their certificates ----------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A host for SCP11a and c: its authority, and key and certificates (leaf last)."""

    authority: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    certificates: tuple[x509.Certificate, ...]

    @property
    def identifier(self) -> bytes:
        """The subject key identifier of its authority."""
        extension = self.authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        return extension.value.digest


def certify(
    name: str,
    key: ec.EllipticCurvePublicKey,
    issuer: tuple[str, ec.EllipticCurvePrivateKey],
    *,
    authority: bool,
) -> x509.Certificate:
    """A certificate as Amendment F has them: one to certify with, or one to agree keys with."""

    def common_name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=not authority,
        key_cert_sign=authority,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(common_name(name))
        .issuer_name(common_name(issuer[0]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(VALIDITY[0])
        .not_valid_after(VALIDITY[1])
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .sign(issuer[1], hashes.SHA256())
    )


@functools.cache
def host(name: str = "host") -> Host:
    """A host with an authority (CA-KLOC), an intermediate one (KA-KLOC) and a key of its own."""
    root, between, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    top, middle = f"{name} CA-KLOC", f"{name} KA-KLOC"
    return Host(
        authority=certify(top, root.public_key(), (top, root), authority=True),
        key=own,
        certificates=(
            certify(middle, between.public_key(), (top, root), authority=True),
            certify(f"{name} OCE", own.public_key(), (middle, between), authority=False),
        ),
    )


def load_scp11(
    session: SecurityDomainSession, kid: int, kvn: int, of: Host | None = None
) -> Scp11KeyParams:
    """Give the token a key for SCP11a or c and the host's authority; what to open with."""
    of = of or host()
    card = session.generate_ec_key(KeyRef(kid, kvn))
    reference = KeyRef(0x10, kvn)
    public = of.authority.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    session.put_key(reference, public)
    session.store_ca_issuer(reference, of.identifier)
    return Scp11KeyParams(
        ref=KeyRef(kid, kvn),
        pk_sd_ecka=card,
        oce_ref=reference,
        sk_oce_ecka=of.key,
        certificates=of.certificates,
    )


def scp11b(on: Wire, ref: KeyRef = FACTORY_SCP11B) -> Scp11KeyParams:
    """What opens SCP11b, from the certificates that the token shows."""
    public = domain(on).get_certificate_bundle(ref)[-1].public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    return Scp11KeyParams(ref=ref, pk_sd_ecka=public)


def channel_params(on: Wire, kind: str) -> ScpKeyParams:
    """What opens a channel of that kind to a fresh token; keys that it takes are put there."""
    if kind == "scp03":
        return Scp03KeyParams()
    if kind == "scp11b":
        return scp11b(on)
    kid = ScpKid.SCP11a if kind == "scp11a" else ScpKid.SCP11c
    return load_scp11(domain(on, Scp03KeyParams()), kid, 3)
