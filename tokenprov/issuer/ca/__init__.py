"""An authority of the station's own: a real one, small.

local          `LocalCa`: implements `Issuer`
making         an authority made, self-signed or signed by another
folder         its folder: files, settings, and the lock that its writers take
keys           private keys of authorities, and how they sign
module_key     one in a PKCS#11 token
certificate    a holder's certificate, an authority's, and an OCSP responder's, built (RFC 5280)
names          alternative names: mail, UPN, and what identifies a PIV card
extensions     what a key may be used for, whose Windows account it is, where to look it up
issued         the record of what was issued, on disk
numbers        numbers of lists, which grow
lists          lists of what is revoked, whole and delta, numbered on disk
responder      answers to OCSP requests (RFC 6960)
web            all that it publishes, on HTTP
"""

from tokenprov.issuer.ca.local import LocalCa

__all__ = ["LocalCa"]
