"""Tokens behind a PKCS#11 module in a batch: SoftHSM's, and some of a module that misbehaves."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.contract.test_standing import revoked
from tests.softhsm import SOFTHSM, SoftHsm, built_shim
from tests.stations import Said, Station, make_station
from tokenprov.pkcs11 import Module
from tokenprov.secret import Secret

PUBLISHED = "12345678"
KEYS = """
[[pkcs11.keys]]
id = "01"
label = "login"
algorithm = "eccp256"
certificate = { upn = true, usages = ["client-auth", "smartcard-logon"], policies = ["2.999.1"] }
"""
MORE_KEYS = """
[[pkcs11.keys]]
id = "02"
label = "signature"
algorithm = "rsa2048"
[[pkcs11.keys]]
id = "03"
label = "p384"
algorithm = "eccp384"
certificate = { usages = ["email-protection"] }
[[pkcs11.keys]]
id = "04"
label = "ssh"
algorithm = "ed25519"
"""
# CK_TOKEN_INFO.flags
USER_PIN_LOCKED, SO_PIN_LOCKED, SO_PIN_COUNT_LOW, KEYPAD = 0x40000, 0x400000, 0x100000, 0x100


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module that misbehaves, compiled."""
    return built_shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home to be copied."""
    return make_station(tmp_path_factory.mktemp("template"), {}).home


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftHsm:
    """SoftHSM with one blank token."""
    made = SoftHsm.create(tmp_path / "hsm")
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SHIM", raising=False)
    return made


@pytest.fixture
def delivered(hsm: SoftHsm) -> SoftHsm:
    """Beside it, one as makers deliver them: initialised with an SO PIN that they published."""
    hsm.run(
        *("pkcs11-tool", "--module", str(SOFTHSM), "--init-token", "--slot-index", "0"),
        *("--label", "delivered", "--so-pin", PUBLISHED),
    )
    return hsm


@pytest.fixture
def station(template: Path, hsm: SoftHsm, tmp_path: Path) -> Station:
    """A fresh station."""
    shutil.copytree(template, tmp_path / "station")
    return Station(home=tmp_path / "station")


@pytest.fixture
def run(station: Station, tmp_path: Path) -> Callable[..., Said]:
    """Runs a batch of one holder: `run(module, keys)`."""

    def made(module: str | Path = "softhsm2", keys: str = KEYS, published: str = PUBLISHED) -> Said:
        profile = tmp_path / "hsm.toml"
        so_pin = f'so-pin = {{ published = "{published}" }}\n' if published else ""
        profile.write_text(f'name = "hsm"\n[pkcs11]\nmodule = "{module}"\n{so_pin}{keys}')
        return station.tell(*station.batch(profile=profile))

    return made


def failure(said: Said) -> str:
    """Why the one token was not made."""
    assert said.code == 8, said.err
    (event,) = [
        one
        for one in said.events
        if one["event"] in ("OrderFailed", "TokenPassedOver") and "blank" not in one["reason"]
    ]
    return f"{event['reason']} | {event['remedy']}"


def test_a_token_is_made_whole(
    station: Station, delivered: SoftHsm, run: Callable[..., Said], tmp_path: Path
) -> None:
    """Initialised, PINs sealed, keys that never leave it, certificates with their chain."""
    said = run(keys=KEYS + MORE_KEYS)
    assert said.code == 0, said.err
    (entry,) = station.entries()
    token, steps = entry["token"], {step["id"]: step for step in entry["steps"]}
    assert (token["maker"], token["grade"]) == ("SoftHSM project", "asserted")
    assert {step["state"] for step in steps.values()} == {"match"}
    assert steps["pkcs11/token"]["facts"] == {"label": "Ada Okonkwo"}
    assert steps["pkcs11/01/certificate"]["facts"]["chain"] == 1
    secrets = station.secrets(token["serial"])
    assert secrets.keys() == {"pkcs11/token", "pkcs11/user-pin"}
    tool = ("pkcs11-tool", "--module", str(SOFTHSM), "--token-label", "Ada Okonkwo", "--login")
    tool = (*tool, "--pin", secrets["pkcs11/user-pin"])
    listed = delivered.run(*tool, "--list-objects")
    assert listed.count("Private Key Object") == listed.count("Public Key Object") == 4
    assert listed.count("Access:     sensitive, always sensitive, never extractable, local") == 4
    assert listed.count("Certificate Object") == 3  # one authority for both
    (tmp_path / "message").write_bytes(hashlib.sha256(b"proof").digest())  # SoftHSM hashes nothing
    delivered.run(
        *(*tool, "--sign", "--id", "01", "--mechanism", "ECDSA"),
        *("--signature-format", "openssl", "--input-file", str(tmp_path / "message")),
        *("--output-file", str(tmp_path / "signature")),
    )
    facts = steps["pkcs11/01/certificate"]["facts"]
    certificate = x509.load_der_x509_certificate(station.blob(facts["sha256"]))
    policies = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
    assert [one.policy_identifier.dotted_string for one in policies] == ["2.999.1"]
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify((tmp_path / "signature").read_bytes(), b"proof", ec.ECDSA(hashes.SHA256()))
    assert station.tell("manifest", "verify").code == 0


def test_a_lost_token_is_accepted_nowhere(
    station: Station, delivered: SoftHsm, run: Callable[..., Said]
) -> None:
    """Its certificates are what relies on it: held, released and revoked."""
    assert run(keys=KEYS + MORE_KEYS).code == 0
    (entry,) = station.entries()
    serial, steps = entry["token"]["serial"], {step["id"]: step for step in entry["steps"]}
    names = {"pkcs11/01/certificate", "pkcs11/03/certificate"}
    certificates = {steps[name]["facts"]["serialNumber"] for name in names}
    assert station.tell("suspend", serial, "--reason", "left at home").code == 0
    assert revoked(station) == dict.fromkeys(certificates, "certificateHold")
    assert station.tell("resume", serial, "--reason", "found").code == 0
    assert revoked(station) == {}
    chain = {
        link["what"]: link["faults"] for link in station.tell("trace", "E1", "--json").document
    }
    assert "how its PIN came to the holder is not recorded" in chain["issued"]
    listed = station.tell("renew", "--within", "5000", "--json").document
    assert {one["step"] for one in listed} == names
    assert station.tell("revoke", serial, "--reason", "lost").code == 0
    assert revoked(station) == dict.fromkeys(certificates, "keyCompromise")
    (ended,) = station.entries("revoked")
    assert {one["id"]: one["outcome"] for one in ended["credentials"]} == dict.fromkeys(
        names, "done"
    )
    assert station.tell("manifest", "verify").code == 0


def test_a_token_set_aside_leaves_no_certificate_in_force(
    station: Station,
    delivered: SoftHsm,
    shim: Path,
    run: Callable[..., Said],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A certificate that was issued and could not be written ends with the token, on record."""
    monkeypatch.setenv("SHIM", "refuse 20 30")  # C_CreateObject: CKR_DEVICE_ERROR
    said = run(shim)
    assert "writing a certificate" in failure(said)
    (bad,) = [order["serial"] for order in said.document["orders"] if order["state"] == "failed"]
    assert station.tell("batch", "set-aside", bad, "--reason", "it writes no more").code == 0
    (entry,) = station.entries("set-aside")
    (ended,) = entry["credentials"]
    assert (ended["id"], ended["outcome"]) == ("pkcs11/01/certificate", "done")
    assert list(revoked(station)) == [ended["facts"]["serialNumber"]]


def test_looking_at_it_afterwards(
    station: Station, delivered: SoftHsm, run: Callable[..., Said]
) -> None:
    """It is listed and shown, audited without drift, and issued once only."""
    assert run().code == 0
    (entry,) = station.entries()
    serial = entry["token"]["serial"]
    listed = station.tell("token", "list", "--module", str(SOFTHSM), "--json").document
    assert serial in {one["serial"] for one in listed}
    shown = station.tell("token", "show", serial, "--module", "softhsm2", "--json").document
    assert shown["inventory"]["pkcs11"]["userPin"] is True
    assert "it holds a certificate called 'login'" in shown["used"]
    assert shown["recorded"]["state"] == "issued"
    audited = station.tell("token", "audit", serial, "--module", "softhsm2", "--json")
    assert audited.code == 0, audited.out
    (one,) = audited.document["tokens"]
    standing = {setting["setting"]: setting["standing"] for setting in one["settings"]}
    assert standing["pkcs11/01/certificate"] == "same"
    assert standing["pkcs11/user-pin"] == standing["pkcs11/01/key"] == "unknown"
    key = station.home / "custodians" / "private" / "help-desk.pem"
    prove = ("token", "prove", serial, "--module", "softhsm2", "--key", key, "--reason", "a test")
    proved = station.tell(*prove, "--json")
    assert proved.code == 0, proved.err
    assert [(one["slot"], one["proved"]) for one in proved.document["keys"]] == [("01", True)]
    again = run()
    assert again.code == 0
    assert len(station.entries()) == 1


def test_a_blank_token_with_a_serial(
    station: Station, shim: Path, run: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is initialised with the drawn SO PIN at once: no published one is needed."""
    monkeypatch.setenv("SHIM", "serial")
    said = run(shim, published="")
    assert said.code == 0, said.err
    assert station.entries()[0]["token"]["serial"] == "BLANK-0001"
    secrets = station.secrets("BLANK-0001")
    with Module(shim) as module:
        module.log_in_officer("BLANK-0001", Secret(secrets["pkcs11/token"]))
        module.log_in("BLANK-0001", Secret(secrets["pkcs11/user-pin"]))


def test_a_blank_token_without_a_serial(hsm: SoftHsm, run: Callable[..., Said]) -> None:
    """It cannot be told from another one; what names it is told."""
    said = run()
    assert said.code == 8
    (passed,) = [one for one in said.events if one["event"] == "TokenPassedOver"]
    assert "the token is blank" in passed["reason"]
    assert "pkcs11-tool --module MODULE --init-token" in passed["remedy"]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (USER_PIN_LOCKED, "its user PIN is locked: whoever has its SO PIN can set it anew"),
        (SO_PIN_LOCKED, "its SO PIN is locked: nothing can be set on it any more"),
        (SO_PIN_COUNT_LOW, "its SO PIN has too few tries left to be tried"),
        (KEYPAD, "its PINs are typed on a keypad, and not set by programs"),
    ],
)
def test_locked_tokens(
    station: Station,
    delivered: SoftHsm,
    shim: Path,
    run: Callable[..., Said],
    monkeypatch: pytest.MonkeyPatch,
    flags: int,
    says: str,
) -> None:
    """What is locked is told with who can help, and no try is spent."""
    monkeypatch.setenv("SHIM", f"flags {flags}")
    assert says in failure(run(shim))


def test_half_initialised_and_used_tokens(
    delivered: SoftHsm, run: Callable[..., Said], station: Station
) -> None:
    """Another SO PIN, a user PIN, or an object: it is somebody's, and stays as it is."""
    assert "its SO PIN is not the one that its maker published" in failure(
        run(published="87654321")
    )
    assert "the profile names no published SO PIN" in failure(run(published=""))
    tool = ("pkcs11-tool", "--module", str(SOFTHSM), "--token-label", "delivered")
    officer = ("--login", "--login-type", "so", "--so-pin", PUBLISHED)
    delivered.run(*tool, *officer, "--init-pin", "--pin", "55555555")
    delivered.run(
        *tool, "--login", "--pin", "55555555", "--keypairgen", "--key-type", "EC:secp256r1"
    )
    before = objects(delivered)
    said = failure(run())
    assert "it has a user PIN" in said
    assert "it holds a public key" in said
    assert objects(delivered) == before


def objects(hsm: SoftHsm) -> dict[str, str]:
    """What is in the files of its tokens; SoftHSM counts tries in each token's own."""
    return {
        str(path.relative_to(hsm.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (hsm.folder / "tokens").rglob("*.object")
        if path.name != "token.object"
    }


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("crash 59 0", "making a key for eccp256: the PKCS#11 module shim.so crashed (signal 11)"),
        ("refuse 59 70", "this token, or its module, cannot do it"),
        ("weak", "the key login can leave the token: sensitive is false"),
        ("forge", "the key login signs what does not verify"),
    ],
)
def test_a_module_that_misbehaves_stops_its_token_only(
    station: Station,
    delivered: SoftHsm,
    shim: Path,
    run: Callable[..., Said],
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    says: str,
) -> None:
    """Its order fails with the reason and nothing is issued; the station goes on."""
    monkeypatch.setenv("SHIM", how)
    assert says in failure(run(shim))
    assert station.entries() == []
    monkeypatch.delenv("SHIM")
    again = run(shim)
    if how == "weak":  # the key that can leave the token is there, and is not overwritten
        assert "can leave the token" in failure(again)
    else:
        assert again.code == 0, again.err
        assert len(station.entries()) == 1


def test_a_module_that_cannot_be_asked_ends_the_line(
    station: Station,
    delivered: SoftHsm,
    shim: Path,
    run: Callable[..., Said],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that crashes whenever it is asked for its tokens is given up with the reason."""
    monkeypatch.setenv("SHIM", "crash 4 0")  # C_GetSlotList
    said = run(shim)
    assert said.code == 4
    assert "looking for tokens: the PKCS#11 module shim.so crashed (signal 11)" in said.err
    monkeypatch.delenv("SHIM")
    assert run(shim).code == 0


class Cut(BaseException):
    """The power fails: nothing catches it."""


WRITES = ("initialise", "set_pin", "init_pin", "generate", "put_certificate")


@pytest.fixture
def cutting(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, bool], None]:
    """Cuts the station off at one of its writes, before or after the module carries it out."""
    ask = Module._ask
    writes: list[str] = []
    at: list[tuple[int, bool]] = []

    def asking(module: Module, doing: str, operation: str, **given: Any) -> Any:
        write = operation in WRITES
        number = len(writes)
        if write:
            writes.append(operation)
        if write and at == [(number, False)]:
            raise Cut
        answer = ask(module, doing, operation, **given)
        if write and at == [(number, True)]:
            raise Cut
        return answer

    def cut(number: int, after: bool) -> None:
        writes.clear()
        at[:] = [(number, after)]

    monkeypatch.setattr(Module, "_ask", asking)
    return cut


@pytest.mark.parametrize(
    ("number", "after"), [*((number, True) for number in range(6)), (0, False), (3, False)]
)
def test_cut_off_anywhere_it_goes_on(
    station: Station,
    delivered: SoftHsm,
    run: Callable[..., Said],
    cutting: Callable[[int, bool], None],
    number: int,
    after: bool,
) -> None:
    """Initialised, SO PIN, user PIN, key, chain, certificate: the same run finishes each."""
    cutting(number, after)
    with pytest.raises(Cut):
        run()
    cutting(99, False)
    said = run()
    assert said.code == 0, said.err
    (entry,) = station.entries()
    secrets = station.secrets(entry["token"]["serial"])
    with Module(SOFTHSM) as module:
        module.log_in_officer(entry["token"]["serial"], Secret(secrets["pkcs11/token"]))
        module.log_in(entry["token"]["serial"], Secret(secrets["pkcs11/user-pin"]))


def test_a_dry_run_changes_nothing(
    station: Station, delivered: SoftHsm, run: Callable[..., Said], tmp_path: Path
) -> None:
    """It shows what would be written to a token behind a module."""
    profile = tmp_path / "hsm.toml"
    so_pin = f'so-pin = {{ published = "{PUBLISHED}" }}\n'
    profile.write_text(f'name = "hsm"\n[pkcs11]\nmodule = "softhsm2"\n{so_pin}{KEYS}')
    before = objects(delivered)
    (serial,) = {
        one["serial"]
        for one in station.tell("token", "list", "--module", "softhsm2", "--json").document
    } - {None}
    said = station.tell("plan", station.roster(), "--profile", profile, "--serial", serial)
    assert said.code == 0, said.err
    assert "+ " in said.out
    assert objects(delivered) == before
