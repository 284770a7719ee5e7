"""What the local authority publishes of revocations: whole and delta lists, read back by others."""

from __future__ import annotations

import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

import tokenprov.issuer.ca.lists
import tokenprov.issuer.ca.numbers
from tests.certificate_requests import NOW, p256, request_for
from tokenprov.errors import DurabilityError, IssuerError, IssuerUnanswered, StationError
from tokenprov.issuer import IssuedCertificate, LocalCa, Standing
from tokenprov.issuer.ca.lists import Lists
from tokenprov.issuer.published import reason_of, status_in_lists

Reason = x509.ReasonFlags
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SETTINGS = """
crl-url = "http://ca.example.test/whole.crl"
delta-crl-url = "http://ca.example.test/delta.crl"
"""


@pytest.fixture
def ca(tmp_path: Path) -> LocalCa:
    """A new authority that says where its lists are."""
    LocalCa.create(tmp_path / "ca", "Example Test CA", NOW)
    (tmp_path / "ca" / "ca.toml").write_text(SETTINGS)
    return LocalCa.open(tmp_path / "ca")


def issued_by(ca: LocalCa, name: str, now: datetime = NOW) -> IssuedCertificate:
    """A certificate under that name."""
    return ca.issue(request_for(p256(), request_id=name), now)


def listed(der: bytes) -> dict[str, Reason]:
    """What a list says."""
    crl = x509.load_der_x509_crl(der)
    return {f"{entry.serial_number:x}": reason_of(entry) for entry in crl}


def number(der: bytes) -> int:
    """The number of a list."""
    crl = x509.load_der_x509_crl(der)
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def base_of(lists: Lists) -> int:
    """The number of the whole list that the delta is to."""
    crl = x509.load_der_x509_crl(lists.delta)
    indicator = crl.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    assert indicator.critical  # RFC 5280, 5.2.4
    return indicator.value.crl_number


def test_a_delta_tells_what_changed(ca: LocalCa) -> None:
    """New revocations, another reason and a release; the whole list stays as it was published."""
    held, raised, compromised = (issued_by(ca, f"o/{n}").serial_hex for n in range(3))
    ca.revoke(held, Reason.certificate_hold, NOW)
    ca.revoke(raised, Reason.certificate_hold, NOW)
    whole = ca.publish(NOW, whole=True).whole
    assert listed(whole) == {held: Reason.certificate_hold, raised: Reason.certificate_hold}
    ca.release(held, NOW + HOUR)
    ca.revoke(raised, Reason.superseded, NOW + HOUR)
    ca.revoke(compromised, Reason.key_compromise, NOW + HOUR)
    lists = ca.lists(NOW + HOUR)
    assert lists.whole == whole
    assert listed(lists.delta) == {
        held: Reason.remove_from_crl,
        raised: Reason.superseded,
        compromised: Reason.key_compromise,
    }
    assert base_of(lists) == number(whole) < number(lists.delta)
    next_lists = ca.publish(NOW + 2 * HOUR, whole=True)
    assert listed(next_lists.whole) == {
        raised: Reason.superseded,
        compromised: Reason.key_compromise,
    }
    assert listed(next_lists.delta) == {}
    assert base_of(next_lists) == number(next_lists.whole) == number(next_lists.delta)


def test_status_is_read_from_what_is_published(ca: LocalCa) -> None:
    """Good, held, good again, revoked for good; unknown where it is none of this authority's."""
    serial = issued_by(ca, "o/9a").serial_hex
    assert ca.status(serial, NOW).standing is Standing.GOOD
    ca.revoke(serial, Reason.certificate_hold, NOW)
    assert ca.status(serial, NOW).on_hold
    ca.publish(NOW, whole=True)
    ca.release(serial, NOW)
    assert ca.status(serial, NOW).standing is Standing.GOOD
    ca.revoke(serial, Reason.cessation_of_operation, NOW + HOUR)
    status = ca.status(serial, NOW + HOUR)
    assert (status.standing, status.reason, status.at) == (
        Standing.REVOKED,
        Reason.cessation_of_operation,
        NOW + HOUR,
    )
    assert ca.status("1234", NOW).standing is Standing.UNKNOWN
    with pytest.raises(IssuerError, match="revoked for good"):
        ca.release(serial, NOW + HOUR)
    with pytest.raises(IssuerError, match="issued no certificate 1234"):
        ca.release("1234", NOW)


def test_numbers_grow_when_the_clock_goes_back(ca: LocalCa, tmp_path: Path) -> None:
    """Also over a restart, and where a backup brought an older number back."""
    seen = [number(ca.publish(NOW, whole=True).delta)]
    for now in (NOW - 400 * DAY, NOW - 400 * DAY, NOW):
        seen.append(number(LocalCa.open(tmp_path / "ca").publish(now, whole=True).whole))
    assert seen == sorted(set(seen))
    (tmp_path / "ca" / "crl" / "number").write_text("7\n")
    assert number(ca.publish(NOW + DAY, whole=True).whole) > seen[-1]
    (tmp_path / "ca" / "crl" / "number").write_text("seven\n")
    with pytest.raises(StationError, match="holds no number"):
        ca.publish(NOW, whole=True)


def test_a_number_is_on_disk_before_a_list_bears_it(
    ca: LocalCa, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fails at each write of a publication: no number is used for two lists."""
    real = tokenprov.issuer.ca.lists.write_durable
    before = ca.publish(NOW, whole=True)
    writes = list[str]()
    for survive in range(3):
        writes.clear()

        def failing(path: Path, data: bytes, survive: int = survive) -> None:
            if len(writes) == survive:
                raise DurabilityError("the disk is full", remedy="Free some space.")
            writes.append(path.name)
            real(path, data)

        with monkeypatch.context() as patched:
            for module in (tokenprov.issuer.ca.lists, tokenprov.issuer.ca.numbers):
                patched.setattr(module, "write_durable", failing)
            with pytest.raises(DurabilityError):
                ca.publish(NOW, whole=True)
        assert writes == ["number", "whole.crl", "delta.crl"][:survive]
        after = ca.publish(NOW, whole=True)
        assert number(after.whole) > number(before.whole)
        before = after


def test_lists_that_ended_are_published_again(ca: LocalCa) -> None:
    """A delta is good for a day, a whole list for a week; asked for later, both are new."""
    first = ca.publish(NOW, whole=True)
    assert ca.lists(NOW + 23 * HOUR) == first
    second = ca.lists(NOW + 25 * HOUR)
    assert (second.whole == first.whole, second.delta == first.delta) == (True, False)
    third = ca.lists(NOW + 8 * DAY)
    assert number(third.whole) > number(second.delta)


def test_what_ended_leaves_the_lists_once_told(ca: LocalCa) -> None:
    """A revoked certificate stands on one list after its end, and then on none."""
    serial = issued_by(ca, "o/9a").serial_hex
    ca.revoke(serial, Reason.superseded, NOW)
    end = NOW + 366 * DAY
    assert serial in listed(ca.publish(end, whole=True).whole)
    assert listed(ca.publish(end + DAY, whole=True).whole) == {}
    assert listed(ca.publish(end + DAY, whole=False).delta) == {}


def test_a_superseded_certificate_is_published(ca: LocalCa) -> None:
    """Another key under the same name: the list says so without being asked for."""
    first = issued_by(ca, "o/9a")
    ca.publish(NOW, whole=True)
    issued_by(ca, "o/9a", NOW + HOUR)
    assert ca.status(first.serial_hex, NOW + HOUR).reason is Reason.superseded


def test_a_supersession_that_was_cut_off_is_published_by_the_next_call(
    ca: LocalCa, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power fails between record and list: the former certificate is ended all the same."""
    first, request = issued_by(ca, "o/9a"), request_for(p256(), request_id="o/9a")
    ca.publish(NOW, whole=True)

    def full(path: Path, data: bytes) -> None:
        raise DurabilityError("the disk is full", remedy="Free some space.")

    with monkeypatch.context() as patched:
        patched.setattr(tokenprov.issuer.ca.lists, "write_durable", full)
        with pytest.raises(DurabilityError):
            ca.issue(request, NOW + HOUR)
    again = ca.issue(request, NOW + HOUR)
    assert ca.find("o/9a") == again
    assert ca.status(first.serial_hex, NOW + HOUR).reason is Reason.superseded
    published = number(ca.lists(NOW + HOUR).delta)
    assert ca.issue(request, NOW + HOUR) == again
    assert number(ca.lists(NOW + HOUR).delta) == published, "once is enough"


URL = x509.UniformResourceIdentifier("http://ca.example.test/whole.crl")
ELSEWHERE = x509.UniformResourceIdentifier("http://ca.example.test/2.crl")


def scope(**said: object) -> x509.IssuingDistributionPoint:
    """Which certificates a list is of (RFC 5280, 5.2.5)."""
    usual: dict[str, Any] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**usual | said)


@pytest.mark.parametrize(
    ("extension", "said"),
    [
        (scope(only_contains_user_certs=True), ""),
        (scope(full_name=[ELSEWHERE, URL]), ""),
        (scope(full_name=[ELSEWHERE]), "of another distribution point"),
        (scope(only_contains_ca_certs=True), "not for all"),
        (scope(only_contains_attribute_certs=True), "not for all"),
        (scope(indirect_crl=True), "not for all"),
        (scope(only_some_reasons=frozenset([Reason.key_compromise])), "not for all"),
        (x509.DeltaCRLIndicator(1), "is a delta"),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), "critical"),
    ],
)
def test_a_list_on_which_it_would_not_stand_says_nothing(
    ca: LocalCa, extension: x509.ExtensionType, said: str
) -> None:
    """That a certificate is not on a list of others makes it not good."""
    issued = issued_by(ca, "o/9a")
    certificate = x509.load_der_x509_certificate(issued.der)
    key = ca.signer.key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.certificate.subject)
        .last_update(NOW)
        .next_update(NOW + DAY)
        .add_extension(extension, critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )
    if not said:
        found = status_in_lists(crl, None, ca.certificate, issued.serial_hex, NOW, certificate)
        assert found.standing is Standing.GOOD
        return
    with pytest.raises(IssuerError, match=said):
        status_in_lists(crl, None, ca.certificate, issued.serial_hex, NOW, certificate)


def test_others_lists_do_not_count(ca: LocalCa, tmp_path: Path) -> None:
    """Not another authority's, not a changed one, not a delta to a later list."""
    other = LocalCa.create(tmp_path / "other", "Example Test CA", NOW).publish(NOW, whole=True)
    first = ca.publish(NOW, whole=True)
    later = ca.publish(NOW, whole=True)
    changed = first.whole[:-1] + bytes([first.whole[-1] ^ 1])
    for whole, delta, said in (
        (other.whole, None, "not signed by it"),
        (changed, None, "not signed by it"),
        (first.whole, other.delta, "not signed by it"),
        (b"garbage", None, "not readable"),
        (first.whole, later.delta, "its delta is to"),
        (first.whole, first.whole, "have no numbers"),
    ):
        with pytest.raises(IssuerError, match=said):
            status_in_lists(whole, delta, ca.certificate, "1234", NOW)
    good = status_in_lists(later.whole, later.delta, ca.certificate, "12", NOW)
    assert good.standing is Standing.GOOD
    with pytest.raises(IssuerUnanswered, match="has ended"):
        status_in_lists(later.whole, later.delta, ca.certificate, "12", NOW + DAY)


def test_openssl_goes_by_both_lists(ca: LocalCa, tmp_path: Path) -> None:
    """With -use_deltas OpenSSL refuses what the delta alone names, and takes what it released."""
    held, revoked, good = (issued_by(ca, f"o/{n}") for n in range(3))
    ca.revoke(held.serial_hex, Reason.certificate_hold, NOW)
    ca.publish(NOW, whole=True)
    assert verdict(ca, held, tmp_path) == "certificate revoked"
    ca.release(held.serial_hex, NOW)
    ca.revoke(revoked.serial_hex, Reason.key_compromise, NOW)
    assert [verdict(ca, one, tmp_path) for one in (held, revoked, good)] == [
        "OK",
        "certificate revoked",
        "OK",
    ]


def verdict(ca: LocalCa, issued: IssuedCertificate, folder: Path) -> str:
    """What `openssl verify` says of a certificate, by the whole list and the delta."""
    lists, files = ca.lists(NOW), list[Path]()
    pems = (
        ("leaf", x509.load_der_x509_certificate(issued.der)),
        ("whole", x509.load_der_x509_crl(lists.whole)),
        ("delta", x509.load_der_x509_crl(lists.delta)),
    )
    for name, document in pems:
        files.append(folder / f"{name}.pem")
        files[-1].write_bytes(document.public_bytes(Encoding.PEM))
    leaf, whole, delta = map(str, files)
    command = ["openssl", "verify", "-crl_check", "-extended_crl", "-use_deltas", "-attime"]
    command += [str(int(NOW.timestamp())), "-CAfile", str(folder / "ca" / "ca.pem")]
    command += ["-CRLfile", whole, "-CRLfile", delta, leaf]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    said = ran.stdout + ran.stderr
    return "OK" if ran.returncode == 0 else said.partition("lookup: ")[2].partition("\n")[0]


def test_a_revocation_that_was_cut_off_is_finished_by_another(
    ca: LocalCa, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded and not published, it is not confirmed; told again, it is, as of the first time."""
    serial = issued_by(ca, "o/9a").serial_hex
    ca.publish(NOW, whole=True)

    def full(path: Path, data: bytes) -> None:
        raise DurabilityError("the disk is full", remedy="Free some space.")

    with monkeypatch.context() as patched:
        patched.setattr(tokenprov.issuer.ca.lists, "write_durable", full)
        with pytest.raises(DurabilityError):
            ca.revoke(serial, Reason.key_compromise, NOW)
    assert ca.find("o/9a") is None
    assert ca.status(serial, NOW).standing is Standing.GOOD  # as everybody else sees it
    ca.revoke(serial, Reason.superseded, NOW + HOUR)
    status = ca.status(serial, NOW + HOUR)
    assert (status.reason, status.at) == (Reason.key_compromise, NOW)


def test_what_is_on_hold_is_not_given_again_and_can_be_superseded(ca: LocalCa) -> None:
    """For the same key the error says so; another key ends the hold for good."""
    key = p256()
    held = ca.issue(request_for(key, request_id="o/9a"), NOW)
    ca.revoke(held.serial_hex, Reason.certificate_hold, NOW)
    with pytest.raises(IssuerError, match=f"{held.serial_hex} for o/9a is on hold"):
        ca.issue(request_for(key, request_id="o/9a"), NOW)
    issued_by(ca, "o/9a", NOW + HOUR)
    assert ca.status(held.serial_hex, NOW + HOUR).reason is Reason.superseded
    with pytest.raises(IssuerError, match="revoked for good"):
        ca.release(held.serial_hex, NOW + HOUR)
