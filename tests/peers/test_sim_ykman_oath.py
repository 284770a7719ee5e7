"""Stock `ykman oath` on virtual tokens, with the values of the standards."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from yubikit.core import TRANSPORT
from yubikit.core.smartcard import ApduError, SmartCardConnection
from yubikit.oath import HASH_ALGORITHM, OATH_TYPE, CredentialData, OathSession

from tokenprov.sim.assembly import make_token
from tokenprov.sim.bench import VirtualBench
from tokenprov.sim.presence import TouchPolicy

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SERIAL = 30_000_001
OATH = ("ykman", "--device", str(SERIAL), "oath")
SEED = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # RFC 4226, appendix D: "12345678901234567890"

RFC_6238 = [  # appendix B: time, algorithm, length of the seed in bytes, code
    (59, HASH_ALGORITHM.SHA1, 20, "94287082"),
    (59, HASH_ALGORITHM.SHA256, 32, "46119246"),
    (59, HASH_ALGORITHM.SHA512, 64, "90693936"),
    (1111111109, HASH_ALGORITHM.SHA1, 20, "07081804"),
    (1111111109, HASH_ALGORITHM.SHA256, 32, "68084774"),
    (1111111109, HASH_ALGORITHM.SHA512, 64, "25091201"),
    (20000000000, HASH_ALGORITHM.SHA1, 20, "65353130"),
    (20000000000, HASH_ALGORITHM.SHA256, 32, "77737706"),
    (20000000000, HASH_ALGORITHM.SHA512, 64, "47863826"),
]


class Direct(SmartCardConnection):
    """yubikit's connection to a token in this process."""

    transport = TRANSPORT.USB

    def __init__(self, model: str = "yubikey-5.7.4", **options: Any) -> None:
        self.token = make_token(model, 5, **options)

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """One exchange."""
        answer = self.token.transmit(apdu)
        return answer[:-2], int.from_bytes(answer[-2:], "big")

    def close(self) -> None:
        """Nothing to close."""


def account(name: str, **changes: Any) -> CredentialData:
    """A TOTP account with the seed of the standards, or changed."""
    settings: dict[str, Any] = {
        "name": name,
        "oath_type": OATH_TYPE.TOTP,
        "hash_algorithm": HASH_ALGORITHM.SHA1,
        "secret": b"12345678901234567890",
        **changes,
    }
    return CredentialData(**settings)


def test_the_commands_of_ykman(bench: VirtualBench, run: Run) -> None:
    """Add, list, calculate, rename, protect with a password, delete and reset."""
    accounts = (*OATH, "accounts")
    run(*accounts, "add", "--oath-type", "HOTP", "counting", SEED)
    run(*accounts, "add", "--issuer", "Example", "alice", SEED)
    assert run(*accounts, "code", "counting").stdout.split() == ["counting", "755224"]
    assert run(*accounts, "code", "counting").stdout.split() == ["counting", "287082"]
    assert run(*accounts, "list").stdout.splitlines() == ["counting", "Example:alice"]
    run(*accounts, "rename", "Example:alice", "Example:bob", "--force")
    assert len(run(*accounts, "code", "--single", "bob").stdout.strip()) == 6
    run(*OATH, "access", "change", "--new-password", "a long word")
    assert run(*accounts, "list", "--password", "wrong", code=None).returncode != 0
    listed = run(*accounts, "list", "--password", "a long word").stdout
    assert listed.splitlines() == ["counting", "Example:bob"]
    run(*accounts, "delete", "counting", "--force", "--password", "a long word")
    run(*OATH, "reset", "--force")
    assert "Password protection: disabled" in run(*OATH, "info").stdout
    assert run(*accounts, "list").stdout == ""


@pytest.mark.parametrize(("time", "algorithm", "length", "code"), RFC_6238)
def test_totp_vectors(time: int, algorithm: HASH_ALGORITHM, length: int, code: str) -> None:
    """The values of RFC 6238, appendix B, eight digits, for each hash."""
    session = OathSession(Direct())
    secret = (b"1234567890" * 7)[:length]
    data = account("vector", secret=secret, hash_algorithm=algorithm, digits=8)
    credential = session.put_credential(data)
    assert session.calculate_code(credential, time).value == code
    assert session.calculate_all(time)[credential] == session.calculate_code(credential, time)


def test_a_touch_account_is_passed_over() -> None:
    """CALCULATE ALL answers neither for counting nor for touched accounts; a touch must come."""
    connection = Direct(touch=TouchPolicy.parse("never", patience=0.05))
    session = OathSession(connection)
    touched = session.put_credential(account("touched"), touch_required=True)
    counting = session.put_credential(account("counting", oath_type=OATH_TYPE.HOTP, counter=1))
    codes = session.calculate_all(59)
    assert (codes[touched], codes[counting]) == (None, None)
    with pytest.raises(ApduError) as refused:
        session.calculate_code(touched, 59)
    assert refused.value.sw == 0x6982
    assert session.calculate_code(counting).value == "287082"  # RFC 4226, count 1
    connection.token.finger.policy = TouchPolicy.parse("auto")
    assert session.calculate_code(touched, 59).value == "287082"  # RFC 6238, six digits


def test_an_access_code_locks_everything() -> None:
    """Without the code only VALIDATE and RESET work; a wrong one opens nothing."""
    connection = Direct()
    session = OathSession(connection)
    session.put_credential(account("locked"))
    key = session.derive_key("word")
    session.set_key(key)
    again = OathSession(connection)
    assert again.locked
    with pytest.raises(ApduError) as refused:
        again.list_credentials()
    assert refused.value.sw == 0x6982
    with pytest.raises(ApduError):
        again.validate(bytes(16))
    with pytest.raises(ApduError):
        again.list_credentials()
    again.validate(key)
    assert [credential.name for credential in again.list_credentials()] == ["locked"]
    again.unset_key()
    assert not OathSession(connection).locked


@pytest.mark.parametrize(("model", "room"), [("yubikey-5.4.3", 32), ("yubikey-5.7.4", 64)])
def test_there_is_room_for_so_many(model: str, room: int) -> None:
    """32 accounts before firmware 5.7 and 64 from it; their answers span several responses."""
    connection = Direct(model)
    session = OathSession(connection)
    for number in range(room):
        session.put_credential(account(f"account-number-{number}"))
    with pytest.raises(ApduError) as refused:
        session.put_credential(account("one too many"))
    assert refused.value.sw == 0x6A84
    session.put_credential(account("account-number-0"))  # replaces
    assert len(session.calculate_all(59)) == room
    session.protocol.configure(session.version, force_short=True)
    assert len(session.list_credentials()) == room


def test_resets_give_another_identity() -> None:
    """After RESET the device's identifier differs and nothing is left."""
    session = OathSession(Direct())
    session.put_credential(account("gone"))
    before = session.device_id
    session.reset()
    assert session.device_id != before
    assert session.list_credentials() == []


@pytest.mark.parametrize(
    ("command", "sw"),
    [
        ("00010000 03 7101", 0x6700),
        ("00010000 03 710241", 0x6A80),  # a length that lies
        ("00010000 05 7103414243", 0x6A80),  # no key
        ("00010000 17 710141 7312 2106 000102030405060708090a0b0c0d0e0f", 0x9000),
        ("00010000 17 710141 7312 2109 000102030405060708090a0b0c0d0e0f", 0x6A80),  # nine digits
        ("00010000 17 710141 7312 2406 000102030405060708090a0b0c0d0e0f", 0x6A80),  # no such hash
        ("00020000 03 710142", 0x6984),  # no such account
        ("00040000", 0x6A86),  # reset without its parameters
        ("00a30000 0d 7508 0102030405060708 740101", 0x6984),  # no code is set
        ("00ff0000", 0x6D00),
        ("80a10000", 0x6E00),
    ],
)
def test_wrong_commands(command: str, sw: int) -> None:
    """What is malformed or not there is refused with the protocol's status words."""
    token = make_token("yubikey-5.7.4", 5)
    token.transmit(bytes.fromhex("00a4040007a0000005272101"))
    assert int.from_bytes(token.transmit(bytes.fromhex(command))[-2:], "big") == sw
