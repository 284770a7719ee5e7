"""PKCS#11 URIs (RFC 7512), strictly: what names a token and a key on it, and nothing else.

Rules:
- Path attributes `token`, `serial`, `manufacturer`, `model`, `object`, `id`; `type` is `private`
  where it stands there. Query attributes `module-path` and `pin-source`.
- `pin-value` is refused: a URI stands on command lines, and those can be read by others (7).
- An attribute stands once; one that is not known is refused, since it could name another key.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes

from tokenprov.errors import InputError

SCHEME = "pkcs11:"
_PATH = frozenset({"token", "serial", "manufacturer", "model", "object", "id", "type"})
_QUERY = frozenset({"module-path", "pin-source"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pkcs11Uri:
    """A key on a PKCS#11 token; what is None was not named."""

    token: str | None = None
    serial: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    object: str | None = None
    id: bytes | None = None
    module_path: Path | None = None
    pin_source: Path | None = None

    @classmethod
    def parse(cls, text: str) -> Pkcs11Uri:
        """Read one. Raises InputError."""
        if not text.startswith(SCHEME):
            raise _refused("it does not begin with pkcs11:")
        path, _, query = text.removeprefix(SCHEME).partition("?")
        named = _attributes(path, ";", _PATH)
        asked = _attributes(query, "&", _QUERY)
        if named.pop("type", "private") != "private":
            raise _refused("its type is not private")
        identifier = named.pop("id", None)
        module, source = asked.get("module-path"), asked.get("pin-source")
        if not (named.keys() & {"object"}) and identifier is None:
            raise _refused("it names no key: neither object nor id")
        if not named.keys() & {"token", "serial"}:
            raise _refused("it names no token: neither token nor serial")
        return cls(
            **{name: unquote(value) for name, value in named.items()},
            id=None if identifier is None else unquote_to_bytes(identifier),
            module_path=None if module is None else Path(unquote(module)),
            pin_source=None if source is None else Path(unquote(source).removeprefix("file:")),
        )


def _attributes(text: str, separator: str, known: frozenset[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, text.split(separator)):
        name, equals, value = part.partition("=")
        if name in ("pin-value", "module-name"):
            raise _refused(f"{name} is not taken: use pin-source and module-path")
        if name not in known or not equals:
            raise _refused(f"{name!r} is no attribute that is known here")
        if name in found:
            raise _refused(f"{name} stands twice")
        found[name] = value
    return found


def _refused(why: str) -> InputError:
    return InputError(
        f"not a PKCS#11 URI of a private key: {why}",
        remedy="As in 'pkcs11:token=custody;object=help-desk?module-path=/usr/lib/…/module.so'.",
    )
