"""What the committed files must and must not say: rules of style that no linter has."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Written so that the patterns do not match themselves.
_REGISTRY = re.compile(
    r"pypi[.]org|pythonhosted[.]org|(?:deb|security|snapshot)[.]debian[.]org"
    r"|registry[.]npmjs|proxy[.]golang|index[-]url|find[-]links|https?://[^ ]+/simple(?:/|$)",
    re.IGNORECASE | re.MULTILINE,
)
_HOME = re.compile(r"(?<![\w.~$}])/(?:home|Users|root)/\w")
_SKIP = re.compile(r"\b(?:mark[.](?:skip|skipif|xfail)|pytest[.](?:skip|xfail)|importorskip)\b")
_IGNORE = re.compile(r"#\s*(noqa|type:\s*ignore|ruff:\s*noqa|mypy:|pragma:|fmt:)")
# `# type: ignore[code]  # why` or `# noqa: X000  why`: at least three words.
_REASON = re.compile(
    r"#\s*(?:type:\s*ignore\[[\w, -]+\]\s*#|noqa:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*[\s:#-]+)"
    r"\s*(?:\S+\s+){2}\S+"
)
# Roots that any machine has: a checkout below one of them makes no word of it a secret.
_ANYWHERE = frozenset({"/", "/tmp", "/home", "/root", "/usr", "/usr/src", "/opt", "/var", "/srv"})


def committed() -> list[Path]:
    """Every file that git tracks here and that is still there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def texts() -> dict[str, str]:
    """The text of every committed file that is text, by its path."""
    found = {}
    for path in committed():
        body = path.read_bytes()
        if b"\0" not in body:
            found[str(path.relative_to(ROOT))] = body.decode("utf-8", errors="replace")
    return found


def machine_paths() -> list[str]:
    """This checkout's folder and those above it, unless any machine has them."""
    folders = [ROOT, *ROOT.parents]
    return [f"{folder}/" for folder in folders if str(folder) not in _ANYWHERE]


def bare_ignores(source: str) -> list[str]:
    """Comments that silence a checker without saying why."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    return [text for text in comments if _IGNORE.search(text) and not _REASON.search(text)]


def undocumented_tests(source: str) -> list[str]:
    """Test functions without a docstring of one sentence or more."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, functions)
        and node.name.startswith("test_")
        and not (ast.get_docstring(node) or "").rstrip().endswith((".", "?", "!"))
    ]


@pytest.mark.parametrize(
    ("comment", "bare"),
    [
        ("# type: ignore", True),
        ("# type: ignore[arg-type]", True),
        ("# type: ignore[arg-type]  # stub", True),
        ("# type: ignore[arg-type]  # the stub says str, the code takes bytes", False),
        ("# noqa", True),
        ("# noqa: E501", True),
        ("# noqa: E501 one line as in the standard", False),
        ("# noqa: E501, S105 - a published test vector", False),
        ("# an ordinary remark", False),
    ],
)
def test_bare_ignore_is_told_from_a_reasoned_one(comment: str, bare: bool) -> None:
    """The rule finds each silent ignore and accepts each reasoned one."""
    assert bool(bare_ignores(f"x = 1  {comment}\n")) is bare


@pytest.mark.parametrize(
    "text",
    [
        "https://" + "pypi" + ".org/project/x",
        "pip install --" + "index" + "-url x",
        "http://mirror.example" + "/simple/",
        "deb http://" + "deb.debian" + ".org/debian bookworm main",
    ],
)
def test_registry_is_recognised(text: str) -> None:
    """The rule finds the usual ways to name where packages come from."""
    assert _REGISTRY.search(text)


def test_undocumented_test_is_recognised() -> None:
    """The rule finds a test without a docstring, and one that says no sentence."""
    source = 'def test_a():\n "Says it."\ndef test_b():\n pass\ndef test_c():\n "words"\n'
    assert undocumented_tests(source) == ["test_b", "test_c"]


def test_every_ignore_has_its_reason() -> None:
    """Each `noqa` and `type: ignore` says on its own line why."""
    bare = {name: bare_ignores(text) for name, text in texts().items() if name.endswith(".py")}
    assert not {name: comments for name, comments in bare.items() if comments}


def test_every_test_says_what_it_shows() -> None:
    """Each test function has a docstring of a sentence."""
    missing = {
        name: undocumented_tests(text)
        for name, text in texts().items()
        if name.startswith(("tests/", "hwtests/")) and name.endswith(".py")
    }
    assert not {name: tests for name, tests in missing.items() if tests}


def test_no_test_can_be_passed_over() -> None:
    """No test is skipped or expected to fail: what is missing on a machine is an error there."""
    skipping = [
        name
        for name, text in texts().items()
        if name.startswith(("tests/", "hwtests/")) and name.endswith(".py")
        if name != "tests/unit/test_tree.py"
        if _SKIP.search(text)
    ]
    assert not skipping


def test_no_file_names_a_registry() -> None:
    """Where packages come from is the machine's business: no committed file says it."""
    named = {name: found[0] for name, text in texts().items() if (found := _REGISTRY.search(text))}
    assert not named


def test_no_file_names_a_folder_of_one_machine() -> None:
    """No committed file holds this checkout's own path or somebody's home folder."""
    here = machine_paths()
    named = [
        name
        for name, text in texts().items()
        if _HOME.search(text) or any(folder in text for folder in here)
    ]
    assert not named
