"""What programs of a machine may do, said by rules or by functions of Python; what was refused, and why.

`policy` has `Policy`, the whole; `rules` what a rule file says of places, commands and the network; `judged` calls as
functions see them; `audit` and `learned` the record of a run, and the rules that it needs.
"""

from __future__ import annotations

from .judged import Call, Fake, Refuse
from .policy import Denied, Policy
from .rules import RuleError, Rules

__all__ = ["Call", "Denied", "Fake", "Policy", "Refuse", "RuleError", "Rules"]
