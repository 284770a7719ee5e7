"""Passwords of the virtual OpenPGP application, its reset and its lasting state."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from yubikit.core import InvalidPinError, NotSupportedError
from yubikit.core.smartcard import SW, ApduError
from yubikit.openpgp import (
    DO,
    KEY_REF,
    KEY_STATUS,
    OID,
    PIN_POLICY,
    PW,
    UIF,
    KdfIterSaltedS2k,
    KdfNone,
    OpenPgpSession,
)

from tests.openpgp_contact import ADMIN_PIN, PIN, Contact
from tests.piv_contact import roots
from tokenprov.sim.applets.openpgp_passwords import Passwords

NEW_PIN, NEW_ADMIN_PIN, RESET_CODE = "7531864", "864297531", "abcdefgh"
MODELS_WITH_OPENPGP = ["yubikey-4.3.7", "yubikey-5.2.7", "yubikey-5.4.3", "yubikey-5.7.4"]


def refused(action: Callable[[], object]) -> int:
    """The status word with which the token refuses what `action` does."""
    with pytest.raises(ApduError) as refusal:
        action()
    return refusal.value.sw


def attempts(session: OpenPgpSession) -> tuple[int, int, int]:
    """Tries left of PW1, resetting code and PW3."""
    status = session.get_pin_status()
    return status.attempts_user, status.attempts_reset, status.attempts_admin


@pytest.mark.parametrize("model", MODELS_WITH_OPENPGP)
def test_passwords_change(model: str) -> None:
    """PW1 and PW3 are changed, and a wrong old one costs a try."""
    session = Contact(model).session()
    session.change_pin(PIN, NEW_PIN)
    session.change_admin(ADMIN_PIN, NEW_ADMIN_PIN)
    session.verify_pin(NEW_PIN)
    session.verify_admin(NEW_ADMIN_PIN)
    for change, old, new in (
        (session.change_pin, PIN, NEW_PIN),
        (session.change_admin, ADMIN_PIN, NEW_ADMIN_PIN),
    ):
        with pytest.raises(InvalidPinError) as wrong:
            change(old, new)
        assert wrong.value.attempts_remaining == 2
    assert attempts(session) == (2, 0, 2)


def test_a_blocked_password_stays_blocked() -> None:
    """After three wrong ones the right one is refused too, with 6983."""
    session = Contact().session()
    for left in (2, 1, 0):
        with pytest.raises(InvalidPinError) as wrong:
            session.verify_pin("000000")
        assert wrong.value.attempts_remaining == left
    with pytest.raises(InvalidPinError, match="blocked"):
        session.verify_pin(PIN)
    assert attempts(session) == (0, 0, 3)


def test_resetting_code_unblocks_once_it_is_set() -> None:
    """PW3 or the resetting code gives PW1 a new value; three wrong codes block it."""
    session = Contact().session()
    with pytest.raises(InvalidPinError):
        session.reset_pin(NEW_PIN, RESET_CODE)
    assert refused(lambda: session.reset_pin(NEW_PIN)) == SW.SECURITY_CONDITION_NOT_SATISFIED
    session.verify_admin(ADMIN_PIN)
    session.set_reset_code(RESET_CODE)
    assert attempts(session) == (3, 3, 3)
    session.reset_pin(NEW_PIN, RESET_CODE)
    session.verify_pin(NEW_PIN)
    session.reset_pin(PIN)
    session.verify_pin(PIN)
    for left in (2, 1, 0):
        with pytest.raises(InvalidPinError) as wrong:
            session.reset_pin(NEW_PIN, "00000000")
        assert wrong.value.attempts_remaining == left
    with pytest.raises(InvalidPinError):
        session.reset_pin(NEW_PIN, RESET_CODE)


def test_lengths() -> None:
    """Too short and too long are 6A80 for VERIFY and for new values, and cost nothing."""
    contact = Contact()
    session = contact.authenticated()
    assert contact.sw("0020008105" + "31" * 5) == SW.INCORRECT_PARAMETERS
    assert contact.sw("0020008307" + "31" * 7) == SW.INCORRECT_PARAMETERS
    assert contact.sw("0020008280" + "31" * 128) == SW.INCORRECT_PARAMETERS
    assert contact.sw("002400810b" + PIN.encode().hex() + "31" * 5) == SW.INCORRECT_PARAMETERS
    assert contact.sw("00da00d307" + "31" * 7) == SW.INCORRECT_PARAMETERS
    assert contact.sw("00200081") == contact.sw("00200082") == SW.INCORRECT_PARAMETERS
    assert contact.sw("0020008006313233343536") == SW.WRONG_PARAMETERS_P1P2
    assert attempts(session) == (3, 0, 3)
    session.verify_pin(PIN)


def test_tries_are_set_without_changing_passwords() -> None:
    """SET PIN RETRIES wants PW3 and numbers above zero, and keeps what the passwords are."""
    session = Contact().session()
    session.change_pin(PIN, NEW_PIN)
    assert refused(lambda: session.set_pin_attempts(5, 6, 7)) == 0x6982
    session.verify_admin(ADMIN_PIN)
    assert refused(lambda: session.set_pin_attempts(0, 3, 3)) == SW.INCORRECT_PARAMETERS
    session.set_pin_attempts(5, 6, 7)
    assert attempts(session) == (5, 0, 7)
    session.verify_pin(NEW_PIN)


@pytest.mark.parametrize("policy", PIN_POLICY)
def test_signature_pin_policy(policy: PIN_POLICY) -> None:
    """With "always" one PW1 is good for one signature, with "once" for many."""
    session = Contact().authenticated()
    session.generate_ec_key(KEY_REF.SIG, OID.Ed25519)
    session.set_signature_pin_policy(policy)
    assert session.get_pin_status().pin_policy_user is policy
    session.sign(b"first", hashes.SHA256())
    if policy is PIN_POLICY.ONCE:
        session.sign(b"second", hashes.SHA256())
    else:
        assert refused(lambda: session.sign(b"second", hashes.SHA256())) == 0x6982


def test_verification_is_forgotten_when_asked() -> None:
    """VERIFY with P1 = FF takes a verification back, from firmware 5.6 on."""
    session = Contact().authenticated()
    session.unverify_pin(PW.ADMIN)
    assert refused(lambda: session.put_data(DO.NAME, b"Doe<<Jane")) == 0x6982
    old = Contact("yubikey-5.4.3")
    with pytest.raises(NotSupportedError):
        old.authenticated().unverify_pin(PW.ADMIN)
    assert old.sw("0020ff83") == SW.WRONG_PARAMETERS_P1P2


@pytest.mark.parametrize("model", ["yubikey-5.2.7", "yubikey-5.7.4"])
def test_key_derivation(model: str) -> None:
    """With a KDF the passwords are those from the factory, hashed; without, plain again."""
    session = Contact(model).session()
    kdf = KdfIterSaltedS2k.create(iteration_count=10_000)
    assert refused(lambda: session.set_kdf(kdf)) == 0x6982
    session.change_admin(ADMIN_PIN, NEW_ADMIN_PIN)
    session.verify_admin(NEW_ADMIN_PIN)
    session.set_reset_code(RESET_CODE)
    session.set_kdf(kdf)
    assert session.get_kdf() == kdf
    assert attempts(session) == (3, 0, 3)
    session.verify_admin(ADMIN_PIN)
    session.verify_pin(PIN)
    session.change_admin(ADMIN_PIN, NEW_ADMIN_PIN)
    session.change_pin(PIN, NEW_PIN)
    session.verify_pin(NEW_PIN)
    session.set_kdf(KdfNone())
    session.verify_admin(ADMIN_PIN)
    session.verify_pin(PIN)


def test_key_derivation_that_is_none_is_refused() -> None:
    """A DO F9 without salt, with another algorithm or with a short hash is 6A80."""
    contact = Contact()
    contact.authenticated()
    good = "81010382010883040000271084080102030405060708" + "8720" + "11" * 32 + "8820" + "22" * 32
    for bad in (
        "810103",
        good.replace("810103", "810104"),
        good.replace("820108", "820109"),
        good.replace("8408", "8508"),
        good[:-68] + "881f" + "22" * 31,
        good + "990100",
    ):
        assert contact.sw(f"00da00f9{len(bad) // 2:02x}{bad}") == SW.INCORRECT_PARAMETERS
    assert contact.sw(f"00da00f9{len(good) // 2:02x}{good}") == 0x9000
    assert contact.sw("0020008120" + "11" * 32) == 0x9000


@pytest.mark.parametrize("model", MODELS_WITH_OPENPGP)
def test_reset(model: str) -> None:
    """The client blocks both passwords, terminates and activates: all is as from the factory."""
    contact = Contact(model)
    session = contact.authenticated()
    session.put_key(KEY_REF.SIG, roots().piv.key)
    session.put_data(DO.NAME, b"Doe<<Jane")
    session.set_uif(KEY_REF.SIG, UIF.FIXED)
    session.change_pin(PIN, NEW_PIN)
    session.reset()
    fresh = contact.session()
    fresh.verify_pin(PIN)
    assert attempts(fresh) == (3, 0, 3)
    other = Contact(model)
    assert fresh.get_application_related_data() == other.session().get_application_related_data()
    assert contact.exchange("00ca0065000bfe") == "65095b005f2d005f3501399000"
    assert fresh.get_uif(KEY_REF.SIG) is UIF.OFF
    assert refused(lambda: fresh.get_public_key(KEY_REF.SIG)) == SW.REFERENCE_DATA_NOT_FOUND


def test_reset_keeps_the_attestation_key() -> None:
    """The factory's attestation key survives a reset, with certificate and fingerprint."""
    contact = Contact()
    session = contact.session()
    certificate = session.get_certificate(KEY_REF.ATT)
    fingerprint = session.get_fingerprints()[KEY_REF.ATT]
    session.reset()
    session = contact.session()
    assert session.get_certificate(KEY_REF.ATT) == certificate
    assert session.get_fingerprints()[KEY_REF.ATT] == fingerprint != bytes(20)
    assert session.get_key_information()[KEY_REF.ATT] is KEY_STATUS.IMPORTED


def test_terminated_application() -> None:
    """Termination wants PW3; then SELECT warns with 6285 and only activation is answered."""
    contact = Contact()
    session = contact.session()
    assert contact.sw("00e60000") == SW.SECURITY_CONDITION_NOT_SATISFIED
    session.verify_admin(ADMIN_PIN)
    session.put_data(DO.URL, b"https://example.org/key")
    assert contact.sw("00e60000") == 0x9000
    contact.token.reset()
    assert contact.sw("00a4040006d27600012401") == SW.NO_INPUT_DATA
    assert contact.sw("00ca006e00") == SW.CONDITIONS_NOT_SATISFIED
    session = contact.session()  # the client activates
    assert session.get_data(DO.URL) == b""
    session.verify_admin(ADMIN_PIN)
    assert contact.sw("00440000") == 0x9000
    assert contact.sw("00da5f350131") == 0x9000, "activation of an active one changes nothing"


def test_security_status_ends() -> None:
    """A reset of the contact ends it; selecting the application again does not."""
    contact = Contact()
    contact.authenticated()
    assert contact.sw("00a4040006d27600012401") == 0x9000
    assert contact.sw("00da5f350131") == 0x9000
    contact.token.reset()
    contact.sw("00a4040006d27600012401")
    assert contact.sw("00da5f350131") == 0x6982


def test_state_lasts() -> None:
    """What is dumped and loaded into another token is all that lasts; nothing is saved late."""
    contact = Contact()
    session = contact.authenticated()
    public = session.generate_ec_key(KEY_REF.SIG, OID.BrainpoolP256R1)
    session.set_uif(KEY_REF.SIG, UIF.CACHED)
    session.sign(b"x", hashes.SHA256())
    session.attest_key(KEY_REF.SIG)
    session.change_pin(PIN, NEW_PIN)
    with pytest.raises(InvalidPinError):
        session.verify_pin(PIN)
    session.put_data(DO.LOGIN_DATA, b"jane")
    other = Contact()
    other.token.load(contact.saved[-1])
    session, before = other.session(), session
    assert session.get_public_key(KEY_REF.SIG) == public
    assert session.get_application_related_data() == before.get_application_related_data()
    assert session.get_signature_counter() == 1
    assert session.get_certificate(KEY_REF.SIG) == before.get_certificate(KEY_REF.SIG)
    assert session.get_data(DO.LOGIN_DATA) == b"jane"
    assert attempts(session) == (2, 0, 3)
    session.verify_pin(NEW_PIN)


def test_complexity() -> None:
    """With PIN complexity common values and one repeated character are 6985."""
    session = Contact("yubikey-5.7.4-fips").authenticated()
    for weak in ("11111111", "password", "12345678"):
        assert refused(lambda new=weak: session.change_pin(PIN, new)) == 0x6985
        assert refused(lambda new=weak: session.set_reset_code(new)) == 0x6985
    session.change_pin(PIN, "75318642")


def test_nothing_secret_is_shown() -> None:
    """No password shows in the representation of the state or of its parts."""
    passwords = Passwords(complexity=False)
    passwords.reset.set(b"a resetting code")
    shown = repr((passwords, passwords.user, passwords.admin, passwords.reset))
    assert "1234" not in shown
    assert "resetting" not in shown
