"""A used token emptied, because a named operator said so for that serial: promised, done, recorded.

Rules:
- Only the token that was named, by the serial that it says or the mark that it proves on each
  connection that writes. One that is never to be touched is not, whoever names it.
- A token that the manifest has as a holder's is not wiped, whoever names it: what ends a binding
  comes first. Nor is one that an order was begun with: that order is finished with it.
- The promise, with what was on the token, is durable before the first write; every application
  that the token has is put back to the factory's, whatever the profile sets: somebody's FIDO2
  credentials would go on working otherwise.
- It is over when the token reads back as nobody's and the entry is durable. Cut off anywhere, the
  same command does it again from the beginning; no order is begun with the token before.
- A mark goes with the reset of FIDO2. So that it is about to be sent is durable before, and what is
  left is read on the connection of the reset; where that was cut off, see `unseen`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from yubikit.piv import SLOT

from tokenprov.attestation import is_virtual_token
from tokenprov.device.reinsertion import fido2_reset
from tokenprov.device.sources import SMART_CARDS, Source
from tokenprov.device.token import AnyToken
from tokenprov.device.watch import Watch
from tokenprov.errors import NotSupported, NotVerified, TokenConflict
from tokenprov.home import Home
from tokenprov.inventory import take_inventory
from tokenprov.issuance import settle
from tokenprov.model import Json, OrderState, TokenId
from tokenprov.policy import NOBODY, Act, Action, Agreement, Clearance, enforce
from tokenprov.profile import Profile
from tokenprov.record.canonical import timestamp
from tokenprov.record.entry import Entry, Kind, entry_head
from tokenprov.record.history import HELD
from tokenprov.record.lives import entries_of
from tokenprov.record.manifest import Addition
from tokenprov.record.wipes import WipeRecord
from tokenprov.secret import Secret
from tokenprov.step import Operator
from tokenprov.steps.pkcs11.erased import erase
from tokenprov.steps.pkcs11.token import TokenStep
from tokenprov.token import Token
from tokenprov.unnumbered import only

NOTHING: Mapping[str, Secret] = MappingProxyType({})
FIDO2 = "fido2"  # the application that is reset on a connection of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """Whose word it is that these tokens may be wiped, why, and who agreed to it."""

    serials: frozenset[str] = frozenset()  # or marks
    reason: str = ""
    operator: str = ""
    agreement: Agreement = NOBODY

    def covers(self, token: TokenId) -> bool:
        """Whether that token was named, by its serial or by the mark that it proved."""
        return bool(token.named) and token.named in self.serials


class WipeFirst(TokenConflict):
    """The token is in use, and may be wiped: `reasons` say what is on it."""

    def __init__(self, token: TokenId, reasons: Sequence[str]) -> None:
        super().__init__(
            f"token {token.label} is to be wiped first",
            remedy="Keep it in its reader until it is asked for.",
        )
        self.token, self.reasons = token, tuple(reasons)


def refuse_forbidden(home: Home, token: TokenId) -> None:
    """Raises `TokenConflict` for a token that is never to be touched."""
    found = home.ledger.stock.prohibition(token.label)
    if found is not None:
        raise TokenConflict(
            f"token {token.label} is never to be touched: {found.note}"
            f" ({found.operator}, {found.at:%Y-%m-%d})",
            remedy="Take it out and give it back to whoever owns it.",
        )


def refuse_bound(home: Home, token: TokenId) -> None:
    """Raises `TokenConflict` for a token that the manifest has as a holder's."""
    index = _in_force(home, token)
    if index is None:
        return
    found = home.ledger.order_of_token(None, token.label)
    whose = ""
    if found is not None and found.state is OrderState.ISSUED:
        whose = f" to {found.order.holder.name} (order {found.id})"
    raise TokenConflict(
        f"token {token.label} was issued{whose} by entry {index} and is not wiped",
        remedy="End the binding first: a token that is somebody's is taken back, not overwritten.",
    )


def _in_force(home: Home, token: TokenId) -> int | None:
    """The entry that made the token a holder's, and that none ended."""
    for index, entry in entries_of(home.manifest, token.named, token.maker):
        if entry["kind"] == Kind.ISSUED:
            life = home.manifest.life(entry["token"])
            return index if life is not None and life.state in HELD else None
    return None


def wipe(
    home: Home,
    wanted: WipeFirst,
    reader: str,
    operator: Operator,
    permission: Permission,
    *,
    recording: AbstractContextManager[object],
    source: Source = SMART_CARDS,
    unlock: Callable[[Token], None] = lambda token: None,
    erase: Callable[[Token], None] | None = None,
    cleared: Clearance | None = None,
    watch: Watch | None = None,
) -> tuple[int, str]:
    """Empty the token that is in that reader and on no connection now.

    `unlock` takes off what keeps its owner's settings from being reset, once that is promised;
    `erase` is how one is emptied that no command resets; `cleared` is that of the act that it is
    part of.

    Gives the index of its entry and the reader that it is in afterwards. `recording` is held while
    the entry is written, `watch` hears of each command. Raises `PolicyError`, `ApprovalError` where
    it may not be done, `TokenConflict` for a token that may not be wiped, `WrongToken` for another
    one in its place, and every `TokenError` that it meets on the way.
    """
    expect = only(home, wanted.token)
    clearance = cleared or clear(home, wanted.token, permission)
    with source.opened(reader, operator, expect, watch) as token:
        if not token.applications and erase is None:
            raise NotSupported(
                f"token {wanted.token.label} cannot be emptied: {'; '.join(wanted.reasons)}",
                remedy="No standard has a command for it on such a token: use its maker's program,"
                " or another card.",
            )
        record = begin(home, token, wanted.reasons, permission)
        unlock(token)
        done = empty(token, erase)
    if FIDO2 not in token.applications:
        with source.opened(reader, operator, expect, watch) as token:
            return finish(home, emptied(home, token, record, done), clearance, recording), reader

    def sent(maybe: bool) -> None:
        if record.token.serial is None:
            home.ledger.wipes.send(record.id, home.clock() if maybe else None)

    with fido2_reset(
        wanted.token, reader, operator, expect=expect, sent=sent, watch=watch
    ) as token:
        entry = emptied(home, token, record, (*done, FIDO2))
        return finish(home, entry, clearance, recording), token.reader


def finish(
    home: Home, entry: Entry, clearance: Clearance, recording: AbstractContextManager[object]
) -> int:
    """Record it, and what follows; gives the entry's index."""
    with recording:
        index = home.manifest.append_many([clearance.cover(Addition(entry=entry))])
        settle(home, entry, index)
    return index


def clear(home: Home, token: TokenId, permission: Permission) -> Clearance:
    """Ask the policy. Raises `PolicyError`, `ApprovalError` where it may not be done."""
    about = {"token": token.label}
    act = Act(action=Action.WIPE, operator=permission.operator, about=about)
    return enforce(home, act, permission.agreement.meant_for(act.action, about))


def erasing(
    profile: Profile, held: Mapping[str, Secret] = NOTHING
) -> Callable[[Token], None] | None:
    """How a token of that profile is emptied, `held` being what escrow has of it; None for a reset.

    Behind a PKCS#11 module it is erased by its SO PIN.
    """
    module = profile.pkcs11
    if module is None:
        return None
    ours = [value for name, value in held.items() if name == TokenStep.id]
    return partial(erase, in_force=ours, published=module.so_pin.published)


def begin(home: Home, token: Token, reasons: Sequence[str], permission: Permission) -> WipeRecord:
    """Promise it, or find the promise that was not finished; durable when it returns."""
    refuse_forbidden(home, token.id)
    refuse_bound(home, token.id)
    now = home.clock()
    found = {"used": list(reasons), "inventory": take_inventory(token).facts}
    return home.ledger.wipes.begin(
        WipeRecord(
            id=f"{now:%Y%m%d}-{secrets.token_hex(3)}",
            token=token.id,
            reason=permission.reason,
            operator=permission.operator,
            found=found,
            began=now,
        )
    )


def empty(token: AnyToken, erase: Callable[[Token], None] | None) -> tuple[str, ...]:
    """Reset what can be reset on this connection; gives the names of the applications."""
    if erase is not None:
        erase(token)
        return (str(token.kind),)
    done = tuple(name for name in token.applications if name != FIDO2)
    for name in done:
        token.reset(name)
    return done


def emptied(
    home: Home,
    token: Token,
    record: WipeRecord,
    done: Sequence[str],
    unseen: Sequence[str] = (),
) -> Entry:
    """The entry, of a token that reads back as nobody's. Raises `NotVerified` for another.

    `unseen` are the applications whose reset was sent, and not seen to its end.
    """
    left = take_inventory(token)
    if left.used:
        raise NotVerified(
            f"token {token.id.label} was reset and is still in use: {'; '.join(left.used)}",
            remedy="What is left cannot be wiped here: remove it with the tool that set it, and"
            " run it again, or set the token aside.",
        )
    return {
        **entry_head(Kind.WIPED, time=home.clock(), station=home.name, operator=record.operator),
        "wipe": record.id,
        "began": timestamp(record.began),
        "token": _token(home, token),
        "reason": record.reason,
        "found": record.found,
        "reset": list(done),
        "left": left.facts,
        **({"unseen": list(unseen)} if unseen else {}),
    }


def seen_virtual(home: Home, token: Token) -> bool:
    """Whether the token's own certificate, or its mark, says that it is a virtual one."""
    mark = home.marks().find(token.id.mark) if token.id.mark else None
    if mark is not None:
        return mark.attestation.virtual
    try:
        certificate = token.piv().certificate(SLOT.ATTESTATION)
    except NotSupported:
        return False
    return certificate is not None and is_virtual_token(certificate, home.anchors, now=home.clock())


def _token(home: Home, token: Token) -> dict[str, Json]:
    return {**token.id.to_json(), "virtual": seen_virtual(home, token)}
