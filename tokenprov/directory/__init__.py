"""Where credentials are registered.

relying_party  a WebAuthn relying party of the station's own
credential     what it keeps of a credential, on disk
marks          credentials by which tokens without a serial are known again
"""

from tokenprov.directory.credential import CredentialRecord
from tokenprov.directory.marks import Marks
from tokenprov.directory.relying_party import Assertion, Registration, RelyingParty

__all__ = ["Assertion", "CredentialRecord", "Marks", "Registration", "RelyingParty"]
