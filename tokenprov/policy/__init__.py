"""The rules of a station: what may be done, by whom, and who must have agreed.

language    a policy as a file: a table for each rule that holds
rule        what every rule has         people_rules, token_rules, parity   the rules
load        from a file, and the one that a station goes by
act         what is to be done, and the clearance for it
acting      what the rules have against an act
made        and against what a profile makes
waivers     rules that are broken on purpose, until a last day
enforce     asked before acting
"""

from tokenprov.policy.act import Act, Agreement, Clearance, Evidence
from tokenprov.policy.enforce import NOBODY, enforce
from tokenprov.record.request import Action

__all__ = ["NOBODY", "Act", "Action", "Agreement", "Clearance", "Evidence", "enforce"]
