"""Any authority that is reached over a protocol, with its requests on disk first.

An `Authority` speaks a protocol and remembers nothing; `Journalled` remembers for all of them and
is the `Issuer` that a run sees. Rules:

- A sending is on the disk before it goes out, the answer before it is used.
- A request for one key has a transaction name that is drawn once and the same at each sending; a
  handle that the authority gave (an order's address) is on the disk before it counts.
- An answered request is never sent again.
- A sending that was never answered may have been carried out. Where the authority does not give the
  same certificate for the same request, what is sent again may yield a second one: the certificate
  then carries that doubt, and it goes into the token's entry.
- A certificate is taken for the request's own key only, in force now, and signed by the next in its
  chain.
- Another key under the same name: the former certificate is revoked as superseded, at the authority
  too; where that cannot be, the doubt says so.
- A revocation is on the disk before the authority is told. A refusal counts as done where the
  authority publishes the certificate as revoked; that of a release, where it publishes it as good.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tokenprov.errors import IssuerError, IssuerPending, IssuerUnanswered, StationError
from tokenprov.issuer.possession import check_possession, on_hold
from tokenprov.issuer.protocol import (
    Abilities,
    CertificateRequest,
    CertificateStatus,
    IssuedCertificate,
    Standing,
)
from tokenprov.issuer.requests import (
    Certified,
    Ending,
    KeyRequest,
    Outcome,
    RequestFolder,
    Sending,
)
from tokenprov.secret import RandomBytes

TRANSACTION_SIZE = 16  # bytes (RFC 9810, 5.1.1: a transactionID has 128 random bits)
_REMEDY = "Nothing of it was used. Ask the authority what it issued, and have it revoked there."


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What stays the same when a request is sent again."""

    transaction: str  # hex
    handle: str  # what `keep` was last given, "" at first
    keep: Callable[[str], None]  # makes a new handle durable before it counts


class Authority(Protocol):
    """A client of one authority. What it raises says what is known: see `protocol`."""

    @property
    def abilities(self) -> Abilities:
        """What it can be asked for."""
        ...

    def enroll(self, request: CertificateRequest, mark: Mark, now: datetime) -> Certified:
        """Send the request, or ask again by its mark. Raises `IssuerError` and those below it."""
        ...

    def revoke(self, issued: Certified, reason: x509.ReasonFlags, now: datetime) -> None:
        """Have it revoked; removeFromCRL ends a hold. Raises `IssuerError`, `IssuerUnanswered`."""
        ...

    def status(self, issued: Certified, now: datetime) -> CertificateStatus:
        """Read its status back. Raises `IssuerError`, `IssuerUnanswered`."""
        ...


class Journalled:
    """Implements `Issuer` for an authority that is asked over a protocol."""

    def __init__(
        self,
        uri: str,
        authority: Authority,
        folder: RequestFolder,
        random: RandomBytes = os.urandom,
    ) -> None:
        self.uri = uri
        self._authority, self._folder, self._random = authority, folder, random

    @property
    def abilities(self) -> Abilities:
        """Those of the authority."""
        return self._authority.abilities

    def issue(self, request: CertificateRequest, now: datetime) -> IssuedCertificate:
        """The certificate for that request; asked again, the same one. Errors as in `Issuer`."""
        check_possession(request)
        record = _Record(self._folder, request.request_id)
        key = record.begin(hashlib.sha256(request.public_key).hexdigest(), self._random)
        if key.answer is None:
            self._send(record, request, now)
        elif key.ending is not None and key.ending.on_hold:
            raise on_hold(request.request_id, key.answer.serial_hex)
        elif key.ending is not None:
            raise IssuerError(
                f"the certificate for {request.request_id} was revoked ({key.ending.reason.value})",
                remedy="Make a new key in that slot, or a new order.",
            )
        refusals = list(self._supersede(record, now))
        return self._answer(record.keys, refusals)

    def find(self, request_id: str) -> IssuedCertificate | None:
        """The certificate issued under that name that is in force, or None."""
        keys = self._folder.of(request_id)
        if not keys or keys[-1].answer is None or keys[-1].ending is not None:
            return None
        return self._answer(keys, [])

    def revoke(self, serial_hex: str, reason: x509.ReasonFlags, now: datetime) -> None:
        """Have a certificate revoked; for good only once. Errors as in `Issuer`."""
        record, index = self._by_serial(serial_hex)
        self._require(self.abilities.revokes, "takes no revocations")
        if reason is x509.ReasonFlags.certificate_hold:
            self._require(self.abilities.holds, "puts no certificate on hold")
        self._end(record, index, reason, now)

    def release(self, serial_hex: str, now: datetime) -> None:
        """End the hold on a certificate. Errors as in `Issuer`."""
        record, index = self._by_serial(serial_hex)
        key = record.keys[index]
        if key.ending is None or key.answer is None:
            return
        if key.ending.reason is not x509.ReasonFlags.certificate_hold:
            raise IssuerError(
                f"the certificate {serial_hex} was revoked for good ({key.ending.reason.value})",
                remedy="Issue a new one.",
            )
        self._require(self.abilities.holds, "ends no hold")
        try:
            self._authority.revoke(key.answer, x509.ReasonFlags.remove_from_crl, now)
        except IssuerUnanswered:
            raise
        except IssuerError:  # it may be in force by now: an answer that was lost
            if self._published(key.answer, now).standing is not Standing.GOOD:
                raise
        record.change(index, replace(key, ending=None))

    def status(self, serial_hex: str, now: datetime) -> CertificateStatus:
        """Where the certificate stands by what the authority publishes. Errors as in `Issuer`."""
        record, index = self._by_serial(serial_hex)
        answer = record.keys[index].answer
        if answer is None or not self.abilities.tells_status:
            return CertificateStatus(standing=Standing.UNKNOWN)
        return self._authority.status(answer, now)

    def _send(self, record: _Record, request: CertificateRequest, now: datetime) -> None:
        record.sending(now)
        key = record.keys[-1]
        mark = Mark(transaction=key.transaction, handle=key.handle, keep=record.keep_handle)
        try:
            certified = self._authority.enroll(request, mark, now)
        except IssuerUnanswered:
            raise  # the sending stays without an outcome
        except IssuerPending:
            record.outcome(Outcome.PENDING)
            raise
        except (IssuerError, StationError):  # what the station lacks it notices before it sends
            record.outcome(Outcome.REFUSED)
            raise
        _check(certified, request, now)
        record.answered(certified)

    def _supersede(self, record: _Record, now: datetime) -> Iterator[str]:
        """Have what was issued for former keys revoked; gives what was refused."""
        for index, key in enumerate(record.keys[:-1]):
            ending = key.ending
            if key.answer is None or (ending is not None and ending.told and not ending.on_hold):
                continue
            if not self.abilities.revokes:
                continue  # `_doubts` tells of it
            try:
                self._end(record, index, x509.ReasonFlags.superseded, now)
            except IssuerUnanswered:
                raise
            except IssuerError as error:
                yield f"certificate {key.answer.serial_hex} was not revoked: {error.message}"

    def _end(self, record: _Record, index: int, reason: x509.ReasonFlags, now: datetime) -> None:
        key = record.keys[index]
        assert key.answer is not None  # found by its serial, or looked at before
        before = key.ending
        for_good = before is not None and before.reason is not x509.ReasonFlags.certificate_hold
        if before is not None and before.told and (for_good or before.reason is reason):
            return
        ending = before if before is not None and for_good else Ending(at=now, reason=reason)
        record.change(index, replace(key, ending=ending))
        try:
            self._authority.revoke(key.answer, ending.reason, now)
        except IssuerUnanswered:
            raise
        except IssuerError:
            if not self._is_published(key.answer, ending.reason, now):
                record.change(index, replace(key, ending=before))
                raise
        record.change(index, replace(key, ending=replace(ending, told=True)))

    def _is_published(self, issued: Certified, reason: x509.ReasonFlags, now: datetime) -> bool:
        status = self._published(issued, now)
        held = reason is x509.ReasonFlags.certificate_hold
        return status.standing is Standing.REVOKED and status.on_hold is held

    def _published(self, issued: Certified, now: datetime) -> CertificateStatus:
        """Where it stands by what counts; unknown where that cannot be had."""
        if self.abilities.tells_status:
            with contextlib.suppress(IssuerError):
                return self._authority.status(issued, now)
        return CertificateStatus(standing=Standing.UNKNOWN)

    def _by_serial(self, serial_hex: str) -> tuple[_Record, int]:
        for request_id, keys in self._folder.all():
            for index, key in enumerate(keys):
                if key.answer is not None and key.answer.serial_hex == serial_hex:
                    return _Record(self._folder, request_id), index
        raise IssuerError(
            f"{self.uri} gave no certificate {serial_hex} to this station",
            remedy="Look the serial number up in the certificate itself.",
        )

    def _require(self, able: bool, what_not: str) -> None:
        if not able:
            raise IssuerError(
                f"the authority {self.uri} {what_not} from here",
                remedy="Do it at the authority, and note its word for it.",
            )

    def _answer(self, keys: tuple[KeyRequest, ...], refusals: list[str]) -> IssuedCertificate:
        answer = keys[-1].answer
        assert answer is not None  # seen to before
        return IssuedCertificate(
            der=answer.der,
            chain=answer.chain,
            serial_hex=answer.serial_hex,
            doubts=(*self._doubts(keys), *refusals),
        )

    def _doubts(self, keys: tuple[KeyRequest, ...]) -> Iterator[str]:
        for key in keys:
            former = key is not keys[-1]
            for sending in key.sendings if former or not self.abilities.repeatable else ():
                undecided = former and key.answer is None and sending.outcome is Outcome.PENDING
                if sending.outcome is None or undecided:
                    yield (
                        f"the request sent {sending.at:%Y-%m-%dT%H:%M:%SZ} was never answered: "
                        "the authority may have issued another certificate"
                    )
            if former and key.answer is not None and key.ending is None:
                yield f"certificate {key.answer.serial_hex} for a former key is in force"


class _Record:
    """The record of one request while it is worked on: each change is durable on return."""

    def __init__(self, folder: RequestFolder, request_id: str) -> None:
        self._folder, self._request_id = folder, request_id
        self.keys = folder.of(request_id)

    def begin(self, digest: str, random: RandomBytes) -> KeyRequest:
        """The request for that key, a new one if the last was for another; not durable yet."""
        if not self.keys or self.keys[-1].public_key_digest != digest:
            transaction = random(TRANSACTION_SIZE).hex()
            new = KeyRequest(public_key_digest=digest, transaction=transaction)
            self.keys = (*self.keys, new)
        return self.keys[-1]

    def change(self, index: int, key: KeyRequest) -> None:
        """Put another in the place of one."""
        keys = list(self.keys)
        keys[index] = key
        self._folder.keep(self._request_id, tuple(keys))
        self.keys = tuple(keys)

    def sending(self, at: datetime) -> None:
        """The request is about to go out."""
        self._change_last(sendings=(*self.keys[-1].sendings, Sending(at=at)))

    def outcome(self, outcome: Outcome) -> None:
        """What came of the last sending."""
        self._change_last(sendings=self._with(outcome))

    def answered(self, certified: Certified) -> None:
        """The certificate came."""
        self._change_last(sendings=self._with(Outcome.CERTIFICATE), answer=certified)

    def keep_handle(self, handle: str) -> None:
        """What to ask again by."""
        self._change_last(handle=handle)

    def _with(self, outcome: Outcome) -> tuple[Sending, ...]:
        *before, last = self.keys[-1].sendings
        return (*before, replace(last, outcome=outcome))

    def _change_last(self, **changes: Any) -> None:
        self.change(len(self.keys) - 1, replace(self.keys[-1], **changes))


def _check(certified: Certified, request: CertificateRequest, now: datetime) -> None:
    """Raises `IssuerError` where the certificate cannot be the answer to the request."""
    try:
        leaf, *above = [
            x509.load_der_x509_certificate(der) for der in (certified.der, *certified.chain)
        ]
        key = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if above:
            leaf.verify_directly_issued_by(above[0])
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as exc:
        raise IssuerError(
            f"the answer to {request.request_id} is no certificate with its chain", remedy=_REMEDY
        ) from exc
    if key != request.public_key:
        raise IssuerError(
            f"the answer to {request.request_id} is a certificate for another key", remedy=_REMEDY
        )
    if leaf.not_valid_after_utc <= now:
        raise IssuerError(
            f"the answer to {request.request_id} ended on {leaf.not_valid_after_utc:%Y-%m-%d}",
            remedy=_REMEDY,
        )
