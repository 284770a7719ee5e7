"""Stock `ykman openpgp` on virtual tokens: a table of commands and what they must say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from yubikit.openpgp import KEY_REF, OID, OpenPgpSession

from tests.openpgp_contact import ADMIN_PIN, PIN
from tests.piv_peers import SERIAL, Case, InProcess, Peers
from tokenprov.sim.assembly import make_token
from tokenprov.sim.bench import VirtualBench

TOOL = "ykman openpgp "
ACCESS = [
    Case(
        command=TOOL + "info",
        says=r"OpenPGP version: +3\.4\nApplication version: +5\.7\.4\nPIN tries remaining: +3\n"
        r"Reset code tries remaining: +0\nAdmin PIN tries remaining: +3\n"
        r"Require PIN for signature: +Once\nKDF enabled: +False",
    ),
    Case(command=TOOL + "access change-pin -P {pin} -n 7531864", says="User PIN has been changed"),
    Case(command=TOOL + "access change-pin -P {pin} -n 111111", says="2 remaining", code=1),
    Case(
        command=TOOL + "access change-reset-code -a {admin} -r 13572468",
        says="Reset Code has been changed",
    ),
    Case(
        command=TOOL + "access change-admin-pin -a {admin} -n 97531864",
        says="Admin PIN has been changed",
    ),
    Case(
        command=TOOL + "access unblock-pin -r 13572468 -n {pin}", says="User PIN has been changed"
    ),
    Case(
        command=TOOL + "access set-signature-policy -a 97531864 always",
        says="Signature PIN policy has been set",
    ),
    Case(
        command=TOOL + "access set-retries -a 97531864 -f 5 6 7",
        says="retries set",
    ),
    Case(
        command=TOOL + "info",
        says=r"PIN tries remaining: +5\nReset code tries remaining: +6\n"
        r"Admin PIN tries remaining: +7\nRequire PIN for signature: +Always",
    ),
    Case(command=TOOL + "reset -f", says="Reset complete"),
    Case(command=TOOL + "info", says=r"PIN tries remaining: +3\nReset code tries remaining: +0"),
]
KEYS = [
    Case(
        command=TOOL + "info",
        says=r"Signature key[\s\S]*Decryption key(?![\s\S]*Authentication key)",
    ),
    Case(
        command=TOOL + "keys info sig",
        says=r"Algorithm: +BrainpoolP384R1\n[\s\S]*Origin: +GENERATED",
    ),
    Case(command=TOOL + "keys attest -P {pin} sig sig.pem"),
    Case(command=TOOL + "certificates export att att.pem"),
    Case(
        command=TOOL + "keys attest -P {pin} aut aut.pem",
        says="(?i)(fail|no key|empty|error)",
        code=1,
    ),
    Case(command=TOOL + "keys set-touch -a {admin} -f dec cached-fixed", says="DEC set"),
    Case(command=TOOL + "keys info dec", says=r"Touch policy: +Cached \(fixed\)"),
    Case(command=TOOL + "certificates delete -a {admin} sig"),
    Case(
        command=TOOL + "certificates export sig gone.pem", says="Failed to read certificate", code=1
    ),
    Case(command=TOOL + "certificates import -a {admin} aut att.pem"),
    Case(command=TOOL + "certificates export aut -", says="BEGIN CERTIFICATE"),
]


@pytest.fixture(scope="module")
def one() -> Iterator[VirtualBench]:
    """A private pcscd with one reader."""
    with VirtualBench(tokens=1) as bench:
        yield bench


@pytest.fixture
def peers(one: VirtualBench, tmp_path: Path) -> Peers:
    """One fresh YubiKey of firmware 5.7.4."""
    one.control.replace(0, model="yubikey-5.7.4", serial=SERIAL)
    return Peers(bench=one, folder=tmp_path)


def test_access_and_reset(peers: Peers) -> None:
    """PINs, resetting code, policy and tries are changed, shown, and reset."""
    peers.play(ACCESS, pin=PIN, admin=ADMIN_PIN)


def test_keys_and_certificates(peers: Peers) -> None:
    """Keys are shown, attested up to the virtual root, given touch policies and certificates."""
    token = make_token("yubikey-5.7.4", SERIAL)
    session = OpenPgpSession(InProcess(token))
    session.verify_admin(ADMIN_PIN)
    session.generate_ec_key(KEY_REF.SIG, OID.BrainpoolP384R1)
    session.generate_ec_key(KEY_REF.DEC, OID.X25519)
    state = token.dump()
    state["applets"]["openpgp"]["attestation_made"] = False  # the bench's token has its own
    peers.bench.control.restore(SERIAL, state)
    peers.play(KEYS, pin=PIN, admin=ADMIN_PIN)
    assert "sig.pem: OK" in peers.verify_attestation("sig.pem", "att.pem")
