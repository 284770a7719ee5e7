"""A holder known by another token of theirs, which signs for one act about one of their tokens.

Rules (SP 800-63B 4.1.2.1):
- The token that signs is in force and of the same holder, and not the one that the act is about.
- Its holder types the PIN of it: a PIV key signs in 9a, or a passkey asserts, with verification.
- What is signed names act, token and station, has a last moment and a nonce; the key is the one by
  the certificate or registration that the manifest has.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta

from yubikit.piv import SLOT

from tokenprov.attestation.signature import SignedAssertion
from tokenprov.errors import InputError, NotVerified
from tokenprov.home import Home
from tokenprov.lifecycle.subject import Issued, require
from tokenprov.lifecycle.telling import Bench
from tokenprov.policy import Action
from tokenprov.policy.proofs import key_on_record
from tokenprov.proof import sign_as_holder
from tokenprov.record.history import State
from tokenprov.record.holder_proof import HOLDER_PROOF, PASSKEY, HolderProof, with_signature
from tokenprov.record.request import Request
from tokenprov.secret import Secret
from tokenprov.token import Token
from tokenprov.unnumbered import only

_CERTIFICATE = f"piv/{SLOT.AUTHENTICATION:02x}/certificate"  # SP 800-73-4 part 1, 3.2.1

AskPin = Callable[[str], Secret]


def known_by_token(
    home: Home,
    token: Issued,
    action: Action,
    by: Issued,
    at: Callable[[], AbstractContextManager[Bench]],
    ask_pin: AskPin,
    *,
    lasts: timedelta,
    passkey: bool = False,
) -> HolderProof:
    """Have `by` sign that its holder is there, for an act about `token`; `at` finds its reader.

    `passkey`: by its passkey, though it has a PIV key. `ask_pin` is called with what is asked for.
    Raises `InputError` for another holder's or the same token, `TokenConflict` for one that is not
    in force, and what the token does.
    """
    if by.label == token.label:
        raise InputError(
            f"token {by.label} cannot prove whose it is itself",
            remedy="Use another token of the same holder, or a recovery code.",
        )
    if by.holder.id != token.holder.id:
        raise InputError(
            f"token {by.label} is {by.holder.name}'s, and not {token.holder.name}'s",
            remedy="Use another token of the same holder, or a recovery code.",
        )
    require(by, State.HELD)
    key = _key_of(by, passkey)
    evidence = key_on_record(home, by.label, key)
    if evidence is None:
        raise _without_key(by)
    request = Request.new(
        action,
        {"token": token.label, "by": by.label, "key": key, "evidence": evidence},
        reason=f"the holder used token {by.label}",
        requester=token.commitment,
        station=home.name,
        made=home.clock(),
        lasts=lasts,
        domain=HOLDER_PROOF,
    )
    with at() as bench, bench.opened(only(home, by.token)) as there:
        if key.startswith(PASSKEY):
            proof = _by_passkey(home, by, there, request, ask_pin)
        else:
            certificate = home.manifest.blob(evidence)
            signature = sign_as_holder(
                there,
                SLOT.AUTHENTICATION,
                certificate,
                request.text().encode(),
                lambda: ask_pin(f"PIV PIN of token {by.label}: "),
            )
            proof = with_signature(request, signature)
    proof.require_signed(home.manifest.blob)
    return proof


def _key_of(by: Issued, passkey: bool) -> str:
    made = [id for id, step in by.steps.items() if step["state"] == "match"]
    passkeys = [id for id in made if id.startswith(PASSKEY)]
    certified = [_CERTIFICATE] if _CERTIFICATE in made and not passkey else []
    for key in (*certified, *passkeys):
        return key
    raise _without_key(by)


def _by_passkey(
    home: Home, by: Issued, there: Token, request: Request, ask_pin: AskPin
) -> HolderProof:
    rp_id = request.about["key"].removeprefix(PASSKEY)
    party = home.relying_party(rp_id, rp_id)
    record = party.find(by.order.id)
    pin = ask_pin(f"FIDO2 PIN of token {by.label}: ").reveal_text()
    answer = None
    if record is not None:
        challenge = HolderProof(request=request).challenge
        assertion = party.assertion(record, presence=False, challenge=challenge)
        answer = there.fido2().get_assertion(
            rp_id, assertion.client_data_hash, record.credential_id, pin
        )
    if record is None or answer is None:
        raise NotVerified(
            f"token {by.label} has no passkey for {rp_id} that is registered",
            remedy="Use another token of the holder, or a recovery code.",
        )
    party.complete_assertion(assertion, answer.auth_data, answer.signature, now=home.clock())
    signed = SignedAssertion(
        client_data=bytes(assertion.client_data),
        auth_data=bytes(answer.auth_data),
        signature=answer.signature,
    )
    return with_signature(request, answer.signature, signed)


def _without_key(by: Issued) -> InputError:
    return InputError(
        f"token {by.label} has neither a certificate in 9a nor a passkey on the record",
        remedy="Use another token of the holder, or a recovery code.",
    )
