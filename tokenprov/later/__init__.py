"""What was recorded after a backup, brought into the home that was restored from it.

A copy of the manifest survived: it was handed out, or lies on a share. Rules:
- It is a whole log that continues that of the backup, by the key that signs there. Nothing is taken
  of one that does not hold, or where another key signs by now: the backup does not have it.
- Entry by entry the ledger is told what it would know: orders issued, secrets sealed, works done.
  So is the station's own authority of certificates, and a relying party of it of passkeys.
- A profile that the backup does not have is given by its file; its digest says that it is the one.
- What the manifest cannot give back is said, with what to do about it.

copy         a copy of the manifest in the place of the backup's
promised     an entry, told to the ledger
accepted     and to who accepts the certificates and passkeys that it is about
"""

from tokenprov.later.copy import Later, bring_in

__all__ = ["Later", "bring_in"]
