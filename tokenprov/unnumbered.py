"""Tokens without a serial on the line: one at a time, counted, and known again by a mark.

Rules:
- One at a time is worked on, until it is issued. Another one that is put in meanwhile is left
  alone.
- The operator says how many are to come. One that nobody announced is left alone, and one more than
  were announced stops the line: somebody counted wrong, or it is somebody else's. One that was
  emptied because it was named is not counted: it comes beside those, once.
- One that comes back is known by its mark (`directory.marks`), and goes on with its order. It does
  not count as another one.
- A mark is made on a token that holds nothing, with a touch, before an order is begun with it: so a
  token that was cut off anywhere after that is known, and before that nothing was promised to it.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from yubikit.piv import SLOT

from tokenprov.device.token import AnyToken
from tokenprov.directory.credential import CredentialRecord
from tokenprov.directory.marks import RP_ID, Marks, proved
from tokenprov.errors import EvidenceError, NotSupported, StationError, TokenConflict, WrongToken
from tokenprov.home import Home
from tokenprov.inventory import take_inventory
from tokenprov.model import TokenId, TokenKind
from tokenprov.naming import unnamed
from tokenprov.policy.proofs import key_on_record
from tokenprov.proof import is_certified
from tokenprov.run import refuse_used
from tokenprov.token import FidoApplet

CARD_CERTIFICATE = f"piv/{SLOT.CARD_AUTH:02x}/certificate"
LOOKED_FOR = 512  # marks that a token is asked for, the newest first


class Unnumbered:
    """The tokens without a serial of one run; safe for threads."""

    def __init__(self, home: Home, announced: int) -> None:
        """`announced`: how many that have no mark yet the operator will put in."""
        self._home, self._announced, self._left = home, announced, announced
        self._one: AnyToken | None = None  # that is worked on
        self._changing = threading.Lock()

    @contextmanager
    def named(
        self,
        token: AnyToken,
        welcome: Callable[[], None],
        emptied_by: Callable[[], str | None] = lambda: None,
    ) -> Iterator[None]:
        """The token by its serial, or alone and by its mark.

        A blank one without a mark gets one; `welcome` raises before that where nothing can be made
        of it, and `emptied_by` gives the wipe that left it so, where it was named for that. Raises
        `TokenConflict` for one that is not taken, `StationError` for one more than were announced.
        """
        if token.id.serial is not None:
            yield
            return
        self._take_up(token)
        try:
            _fido(token)
            recognise(self._home, token)
            if not token.id.mark:
                wipe = emptied_by()
                if wipe is None:
                    name = self._mark(token, welcome)
                else:
                    welcome()
                    noted = partial(self._home.ledger.wipes.mark, wipe)
                    name = mark(self._home, token, noted=noted)
                token.id = replace(token.id, mark=name)
            yield
        finally:
            self.done(token)

    def _take_up(self, token: AnyToken) -> None:
        with self._changing:
            if self._one is not None:
                raise TokenConflict(
                    "another token without a serial is being worked on",
                    remedy="One at a time: take it out, and put it in again when the other is"
                    " done.",
                )
            self._one = token

    def done(self, token: AnyToken) -> None:
        """The next one may come; nothing happens for one with a serial, or a second time."""
        with self._changing:
            if self._one is token:
                self._one = None

    def _mark(self, token: AnyToken, welcome: Callable[[], None]) -> str:
        """Give a blank token its mark, with a touch."""
        if not self._announced:
            raise TokenConflict(
                "a token without a serial, and none was announced",
                remedy="Say how many are to come: batch run … --without-serial N, or"
                " replace … --without-serial. Put them in one at a time.",
            )
        refuse_used(token, take_inventory(token).used)
        welcome()
        if not self._left:
            raise StationError(
                f"{self._announced} tokens without a serial were announced, and this is one more",
                remedy="Take them all out and count them; then run the same command with how many"
                " are left to be made.",
            )
        name = mark(self._home, token)
        self._left -= 1
        return name


def mark(
    home: Home, token: AnyToken, name: str = "", noted: Callable[[str], None] = lambda name: None
) -> str:
    """Give a blank token a mark, with a touch; gives its name, another one's or a new one.

    `noted` is told the name before the token is asked for it. The mark is on the disk when it
    returns. Raises `TokenConflict` for a token that keeps none.
    """
    fido, marks = _fido(token), home.marks()
    marking = marks.begin(str(fido.info.aaguid), name)
    noted(marking.name)
    made = fido.make_mark(
        marking.client_data.hash,
        marking.rp,
        marking.user,
        marking.parameters,
        "know it again: it has no serial",
    )
    marks.keep(marking, made, now=home.clock())
    return marking.name


def recognise(home: Home, token: AnyToken, name: str = "") -> None:
    """Name a token without a serial by the mark that it proves, if it has one of this station.

    With `name` it is asked for that mark alone, however many were made since. Raises
    `EvidenceError` for a proof that does not hold.
    """
    if token.id.serial is not None or token.id.mark:
        return
    try:
        fido = token.fido2()
    except NotSupported:  # nothing of it keeps a mark
        return
    marks = home.marks()
    among = [marks.find(name)] if name else marks.newest(LOOKED_FOR)
    mark = _known(marks, fido, [one for one in among if one is not None])
    token.id = replace(token.id, mark=mark or "")


def only(home: Home, wanted: TokenId) -> Callable[[AnyToken], None]:
    """Refuses every other token, before anything is sent to it but the question which it is.

    A card of any maker says its GUID, which anybody may write to another one: where the record has
    a certificate in 9e, whose key signs without a PIN (SP 800-73-4 part 1, 3.1.3), it proves that.
    """

    def expect(there: AnyToken) -> None:
        if wanted.serial is None:
            try:
                recognise(home, there, wanted.mark)
            except EvidenceError as error:
                raise _another(there.id, wanted) from error
        if (there.id.maker, there.id.named or None) != (wanted.maker, wanted.named):
            raise _another(there.id, wanted)
        if there.kind is TokenKind.PIV_CARD and not _is_the_card(home, there):
            raise WrongToken(
                f"the card says that it is {there.id.label}, and signs with another key in 9e",
                remedy="Nothing was written to it. Set it aside, and replace the token:"
                f" tokenprov replace {there.id.label}",
            )

    return expect


def _is_the_card(home: Home, there: AnyToken) -> bool:
    """By its signature, where there is a key to prove it by."""
    kept = key_on_record(home, there.id.named, CARD_CERTIFICATE)
    certificate = home.manifest.blob(kept) if kept is not None else None
    if certificate is None:
        return True
    return is_certified(there, SLOT.CARD_AUTH, certificate, secrets.token_bytes)


def _another(there: TokenId, wanted: TokenId) -> WrongToken:
    return WrongToken(
        f"token {there.label} is in the reader, not {wanted.label}",
        remedy=f"Nothing was written to {there.label}. Put {wanted.label} in, and run it again.",
    )


def _fido(token: AnyToken) -> FidoApplet:
    """What can keep a mark. Raises `TokenConflict` for a token that has nothing of the kind."""
    try:
        return token.fido2()
    except NotSupported as error:
        raise unnamed(token) from error


def _known(marks: Marks, fido: FidoApplet, known: Sequence[CredentialRecord]) -> str | None:
    """The name of the mark that a token proves; None where it has none of these."""
    page = fido.info.max_creds_in_list or 1
    for start in range(0, len(known), page):
        asked, challenge = known[start : start + page], marks.challenge()
        answer = fido.proof_of_mark(RP_ID, challenge.hash, [one.credential_id for one in asked])
        if answer is not None:
            named = answer.credential["id"] if answer.credential else None
            return proved(asked, challenge, named, answer.auth_data, answer.signature).order_id
    return None
