"""authenticatorGetInfo, SELECT and unknown commands, by firmware.

What real keys answer is in the FIDO Metadata Service; each entry here names its AAGUID there.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.fido2_applet import World
from tokenprov.sim.apdu import SW, Command, Refusal
from tokenprov.sim.ctap.wire import Status

BASE = {"rk": True, "up": True, "plat": False, "clientPin": False}
PREVIEW = BASE | {"credentialMgmtPreview": True}
NEW = PREVIEW | {
    "pinUvAuthToken": True,
    "largeBlobs": True,
    "authnrCfg": True,
    "credMgmt": True,
    "setMinPINLength": True,
    "makeCredUvNotRqd": True,
    "alwaysUv": False,
}
NEW_EXTENSIONS = ["credProtect", "hmac-secret", "largeBlobKey", "credBlob", "minPinLength"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What the metadata of a model says."""

    model: str
    versions: list[str]
    extensions: list[str]
    options: dict[str, bool]
    protocols: list[int]
    algorithms: list[int]
    max_message: int
    min_pin_length: int = 4
    certifications: dict[str, int] | None = None


CASES = [
    Case(  # 149a2021-8ef6-4133-96b8-81f8d5b7f1f5, firmware 5.2
        model="yubikey-5.2.7",
        versions=["U2F_V2", "FIDO_2_0", "FIDO_2_1_PRE"],
        extensions=["credProtect", "hmac-secret"],
        options=PREVIEW,
        protocols=[1],
        algorithms=[-7, -8],
        max_message=1200,
    ),
    Case(  # 2fc0579f-8113-47ea-b116-bb5a8db9202a
        model="yubikey-5.4.3",
        versions=["U2F_V2", "FIDO_2_0", "FIDO_2_1_PRE"],
        extensions=["credProtect", "hmac-secret"],
        options=PREVIEW,
        protocols=[2, 1],
        algorithms=[-7, -8],
        max_message=1200,
    ),
    Case(  # 73bb0cd4-e502-49b8-9c6f-b59445bf720b
        model="yubikey-5.4.3-fips",
        versions=["U2F_V2", "FIDO_2_0", "FIDO_2_1_PRE"],
        extensions=["credProtect", "hmac-secret"],
        options=PREVIEW,
        protocols=[2, 1],
        algorithms=[-7, -8],
        max_message=1200,
        min_pin_length=6,
        certifications={"FIPS-CMVP-2": 2, "FIPS-CMVP-2-PHY": 3},
    ),
    Case(  # 9eb7eabc-9db5-49a1-b6c3-555a802093f4, with the "ep" of the Enterprise Profile
        model="yubikey-5.7.4",
        versions=["U2F_V2", "FIDO_2_0", "FIDO_2_1_PRE", "FIDO_2_1"],
        extensions=NEW_EXTENSIONS,
        options=NEW | {"ep": False},
        protocols=[2, 1],
        algorithms=[-7, -8, -35],
        max_message=1536,
    ),
    Case(  # b7d3f68e-88a6-471e-9ecf-2df26d041ede
        model="security-key-5.7",
        versions=["U2F_V2", "FIDO_2_0", "FIDO_2_1_PRE", "FIDO_2_1"],
        extensions=NEW_EXTENSIONS,
        options=NEW,
        protocols=[2, 1],
        algorithms=[-7, -8, -35],
        max_message=1536,
    ),
    Case(  # 79f3c8ba-9e35-484b-8f47-53a5a0f5c630
        model="yubikey-5.7.4-fips",
        versions=["FIDO_2_0", "FIDO_2_1_PRE", "FIDO_2_1"],
        extensions=NEW_EXTENSIONS,
        options=NEW | {"ep": False, "alwaysUv": True, "makeCredUvNotRqd": False},
        protocols=[2, 1],
        algorithms=[-7, -8, -35],
        max_message=1536,
        min_pin_length=8,
        certifications={"FIPS-CMVP-3": 2, "FIPS-CMVP-3-PHY": 3},
    ),
]


def world(case: Case) -> World:
    """A fresh token of that model."""
    return World(case.model, serial=None if case.model == "security-key-5.7" else 7)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.model)
def test_info_is_that_of_a_real_key(case: Case) -> None:
    """Every model answers GetInfo as the metadata of the real one has it."""
    info = world(case).ctap.info
    assert info.versions == case.versions
    assert info.extensions == case.extensions
    assert dict(info.options) == case.options
    assert info.pin_uv_protocols == case.protocols
    assert [entry["alg"] for entry in info.algorithms] == case.algorithms
    assert info.max_msg_size == case.max_message
    assert info.min_pin_length == case.min_pin_length
    assert info.certifications == (case.certifications or {})
    assert (info.max_creds_in_list, info.max_cred_id_length) == (8, 128)
    assert info.transports == ["nfc", "usb"]


def test_members_of_firmware_5_7() -> None:
    """The numbers that only CTAP 2.1 reports."""
    info = World().ctap.info
    assert info.firmware_version == 0x050704 == 329476
    assert (info.max_large_blob, info.max_cred_blob_length) == (4096, 32)
    assert (info.max_rpids_for_min_pin, info.remaining_disc_creds) == (1, 100)


def test_older_firmware_reports_no_remaining_credentials() -> None:
    """Before CTAP 2.1 nothing is said of the room that is left."""
    assert World("yubikey-5.4.3").ctap.info.remaining_disc_creds is None


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        ("yubikey-5.7.4", b"U2F_V2"),
        ("yubikey-4.3.7", b"U2F_V2"),
        ("yubikey-5.7.4-fips", b"FIDO_2_0"),
    ],
)
def test_select_says_what_is_spoken(model: str, answer: bytes) -> None:
    """SELECT names U2F, or FIDO 2 where alwaysUv has switched U2F off."""
    assert World(model).applet.select() == answer


def test_a_yubikey_4_speaks_no_ctap2() -> None:
    """Firmware 4 has U2F and nothing of class 80."""
    with pytest.raises(Refusal) as refusal:
        World("yubikey-4.3.7").send(b"\x04")
    assert refusal.value.sw == SW.CLASS_NOT_SUPPORTED


@pytest.mark.parametrize(
    ("model", "command", "status"),
    [
        ("yubikey-5.7.4", "", Status.INVALID_COMMAND),
        ("yubikey-5.7.4", "09a0", Status.INVALID_COMMAND),  # no biometrics
        ("yubikey-5.7.4", "40a0", Status.INVALID_COMMAND),
        ("yubikey-5.4.3", "0aa10101", Status.INVALID_COMMAND),
        ("yubikey-5.4.3", "0b", Status.INVALID_COMMAND),
        ("yubikey-5.4.3", "0ca0", Status.INVALID_COMMAND),
        ("yubikey-5.4.3", "0da0", Status.INVALID_COMMAND),
        ("yubikey-5.4.3", "41a10101", Status.PUAT_REQUIRED),
        ("yubikey-5.7.4", "0aa10101", Status.PUAT_REQUIRED),
        ("yubikey-5.7.4", "41a10101", Status.PUAT_REQUIRED),
        ("yubikey-5.7.4", "0b", Status.OK),
        ("yubikey-5.7.4", "06", Status.INVALID_CBOR),
        ("yubikey-5.7.4", "0680", Status.CBOR_UNEXPECTED_TYPE),
        ("yubikey-5.7.4", "06a10241", Status.INVALID_CBOR),
        ("yubikey-5.7.4", "06a1024102", Status.CBOR_UNEXPECTED_TYPE),
        ("yubikey-5.7.4", "06a0", Status.MISSING_PARAMETER),
        ("yubikey-5.7.4", "06a10206", Status.INVALID_SUBCOMMAND),  # no built-in verification
        ("yubikey-5.7.4", "06a10202", Status.MISSING_PARAMETER),
        ("yubikey-5.7.4", "06a201030202", Status.INVALID_PARAMETER),
        ("yubikey-5.7.4", "0a" + "a0" * 1536, Status.REQUEST_TOO_LARGE),
    ],
)
def test_status_of_what_is_amiss(model: str, command: str, status: Status) -> None:
    """Messages that no client should send are answered with the standard's status."""
    assert World(model).send(bytes.fromhex(command))[:1] == bytes([status])


def test_selection_needs_a_finger() -> None:
    """Selection ends with USER_ACTION_TIMEOUT when nobody touches the token."""
    world = World(finger=False)
    assert world.send(b"\x0b") == bytes([Status.USER_ACTION_TIMEOUT])
    assert world.touches == 1


@pytest.mark.parametrize(
    ("ins", "p1", "sw"),
    [
        (0x11, 0x00, SW.CONDITIONS_NOT_SATISFIED),
        (0x11, 0x11, SW.CONDITIONS_NOT_SATISFIED),
        (0x13, 0x00, SW.INVALID_INSTRUCTION),
        (0x12, 0x02, SW.INVALID_INSTRUCTION),
    ],
)
def test_other_apdus_of_class_80(ins: int, p1: int, sw: int) -> None:
    """Nothing waits for NFCCTAP_GETRESPONSE, and other instructions are not there."""
    with pytest.raises(Refusal) as refusal:
        World().applet.process(Command(cla=0x80, ins=ins, p1=p1, p2=0))
    assert refusal.value.sw == sw


def test_control_end_is_taken() -> None:
    """NFCCTAP_CONTROL "end" is answered with nothing."""
    assert World().applet.process(Command(cla=0x80, ins=0x12, p1=1, p2=0)) == b""
