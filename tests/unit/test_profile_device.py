"""[device], [secure-channel] and [fips]: what is refused at load, and on which firmware."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tokenprov.errors import ProfileError
from tokenprov.profile import check_firmware, parse_profile
from tokenprov.profile.language import Profile

NEW, OLD = (5, 7, 4), (5, 2, 7)


def profile(section: str) -> Profile:
    """A profile of that section alone."""
    return parse_profile(f'name = "device"\n{section}'.encode(), "device.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A profile that is refused at a key, by words and with a remedy."""

    name: str
    section: str
    key: str
    says: str
    remedy: str


CASES = (
    Case(
        name="the last USB interface",
        section="[device]\nusb = []",
        key="device.usb",
        says="the last USB interface cannot be switched off",
        remedy="List the applications that stay on",
    ),
    Case(
        name="what the profile sets itself",
        section='[device]\nusb = ["piv"]\n[piv]\n[fido2]',
        key="device.usb",
        says="[fido2] is set by this profile and switched off here",
        remedy='Add "fido2" to usb',
    ),
    Case(
        name="twice",
        section='[device]\nnfc = ["piv", "otp", "piv"]',
        key="device.nfc",
        says="piv stands twice",
        remedy="Write it once",
    ),
    Case(
        name="an application that there is not",
        section='[device]\nusb = ["ccid"]',
        key="device.usb[0]",
        says="'ccid' is not a value of this key",
        remedy='"hsmauth"',
    ),
    Case(
        name="a touch that ejects beside a keyboard",
        section='[device]\nusb = ["piv", "otp"]\ntouch-eject = true',
        key="device.touch-eject",
        says="where the smart card is the one USB interface",
        remedy="Leave otp, u2f and fido2 out of usb",
    ),
    Case(
        name="ejected for ever",
        section='[device]\nusb = ["piv"]\nauto-eject-timeout = 10',
        key="device.auto-eject-timeout",
        says="comes back by a touch alone",
        remedy="touch-eject = true",
    ),
    Case(
        name="a timeout of no time",
        section="[device]\nchallenge-response-timeout = 0",
        key="device.challenge-response-timeout",
        says="from 1 to 255 seconds",
        remedy="Write another",
    ),
    Case(
        name="a timeout of too much time",
        section='[device]\nusb = ["piv"]\ntouch-eject = true\nauto-eject-timeout = 65536',
        key="device.auto-eject-timeout",
        says="from 1 to 65535 seconds",
        remedy="Write another",
    ),
    Case(
        name="nothing",
        section="[device]",
        key="device",
        says="[device] sets nothing",
        remedy="Set a key in it",
    ),
    Case(
        name="a channel of no protocol",
        section="[secure-channel]\nset-keys = true",
        key="secure-channel.protocol",
        says="missing",
        remedy="protocol",
    ),
    Case(
        name="FIPS that is not wanted",
        section="[piv]\n[fips]\napproved = false",
        key="fips.approved",
        says="approved = false says nothing",
        remedy="delete [fips]",
    ),
    Case(
        name="FIPS of nothing",
        section='[otp.slot2]\nkind = "hmac-sha1"\n[fips]\napproved = true',
        key="fips",
        says="sets no application that has an approved mode",
        remedy="Add one of [piv]",
    ),
    Case(
        name="FIPS with a short PIN",
        section="[piv]\npin = { length = 6 }\n[fips]\napproved = true",
        key="piv.pin.length",
        says="approved mode asks for 8 characters, this says 6",
        remedy="Write 8",
    ),
    Case(
        name="FIPS with a short PUK",
        section="[piv]\npuk = { length = 7 }\n[fips]\napproved = true",
        key="piv.puk.length",
        says="approved mode asks for 8 characters, this says 7",
        remedy="Write 8",
    ),
    Case(
        name="FIPS with 3DES",
        section='[piv]\nmanagement-key = { algorithm = "3des" }\n[fips]\napproved = true',
        key="piv.management-key.algorithm",
        says="a management key for AES",
        remedy='"aes256"',
    ),
    Case(
        name="FIPS without a PIN for a key",
        section='[[piv.keys]]\nslot = "9e"\nalgorithm = "eccp256"\n[fips]\napproved = true',
        key="piv.keys[0].pin-policy",
        says="the key in 9e is used without a PIN",
        remedy='"once"',
    ),
    Case(
        name="FIPS with X25519",
        section='[[piv.keys]]\nslot = "9d"\nalgorithm = "x25519"\n[fips]\napproved = true',
        key="piv.keys[0].algorithm",
        says="x25519 is not an algorithm of approved mode",
        remedy='"eccp384"',
    ),
    Case(
        name="FIPS with a short FIDO2 PIN",
        section="[fido2]\npin = { length = 7 }\n[fips]\napproved = true",
        key="fido2.pin.length",
        says="approved mode asks for 8 characters, this says 7",
        remedy="Write 8",
    ),
    Case(
        name="FIPS without an OATH password",
        section='[[oath.accounts]]\nissuer = "x"\n[fips]\napproved = true',
        key="oath",
        says="approved mode asks for a password",
        remedy="password = { length = 16 }",
    ),
    Case(
        name="FIPS with a short OATH password",
        section="[oath]\npassword = { length = 13 }\n[fips]\napproved = true",
        key="oath.password.length",
        says="approved mode asks for 14 bytes, this says 13",
        remedy="14 or more",
    ),
    Case(
        name="FIPS with a short OpenPGP PIN",
        section="[openpgp]\nuser-pin = { length = 6 }\n[fips]\napproved = true",
        key="openpgp.user-pin.length",
        says="approved mode asks for 8 characters, this says 6",
        remedy="Write 8",
    ),
    Case(
        name="FIPS with a curve that is not NIST's",
        section='[[openpgp.keys]]\nslot = "dec"\nalgorithm = "x25519"\n[fips]\napproved = true',
        key="openpgp.keys[0].algorithm",
        says="x25519 is not an algorithm of approved mode",
        remedy='"eccp256"',
    ),
    Case(
        name="FIPS with the factory's key",
        section="[hsmauth]\nmanagement-key = false\n[[hsmauth.credentials]]\n"
        'label = "a"\nalgorithm = "aes128"\n[fips]\napproved = true',
        key="hsmauth.management-key",
        says="a management key that is not the factory's",
        remedy="management-key = true",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_refused_at_load(case: Case) -> None:
    """Each fault names its key, says why, and what to write instead."""
    with pytest.raises(ProfileError) as caught:
        profile(case.section)
    (problem,) = (one for one in caught.value.problems if one.field == case.key)
    assert case.says in problem.message
    assert case.remedy in problem.remedy


def test_defaults_leave_the_token_as_it_is() -> None:
    """A [device] of one key sets that and nothing else."""
    section = profile("[device]\nlock-code = true").device
    assert section is not None
    assert (section.usb, section.nfc, section.touch_eject, section.nfc_restricted) == (
        *(None, None, None),
        False,
    )


@pytest.mark.parametrize(
    ("section", "version", "fips", "says"),
    [
        ("[device]\nlock-code = true", (4, 3, 7), False, "[device] needs firmware 5.0"),
        ('[device]\nusb = ["piv", "hsmauth"]', OLD, False, "hsmauth needs firmware 5.4"),
        ('[device]\nnfc = ["hsmauth"]', OLD, False, "hsmauth needs firmware 5.4"),
        ("[device]\nnfc-restricted = true", (5, 4, 3), False, "restricted NFC needs firmware 5.7"),
        ('[secure-channel]\nprotocol = "scp03"', OLD, False, "scp03 needs firmware 5.3.0"),
        ('[secure-channel]\nprotocol = "scp11b"', (5, 7, 1), False, "needs firmware 5.7.2"),
        ("[piv]\n[fips]\napproved = true", NEW, False, "not of the FIPS series"),
        ("[piv]\n[fips]\napproved = true", (5, 4, 3), True, "needs firmware 5.7"),
    ],
)
def test_refused_by_firmware(
    section: str, version: tuple[int, int, int], fips: bool, says: str
) -> None:
    """What a token cannot do is refused with the firmware that it needs."""
    with pytest.raises(ProfileError, match=says.replace("[", r"\[").replace(".", r"\.")):
        check_firmware(profile(section), version, fips=fips)


@pytest.mark.parametrize(
    ("section", "version", "fips"),
    [
        ('[device]\nusb = ["piv", "hsmauth"]\nlock-code = true', (5, 4, 3), False),
        ("[device]\nnfc-restricted = true", NEW, False),
        ('[secure-channel]\nprotocol = "scp03"\nset-keys = true', (5, 4, 3), False),
        ('[secure-channel]\nprotocol = "scp11b"', (5, 7, 2), False),
        ("[piv]\n[fips]\napproved = true", NEW, True),
    ],
)
def test_accepted_by_firmware(section: str, version: tuple[int, int, int], fips: bool) -> None:
    """What a token can do, nothing is left out of."""
    assert check_firmware(profile(section), version, fips=fips) == []


def test_left_out_where_the_profile_lets_it_go() -> None:
    """Restricted NFC goes from an older token where it may, and the rest stays."""
    section = 'if-supported = ["device.nfc-restricted"]\n[device]\nlock-code = true\n'
    (left_out,) = check_firmware(profile(f"{section}nfc-restricted = true"), (5, 4, 3))
    assert left_out.startswith("device.nfc-restricted: restricted NFC needs firmware 5.7")
