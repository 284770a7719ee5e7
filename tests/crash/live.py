"""Whether a token takes what the custodians have, tried on the token by the makers' libraries.

What cannot be undone is tried too (a slot is overwritten, the FIDO2 PIN is changed): the last thing
that is done to a token.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sys
from collections.abc import Collection, Iterator, Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from fido2.ctap import CtapError
from fido2.ctap2.base import Ctap2
from fido2.ctap2.credman import CredentialManagement
from fido2.ctap2.pin import ClientPin
from yubikit.core import BadResponseError, InvalidPinError
from yubikit.core.fido import SmartCardCtapDevice
from yubikit.core.otp import modhex_decode
from yubikit.core.smartcard import ApduError, SmartCardConnection
from yubikit.hsmauth import HsmAuthSession
from yubikit.oath import OathSession
from yubikit.openpgp import OpenPgpSession
from yubikit.piv import KEY_TYPE, SLOT, PivSession
from yubikit.yubiotp import SLOT as OTP_SLOT
from yubikit.yubiotp import HmacSha1SlotConfiguration, YubiOtpSession

from tests.crash.station import Station
from tokenprov.device.pcsc import connected
from tokenprov.model import Purpose
from tokenprov.record.rows import EnvelopeState
from tokenprov.sim.specs import BenchError

PUBLIC_ID = 12  # characters of modhex
NEW_PIN = "a pin of the holder's own"
REFUSALS = (ApduError, InvalidPinError, BadResponseError, CtapError, InvalidSignature)


def refused(
    station: Station, token: int, *, states: Collection[str] = tuple(EnvelopeState)
) -> list[str]:
    """What a token refuses of what break-glass can open for it, in words.

    `states` are those of the envelopes that count; of a secret in several, the last one does.
    Tried in a process of the bench's own: a PC/SC client stays with the first service it finds.
    """
    secrets = {
        one.context.name: one.value.hex()
        for one in station.sealed(token)
        if one.context.purpose == Purpose.BREAK_GLASS and one.state in states
    }
    reader = station.control.token(token)["reader"]
    trial = {"reader": reader, "token": token, "secrets": secrets}
    try:
        trial["typed"] = station.control.type_slot(token, 1)
    except BenchError:  # an empty slot types nothing
        trial["typed"] = ""
    run = station.trial(json.dumps(trial))
    return [f"token {token}: {fault}" for fault in run.stdout.splitlines()] + (
        [run.said] if run.status else []
    )


def main() -> None:
    """Try what `refused` found, and print what the token refuses, a line each."""
    trial = json.loads(sys.argv[1])
    secrets = {name: bytes.fromhex(value) for name, value in trial["secrets"].items()}
    faults = []
    if "otp/1/seed" in secrets:
        faults += _yubico_otp(trial["typed"], secrets["otp/1/seed"], trial["token"])
    with connected(trial["reader"]) as connection:
        for name, attempt in ATTEMPTS.items():
            if not any(one.startswith(f"{name}/") for one in secrets):
                continue
            try:
                faults += attempt(connection, secrets)
            except REFUSALS as refusal:
                faults.append(f"{name}: {refusal!r}")
    print(*faults, sep="\n", end="")


def _piv(connection: SmartCardConnection, secrets: Mapping[str, bytes]) -> Iterator[str]:
    piv = PivSession(connection)
    puk = secrets["piv/puk"].decode()
    piv.change_puk(puk, puk)
    piv.verify_pin(secrets["piv/pin"].decode())
    piv.authenticate(secrets["piv/management-key"])
    message = os.urandom(16)
    piv.verify_pin(secrets["piv/pin"].decode())
    signature = piv.sign(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256, message, hashes.SHA256())
    public_key = piv.get_certificate(SLOT.AUTHENTICATION).public_key()
    if not isinstance(public_key, ec.EllipticCurvePublicKey):
        yield "the certificate in 9a is for another kind of key"
        return
    public_key.verify(signature, message, ec.ECDSA(hashes.SHA256()))


def _otp(connection: SmartCardConnection, secrets: Mapping[str, bytes]) -> Iterator[str]:
    otp = YubiOtpSession(connection)
    challenge = os.urandom(32)
    expected = hmac.digest(secrets["otp/2/seed"], challenge, hashlib.sha1)
    if otp.calculate_hmac_sha1(OTP_SLOT.TWO, challenge) != expected:
        yield "slot 2 answers with another key"
    other = HmacSha1SlotConfiguration(os.urandom(20))
    for slot in OTP_SLOT:
        for code in (None, os.urandom(6)):
            try:
                otp.put_configuration(slot, other, None, code)
            except ApduError:
                continue
            yield f"slot {slot.value} is overwritten without its access code"
        otp.put_configuration(slot, other, None, secrets[f"otp/{slot.value}/access-code"])


def _yubico_otp(typed: str, seed: bytes, token: int) -> Iterator[str]:
    """A touch types what the authentication server can decrypt ("YubiKey Manual" 3.4, OTP)."""
    text = typed.removesuffix("\n")
    private_id, key = seed[:6], seed[6:]
    if modhex_decode(text[:PUBLIC_ID]) != b"\xff\x00" + token.to_bytes(4, "big"):
        yield f"slot 1 types the public id {text[:PUBLIC_ID]}"
    decryptor = Cipher(algorithms.AES(key), modes.ECB()).decryptor()
    plain = decryptor.update(modhex_decode(text[PUBLIC_ID:])) + decryptor.finalize()
    if plain[:6] != private_id:
        yield "slot 1 types what the sealed key does not decrypt"


def _fido2(connection: SmartCardConnection, secrets: Mapping[str, bytes]) -> Iterator[str]:
    ctap = Ctap2(SmartCardCtapDevice(connection))
    pin = ClientPin(ctap)
    pin.change_pin(secrets["fido2/pin"].decode(), NEW_PIN)  # as the holder must
    if CredentialManagement.is_supported(ctap.info):
        permission = ClientPin.PERMISSION.CREDENTIAL_MGMT
        manager = CredentialManagement(ctap, pin.protocol, pin.get_pin_token(NEW_PIN, permission))
        count = manager.get_metadata()[CredentialManagement.RESULT.EXISTING_CRED_COUNT]
        if count != 1:
            yield f"it holds {count} discoverable credentials"


def _openpgp(connection: SmartCardConnection, secrets: Mapping[str, bytes]) -> tuple[str, ...]:
    openpgp = OpenPgpSession(connection)
    openpgp.verify_admin(secrets["openpgp/admin-pin"].decode())
    if "openpgp/reset-code" in secrets:
        pin = secrets["openpgp/user-pin"].decode()
        openpgp.reset_pin(pin, secrets["openpgp/reset-code"].decode())
    return ()


def _hsmauth(connection: SmartCardConnection, secrets: Mapping[str, bytes]) -> tuple[str, ...]:
    key = secrets["hsmauth/management-key"]
    HsmAuthSession(connection).put_management_key(key, key)
    return ()


def _oath(connection: SmartCardConnection, secrets: Mapping[str, bytes]) -> tuple[str, ...]:
    oath = OathSession(connection)
    oath.validate(oath.derive_key(secrets["oath/password"].decode()))
    return ()


ATTEMPTS = {
    "piv": _piv,
    "otp": _otp,
    "fido2": _fido2,
    "openpgp": _openpgp,
    "hsmauth": _hsmauth,
    "oath": _oath,
}
