"""The Linux personality: x86-64 programs, their processes and threads.

`create_process(...)` loads a program into a machine of its own, `Process.run()` runs it; see `api`. `Linux(...)` is a
machine for many programs; see `system`. The rest of the package is one file for each family of system calls.
"""

from ..named import later
from .api import (
    Death,
    Linux,
    Process,
    ProgramError,
    Result,
    create_process,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .fs.given import Tree, TreeStat
    from .fs.overlay import Change, Overlay
    from .fs.shape import HostDir, Tmpfs
    from .fs.system import SystemTree
    from .policy import Denied, Fake, Policy, Refuse, RuleError, Rules
    from .snapshots.snapshot import MachineSnapshot
    from .streams import DEVNULL, PIPE, STDOUT

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "Change",
    "Death",
    "Denied",
    "Fake",
    "HostDir",
    "Linux",
    "MachineSnapshot",
    "Overlay",
    "Policy",
    "Process",
    "ProgramError",
    "Refuse",
    "Result",
    "RuleError",
    "Rules",
    "SystemTree",
    "Tmpfs",
    "Tree",
    "TreeStat",
    "create_process",
]

_LATER = {
    "Change": "fs.overlay",
    "DEVNULL": "streams",
    "HostDir": "fs.shape",
    "MachineSnapshot": "snapshots.snapshot",
    "Overlay": "fs.overlay",
    "Denied": "policy",
    "Fake": "policy",
    "PIPE": "streams",
    "Policy": "policy",
    "Refuse": "policy",
    "RuleError": "policy",
    "Rules": "policy",
    "STDOUT": "streams",
    "SystemTree": "fs.system",
    "Tmpfs": "fs.shape",
    "Tree": "fs.given",
    "TreeStat": "fs.given",
}

__getattr__, __dir__ = later(__name__, _LATER)
