"""authenticatorGetInfo (CTAP 2.1, 6.4): what this authenticator is and can do now."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from tokenprov.sim.ctap.arguments import PUBLIC_KEY
from tokenprov.sim.ctap.core import Core


class Member(IntEnum):
    """Members of the answer (CTAP 2.1, 6.4)."""

    VERSIONS = 0x01
    EXTENSIONS = 0x02
    AAGUID = 0x03
    OPTIONS = 0x04
    MAX_MSG_SIZE = 0x05
    PIN_UV_AUTH_PROTOCOLS = 0x06
    MAX_CREDENTIAL_COUNT_IN_LIST = 0x07
    MAX_CREDENTIAL_ID_LENGTH = 0x08
    TRANSPORTS = 0x09
    ALGORITHMS = 0x0A
    MAX_SERIALIZED_LARGE_BLOB_ARRAY = 0x0B
    FORCE_PIN_CHANGE = 0x0C
    MIN_PIN_LENGTH = 0x0D
    FIRMWARE_VERSION = 0x0E
    MAX_CRED_BLOB_LENGTH = 0x0F
    MAX_RPIDS_FOR_SET_MIN_PIN_LENGTH = 0x10
    CERTIFICATIONS = 0x13
    REMAINING_DISCOVERABLE_CREDENTIALS = 0x14


U2F_VERSION = "U2F_V2"


def get_info(core: Core) -> dict[int, Any]:
    """The answer. Members that a firmware does not know are absent."""
    features, state = core.features, core.state
    # CTAP 2.1, 7.2.4: while alwaysUv is on there is no U2F
    versions = [v for v in features.versions if not (v == U2F_VERSION and state.always_uv)]
    info: dict[int, Any] = {
        Member.VERSIONS: versions,
        Member.EXTENSIONS: features.extensions,
        Member.AAGUID: core.aaguid,
        Member.OPTIONS: _options(core),
        Member.MAX_MSG_SIZE: features.max_message,
        Member.PIN_UV_AUTH_PROTOCOLS: features.protocols,
    }
    if features.credential_preview:
        info |= {
            Member.MAX_CREDENTIAL_COUNT_IN_LIST: features.max_list,
            Member.MAX_CREDENTIAL_ID_LENGTH: features.max_credential_id,
            Member.TRANSPORTS: features.transports,
            Member.ALGORITHMS: [
                {"alg": algorithm, "type": PUBLIC_KEY} for algorithm in features.algorithms
            ],
        }
    if features.reports_firmware:
        major, minor, patch = core.body.version
        info |= {
            Member.MIN_PIN_LENGTH: state.min_pin_length,
            Member.FIRMWARE_VERSION: major << 16 | minor << 8 | patch,
        }
    if features.certifications:
        info[Member.CERTIFICATIONS] = features.certifications
    if features.ctap21:
        info |= {
            Member.MAX_SERIALIZED_LARGE_BLOB_ARRAY: features.max_large_blobs,
            Member.MAX_CRED_BLOB_LENGTH: features.max_credential_blob,
            Member.MAX_RPIDS_FOR_SET_MIN_PIN_LENGTH: features.max_min_pin_rp_ids,
            Member.REMAINING_DISCOVERABLE_CREDENTIALS: features.capacity - len(state.credentials),
        }
        if state.force_pin_change:
            info[Member.FORCE_PIN_CHANGE] = True
    return info


def _options(core: Core) -> dict[str, bool]:
    features, state = core.features, core.state
    options = {"rk": True, "up": True, "plat": False, "clientPin": core.protected}
    if features.credential_preview:
        options["credentialMgmtPreview"] = True
    if features.ctap21:
        options |= {
            "pinUvAuthToken": True,
            "largeBlobs": True,
            "authnrCfg": True,
            "credMgmt": True,
            "setMinPINLength": True,
            "alwaysUv": state.always_uv,
            "makeCredUvNotRqd": core.make_credential_uv_not_required,
        }
    if features.enterprise_attestation:
        options["ep"] = state.enterprise_attestation
    return options
