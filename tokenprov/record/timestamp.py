"""Time stamps on checkpoints: an authority's word that a log had so many entries by a time.

    timestamps/<size>-<number>.tsr   a TimeStampResp (RFC 3161, 2.4.2), DER, as it came

Rules:
- It is over the text of the checkpoint of so many entries: origin, size, root. No signature is in
  it, so that it counts whichever key signed, and after any of them is lost.
- The request has a nonce and asks for the certificate; an answer to another is refused (2.2).
- It is judged by roots that the auditor holds. That the authority's certificate has expired since
  is for the auditor to weigh: ask for another stamp before that.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    PKIStatus,
    TimeStampRequest,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from tokenprov.errors import ManifestError


def request_for(text: str) -> TimeStampRequest:
    """What is asked of an authority for the text of a checkpoint."""
    return (
        TimestampRequestBuilder()
        .data(text.encode())
        .hash_algorithm(HashAlgorithm.SHA256)
        .nonce(nonce=True)
        .cert_request(cert_request=True)
        .build()
    )


def read_stamp(
    answer: bytes,
    text: str,
    roots: Sequence[x509.Certificate],
    request: TimeStampRequest | None = None,
) -> datetime:
    """The time that an authority below one of `roots` vouches for.

    `request` is what it answers, where that is known. Raises ManifestError (rule `timestamp`).
    """
    try:
        response = decode_timestamp_response(answer)
        if response.status not in (PKIStatus.GRANTED, PKIStatus.GRANTED_WITH_MODS):
            raise _refused(
                f"the authority refused: {', '.join(response.status_string) or 'no why'}"
            )
        builder = VerifierBuilder() if request is None else VerifierBuilder.from_request(request)
        for root in roots:
            builder = builder.add_root_certificate(root)
        builder.build().verify_message(response, text.encode())
    except (ValueError, VerificationError) as exc:
        raise _refused(f"it does not hold: {exc}") from exc
    return response.tst_info.gen_time


def _refused(what: str) -> ManifestError:
    return ManifestError(
        f"time stamp: {what}",
        remedy="Name the root of the authority that made it (--tsa-root), or ask for another.",
        rule="timestamp",
    )
