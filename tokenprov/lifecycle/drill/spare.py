"""The spare of a holder, used: it answers at the relying party, and its keys sign."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from tokenprov.errors import NotVerified
from tokenprov.home import Home
from tokenprov.lifecycle.subject import Issued
from tokenprov.lifecycle.telling import Bench
from tokenprov.model import Json
from tokenprov.proof import prove
from tokenprov.secret import Secret
from tokenprov.token import Token
from tokenprov.unnumbered import only


def use_spare(
    home: Home, token: Issued, bench: Bench, ask_pin: Callable[[], Secret]
) -> dict[str, Json]:
    """The token in the reader answers at the relying party, and each of its keys signs."""
    answered: list[str] = []
    with bench.opened(only(home, token.token)) as there:
        for step in token.steps.values():
            if step["id"].startswith("fido2/credential/"):
                _answer(home, token, there, step["facts"]["rpId"])
                answered.append(step["facts"]["rpId"])
        proofs = []
        if any(step.startswith("piv/") for step in token.steps):
            proofs = prove(there, ask_pin, now=home.clock(), random=secrets.token_bytes)
    wrong = [f"{one.slot}: {one.reason}" for one in proofs if not one.proved]
    if wrong or not (answered or proofs):
        raise NotVerified(
            f"the spare {token.label} does not sign: {'; '.join(wrong) or 'it holds no key'}",
            remedy="Replace it: it would not help on the day that it is needed.",
        )
    return {"asserted": answered, "signed": [one.slot for one in proofs]}


def _answer(home: Home, token: Issued, there: Token, rp_id: str) -> None:
    """Without a touch: possession of the key, which is what a spare must have."""
    party = home.relying_party(rp_id, rp_id)
    record = party.find(token.order.id)
    answer = None
    if record is not None:
        assertion = party.assertion(record, presence=False, verification=False)
        answer = there.fido2().get_assertion(
            rp_id, assertion.client_data_hash, record.credential_id, None
        )
    if record is None or answer is None:
        raise NotVerified(
            f"the spare {token.label} has no passkey for {rp_id}", remedy="Replace it."
        )
    party.complete_assertion(assertion, answer.auth_data, answer.signature, now=home.clock())
