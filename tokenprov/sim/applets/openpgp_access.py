"""The password commands of an OpenPGP card, and its end and new beginning.

VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER (OPGP 7.2.2 to 7.2.4), TERMINATE DF and ACTIVATE
FILE (7.2.16, 7.2.17), and the maker's SET PIN RETRIES. Where a YubiKey answers otherwise than the
specification, it is the YubiKey that is followed: VERIFY without data is 6A80 (OpenSC issue 2565),
and PW3 stays verified through termination and activation (read off a 5.4.3).
"""

from __future__ import annotations

from tokenprov.sim.apdu import SW, Command, Refusal
from tokenprov.sim.applets.openpgp_card import OpenPgpCard
from tokenprov.sim.applets.openpgp_passwords import Password
from tokenprov.sim.applets.openpgp_wire import Reference

FORGET = 0xFF  # P1 of VERIFY
WITH_RESETTING_CODE, BY_ADMIN = 0x00, 0x02  # P1 of RESET RETRY COUNTER


def verify(card: OpenPgpCard, command: Command) -> bytes:
    """VERIFY. P1 = FF forgets that a password was verified (from firmware 5.6)."""
    forget = command.p1 == FORGET and card.features.forgets_passwords
    if not (command.p1 == 0 or forget) or command.p2 not in list(Reference):
        raise Refusal(SW.WRONG_PARAMETERS)
    reference = Reference(command.p2)
    if forget:
        if command.data:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        card.verified.discard(reference)
        return b""
    password = _password(card, reference)
    password.check(command.data)
    card.verified.discard(reference)
    _attempt(card, password, command.data)
    card.verified.add(reference)
    return b""


def change_reference_data(card: OpenPgpCard, command: Command) -> bytes:
    """CHANGE REFERENCE DATA: the old password and the new one, without a mark between them."""
    if command.p1 != 0 or command.p2 not in (Reference.SIGN, Reference.ADMIN):
        raise Refusal(SW.WRONG_PARAMETERS)
    password = _password(card, Reference(command.p2))
    old, new = _split(command.data, password)
    _attempt(card, password, old)
    card.passwords.check_new(password, new)
    password.set(new)
    card.body.save()
    return b""


def reset_retry_counter(card: OpenPgpCard, command: Command) -> bytes:
    """RESET RETRY COUNTER: a new PW1, with the resetting code before it or with PW3 verified."""
    if command.p1 not in (WITH_RESETTING_CODE, BY_ADMIN) or command.p2 != Reference.SIGN:
        raise Refusal(SW.WRONG_PARAMETERS)
    new = command.data
    if command.p1 == BY_ADMIN:
        card.require(Reference.ADMIN)
    else:
        reset = card.passwords.reset
        if reset.blocked:
            raise reset.refusal()
        code, new = _split(command.data, reset)
        _attempt(card, reset, code)
    card.passwords.check_new(card.passwords.user, new)
    card.passwords.user.set(new)
    card.body.save()
    return b""


def set_pin_retries(card: OpenPgpCard, command: Command) -> bytes:
    """SET PIN RETRIES: tries of PW1, resetting code and PW3 in a row, 1 to 255 each."""
    if command.p1 or command.p2:
        raise Refusal(SW.WRONG_PARAMETERS)
    card.require(Reference.ADMIN)
    if len(command.data) != 3 or not all(command.data):
        raise Refusal(SW.INCORRECT_PARAMETERS)
    card.passwords.set_tries(*command.data)
    card.body.save()
    return b""


def terminate(card: OpenPgpCard, command: Command) -> bytes:
    """TERMINATE DF: with PW3 verified, or when it is blocked."""
    if command.p1 or command.p2:
        raise Refusal(SW.WRONG_PARAMETERS)
    if not card.passwords.admin.blocked:
        card.require(Reference.ADMIN)
    card.terminated = True
    card.body.save()
    return b""


def activate(card: OpenPgpCard, command: Command) -> bytes:
    """ACTIVATE FILE: a terminated application is as new; another one does not notice."""
    if command.p1 or command.p2:
        raise Refusal(SW.WRONG_PARAMETERS)
    if card.terminated:
        card.activate()
    return b""


def _password(card: OpenPgpCard, reference: Reference) -> Password:
    return card.passwords.admin if reference is Reference.ADMIN else card.passwords.user


def _split(data: bytes, password: Password) -> tuple[bytes, bytes]:
    """Cut after what the card knows to be the length of the old password."""
    return data[: len(password.value)], data[len(password.value) :]


def _attempt(card: OpenPgpCard, password: Password, value: bytes) -> None:
    """Try a value; what it cost is on file before anything is answered. Raises `Refusal`."""
    card.body.spend("pin")
    right = password.attempt(value)
    card.body.save()
    if not right:
        raise password.refusal()
