"""Seeds of one-time passwords in the files that authentication servers read.

Rules:
- Yubico's log line, which Okta takes too: `serial,publicId,privateId,key,accessCode,time,`; the
  public id in modhex, the rest in hex. The access code is another custodian's: zeros stand for it.
- YubiKey KSM's import (yubikey-ksm, ykksm-import(1)): `# ykksm 1`, then lines of
  `serialnr,publicname,internalname,aeskey,lockcode,created,accessed`. It is always encrypted, and
  signed: ykksm-import takes nothing else, and writes the signer down as who made the keys.
- PSKC (RFC 6030) with the key encrypted by AES-256-CBC under a passphrase (PBKDF2 with its default
  HMAC-SHA-1, which every reader has: RFC 6030, 6.2) and a MAC. A Yubico OTP is named as Yubico's
  own tools name it. Its private id can only stand in the clear (`UserId`): it does where the whole
  file is encrypted.
- OpenPGP encryption is GnuPG's, to one public key in a file; a key ring is looked at only for the
  key that signs.
"""

from __future__ import annotations

import io
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pskc import PSKC

from tokenprov.errors import EscrowError, InputError
from tokenprov.model import SecretKind
from tokenprov.secret import Secret

PRIVATE_ID_SIZE = 6  # bytes of a Yubico OTP's seed, before its AES key
KSM_PUBLIC_ID = 16  # characters at most: `publicName varchar(16)` of ykksm-db.sql
NO_CODE = "00" * 6  # an access code that is not handed out
PBKDF2_ROUNDS = 1_300_000  # OWASP Password Storage, 2023: for HMAC-SHA-1
SALT_SIZE = 16  # bytes
GPG_SECONDS = 60.0

YUBICO_OTP = "http://www.yubico.com/#yubikey-aes"  # as Yubico's personalization tool names it
HOTP = "urn:ietf:params:xml:ns:keyprov:pskc:hotp"  # RFC 6030, 10.1
OTP_LENGTH = 32  # characters of modhex after the public id


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """A seed, and what a server has to know beside it."""

    serial: str
    slot: str  # "1" or "2"
    kind: SecretKind  # OTP_SEED or HOTP_SEED
    value: Secret
    made: datetime
    public_id: str = ""  # in modhex, of a Yubico OTP; of HOTP the token id that it types, if any
    digits: int = 0  # of HOTP, as is
    counter: int = 0  # that it was made with

    @property
    def private_id(self) -> str:
        """In hex."""
        return self.value.reveal()[:PRIVATE_ID_SIZE].hex()

    @property
    def key(self) -> bytes:
        """The AES key of a Yubico OTP, the seed of HOTP."""
        value = self.value.reveal()
        return value[PRIVATE_ID_SIZE:] if self.kind is SecretKind.OTP_SEED else value


def log_lines(seeds: Sequence[Seed]) -> Secret:
    """Yubico's CSV, and Okta's."""
    return Secret("".join(f"{_line(seed)}{seed.made:%Y-%m-%dT%H:%M:%S},\r\n" for seed in seeds))


def ksm_lines(seeds: Sequence[Seed]) -> Secret:
    """What ykksm-import reads, in the clear. Raises InputError for what it cannot store."""
    for seed in seeds:
        if len(seed.public_id) > KSM_PUBLIC_ID:
            raise InputError(
                f"the public id of token {seed.serial}, slot {seed.slot}, has"
                f" {len(seed.public_id)} characters: a YubiKey KSM stores {KSM_PUBLIC_ID}",
                remedy="Export it as PSKC or Yubico's CSV: --for pskc, --for yubico-csv",
            )
    head = "# ykksm 1\n# serialnr,identity,internaluid,aeskey,lockpw,created,accessed[,progflags]\n"
    lines = [f"{_line(seed)}{seed.made:%Y-%m-%dT%H:%M:%S},\n" for seed in seeds]
    return Secret(head + "".join(lines) + "# the end\n")


def pskc(seeds: Sequence[Seed], passphrase: Secret, *, whole: bool = False) -> Secret:
    """A key container; `whole`: it will be encrypted as a whole, and may hold private ids."""
    container = PSKC()
    container.encryption.setup_pbkdf2(
        passphrase.reveal(),
        salt=secrets.token_bytes(SALT_SIZE),
        iterations=PBKDF2_ROUNDS,
        algorithm="aes256-cbc",
    )
    for seed in seeds:
        mine: dict[str, str | bytes | int | datetime | None] = {
            "manufacturer": "Yubico",
            "serial": seed.serial,
            "crypto_module": seed.slot,
            "id": f"{seed.serial}:{seed.slot}",
            "secret": seed.key,
        }
        if seed.kind is SecretKind.OTP_SEED:
            names = f"CN={seed.public_id}" + (f", UID={seed.private_id}" if whole else "")
            container.add_key(
                **mine,
                algorithm=YUBICO_OTP,
                response_length=len(seed.public_id) + OTP_LENGTH,
                response_encoding="ALPHANUMERIC",
                key_userid=names,
            )
        else:
            container.add_key(
                **mine,
                algorithm=HOTP,
                response_length=seed.digits,
                response_encoding="DECIMAL",
                counter=seed.counter,
                key_userid=f"CN={seed.public_id}" if seed.public_id else None,
            )
    written = io.BytesIO()
    container.write(written)
    return Secret(written.getvalue())


def encrypt_to(recipient: Path, content: Secret, sign_with: str | None = None) -> Secret:
    """The content as an OpenPGP message (RFC 4880) to the public key in a file.

    `sign_with` names a key of whoever runs this, as their gpg knows it: their agent asks for its
    passphrase or PIN. Raises EscrowError: gpg is missing, or does not take one of the keys.
    """
    gpg = shutil.which("gpg")
    if gpg is None:
        raise EscrowError("gpg is not installed", remedy="As root: apt-get install gnupg")
    with tempfile.TemporaryDirectory() as empty:  # gpg's home; nothing secret comes to lie there
        rings: tuple[str, ...] = ("--homedir", empty, "--no-default-keyring", "--no-autostart")
        if sign_with is not None:
            rings = ("--local-user", sign_with, "--sign")
        done = subprocess.run(
            [
                *(gpg, "--batch", *rings),
                *("--trust-model", "always", "--armor", "--recipient-file", str(recipient)),
                *("--encrypt", "--output", "-"),
            ],
            input=content.reveal(),
            capture_output=True,
            timeout=GPG_SECONDS if sign_with is None else None,  # a person types, or touches
            check=False,
        )
    if done.returncode:
        signing = "" if sign_with is None else f" and sign as {sign_with}"
        raise EscrowError(
            f"gpg does not encrypt to {recipient}{signing}:"
            f" {done.stderr.decode(errors='replace').strip()}",
            remedy="Give the server's public key as gpg --export --armor writes it, and a key of"
            " yours that gpg --list-secret-keys shows.",
        )
    return Secret(done.stdout)


def _line(seed: Seed) -> str:
    if seed.kind is not SecretKind.OTP_SEED:
        raise InputError(
            f"the seed of token {seed.serial}, slot {seed.slot}, is no Yubico OTP's",
            remedy="Export it as PSKC: --for pskc",
        )
    return f"{seed.serial},{seed.public_id},{seed.private_id},{seed.key.hex()},{NO_CODE},"
