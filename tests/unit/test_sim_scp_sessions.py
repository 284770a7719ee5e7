"""Every applet's session over every kind of secure channel, by the maker's libraries."""

from __future__ import annotations

import hmac
import os

import pytest
from fido2.ctap2.base import Ctap2
from fido2.ctap2.pin import ClientPin
from yubikit.core import TRANSPORT
from yubikit.core.fido import SmartCardCtapDevice
from yubikit.hsmauth import DEFAULT_MANAGEMENT_KEY, HsmAuthSession
from yubikit.management import CAPABILITY, DeviceConfig, ManagementSession
from yubikit.oath import HASH_ALGORITHM, OATH_TYPE, CredentialData, OathSession
from yubikit.openpgp import DO, OpenPgpSession
from yubikit.piv import KEY_TYPE, SLOT, PivSession
from yubikit.yubiotp import SLOT as OTP_SLOT
from yubikit.yubiotp import HmacSha1SlotConfiguration, YubiOtpSession

from tests.secure_channels import KINDS, SERIAL, Wire, channel_params, wire

MANAGEMENT_KEY = bytes.fromhex("0102030405060708" * 3)
TRANSPORTS = (TRANSPORT.USB, TRANSPORT.NFC)  # extended commands, short ones
pytestmark = [pytest.mark.parametrize("kind", KINDS), pytest.mark.parametrize("by", TRANSPORTS)]


@pytest.fixture
def on(by: TRANSPORT) -> Wire:
    """A fresh YubiKey of firmware 5.7.4."""
    return wire(transport=by)


def test_management(on: Wire, kind: str) -> None:
    """The device is read and configured."""
    session = ManagementSession(on, channel_params(on, kind))
    assert session.read_device_info().serial == SERIAL
    enabled = {on.transport: CAPABILITY.PIV | CAPABILITY.OATH}
    session.write_device_config(DeviceConfig(enabled_capabilities=enabled))
    on_now = session.read_device_info().config.enabled_capabilities[on.transport]
    assert CAPABILITY.PIV in on_now
    assert CAPABILITY.OTP not in on_now


def test_piv(on: Wire, kind: str) -> None:
    """A key is made, attested, signs; its certificate, the longest thing, comes back."""
    session = PivSession(on, channel_params(on, kind))
    session.authenticate(MANAGEMENT_KEY)
    session.verify_pin("123456")
    session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
    statement = session.attest_key(SLOT.AUTHENTICATION)
    session.put_certificate(SLOT.AUTHENTICATION, statement)
    assert session.get_certificate(SLOT.AUTHENTICATION) == statement
    assert session.get_serial() == SERIAL


def test_otp(on: Wire, kind: str) -> None:
    """A slot is written, and answers a challenge."""
    session = YubiOtpSession(on, channel_params(on, kind))
    key, challenge = bytes(range(20)), b"challenge"
    session.put_configuration(OTP_SLOT.TWO, HmacSha1SlotConfiguration(key))
    expected = hmac.digest(key, challenge, "sha1")
    assert session.calculate_hmac_sha1(OTP_SLOT.TWO, challenge) == expected


def test_oath(on: Wire, kind: str) -> None:
    """So many credentials that their list is sent in parts."""
    session = OathSession(on, channel_params(on, kind))
    for number in range(12):
        name = f"a name that is long enough to fill an answer, number {number}"
        session.put_credential(
            CredentialData(name, OATH_TYPE.TOTP, HASH_ALGORITHM.SHA1, os.urandom(20))
        )
    assert len(session.list_credentials()) == 12


def test_openpgp(on: Wire, kind: str) -> None:
    """PINs are given and data is written."""
    session = OpenPgpSession(on, channel_params(on, kind))
    session.verify_admin("12345678")
    session.verify_pin("123456")
    session.put_data(DO.NAME, b"Doe<<Jane")
    assert b"Doe<<Jane" in session.get_data(DO.CARDHOLDER_RELATED_DATA)


def test_hsmauth(on: Wire, kind: str) -> None:
    """A credential is put and listed."""
    session = HsmAuthSession(on, channel_params(on, kind))
    session.put_credential_derived(DEFAULT_MANAGEMENT_KEY, "label", "derived", "password")
    assert [each.label for each in session.list_credentials()] == ["label"]


def test_fido2(on: Wire, kind: str) -> None:
    """A PIN is set, and a token got for it."""
    client = ClientPin(Ctap2(SmartCardCtapDevice(on, channel_params(on, kind))))
    client.set_pin("4719-blue")
    assert len(client.get_pin_token("4719-blue", ClientPin.PERMISSION.CREDENTIAL_MGMT)) == 32
