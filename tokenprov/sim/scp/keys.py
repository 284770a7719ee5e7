"""The keys of the security domain: what kinds there are, how many, and what is left of their tries.

Rules
- A token leaves the factory with one SCP03 key set, version FF, whose keys everybody knows, and
  from firmware 5.7.2 with an SCP11b key, version 1, that it attests (maker).
- There is room for three key sets. Before SCP11 their versions were 1, 2 and 3; with it they are
  1 to 7F (maker; GPC 11.8.2.3). The first one that is put takes the place of the default set.
- Each key allows 64 failed tries in a row. Who goes on trying blocks it; when all are blocked,
  the security domain is as from the factory again (maker: this is how it is reset).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from tokenprov.sim.apdu import SW, Refusal
from tokenprov.sim.applet import Body
from tokenprov.sim.attestation import VirtualRoots, bench_roots
from tokenprov.sim.scp.attestation import attest
from tokenprov.sim.scp.primitives import KEY_BYTES, point, read_point
from tokenprov.sim.scp.wire import ANY, DEFAULT_VERSION, LAST_VERSION, KeyId, KeyRef

ATTEMPTS = 64  # maker: the host library tries 65 times to reset
MAXIMUM_KEY_SETS = 3
MAXIMUM_EC_KEYS = 24  # of all kinds together: the simulator's, the maker names no number
FIRST_SCP03 = (5, 3, 0)
FIRST_SCP11 = (5, 7, 2)
_DEFAULT_KEY = bytes(range(0x40, 0x50))  # GPC's test key, known to everybody
_FACTORY_SCP11B = KeyRef(kid=KeyId.SCP11B, kvn=1)


@dataclass(slots=True, kw_only=True)
class KeySet:
    """Three static keys for SCP03."""

    kvn: int
    enc: bytes = field(repr=False)
    mac: bytes = field(repr=False)
    dek: bytes = field(repr=False)
    attempts: int = ATTEMPTS
    blocked: bool = False


@dataclass(slots=True, kw_only=True)
class CardKey:
    """A private key for SCP11, with its certificates (DER, leaf last) and who issued them."""

    ref: KeyRef
    private: ec.EllipticCurvePrivateKey = field(repr=False)
    certificates: bytes = b""
    issuer: bytes = b""  # subject key identifier
    attempts: int = ATTEMPTS
    blocked: bool = False


@dataclass(slots=True, kw_only=True)
class HostAuthority:
    """The public key of an authority that certifies hosts (CA-KLOC); no serials means any."""

    ref: KeyRef
    public: ec.EllipticCurvePublicKey
    issuer: bytes = b""  # subject key identifier
    allowed: frozenset[int] = frozenset()  # serial numbers of certificates
    attempts: int = ATTEMPTS
    blocked: bool = False


Key = KeySet | CardKey | HostAuthority


class KeyStore:
    """All keys of one token."""

    def __init__(self, body: Body, roots: VirtualRoots | None = None) -> None:
        self.body = body
        self._roots = roots
        self.sets: dict[int, KeySet] = {}
        self.card_keys: dict[KeyRef, CardKey] = {}
        self.authorities: dict[KeyRef, HostAuthority] = {}
        self.reset()

    @property
    def has_scp11(self) -> bool:
        """Whether this firmware knows SCP11."""
        return self.body.version >= FIRST_SCP11

    @property
    def last_set_version(self) -> int:
        """The highest version number that a key set may have."""
        return LAST_VERSION if self.has_scp11 else MAXIMUM_KEY_SETS

    def all(self) -> list[Key]:
        """All of them, in the order in which they are listed."""
        return [*self.sets.values(), *self.card_keys.values(), *self.authorities.values()]

    def reset(self) -> None:
        """As from the factory."""
        key = _DEFAULT_KEY
        self.sets = {DEFAULT_VERSION: KeySet(kvn=DEFAULT_VERSION, enc=key, mac=key, dek=key)}
        self.card_keys = {}
        self.authorities = {}
        if self.has_scp11:
            self.generate(_FACTORY_SCP11B)

    # --- use -------------------------------------------------------------------------------

    def key_set(self, kvn: int) -> KeySet:
        """The SCP03 key set of that version; 0 is the first that is not blocked.

        Raises `Refusal` 6A88 when there is none.
        """
        for key in self.sets.values():
            if key.kvn == kvn or (kvn == ANY and not key.blocked):
                return key
        raise Refusal(SW.REFERENCE_NOT_FOUND)

    def card_key(self, ref: KeyRef) -> CardKey:
        """The SCP11 key; version 0 is the first of its kind. Raises `Refusal` 6A88."""
        for key in self.card_keys.values():
            if key.ref.kid == ref.kid and ref.kvn in (ANY, key.ref.kvn):
                return key
        raise Refusal(SW.REFERENCE_NOT_FOUND)

    def host_authorities(self, ref: KeyRef) -> list[HostAuthority]:
        """Those meant by a reference, in which 0 stands for any. Raises `Refusal` 6A88."""
        found = [
            key
            for key in self.authorities.values()
            if ref.kid in (ANY, key.ref.kid) and ref.kvn in (ANY, key.ref.kvn)
        ]
        if not found:
            raise Refusal(SW.REFERENCE_NOT_FOUND)
        return found

    def spend(self, key: Key) -> None:
        """Use up one of the tries that a key allows. Raises `Refusal` 6983 when none is left."""
        if key.attempts:
            key.attempts -= 1
            self.body.save()
            return
        key.blocked = True
        if all(each.blocked for each in self.all()):
            self.reset()
        self.body.save()
        raise Refusal(SW.AUTH_METHOD_BLOCKED)

    def restore(self, key: Key) -> None:
        """It was the right one: all tries are there again."""
        key.attempts = ATTEMPTS
        self.body.save()

    # --- change ----------------------------------------------------------------------------

    def put_set(self, new: KeySet, replaced: int) -> None:
        """Add a key set, or put it in place of version `replaced`. Raises `Refusal`."""
        if not 1 <= new.kvn <= self.last_set_version:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        others = {kvn: key for kvn, key in self.sets.items() if kvn != DEFAULT_VERSION}
        if replaced:
            if replaced not in self.sets:
                raise Refusal(SW.REFERENCE_NOT_FOUND)
            others.pop(replaced, None)
        if new.kvn in others:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        if len(others) >= MAXIMUM_KEY_SETS:
            raise Refusal(SW.NO_SPACE)
        self.sets = {**others, new.kvn: new}

    def put_card_key(self, new: CardKey, replaced: int) -> None:
        """Add an SCP11 key, or put it in place of version `replaced`. Raises `Refusal`."""
        self._make_room(self.card_keys, new.ref, replaced)
        self.card_keys[new.ref] = new

    def put_authority(self, new: HostAuthority, replaced: int) -> None:
        """Add an authority, or put it in place of version `replaced`. Raises `Refusal`."""
        self._make_room(self.authorities, new.ref, replaced)
        self.authorities[new.ref] = new

    def _make_room(self, keys: dict[KeyRef, Any], ref: KeyRef, replaced: int) -> None:
        old = KeyRef(kid=ref.kid, kvn=replaced)
        if not 1 <= ref.kvn <= LAST_VERSION:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        if replaced and old not in keys:
            raise Refusal(SW.REFERENCE_NOT_FOUND)
        if ref in keys and ref != old:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        if not replaced and len(self.card_keys) + len(self.authorities) >= MAXIMUM_EC_KEYS:
            raise Refusal(SW.NO_SPACE)
        keys.pop(old, None)

    def generate(self, ref: KeyRef, replaced: int = ANY) -> ec.EllipticCurvePublicKey:
        """Make an SCP11 key that the token attests. Raises `Refusal` as `put_card_key` does."""
        private = ec.generate_private_key(ec.SECP256R1())
        public = private.public_key()
        roots = self._roots or bench_roots()
        certificates = b"".join(attest(public, ref, self.body, roots))
        self.put_card_key(CardKey(ref=ref, private=private, certificates=certificates), replaced)
        return public

    def delete(self, kid: int, kvn: int, *, the_last_too: bool) -> None:
        """Delete what the reference means; 0 stands for any. Key sets go by their version alone.

        Raises `Refusal` 6A88 when there is none, 6985 when none would be left.
        """
        sets = [] if kid else [each for each in self.sets if each == kvn]
        refs = [
            ref
            for ref in (*self.card_keys, *self.authorities)
            if kid in (ANY, ref.kid) and kvn in (ANY, ref.kvn)
        ]
        if not sets and not refs:
            raise Refusal(SW.REFERENCE_NOT_FOUND)
        if len(sets) + len(refs) == len(self.all()) and not the_last_too:
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        for each in sets:
            del self.sets[each]
        for ref in refs:
            self.card_keys.pop(ref, None)
            self.authorities.pop(ref, None)

    # --- lasting state ---------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """The lasting state; it holds private keys."""
        return {
            "sets": [
                {
                    "kvn": key.kvn,
                    "keys": (key.enc + key.mac + key.dek).hex(),
                    **_tries(key),
                }
                for key in self.sets.values()
            ],
            "card_keys": [
                {
                    "ref": bytes(key.ref).hex(),
                    "private": key.private.private_numbers().private_value.to_bytes(32).hex(),
                    "certificates": key.certificates.hex(),
                    "issuer": key.issuer.hex(),
                    **_tries(key),
                }
                for key in self.card_keys.values()
            ],
            "authorities": [
                {
                    "ref": bytes(key.ref).hex(),
                    "public": point(key.public).hex(),
                    "issuer": key.issuer.hex(),
                    "allowed": [f"{serial:x}" for serial in sorted(key.allowed)],
                    **_tries(key),
                }
                for key in self.authorities.values()
            ],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take the lasting state that `dump` gave."""
        self.sets = {}
        for each in state["sets"]:
            keys = bytes.fromhex(each["keys"])
            self.sets[each["kvn"]] = KeySet(
                kvn=each["kvn"],
                enc=keys[:KEY_BYTES],
                mac=keys[KEY_BYTES : 2 * KEY_BYTES],
                dek=keys[2 * KEY_BYTES :],
                attempts=each["attempts"],
                blocked=each["blocked"],
            )
        self.card_keys = {}
        for each in state["card_keys"]:
            ref = KeyRef.parse(bytes.fromhex(each["ref"]))
            self.card_keys[ref] = CardKey(
                ref=ref,
                private=ec.derive_private_key(int(each["private"], 16), ec.SECP256R1()),
                certificates=bytes.fromhex(each["certificates"]),
                issuer=bytes.fromhex(each["issuer"]),
                attempts=each["attempts"],
                blocked=each["blocked"],
            )
        self.authorities = {}
        for each in state["authorities"]:
            ref = KeyRef.parse(bytes.fromhex(each["ref"]))
            self.authorities[ref] = HostAuthority(
                ref=ref,
                public=read_point(bytes.fromhex(each["public"])),
                issuer=bytes.fromhex(each["issuer"]),
                allowed=frozenset(int(serial, 16) for serial in each["allowed"]),
                attempts=each["attempts"],
                blocked=each["blocked"],
            )


def _tries(key: Key) -> dict[str, Any]:
    return {"attempts": key.attempts, "blocked": key.blocked}
