"""A credential ended, held or released where it is accepted, and read back from there.

Rules:
- It is looked at first: what stands as it is wanted is left alone, so that a second run does
  nothing again.
- What nobody here can do is `elsewhere`, and says where and what; it is never told as done.
- One that fails does not keep the others from being done; then the first error is raised. A disk
  that fails ends it at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cryptography import x509

from tokenprov.directory import RelyingParty
from tokenprov.errors import DurabilityError, IssuerError, TokenprovError
from tokenprov.home import Home
from tokenprov.issuer import Standing
from tokenprov.lifecycle.credentials import Credential, CredentialKind
from tokenprov.model import Cause, Json
from tokenprov.profile.lifecycle import Fate
from tokenprov.record.canonical import timestamp

_REASONS = {  # RFC 5280, 5.3.1
    Cause.LOST: x509.ReasonFlags.key_compromise,  # nobody knows who has it
    Cause.STOLEN: x509.ReasonFlags.key_compromise,
    Cause.LEFT: x509.ReasonFlags.affiliation_changed,
    Cause.RETURNED: x509.ReasonFlags.cessation_of_operation,
}


class Outcome(StrEnum):
    """What became of it; the words stand in entries."""

    DONE = "done"  # and read back
    ELSEWHERE = "elsewhere"  # to be done by somebody else
    KEPT = "kept"


class Verdict(StrEnum):
    """What is to be done about it."""

    DO = "do"
    DONE = "done"
    ELSEWHERE = "elsewhere"
    KEEP = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One credential, and what is wanted of it; `fate` None releases what was held."""

    credential: Credential
    fate: Fate | None
    cause: Cause | None = None

    @property
    def reason(self) -> x509.ReasonFlags | None:
        """Why a certificate ends, as its issuer is told (RFC 5280, 5.3.1)."""
        if "certificate" not in self.credential.kind or self.fate in (Fate.KEEP, None):
            return None
        if self.fate is Fate.HOLD:
            return x509.ReasonFlags.certificate_hold
        superseded = x509.ReasonFlags.superseded
        return _REASONS.get(self.cause, superseded) if self.cause else superseded

    @property
    def title(self) -> str:
        """Names it on a screen: "revoke the certificate in 9a"."""
        end = "revoke" if "certificate" in self.credential.kind else "remove"
        word = {Fate.END: end, Fate.HOLD: "hold", Fate.KEEP: "keep", None: "release"}[self.fate]
        return f"{word} the {self.credential.title}"


def look(home: Home, part: Part) -> tuple[Verdict, dict[str, Json]]:
    """How the credential stands to what is wanted, and what was read.

    Raises `IssuerError` where its issuer does not tell.
    """
    if part.fate is Fate.KEEP:
        return Verdict.KEEP, {}
    match part.credential.kind:
        case CredentialKind.CERTIFICATE | CredentialKind.ENCRYPTION_CERTIFICATE:
            return _look_at_certificate(home, part)
        case CredentialKind.PASSKEY:
            return _look_at_passkey(home, part)
    return Verdict.ELSEWHERE, {"at": part.credential.where}


def settle(home: Home, parts: Sequence[Part]) -> list[dict[str, Json]]:
    """Do what is to be done about each, and give them as they stand in an entry.

    Raises the first error, after the others were done.
    """
    done, failed = [], None
    for part in parts:
        try:
            done.append(_settled(home, part))
        except DurabilityError:
            raise
        except TokenprovError as error:  # a StationError too: of the one issuer's settings
            failed = failed or error
    if failed is not None:
        raise failed
    return done


def _settled(home: Home, part: Part) -> dict[str, Json]:
    verdict, facts = look(home, part)
    if verdict is Verdict.DO:
        if part.credential.kind is CredentialKind.PASSKEY:
            _do_passkey(home, part)
        else:
            _do_certificate(home, part)
        verdict, facts = look(home, part)
        if verdict is Verdict.DO:
            raise IssuerError(
                f"{part.credential.where} was asked to {part.title} and does not publish it yet",
                remedy="Run the same command again later; it goes on where it was.",
            )
    outcome = {
        Verdict.DONE: Outcome.DONE,
        Verdict.ELSEWHERE: Outcome.ELSEWHERE,
        Verdict.KEEP: Outcome.KEPT,
    }[verdict]
    return {
        "id": part.credential.id,
        "kind": str(part.credential.kind),
        "outcome": str(outcome),
        "facts": {**part.credential.facts, **facts},
    }


# --- certificates --------------------------------------------------------------------------


def _look_at_certificate(home: Home, part: Part) -> tuple[Verdict, dict[str, Json]]:
    issuer = home.issuer(part.credential.where)
    able = issuer.abilities
    facts: dict[str, Json] = {"issuer": issuer.uri}
    if not (able.tells_status and (able.revokes if part.fate is Fate.END else able.holds)):
        return Verdict.ELSEWHERE, {**facts, "at": issuer.uri}
    status = issuer.status(part.credential.facts["serialNumber"], home.clock())
    facts["status"] = str(status.standing)
    if status.reason is not None:
        facts["reason"] = status.reason.value
    if status.at is not None:
        facts["since"] = timestamp(status.at)
    if status.standing is Standing.UNKNOWN:
        return Verdict.ELSEWHERE, {**facts, "at": issuer.uri}
    if status.standing is Standing.GOOD:
        return (Verdict.DONE if part.fate is None else Verdict.DO), facts
    if part.fate is Fate.END and status.on_hold:
        return Verdict.DO, facts
    if part.fate is None:
        if status.on_hold:
            return Verdict.DO, facts
        raise IssuerError(
            f"the {part.credential.title} was revoked for good ({facts['reason']})",
            remedy="It cannot be released: replace the token.",
        )
    return Verdict.DONE, facts


def _do_certificate(home: Home, part: Part) -> None:
    issuer, now = home.issuer(part.credential.where), home.clock()
    serial = part.credential.facts["serialNumber"]
    if part.fate is None:
        issuer.release(serial, now)
    else:
        assert part.reason is not None, "it is a certificate that ends or is held"
        issuer.revoke(serial, part.reason, now)


# --- passkeys ------------------------------------------------------------------------------


def _look_at_passkey(home: Home, part: Part) -> tuple[Verdict, dict[str, Json]]:
    found = _relying_party(home, part).find(part.credential.order)
    if found is None:
        return Verdict.DONE, {"registered": False}
    facts: dict[str, Json] = {"registered": True, "suspended": found.suspended is not None}
    if part.fate is Fate.END:
        return Verdict.DO, facts
    return (Verdict.DONE if facts["suspended"] is (part.fate is Fate.HOLD) else Verdict.DO), facts


def _do_passkey(home: Home, part: Part) -> None:
    party, order = _relying_party(home, part), part.credential.order
    if part.fate is Fate.END:
        party.remove(order)
    else:
        party.suspend(order, home.clock() if part.fate is Fate.HOLD else None)


def _relying_party(home: Home, part: Part) -> RelyingParty:
    return home.relying_party(part.credential.where, part.credential.where)
