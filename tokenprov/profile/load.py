"""Profiles from files: found by path or by name, read, and refused with line and key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError

import tokenprov
from tokenprov.errors import ProfileError
from tokenprov.profile.explain import explain
from tokenprov.profile.language import Profile
from tokenprov.profile.lines import KeyLines

SUFFIX = ".toml"
SHOWN = 20  # problems shown; the rest are counted

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)\Z")


def ready_folders() -> tuple[Path, ...]:
    """Where the ready profiles are: in the installed package, or beside it in a checkout."""
    package = Path(tokenprov.__file__).parent
    folders = (package / "_profiles", package.parent / "profiles")
    return tuple(folder for folder in folders if folder.is_dir())


def find_profile(name: str, folders: Sequence[Path]) -> Path:
    """The file of the profile with that name in the first folder that has it.

    Raises ProfileError, which names the profiles that there are.
    """
    for folder in folders:
        path = folder / f"{name}{SUFFIX}"
        if path.is_file():
            return path
    names = sorted({path.stem for folder in folders for path in folder.glob(f"*{SUFFIX}")})
    near = get_close_matches(name, names, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    listed = f"There are: {', '.join(names)}." if names else "No ready profiles were found."
    raise ProfileError(
        f"there is no profile named {name!r}",
        remedy=f"{hint}{listed} A file is named by its path, with {SUFFIX} at its end.",
    )


def load_profile(path_or_name: str | Path, folders: Sequence[Path] | None = None) -> Profile:
    """Read a profile: a path (it has a folder or ends in .toml), or the name of a ready one.

    `folders` are searched for names, `ready_folders()` if None. Raises ProfileError.
    """
    path = Path(path_or_name)
    if isinstance(path_or_name, str) and path.name == path_or_name and path.suffix != SUFFIX:
        path = find_profile(path_or_name, ready_folders() if folders is None else folders)
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise ProfileError(
            f"cannot be read: {exc.strerror}",
            remedy="Check the path and that you may read the file.",
            where=str(path),
        ) from exc
    return parse_profile(data, str(path))


def parse_profile(data: bytes, name: str) -> Profile:
    """The profile in these bytes; `name` is for messages. Raises ProfileError."""
    text = _text(data, name)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise _syntax(str(exc), text, name) from exc
    except (ValueError, RecursionError) as exc:
        raise ProfileError(
            "a number has thousands of digits, or brackets nest too deep",
            remedy="Start again from a ready profile.",
            where=name,
        ) from exc
    try:
        return Profile.model_validate(document, by_alias=True, by_name=False)
    except ValidationError as exc:
        problems = explain(exc, KeyLines(text))
        raise ProfileError.of_file(name, tuple(problems[:SHOWN]), len(problems)) from exc


def _text(data: bytes, name: str) -> str:
    """TOML is UTF-8 (TOML 1.0); editors may put a BOM before it and end lines their way."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise ProfileError(
            f"byte 0x{data[exc.start]:02x} is not UTF-8",
            remedy="Save the file as UTF-8.",
            where=f"{name}, line {line}",
        ) from exc
    return text.replace("\r\n", "\n")


def _syntax(message: str, text: str, name: str) -> ProfileError:
    place = _PLACE.search(message)
    line = int(place[1]) if place and place[1] else text.count("\n") + 1
    column = f", column {place[2]}" if place and place[2] else ""
    what = _PLACE.sub("", message)
    return ProfileError(
        f"not TOML: {what[:1].lower()}{what[1:]}",
        remedy="Mend it there: text stands in quotes, each key and table once, one key a line.",
        where=f"{name}, line {line}{column}",
    )
