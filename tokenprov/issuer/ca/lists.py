"""Lists of what an authority revoked, whole and delta, numbered on disk (RFC 5280, 5).

    number          the number of the last list, decimal
    whole.crl       DER: everything that is revoked
    delta.crl       DER: what changed since the whole one (5.2.4)

Rules:
- Numbers grow from list to list (5.2.3), by `numbers`.
- A whole list comes with a delta of the same number that is empty. A delta names what was revoked
  since, what is revoked for another reason, and as removeFromCRL what was released (5.3.1).
- What ended leaves the lists once one was published after its end (RFC 5280, 5).
- Reasons are given but for `unspecified` (5.3.1: then the extension is left out).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tokenprov.errors import StationError
from tokenprov.issuer.ca.extensions import authority_key, distribution_point
from tokenprov.issuer.ca.folder import CaSettings
from tokenprov.issuer.ca.issued import Issued
from tokenprov.issuer.ca.keys import AuthorityKey, digest_of
from tokenprov.issuer.ca.numbers import next_number
from tokenprov.issuer.published import reason_of
from tokenprov.record.files import make_folder, write_durable

Entries = Mapping[int, tuple[datetime, x509.ReasonFlags]]  # serial number -> when and why


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """A whole list and the delta to it, DER."""

    whole: bytes
    delta: bytes


class ListFolder:
    """The lists of one authority. Its methods raise `DurabilityError` where the disk fails."""

    def __init__(
        self, folder: Path, certificate: x509.Certificate, key: AuthorityKey, settings: CaSettings
    ) -> None:
        self._folder, self._certificate, self._key = folder, certificate, key
        self._settings = settings
        make_folder(folder)

    def read(self) -> Lists | None:
        """What was published last; None if nothing was yet."""
        try:
            whole, delta = (self._folder / name for name in ("whole.crl", "delta.crl"))
            return Lists(whole=whole.read_bytes(), delta=delta.read_bytes())
        except FileNotFoundError:
            return None  # or cut off before the first delta: then both are published anew

    def publish(self, issued: Iterable[Issued], now: datetime, *, whole: bool) -> Lists:
        """Publish a delta; a whole list beside it where asked for, or where the last one ended.

        One caller at a time.
        """
        revoked = [one for one in issued if one.revocation]
        before = self.read()
        former = self._load(before.whole) if before else None
        number = next_number(self._folder / "number", now)
        if before is None or former is None or whole or _ended(former, now):
            listed = _entries(revoked, former)
            base = number
            data = self._sign(self._builder(now, number, base=None), listed)
            write_durable(self._folder / "whole.crl", data)
            changed: Entries = {}
        else:
            base, data = _number(former), before.whole
            changed = _changes(former, revoked, now)
        delta = self._sign(self._builder(now, number, base=base), changed)
        write_durable(self._folder / "delta.crl", delta)
        return Lists(whole=data, delta=delta)

    def lack(self, issued: Iterable[Issued], now: datetime) -> bool:
        """Whether one of these is revoked, has not ended, and is not published so."""
        revoked = [one for one in issued if one.revocation and one.not_after > now]
        if not revoked:
            return False
        lists = self.read()
        listed = {
            entry.serial_number: reason_of(entry)
            for der in ((lists.whole, lists.delta) if lists else ())
            for entry in self._load(der)
        }
        return any(
            listed.get(serial) is not reason
            for serial, (_, reason) in _entries(revoked, None).items()
        )

    def current(self, issued: Iterable[Issued], now: datetime) -> Lists:
        """What is published now, published again where it ended."""
        lists = self.read()
        if lists is None or any(_ended(self._load(der), now) for der in (lists.whole, lists.delta)):
            return self.publish(issued, now, whole=False)
        return lists

    def _load(self, der: bytes) -> x509.CertificateRevocationList:
        try:
            return x509.load_der_x509_crl(der)
        except ValueError as exc:
            raise StationError(
                f"a list in {self._folder} cannot be read",
                remedy="Delete whole.crl and delta.crl there (not number), and publish again.",
            ) from exc

    def _builder(
        self, now: datetime, number: int, *, base: int | None
    ) -> x509.CertificateRevocationListBuilder:
        settings = self._settings
        validity = settings.whole_list_validity if base is None else settings.delta_list_validity
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(now)
            .next_update(now + validity)
            .add_extension(authority_key(self._certificate), critical=False)
            .add_extension(x509.CRLNumber(number), critical=False)
        )
        if base is not None:
            builder = builder.add_extension(x509.DeltaCRLIndicator(base), critical=True)
        elif settings.delta_crl_url:
            point = distribution_point(settings.delta_crl_url)
            builder = builder.add_extension(x509.FreshestCRL([point]), critical=False)
        return builder

    def _sign(self, builder: x509.CertificateRevocationListBuilder, entries: Entries) -> bytes:
        for serial, (at, reason) in sorted(entries.items()):
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at)
            if reason is not x509.ReasonFlags.unspecified:
                entry = entry.add_extension(x509.CRLReason(reason), critical=False)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self._key, digest_of(self._key)).public_bytes(Encoding.DER)


def _entries(revoked: Iterable[Issued], former: x509.CertificateRevocationList | None) -> Entries:
    """All that is revoked but for what a list since its end has told of."""
    return {
        int(one.serial_hex, 16): (one.revocation.at, one.revocation.reason)
        for one in revoked
        if one.revocation and (former is None or one.not_after >= former.last_update_utc)
    }


def _changes(
    former: x509.CertificateRevocationList, revoked: Sequence[Issued], now: datetime
) -> Entries:
    """What a delta to `former` says."""
    listed = {entry.serial_number: reason_of(entry) for entry in former}
    changed = {
        serial: entry
        for serial, entry in _entries(revoked, former).items()
        if listed.get(serial) is not entry[1]
    }
    still = {int(one.serial_hex, 16) for one in revoked}
    released = {
        serial: (now, x509.ReasonFlags.remove_from_crl)
        for serial, reason in listed.items()
        if reason is x509.ReasonFlags.certificate_hold and serial not in still
    }
    return changed | released


def _ended(found: x509.CertificateRevocationList, now: datetime) -> bool:
    return found.next_update_utc is None or found.next_update_utc <= now


def _number(found: x509.CertificateRevocationList) -> int:
    return found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
