"""An authority behind a program: what it is told, and what its ends mean."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests import authority_program
from tests.certificate_requests import csr_of, p256, request_for
from tests.issued import openssl
from tokenprov.errors import IssuerError, IssuerPending, IssuerUnanswered, StationError
from tokenprov.issuer import CertificateRequest, Issuer, choose_issuer

URI = "command:corporate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A station home's folder, as far as issuers go, and the authority's."""

    home: Path
    authority: Path

    def issuer(self, **changes: Any) -> Issuer:
        """The authority, by a file with these changes."""
        program = [sys.executable, "-I", "-S", authority_program.__file__, str(self.authority)]
        keys = {"uri": URI, "program": program, "timeout": 20} | changes
        lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items() if value is not None]
        (self.home / "issuers").mkdir(exist_ok=True)
        (self.home / "issuers" / "own.toml").write_text("\n".join(lines))
        return choose_issuer(URI, self.home)

    def behave(self, words: str) -> None:
        """What the program does the next times."""
        (self.authority / "behave").write_text(words)

    @property
    def asked(self) -> list[dict[str, Any]]:
        """What the program was told, in order."""
        return [json.loads(line) for line in (self.authority / "asked").read_text().splitlines()]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A home and an authority."""
    made = Site(home=tmp_path / "home", authority=tmp_path / "authority")
    made.home.mkdir()
    made.authority.mkdir()
    make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=Corporate"
    openssl(*make.split(), "-keyout", "ca.key", "-out", "ca.pem", folder=made.authority)
    return made


def asked() -> CertificateRequest:
    """A request for a new key, signed by it, with something for an attestation."""
    key = p256()
    own = x509.load_pem_x509_certificate(SAMPLE)
    chain = (own.public_bytes(Encoding.DER),) * 2
    return request_for(key, csr=csr_of(key), attestation_chain=chain)


SAMPLE = (Path(__file__).parents[1] / "vectors/yubikey-5.4.3-fips/attestation-9a.crt").read_bytes()


def now() -> datetime:
    """The time that the program has, too."""
    return datetime.now(UTC)


def test_what_it_is_told(site: Site) -> None:
    """The request, its holder and token, the attestation; nothing of the station's environment."""
    request = asked()
    issued = site.issuer().issue(request, now())
    (above,) = issued.chain
    assert x509.load_der_x509_certificate(above).subject.rfc4514_string() == "CN=Corporate"
    (said,) = site.asked
    assert said["v"] == 1
    assert (said["action"], said["request"]) == ("issue", request.request_id)
    assert said["holder"] == request.holder.to_json()
    assert said["token"] == request.token_serial
    assert said["usages"] == ["client-auth", "smartcard-logon"]
    assert x509.load_pem_x509_csr(said["csr"].encode()).is_signature_valid
    own = x509.load_pem_x509_certificate(SAMPLE)
    assert said["attestation"] == [own.public_bytes(Encoding.PEM).decode()] * 2


def test_it_is_asked_once(site: Site) -> None:
    """An answered request is not asked again; a lost one is, by the same transaction."""
    site.behave("die")
    request = asked()
    with pytest.raises(IssuerUnanswered, match="was ended by SIGKILL"):
        site.issuer().issue(request, now())
    issued = site.issuer().issue(request, now())
    assert len(issued.doubts) == 1
    assert site.issuer().issue(request, now()) == issued
    first, second = site.asked
    assert first == second


def test_one_that_remembers_leaves_no_doubt(site: Site) -> None:
    """Where the file says that it gives the same certificate again, a lost answer is nothing."""
    site.behave("die")
    request = asked()
    with pytest.raises(IssuerUnanswered):
        site.issuer(repeatable=True).issue(request, now())
    assert site.issuer(repeatable=True).issue(request, now()).doubts == ()


@pytest.mark.parametrize(
    ("behaviour", "error", "said"),
    [
        ("refuse", IssuerError, r"refused \(1\): no such holder"),
        ("later", IssuerPending, "has not decided yet: the committee meets on Friday"),
        ("away", IssuerError, "was not reached"),
        ("hang", IssuerUnanswered, "did not end within 1 s"),
        ("other", IssuerUnanswered, "no certificate for the key"),
        ("talk", IssuerUnanswered, "no certificate in PEM"),
    ],
)
def test_what_its_ends_mean(
    site: Site, behaviour: str, error: type[IssuerError], said: str
) -> None:
    """Exit codes and time limit, each by what it says of the certificate."""
    site.behave(behaviour)
    with pytest.raises(IssuerError, match=said) as raised:
        site.issuer(timeout=1 if behaviour == "hang" else 20).issue(asked(), now())
    assert type(raised.value) is error


@pytest.mark.parametrize("then", ["wait", "exit 0"])
def test_it_is_ended_with_all_that_it_started(site: Site, tmp_path: Path, then: str) -> None:
    """A shell does not leave another program running, waited for or not."""
    script = f"echo $$ >>pids; sleep 600 & echo $! >>pids; {then}"
    program = ["/bin/sh", "-c", f"cd '{tmp_path}'; {script}"]
    with pytest.raises(IssuerUnanswered):
        site.issuer(program=program, timeout=1).issue(asked(), now())
    deadline = time.monotonic() + 20  # a signal is delivered when its process has its turn
    for pid in (tmp_path / "pids").read_text().split():
        while is_running(pid):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def is_running(pid: str) -> bool:
    """Whether there is such a process that is not dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_a_signal_without_a_name(site: Site) -> None:
    """Whatever ended it, what it did is not known."""
    program = ["/bin/sh", "-c", "kill -35 $$"]
    with pytest.raises(IssuerUnanswered, match="was ended by signal 35"):
        site.issuer(program=program).issue(asked(), now())


def test_it_sees_no_variable_but_the_usual(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What else stands in the station's environment is not for it."""
    monkeypatch.setenv("PGPASSWORD", "correct horse")
    program = ["/bin/sh", "-c", f"cat >/dev/null; env >'{tmp_path / 'seen'}'; exit 69"]
    with pytest.raises(IssuerError):
        site.issuer(program=program).issue(asked(), now())
    seen = (tmp_path / "seen").read_text()
    assert f"PATH={os.environ['PATH']}" in seen
    assert "correct horse" not in seen


def test_revocation(site: Site) -> None:
    """It is told of a revocation where it takes them."""
    issued = site.issuer().issue(asked(), now())
    with pytest.raises(IssuerError, match="takes no revocations"):
        site.issuer().revoke(issued.serial_hex, x509.ReasonFlags.superseded, now())
    site.issuer(revokes=True).revoke(issued.serial_hex, x509.ReasonFlags.superseded, now())
    said = site.asked[-1]
    assert (said["action"], said["reason"]) == ("revoke", "superseded")
    told = x509.load_pem_x509_certificate(said["certificate"].encode())
    assert f"{told.serial_number:x}" == issued.serial_hex


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"uri": "command:another"}, "does not know which program command:corporate is"),
        ({"program": ["our-ca"]}, "'our-ca' is not the path of a program"),
        ({"program": []}, r"own\.toml: program: "),
        ({"program": None}, r"own\.toml: program: "),
    ],
)
def test_wrong_settings_are_named(site: Site, changes: dict[str, Any], said: str) -> None:
    """A program is named by the station alone, and from the root."""
    with pytest.raises(StationError, match=said):
        site.issuer(**changes)


def test_a_program_that_is_not_there(site: Site) -> None:
    """Nothing was asked, and it is said why."""
    with pytest.raises(IssuerError, match="does not run: No such file") as raised:
        site.issuer(program=["/nowhere/our-ca"]).issue(asked(), now())
    assert type(raised.value) is IssuerError
