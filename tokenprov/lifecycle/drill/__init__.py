"""Drills: recovery proved instead of hoped for, on holders that a seed picks; each is an entry.

    puk           the PUK in escrow opens, and unblocks a twin or is the real token's
    so-pin        the SO PIN in escrow is that of the token behind its PKCS#11 module
    break-glass   what is sealed to break-glass opens, each envelope of it
    spare         the spare answers at the relying party, and its keys sign
    replacement   a lost token is replaced, from end to end, by the station's policy
    backup        the home is backed up, restored elsewhere, and finishes an open order there

Rules:
- Who is picked follows from the seed and the holders alone: nobody picks those that work.
- What changes anything is done in a copy of the home that is thrown away, on a twin: a token that
  the caller gives, which is nobody's. No authority but the copy's own is asked.
- What was opened is shown to nobody, and its opening is an entry like any other.
- A drill that fails is recorded as such, with the reason.
"""

from tokenprov.lifecycle.drill.copy import copied, finish_open, replace_lost
from tokenprov.lifecycle.drill.escrow import open_all, open_each, try_puk, try_so_pin, unblock_twin
from tokenprov.lifecycle.drill.rehearsal import DrillKind, Result, pick, rehearse
from tokenprov.lifecycle.drill.spare import use_spare

__all__ = [
    "DrillKind",
    "Result",
    "copied",
    "finish_open",
    "open_all",
    "open_each",
    "pick",
    "rehearse",
    "replace_lost",
    "try_puk",
    "try_so_pin",
    "unblock_twin",
    "use_spare",
]
