"""`tokenprov policy list|check|explain|show|use`: the rules of a station, and whether they hold."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tokenprov.cli.custodians import recorded
from tokenprov.cli.output import as_json, print_json, print_table
from tokenprov.cli.signing import agreed
from tokenprov.errors import InputError, PolicyError
from tokenprov.home import Home
from tokenprov.model import Json
from tokenprov.policy import Agreement
from tokenprov.policy.change import use_policy
from tokenprov.policy.check import check as check_rules
from tokenprov.policy.finding import Finding
from tokenprov.policy.language import Policy, catalogue
from tokenprov.policy.load import load_policy, policy_of, ready_policies
from tokenprov.profile.toml_text import toml_text


@click.group()
def policy() -> None:
    """The rules that the station goes by."""


@policy.command("list")
@as_json
@click.pass_obj
def list_(home_path: Path, as_json: bool) -> None:
    """The ready policies, by their names."""
    rows = [(name, load_policy(name)) for name in ready_policies()]
    if as_json:
        print_json(
            [
                {"name": name, "description": one.description, "rules": list(one.in_force)}
                for name, one in rows
            ]
        )
        return
    print_table(
        ("policy", "what for", "rules"),
        [(name, one.description, str(len(one.in_force))) for name, one in rows],
    )


@policy.command()
@click.argument("name")
@agreed
@recorded
@click.pass_obj
def use(home_path: Path, name: str, agreement: Agreement, reason: str, operator: str) -> None:
    """Go by policy NAME (a ready one, or a file) from now on; it is kept in the manifest."""
    wanted = load_policy(name)
    home = Home.open(home_path)
    index = use_policy(home, wanted, operator=operator, reason=reason, agreement=agreement)
    click.echo(f"{wanted.name} holds from entry {index} on, digest {wanted.digest}")


@policy.command()
@click.argument("name", required=False)
@as_json
@click.pass_obj
def show(home_path: Path, name: str | None, as_json: bool) -> None:
    """The policy that holds here, or NAME, with every default written out, as TOML."""
    document = (load_policy(name) if name else _here(Home.open(home_path))).to_json()
    if as_json:
        print_json(document)
    else:
        click.echo(toml_text(document), nl=False)


@policy.command()
@click.argument("rule", required=False)
@as_json
@click.pass_obj
def explain(home_path: Path, rule: str | None, as_json: bool) -> None:
    """What each rule asks for, and where it is from; RULE with its settings here."""
    rules = catalogue()
    if rule is not None and rule not in rules:
        raise InputError(f"there is no rule {rule!r}", remedy=f"There are: {', '.join(rules)}.")
    here = policy_of(Home.open(home_path)) if (home_path / "station.toml").exists() else None
    in_force = here.in_force if here is not None else {}
    rows: list[dict[str, Json]] = [
        {
            "rule": name,
            "says": kind.says,
            "source": kind.source,
            "level": str(in_force[name].level) if name in in_force else None,
        }
        for name, kind in rules.items()
        if rule in (None, name)
    ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("rule", "here", "says", "source"),
        [(row["rule"], row["level"] or "", row["says"], row["source"]) for row in rows],
    )
    if rule is not None and rule in in_force:
        click.echo()
        click.echo(
            toml_text({rule: in_force[rule].model_dump(mode="json", by_alias=True)}), nl=False
        )


@policy.command()
@click.argument("name", required=False)
@as_json
@click.pass_obj
def check(home_path: Path, name: str | None, as_json: bool) -> None:
    """Whether the record keeps the rules that hold here, or those of policy NAME.

    Exit code 9 where one does not hold and no waiver covers it.
    """
    home = Home.open(home_path)
    rules = load_policy(name) if name else _here(home)
    findings = check_rules(home, rules)
    if as_json:
        print_json(
            {
                "policy": rules.name,
                "digest": rules.digest,
                "holds": not _open(findings),
                "findings": [one.to_json() for one in findings],
            }
        )
    else:
        _print(rules, findings)
    if _open(findings):
        sys.exit(PolicyError.exit_code)


def _print(rules: Policy, findings: list[Finding]) -> None:
    for one in findings:
        covered = f" (waived: {one.waiver})" if one.waiver else ""
        source = rules.in_force[one.rule].source
        click.echo(f"{one.rule}{covered}: {one.what}\n  {one.remedy}\n  {source}")
    waived = len(findings) - len(_open(findings))
    click.echo(
        f"{rules.name}: {len(rules.in_force)} rules, {len(_open(findings))} findings"
        + (f", {waived} waived" if waived else "")
    )


def _open(findings: list[Finding]) -> list[Finding]:
    return [one for one in findings if not one.waiver]


def _here(home: Home) -> Policy:
    found = policy_of(home)
    if found is None:
        raise InputError(
            "this station has no policy",
            remedy="Choose one: tokenprov policy list; then tokenprov policy use NAME",
        )
    return found
