"""Where a PKCS#11 module is: a path, or a name in p11-kit's configuration.

p11-kit lists modules in files NAME.module, of which the line `module:` has the path of the .so
file, below p11-kit's own folder of modules where it is not absolute (pkcs11.conf(5)). The system's
files are read, its administrator's before its packages'; those of a user are not: what a station
loads is not up to them.
"""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from tokenprov.errors import InputError

CONFIGURATIONS = (Path("/etc/pkcs11/modules"), Path("/usr/share/p11-kit/modules"))
_MULTIARCH = sysconfig.get_config_var("MULTIARCH") or ""
MODULES = (Path("/usr/lib") / _MULTIARCH / "pkcs11", Path("/usr/lib64/pkcs11"))
_LINE = re.compile(r"^module:[ \t]*(\S+)[ \t]*$", re.MULTILINE)


def find_module(
    named: str,
    *,
    configurations: Sequence[Path] = CONFIGURATIONS,
    modules: Sequence[Path] = MODULES,
) -> Path:
    """The module's file. Raises `InputError` where there is none, with what there is."""
    if "/" in named:
        found = Path(named)
        if found.is_file():
            return found
        raise InputError(
            f"there is no PKCS#11 module {named}",
            remedy="Write the path of its .so file, as its maker's package installs it.",
        )
    known = _known(configurations)
    if named not in known:
        there = ", ".join(sorted(known)) or "none"
        raise InputError(
            f"p11-kit's configuration has no module {named!r} (it has: {there})",
            remedy="Install the module's package, or write the path of its .so file.",
        )
    line = _LINE.search(known[named].read_text(encoding="utf-8", errors="replace"))
    places = [folder / line[1] for folder in modules] if line is not None else []
    for place in places:
        if place.is_file():
            return place
    raise InputError(
        f"{known[named]} names no module that is there",
        remedy="Install the module's package again, or write the path of its .so file.",
    )


def _known(configurations: Sequence[Path]) -> dict[str, Path]:
    """By name; the first configuration that has one counts."""
    known: dict[str, Path] = {}
    for folder in configurations:
        for path in sorted(folder.glob("*.module")):
            known.setdefault(path.stem, path)
    return known
