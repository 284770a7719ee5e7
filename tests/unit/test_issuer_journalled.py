"""Requests to an authority that is reached over a protocol: on disk first, and never forgotten.

The authority here is one of the test's own, with a real local one behind it, that answers, refuses,
loses answers after it issued, answers late, twice, or never.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.certificate_requests import NOW, p256, request_for
from tokenprov.errors import IssuerError, IssuerPending, IssuerUnanswered, StationError
from tokenprov.issuer import (
    Abilities,
    CertificateRequest,
    CertificateStatus,
    Certified,
    Journalled,
    LocalCa,
    Mark,
    Standing,
)
from tokenprov.issuer.requests import Outcome, RequestFolder

NAME = "ab12cd34-0007/9a"
LATER = NOW + timedelta(hours=1)
Behaviour = Callable[[Certified], Certified]
ALL = Abilities(
    revokes=True,
    holds=True,
    tells_status=True,
    takes_attestation=False,
    needs_csr=False,
    repeatable=False,
)


@dataclass
class Remote:
    """Implements `Authority`: each enrolment issues anew, and `behaviours` say what comes back."""

    ca: LocalCa
    abilities: Abilities = ALL
    behaviours: list[Behaviour] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    revocations: list[tuple[str, x509.ReasonFlags]] = field(default_factory=list)
    refuse_revocation: str = ""
    lose_revocation: bool = False
    lose_list: bool = False
    on_disk: Callable[[], object] = lambda: None

    def enroll(self, request: CertificateRequest, mark: Mark, now: object) -> Certified:
        """A new certificate for each time it is asked, as a server that remembers nothing."""
        self.on_disk()
        self.marks.append(mark)
        anew = f"{len(self.marks)}"
        changed = request_for_name(request, anew)
        issued = self.ca.issue(changed, NOW)
        behave = self.behaviours.pop(0) if self.behaviours else (lambda certified: certified)
        return behave(Certified(der=issued.der, chain=issued.chain))

    def revoke(self, issued: Certified, reason: x509.ReasonFlags, now: object) -> None:
        """Told to the authority behind, unless it is to fail."""
        self.revocations.append((issued.serial_hex, reason))
        if self.refuse_revocation:
            raise IssuerError(self.refuse_revocation, remedy="")
        if reason is x509.ReasonFlags.remove_from_crl:
            self.ca.release(issued.serial_hex, NOW)
        else:
            self.ca.revoke(issued.serial_hex, reason, NOW)
        if self.lose_revocation:
            raise IssuerUnanswered("the line went dead", remedy="Run it again.")

    def status(self, issued: Certified, now: object) -> CertificateStatus:
        """By the list of the authority behind."""
        if self.lose_list:
            raise IssuerUnanswered("the list has ended", remedy="")
        return self.ca.status(issued.serial_hex, NOW)


def request_for_name(request: CertificateRequest, name: str) -> CertificateRequest:
    """The same request under another name."""
    return replace(request, request_id=name)


def lost(certified: Certified) -> Certified:
    """It was issued, and the answer did not arrive."""
    raise IssuerUnanswered("the connection was reset", remedy="Run it again.")


def refused(certified: Certified) -> Certified:
    """It said no."""
    raise IssuerError("the authority does not know that holder", remedy="Ask it.")


def pending(certified: Certified) -> Certified:
    """It will decide later."""
    raise IssuerPending("a person decides", remedy="Come back.", retry_after=60)


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    """An authority somewhere else."""
    return Remote(LocalCa.create(tmp_path / "remote", "Somewhere Else", NOW))


@pytest.fixture
def folder(tmp_path: Path) -> RequestFolder:
    """Where the station remembers."""
    return RequestFolder(tmp_path / "requests")


@pytest.fixture
def issuer(remote: Remote, folder: RequestFolder) -> Journalled:
    """What a run sees of it."""
    return Journalled("far:away", remote, folder)


def test_the_sending_is_on_disk_before_it_goes_out(
    issuer: Journalled, remote: Remote, folder: RequestFolder
) -> None:
    """What the authority sees, the disk had before; and the answer is there when it is used."""
    seen = list[tuple[str, Outcome | None]]()

    def look() -> None:
        (key,) = folder.of(NAME)
        seen.append((key.transaction, key.sendings[-1].outcome))

    remote.on_disk = look
    issued = issuer.issue(request_for(p256()), NOW)
    assert seen == [(remote.marks[0].transaction, None)]
    assert issued.doubts == ()
    (key,) = folder.of(NAME)
    assert key.answer is not None
    assert key.answer.der == issued.der
    assert key.sendings[-1].outcome is Outcome.CERTIFICATE


def test_an_answered_request_is_never_sent_again(
    issuer: Journalled, remote: Remote, folder: RequestFolder
) -> None:
    """Nor after a restart: the same certificate comes from the disk."""
    key = p256()
    first = issuer.issue(request_for(key), NOW)
    again = Journalled("far:away", remote, folder)
    assert again.issue(request_for(key), LATER) == first
    assert again.find(NAME) == first
    assert len(remote.marks) == 1


def test_an_answer_that_was_lost_leaves_a_doubt(issuer: Journalled, remote: Remote) -> None:
    """The authority issued twice: the second certificate carries the news of the first."""
    key = p256()
    remote.behaviours = [lost]
    with pytest.raises(IssuerUnanswered):
        issuer.issue(request_for(key), NOW)
    assert issuer.find(NAME) is None
    issued = issuer.issue(request_for(key), LATER)
    assert [one.transaction for one in remote.marks] == [remote.marks[0].transaction] * 2
    (doubt,) = issued.doubts
    assert "2026-11-24T12:00:00Z was never answered" in doubt
    assert issuer.find(NAME) == issued


def test_an_authority_that_repeats_itself_leaves_none(issuer: Journalled, remote: Remote) -> None:
    """Where the same request gets the same certificate, sending it again is harmless."""
    remote.abilities = Abilities(
        revokes=True,
        holds=False,
        tells_status=False,
        takes_attestation=False,
        needs_csr=False,
        repeatable=True,
    )
    remote.behaviours = [lost, lost]
    key = p256()
    for _ in range(2):
        with pytest.raises(IssuerUnanswered):
            issuer.issue(request_for(key), NOW)
    assert issuer.issue(request_for(key), LATER).doubts == ()


def test_killed_while_the_answer_is_on_its_way(
    issuer: Journalled, remote: Remote, folder: RequestFolder
) -> None:
    """The process dies in the call: the next one knows that something was sent."""

    def dies(certified: Certified) -> Certified:
        raise KeyboardInterrupt

    key = p256()
    remote.behaviours = [dies]
    with pytest.raises(KeyboardInterrupt):
        issuer.issue(request_for(key), NOW)
    (issued,) = [Journalled("far:away", remote, folder).issue(request_for(key), LATER)]
    assert len(issued.doubts) == 1


def test_never_answered_for_one_key_and_then_another(issuer: Journalled, remote: Remote) -> None:
    """A token was set aside in between: what may live for its key is told with the next."""
    remote.behaviours = [lost]
    with pytest.raises(IssuerUnanswered):
        issuer.issue(request_for(p256()), NOW)
    issued = issuer.issue(request_for(p256()), LATER)
    assert len(issued.doubts) == 1
    assert remote.marks[0].transaction != remote.marks[1].transaction
    remote.behaviours = [pending]
    with pytest.raises(IssuerPending):
        issuer.issue(request_for(p256()), LATER)
    assert len(issuer.issue(request_for(p256()), LATER).doubts) == 2


def test_pending_is_asked_again_by_its_handle(issuer: Journalled, remote: Remote) -> None:
    """What the authority gave to ask again by is durable, and a decision later leaves no doubt."""

    def taken(certified: Certified) -> Certified:
        remote.marks[-1].keep("https://ca.example.test/order/1")
        return pending(certified)

    key = p256()
    remote.behaviours = [taken]
    with pytest.raises(IssuerPending) as raised:
        issuer.issue(request_for(key), NOW)
    assert raised.value.retry_after == 60
    assert issuer.issue(request_for(key), LATER).doubts == ()
    assert [mark.handle for mark in remote.marks] == ["", "https://ca.example.test/order/1"]


def test_a_refusal_is_final_and_leaves_no_doubt(issuer: Journalled, remote: Remote) -> None:
    """Nothing was issued; asked again after it was mended, the certificate is the only one."""
    key = p256()
    remote.behaviours = [refused]
    with pytest.raises(IssuerError, match="does not know that holder"):
        issuer.issue(request_for(key), NOW)
    assert issuer.issue(request_for(key), LATER).doubts == ()


def test_another_key_supersedes_at_the_authority(issuer: Journalled, remote: Remote) -> None:
    """The former certificate is revoked there, with its reason, once."""
    first = issuer.issue(request_for(p256()), NOW)
    key = p256()
    second = issuer.issue(request_for(key), LATER)
    assert remote.revocations == [(first.serial_hex, x509.ReasonFlags.superseded)]
    assert issuer.status(first.serial_hex, LATER).reason is x509.ReasonFlags.superseded
    assert issuer.status(second.serial_hex, LATER).standing is Standing.GOOD
    assert second.doubts == ()
    issuer.issue(request_for(key), LATER)
    assert len(remote.revocations) == 1


def test_a_former_certificate_that_cannot_be_revoked_is_told(
    issuer: Journalled, remote: Remote
) -> None:
    """Refused by the authority, or not to be asked for: either way the new one says so."""
    first = issuer.issue(request_for(p256()), NOW)
    remote.refuse_revocation = "not over this line"
    second = issuer.issue(request_for(p256()), LATER)
    assert any(f"certificate {first.serial_hex} " in doubt for doubt in second.doubts)
    found = issuer.find(NAME)
    assert found is not None
    assert any(f"certificate {first.serial_hex} " in doubt for doubt in found.doubts)


def test_a_revocation_whose_answer_is_lost_is_told_again(
    issuer: Journalled, remote: Remote, folder: RequestFolder
) -> None:
    """It may have been done; the second time the authority's own list settles it."""
    issued = issuer.issue(request_for(p256()), NOW)
    remote.lose_revocation = True
    with pytest.raises(IssuerUnanswered):
        issuer.revoke(issued.serial_hex, x509.ReasonFlags.key_compromise, NOW)
    (key,) = folder.of(NAME)
    assert key.ending is not None
    assert not key.ending.told
    assert issuer.find(NAME) is None  # somebody decided: it is not used any more
    remote.lose_revocation, remote.refuse_revocation = False, "already revoked"
    issuer.revoke(issued.serial_hex, x509.ReasonFlags.key_compromise, LATER)
    (key,) = folder.of(NAME)
    assert key.ending is not None
    assert key.ending.told
    assert key.ending.at == NOW  # when it was decided
    with pytest.raises(IssuerError, match="was revoked"):
        issuer.release(issued.serial_hex, LATER)


def test_a_refused_revocation_changes_nothing(issuer: Journalled, remote: Remote) -> None:
    """The certificate is in force as before, and the error is the authority's."""
    issued = issuer.issue(request_for(p256()), NOW)
    remote.refuse_revocation = "not over this line"
    with pytest.raises(IssuerError, match="not over this line"):
        issuer.revoke(issued.serial_hex, x509.ReasonFlags.key_compromise, NOW)
    assert issuer.find(NAME) == issued


def test_a_refused_revocation_without_a_list_changes_nothing(
    issuer: Journalled, remote: Remote
) -> None:
    """Where the list cannot be had, the refusal stands, and the certificate is in force."""
    issued = issuer.issue(request_for(p256()), NOW)
    remote.refuse_revocation, remote.lose_list = "not over this line", True
    with pytest.raises(IssuerError, match="not over this line"):
        issuer.revoke(issued.serial_hex, x509.ReasonFlags.key_compromise, NOW)
    assert issuer.find(NAME) == issued


def test_a_release_whose_answer_is_lost_is_told_again(issuer: Journalled, remote: Remote) -> None:
    """It was carried out, and is refused the second time: what the list says counts."""
    issued = issuer.issue(request_for(p256()), NOW)
    issuer.revoke(issued.serial_hex, x509.ReasonFlags.certificate_hold, NOW)
    remote.refuse_revocation = "nobody is on hold here"
    with pytest.raises(IssuerError, match="nobody is on hold"):
        issuer.release(issued.serial_hex, NOW)
    assert issuer.find(NAME) is None, "it is on hold by the list"
    remote.refuse_revocation, remote.lose_revocation = "", True
    with pytest.raises(IssuerUnanswered):
        issuer.release(issued.serial_hex, NOW)
    remote.refuse_revocation, remote.lose_revocation = "nobody is on hold here", False
    issuer.release(issued.serial_hex, NOW)
    assert issuer.find(NAME) == issued


def test_what_the_station_lacks_leaves_no_doubt(issuer: Journalled, remote: Remote) -> None:
    """A password that cannot be read is noticed before anything is sent."""

    def without_password(certified: Certified) -> Certified:
        raise StationError("password cannot be read", remedy="Write it.")

    remote.behaviours += [without_password]
    request = request_for(p256())
    with pytest.raises(StationError):
        issuer.issue(request, NOW)
    assert issuer.issue(request, NOW).doubts == ()


def test_hold_and_release(issuer: Journalled, remote: Remote) -> None:
    """A hold ends with a release, or with a revocation for good, and then with neither."""
    issued = issuer.issue(request_for(p256()), NOW)
    issuer.revoke(issued.serial_hex, x509.ReasonFlags.certificate_hold, NOW)
    assert issuer.status(issued.serial_hex, NOW).on_hold
    issuer.release(issued.serial_hex, LATER)
    issuer.release(issued.serial_hex, LATER)
    assert issuer.status(issued.serial_hex, NOW).standing is Standing.GOOD
    assert issuer.find(NAME) == issued
    issuer.revoke(issued.serial_hex, x509.ReasonFlags.certificate_hold, NOW)
    issuer.revoke(issued.serial_hex, x509.ReasonFlags.key_compromise, NOW)
    assert issuer.status(issued.serial_hex, NOW).reason is x509.ReasonFlags.key_compromise
    with pytest.raises(IssuerError, match="for good"):
        issuer.release(issued.serial_hex, LATER)


def test_another_key_ends_a_hold_for_good(issuer: Journalled, remote: Remote) -> None:
    """The same key gets an error that says so; the next one supersedes at the authority."""
    key = p256()
    held = issuer.issue(request_for(key), NOW)
    issuer.revoke(held.serial_hex, x509.ReasonFlags.certificate_hold, NOW)
    with pytest.raises(IssuerError, match="is on hold"):
        issuer.issue(request_for(key), NOW)
    issuer.issue(request_for(p256()), LATER)
    assert issuer.status(held.serial_hex, LATER).reason is x509.ReasonFlags.superseded
    with pytest.raises(IssuerError, match="for good"):
        issuer.release(held.serial_hex, LATER)


def test_what_it_cannot_do_is_said(issuer: Journalled, remote: Remote) -> None:
    """An authority without revocation: an error that sends the person there, not a false yes."""
    issued = issuer.issue(request_for(p256()), NOW)
    remote.abilities = Abilities(
        revokes=False,
        holds=False,
        tells_status=False,
        takes_attestation=False,
        needs_csr=False,
        repeatable=False,
    )
    with pytest.raises(IssuerError, match="takes no revocations from here"):
        issuer.revoke(issued.serial_hex, x509.ReasonFlags.key_compromise, NOW)
    assert issuer.status(issued.serial_hex, NOW).standing is Standing.UNKNOWN
    with pytest.raises(IssuerError, match="gave no certificate 1234"):
        issuer.status("1234", NOW)
    second = issuer.issue(request_for(p256()), LATER)
    assert second.doubts == (f"certificate {issued.serial_hex} for a former key is in force",)


def test_an_answer_for_another_key_is_not_used(
    issuer: Journalled, remote: Remote, tmp_path: Path
) -> None:
    """Nor garbage, nor one with a foreign chain: nothing is kept, and the doubt stays."""
    other = remote.ca.issue(request_for(p256(), request_id="other"), NOW)
    elsewhere = LocalCa.create(tmp_path / "elsewhere", "Somewhere Else", NOW)
    key = p256()
    for wrong, said in (
        (Certified(der=other.der), "for another key"),
        (Certified(der=b"garbage"), "no certificate"),
    ):
        remote.behaviours = [lambda certified, wrong=wrong: wrong]
        with pytest.raises(IssuerError, match=said):
            issuer.issue(request_for(key), NOW)
    remote.behaviours = [
        lambda certified: Certified(
            der=certified.der, chain=(elsewhere.certificate.public_bytes(Encoding.DER),)
        )
    ]
    with pytest.raises(IssuerError, match="no certificate with its chain"):
        issuer.issue(request_for(key), NOW)
    assert issuer.find(NAME) is None
    assert len(issuer.issue(request_for(key), LATER).doubts) == 3


def test_a_damaged_record_is_named(
    issuer: Journalled, folder: RequestFolder, tmp_path: Path
) -> None:
    """It is not taken for "nothing was asked"."""
    issuer.issue(request_for(p256()), NOW)
    (record,) = (tmp_path / "requests").iterdir()
    record.write_bytes(record.read_bytes()[:-1])
    with pytest.raises(StationError, match="is not a record of what was asked"):
        issuer.find(NAME)
