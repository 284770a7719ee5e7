"""What is around the program, made worse: its authority and its clock.

Each function is called in the program's own process before it begins (`program.Program.run`), and
patches what the program has from outside.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo

from cryptography.hazmat.primitives.serialization import Encoding

from tokenprov import home
from tokenprov.errors import IssuerError
from tokenprov.home import Home
from tokenprov.issuer import CertificateRequest, IssuedCertificate, Issuer, LocalCa
from tokenprov.issuer.ca.certificate import build_certificate
from tokenprov.secret import RandomBytes

RIGHT = 30  # looks at the clock until it goes wrong: tokens are at work then
STEP = timedelta(hours=1)  # that it goes back each time somebody looks
SET_BACK = timedelta(days=2)


def _authority_is(kind: type[LocalCa]) -> None:
    def issuer(self: Home, name: str) -> Issuer:
        return kind.open(self.path / "ca")

    Home.issuer = issuer  # type: ignore[method-assign]  # that is what this is for


class _Down(LocalCa):
    """Cannot be reached, by nobody."""

    def issue(
        self, request: CertificateRequest, now: datetime, random: RandomBytes = os.urandom
    ) -> IssuedCertificate:
        raise IssuerError("the authority does not answer", remedy="Try again later.")


class _DownForSome(LocalCa):
    """Every second request fails."""

    turns = itertools.count()

    def issue(
        self, request: CertificateRequest, now: datetime, random: RandomBytes = os.urandom
    ) -> IssuedCertificate:
        if next(self.turns) % 2:
            raise IssuerError("the authority said 503", remedy="Try again later.")
        return super().issue(request, now, random)


class _AnswerLost(LocalCa):
    """Issues, and its answer comes too late."""

    def issue(
        self, request: CertificateRequest, now: datetime, random: RandomBytes = os.urandom
    ) -> IssuedCertificate:
        super().issue(request, now, random)
        raise IssuerError("the authority did not answer in time", remedy="Try again later.")


class _Twice(LocalCa):
    """Issues two certificates for one request; what it answers is not what is in force.

    Asked again it gives the one that is.
    """

    def issue(
        self, request: CertificateRequest, now: datetime, random: RandomBytes = os.urandom
    ) -> IssuedCertificate:
        answer = super().issue(request, now, random)
        first, *others = self.issued.of(request.request_id)
        if others:
            return answer
        again = build_certificate(request, self.signer, now=now, random=random)
        second = replace(
            first,
            certificate=again.public_bytes(Encoding.DER),
            serial_hex=f"{again.serial_number:x}",
        )
        self.issued.add(request.request_id, second)
        return answer


def issuer_down() -> None:
    """The authority cannot be reached."""
    _authority_is(_Down)


def issuer_down_for_some() -> None:
    """The authority fails every second request."""
    _authority_is(_DownForSome)


def issuer_answer_lost() -> None:
    """What the authority answers is lost."""
    _authority_is(_AnswerLost)


def issuer_answers_twice() -> None:
    """The authority issues twice what is asked for once."""
    _authority_is(_Twice)


class _Backwards(datetime):
    """After some looks at the clock, each is earlier than the one before."""

    looks = itertools.count(1)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # no subclass is given back
        return datetime.now(tz) - STEP * max(next(cls.looks) - RIGHT, 0)


class _SetBack(datetime):
    """The clock was set to another day."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # no subclass is given back
        return datetime.now(tz) - SET_BACK


def clock_backwards() -> None:
    """While the program runs, its clock begins to go back by an hour at each look."""
    home.datetime = _Backwards  # type: ignore[misc, attr-defined]  # that is what this is for


def clock_set_back() -> None:
    """The program runs two days before it ran last."""
    home.datetime = _SetBack  # type: ignore[misc, attr-defined]  # that is what this is for
