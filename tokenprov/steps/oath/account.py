"""An OATH account: a seed that never comes out, proved by what the token makes of it.

Rules:
- A TOTP account is proved by its response to a fixed challenge, whole: that proves seed and
  algorithm; with it comes the number of digits. One that waits for a touch is prompted for.
- A HOTP account counts at each response, so it is proved once, while it is written, and then
  written again with the counter that the server has. What it holds is not asked for later.
- An account of that name that nobody was promised is somebody's: a put would overwrite it.
"""

from __future__ import annotations

import hmac
from contextlib import nullcontext
from dataclasses import dataclass

from yubikit.oath import HASH_ALGORITHM, OATH_TYPE, CredentialData

from tokenprov.errors import NotVerified, TokenReset, TouchTimeout
from tokenprov.model import Json, SecretKind
from tokenprov.profile.oath_limits import room_for_accounts
from tokenprov.secret import RandomBytes, draw_bytes
from tokenprov.step import Drawn, DrawnSecret, Finding, Intent, State, conflict
from tokenprov.steps.oath.access import unlocked
from tokenprov.token import OathApplet, Token

SEED_SIZES = {  # bytes; RFC 6238, 5.1: as long as the hash
    HASH_ALGORITHM.SHA1: 20,
    HASH_ALGORITHM.SHA256: 32,
    HASH_ALGORITHM.SHA512: 64,
}
CHALLENGE = (1).to_bytes(8)  # the second period of all time (RFC 6238, 4.2: eight bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an account is to be; `public` are the facts that name nobody."""

    kind: OATH_TYPE
    algorithm: HASH_ALGORITHM
    issuer: str
    name: str
    digits: int
    period: int  # seconds
    counter: int
    touch: bool
    public: dict[str, Json]

    def credential(self, seed: bytes) -> CredentialData:
        """As the maker's library writes it."""
        return CredentialData(
            name=self.name,
            oath_type=self.kind,
            hash_algorithm=self.algorithm,
            secret=seed,
            digits=self.digits,
            period=self.period,
            counter=self.counter,
            issuer=self.issuer,
        )


class AccountStep:
    """One account; `number` counts them in the profile, from 1, and `still` those to come."""

    def __init__(self, *, number: int, still: int, wanted: Wanted) -> None:
        self._wanted, self._still = wanted, still
        self.id = f"oath/account/{number}"
        self.title = f"OATH account {number}"
        self.seed_name = f"{self.id}/seed"
        self._account = wanted.credential(b"").get_id()

    def draw(self, random: RandomBytes) -> Drawn:
        """A seed as long as the hash."""
        seed = draw_bytes(SEED_SIZES[self._wanted.algorithm], random)
        return Drawn(secrets={self.seed_name: DrawnSecret(kind=SecretKind.OATH_SEED, value=seed)})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Listed as it is wanted, and making of our seed what we make of it."""
        oath, wanted = unlocked(token) if intent is not None else token.oath(), self._wanted
        if oath.locked:
            return conflict("its OATH application has a password")
        accounts = oath.accounts()
        found = next((one for one in accounts if one.id == self._account), None)
        if found is None:
            room = room_for_accounts(oath.version) - len(accounts)
            if room < self._still:
                return conflict(f"there is room for {room} OATH accounts, not for {self._still}")
            return Finding(state=State.ABSENT, blind=wanted.kind is OATH_TYPE.HOTP)
        if intent is None:
            return conflict(f"{self.title} is there already: it is somebody's")
        touch = found.touch if found.touch is not None else wanted.touch
        if (found.kind, found.algorithm, touch) != (wanted.kind, wanted.algorithm, wanted.touch):
            return conflict(f"{self.title} is not what was written")
        facts: dict[str, Json] = {**wanted.public, "proved": True}
        if wanted.kind is OATH_TYPE.HOTP:
            if not intent.applied:
                return Finding(state=State.UNKNOWN, reason="whether its seed is ours")
            return Finding(
                state=State.MATCH, facts=facts, unread=("seed", "digits", "counter", "touch")
            )
        if not self._proves(token, oath, intent, CHALLENGE):
            return conflict(f"{self.title} does not hold our seed")
        return Finding(state=State.MATCH, facts=facts)

    def apply(self, token: Token, intent: Intent) -> None:
        """One write; a HOTP account is proved, deleted and written again."""
        oath, wanted = unlocked(token), self._wanted
        credential = wanted.credential(intent.secret(self.seed_name).reveal())
        oath.put(credential, touch=wanted.touch)
        if wanted.kind is OATH_TYPE.TOTP:
            return
        if not self._proves(token, oath, intent, wanted.counter.to_bytes(8)):
            raise NotVerified(
                f"token {token.id.label}: {self.title} does not hold the seed that was written",
                remedy="Run it again; if it stays so, set the token aside.",
            )
        oath.delete(self._account)
        oath.put(credential, touch=wanted.touch)

    def _proves(self, token: Token, oath: OathApplet, intent: Intent, challenge: bytes) -> bool:
        """Whether the token's response is that of our seed, with the digits that are wanted."""
        seed = intent.secret(self.seed_name).reveal()
        counts = self._wanted.kind is OATH_TYPE.HOTP
        prompt = token.touch(f"prove {self.title}") if self._wanted.touch else nullcontext()
        with prompt:
            try:
                response = oath.calculate(self._account, b"" if counts else challenge)
            except TokenReset as error:
                if not self._wanted.touch:
                    raise
                raise TouchTimeout(
                    f"token {token.id.label}: nobody touched it to prove {self.title}",
                    remedy="Run it again and touch the token when it blinks.",
                ) from error
        expected = hmac.digest(seed, challenge, self._wanted.algorithm.name.lower())
        same = hmac.compare_digest(response.hmac, expected)
        return same and response.digits == self._wanted.digits
