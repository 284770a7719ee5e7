"""The layers and the shape of the source (docs/design.md, "Layout").

import-linter keeps the order of the layers, by the contract in pyproject.toml. What a list of
layers cannot say is said here, from the imports themselves: which parts see nothing but the
words of the field, and that the virtual tokens share no code with what programs them.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "tokenprov"
SOURCES = sorted(PACKAGE.rglob("*.py"))

WORDS = frozenset({"errors", "model", "secret"})
TO_MODULES = frozenset({"pkcs11"})  # keys in PKCS#11 tokens
# A part of tokenprov -> the other parts that it may import.
MAY_IMPORT = {
    "errors": frozenset[str](),
    "attestation": WORDS,
    "record": WORDS | TO_MODULES | {"attestation"},
    "directory": WORDS | {"attestation", "record"},
    "issuer": WORDS | TO_MODULES | {"attestation", "record", "directory"},
    "pkcs11": WORDS,
    "device": WORDS | TO_MODULES | {"step", "token"},
    "roster": WORDS,
    "sim": frozenset[str](),
}
MAY_IMPORT_SIM = frozenset({"cli"})
# Libraries that the driver is built on: the virtual tokens must not repeat their mistakes.
DRIVER_LIBRARIES = frozenset({"yubikit", "ykman", "fido2", "pskc"})
BANNED_STEMS = frozenset({"utils", "util", "helpers", "helper", "common", "misc"})
MOST_LINES = 400


def imported(source: str, package: str) -> Iterator[str]:
    """Full names of what a module in `package` imports, wherever in the module it does so."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join(
                [*(parents if node.level else []), *([node.module] * bool(node.module))]
            )
            yield from (f"{base}.{alias.name}" for alias in node.names)


def part_of(path: Path) -> str:
    """The part of tokenprov that a file belongs to: `record`, `model`; its own file is ''."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


@cache
def edges() -> frozenset[tuple[str, str, str]]:
    """All imports between parts: (file, part that imports, part that is imported)."""
    found = set()
    for path in SOURCES:
        package = ".".join(path.relative_to(ROOT).parent.parts)
        for name in imported(path.read_text(encoding="utf-8"), package):
            top, _, rest = name.partition(".")
            if top == "tokenprov":
                found.add((str(path.relative_to(ROOT)), part_of(path), rest.split(".")[0]))
    return frozenset(edge for edge in found if edge[1] != edge[2])


def test_imports_of_every_form_are_seen() -> None:
    """Plain, from, relative and nested imports are all read, or the tests below see nothing."""
    source = "import a.b\nfrom c import d\nfrom . import e\nfrom ..f import g\ndef h():\n import i"
    assert set(imported(source, "x.y")) == {"a.b", "c.d", "x.y.e", "x.f.g", "i"}


def test_layers_hold() -> None:
    """import-linter finds no import that points up, and no module without a place."""
    linter = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_imports_are_found_at_all() -> None:
    """The reading of imports works on this tree: the note format knows the errors."""
    assert ("tokenprov/record/checkpoint.py", "record", "errors") in edges()


@pytest.mark.parametrize("part", sorted(MAY_IMPORT))
def test_part_imports_only_what_it_may(part: str) -> None:
    """Records, issuers, drivers and virtual tokens see the parts that the design names."""
    wrong = [(f, to) for f, by, to in edges() if by == part and to not in MAY_IMPORT[part]]
    assert not wrong, f"{part} may import {sorted(MAY_IMPORT[part])} only"


def test_only_cli_imports_sim() -> None:
    """Nothing that programs tokens knows that virtual ones exist; `cli` puts them side by side."""
    wrong = [f for f, by, to in edges() if to == "sim" and by not in MAY_IMPORT_SIM]
    assert not wrong


def test_sim_uses_no_library_of_the_driver() -> None:
    """The virtual tokens parse and answer with code of their own, so no mistake hides another."""
    for path in sorted((PACKAGE / "sim").rglob("*.py")):
        tops = {name.split(".")[0] for name in imported(path.read_text(encoding="utf-8"), "x")}
        assert not tops & DRIVER_LIBRARIES, path


@pytest.mark.parametrize("command", ["token", "manifest"])
def test_who_only_looks_loads_no_ledger(command: str) -> None:
    """`token list` and `manifest verify` start without the database and the files of people."""
    loaded = "import sys; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", f"import tokenprov.cli.{command}; {loaded}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"sqlalchemy", "pydantic", "tokenprov.home"} & set(run.stdout.split())


def test_no_file_is_a_drawer() -> None:
    """A file is named after what it holds: none is called utils, helpers, common or misc."""
    files = [*SOURCES, *(ROOT / "tests").rglob("*.py")]
    assert not [path for path in files if path.stem in BANNED_STEMS]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_can_be_read_in_one_sitting(path: Path) -> None:
    """No file of tokenprov is longer than 400 lines; 100 to 300 is meant."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_cli_catches_everything(path: Path) -> None:
    """Outside `cli` no handler catches Exception or all: an error is known, or it goes up."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler) and part_of(path) != "cli":
            caught = ast.unparse(node.type) if node.type else "everything"
            assert caught not in {"everything", "Exception", "BaseException"}, node.lineno


def test_the_design_names_each_part() -> None:
    """Whoever looks for a file finds it in the layout, and nothing there is gone."""
    design = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    tree = design.split("\n    tokenprov/\n")[1].split("\n    profiles/")[0]
    named = re.findall(r"^      (\w+(?:\.py|/)) ", tree, re.MULTILINE)
    parts = [path.relative_to(PACKAGE).parts for path in SOURCES]
    there = {f"{top}/" if below else top for top, *below in parts if not top.startswith("__")}
    assert sorted(named) == sorted(there)
