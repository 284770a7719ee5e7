"""The FIDO2 authenticator of a virtual token: CTAP 2.1, a file a chapter of the standard.

The standard is "Client to Authenticator Protocol (CTAP)", Proposed Standard of 2021-06-15 with
errata of 2022-06-21, called "CTAP 2.1" in this package; WebAuthn Level 2 for what is signed, and
"FIDO U2F Raw Message Formats" 1.2 for CTAP1. `authenticator.CtapAuthenticator` is the whole of it
as one function from message to answer, whatever the transport.
"""
