"""`tokenprov plan`: what would be written to the token that is plugged in, and what is on it."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from tokenprov.cli.output import as_json, facts_line, print_json
from tokenprov.cli.readers import Nobody, choose_reader, reader_options
from tokenprov.errors import TokenConflict
from tokenprov.forecast import Forecast, forecast
from tokenprov.home import Home
from tokenprov.model import Holder, Json, Order, TokenId
from tokenprov.plan import Plan, check_token, plan_token, steps_on
from tokenprov.profile import Profile, check_roster, load_profile
from tokenprov.record.history import EMPTIED
from tokenprov.record.rows import OrderRecord
from tokenprov.roster import load_roster
from tokenprov.source import source_for
from tokenprov.unnumbered import recognise
from tokenprov.wipe import Permission

FACTORY = "as it leaves the factory"


@click.command()
@click.argument("roster", type=click.Path(path_type=Path))
@click.option("--profile", "profile_name", required=True, help="A file, or a ready profile's name.")
@reader_options
@click.option(
    "--wipe",
    "serials",
    multiple=True,
    metavar="SERIAL",
    help="As if this token were emptied first.",
)
@as_json
@click.pass_obj
def plan(
    home_path: Path,
    roster: Path,
    profile_name: str,
    reader: str | None,
    serial: str | None,
    serials: tuple[str, ...],
    as_json: bool,
) -> None:
    """The dry run: the difference between the token that is here and the profile.

    Signs: - what is there, + what will be, ! what is destroyed, = what stays. Changes nothing.
    """
    home = Home.open(home_path)
    holders = load_roster(roster, today=home.clock().date())
    profile = load_profile(profile_name)
    check_roster(profile, holders)
    order = Order(
        id="plan-0001",
        batch="plan",
        holder=holders.holders[0],
        position=0,
        profile=profile.name,
        profile_digest=profile.digest,
    )
    know = partial(recognise, home)
    with (
        closing(source_for(profile)) as source,
        source.opened(choose_reader(reader, serial, source, know), Nobody()) as token,
    ):
        know(token)
        left_out = check_token(profile, token)
        if token.id.named:
            _refuse_known(home, token.id)
        steps = steps_on(token, profile, order, home, day=home.clock().date())
        wiped = Permission(serials=frozenset(serials)).covers(token.id)
        made = plan_token(token, steps, wiped=wiped)
        foreseen = forecast(
            profile,
            order.holder,
            made.steps,
            firmware=token.firmware,
            wiped=made.reasons if wiped else (),
            resets=token.applications if wiped and made.reasons else (),
        )
    shown = Shown(token=token.id, profile=profile, plan=made, forecast=foreseen, left_out=left_out)
    if as_json:
        print_json(shown.to_json())
    else:
        shown.print(order.holder)
    if made.refused:
        sys.exit(TokenConflict.exit_code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """All that a dry run has to say."""

    token: TokenId
    profile: Profile
    plan: Plan
    forecast: Forecast
    left_out: list[str]

    def to_json(self) -> Json:
        """By docs/json.md."""
        return {
            "token": {
                "serial": self.token.serial,
                "model": self.token.model,
                "firmware": self.token.firmware,
            },
            "profile": {"name": self.profile.name, "digest": self.profile.digest},
            "refused": self.plan.refused,
            "used": list(self.plan.inventory.used),
            "inventory": self.plan.inventory.facts,
            "steps": [change.to_json() for change in self.forecast.changes],
            "leftOut": self.left_out,
            "destroyed": list(self.forecast.destroyed),
            "prompts": {
                "touch": self.forecast.touches,
                "reinsert": self.forecast.reinsertions,
            },
            "seconds": round(self.forecast.seconds),
        }

    def print(self, holder: Holder) -> None:
        """For people, as a version control tool shows a difference."""
        token = self.token
        click.echo(f"--- {token.described}")
        click.echo(f"+++ profile {self.profile.name}, for {holder.name}")
        for text in self.plan.reasons:
            click.echo(f"! {text}")
        if self.plan.refused:
            click.echo("\nThe token is in use: nothing would be written to it.")
            click.echo(f"If nobody needs it: batch run … --wipe {token.label} --reason TEXT")
            return
        self._changes()
        for text in self.left_out:
            click.echo(f"left out: {text}")
        click.echo(f"\n{self.forecast.writes} settings would be written; nothing was changed.")
        click.echo(
            f"It takes {_times(self.forecast.touches, 'touch', 'touches')},"
            f" {_times(self.forecast.reinsertions, 're-insertion', 're-insertions')}, and about"
            f" {self.forecast.seconds:.0f} s (an estimate)."
        )

    @property
    def _emptied(self) -> bool:
        return self.plan.wiped and bool(self.plan.reasons)

    def _changes(self) -> None:
        for change in self.forecast.changes:
            finding = change.planned.finding
            click.echo(f"@@ {change.planned.step.title}")
            now = facts_line(dict(finding.facts))
            match change.planned.verdict:
                case "write":
                    click.echo(f"- {now or ('emptied' if self._emptied else FACTORY)}")
                    click.echo(f"+ {_in_words(change.wanted)}")
                    for text in change.destroys:
                        click.echo(f"! {text}")
                case "refuse":
                    click.echo(f"! {finding.reason}")
                case _:
                    click.echo(f"= {finding.reason or now}")


def _in_words(wanted: dict[str, Json]) -> str:
    """What is on by its name, what has a value with it, and nothing of what is off."""
    words = []
    for name, value in wanted.items():
        if value is True:
            words.append(name)
        elif isinstance(value, list) and value:
            words.append(f"{name} {' '.join(map(str, value))}")
        elif value not in (False, "", [], None):
            words.append(f"{name} {facts_line(value)}")
    return ", ".join(words)


def _times(number: int, one: str, more: str) -> str:
    return f"{number or 'no'} {one if number == 1 else more}"


def _refuse_known(home: Home, token: TokenId) -> None:
    found = home.ledger.order_of_token(None, token.label)
    if found is not None and not _was_given_back(home, found):
        raise TokenConflict(
            f"token {token.label} is bound to order {found.id} ({found.state}) of"
            f" {found.order.holder.name}",
            remedy=f"See: tokenprov batch status {found.order.batch}",
        )


def _was_given_back(home: Home, found: OrderRecord) -> bool:
    """Whether the token of an order is in stock again, and as new."""
    if found.entry_index is None:
        return False
    life = home.manifest.life(home.manifest.entry(found.entry_index)["token"])
    return life is not None and life.state in EMPTIED
