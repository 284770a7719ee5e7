"""What the station signs with: keys in PKCS#11 tokens, and certificates of its own authorities.

Of a token it is looked whether module and token are there and the PIN is not locked; no PIN is
asked for, and no try is spent.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shlex import quote

from cryptography import x509

from tokenprov.doctor.finding import Finding, bad, doubtful, good
from tokenprov.errors import InputError, StationError, TokenError
from tokenprov.issuer.ca.folder import CaFolder
from tokenprov.pkcs11.key import find_token
from tokenprov.pkcs11.uri import Pkcs11Uri

SIGNING, AUTHORITY = "signing key", "authority"
SOON = timedelta(days=90)  # less than a token's certificate is good for
_LOCKED = "USER_PIN_LOCKED"


def look(home: Path) -> Iterator[Finding]:
    """Look into a home that is there and may be read; of another nothing is said."""
    if not os.access(home / "keys", os.R_OK | os.X_OK):
        return
    for path in sorted((home / "keys").glob("*.uri")):
        yield key_in_token(SIGNING, path.read_text(encoding="utf-8").strip())
    for name, folder in _authorities(home):
        about = f"{AUTHORITY} {name}"
        yield certificate_of(about, name, folder)
        try:
            uri = folder.settings().key
        except StationError as error:
            yield bad(about, str(error.message), f"ls -l {quote(str(folder.settings_file))}")
        else:
            if uri is not None:
                yield key_in_token(f"key of {about}", uri)


def _authorities(home: Path) -> Iterator[tuple[str, CaFolder]]:
    if (home / "ca").is_dir():
        yield "local", CaFolder(path=home / "ca")
    for path in sorted(home.glob("authorities/*")):
        yield path.name, CaFolder(path=path)


def key_in_token(about: str, text: str) -> Finding:
    """Whether the token that a URI names is there, and takes its PIN."""
    shown = f"tokenprov token list --module {quote(_module(text))}"
    try:
        found = find_token(Pkcs11Uri.parse(text))
    except (InputError, TokenError) as error:
        return bad(about, error.message, shown)
    if _LOCKED in found.flags:
        mend = f"pkcs11-tool --module {quote(_module(text))} --login --login-type so --init-pin"
        return bad(about, f"the PIN of token {found.label} is locked", mend)
    return good(about, f"token {found.label} is there")


def _module(text: str) -> str:
    """The path that a URI names, as far as it is one."""
    return text.partition("module-path=")[2].partition("&")[0] or "MODULE"


def certificate_of(about: str, name: str, folder: CaFolder) -> Finding:
    """How long an authority is good for."""
    another = "tokenprov ca init NAME --common-name TEXT"
    if not folder.certificate.exists():
        return doubtful(about, "its certificate is not here", f"tokenprov ca import {name} FILE")
    try:
        made = x509.load_pem_x509_certificate(folder.certificate.read_bytes())
    except ValueError:
        return bad(about, f"{folder.certificate} is no certificate", another)
    left = made.not_valid_after_utc - datetime.now(UTC)
    text = f"its certificate ends on {made.not_valid_after_utc:%Y-%m-%d}"
    if left < timedelta(0):
        return bad(about, text.replace("ends", "ended"), another)
    return doubtful(about, text, another) if left < SOON else good(about, text)
