"""The PIV steps on every model that claims them, judged by the maker's library.

In this process, over the shipped run: `tests/peers/test_piv_settings.py` has other programs look at
such tokens through pcscd.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
)
from yubikit.core import Tlv
from yubikit.core.smartcard import SW, ApduError
from yubikit.piv import (
    MANAGEMENT_KEY_TYPE,
    OBJECT_ID,
    PIN_POLICY,
    SLOT,
    TOUCH_POLICY,
    Chuid,
    PivSession,
)

from tests.in_process import ADA, HEADER, Desk, Line
from tokenprov.batch import TokenIsReady
from tokenprov.errors import NotSupported, NotVerified, RosterError, TokenConflict, TouchTimeout
from tokenprov.inventory.piv import piv_inventory
from tokenprov.model import Purpose
from tokenprov.sim.presence import TouchMode, TouchPolicy

MODELS = ("yubikey-5.7.4", "yubikey-5.7.4-fips", "yubikey-5.4.3-fips", "yubikey-5.4.3")
OLD = ("yubikey-5.2.7", "yubikey-4.3.7")  # without metadata

EVERYTHING = """
[piv]
management-key = { pin-protected = true }
[[piv.keys]]
slot = "9a"
algorithm = "eccp256"
touch-policy = "cached"
[piv.keys.certificate]
upn = true
sid = "required"
usages = ["client-auth", "smartcard-logon"]
[[piv.keys]]
slot = "9c"
algorithm = "eccp384"
[piv.keys.certificate]
usages = ["email-protection"]
[[piv.keys]]
slot = "9d"
algorithm = "rsa2048"
origin = "escrowed"
[piv.keys.certificate]
compress = true
usages = ["email-protection"]
[[piv.keys]]
slot = "9e"
algorithm = "eccp256"
pin-policy = "once"
[[piv.keys]]
slot = "82"
algorithm = "eccp256"
origin = "escrowed"
[piv.keys.certificate]
usages = ["email-protection"]
[[piv.keys]]
slot = "95"
algorithm = "eccp256"
touch-policy = "always"
[[piv.objects]]
id = "5fc122"
text = "{holder.id}: {holder.email}"
"""
PRINTED = """
[piv]
[piv.printed-information]
affiliation = "employee"
organization = "Example"
issuer = "EX1"
days = 1
"""


@pytest.fixture
def desk(tmp_path: Path, request: pytest.FixtureRequest) -> Desk:
    """A station, and a fresh token of the model that the test asks for."""
    return Desk(tmp_path, getattr(request, "param", MODELS[0]))


@pytest.fixture(scope="module")
def issued(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[Desk, dict[str, Any]]:
    """A station and a token that was issued with everything, and its entry: to be looked at."""
    made = Desk(tmp_path_factory.mktemp("desk"), request.param)
    return made, made.run(EVERYTHING)


every_issued = pytest.mark.parametrize("issued", [*MODELS, *OLD], indirect=True)
every_model = pytest.mark.parametrize("desk", [*MODELS, *OLD], indirect=True)


def spki(key: Any) -> bytes:
    """A public key, DER."""
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def certificate_in(piv: PivSession, slot: SLOT) -> x509.Certificate:
    """The certificate in a slot."""
    return piv.get_certificate(slot)


@every_issued
def test_everything_reads_back(issued: tuple[Desk, dict[str, Any]]) -> None:
    """Each step is a match, and every key made on the token is attested."""
    desk, entry = issued
    steps = {step["id"]: step for step in entry["steps"]}
    slots = ("9a", "9c", "9d", "9e", "82", "95")
    assert list(steps) == [
        *("piv/tries", "piv/pin", "piv/puk", "piv/management-key", "piv/chuid", "piv/ccc"),
        "piv/object/5fc122",
        *(
            f"piv/{slot}/{part}"
            for slot in slots
            for part in (("key",) if slot in ("9e", "95") else ("key", "certificate"))
        ),
        "piv/key-history",
    ]
    assert {step["state"] for step in steps.values()} == {"match"}
    for slot in slots:
        facts = steps[f"piv/{slot}/key"]["facts"]
        if slot in ("9d", "82"):
            assert facts["origin"] == "imported"
        else:
            assert facts["attestation"]["slot"] == slot
            assert facts["attestation"]["serial"] == str(desk.token.serial) or desk.is_old


@every_issued
def test_the_pin_opens_the_management_key_as_the_makers_programs_keep_it(
    issued: tuple[Desk, dict[str, Any]],
) -> None:
    """The printed information has the sealed key and wants the PIN; the flag says so."""
    desk, _ = issued
    sealed = desk.sealed(Purpose.BREAK_GLASS)
    assert (
        desk.sealed(Purpose.TOKEN_ADMINISTRATION)["piv/management-key"]
        == (sealed["piv/management-key"])
    )
    piv = PivSession(desk.connect())
    with pytest.raises(ApduError) as refused:
        piv.get_object(OBJECT_ID.PRINTED)
    assert refused.value.sw == SW.SECURITY_CONDITION_NOT_SATISFIED
    assert piv.get_object(0x5FFF00) == bytes.fromhex("8003810102")
    piv.verify_pin(sealed["piv/pin"].decode())
    copy = Tlv.parse_dict(Tlv.unpack(0x88, piv.get_object(OBJECT_ID.PRINTED)))
    assert copy == {0x89: sealed["piv/management-key"]}
    piv.authenticate(copy[0x89])


@every_issued
def test_an_escrowed_key_decrypts_on_the_token_and_from_escrow(
    issued: tuple[Desk, dict[str, Any]],
) -> None:
    """What is encrypted to the certificate in 9d or 82, token and break-glass both open."""
    desk, _ = issued
    sealed = desk.sealed()
    others = set(Purpose) - {Purpose.BREAK_GLASS}
    assert not any("piv/9d/key" in desk.sealed(purpose) for purpose in others)
    piv = PivSession(desk.connect())
    piv.verify_pin(sealed["piv/pin"].decode())

    certificate = certificate_in(piv, SLOT.KEY_MANAGEMENT)
    public: Any = certificate.public_key()
    encrypted = public.encrypt(b"a session key", padding.PKCS1v15())
    assert piv.decrypt(SLOT.KEY_MANAGEMENT, encrypted, padding.PKCS1v15()) == b"a session key"
    private: Any = load_der_private_key(sealed["piv/9d/key"], None)
    assert private.decrypt(encrypted, padding.PKCS1v15()) == b"a session key"
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_encipherment, usage.digital_signature) == (True, False)

    sender = ec.generate_private_key(ec.SECP256R1())
    retired: Any = load_der_private_key(sealed["piv/82/key"], None)
    shared = piv.calculate_secret(SLOT.RETIRED1, sender.public_key())
    assert shared == retired.exchange(ec.ECDH(), sender.public_key())
    of_retired = certificate_in(piv, SLOT.RETIRED1)
    assert spki(of_retired.public_key()) == spki(retired.public_key())
    usage = of_retired.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_agreement, usage.digital_signature) == (True, False)


@every_issued
def test_objects_stand_as_the_standard_has_them(issued: tuple[Desk, dict[str, Any]]) -> None:
    """Key history, text and compression, byte by byte; the blob is the certificate itself."""
    desk, entry = issued
    piv = PivSession(desk.connect())
    # C1: one key with its certificate on the token, C2: none elsewhere, FE (table 17)
    assert piv.get_object(OBJECT_ID.KEY_HISTORY) == bytes.fromhex("c10101 c20100 fe00")
    assert piv.get_object(0x5FC122) == b"E1: ada@example.test"
    fields = Tlv.parse_dict(piv.get_object(OBJECT_ID.KEY_MANAGEMENT))
    assert fields[0x71] == b"\x01"  # CertInfo: gzip (part 1, table 40)
    assert piv.get_object(OBJECT_ID.AUTHENTICATION)[-5:] == bytes.fromhex("710100fe00")
    (step,) = [one for one in entry["steps"] if one["id"] == "piv/9d/certificate"]
    assert step["facts"]["compressed"] is True
    assert gzip.decompress(fields[0x70]) == desk.blob(step["evidence"][0]["sha256"])
    (step,) = [one for one in entry["steps"] if one["id"] == "piv/object/5fc122"]
    assert step["facts"] == {"bytes": 20, "read": "always"}  # the manifest is public


@pytest.mark.parametrize("issued", MODELS, indirect=True)
def test_policies_are_those_of_the_profile(issued: tuple[Desk, dict[str, Any]]) -> None:
    """Metadata shows origin and policies of each slot; 9c asks for the PIN every time."""
    desk, _ = issued
    piv = PivSession(desk.connect())
    found = {}
    for slot in (0x9A, 0x9C, 0x9D, 0x9E, 0x82, 0x95):
        data = piv.get_slot_metadata(SLOT(slot))
        found[slot] = (data.generated, data.pin_policy, data.touch_policy)
    once, never = PIN_POLICY.ONCE, TOUCH_POLICY.NEVER
    assert found == {
        0x9A: (True, once, TOUCH_POLICY.CACHED),
        0x9C: (True, PIN_POLICY.ALWAYS, never),
        0x9D: (False, once, never),
        0x9E: (True, once, never),
        0x82: (False, once, never),
        0x95: (True, once, TOUCH_POLICY.ALWAYS),
    }


@every_model
def test_plan_reads_and_a_second_run_writes_nothing(desk: Desk) -> None:
    """The dry run changes nothing; an issued token is only recognised, whatever the profile."""
    before = desk.token.dump()
    plan = desk.plan(EVERYTHING)
    assert not plan.refused
    assert {one.verdict for one in plan.steps} == {"write"}
    assert desk.piv_writes == []
    before["applets"]["piv"] = after = desk.token.dump()["applets"]["piv"]  # f9 is made when read
    assert after["pin"]["left"] == 3
    desk.run(EVERYTHING)
    issued = desk.token.dump()
    with pytest.raises(TokenIsReady):
        desk.run(EVERYTHING)
    assert desk.token.dump() == issued
    assert desk.piv_writes == []


PIV_CARD = """
[[piv.keys]]
slot = "9a"
algorithm = "eccp256"
[piv.keys.certificate]
usages = ["client-auth"]
email = false
card-names = "fasc-n-and-uuid"
policies = ["2.16.840.1.101.3.2.1.3.13"]
[[piv.keys]]
slot = "9e"
algorithm = "eccp256"
pin-policy = "once"  # what tokens of the FIPS series make of "never"
[piv.keys.certificate]
usages = ["card-auth"]
email = false
card-names = "uuid"
"""


@every_model
def test_certificates_name_the_card_as_its_chuid_does(desk: Desk) -> None:
    """PIV authentication and card authentication (FIPS 201-3, 4.2.2): FASC-N, UUID and policy."""
    entry = desk.run(PIV_CARD)
    piv = PivSession(desk.connect())
    chuid = Chuid.from_bytes(piv.get_object(OBJECT_ID.CHUID))
    certificates = {
        slot: piv.get_certificate(slot).extensions for slot in (SLOT.AUTHENTICATION, SLOT.CARD_AUTH)
    }
    for slot, extensions in certificates.items():
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        urn = f"urn:uuid:{UUID(bytes=chuid.guid)}"
        assert names.get_values_for_type(x509.UniformResourceIdentifier) == [urn]
        others = [
            (one.type_id.dotted_string, one.value)
            for one in names
            if isinstance(one, x509.OtherName)
        ]
        fasc_n = ("2.16.840.1.101.3.6.6", b"\x04\x19" + bytes(chuid.fasc_n))
        assert others == ([fasc_n] if slot is SLOT.AUTHENTICATION else [])
    usage = certificates[SLOT.CARD_AUTH].get_extension_for_class(x509.ExtendedKeyUsage)
    assert usage.critical
    assert [one.dotted_string for one in usage.value] == ["2.16.840.1.101.3.6.8"]
    policies = certificates[SLOT.AUTHENTICATION].get_extension_for_class(x509.CertificatePolicies)
    assert [one.policy_identifier.dotted_string for one in policies.value] == [
        "2.16.840.1.101.3.2.1.3.13"
    ]
    facts = {step["id"]: step["facts"] for step in entry["steps"]}
    assert facts["piv/9a/certificate"]["authority"] == "local"


@every_model
def test_a_management_key_that_waits_for_a_touch(desk: Desk) -> None:
    """Each use of it prompts the operator; without a touch the token is not taken for another's."""
    entry = desk.run("[piv]\nmanagement-key = { touch = true }\n")
    (step,) = [one for one in entry["steps"] if one["id"] == "piv/management-key"]
    assert step["facts"]["touch"] is True
    assert step.get("unread") == (["touch policy"] if desk.is_old else None)
    assert desk.finger.asked
    assert set(desk.finger.asked) == {"use its PIV management key"}
    state = desk.token.dump()["applets"]["piv"]["management_key"]
    assert state["touch"] == "ALWAYS"


def test_nobody_touches(desk: Desk) -> None:
    """The order fails with what to do, and the same command finishes it."""
    profile = "[piv]\nmanagement-key = { touch = true }\n"
    desk.token.finger.policy = TouchPolicy(mode=TouchMode.NEVER, patience=0.01)
    with pytest.raises(TouchTimeout, match="without a touch"):
        desk.run(profile)
    desk.token.finger.policy = TouchPolicy()
    assert desk.run(profile)["token"]["serial"] == str(desk.token.serial)


@every_model
def test_defaults_left_in_place_are_told(desk: Desk) -> None:
    """Of a fresh and of an issued token; "unknown" where the firmware cannot tell."""
    every = ["PIN", "PUK", "management key"]
    line = Line(desk.token)
    found = piv_inventory(desk.yubikey(line), [])["defaults"]
    unknown: dict[str, list[str]] = {"left": [], "unknown": every}
    assert found == (unknown if desk.is_old else {"left": every, "unknown": []})
    desk.run("[piv]\n")
    found = piv_inventory(desk.yubikey(line), [])["defaults"]
    assert found == (unknown if desk.is_old else {"left": [], "unknown": []})


@pytest.mark.parametrize("algorithm", ["3des", "aes128", "aes192", "aes256"])
def test_management_key_by_profile(desk: Desk, algorithm: str) -> None:
    """The algorithm is the profile's, and the key has its length."""
    entry = desk.run(f'[piv]\nmanagement-key = {{ algorithm = "{algorithm}" }}\n')
    (step,) = [one for one in entry["steps"] if one["id"] == "piv/management-key"]
    wanted = MANAGEMENT_KEY_TYPE["TDES" if algorithm == "3des" else algorithm.upper()]
    assert step["facts"] == {"algorithm": wanted.name.lower()}
    piv = PivSession(desk.connect())
    assert piv.management_key_type is wanted
    key = desk.sealed()["piv/management-key"]
    assert len(key) == wanted.key_len
    piv.authenticate(key)


@every_model
def test_printed_information(desk: Desk) -> None:
    """The object of table 14, read with the PIN; the entry says its size and not what it says."""
    entry = desk.run(
        PRINTED,
        roster=HEADER.replace("sid", "last_day") + ADA.replace("S-1-5-21-1-2-3-1105", "2027-03-09"),
    )
    (step,) = [one for one in entry["steps"] if one["id"] == "piv/printed-information"]
    assert step["facts"].keys() == {"bytes", "read"}
    assert step["facts"]["read"] == "pin"
    piv = PivSession(desk.connect())
    piv.verify_pin(desk.sealed()["piv/pin"].decode())
    printed = piv.get_object(OBJECT_ID.PRINTED)
    assert len(printed) == step["facts"]["bytes"]
    fields = Tlv.parse_dict(printed)
    expires = fields.pop(0x04).decode()
    assert len(expires) == 9
    assert expires[4:7].isupper()
    assert fields == {
        0x01: b"Ada Example",
        0x02: b"employee",
        0x06: b"EX1            ",
        0x07: b"Example",
        0xFE: b"",
    }


@pytest.mark.parametrize(
    ("algorithm", "slot"),
    [("rsa2048", "83"), ("rsa3072", "9c"), ("ed25519", "9a"), ("x25519", "9d"), ("eccp384", "95")],
)
def test_any_algorithm_in_any_slot(desk: Desk, algorithm: str, slot: str) -> None:
    """What the firmware has is generated and attested in whichever slot the profile says."""
    entry = desk.run(f'[[piv.keys]]\nslot = "{slot}"\nalgorithm = "{algorithm}"\n')
    (step,) = [one for one in entry["steps"] if one["id"] == f"piv/{slot}/key"]
    assert step["facts"]["algorithm"] == algorithm
    assert step["facts"]["attestation"]["generated"] is True


@pytest.mark.parametrize("algorithm", ["eccp384", "x25519"])
def test_other_escrowed_keys(desk: Desk, algorithm: str) -> None:
    """A key for which no certificate is wanted is drawn, sealed and imported all the same."""
    desk.run(f'[[piv.keys]]\nslot = "9d"\nalgorithm = "{algorithm}"\norigin = "escrowed"\n')
    private: Any = load_der_private_key(desk.sealed()["piv/9d/key"], None)
    found = PivSession(desk.connect()).get_slot_metadata(SLOT.KEY_MANAGEMENT)
    assert spki(found.public_key) == spki(private.public_key())


@pytest.mark.parametrize(
    ("object_id", "says"),
    [
        (OBJECT_ID.PRINTED, "it holds printed information"),
        (0x5FFF00, "another program keeps its own data"),
    ],
)
def test_what_stands_where_the_copy_goes_is_not_overwritten(
    desk: Desk, object_id: int, says: str
) -> None:
    """A token that holds such an object is refused for a PIN-protected key, and unchanged."""
    piv = PivSession(desk.connect())
    piv.authenticate(bytes.fromhex("0102030405060708" * 3))
    piv.put_object(object_id, b"\x88\x00")
    with pytest.raises(TokenConflict, match=says):
        desk.run(EVERYTHING)
    assert desk.piv_writes == []


class Forgetful(Line):
    """A token that takes the copy of the key and does not keep it."""

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """Answer 9000 to that one PUT DATA, and do nothing."""
        if apdu[1] == 0xDB and bytes.fromhex("5c035fc109") in apdu:
            return b"", 0x9000
        return super().send_and_receive(apdu)


def test_a_token_that_loses_the_copy_keeps_its_key(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy is read back before the key is changed: the token still has the factory's."""
    monkeypatch.setattr("tests.in_process.Line", Forgetful)
    with pytest.raises(NotVerified, match="did not keep the copy"):
        desk.run(EVERYTHING)
    monkeypatch.undo()
    assert PivSession(desk.connect()).get_management_key_metadata().default_value
    desk.run(EVERYTHING)  # mended, it goes on


class Biometric(Line):
    """A token with a fingerprint reader, as far as the metadata of reference 96 goes."""

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """Three tries, no fingerprint yet (the maker's metadata: 07 configured, 06 tries left)."""
        if apdu[1] == 0xF7 and apdu[3] == 0x96:
            return bytes.fromhex("070100 060103".replace(" ", "")), 0x9000
        return super().send_and_receive(apdu)


def test_fingerprints(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key by fingerprint wants a reader; a token with one keeps its numbers of tries."""
    profile = '[[piv.keys]]\nslot = "9a"\nalgorithm = "eccp256"\npin-policy = "match-once"\n'
    with pytest.raises(NotSupported, match="no fingerprint reader"):
        desk.plan(profile)
    monkeypatch.setattr("tests.in_process.Line", Biometric)
    plan = desk.plan(profile)
    assert {one.step.id: one.verdict for one in plan.steps} == {
        "piv/tries": "skip",
        **dict.fromkeys(
            (
                *("piv/pin", "piv/puk", "piv/management-key", "piv/chuid", "piv/ccc"),
                "piv/9a/key",
            ),
            "write",
        ),
    }


def test_an_account_that_is_none_is_refused_before_the_token(desk: Desk) -> None:
    """The roster is checked for the account's identifier before any token is looked at."""
    with pytest.raises(RosterError, match="not the security identifier"):
        desk.run(EVERYTHING, roster=HEADER + ADA.replace("S-1-5", "1-5"))
    with pytest.raises(RosterError, match="no holder has it"):
        desk.run(EVERYTHING, roster=HEADER.replace("sid", "room") + ADA)
    assert desk.commands == []
