"""Where a private key is that signs, by what a person gave for it.

    FILE                    PKCS#8 PEM without a passphrase, mode 0600
    pkcs11:token=…;object=… a PKCS#11 token (RFC 7512); its PIN is asked for, or in `pin-source`
    piv:SERIAL              slot 9c of the PIV token with that serial; its PIN is asked for

No PIN is taken from a command line.
"""

from __future__ import annotations

import getpass
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenprov.errors import InputError
from tokenprov.pkcs11.key import module_key, read_pin
from tokenprov.pkcs11.uri import SCHEME, Pkcs11Uri
from tokenprov.record.signer import KeyInMemory, SigningKey
from tokenprov.secret import Secret

PIV = "piv:"

Ask = Callable[[str], Secret]  # the prompt -> what was typed, unseen


def ask_unseen(prompt: str) -> Secret:
    """What a person types without its being shown; the next line where there is no terminal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", getpass.GetPassWarning)  # nobody types into a pipe
        return Secret(getpass.getpass(prompt))


def no_reader(serial: str) -> str:
    """For those who take no token. Raises InputError."""
    raise InputError(
        f"a key in the PIV token {serial} cannot sign here",
        remedy="Give a file or a PKCS#11 URI: a station signs all day, and cannot ask for a PIN.",
    )


@contextmanager
def opened_key(
    given: str, ask: Ask = ask_unseen, find_reader: Callable[[str], str] = no_reader
) -> Iterator[SigningKey]:
    """The key, for as long as it is needed. `find_reader` gives the reader of a serial.

    Raises InputError for a URI that is none or names no key, StationError, TokenError.
    """
    if given.startswith(SCHEME):
        uri = Pkcs11Uri.parse(given)
        with module_key(uri, lambda: read_pin(uri, ask)) as in_module:
            yield in_module
    elif given.startswith(PIV):
        from tokenprov.signing.piv import key_on_token

        serial = given.removeprefix(PIV)
        with key_on_token(find_reader(serial), lambda: ask(f"PIN of {serial}: ")) as on_token:
            yield on_token
    else:
        yield KeyInMemory.load(Path(given))
