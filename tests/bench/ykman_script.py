"""What an administrator's script does today: `ykman`, one process a setting, the same settings.

It makes of a fresh key what profiles/standard-employee.toml does, as far as `ykman` can: it leaves
out the passkey (no command makes one), and it does not seal, record, read back or verify anything.
So it does less than tokenprov, and a comparison errs on the script's side. Its authority is
`openssl x509`, as in the makers' own guides.

Over PC/SC alone `ykman` finds FIDO only on a contactless reader: the last two commands get a key
that lies on one, which is laid there while no clock runs.
"""

from __future__ import annotations

import secrets
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.commands import NOTHING, Cost, cost_of

YKMAN = str(Path(sys.executable).with_name("ykman"))
FACTORY_PIN, FACTORY_PUK = "123456", "12345678"
FACTORY_KEY = "010203040506070801020304050607080102030405060708"
EXTENSIONS = """\
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth, msSmartcardLogin
subjectAltName = email:ada@example.test, otherName:msUPN;UTF8:ada@corp.example.test
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The script's cost and how many commands it was."""

    cost: Cost
    commands: int


class YkmanScript:
    """Programs keys in front of it, one at a time, in a folder with an authority of its own."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        openssl = shutil.which("openssl")
        if openssl is None:
            raise FileNotFoundError("openssl is not installed")
        self._folder, self._environment, self._openssl = folder, environment, openssl
        (folder / "extensions").write_text(EXTENSIONS, encoding="ascii")
        make_authority = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        self._run(
            [openssl, *make_authority.split(), "-keyout", "ca.key", "-out", "ca.pem"]
            + ["-days", "3650", "-subj", "/CN=Bench CA"]
        )

    def program(self, serial: int, lay_on_contactless_reader: Callable[[], None]) -> Run:
        """Program one key. Raises `CommandFailed`."""
        cost, commands = NOTHING, [*self._over_usb(serial)]
        for command in commands:
            cost += self._run(command)
        lay_on_contactless_reader()
        over_nfc = self._over_nfc()
        for command in over_nfc:
            cost += self._run(command)
        return Run(cost=cost, commands=len(commands) + len(over_nfc))

    def _run(self, command: Sequence[str]) -> Cost:
        return cost_of(command, self._environment, self._folder)

    def _over_usb(self, serial: int) -> list[list[str]]:
        pin, puk = _digits(8), _digits(8)
        key, code1, code2 = secrets.token_hex(24), secrets.token_hex(6), secrets.token_hex(6)

        def ykman(line: str) -> list[str]:
            return [YKMAN, "--device", str(serial), *line.split()]

        return [
            [YKMAN, "list", "--serials"],
            ykman(f"piv access set-retries 8 5 -m {FACTORY_KEY} -P {FACTORY_PIN} -f"),
            ykman(f"piv access change-pin -P {FACTORY_PIN} -n {pin}"),
            ykman(f"piv access change-puk -p {FACTORY_PUK} -n {puk}"),
            ykman(f"piv access change-management-key -m {FACTORY_KEY} -n {key} -a AES192 -f"),
            ykman(f"piv objects generate CHUID -m {key} -P {pin}"),
            ykman(f"piv objects generate CCC -m {key} -P {pin}"),
            ykman(
                f"piv keys generate 9a 9a.pem -a ECCP256 --pin-policy once --touch-policy cached"
                f" -m {key} -P {pin}"
            ),
            ykman("piv keys attest 9a attestation.pem"),
            ykman(f"piv certificates request 9a 9a.pem 9a.csr -s CN=Ada -P {pin}"),
            self._sign("9a.csr", "9a.crt"),
            ykman(f"piv certificates import 9a 9a.crt -m {key} -P {pin}"),
            ykman("otp yubiotp 1 --serial-public-id -g -G -f"),
            ykman(f"otp settings 1 -A {code1} -f"),
            ykman("otp chalresp 2 -g -f"),
            ykman(f"otp settings 2 -A {code2} -f"),
        ]

    def _sign(self, request: str, certificate: str) -> list[str]:
        authority = ["-CA", "ca.pem", "-CAkey", "ca.key", "-days", "365", "-extfile", "extensions"]
        return [self._openssl, "x509", "-req", "-in", request, *authority, "-out", certificate]

    def _over_nfc(self) -> list[list[str]]:
        pin = _digits(8)
        fido = [YKMAN, "--reader", "Contactless", "fido", "access"]
        return [
            [*fido, "change-pin", "--new-pin", pin],
            [*fido, "force-change", "--pin", pin],
        ]


def _digits(length: int) -> str:
    """A random PIN that no rule against simple ones refuses: all digits differ from the next."""
    digits = str(secrets.randbelow(10))
    while len(digits) < length:
        digits += str((int(digits[-1]) + 3 + secrets.randbelow(4)) % 10)
    return digits
