"""Secure messaging below every applet's session, on virtual tokens in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from yubikit.core import TRANSPORT
from yubikit.core.smartcard import AID, ApduError, SmartCardProtocol
from yubikit.hsmauth import HsmAuthSession
from yubikit.management import ManagementSession
from yubikit.oath import HASH_ALGORITHM, OATH_TYPE, CredentialData, OathSession
from yubikit.openpgp import OpenPgpSession
from yubikit.piv import PivSession
from yubikit.yubiotp import YubiOtpSession

from tests.in_process import Desk, Line
from tests.secure_channels import FACTORY_SCP11B, Wire, domain, static_keys, wire
from tokenprov.device.fido2_card import CardDevice
from tokenprov.device.secured import SecuredConnection, parameters
from tokenprov.errors import AuthenticationFailed, TokenRefused
from tokenprov.secret import Secret
from tokenprov.token import Scp03, Scp11b, SecureChannel
from tokenprov.token.security_domain import FACTORY_SET

PLAIN = {0xA4, 0x50, 0x88, 0xC0, 0xA5}  # SELECT, what opens a channel, the rest of an answer
SECURED = 0x04  # bit of the class byte
SESSIONS: dict[str, Callable[[SecuredConnection], object]] = {
    "management": lambda to: ManagementSession(to).read_device_info().serial,
    "piv": lambda to: PivSession(to).get_pin_attempts(),
    "otp": lambda to: YubiOtpSession(to).get_serial(),
    "oath": lambda to: OathSession(to).list_credentials(),
    "openpgp": lambda to: OpenPgpSession(to).get_application_related_data(),
    "hsmauth": lambda to: HsmAuthSession(to).list_credentials(),
    "fido2": lambda to: CardDevice(to).call(0x10, b"\x04"),
}


def channel(kind: str, on: Wire) -> SecureChannel:
    """A channel by what a fresh token has."""
    if kind == "scp03":
        return Scp03(version=FACTORY_SET)
    (*_, leaf) = domain(on).get_certificate_bundle(FACTORY_SCP11B)
    public = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Scp11b(version=FACTORY_SCP11B.kvn, public_key=public)


def in_plain_text(sent: list[bytes]) -> list[str]:
    """The commands that went unsecured and should not have."""
    return [apdu[:4].hex() for apdu in sent if not apdu[0] & SECURED and apdu[1] not in PLAIN]


@pytest.mark.parametrize("transport", [TRANSPORT.USB, TRANSPORT.NFC])
@pytest.mark.parametrize("kind", ["scp03", "scp11b"])
@pytest.mark.parametrize("name", SESSIONS)
def test_every_session_runs_secured(name: str, kind: str, transport: TRANSPORT) -> None:
    """The session knows nothing of it, gets the same answer, and sends nothing in plain text."""
    plainly = SESSIONS[name](SecuredConnection(wire(transport=transport)))
    on = wire(transport=transport)
    secured = SecuredConnection(on)
    secured.secure(channel(kind, on))
    on.sent.clear()
    answer = SESSIONS[name](secured)
    if name not in ("openpgp", "fido2"):  # hold what is drawn anew, or lists without an equality
        assert answer == plainly
    assert in_plain_text(on.sent) == []
    assert any(apdu[0] & SECURED for apdu in on.sent)


def test_selecting_again_does_not_fall_back() -> None:
    """A session that selects its applet again, as one without metadata does, stays secured."""
    on = wire()
    secured = SecuredConnection(on)
    secured.secure(Scp03(version=FACTORY_SET))
    session = PivSession(secured)
    session.protocol.select(AID.PIV)
    on.sent.clear()
    session.get_pin_metadata()
    assert in_plain_text(on.sent) == []


def test_chained_commands_are_secured_whole() -> None:
    """An object of 2 KB in short commands arrives as it was sent."""
    on = wire(transport=TRANSPORT.NFC)
    secured = SecuredConnection(on)
    secured.secure(Scp03(version=FACTORY_SET))
    session = PivSession(secured)
    session.authenticate(bytes.fromhex("0102030405060708" * 3))
    session.put_object(0x5FFF10, bytes(range(256)) * 8)
    assert session.get_object(0x5FFF10) == bytes(range(256)) * 8
    assert in_plain_text(on.sent) == []


def test_long_answers_come_whole() -> None:
    """OATH, which has an instruction of its own for the rest of an answer, lists 20 accounts."""
    on = wire(transport=TRANSPORT.NFC)
    secured = SecuredConnection(on)
    secured.secure(Scp03(version=FACTORY_SET))
    session = OathSession(secured)
    for number in range(20):
        name = f"account-{number}-{'x' * 40}"
        session.put_credential(
            CredentialData(
                name=name,
                oath_type=OATH_TYPE.TOTP,
                hash_algorithm=HASH_ALGORITHM.SHA1,
                secret=bytes(20),
            )
        )
    assert len(session.list_credentials()) == 20
    assert in_plain_text(on.sent) == []


def test_status_words_come_through() -> None:
    """What the applet refuses is refused with its own status word, and the channel goes on."""
    secured = SecuredConnection(wire())
    secured.secure(Scp03(version=FACTORY_SET))
    session = PivSession(secured)
    with pytest.raises(ApduError) as caught:
        session.get_object(0x5FFF11)
    assert caught.value.sw == 0x6A82
    assert session.get_pin_attempts() == 3


def test_wrong_keys_send_nothing() -> None:
    """A channel that does not open is an error; the applet's command never leaves."""
    on = wire()
    secured = SecuredConnection(on)
    secured.secure(Scp03(version=FACTORY_SET, keys=Secret(b"".join(map(bytes, static_keys())))))
    with pytest.raises(AuthenticationFailed, match="other keys than those that are known"):
        PivSession(secured).get_pin_attempts()
    assert {apdu[1] for apdu in on.sent} == {0xA4, 0x50}


def test_nothing_is_sent_before_an_applet_is_selected() -> None:
    """Whatever is current on a new connection is nobody's choice."""
    secured = SecuredConnection(wire())
    secured.secure(Scp03(version=FACTORY_SET))
    with pytest.raises(TokenRefused, match="no application is selected"):
        SmartCardProtocol(secured).send_apdu(0, 0xFD, 0, 0)


def test_without_a_channel_it_is_the_connection_below() -> None:
    """Nothing is added to what is sent."""
    on = wire()
    secured = SecuredConnection(on)
    secured.send_and_receive(b"\x00\xa4\x04\x00\x05" + AID.PIV)
    secured.send_and_receive(b"\x00\xfd\x00\x00")
    assert [apdu.hex() for apdu in on.sent] == ["00a4040005a000000308", "00fd0000"]


def test_keys_do_not_show() -> None:
    """A channel that is printed says whose, not which."""
    value = bytes(range(48))
    shown = repr(Scp03(version=2, keys=Secret(value)))
    assert value[:16].hex() not in shown
    assert repr(value[:16])[2:-1] not in shown
    keys = parameters(Scp03(version=2, keys=Secret(value)))
    assert keys.ref.kvn == 2


def test_an_old_token_without_metadata_is_the_same(tmp_path: Path) -> None:
    """Firmware 5.4.3 over its short channel gets the same applets."""
    desk = Desk(tmp_path, "yubikey-5.4.3")
    line = Line(desk.token)
    token = desk.yubikey(line)
    token.secure(Scp03(version=FACTORY_SET))
    assert token.piv().pin_tries().remaining == 3
    assert token.otp().configured(1)
    assert token.piv().puk_tries().remaining == 3
    assert in_plain_text(line.commands[3:]) == []
