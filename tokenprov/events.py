"""What happens on the production line, as values: the one thing that screens draw from.

An event names the reader it happened in. It holds no secret.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStarted:
    """The batch and how many of its orders are open, of how many."""

    batch: str
    profile: str
    open: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderSeen:
    """A reader is there, empty or not."""

    reader: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderGone:
    """A reader vanished, as a YubiKey's does when it is unplugged."""

    reader: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSeen:
    """A token says who it is."""

    reader: str
    label: str
    model: str
    firmware: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStarted:
    """Work on an order began, or goes on where it was cut off."""

    reader: str
    label: str
    order: str
    holder: str
    position: int
    resumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """`number` of `total` steps is being looked at, written and read back."""

    reader: str
    step: str
    title: str
    number: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TouchWanted:
    """The token waits to be touched; `holder` is "" where it is nobody's yet."""

    reader: str
    label: str
    holder: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TouchDone:
    """It no longer waits."""

    reader: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReinsertWanted:
    """That token, and no other, is to be taken out and put in again, within so many seconds."""

    reader: str
    label: str
    holder: str
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReinsertDone:
    """It is in again, perhaps in another reader, or is no longer waited for."""

    reader: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WipeStarted:
    """A used token whose serial was named is being emptied; `used` says what is on it."""

    reader: str
    label: str
    used: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenWiped:
    """It is empty, the entry is durable, and it is taken for an order now."""

    reader: str
    label: str
    entry: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenIssued:
    """The entry is durable; the token can be taken out."""

    reader: str
    label: str
    order: str
    holder: str
    position: int
    entry: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderHeld:
    """Another program holds the reader; it is waited for. `holders` are those that can be seen."""

    reader: str
    holders: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenReady:
    """The token was issued before: it can be taken out."""

    reader: str
    label: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPassedOver:
    """Nothing was written to this token, and why."""

    reader: str
    label: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFailed:
    """Work on an order stopped; the same token goes on with it next time."""

    reader: str
    label: str
    order: str
    holder: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderWaits:
    """The token is done up to a certificate that its authority has not decided on."""

    reader: str
    label: str
    order: str
    holder: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenGivenUp:
    """The token took too long; its reader takes the next one."""

    reader: str
    label: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderNamed:
    """The next new tokens are for this holder, so many of them."""

    holder: str
    orders: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanIgnored:
    """A line on standard input was not taken for a badge; what it was is not told."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyboardFree:
    """What a touched key types there goes to whoever listens: its keyboard could not be taken."""

    keyboard: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLost:
    """pcscd stopped; a new context is tried."""

    reason: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """The operator ends the line: the tokens in hand are finished, and no other one is taken."""

    in_hand: int
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPaused:
    """No token in any reader is left to work on, and that many orders are not issued."""

    left: int


Event = (
    BatchStarted
    | ReaderSeen
    | ReaderGone
    | TokenSeen
    | OrderStarted
    | StepStarted
    | TouchWanted
    | TouchDone
    | ReinsertWanted
    | ReinsertDone
    | WipeStarted
    | TokenWiped
    | TokenIssued
    | ReaderHeld
    | TokenReady
    | TokenPassedOver
    | OrderFailed
    | OrderWaits
    | TokenGivenUp
    | HolderNamed
    | ScanIgnored
    | KeyboardFree
    | ServiceLost
    | Interrupted
    | BatchPaused
)
Listener = Callable[[Event], None]
