"""What the set-up installs: each package pinned, declared, and with its reason."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONSTRAINTS = (ROOT / ".ci/constraints.txt").read_text(encoding="utf-8").splitlines()
DEBIAN = (ROOT / ".ci/debian-packages.txt").read_text(encoding="utf-8").splitlines()
PINS = {
    canonicalize_name(line.partition("==")[0]): line.partition("==")[2]
    for line in CONSTRAINTS
    if line and not line.startswith("#")
}


def requirements() -> set[str]:
    """Everything that `tokenprov[dev]` brings on this interpreter, by canonical name."""
    project = PROJECT["project"]
    waiting = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    found: set[str] = set()
    while waiting:
        requirement = Requirement(waiting.pop())
        name = canonicalize_name(requirement.name)
        if name in found:
            continue
        found.add(name)
        extras = [{"extra": extra} for extra in (*requirement.extras, "")]
        for text in distribution(name).requires or []:
            marker = Requirement(text).marker
            if marker is None or any(marker.evaluate(extra) for extra in extras):
                waiting.append(text)
    return found


def imports_of_the_product() -> set[str]:
    """The top-level names that tokenprov imports and that are not Python's own."""
    names: set[str] = set()
    for path in (ROOT / "tokenprov").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"tokenprov"}


def test_everything_that_is_installed_is_pinned() -> None:
    """Each package that the project brings, directly or not, has a line in the constraints."""
    assert requirements() <= set(PINS)


def test_pins_are_what_the_tests_run_on() -> None:
    """The environment of this run holds each package at its pinned version."""
    found = {name: distribution(name).version for name in requirements()}
    assert {name: (has, PINS[name]) for name, has in found.items() if has != PINS[name]} == {}


def test_what_builds_is_pinned() -> None:
    """hatchling, which builds the project, and setuptools, which builds pyscard, are pinned."""
    builders = {Requirement(text).name for text in PROJECT["build-system"]["requires"]}
    assert builders | {"setuptools"} <= set(PINS)


@pytest.mark.parametrize("line", CONSTRAINTS)
def test_constraint_is_a_version_and_no_address(line: str) -> None:
    """A line pins one name to one version, or is a remark: no address, path, hash or option."""
    assert re.fullmatch(r"(#.*)?|[a-z0-9][a-z0-9.-]*==[0-9][0-9a-z.]*", line)
    assert "://" not in line


def test_every_import_of_the_product_is_declared() -> None:
    """What tokenprov imports it also asks for, and does not only happen to get from another."""
    declared = {
        canonicalize_name(Requirement(text).name) for text in PROJECT["project"]["dependencies"]
    }
    by_import = packages_distributions()
    missing = {
        name
        for name in imports_of_the_product()
        if not {canonicalize_name(dist) for dist in by_import.get(name, [])} & declared
    }
    assert not missing


def test_every_dependency_says_why() -> None:
    """Each dependency and each Debian package has the reason that the set-up prints."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    shown = re.findall(r'^    "([A-Za-z0-9._-]+)>=[^"]*",  # \S.*$', text, re.MULTILINE)
    project = PROJECT["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert shown == [Requirement(text).name for text in asked]
    packages = [line for line in DEBIAN if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.+-]+ +# \S.*", line) for line in packages)
    assert len({line.split()[0] for line in packages}) == len(packages)
