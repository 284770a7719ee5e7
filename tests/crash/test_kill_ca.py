"""SIGKILL at every write of an authority: made, below another, issuing, revoking, publishing.

Whatever the instant, the same command again comes to its end: with the key that is there, one
certificate a request, and numbers of lists that grow.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from tests.crash.points import ANY, Point
from tests.crash.program import Program, Run
from tests.issued import openssl
from tests.stations import tell
from tokenprov.errors import StationError
from tokenprov.home import now
from tokenprov.issuer import LocalCa

REFUSED = StationError.exit_code  # what a making says of an authority that is whole
ADA = ("--id", "1001", "--name", "Ada", "--usage", "client-auth", "--authority", "desk")


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    """The command line, killed where the test says; no token is asked."""
    with Program({}) as made:
        yield made


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A station with an authority that issued, a root, one that is to be signed, and requests."""
    folder = tmp_path_factory.mktemp("template")
    home = folder / "home"
    assert tell("init", home, "--name", "bench", "--operator", "olga").code == 0
    for name in ("one", "two"):
        make = "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x"
        openssl(*make.split(), "-keyout", f"{name}.key", "-out", f"{name}.csr", folder=folder)
    station = ("--home", home, "ca")
    for arguments in (
        ("init", "desk", "--common-name", "Desk", "--url", "http://ca.example.test"),
        ("init", "root", "--common-name", "Root", "--signs-authorities"),
        ("init", "below", "--common-name", "Below", "--csr-out", folder / "below.csr"),
        ("crl", "--authority", "desk", "--out", folder / "crl.der"),
    ):
        said = tell(*station, *arguments)
        assert said.code == 0, said.err
    signed = tell(*station, "sign-authority", folder / "below.csr", "--authority", "root")
    (folder / "below.pem").write_text(signed.out)
    issued = tell(*station, "issue", folder / "one.csr", *ADA)
    assert issued.code == 0, issued.err
    return folder


@dataclass(frozen=True, kw_only=True)
class Killed:
    """A command, what it may say when it is run again, and what must be true in the end."""

    command: tuple[str, ...]
    again: tuple[int, ...] = (0,)
    holds: Callable[[Path, Path], list[str]]  # the home now, and as it was -> what is wrong


def desk(home: Path, name: str = "desk") -> LocalCa:
    """That authority."""
    return LocalCa.open(home / "authorities" / name)


def made(name: str) -> Callable[[Path, Path], list[str]]:
    """It opens, with the key it began with where there was one."""

    def wrong(home: Path, before: Path) -> list[str]:
        desk(home, name)
        key = Path("authorities") / name / "ca.key"
        same = (
            not (before / key).exists() or (before / key).read_bytes() == (home / key).read_bytes()
        )
        return [] if same else ["its key was replaced"]

    return wrong


def issued_once(home: Path, before: Path) -> list[str]:
    """One more request has a certificate, and each request one that is in force."""
    there, was = (
        sorted((one / "authorities/desk/requests").glob("[!.]*")) for one in (home, before)
    )
    ca = desk(home)
    per_request = [
        [one for one in ca.issued.of(path.stem.replace("%2F", "/")) if not one.revocation]
        for path in there
    ]
    wrong = [] if len(there) == len(was) + 1 else [f"{len(there)} requests"]
    return wrong + ([] if all(len(one) == 1 for one in per_request) else ["not one in force"])


def number(der: bytes) -> int:
    """Of a list."""
    crl = x509.load_der_x509_crl(der)
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def published(home: Path, before: Path) -> list[str]:
    """The lists are whole, and later than they were."""
    lists, were = desk(home).lists(now()), desk(before).lists(now())
    return [] if number(lists.delta) > number(were.delta) else ["the number did not grow"]


def revoked(home: Path, before: Path) -> list[str]:
    """And the lists say so, once for all."""
    (one,) = [one for one in desk(before).issued.all() if not one.revocation]
    status = desk(home).status(one.serial_hex, now())
    wrong = [] if status.reason is x509.ReasonFlags.superseded else [f"it is {status.standing}"]
    return wrong + published(home, before)


def signed_ssh(home: Path, before: Path) -> list[str]:
    """Every record of an SSH certificate can be read, and there is one at least."""
    said = tell("--home", home, "ca", "ssh", "list", "--authority", "desk", "--json")
    return [] if said.code == 0 and said.document else [f"exit {said.code}: {said.err}"]


CASES = {
    "init": Killed(
        command=("init", "new", "--common-name", "New", "--url", "http://ca.example.test"),
        again=(0, REFUSED),
        holds=made("new"),
    ),
    "import": Killed(
        command=("import", "below", "{folder}/below.pem", "{home}/authorities/root/ca.pem"),
        again=(0, REFUSED),
        holds=made("below"),
    ),
    "issue": Killed(command=("issue", "{folder}/two.csr", *ADA), holds=issued_once),
    "revoke": Killed(
        command=("revoke", "{serial}", "--reason", "superseded", "--authority", "desk"),
        holds=revoked,
    ),
    "ssh sign": Killed(
        command=(
            *("ssh", "sign", "{folder}/one.pub", "--id", "1", "--principal", "ada"),
            *("--authority", "desk"),
        ),
        holds=signed_ssh,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_killed_at_any_write(program: Program, template: Path, tmp_path: Path, name: str) -> None:
    """The same command again comes to the end that it would have come to."""
    case, home = CASES[name], tmp_path / "home"
    public = openssl("req", "-pubkey", "-noout", "-in", "one.csr", folder=template)
    (template / "one.pub").write_text(public)
    (one,) = desk(template / "home").issued.all()
    words = [
        word.format(home=home, folder=template, serial=one.serial_hex) for word in case.command
    ]

    def run(stop: Point | None = None) -> Run:
        return program.run("--home", str(home), "ca", *words, stop=stop)

    def fresh() -> None:
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(template / "home", home)

    fresh()
    whole = run()
    assert (whole.status, case.holds(home, template / "home")) == (0, []), whole.said
    points = [
        Point(name=ANY, turn=turn)
        for turn, point in enumerate(whole.points, start=1)
        if point.name not in ("commit", "end")
    ]
    found: list[str] = []
    for point in points:
        fresh()
        after = [] if run(point).killed else ["it was not killed"]
        again = run()
        after += [] if again.status in case.again else [f"the same command again: {again.said}"]
        after += case.holds(home, template / "home")
        found += [f"killed before {whole.points[point.turn - 1]}: {fault}" for fault in after]
    assert len(points) > 8
    assert not found, "\n".join(found)
