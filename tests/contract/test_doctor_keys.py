"""What doctor says of the keys that a station signs with, and of its own authorities."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.softhsm import SOFTHSM, SoftHsm
from tests.stations import tell
from tokenprov.doctor import Finding, State, keys
from tokenprov.pkcs11.key import find_token
from tokenprov.pkcs11.uri import Pkcs11Uri

SO_PIN, PIN = "87654321", "123456"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A station home as `init` makes it."""
    made = tmp_path / "home"
    assert tell("init", made, "--name", "bench", "--operator", "olga").code == 0
    return made


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftHsm:
    """A token named station, for this process."""
    made = SoftHsm.create(tmp_path / "hsm")
    made.deliver("station", SO_PIN, PIN)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made


def seen(home: Path) -> dict[str, Finding]:
    """The findings, by what they are about."""
    return {one.about: one for one in keys.look(home)}


def uri(token: str) -> str:
    """A key in that token."""
    return f"pkcs11:token={token};object=manifest?module-path={SOFTHSM}"


def certificate(ends: timedelta) -> bytes:
    """One of an authority, which ends so long from now."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    end = datetime.now(UTC) + ends
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(end - timedelta(days=365)).not_valid_after(end)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_a_new_home_lacks_nothing(home: Path, tmp_path: Path) -> None:
    """Its one authority is good for years, and its keys are files; no home, no finding."""
    (found,) = seen(home).values()
    assert (found.about, found.state) == ("authority local", State.GOOD)
    assert seen(tmp_path / "nowhere") == {}


@pytest.mark.parametrize(
    ("days", "state", "word"),
    [(-1, State.BAD, "ended on"), (30, State.DOUBTFUL, "ends on"), (200, State.GOOD, "ends on")],
)
def test_an_authority_that_ends(home: Path, days: int, state: State, word: str) -> None:
    """Ended, it issues nothing; soon to end, less than it is asked for."""
    (home / "ca" / "ca.pem").write_bytes(certificate(timedelta(days=days)))
    found = seen(home)["authority local"]
    assert found.state is state
    assert word in found.text
    assert ("ca init" in found.mend) is (state is not State.GOOD)


def test_authorities_that_are_damaged_or_wait(home: Path) -> None:
    """A file that is no certificate; one that another authority still has to sign."""
    (home / "ca" / "ca.pem").write_text("lost")
    (home / "authorities" / "below").mkdir(parents=True)
    (home / "authorities" / "below" / "ca.toml").write_text("colour = 1\n")
    found = list(keys.look(home))
    assert [(one.about, one.state) for one in found] == [
        ("authority local", State.BAD),
        ("authority below", State.DOUBTFUL),
        ("authority below", State.BAD),
    ]
    assert found[1].mend == "tokenprov ca import below FILE"


def test_a_key_in_a_token_is_looked_for_without_its_pin(home: Path, hsm: SoftHsm) -> None:
    """There, not there, and behind a module that is gone: each with the command that shows more."""
    path = home / "keys" / "00000000.uri"
    path.write_text(uri("station") + "\n")
    assert seen(home)["signing key"].state is State.GOOD
    path.write_text(uri("elsewhere") + "\n")
    missing = seen(home)["signing key"]
    assert missing.state is State.BAD
    assert str(SOFTHSM) in missing.mend
    path.write_text("pkcs11:token=station;object=x?module-path=/nowhere.so\n")
    assert seen(home)["signing key"].state is State.BAD
    (home / "ca" / "ca.toml").write_text(f'key = "{uri("elsewhere")}"\n')
    assert seen(home)["key of authority local"].state is State.BAD


def test_a_token_whose_pin_is_locked(
    home: Path, hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SoftHSM never locks one: the flag is laid over what it tells."""
    told = find_token(Pkcs11Uri.parse(uri("station")))
    locked = replace(told, flags=told.flags | {"USER_PIN_LOCKED"})
    monkeypatch.setattr(keys, "find_token", lambda _: locked)
    found = keys.key_in_token("signing key", uri("station"))
    assert found.state is State.BAD
    assert "--init-pin" in found.mend
