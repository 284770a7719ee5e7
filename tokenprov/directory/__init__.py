"""Where credentials are registered.

relying_party  a WebAuthn relying party of the station's own
credential     what it keeps of a credential, on disk
"""

from tokenprov.directory.credential import CredentialRecord
from tokenprov.directory.relying_party import Assertion, Registration, RelyingParty

__all__ = ["Assertion", "CredentialRecord", "Registration", "RelyingParty"]
