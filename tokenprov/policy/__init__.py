"""The rules of a station: what may be done, by whom, and who must have agreed.

act         what is to be done, and the clearance for it
enforce     asked before acting
"""

from tokenprov.policy.act import Act, Clearance
from tokenprov.policy.enforce import enforce
from tokenprov.record.request import Action

__all__ = ["Act", "Action", "Clearance", "enforce"]
