"""The virtual attestation authorities, and the certificates that virtual tokens attest with.

One hierarchy a bench, with the shape of the maker's two real ones:

- firmware from 5.7.4: attestation root <- intermediate <- PIV, OpenPGP and FIDO attestation
  authorities <- the token's own f9 certificate, its OpenPGP or its FIDO attestation certificate;
- older firmware: a PIV root <- f9, an OpenPGP root <- the OpenPGP attestation certificate, and a
  U2F root <- the FIDO attestation certificate.

What a token signs differs from what a real one signs in these authorities only: their names say
that they are virtual, so that a virtual token can never pass for a real one.

Sources: "PIV Attestation OID Arc" and "FIDO Product OID Arc" (docs.yubico.com/hardware/oid);
WebAuthn Level 2, 8.2.1; FIDO registry of certificate extensions 1.3.6.1.4.1.45724; and the
certificates of a real key of firmware 5.4.3 for the exact encoding.
"""

from __future__ import annotations

import functools
import os
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from tokenprov.sim.applet import Version
from tokenprov.sim.certificate import (
    AttestedKey,
    certificate_builder,
    common_name,
    der_integer,
    der_octets,
    raw_extension,
)

Random = Callable[[int], bytes]

ROOTS_FOLDER = "TOKENPROV_SIM_ROOTS"  # environment: the folder of this bench's authorities
NEW_HIERARCHY = (5, 7, 4)  # the first firmware whose tokens are under the new root

# The validity of everything in the maker's hierarchies, old and new.
OLD_VALIDITY = (datetime(2016, 3, 14), datetime(2052, 4, 17))
NEW_VALIDITY = (datetime(2024, 12, 1), datetime(9999, 12, 31, 23, 59, 59))

OID_FIRMWARE = x509.ObjectIdentifier("1.3.6.1.4.1.41482.3.3")  # three raw bytes
OID_OPENPGP_FIRMWARE = x509.ObjectIdentifier("1.3.6.1.4.1.41482.5.3")  # DER OCTET STRING
OID_FIPS_CERTIFIED = x509.ObjectIdentifier("1.3.6.1.4.1.41482.3.10")  # DER INTEGER, FIPS only
FIPS_CERTIFICATION = 7

OID_U2F_DEVICE = x509.ObjectIdentifier("1.3.6.1.4.1.41482.2")  # OID of the product, as text
U2F_DEVICE_YUBIKEY_5 = b"1.3.6.1.4.1.41482.1.7"
U2F_DEVICE_YUBIKEY_4 = b"1.3.6.1.4.1.41482.1.5"
OID_FIDO_TRANSPORTS = x509.ObjectIdentifier("1.3.6.1.4.1.45724.2.1.1")
FIDO_TRANSPORTS_USB_NFC = bytes.fromhex("03020430")  # BIT STRING, bits 2 (USB) and 3 (NFC)
OID_FIDO_SERIAL = x509.ObjectIdentifier("1.3.6.1.4.1.45724.1.1.2")
OID_FIDO_AAGUID = x509.ObjectIdentifier("1.3.6.1.4.1.45724.1.1.4")

_NOT_REAL = "TEST ROOT - not for real tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A certificate authority of the bench: its certificate and its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(Encoding.PEM)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VirtualRoots:
    """The authorities of one bench. Make them with `create`, or with `in_folder` to keep them."""

    root: Authority
    intermediate: Authority
    piv: Authority
    openpgp: Authority
    fido: Authority
    old_piv_root: Authority
    old_openpgp_root: Authority
    old_u2f_root: Authority

    @classmethod
    def create(cls, random: Random = os.urandom) -> VirtualRoots:
        """Make new authorities (some tenths of a second: eight RSA keys, on all processors)."""
        with ThreadPoolExecutor() as pool:
            keys = list(pool.map(rsa.generate_private_key, [65537] * 8, [2048] * 8))
        make = functools.partial(_authority, random)
        root = make(f"Virtual Attestation Root 1 ({_NOT_REAL})", keys[0], None, 3)
        intermediate = make("Virtual Attestation Intermediate 1", keys[1], root, 2)
        return cls(
            root=root,
            intermediate=intermediate,
            piv=make("Virtual PIV Attestation 1", keys[2], intermediate, 1),
            fido=make("Virtual FIDO Attestation 1", keys[3], intermediate, 0),
            openpgp=make("Virtual OPGP Attestation 1", keys[6], intermediate, 1),
            old_piv_root=make(f"Virtual PIV Root CA ({_NOT_REAL})", keys[4], None, 1, old=True),
            old_openpgp_root=make(
                f"Virtual OpenPGP Attestation CA ({_NOT_REAL})", keys[7], None, 1, old=True
            ),
            old_u2f_root=make(f"Virtual U2F Root CA ({_NOT_REAL})", keys[5], None, 0, old=True),
        )

    @classmethod
    def in_folder(cls, folder: Path, random: Random = os.urandom) -> VirtualRoots:
        """The authorities kept in `folder`, made there when it does not exist yet.

        Clients find `root.pem` (all roots) and `chain.pem` (all intermediates) in it. Two
        processes may ask at the same time: one of them makes the folder, both use it.
        """
        if not folder.exists():
            cls.create(random)._save(folder)
        authorities = {}
        for field in fields(cls):
            name = field.name.replace("_", "-")
            key = load_pem_private_key(
                (folder / f"{name}.key").read_bytes(), None, unsafe_skip_rsa_key_validation=True
            )
            if not isinstance(key, rsa.RSAPrivateKey):
                raise TypeError(f"{folder / name}.key is not an RSA key")
            certificate = x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())
            authorities[field.name] = Authority(certificate=certificate, key=key)
        return cls(**authorities)

    def _save(self, folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".roots-") as temporary:
            made = Path(temporary) / "roots"
            made.mkdir(mode=0o700)
            for field in fields(self):
                name, authority = field.name.replace("_", "-"), getattr(self, field.name)
                key = authority.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
                (made / f"{name}.key").write_bytes(key)
                (made / f"{name}.crt").write_bytes(authority.pem)
            (made / "root.pem").write_bytes(self.root_pem)
            (made / "chain.pem").write_bytes(self.chain_pem)
            try:
                made.rename(folder)
            except OSError:
                if not (folder / "root.pem").exists():
                    raise  # otherwise another process was faster, and its authorities count

    @property
    def root_pem(self) -> bytes:
        """All trust anchors of the bench as PEM: the new root, then the old ones."""
        old = (self.old_piv_root, self.old_openpgp_root, self.old_u2f_root)
        return self.root.pem + b"".join(authority.pem for authority in old)

    @property
    def chain_pem(self) -> bytes:
        """The authorities between tokens' certificates and the new root, nearest first, PEM."""
        return self.piv.pem + self.openpgp.pem + self.fido.pem + self.intermediate.pem

    def certify_f9(
        self, key: AttestedKey, *, version: Version, fips: bool, random: Random
    ) -> x509.Certificate:
        """The certificate that a token's f9 key leaves the factory with."""
        new = version >= NEW_HIERARCHY
        issuer = self.piv if new else self.old_piv_root
        builder = certificate_builder(
            subject=common_name("Yubico PIV Attestation"),
            issuer=issuer.certificate.subject,
            key=key,
            serial=int.from_bytes(random(8)) | 1,
            validity=NEW_VALIDITY if new else OLD_VALIDITY,
        ).add_extension(raw_extension(OID_FIRMWARE, bytes(version)), critical=False)
        if fips:
            certified = raw_extension(OID_FIPS_CERTIFIED, der_integer(FIPS_CERTIFICATION))
            builder = builder.add_extension(certified, critical=False)
        builder = builder.add_extension(x509.BasicConstraints(True, 0), critical=True)
        return builder.sign(issuer.key, hashes.SHA256())

    def certify_openpgp(
        self, key: AttestedKey, *, version: Version, random: Random
    ) -> x509.Certificate:
        """The certificate that a token's OpenPGP attestation key leaves the factory with."""
        new = version >= NEW_HIERARCHY
        issuer = self.openpgp if new else self.old_openpgp_root
        return (
            certificate_builder(
                subject=common_name("YubiKey OPGP Attestation"),
                issuer=issuer.certificate.subject,
                key=key,
                serial=int.from_bytes(random(8)) | 1,
                validity=NEW_VALIDITY if new else OLD_VALIDITY,
            )
            .add_extension(raw_extension(OID_OPENPGP_FIRMWARE, der_octets(bytes(version))), False)
            .add_extension(x509.BasicConstraints(True, 0), critical=True)
            .sign(issuer.key, hashes.SHA256())
        )

    def fido_attestation(
        self,
        aaguid: bytes,
        serial: int | None,
        *,
        version: Version = NEW_HIERARCHY,
        random: Random = os.urandom,
    ) -> tuple[ec.EllipticCurvePrivateKey, list[bytes]]:
        """A FIDO attestation key (P-256) and its x5c (DER, leaf first).

        `aaguid` is 16 bytes; zeros (a U2F token) leave its extension out. With a `serial` the
        certificate is one for enterprise attestation and carries it (4 bytes, big-endian).
        """
        new = version >= NEW_HIERARCHY
        issuer = self.fido if new else self.old_u2f_root
        key = ec.generate_private_key(ec.SECP256R1())
        number = int.from_bytes(random(4)) | 1
        subject = x509.Name(  # WebAuthn Level 2, 8.2.1: all four, this unit, a two-letter country
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "SE"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Yubico AB"),
                x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Authenticator Attestation"),
                x509.NameAttribute(NameOID.COMMON_NAME, f"Yubico U2F EE Serial {number}"),
            ]
        )
        device = U2F_DEVICE_YUBIKEY_5 if version >= (5, 0, 0) else U2F_DEVICE_YUBIKEY_4
        extensions = [(OID_U2F_DEVICE, device), (OID_FIDO_TRANSPORTS, FIDO_TRANSPORTS_USB_NFC)]
        if any(aaguid):
            extensions.append((OID_FIDO_AAGUID, der_octets(aaguid)))
        if serial is not None:
            extensions.append((OID_FIDO_SERIAL, der_octets(serial.to_bytes(4))))
        builder = certificate_builder(
            subject=subject,
            issuer=issuer.certificate.subject,
            key=key.public_key(),
            serial=number,
            validity=NEW_VALIDITY if new else OLD_VALIDITY,
        )
        for oid, value in extensions:
            builder = builder.add_extension(raw_extension(oid, value), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(False, None), critical=True)
        leaf = builder.sign(issuer.key, hashes.SHA256())
        chain = [leaf, issuer.certificate] if new else [leaf]
        return key, [certificate.public_bytes(Encoding.DER) for certificate in chain]


def bench_roots() -> VirtualRoots:
    """The authorities of this process's bench, from whichever thread it asks first.

    Those in the folder that TOKENPROV_SIM_ROOTS names (made there if need be), or, without it,
    ones that live as long as the process.
    """
    with _first_time:
        return _bench_roots(os.environ.get(ROOTS_FOLDER))


_first_time = threading.Lock()


@functools.cache
def _bench_roots(folder: str | None) -> VirtualRoots:
    return VirtualRoots.in_folder(Path(folder)) if folder else VirtualRoots.create()


@functools.cache
def fido_attestation(
    aaguid: bytes, serial: int | None, version: Version = NEW_HIERARCHY
) -> tuple[ec.EllipticCurvePrivateKey, list[bytes]]:
    """`VirtualRoots.fido_attestation` of this process's bench; tokens of a model share one."""
    return bench_roots().fido_attestation(aaguid, serial, version=version)


def _authority(
    random: Random,
    name: str,
    key: rsa.RSAPrivateKey,
    issuer: Authority | None,
    path_length: int,
    *,
    old: bool = False,
) -> Authority:
    builder = certificate_builder(
        subject=common_name(name),
        issuer=issuer.certificate.subject if issuer else common_name(name),
        key=key.public_key(),
        serial=int.from_bytes(b"\x01" + random(19)),
        validity=OLD_VALIDITY if old else NEW_VALIDITY,
    ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    if issuer:
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()),
            critical=False,
        )
    usage = x509.KeyUsage(
        digital_signature=not old,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        builder.add_extension(x509.BasicConstraints(True, path_length), critical=not old)
        .add_extension(usage, critical=True)
        .sign(issuer.key if issuer else key, hashes.SHA256())
    )
    return Authority(certificate=certificate, key=key)
