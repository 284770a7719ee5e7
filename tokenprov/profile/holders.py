"""A profile against a roster: what it needs of each holder, before anything is made.

Sources: RFC 5280 appendix A.1 (a common name holds 64 characters) and WebAuthn 6.4.1
(authenticators may cut a user's names after 64 bytes, and then what is read back is not what was
registered).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tokenprov.errors import Problem, RosterError
from tokenprov.model import SECURITY_IDENTIFIER, Holder
from tokenprov.profile.fields import EXTRA, Template, field_of
from tokenprov.profile.language import LastDay, Profile
from tokenprov.profile.modhex import public_id_fault, token_id_fault
from tokenprov.profile.oath import MAX_ID as MAX_ACCOUNT
from tokenprov.profile.oath import OathSection
from tokenprov.profile.openpgp import OpenPgpSection, data_fault, name_fault, url_fault
from tokenprov.profile.otp import BY_SERIAL, NO_TOKEN_ID, HotpSlot, OtpSection, YubicoOtpSlot
from tokenprov.profile.piv import PivSection
from tokenprov.profile.piv_certificate import SID_COLUMN, AccountSid, Certificate
from tokenprov.profile.piv_objects import MAX_OBJECT
from tokenprov.profile.pkcs11 import MAX_LABEL, Pkcs11Section
from tokenprov.profile.settle import ANY_DAY, LONGEST_SERIAL, settled
from tokenprov.roster import Roster
from tokenprov.roster.check import MAX_COMMON_NAME

MAX_USER_NAME = 64  # bytes of UTF-8; WebAuthn 6.4.1
SHOWN = 20  # problems shown; the rest are counted

_SID = Template.parse(f"{{holder.extra.{SID_COLUMN}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A key of the profile and the fields of a holder that it needs."""

    key: str
    fields: frozenset[str]
    template: Template | None = None
    max_characters: int = 0  # 0: no limit
    max_bytes: int = 0
    fault: Callable[[str], str] | None = None  # why a text that it comes to cannot be used, or ""
    unique: bool = False  # no two holders have the same


def needs(profile: Profile) -> Iterator[Need]:
    """What the profile needs of every holder."""
    if profile.piv is not None:
        yield from _piv_needs(profile.piv)
    if profile.otp is not None:
        yield from _otp_needs(profile.otp)
    if profile.oath is not None:
        yield from _oath_needs(profile.oath)
    if profile.pkcs11 is not None:
        yield from _pkcs11_needs(profile.pkcs11)
    if profile.openpgp is not None:
        yield from _openpgp_needs(profile.openpgp)
    for index, credential in enumerate(profile.fido2.credentials if profile.fido2 else ()):
        for name, template in (
            ("user-name", credential.user_name),
            ("display-name", credential.display_name),
        ):
            yield Need(
                key=f"fido2.credentials[{index}].{name}",
                fields=template.fields,
                template=template,
                max_bytes=MAX_USER_NAME,
            )


def _piv_needs(section: PivSection) -> Iterator[Need]:
    """What certificates and objects say of the holder."""
    for index, key in enumerate(section.keys):
        if key.certificate is not None:
            yield from _certificate_needs(f"piv.keys[{index}].certificate", key.certificate)
    printed = section.printed_information
    for name, (template, limit) in (printed.templates if printed else {}).items():
        yield Need(
            key=f"piv.printed-information.{name}",
            fields=template.fields,
            template=template,
            max_bytes=limit,
        )
    for index, one in enumerate(section.objects):
        yield Need(
            key=f"piv.objects[{index}].text",
            fields=one.text.fields,
            template=one.text,
            max_bytes=MAX_OBJECT,
        )


def _pkcs11_needs(section: Pkcs11Section) -> Iterator[Need]:
    """What the token's label and its certificates say of the holder."""
    yield Need(
        key="pkcs11.label",
        fields=section.label.fields,
        template=section.label,
        max_bytes=MAX_LABEL,
    )
    for index, key in enumerate(section.keys):
        if key.certificate is not None:
            yield from _certificate_needs(f"pkcs11.keys[{index}].certificate", key.certificate)


def _certificate_needs(path: str, certificate: Certificate) -> Iterator[Need]:
    yield Need(
        key=f"{path}.subject",
        fields=certificate.subject.fields,
        template=certificate.subject,
        max_characters=MAX_COMMON_NAME,
    )
    if certificate.upn:
        yield Need(key=f"{path}.upn", fields=frozenset(["upn"]))
    if certificate.sid is not AccountSid.NO:
        yield Need(
            key=f"{path}.sid",
            fields=_SID.fields if certificate.sid is AccountSid.REQUIRED else frozenset(),
            template=_SID,
            fault=_sid_fault,
            unique=True,
        )


def _sid_fault(text: str) -> str:
    if SECURITY_IDENTIFIER.fullmatch(text):
        return ""
    return f"{text!r} is not the security identifier of a Windows account (S-1-5-21-…)"


def _otp_needs(section: OtpSection) -> Iterator[Need]:
    """Identities that are given; what is made of the serial is nobody else's."""
    for number, slot in ((1, section.slot1), (2, section.slot2)):
        if isinstance(slot, YubicoOtpSlot) and slot.public_id.text != BY_SERIAL:
            key, template, fault = "public-id", slot.public_id, public_id_fault
        elif isinstance(slot, HotpSlot) and slot.token_id.text not in (BY_SERIAL, NO_TOKEN_ID):
            key, template, fault = "token-id", slot.token_id, token_id_fault
        else:
            continue
        path = f"otp.slot{number}.{key}"
        yield Need(key=path, fields=template.fields, template=template, fault=fault, unique=True)


def _oath_needs(section: OathSection) -> Iterator[Need]:
    """Names of accounts, which a token keeps in 64 bytes."""
    for index, account in enumerate(section.accounts):
        path = f"oath.accounts[{index}]"
        yield Need(
            key=f"{path}.issuer",
            fields=account.issuer.fields,
            template=account.issuer,
            fault=lambda text: "a colon ends the issuer" if ":" in text else "",
        )
        name = account.identity
        yield Need(key=f"{path}.name", fields=name.fields, template=name, max_bytes=MAX_ACCOUNT)


def _openpgp_needs(section: OpenPgpSection) -> Iterator[Need]:
    """What stands on the card about its holder."""
    for key, template, fault in (
        ("name", section.name, name_fault),
        ("login", section.login, data_fault),
        ("url", section.url, url_fault),
    ):
        if template is not None and template.fields:
            path = f"openpgp.{key}"
            yield Need(key=path, fields=template.fields, template=template, fault=fault)


def check_roster(profile: Profile, roster: Roster) -> None:
    """Check that every holder has what the profile uses.

    Raises RosterError with the lines of the rows that lack something, or once for a column that
    the whole roster lacks.
    """
    wanted = list(needs(settled(profile, serial=LONGEST_SERIAL, day=ANY_DAY)))
    problems: list[Problem] = []
    absent: set[str] = set()
    for field in sorted({field for need in wanted for field in need.fields}):
        if not any(field_of(holder, field) for holder in roster.holders):
            absent.add(field)
            users = ", ".join(need.key for need in wanted if field in need.fields)
            problems.append(
                Problem(
                    line=0,
                    field=field.removeprefix(EXTRA),
                    message=f"no holder has it, and the profile {profile.name} uses it: {users}",
                    remedy="Add the column to the roster, or change the profile.",
                )
            )
    for line, holder in zip(roster.lines, roster.holders, strict=True):
        if profile.last_day is LastDay.REQUIRED and holder.last_day is None:
            problems.append(
                Problem(
                    line=line,
                    field="last_day",
                    message=f"the cell is empty, and {profile.name} is for people who have one",
                    remedy="Fill it in, as in 2031-06-30, or give this holder another profile.",
                )
            )
        lacking: set[str] = set()
        for need in wanted:
            if need.fields & absent:
                continue
            missing = {field for field in need.fields if not field_of(holder, field)}
            for field in sorted(missing - lacking):
                problems.append(
                    Problem(
                        line=line,
                        field=field.removeprefix(EXTRA),
                        message=f"the cell is empty, and the profile's {need.key} uses it",
                        remedy="Fill it in, or give this holder another profile.",
                    )
                )
            lacking |= missing
            if not missing:
                problems.extend(_unfit(need, holder, line))
    for need in wanted:
        if need.unique and not need.fields & absent:
            problems.extend(_shared(need, roster))
    if problems:
        raise RosterError.of_file(roster.name, tuple(problems[:SHOWN]), len(problems))


def _shared(need: Need, roster: Roster) -> Iterator[Problem]:
    """Holders whose tokens a server could not tell apart."""
    first: dict[str, int] = {}
    for line, holder in zip(roster.lines, roster.holders, strict=True):
        template = need.template
        if template is None or not all(field_of(holder, field) for field in template.fields):
            continue
        text = template.render(holder)
        if text in first:
            yield Problem(
                line=line,
                field="",
                message=f"the profile's {need.key}: {text!r} is that of line {first[text]} already",
                remedy="Give each holder one of their own, or let it be made of the serial.",
            )
        first.setdefault(text, line)


def _unfit(need: Need, holder: Holder, line: int) -> Iterator[Problem]:
    template = need.template
    if template is None or not all(field_of(holder, field) for field in template.fields):
        return  # of a field that the profile can do without
    text = template.render(holder)
    fault = need.fault(text) if need.fault is not None else ""
    if fault:
        yield Problem(
            line=line,
            field="",
            message=f"the profile's {need.key}: {fault}",
            remedy="Correct the cells that it is made of, or the text in the profile.",
        )
    for length, limit, unit in (
        (len(text), need.max_characters, "characters"),
        (len(text.encode()), need.max_bytes, "bytes"),
    ):
        if limit and length > limit:
            yield Problem(
                line=line,
                field="",
                message=f"the profile's {need.key} comes to {length} {unit}, {limit} fit: {text!r}",
                remedy="Shorten the cells that it is made of, or the text in the profile.",
            )
