"""A plain PIV card: SP 800-73-4 as another hand has written it, sharing nothing with `piv`.

It is what cards of cheap deliveries are: blank (no CHUID, no CCC, no discovery object), a 3DES
management key, five tries of the PIN and ten of the PUK, RSA 2048 and P-256 only, containers of the
sizes in SP 800-73-4 part 1, table 8. Rules in which it differs from the other virtual card:

- VERIFY knows no P1 of FF, and a second SELECT keeps the security status (part 2, 3.1.1).
- A slot without a key is 6A88, a wrong algorithm 6A86, an object that is not there 6A82.
- The management key takes five wrong answers in a row and is then closed for good (6983).
- There is no command beyond the standard: 6D00.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from tokenprov.sim.apdu import SW, Command, Refusal
from tokenprov.sim.applet import Body
from tokenprov.sim.models import Model

PIN, PUK, ADMIN = 0x80, 0x81, 0x9B
SLOTS = (0x9A, 0x9C, 0x9D, 0x9E)
WITHOUT_PIN, EACH_TIME = 0x9E, 0x9C
TRIPLE_DES, RSA2048, P256 = 0x03, 0x07, 0x11
ADMIN_TRIES = 5
FACTORY = {PIN: (b"123456\xff\xff", 5), PUK: (b"12345678", 10)}
PIN_TO_READ = frozenset({b"\x5f\xc1\x03", b"\x5f\xc1\x08", b"\x5f\xc1\x09", b"\x5f\xc1\x21"})
CERTIFICATES = frozenset(b"\x5f\xc1" + bytes([last]) for last in (0x05, 0x0A, 0x0B, 0x01))
LARGEST = {**dict.fromkeys(CERTIFICATES, 1905), b"\x5f\xc1\x02": 3395, b"\x5f\xc1\x07": 287}
OTHERS = 1000  # bytes of every other object

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class PlainPivApplet:
    """The card's one application."""

    name = "piv"
    aid = bytes.fromhex("a000000308000010000100")

    def __init__(self, body: Body, model: Model) -> None:
        self._body = body
        self._values = {what: value for what, (value, _) in FACTORY.items()}
        self._left = {what: tries for what, (_, tries) in FACTORY.items()} | {ADMIN: ADMIN_TRIES}
        self._admin = bytes.fromhex("0102030405060708") * 3
        self._keys: dict[int, Key] = {}
        self._objects: dict[bytes, bytes] = {}
        self.power_up()

    def power_up(self) -> None:
        """Forget the security status."""
        self._pin_given = self._pin_fresh = self._is_admin = False
        self._asked: bytes | None = None  # a witness or a challenge that is out

    def select(self) -> bytes:
        """The application property template (part 2, table 3)."""
        inner = _tlv(0x4F, self.aid[5:]) + _tlv(0x79, _tlv(0x4F, self.aid[:5]))
        return _tlv(0x61, inner + _tlv(0x50, b"plain PIV"))

    def deselect(self) -> None:
        """Another application was selected."""
        self.power_up()

    def process(self, command: Command) -> bytes:
        """One command."""
        handlers: dict[int, Callable[[Command], bytes]] = {
            0x20: self._verify,
            0x24: self._change,
            0x2C: self._unblock,
            0x47: self._generate,
            0x87: self._authenticate,
            0xCB: self._get,
            0xDB: self._put,
        }
        handler = handlers.get(command.ins)
        if handler is None:
            raise Refusal(SW.INVALID_INSTRUCTION)
        try:
            return handler(command)
        finally:
            self._body.save()

    # --- PIN and PUK -----------------------------------------------------------------------

    def _verify(self, command: Command) -> bytes:
        if command.p1 != 0:
            raise Refusal(SW.WRONG_P1P2)
        if command.p2 != PIN:
            raise Refusal(SW.REFERENCE_NOT_FOUND)
        if not command.data:
            if not self._pin_given:
                raise self._wrong(PIN)
            return b""
        self._try(PIN, command.data)
        return b""

    def _change(self, command: Command) -> bytes:
        if command.p2 not in FACTORY:
            raise Refusal(SW.REFERENCE_NOT_FOUND)
        old, new = _halves(command.data)
        self._try(command.p2, old)
        self._values[command.p2] = new
        return b""

    def _unblock(self, command: Command) -> bytes:
        if command.p2 != PIN:
            raise Refusal(SW.REFERENCE_NOT_FOUND)
        puk, new = _halves(command.data)
        self._try(PUK, puk)
        self._values[PIN], self._left[PIN] = new, FACTORY[PIN][1]
        return b""

    def _try(self, what: int, value: bytes) -> None:
        if len(value) != 8:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        if what == PIN:
            self._pin_given = self._pin_fresh = False
        if not self._left[what]:
            raise self._wrong(what)
        self._left[what] -= 1
        if not hmac.compare_digest(value, self._values[what]):
            raise self._wrong(what)
        self._left[what] = FACTORY[what][1]
        if what == PIN:
            self._pin_given = self._pin_fresh = True

    def _wrong(self, what: int) -> Refusal:
        left = self._left[what]
        return Refusal(SW.VERIFY_FAILED | left if left else SW.AUTH_METHOD_BLOCKED)

    # --- management key and keys -----------------------------------------------------------

    def _authenticate(self, command: Command) -> bytes:
        fields = _template(0x7C, command.data)
        if command.p2 == ADMIN:
            return self._administrate(command.p1, fields)
        if command.p2 not in SLOTS or command.p2 not in self._keys:
            raise Refusal(SW.REFERENCE_NOT_FOUND)
        key = self._keys[command.p2]
        if command.p1 != _algorithm(key):
            raise Refusal(SW.WRONG_P1P2)
        given = self._pin_fresh if command.p2 == EACH_TIME else self._pin_given
        if command.p2 != WITHOUT_PIN and not given:
            raise Refusal(SW.SECURITY_NOT_SATISFIED)
        self._pin_fresh = False
        inputs = {tag: value for tag, value in fields.items() if tag != 0x82}
        if fields.get(0x82) != b"" or len(inputs) != 1 or not inputs.keys() <= {0x81, 0x85}:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        ((tag, value),) = inputs.items()
        return _tlv(0x7C, _tlv(0x82, _use(key, value) if tag == 0x81 else _agree(key, value)))

    def _administrate(self, algorithm: int, fields: dict[int, bytes]) -> bytes:
        if algorithm != TRIPLE_DES:
            raise Refusal(SW.WRONG_P1P2)
        if not self._left[ADMIN]:
            raise Refusal(SW.AUTH_METHOD_BLOCKED)
        asked, self._asked = self._asked, None
        if fields == {0x80: b""}:
            self._asked = self._body.random(8)
            return _tlv(0x7C, _tlv(0x80, self._encrypted(self._asked)))
        if fields == {0x81: b""}:
            self._asked = self._body.random(8)
            return _tlv(0x7C, _tlv(0x81, self._asked))
        self._is_admin = False
        self._left[ADMIN] -= 1
        if asked is None:
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        if fields.keys() == {0x82}:
            self._admit(fields[0x82], self._encrypted(asked))
            return b""
        if 0x80 in fields and len(fields.get(0x81, b"")) == 8:
            self._admit(fields[0x80], asked)
            return _tlv(0x7C, _tlv(0x82, self._encrypted(fields[0x81])))
        raise Refusal(SW.INCORRECT_PARAMETERS)

    def _admit(self, shown: bytes, right: bytes) -> None:
        if not hmac.compare_digest(shown, right):
            raise Refusal(SW.SECURITY_NOT_SATISFIED)
        self._left[ADMIN], self._is_admin = ADMIN_TRIES, True

    def _encrypted(self, block: bytes) -> bytes:
        encryptor = Cipher(TripleDES(self._admin), modes.ECB()).encryptor()
        return encryptor.update(block) + encryptor.finalize()

    def _generate(self, command: Command) -> bytes:
        if command.p2 not in SLOTS:
            raise Refusal(SW.WRONG_P1P2)
        if not self._is_admin:
            raise Refusal(SW.SECURITY_NOT_SATISFIED)
        fields = _template(0xAC, command.data)
        if fields == {0x80: bytes([P256])}:
            curve = ec.generate_private_key(ec.SECP256R1())
            self._keys[command.p2] = curve
            point = curve.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            return _tlv(0x7F49, _tlv(0x86, point))
        if fields == {0x80: bytes([RSA2048])}:
            factors = rsa.generate_private_key(65537, 2048)
            self._keys[command.p2] = factors
            modulus = factors.public_key().public_numbers().n.to_bytes(256)
            return _tlv(0x7F49, _tlv(0x81, modulus) + _tlv(0x82, b"\x01\x00\x01"))
        raise Refusal(SW.INCORRECT_PARAMETERS)

    # --- objects ---------------------------------------------------------------------------

    def _get(self, command: Command) -> bytes:
        if (command.p1, command.p2) != (0x3F, 0xFF) or command.data[:1] != b"\x5c":
            raise Refusal(SW.WRONG_P1P2)
        name = command.data[2:]
        if name in PIN_TO_READ and not self._pin_given:
            raise Refusal(SW.SECURITY_NOT_SATISFIED)
        if name not in self._objects:
            raise Refusal(SW.FILE_NOT_FOUND)
        return _tlv(0x53, self._objects[name])

    def _put(self, command: Command) -> bytes:
        if not self._is_admin:
            raise Refusal(SW.SECURITY_NOT_SATISFIED)
        fields = dict(_tlvs(command.data))
        if fields.keys() != {0x5C, 0x53} or fields[0x5C][:2] != b"\x5f\xc1":
            raise Refusal(SW.INCORRECT_PARAMETERS)
        if len(fields[0x53]) > LARGEST.get(fields[0x5C], OTHERS):
            raise Refusal(SW.NO_SPACE)
        self._objects[fields[0x5C]] = fields[0x53]
        return b""

    # --- lasting state ---------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """The lasting state."""
        return {
            "values": {f"{what:02x}": value.hex() for what, value in self._values.items()},
            "left": {f"{what:02x}": left for what, left in self._left.items()},
            "admin": self._admin.hex(),
            "keys": {
                f"{slot:02x}": key.private_bytes(
                    Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
                ).hex()
                for slot, key in self._keys.items()
            },
            "objects": {name.hex(): value.hex() for name, value in self._objects.items()},
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take the lasting state that `dump` gave."""
        self._values = {int(k, 16): bytes.fromhex(v) for k, v in state["values"].items()}
        self._left = {int(k, 16): left for k, left in state["left"].items()}
        self._admin = bytes.fromhex(state["admin"])
        self._keys = {int(k, 16): _load(bytes.fromhex(v)) for k, v in state["keys"].items()}
        self._objects = {bytes.fromhex(k): bytes.fromhex(v) for k, v in state["objects"].items()}
        self.power_up()


def _load(pkcs8: bytes) -> Key:
    key = load_der_private_key(pkcs8, None)
    if not isinstance(key, Key):
        raise TypeError("the state holds a key of no algorithm of this card")
    return key


def _algorithm(key: Key) -> int:
    return RSA2048 if isinstance(key, rsa.RSAPrivateKey) else P256


def _use(key: Key, challenge: bytes) -> bytes:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if len(challenge) != 32:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        return key.sign(challenge, ec.ECDSA(Prehashed(SHA256())))
    numbers = key.private_numbers()
    modulus, value = numbers.public_numbers.n, int.from_bytes(challenge)
    if len(challenge) != 256 or value >= modulus:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    return pow(value, numbers.d, modulus).to_bytes(256)


def _agree(key: Key, point: bytes) -> bytes:
    """The x coordinate of the shared point (part 2, 3.2.4; exponentiation)."""
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Refusal(SW.INCORRECT_PARAMETERS)
    try:
        peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        raise Refusal(SW.INCORRECT_PARAMETERS) from None
    return key.exchange(ec.ECDH(), peer)


def _halves(data: bytes) -> tuple[bytes, bytes]:
    if len(data) != 16:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    return data[:8], data[8:]


def _tlv(tag: int, value: bytes) -> bytes:
    size = len(value)
    length = b"\x82" + size.to_bytes(2)
    if size < 0x80:
        length = bytes([size])
    elif size < 0x100:
        length = bytes([0x81, size])
    return tag.to_bytes(2 if tag > 0xFF else 1) + length + value


def _template(tag: int, data: bytes) -> dict[int, bytes]:
    outer = _tlvs(data)
    if len(outer) != 1 or outer[0][0] != tag:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    return dict(_tlvs(outer[0][1]))


def _tlvs(data: bytes) -> list[tuple[int, bytes]]:
    """TLVs with one-byte tags, which are all that commands of the standard have."""
    found = []
    while data:
        tag, size, head = data[0], data[1] if len(data) > 1 else 0, 2
        if size > 0x80:
            head = 2 + (size & 0x7F)
            size = int.from_bytes(data[2:head])
        if len(data) < head + size:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        found.append((tag, data[head : head + size]))
        data = data[head + size :]
    return found
