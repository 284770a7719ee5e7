"""What ykman sees of a token whose FIDO2 settings a profile made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.stations import make_station
from tokenprov.sim.bench import VirtualBench

SERIAL = 36_000_001
PROFILE = """name = "fido-all"
[fido2]
pin = { length = 8, force-change = "no" }
minimum-pin-length = { length = 8, rp-ids = ["login.example.test"] }
always-uv = "required"
enterprise-attestation = "required"

[[fido2.credentials]]
rp-id = "login.example.test"
rp-name = "Example Login"
user-name = "{holder.upn}"
protection = "required"
enterprise = true

[[fido2.credentials]]
rp-id = "mail.example.test"
rp-name = "Example Mail"
user-name = "{holder.email}"
"""


def test_other_programs_see_the_settings(tmp_path: Path) -> None:
    """Least length, alwaysUv, enterprise attestation, passkeys and the sealed PIN, by ykman."""
    path = tmp_path / "fido-all.toml"
    path.write_text(PROFILE, encoding="utf-8")
    with VirtualBench(tokens=1, model="yubikey-5.7.4-nfc", serial_base=SERIAL) as bench:
        station = make_station(tmp_path, bench.environment)
        said = station.run(*station.batch(profile=path), "--wait", "0")
        assert said.code == 0, said.out + said.err
        pin = station.secrets(str(SERIAL))["fido2/pin"]

        info = ykman(bench, "info")
        assert value(info, "Minimum PIN length") == "8"
        assert value(info, "Always Require UV") == "On"
        assert value(info, "Enterprise Attestation") == "Enabled"
        assert value(info, "Credential storage remaining") == "98"
        listed = ykman(bench, "credentials", "list", "--pin", pin, "--csv")
        assert "login.example.test" in listed
        assert "mail.example.test" in listed
        assert "verified" in ykman(bench, "access", "verify-pin", "--pin", pin)
        short = ("access", "change-pin", "--pin", pin, "--new-pin", "471953")
        assert "8" in ykman(bench, *short, code=1)
    verified = station.tell("manifest", "verify")
    assert verified.code == 0, verified.err


def ykman(bench: VirtualBench, *arguments: str, code: int = 0) -> str:
    """Run `ykman fido …`, which takes FIDO over PC/SC on a contactless reader alone."""
    done = subprocess.run(
        [Path(sys.executable).with_name("ykman"), "--reader", "Contactless", "fido", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **bench.environment},
        timeout=30,
        check=False,
    )
    printed = done.stdout + done.stderr
    assert done.returncode == code, printed
    return printed


def value(text: str, name: str) -> str:
    """The value that a line gives to a name."""
    (line,) = [line for line in text.splitlines() if line.startswith(name)]
    return line.partition(":")[2].strip()
