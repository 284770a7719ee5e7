"""Where a custodian's private key is, by what was given for `--key`.

    FILE                    PKCS#8 PEM of either kind, its passphrase asked for where that was said
    pkcs11:token=…;object=… a PKCS#11 token (RFC 7512); its PIN is asked for, or in `pin-source`
    piv:SERIAL              slot 9d of the PIV token with that serial; its PIN is asked for
    words:                  SLIP-39 shares, which are asked for; or words:FILE,FILE,…

No PIN and no passphrase is taken from a command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenprov.pkcs11.uri import SCHEME, Pkcs11Uri
from tokenprov.record.escrow import PrivateKey, load_key
from tokenprov.secret import Secret

PIV = "piv:"
WORDS = "words:"

Ask = Callable[[str], Secret]  # the prompt -> what was typed, unseen


@contextmanager
def opened_key(
    given: str, ask: Ask, find_reader: Callable[[str], str], *, has_passphrase: bool = False
) -> Iterator[PrivateKey]:
    """The key, for as long as it is needed. `find_reader` gives the reader of a serial.

    Raises EscrowError, InputError for a URI that is none, TokenError.
    """
    if given.startswith(SCHEME):
        # Loaded for those who use it: a module of another maker comes into the process with it.
        from tokenprov.custodians.module import key_in_module
        from tokenprov.pkcs11.key import read_pin

        uri = Pkcs11Uri.parse(given)
        with key_in_module(uri, lambda: read_pin(uri, ask)) as in_module:
            yield in_module
    elif given.startswith(PIV):
        from tokenprov.custodians.piv import key_on_token

        serial = given.removeprefix(PIV)
        with key_on_token(find_reader(serial), lambda: ask(f"PIN of {serial}: ")) as on_token:
            yield on_token
    elif given.startswith(WORDS):
        from tokenprov.custodians.words import ask_shares, join, read_share

        files = given.removeprefix(WORDS)
        yield join([read_share(Path(f)) for f in files.split(",")] if files else ask_shares(ask))
    else:
        phrase = ask("Passphrase: ") if has_passphrase else None
        yield load_key(Path(given), phrase)
