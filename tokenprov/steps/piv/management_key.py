"""The PIV management key: drawn, sealed for token administration, and if asked kept on the token.

A PIN-protected management key is kept as the maker's programs find it (ykman's "pivman" data): the
key itself in the printed information's object, which wants the PIN, and a flag in 5FFF00. The
order of writes is such that no cut loses it:

- it is sealed before anything is written;
- its copy is written and read back, then the flag, and only then the key is changed; so a token
  that takes the key and not the copy keeps the factory's key;
- where the copy cannot be read back yet (a FIPS token shows that object in approved mode only, and
  changing the key is what brings it there), it is written again after the change.

A card of another maker has no command to change it: it keeps the one that it came with, which its
maker published or told the station, and the entry says which of the two.

A key derived from the PIN, which the maker's programs once made, is never made.
"""

from __future__ import annotations

from collections.abc import Callable

from yubikit.core import Tlv
from yubikit.piv import MANAGEMENT_KEY_TYPE, OBJECT_ID

from tokenprov.errors import NotSupported, NotVerified, TokenRefused, TokenReset
from tokenprov.model import Json, SecretKind
from tokenprov.secret import RandomBytes, Secret, draw_bytes
from tokenprov.step import Drawn, DrawnSecret, Finding, Intent, State, conflict
from tokenprov.steps.piv.access import (
    authenticate,
    factory_management_key,
    not_touched,
    opens,
    read_object,
    verify_pin,
)
from tokenprov.token import Token

ADMIN_DATA = 0x5FFF00  # the maker's object for what its programs know of a token
TAG_ADMIN, TAG_FLAGS = 0x80, 0x81
FLAG_PROTECTED = 0x02  # the management key is in the printed information
TAG_PROTECTED, TAG_KEY = 0x88, 0x89

_KIND = SecretKind.PIV_MANAGEMENT_KEY
MARK = bytes(Tlv(TAG_ADMIN, Tlv(TAG_FLAGS, bytes([FLAG_PROTECTED]))))


class ManagementKeyStep:
    """The PIV management key."""

    id = "piv/management-key"
    title = "PIV management key"
    kind = _KIND

    def __init__(
        self,
        *,
        algorithm: MANAGEMENT_KEY_TYPE | None,
        touch: bool = False,
        pin_protected: bool = False,
        given: Callable[[], Secret] | None = None,
    ) -> None:
        """`algorithm` None: AES-192 where the token has it (5.4), else 3DES; 24 bytes both.

        `given` tells the key that cards of this delivery came with, where it is not the published
        one.
        """
        self._algorithm, self._touch, self._protected = algorithm, touch, pin_protected
        self._given = given

    def draw(self, random: RandomBytes) -> Drawn:
        """A key of the algorithm's length."""
        value = draw_bytes((self._algorithm or MANAGEMENT_KEY_TYPE.AES192).key_len, random)
        return Drawn(secrets={self.id: DrawnSecret(kind=_KIND, value=value)})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """By metadata and by authenticating; no tries are counted on this key."""
        piv = token.piv()
        if not piv.has_extensions:
            return self._kept(token)
        is_default = piv.management_key_is_default()
        if is_default is True:
            return self._factory(token, intent)
        if intent is not None:
            if self._touch:
                token.keyring.by_touch.add(_KIND)
            if self._protected:
                verify_pin(token)  # first: where there is no metadata, the session starts anew
            if opens(token, intent.secret(self.id).reveal()):
                return self.ours(token, intent.secret(self.id))
        if is_default is None and opens(token, factory_management_key(token)):
            return self._factory(token, intent)
        if intent is not None and self._touch:
            raise not_touched(token)
        return conflict("its PIV management key is not the factory's")

    def apply(self, token: Token, intent: Intent) -> None:
        """The token keeps the old key until it has the new one."""
        key = intent.secret(self.id)
        if self._protected:
            verify_pin(token)
        authenticate(token)
        seen = not self._protected or self._keep(token, key)
        self.change(token, key)
        if not seen:
            token.piv().put_object(OBJECT_ID.PRINTED, protected_copy(key))

    def _kept(self, token: Token) -> Finding:
        """A card keeps the key that it came with: it is known, or nothing can be written."""
        algorithm = token.piv().management_key_type.name.lower()
        given = self._given() if self._given is not None else None
        if given is not None and opens(token, given.reveal()):
            token.keyring.put(_KIND, self.id, given)
        elif opens(token, factory_management_key(token)):
            given = None
        elif given is not None:
            return conflict("its PIV management key is not the one that the station was given")
        else:
            return conflict("its PIV management key is not the published one")
        return Finding(
            state=State.SKIPPED,
            reason="a PIV card keeps the management key that its maker set",
            facts={"algorithm": algorithm, "published": given is None},
        )

    def _factory(self, token: Token, intent: Intent | None) -> Finding:
        """The key is the factory's; before a promise, nothing may stand where its copy goes."""
        if intent is None and self._protected:
            if token.piv().object(ADMIN_DATA) is not None:
                return conflict("another program keeps its own data on the PIV application")
            try:
                there = read_object(token, OBJECT_ID.PRINTED)
            except TokenReset:  # a FIPS token in its factory state
                return Finding(state=State.ABSENT, unread=("printed information",))
            if there is not None:
                return conflict("it holds printed information")
        return Finding(state=State.ABSENT)

    def ours(self, token: Token, key: Secret) -> Finding:
        """The key is the sealed one: whether it is as it is wanted, with its copy beside it."""
        piv = token.piv()
        algorithm = piv.management_key_type
        if self._algorithm not in (None, algorithm):
            return conflict(f"its management key is {algorithm.name}")
        facts: dict[str, Json] = {"algorithm": algorithm.name.lower()}
        unread: tuple[str, ...] = ()
        if self._touch:
            waits = piv.management_key_touch()
            if waits is False:
                return conflict("its management key works without a touch")
            facts |= {"touch": True}
            unread = ("touch policy",) if waits is None else ()
        if self._protected:
            copy = read_object(token, OBJECT_ID.PRINTED)
            flag = piv.object(ADMIN_DATA)
            if copy is None or flag is None:
                return Finding(state=State.ABSENT, facts=facts)
            if copy != protected_copy(key) or flag != MARK:
                return conflict("the copy of its management key is not ours")
            facts |= {"pinProtected": True}
        return Finding(state=State.MATCH, facts=facts, unread=unread)

    def _keep(self, token: Token, key: Secret) -> bool:
        """Write the copy and its flag; whether the copy could be read back.

        Raises `NotVerified`, before the key is changed, where it reads back as anything else.
        """
        piv = token.piv()
        piv.put_object(OBJECT_ID.PRINTED, protected_copy(key))
        try:
            seen, visible = read_object(token, OBJECT_ID.PRINTED), True
        except TokenReset:
            seen, visible = None, False
        if visible and seen != protected_copy(key):
            raise NotVerified(
                f"token {token.id.label} did not keep the copy of its management key",
                remedy="The key was not changed. Run it again, or write pin-protected = false.",
            )
        piv.put_object(ADMIN_DATA, MARK)
        return visible

    def change(self, token: Token, secret: Secret) -> None:
        """Replace the key that is authenticated, in one command."""
        piv, key = token.piv(), secret.reveal()
        if self._algorithm is not None:
            piv.set_management_key(self._algorithm, key, touch=self._touch)
            return
        preferred = MANAGEMENT_KEY_TYPE.AES192
        if piv.version >= (5, 4, 0):
            try:
                return piv.set_management_key(preferred, key, touch=self._touch)
            except (NotSupported, TokenRefused):
                if piv.management_key_type is preferred:
                    raise
        piv.set_management_key(MANAGEMENT_KEY_TYPE.TDES, key, touch=self._touch)


def protected_copy(key: Secret) -> bytes:
    """The key as the maker's programs look for it in the printed information."""
    return bytes(Tlv(TAG_PROTECTED, Tlv(TAG_KEY, key.reveal())))
