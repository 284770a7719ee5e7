"""What an authenticator offers, by firmware and model.

| firmware | versions | news |
|---|---|---|
| 5.0, 5.1 | U2F_V2, FIDO_2_0 | hmac-secret, PIN/UV protocol one |
| 5.2, 5.3 | and FIDO_2_1_PRE | credProtect, EdDSA, credential management by command 0x41 |
| 5.4 to 5.6 | | PIN/UV protocol two; minimum PIN length and firmware version reported |
| 5.7 | and FIDO_2_1 | permissions, authenticatorConfig, large blobs, credBlob, ES384 |

Sources: the maker's authenticatorGetInfo answers in the FIDO Metadata Service (AAGUIDs
fa2b99dc…, 149a2021…, 2fc0579f…, 73bb0cd4…, 9eb7eabc…, fcc0118f…, 662ef48a…) and the YubiKey 5
Series Technical Manual. Virtual tokens of 5.7 with a serial number can do enterprise attestation,
as keys of the maker's "Enterprise Profile" can.
"""

from __future__ import annotations

from dataclasses import dataclass

from tokenprov.sim.ctap.keys import Algorithm
from tokenprov.sim.models import Model

CTAP_2_0 = (5, 0, 0)
CTAP_2_1_PREVIEW = (5, 2, 0)
PROTOCOL_TWO = (5, 4, 0)
CTAP_2_1 = (5, 7, 0)
MAX_PIN_LENGTH = 63  # bytes of UTF-8; CTAP 2.1, 6.5.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What the firmware of a token offers. Lengths are bytes, `min_pin_length` code points."""

    ctap2: bool
    ctap21: bool
    versions: tuple[str, ...]
    extensions: tuple[str, ...]
    protocols: tuple[int, ...]
    algorithms: tuple[Algorithm, ...]
    transports: tuple[str, ...]
    credential_preview: bool
    reports_firmware: bool
    enterprise_attestation: bool
    always_uv: bool  # the factory setting
    always_uv_fixed: bool  # it cannot be switched off
    min_pin_length: int
    pin_complexity: bool
    max_message: int
    capacity: int  # discoverable credentials
    certifications: dict[str, int]

    max_list: int = 8  # credentials in a list
    max_credential_id: int = 128
    max_credential_blob: int = 32
    max_large_blobs: int = 4096
    max_min_pin_rp_ids: int = 1

    @classmethod
    def of(cls, model: Model, has_serial: bool) -> Features:
        """What tokens of this model offer; `has_serial` is whether this one has a serial number."""
        version = model.version
        preview, two, new = (
            version >= CTAP_2_1_PREVIEW,
            version >= PROTOCOL_TWO,
            version >= CTAP_2_1,
        )
        versions = ["U2F_V2", "FIDO_2_0"]
        versions += ["FIDO_2_1_PRE"] * preview + ["FIDO_2_1"] * new
        extensions = ["credProtect"] * preview + ["hmac-secret"]
        extensions += ["largeBlobKey", "credBlob", "minPinLength"] * new
        algorithms = [Algorithm.ES256] + [Algorithm.EDDSA] * preview + [Algorithm.ES384] * new
        strict = new and (model.fips or model.pin_complexity)
        return cls(
            ctap2=model.has_fido2,
            ctap21=new,
            versions=tuple(versions),
            extensions=tuple(extensions),
            protocols=(2, 1) if two else (1,),
            algorithms=tuple(algorithms),
            transports=("nfc", "usb") if model.nfc_supported else ("usb",),
            credential_preview=preview,
            reports_firmware=two,
            enterprise_attestation=new and has_serial,
            always_uv=strict,
            always_uv_fixed=new and model.fips,
            min_pin_length=_min_pin_length(model),
            pin_complexity=model.pin_complexity,
            max_message=1536 if new else 1200,
            capacity=100 if new else 25,
            certifications=_certifications(model),
        )


def _min_pin_length(model: Model) -> int:
    """Code points: 6 and 8 on FIPS keys of 5.4 and 5.7, 6 on keys with PIN complexity."""
    if model.fips:
        return 8 if model.version >= CTAP_2_1 else 6
    return 6 if model.pin_complexity else 4


def _certifications(model: Model) -> dict[str, int]:
    if not model.fips:
        return {}
    cmvp = "FIPS-CMVP-3" if model.version >= CTAP_2_1 else "FIPS-CMVP-2"
    return {cmvp: 2, f"{cmvp}-PHY": 3}
