"""The security domain of virtual tokens, by the whole of yubikit's session with it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from yubikit.core import Tlv
from yubikit.core.smartcard import ApduError, SmartCardProtocol
from yubikit.core.smartcard.scp import KeyRef, Scp03KeyParams, Scp11KeyParams, ScpKid, StaticKeys
from yubikit.securitydomain import Curve, SecurityDomainSession

from tests.secure_channels import (
    FACTORY_SCP11B,
    SERIAL,
    Wire,
    domain,
    host,
    load_scp11,
    scp11b,
    static_keys,
    wire,
)
from tokenprov.sim.assembly import make_token
from tokenprov.sim.attestation import bench_roots

DEFAULT = KeyRef(ScpKid.SCP03, 0xFF)
SELECT = "00a4040008a000000151000000"
OLD = "yubikey-5.4.3"


@pytest.fixture
def on() -> Wire:
    """A fresh YubiKey of firmware 5.7.4."""
    return wire()


def managed(on: Wire) -> SecurityDomainSession:
    """A session over SCP03 with the default keys."""
    return domain(on, Scp03KeyParams())


def refused(call: Callable[..., object], *args: object, **given: object) -> int:
    """The status word with which a call of the library is refused."""
    with pytest.raises(ApduError) as error:
        call(*args, **given)
    return error.value.sw


def status(send: Callable[..., object], *apdu: object) -> int:
    """The status word that a command gets, 9000 too."""
    try:
        send(*apdu)
    except ApduError as error:
        return error.sw
    return 0x9000


def keys(on: Wire) -> set[tuple[int, int]]:
    """Identifier and version of every key."""
    return {(ref.kid, ref.kvn) for ref in domain(on).get_key_information()}


FACTORY = {(1, 0xFF), (2, 0xFF), (3, 0xFF), (0x13, 1)}

# --- reading -------------------------------------------------------------------------------


def test_as_from_the_factory(on: Wire) -> None:
    """There are the default key set and an SCP11b key; no identifiers of authorities."""
    information = domain(on).get_key_information()
    assert {(ref.kid, ref.kvn) for ref in information} == FACTORY
    assert information[DEFAULT] == {0x88: 16}
    assert information[FACTORY_SCP11B] == {0xB1: 32, 0xF0: 1}
    assert domain(on).get_supported_ca_identifiers() == {}


def test_card_recognition_data(on: Wire) -> None:
    """GlobalPlatform 2.3.1, SCP03 with R-MAC and R-ENC, and SCP11 (GPC H.2)."""
    objects = Tlv.parse_list(domain(on).get_card_recognition_data())
    assert [each.tag for each in objects] == [0x06, 0x60, 0x63, 0x64, 0x64]
    assert objects[1].value.hex() == "060a2a864886fc6b02020301"
    assert [each.value[-2] for each in objects[3:]] == [0x03, 0x11]


def test_its_certificate_is_under_the_virtual_root(on: Wire) -> None:
    """The factory's SCP11b key is certified, link by link, up to the bench's root."""
    authority, leaf = domain(on).get_certificate_bundle(FACTORY_SCP11B)
    roots = bench_roots()
    leaf.verify_directly_issued_by(authority)
    authority.verify_directly_issued_by(roots.intermediate.certificate)
    roots.intermediate.certificate.verify_directly_issued_by(roots.root.certificate)
    assert f"{SERIAL:08x}".lstrip("0") in leaf.public_bytes(Encoding.DER).hex()


def test_two_tokens_have_two_keys(on: Wire) -> None:
    """What leaves the factory as an SCP11b key is each token's own."""
    mine, other = (domain(each).get_certificate_bundle(FACTORY_SCP11B)[-1] for each in (on, wire()))
    assert mine.public_key() != other.public_key()


@pytest.mark.parametrize(
    ("apdu", "sw"),
    [
        ("00ca006600", 0x9000),
        ("80ca00e000", 0x9000),
        ("00ca004200", 0x6A88),
        ("00caff3300", 0x6A88),
        ("00cabf2106a60483021301", 0x9000),
        ("00cabf2106a60483021302", 0x6A88),
        ("00cabf2106a60483020101", 0x6A88),
        ("00cabf21", 0x6A80),
        ("00cabf2105a603830113", 0x6A80),
        ("00f20000", 0x6D00),
        ("80d80081", 0x6982),
        ("80e40000", 0x6982),
        ("80f10013", 0x6982),
        ("00e29000", 0x6982),
    ],
)
def test_what_everybody_may(on: Wire, apdu: str, sw: int) -> None:
    """Objects are read by everybody; changing anything wants a channel."""
    on.send(SELECT)
    answer, found = on.send_and_receive(bytes.fromhex(apdu))
    assert (0x9000 if found >> 8 == 0x61 else found) == sw
    assert bool(answer) == (sw == 0x9000)


def test_firmware_before_scp11() -> None:
    """Firmware 5.4.3 has key sets alone, of versions 1 to 3."""
    on = wire(OLD)
    assert keys(on) == {(1, 0xFF), (2, 0xFF), (3, 0xFF)}
    assert len(Tlv.parse_list(domain(on).get_card_recognition_data())) == 4
    session = managed(on)
    assert refused(session.generate_ec_key, KeyRef(0x13, 1)) == 0x6D00
    private = ec.generate_private_key(ec.SECP256R1())
    assert refused(session.put_key, KeyRef(0x13, 1), private) == 0x6A80
    assert refused(session.put_key, KeyRef(1, 4), static_keys()) == 0x6A80
    session.put_key(KeyRef(1, 3), static_keys())
    assert keys(on) == {(1, 3), (2, 3), (3, 3)}


# --- key sets ------------------------------------------------------------------------------


def test_the_first_key_set_replaces_the_default(on: Wire) -> None:
    """After a set of one's own the default keys open nothing; the session that put it goes on."""
    new = static_keys()
    session = managed(on)
    session.put_key(KeyRef(1, 2), new)
    assert session.get_key_information().keys() >= {KeyRef(1, 2), KeyRef(3, 2)}
    domain(on, Scp03KeyParams(keys=new))
    domain(on, Scp03KeyParams(KeyRef(1, 2), new))
    with pytest.raises(ValueError, match="Incorrect SCP"):
        managed(on)
    with pytest.raises(ValueError, match="Incorrect SCP"):
        domain(on, Scp03KeyParams(DEFAULT))


def test_three_key_sets_fit(on: Wire) -> None:
    """Sets are added and replaced, each opens; a fourth does not fit."""
    sets = {kvn: static_keys() for kvn in (1, 2, 0x7F)}
    session = managed(on)
    for kvn, new in sets.items():
        session.put_key(KeyRef(1, kvn), new)
    assert refused(session.put_key, KeyRef(1, 4), static_keys()) == 0x6A84
    assert refused(session.put_key, KeyRef(1, 2), static_keys()) == 0x6A80
    assert refused(session.put_key, KeyRef(1, 4), static_keys(), 5) == 0x6A88
    session.put_key(KeyRef(1, 4), sets[2], 2)
    for kvn, number in ((1, 1), (4, 2), (0x7F, 0x7F)):
        domain(on, Scp03KeyParams(KeyRef(1, kvn), sets[number]))
    assert {kvn for kid, kvn in keys(on) if kid == 1} == {1, 4, 0x7F}


@pytest.mark.parametrize("kvn", [0, 0x80, 0xFF])
def test_versions_that_cannot_be(on: Wire, kvn: int) -> None:
    """Key versions are 1 to 7F (GPC 11.8.2.3)."""
    session = managed(on)
    assert refused(session.put_key, KeyRef(1, kvn), static_keys()) == 0x6A80
    assert refused(session.generate_ec_key, KeyRef(0x13, kvn)) == 0x6A80


def test_a_wrong_check_value(on: Wire) -> None:
    """A key set that does not decrypt to what its check values say is not stored."""
    session = managed(on)
    part = b"\x88\x10" + bytes(16) + b"\x03abc"
    assert refused(session.protocol.send_apdu, 0x80, 0xD8, 0, 0x81, b"\x02" + part * 3) == 0x9485
    assert keys(on) == FACTORY


@pytest.mark.parametrize(
    ("p2", "data"),
    [
        (0x81, ""),
        (0x81, "02"),
        (0x81, "028810" + "00" * 16 + "03abcdef"),  # one key of three
        (0x01, "028810" + "00" * 16 + "03abcdef"),  # not as many
        (0x13, "02b120" + "00" * 32 + "f00100"),  # no check value
        (0x13, "02b11f" + "00" * 31 + "f0010000"),  # a short key
        (0x10, "02b041" + "00" * 65 + "f0010000"),  # no point
        (0x13, "02b041" + "00" * 65 + "f0010000"),  # a public key for a private one
        (0x12, "02b120" + "00" * 32 + "f0010000"),  # an identifier that is not used
    ],
)
def test_malformed_keys(on: Wire, p2: int, data: str) -> None:
    """PUT KEY refuses with 6A80 what is no key for its place, and changes nothing."""
    session = managed(on)
    assert refused(session.protocol.send_apdu, 0x80, 0xD8, 0, p2, bytes.fromhex(data)) == 0x6A80
    assert keys(on) == FACTORY


# --- keys for SCP11 ------------------------------------------------------------------------


def test_keys_are_generated_replaced_and_attested(on: Wire) -> None:
    """A generated key is the one in its certificate, and takes the place of another."""
    session = managed(on)
    for kvn in range(3, 8):
        public = session.generate_ec_key(KeyRef(0x11, kvn), replace_kvn=kvn - 1 if kvn > 3 else 0)
        assert session.get_certificate_bundle(KeyRef(0x11, kvn))[-1].public_key() == public
    assert keys(on) == FACTORY | {(0x11, 7)}
    session = managed(on)
    assert refused(session.generate_ec_key, KeyRef(0x11, 7)) == 0x6A80
    assert refused(session.generate_ec_key, KeyRef(0x11, 8), replace_kvn=3) == 0x6A88
    assert refused(session.generate_ec_key, KeyRef(0x10, 8)) == 0x6A80
    assert refused(session.generate_ec_key, KeyRef(0x13, 8), Curve.SECP384R1) == 0x9484


def test_an_imported_key_opens_scp11b(on: Wire) -> None:
    """A private key that was imported has no certificate, and opens a channel."""
    private = ec.generate_private_key(ec.SECP256R1())
    managed(on).put_key(KeyRef(0x13, 2), private)
    assert domain(on).get_certificate_bundle(KeyRef(0x13, 2)) == []
    session = domain(on, Scp11KeyParams(KeyRef(0x13, 2), private.public_key()))
    assert session.get_key_information()
    with pytest.raises(InvalidSignature):
        domain(on, Scp11KeyParams(FACTORY_SCP11B, private.public_key()))


def test_curves_that_it_has_not(on: Wire) -> None:
    """Only P-256 is known (9484, GPC 11.8.3.2)."""
    private = ec.generate_private_key(ec.SECP384R1())
    assert refused(managed(on).put_key, KeyRef(0x13, 2), private) == 0x9484
    assert refused(managed(on).put_key, KeyRef(0x10, 2), private.public_key()) == 0x9484


def test_room_for_keys_ends(on: Wire) -> None:
    """Beyond its room a key is refused with 6A84, and replacing still works."""
    session = managed(on)
    answers = [status(session.generate_ec_key, KeyRef(0x13, kvn)) for kvn in range(2, 40)]
    assert set(answers) == {0x9000, 0x6A84}
    session.generate_ec_key(KeyRef(0x13, 0x7F), replace_kvn=2)


# --- who may -------------------------------------------------------------------------------


def test_scp11b_and_c_do_not_authenticate_for_management(on: Wire) -> None:
    """Over SCP11b and SCP11c keys are not changed; over SCP11a they are."""
    params = load_scp11(managed(on), ScpKid.SCP11c, 3)
    for each in (scp11b(on), params):
        session = domain(on, each)
        assert refused(session.generate_ec_key, KeyRef(0x13, 0x7F)) == 0x6982
        assert refused(session.delete_key, kvn=3) == 0x6982
    params = load_scp11(managed(on), ScpKid.SCP11a, 4)
    session = domain(on, params)
    session.put_key(KeyRef(0x13, 0x7F), ec.generate_private_key(ec.SECP256R1()))
    session.delete_key(kvn=4)
    assert {kvn for _, kvn in keys(on)} == {0xFF, 1, 3, 0x7F}


def test_a_channel_to_another_applet_is_not_one_to_it(on: Wire) -> None:
    """Selecting the security domain ends the channel, and with it the host's authentication."""
    managed(on)
    assert refused(domain(on).generate_ec_key, KeyRef(0x13, 2)) == 0x6982


@pytest.mark.parametrize("kid", [ScpKid.SCP11a, ScpKid.SCP11c])
def test_the_host_is_known_by_its_certificates(on: Wire, kid: int) -> None:
    """Named or not, the authority is found; a host under another one is refused with 6600."""
    params = load_scp11(managed(on), kid, 3)
    domain(on, params)
    anonymous = {name: getattr(params, name) for name in ("ref", "pk_sd_ecka", "sk_oce_ecka")}
    domain(on, Scp11KeyParams(**anonymous, certificates=params.certificates))
    stranger = host("stranger")
    foreign = Scp11KeyParams(
        ref=params.ref,
        pk_sd_ecka=params.pk_sd_ecka,
        oce_ref=params.oce_ref,
        sk_oce_ecka=stranger.key,
        certificates=stranger.certificates,
    )
    assert refused(domain, on, foreign) == 0x6600


def test_a_stolen_certificate_opens_nothing(on: Wire) -> None:
    """With a host's certificates but another key, the channel's keys differ."""
    params = load_scp11(managed(on), ScpKid.SCP11a, 3)
    thief = Scp11KeyParams(
        ref=params.ref,
        pk_sd_ecka=params.pk_sd_ecka,
        oce_ref=params.oce_ref,
        sk_oce_ecka=host("thief").key,
        certificates=params.certificates,
    )
    with pytest.raises(InvalidSignature):
        domain(on, thief)


def plain(on: Wire) -> SmartCardProtocol:
    """The security domain, for commands of one's own without a channel."""
    return domain(on).protocol


def proposal(parameters: int, point: bytes, usage: int = 0x3C, length: int = 0x10) -> bytes:
    """What a host proposes for SCP11 (Amendment F 7.6.2.3)."""
    fields = Tlv(0x90, bytes([0x11, parameters])) + Tlv(0x95, bytes([usage]))
    fields += Tlv(0x80, b"\x88") + Tlv(0x81, bytes([length]))
    return Tlv(0xA6, fields) + Tlv(0x5F49, point)


POINT = (
    ec.derive_private_key(5, ec.SECP256R1())
    .public_key()
    .public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
)


def test_certificates_out_of_place(on: Wire) -> None:
    """A leaf certifies nobody, an authority's certificate opens nothing, and halves do not do."""
    params = load_scp11(managed(on), ScpKid.SCP11a, 3)
    intermediate, leaf = (each.public_bytes(Encoding.DER) for each in params.certificates)
    more, last, agree = (0x80, 0x2A, 3, 0x90), (0x80, 0x2A, 3, 0x10), (0x80, 0x82, 3, 0x11)
    send = plain(on).send_apdu
    assert refused(send, *last, intermediate) == 0x6600
    assert refused(send, *last, leaf) == 0x6600
    assert refused(send, *more, b"no certificate") == 0x6A80
    assert refused(send, 0x80, 0x2A, 9, 0x10, leaf) == 0x6A88
    assert refused(send, 0x80, 0x2A, 3, 0x11, leaf) == 0x6A86
    assert refused(send, *agree, proposal(1, POINT)) == 0x6985
    send(*more, intermediate)
    assert refused(send, *agree, proposal(1, POINT)) == 0x6985
    assert refused(send, *last, leaf) == 0x6600  # the chain was dropped with that
    send(*more, intermediate)
    send(*last, leaf)
    assert send(*agree, proposal(1, POINT))
    assert refused(send, *agree, proposal(1, POINT)) == 0x6985  # a host is shown once


@pytest.mark.parametrize(
    ("apdu", "data", "sw"),
    [
        ((0x80, 0x88, 1, 0x13), proposal(0, POINT), 0x9000),
        ((0x80, 0x88, 0, 0x13), proposal(0, POINT), 0x9000),  # version 0: the first
        ((0x80, 0x88, 2, 0x13), proposal(0, POINT), 0x6A88),
        ((0x80, 0x88, 1, 0x11), proposal(1, POINT), 0x6A88),
        ((0x80, 0x82, 1, 0x13), proposal(0, POINT), 0x6A88),
        ((0x80, 0x88, 1, 0x13), proposal(1, POINT), 0x6A80),
        ((0x80, 0x88, 1, 0x13), proposal(0, POINT, usage=0x34), 0x6A80),
        ((0x80, 0x88, 1, 0x13), proposal(0, POINT, length=0x20), 0x6A80),
        ((0x80, 0x88, 1, 0x13), proposal(0, POINT[:-1] + b"\0"), 0x6A80),
        ((0x80, 0x88, 1, 0x13), proposal(0, POINT) + b"\x00", 0x6A80),
        ((0x80, 0x88, 1, 0x13), b"", 0x6A80),
    ],
)
def test_proposals(on: Wire, apdu: tuple[int, ...], data: bytes, sw: int) -> None:
    """Only AES-128 with every protection, for the variant of the key, by a point on its curve."""
    assert status(plain(on).send_apdu, *apdu, data) == sw


def test_an_allowlist_is_for_every_certificate(on: Wire) -> None:
    """With an allowlist each certificate of a host must be on it; without one any will do."""
    session = managed(on)
    params = load_scp11(session, ScpKid.SCP11a, 3)
    assert params.oce_ref is not None
    serials = [each.serial_number for each in params.certificates]
    for allowed in ([1, 2, 3], serials[:1], serials[1:]):
        managed(on).store_allowlist(params.oce_ref, allowed)
        assert refused(domain, on, params) == 0x6640
    managed(on).store_allowlist(params.oce_ref, serials)
    domain(on, params)
    managed(on).store_allowlist(params.oce_ref, [])
    domain(on, params)


# --- data that belongs to keys -------------------------------------------------------------


def test_certificates_are_kept(on: Wire) -> None:
    """A bundle is given back as it was stored, can be removed, and goes with its key."""
    session = managed(on)
    ref = KeyRef(0x13, 2)
    session.put_key(ref, ec.generate_private_key(ec.SECP256R1()))
    bundle = [host().authority, *host().certificates]
    session.store_certificate_bundle(ref, bundle)
    assert domain(on).get_certificate_bundle(ref) == bundle
    managed(on).store_certificate_bundle(ref, [])
    assert domain(on).get_certificate_bundle(ref) == []
    session = managed(on)
    session.store_certificate_bundle(ref, bundle)
    session.put_key(ref, ec.generate_private_key(ec.SECP256R1()), replace_kvn=2)
    assert session.get_certificate_bundle(ref) == []
    head = Tlv(0xA6, Tlv(0x83, ref))
    for size, sw in ((2500, 0x9000), (2600, 0x6A84)):
        data = head + Tlv(0xBF21, Tlv(0x30, bytes(size)))
        assert status(session.protocol.send_apdu, 0, 0xE2, 0x90, 0, data) == sw


def test_identifiers_of_authorities(on: Wire) -> None:
    """Those for hosts and those for the card are told apart, each beside its key."""
    session = managed(on)
    params = load_scp11(session, ScpKid.SCP11a, 3)
    assert params.oce_ref is not None
    session.store_ca_issuer(FACTORY_SCP11B, b"an authority of cards")
    sd = domain(on)
    of_hosts, of_cards = (
        {params.oce_ref: host().identifier},
        {FACTORY_SCP11B: b"an authority of cards"},
    )
    assert sd.get_supported_ca_identifiers(kloc=True) == of_hosts
    assert sd.get_supported_ca_identifiers(klcc=True) == of_cards
    assert sd.get_supported_ca_identifiers() == of_hosts | of_cards


@pytest.mark.parametrize(
    ("data", "sw"),
    [
        ("", 0x6A80),
        ("a60483021301", 0x6A80),  # nothing to store
        ("a60483021302bf2100", 0x6A88),  # no such key
        ("a60483021301bf21020500", 0x6A80),  # no certificate
        ("a604830213017000", 0x6A88),  # an allowlist is for authorities
        ("a60c800100420411223344830213", 0x6A80),
        ("a60d8001004204112233448302 1301".replace(" ", ""), 0x6A80),  # of a host, for a card
        ("a60d80010142041122334483021301", 0x9000),
        ("a60d80010142041122334483021302", 0x6A88),
        ("a6048302130171009999", 0x6A80),
    ],
)
def test_store_data(on: Wire, data: str, sw: int) -> None:
    """STORE DATA takes one thing for one key that is there."""
    channel = managed(on).protocol
    assert status(channel.send_apdu, 0, 0xE2, 0x90, 0, bytes.fromhex(data)) == sw
    assert refused(channel.send_apdu, 0, 0xE2, 0x10, 0, bytes.fromhex(data)) == 0x6A86


# --- deleting ------------------------------------------------------------------------------


def test_deleting(on: Wire) -> None:
    """Keys go by identifier, by version, or by both; what is not there is 6A88."""
    session = managed(on)
    for ref in (KeyRef(0x11, 3), KeyRef(0x11, 4), KeyRef(0x13, 4)):
        session.generate_ec_key(ref)
    session.put_key(KeyRef(0x20, 4), host().authority.public_key())  # type: ignore[arg-type]  # it is on P-256
    session.delete_key(kid=0x11, kvn=3)
    assert keys(on) == FACTORY | {(0x11, 4), (0x13, 4), (0x20, 4)}
    session = managed(on)
    session.delete_key(kvn=4)
    assert keys(on) == FACTORY
    session = managed(on)
    assert refused(session.delete_key, kid=0x11) == 0x6A88
    assert refused(session.protocol.send_apdu, 0x80, 0xE4, 0, 0, b"\xd0\x01\x01") == 0x6A80
    assert refused(session.protocol.send_apdu, 0x80, 0xE4, 0, 0, b"") == 0x6A80
    assert refused(session.protocol.send_apdu, 0x80, 0xE4, 0, 2, b"\xd0\x01\x13") == 0x6A86


def test_the_last_key_is_not_deleted_unasked(on: Wire) -> None:
    """What would leave no key is refused with 6985 until it is asked for."""
    session = managed(on)
    session.delete_key(kid=ScpKid.SCP11b)
    assert refused(session.delete_key, kvn=0xFF) == 0x6985
    session.delete_key(kvn=0xFF, delete_last=True)
    assert keys(on) == set()
    with pytest.raises(ValueError, match="Incorrect SCP"):
        managed(on)


# --- attempts ------------------------------------------------------------------------------

WRONG = Scp03KeyParams(keys=StaticKeys(*[b"\1" * 16] * 3))


def test_the_right_key_gives_the_tries_back(on: Wire) -> None:
    """Sixty-three wrong ones, the right one, and as many again: nothing is blocked."""
    for _ in range(2):
        on.send(SELECT)
        for _ in range(63):
            assert on.send("8050ff0008" + "00" * 8) == 0x9000
        managed(on)


def test_a_blocked_key_is_refused_and_the_others_are_not(on: Wire) -> None:
    """After 64 wrong ones a key set is blocked, even for who knows it; SCP11b still opens."""
    new = static_keys()
    managed(on).put_key(KeyRef(1, 2), new)
    with pytest.raises(ValueError, match="Incorrect SCP"):
        domain(on, WRONG)
    on.send(SELECT)
    for _ in range(63):
        on.send("8050020008" + "00" * 8)
    assert on.send("8050020008" + "00" * 8) == 0x6983
    assert refused(domain, on, Scp03KeyParams(KeyRef(1, 2), new)) == 0x6983
    domain(on, scp11b(on))


def test_reset_is_blocking_every_key(on: Wire) -> None:
    """After yubikit's reset there are the default key set and a new SCP11b key, nothing else."""
    before = domain(on).get_certificate_bundle(FACTORY_SCP11B)[-1].public_key()
    session = managed(on)
    for kvn in (1, 2):
        session.put_key(KeyRef(1, kvn), static_keys())
    load_scp11(session, ScpKid.SCP11a, 3)
    load_scp11(session, ScpKid.SCP11c, 0x20)
    session.put_key(KeyRef(0x2F, 9), host().authority.public_key())  # type: ignore[arg-type]  # it is on P-256
    domain(on).reset()
    assert keys(on) == FACTORY
    assert domain(on).get_supported_ca_identifiers() == {}
    assert domain(on).get_certificate_bundle(FACTORY_SCP11B)[-1].public_key() != before
    session = managed(on)
    session.generate_ec_key(KeyRef(0x13, 2))


def test_reset_before_scp11() -> None:
    """The same on a key that knows SCP03 alone."""
    on = wire(OLD)
    managed(on).put_key(KeyRef(1, 2), static_keys())
    domain(on).reset()
    managed(on)


# --- state ---------------------------------------------------------------------------------


def test_keys_last(on: Wire) -> None:
    """Everything the security domain holds is in its state, tries that were spent too."""
    session = managed(on)
    new = static_keys()
    session.put_key(KeyRef(1, 2), new)
    params = load_scp11(session, ScpKid.SCP11a, 3)
    assert params.oce_ref is not None
    serials = [each.serial_number for each in params.certificates]
    session.store_allowlist(params.oce_ref, serials)
    on.send(SELECT)
    on.send("8050020008" + "00" * 8)
    state = json.loads(json.dumps(on.token.dump()))
    assert state["applets"]["securitydomain"]["sets"][0]["attempts"] == 63
    again = make_token("yubikey-5.7.4", SERIAL)
    again.load(state)
    assert again.dump() == state
    domain(Wire(again), params)
    domain(Wire(again), Scp03KeyParams(keys=new))


def test_keys_show_in_no_representation(on: Wire) -> None:
    """What holds keys does not print them."""
    store = on.token.secure_messaging
    assert store is not None
    managed(on)
    assert store.channel is not None
    shown = repr(store.keys.all()) + repr(store.channel.keys)
    assert "@ABC" not in shown
    assert "404142" not in shown
