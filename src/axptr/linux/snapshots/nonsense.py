"""What is raised in a machine that came from a file: whether it is the file that makes no sense.

Loading proves what a file is made of: classes, names, places, sizes. Whether a value is of the kind that its owner
wants is found where it is used, as what Python raises of a wrong one. Of that is left out what is not the file's: what
functions of the user's raised (of a policy, a tree, `done`), and what a verb says of its own arguments.

Failure: none.
"""

from __future__ import annotations

import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

_OF_VALUES = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, AssertionError, struct.error)
_OF_ARGUMENTS = (LookupError, TypeError, ValueError, ArithmeticError)
_VERBS = frozenset(
    "axptr.linux." + name for name in ("system", "process", "arguments", "streams", "machine", "snapshots.face")
)
"""Where arguments of the user's are judged."""


def of_file(failure: BaseException, told: bool) -> bool:
    """Whether a failure that came out of a verb of such a machine is its file's. told: the verb has arguments."""
    if not isinstance(failure, _OF_VALUES):
        return False
    where: TracebackType | None = failure.__traceback__
    last = ""
    while where is not None:
        name = where.tb_frame.f_globals.get("__name__", "")
        home = str(name).partition(".")[0]
        if home == "axptr":
            last = str(name)
        elif home not in sys.stdlib_module_names:
            return False
        where = where.tb_next
    return not told or last not in _VERBS or not isinstance(failure, _OF_ARGUMENTS)
