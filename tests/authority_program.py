"""An authority behind a program, for `command:`: OpenSSL issues, and a file counts what it did.

    python -I -S authority_program.py FOLDER

FOLDER holds its key and certificate (ca.key, ca.pem). Each certificate that it made stands as
"transaction serial" in the file `issued`. The first word in the file `behave`, which is taken out,
says what else happens: `refuse`, `later`, `away`, `hang`, `die` (after it issued), `other` (the
certificate of another key), `talk` (something that is no certificate).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def openssl(folder: Path, *arguments: str, given: str = "") -> str:
    """What OpenSSL says."""
    done = subprocess.run(
        ["openssl", *arguments], input=given, cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout


def behaviour(folder: Path) -> str:
    """What is to happen this time."""
    file = folder / "behave"
    words = file.read_text().split() if file.exists() else []
    file.write_text(" ".join(words[1:]))
    return words[0] if words else ""


def issue(folder: Path, asked: dict[str, str]) -> str:
    """A new certificate for the request, noted before it is given out."""
    how = ("-CA", "ca.pem", "-CAkey", "ca.key", "-copy_extensions", "copyall", "-days", "9")
    made = openssl(folder, "x509", "-req", *how, given=asked["csr"])
    serial = openssl(folder, "x509", "-noout", "-serial", given=made).strip().partition("=")[2]
    with (folder / "issued").open("a") as file:
        file.write(f"{asked['transaction']} {serial.lower()}\n")
    return made


def main(folder: Path) -> int:
    """Do what is asked; gives the exit code."""
    asked = json.load(sys.stdin)
    with (folder / "asked").open("a") as file:
        file.write(f"{json.dumps(asked)}\n")
    if asked["action"] == "revoke":
        return 0
    match behaviour(folder):
        case "refuse":
            print("no such holder", file=sys.stderr)
            return 1
        case "later":
            print("the committee meets on Friday", file=sys.stderr)
            return 75
        case "away":
            return 69
        case "hang":
            time.sleep(60)
        case "die":
            issue(folder, asked)
            os.kill(os.getpid(), 9)
        case "other":
            sys.stdout.write((folder / "ca.pem").read_text())
            return 0
        case "talk":
            print("certificate follows")
            return 0
    sys.stdout.write(issue(folder, asked) + (folder / "ca.pem").read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
