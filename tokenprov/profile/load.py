"""Profiles from files: found by path or by name, read, and refused with file, line and key.

A profile that extends another is put together with it first: `extends` names a profile beside it
or a ready one, or is a path from its own folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError

import tokenprov
from tokenprov.errors import ProfileError
from tokenprov.profile.explain import explain, explain_faults
from tokenprov.profile.faults import Fault, Faults, shown
from tokenprov.profile.inheritance import EXTENDS, WITHOUT, Node, extended
from tokenprov.profile.language import Profile
from tokenprov.profile.toml_file import document_in

SUFFIX = ".toml"
SHOWN = 20  # problems shown; the rest are counted


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
    searched = ready_folders() if folders is None else folders
    path = _path(path_or_name, searched)
    return _made(_resolved(_read(path), str(path), (path.resolve(),), searched), str(path))


def parse_profile(data: bytes, name: str) -> Profile:
    """The profile in these bytes; `name` is for messages, and it may extend ready profiles.

    Raises ProfileError.
    """
    return _made(_resolved(data, name, (), ready_folders()), name)


def _path(path_or_name: str | Path, folders: Sequence[Path]) -> Path:
    path = Path(path_or_name)
    if isinstance(path_or_name, str) and path.name == path_or_name and path.suffix != SUFFIX:
        return find_profile(path_or_name, folders)
    return path


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise ProfileError(
            f"cannot be read: {exc.strerror}",
            remedy="Check the path and that you may read the file.",
            where=str(path),
        ) from exc


def _made(document: Node, name: str) -> Profile:
    try:
        return Profile.model_validate(document.plain, by_alias=True, by_name=False)
    except ValidationError as exc:
        problems = explain(exc, document, name)
        raise ProfileError.of_file(name, tuple(problems[:SHOWN]), len(problems)) from exc


def _resolved(data: bytes, name: str, chain: tuple[Path, ...], folders: Sequence[Path]) -> Node:
    """The document in these bytes, laid over what it extends; `chain` leads here, itself last."""
    document = document_in(data, name, ProfileError)
    own = dict(document.value)
    parent, left_out = own.pop(EXTENDS, None), own.pop(WITHOUT, None)
    child = Node(own, document.place)
    try:
        if parent is None:
            if left_out is not None:
                raise _fault(WITHOUT, "it leaves out of nothing", f'Add {EXTENDS} = "…" beside it.')
            return child
        texts = _texts(left_out)
        path = _parent_path(parent.plain, chain, folders)
        if path.resolve() in chain:
            names = " extends ".join(one.stem for one in (*chain, path))
            raise _fault(EXTENDS, f"it comes back to itself: {names}", "Extend another profile.")
        base = _resolved(_read(path), str(path), (*chain, path.resolve()), folders)
        return extended(base, child, texts)
    except Faults as exc:
        problems = explain_faults(exc, document, name)
        raise ProfileError.of_file(name, tuple(problems[:SHOWN]), len(problems)) from exc


def _parent_path(value: object, chain: Sequence[Path], folders: Sequence[Path]) -> Path:
    """The file that `extends` means, from the folder of the profile that says so."""
    if not isinstance(value, str) or not value.strip():
        raise _fault(EXTENDS, f"{shown(value)} names no profile", "Write a name, in quotes.")
    beside = chain[-1].parent if chain else None
    if Path(value).name == value and not value.endswith(SUFFIX):
        try:
            return find_profile(value, [*([beside] if beside else []), *folders])
        except ProfileError as exc:
            raise _fault(EXTENDS, exc.message, exc.remedy) from exc
    path = beside / value if beside else Path(value)
    if not path.is_file():
        raise _fault(EXTENDS, f"there is no file {path}", "Write a path from this file's folder.")
    return path


def _texts(node: Node | None) -> Sequence[str]:
    value = [] if node is None else node.plain
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise _fault(WITHOUT, f"{shown(value)} is not an array of paths", 'Write as in ["otp.slot2"].')


def _fault(key: str, message: str, remedy: str) -> Faults:
    return Faults([Fault(at=(key,), message=message, remedy=remedy)])
