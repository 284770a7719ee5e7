"""Policies from files, strictly, and the one that a station goes by.

The station's policy is what the last entry `policy-changed` of its manifest keeps: nobody changes
it without its being seen, and whoever verifies the manifest has it.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from tokenprov.errors import InputError
from tokenprov.home import Home
from tokenprov.policy.language import Policy
from tokenprov.profile.explain import explain
from tokenprov.profile.load import SHOWN, SUFFIX, ready_folders
from tokenprov.profile.toml_file import document_in
from tokenprov.record.canonical import parse_canonical
from tokenprov.record.kinds import Kind

FOLDER = "policy"  # within the folder of ready profiles
EVIDENCE = "policy"  # the type of its evidence in an entry


def ready_policies() -> dict[str, Path]:
    """The ready ones, by name."""
    return {
        path.stem: path
        for folder in ready_folders()
        for path in sorted((folder / FOLDER).glob(f"*{SUFFIX}"))
    }


def load_policy(path_or_name: str) -> Policy:
    """Read a policy: the name of a ready one, or a path. Raises InputError with lines and keys."""
    ready = ready_policies()
    path = ready.get(path_or_name, Path(path_or_name))
    try:
        return parse_policy(path.read_bytes(), str(path))
    except OSError as exc:
        raise InputError(
            f"there is no policy {path_or_name!r}",
            remedy=f"Ready ones are {', '.join(ready)}; a file is named by its path.",
        ) from exc


def parse_policy(data: bytes, name: str) -> Policy:
    """The policy in these bytes; `name` is for messages. Raises InputError."""
    document = document_in(data, name, InputError)
    try:
        return Policy.model_validate(document.plain, by_alias=True, by_name=False)
    except ValidationError as exc:
        problems = explain(exc, document, name, Policy)
        raise InputError.of_file(name, tuple(problems[:SHOWN]), len(problems)) from exc


def policy_of(home: Home) -> Policy | None:
    """The rules of a station; None where it was given none. Raises ManifestError."""
    changes = home.manifest.found_by(f"kind {Kind.POLICY_CHANGED}")
    if not changes:
        return None
    entry = home.manifest.entry(changes[-1])
    kept = home.manifest.blob(entry["policy"]["digest"])
    return Policy.model_validate(parse_canonical(kept), by_alias=True, by_name=False)
