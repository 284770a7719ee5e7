"""The PKCS#11 part of the profile language, and where its module is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokenprov.errors import InputError, ProfileError
from tokenprov.pkcs11.find import find_module
from tokenprov.profile import TokenKind, check_firmware, parse_profile

KEY = '[[pkcs11.keys]]\nid = "01"\nlabel = "login"\nalgorithm = "eccp256"\n'
MODULE = 'name = "test"\n[pkcs11]\nmodule = "softhsm2"\n'
CERTIFIED = 'certificate = { usages = ["client-auth"], compress = true }\n'
REFUSED = {
    "no module": ('name = "test"\n[pkcs11]\n', "module"),
    "short PIN": (MODULE + "user-pin = { length = 4 }\n", "pkcs11.user-pin.length"),
    "long SO PIN": (MODULE + "so-pin = { length = 33 }\n", "pkcs11.so-pin.length"),
    "id twice": (MODULE + KEY + KEY.replace("login", "other"), "pkcs11.keys[1].id"),
    "label twice": (MODULE + KEY + KEY.replace("01", "02"), "pkcs11.keys[1].label"),
    "id in capitals": (MODULE + KEY.replace('"01"', '"AB"'), "pkcs11.keys[0].id"),
    "odd id": (MODULE + KEY.replace('"01"', '"1"'), "pkcs11.keys[0].id"),
    "algorithm": (MODULE + KEY.replace("eccp256", "x25519"), "pkcs11.keys[0].algorithm"),
    "compressed": (MODULE + KEY + CERTIFIED, "pkcs11.keys[0].certificate.compress"),
    "names of a card": (
        MODULE + KEY + 'certificate = { usages = ["client-auth"], card-names = "uuid" }\n',
        "pkcs11.keys[0].certificate.card-names",
    ),
    "Windows by ed25519": (
        MODULE
        + KEY.replace("eccp256", "ed25519")
        + 'certificate = { upn = true, usages = ["smartcard-logon"] }\n',
        "pkcs11.keys[0].algorithm",
    ),
    "beside another": (MODULE + "[piv]\n", "piv"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    """With its key and a remedy."""
    text, key = REFUSED[name]
    with pytest.raises(ProfileError) as caught:
        parse_profile(text.encode(), "test")
    (problem,) = caught.value.problems
    assert problem.field.endswith(key)
    assert problem.remedy


@pytest.mark.parametrize("kind", list(TokenKind))
def test_it_is_for_tokens_behind_a_module(kind: TokenKind) -> None:
    """And those are for it: no other token, and no other profile, is taken."""
    through = parse_profile((MODULE + KEY).encode(), "test")
    directly = parse_profile(b'name = "test"\n[piv]\n', "test")
    fitting, other = (through, directly) if kind is TokenKind.PKCS11 else (directly, through)
    if kind is not TokenKind.SECURITY_KEY:  # which has no PIV either
        check_firmware(fitting, (5, 7, 4), kind)
    with pytest.raises(ProfileError, match="reached through a PKCS#11 module"):
        check_firmware(other, (5, 7, 4), kind)


def test_modules_by_path_and_by_name(tmp_path: Path) -> None:
    """p11-kit's files name them, the administrator's first; relative paths are below its folder."""
    admin, packages, modules = tmp_path / "etc", tmp_path / "share", tmp_path / "lib"
    for folder in (admin, packages, modules):
        folder.mkdir()
    for name in ("one.so", "two.so"):
        (modules / name).touch()
    (packages / "a.module").write_text("# a comment\nmodule: one.so\npriority: 1\n")
    (packages / "b.module").write_text(f"module: {modules / 'one.so'}\n")
    (admin / "b.module").write_text(f"module:\t{modules / 'two.so'}\n")
    (packages / "gone.module").write_text("module: gone.so\n")
    (packages / "empty.module").write_text("x-init-reserved:\n")
    where = {"configurations": (admin, packages), "modules": (modules,)}
    assert find_module("a", **where) == modules / "one.so"
    assert find_module("b", **where) == modules / "two.so"
    assert find_module(str(modules / "one.so"), **where) == modules / "one.so"
    for named, says in (
        ("c", r"has no module 'c' \(it has: a, b, empty, gone\)"),
        ("gone", "names no module that is there"),
        ("empty", "names no module that is there"),
        ("/nowhere.so", "there is no PKCS#11 module /nowhere.so"),
    ):
        with pytest.raises(InputError, match=says):
            find_module(named, **where)


def test_the_systems_configuration() -> None:
    """Debian's packages of SoftHSM and OpenSC are found by their names."""
    assert find_module("softhsm2").name == "libsofthsm2.so"
    assert find_module("opensc-pkcs11").name == "opensc-pkcs11.so"
