"""The points at which a program writes: counted by name, and at the one that is wanted, killed.

Patched are the functions below the program, in its own process, before it begins; the program
knows nothing of it. A point is the moment before

    write, fsync, replace, link, ...    a call that changes the disk or waits for it
    commit                              a transaction of the ledger
    apdu                                a command to the token
    module                              a request to a PKCS#11 module
    end                                 the program's end

Between a point and the next one nothing is written: so the moment after a write is the next point,
and killing at every point is killing before and after every write. After an APDU the token has
carried it out, and the program has seen the answer or not: nobody can tell when it is dead.

A kill loses nothing that the system holds in memory, a power cut does. Each point therefore says
what was written and not synced yet ("unsynced").
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from smartcard import scard
from sqlalchemy.engine.default import DefaultDialect

from tokenprov.pkcs11.process import ModuleProcess
from tokenprov.record import files

# What changes a file or a folder, and its arguments that are paths whose folders change.
DISK_CALLS: dict[str, tuple[int, ...]] = {
    "write": (),
    "pwrite": (),
    "ftruncate": (),
    "fsync": (),
    "fdatasync": (),
    "chmod": (),
    "replace": (0, 1),
    "rename": (0, 1),
    "link": (1,),
    "symlink": (1,),
    "unlink": (0,),
    "remove": (0,),
    "mkdir": (0,),
    "rmdir": (0,),
}
HEADER = 4  # bytes of an APDU that are shown: class, instruction and parameters, never data
CHAINING = 0x10  # bit of the class byte: more is to come (ISO/IEC 7816-4, 5.4.1)
CTAP = (0x80, 0x10)  # class (without chaining) and instruction that carry a CTAP command
# What differs from run to run in names: digests and their folders, ids of keys, batches, processes
_DRAWN = re.compile(
    r"(?<![0-9a-z])([0-9a-f]{64}|[0-9a-f]{8}(?=\.pem)|[0-9a-f]{2}|\d{8}-[0-9a-f]{6}|\d+(?=\.new))(?![0-9a-z])"
)


# Instructions that change nothing on a token, and CTAP's (the rest is taken for writing):
# ISO/IEC 7816-4 (SELECT, GET RESPONSE), SP 800-73-4 part 2, 3.1.2 and 3.2.4 (GET DATA; GENERAL
# AUTHENTICATE, which counts no tries), the maker's for metadata, attestation, serial, version, OTP
# status and device information; CTAP 2.1, 6.4; OpenPGP's GET DATA and version, OATH's list, and
# YubiHSM Auth's list and tries
READS = {"a4", "c0", "cb", "87", "f7", "f9", "f8", "fd", "03", "1d", "ca", "f1", "a1", "05", "09"}
CTAP_GET_INFO = "ctap-4"
# Requests to a module that change nothing (a right PIN leaves the tries as they are)
MODULE_READS = ("tokens", "mechanisms", "pin_lengths", "objects", "login", "sign", "derive")
ANY = "*"  # as a name: every point counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point that was passed. `name` and `turn` find it again in another run.

    `turn` counts the points of that name, from 1; what is drawn at random stands in no name.
    """

    name: str
    turn: int
    unsynced: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} #{self.turn}"

    @property
    def is_apdu(self) -> bool:
        """Whether a command is about to go to the token."""
        return self.name.startswith("apdu ")

    @property
    def is_module(self) -> bool:
        """Whether a request is about to go to a PKCS#11 module."""
        return self.name.startswith("module ")

    @property
    def writes(self) -> bool:
        """Whether what comes now may change disk or token."""
        _, _, what = self.name.partition(" ")
        reads = what[2:4] in READS or what.endswith(CTAP_GET_INFO)
        if self.is_module:
            return what not in MODULE_READS
        return not (self.is_apdu and reads) and self.name != "end"


class Points:
    """Counts the points; at point `stop` the process kills itself, having told it.

    `tell` is a descriptor that gets each point as a line of JSON. With `late` it goes on, and is
    killed so many seconds later.
    """

    def __init__(self, tell: int, stop: tuple[str, int] | None, late: float = 0) -> None:
        self._tell, self._stop, self._late = tell, stop, late
        self._write = os.write  # the real one
        self._lock = threading.Lock()
        self._turns: Counter[str] = Counter()
        self._unsynced: dict[tuple[int, int], str] = {}  # by device and inode
        self._chained = False

    def install(self) -> None:
        """Patch everything that writes. For a process that ends afterwards."""
        for name, folders in DISK_CALLS.items():
            setattr(os, name, self._on_disk(name, getattr(os, name), folders))
        os.open = self._open(os.open)
        if files._SYNCFS is not None:
            files._SYNCFS = self._syncfs(files._SYNCFS)
        DefaultDialect.do_commit = self._commit(  # type: ignore[method-assign]  # that is the aim
            DefaultDialect.do_commit
        )
        scard.SCardTransmit = self._transmit(scard.SCardTransmit)
        ModuleProcess.ask = self._ask(ModuleProcess.ask)  # type: ignore[method-assign]  # that is the aim

    def passed(self, name: str) -> None:
        """The process is at this point."""
        name = _DRAWN.sub("*", name)
        with self._lock:
            self._turns[name] += 1
            place = (name, self._turns[name])
            line = json.dumps([*place, sorted(set(self._unsynced.values()))])
            self._write(self._tell, f"{line}\n".encode())
            if self._stop not in (place, (ANY, self._turns.total())):
                return
            if self._late:
                threading.Timer(self._late, _die).start()
            else:
                _die()

    # --- what is patched -------------------------------------------------------------------

    def _on_disk(
        self, name: str, call: Callable[..., Any], folders: tuple[int, ...]
    ) -> Callable[..., Any]:
        def patched(*arguments: Any, **options: Any) -> Any:
            paths = [os.fspath(one) for one in arguments if isinstance(one, str | os.PathLike)]
            shown = "".join(f" {os.path.basename(path)}" for path in paths)
            self.passed(f"{name}{shown}")
            result = call(*arguments, **options)
            for index in folders:
                self._wrote(os.path.dirname(os.path.abspath(paths[index])))
            if name in ("write", "pwrite", "ftruncate"):
                self._wrote(arguments[0])
            elif name in ("fsync", "fdatasync"):
                with self._lock:
                    self._unsynced.pop(_inode(arguments[0]), None)
            return result

        return patched

    def _open(self, call: Callable[..., int]) -> Callable[..., int]:
        def patched(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if not flags & (os.O_CREAT | os.O_TRUNC):
                return call(path, flags, *arguments, **options)
            made = not os.path.lexists(path)
            self.passed(f"open {os.path.basename(os.fspath(path))}")
            descriptor = call(path, flags, *arguments, **options)
            if made:
                self._wrote(os.path.dirname(os.path.abspath(os.fspath(path))))
            return descriptor

        return patched

    def _syncfs(self, call: Callable[[int], int]) -> Callable[[int], int]:
        def patched(descriptor: int) -> int:
            self.passed("syncfs")
            result = call(descriptor)
            with self._lock:
                self._unsynced.clear()
            return result

        return patched

    def _commit(self, call: Callable[..., None]) -> Callable[..., None]:
        def patched(dialect: Any, connection: Any) -> None:
            self.passed("commit")
            call(dialect, connection)

        return patched

    def _transmit(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def patched(card: Any, protocol: int, apdu: list[int]) -> Any:
            command = bytes(apdu)
            self.passed(f"apdu {'continued' if self._chained else describe(command)}")
            self._chained = bool(command[0] & CHAINING)
            return call(card, protocol, apdu)

        return patched

    def _ask(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def patched(process: Any, doing: str, operation: str, *arguments: Any) -> Any:
            self.passed(f"module {operation}")
            return call(process, doing, operation, *arguments)

        return patched

    def _wrote(self, target: str | int) -> None:
        with self._lock:
            path = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else target
            self._unsynced[_inode(target)] = _DRAWN.sub("*", os.path.basename(path))


def describe(apdu: bytes) -> str:
    """An APDU's header as one word of hexadecimal, for CTAP the command too; never its data."""
    text = apdu[:HEADER].hex()
    if len(apdu) > HEADER + 1 and (apdu[0] & ~CHAINING, apdu[1]) == CTAP:
        text += f" ctap-{apdu[HEADER + (3 if apdu[HEADER] == 0 else 1)]:x}"  # long or short length
    return text


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _inode(target: str | int) -> tuple[int, int]:
    found = os.stat(target)
    return found.st_dev, found.st_ino
