"""`tokenprov drill`: recovery is rehearsed on holders that a seed picks, and recorded."""

from __future__ import annotations

import getpass
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click

from tokenprov.cli.custodians import custodian_key
from tokenprov.cli.lifecycle import bench_at, optional_opening, place_of
from tokenprov.cli.output import as_json, facts_line, print_json
from tokenprov.cli.signing import agreed
from tokenprov.cli.twin import twin, twin_roots
from tokenprov.custody import AnyKey
from tokenprov.errors import InputError
from tokenprov.home import Home
from tokenprov.issuance import catch_up
from tokenprov.lifecycle import drill as drills
from tokenprov.lifecycle import unblocking
from tokenprov.lifecycle.drill import DrillKind
from tokenprov.lifecycle.subject import Issued
from tokenprov.lifecycle.work import Order
from tokenprov.model import Json, SecretKind
from tokenprov.policy import Agreement, Clearance
from tokenprov.record.escrow import PrivateKey
from tokenprov.signing import ask_unseen

_STEPS = {DrillKind.PUK: unblocking.PUK, DrillKind.SO_PIN: unblocking.SO_PIN}
_CUSTODIANS = {  # whose key is tried
    DrillKind.PUK: "the help desk",
    DrillKind.SO_PIN: "token administration",
    DrillKind.BREAK_GLASS: "break-glass",
    DrillKind.BACKUP: "break-glass",
}


@click.command()
@click.argument("what", type=click.Choice([str(kind) for kind in DrillKind]))
@click.option("--seed", help="Picks the holders.  [default: drawn, and told]")
@click.option("--holders", type=click.IntRange(1), default=1, show_default=True, help="How many.")
@click.option("--real", is_flag=True, help="puk: try it on the real tokens, in their readers.")
@optional_opening
@agreed
@click.option("--operator", default=getpass.getuser, help="Who you are.  [default: your login]")
@as_json
@click.pass_obj
def drill(
    home_path: Path,
    what: str,
    seed: str | None,
    holders: int,
    real: bool,
    key_given: str | None,
    passphrase: bool,
    agreement: Agreement,
    operator: str,
    as_json: bool,
) -> None:
    """Prove that recovery works, on holders that a seed picks; what came of it is recorded.

    puk: the help desk's key opens the PUK, which unblocks a virtual twin, or is the real token's.
    so-pin: token administration's opens the SO PIN, which the real token behind its module takes.
    break-glass: its key, or its shares (--key words:), open all that is sealed to it. spare: the
    spare in the reader asserts and signs. replacement and backup: in a copy of the home, which is
    thrown away, on a virtual token.
    """
    kind = DrillKind(what)
    home = Home.open(home_path)
    seed = seed or secrets.token_hex(8)
    if kind in _CUSTODIANS and key_given is None:
        raise InputError(
            f"the key of {_CUSTODIANS[kind]} is tried", remedy="Give it: --key KEY, or words:."
        )
    with ExitStack() as opened:
        opened.enter_context(home.recording())
        with home.working():
            catch_up(home)
        picked = drills.pick(home, seed, holders, _STEPS.get(kind))
        tokens = [one for kit in picked for one in _meant(kind, kit)]
        key = opened.enter_context(custodian_key(key_given, passphrase)) if key_given else None
        order = Order(operator=operator, reason="a drill", agreement=agreement)
        act = _act(home, kind, tokens, key, order, real)
        result = drills.rehearse(
            home, kind, seed, tokens, act, operator=operator, agreement=_for_drill(kind, agreement)
        )
    if as_json:
        print_json(
            {
                "drill": what,
                "passed": result.passed,
                "entry": result.index,
                "facts": dict(result.facts),
            }
        )
    else:
        click.echo(
            f"{what}: {'passed' if result.passed else 'FAILED'}, entry {result.index}"
            f" ({facts_line(dict(result.facts))})"
        )
    if result.error is not None:
        raise result.error


def _meant(kind: DrillKind, kit: list[Issued]) -> list[Issued]:
    """Of a holder's tokens: the spare, or the primary. Raises `InputError` where there is none."""
    if kind is not DrillKind.SPARE:
        return kit[:1]
    spares = [one for one in kit if one.order.order.position > 0]
    if not spares:
        raise InputError(
            f"{kit[0].holder.name} has no spare", remedy="Issue kits of two: batch run --kit 2."
        )
    return spares[:1]


def _for_drill(kind: DrillKind, agreement: Agreement) -> Agreement:
    """What others agreed to is for the replacement that is rehearsed, where it is one."""
    return Agreement(signer=agreement.signer) if kind is DrillKind.REPLACEMENT else agreement


def _act(
    home: Home,
    kind: DrillKind,
    tokens: list[Issued],
    key: PrivateKey | None,
    order: Order,
    real: bool,
) -> Callable[[Clearance], dict[str, Json]]:
    match kind:
        case DrillKind.PUK:
            assert key is not None, "asked for above"
            return partial(_puk, home, tokens, key, real)
        case DrillKind.SO_PIN:
            assert key is not None, "asked for above"
            return partial(_so_pin, home, tokens, key)
        case DrillKind.BREAK_GLASS:
            assert key is not None, "asked for above"
            return partial(drills.open_all, home, tokens, key)
        case DrillKind.SPARE:
            return partial(_spare, home, tokens)
        case DrillKind.REPLACEMENT:
            return partial(_replacement, home, tokens, order)
    return partial(_backup, home, tokens, key, order)


def _puk(
    home: Home, tokens: list[Issued], key: AnyKey, real: bool, clearance: Clearance
) -> dict[str, Json]:
    puks = drills.open_each(home, tokens, SecretKind.PIV_PUK, key, clearance)
    for token in tokens:
        if real:
            with bench_at(place_of(home, token), False) as bench:
                drills.try_puk(home, token, bench, puks[token.label])
        else:
            drills.unblock_twin(twin, puks[token.label])
    return {"tried": "the tokens" if real else "a virtual twin"}


def _so_pin(home: Home, tokens: list[Issued], key: AnyKey, clearance: Clearance) -> dict[str, Json]:
    so_pins = drills.open_each(home, tokens, SecretKind.PKCS11_SO_PIN, key, clearance)
    for token in tokens:
        with bench_at(place_of(home, token), False) as bench:
            drills.try_so_pin(home, token, bench, so_pins[token.label])
    return {"tried": "the tokens"}


def _spare(home: Home, tokens: list[Issued], _: Clearance) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for token in tokens:
        with bench_at(place_of(home, token), False) as bench:
            ask = partial(ask_unseen, f"PIV PIN of token {token.label}: ")
            found[token.label] = drills.use_spare(home, token, bench, ask)
    return {"used": found}


def _replacement(home: Home, tokens: list[Issued], order: Order, _: Clearance) -> dict[str, Json]:
    done = []
    with drills.copied(home, None, twin_roots()) as copy:
        for token in tokens:
            made = partial(twin, fips=_is_fips(token))
            done.append(drills.replace_lost(copy, token, made, order))
    return {"replaced": done}


def _backup(
    home: Home, tokens: list[Issued], key: PrivateKey | None, order: Order, _: Clearance
) -> dict[str, Json]:
    with drills.copied(home, key, twin_roots()) as copy:
        made = partial(twin, fips=_is_fips(tokens[0]))
        return drills.finish_open(copy, tokens[0], made, order.operator)


def _is_fips(token: Issued) -> bool:
    return "FIPS" in token.token.model
