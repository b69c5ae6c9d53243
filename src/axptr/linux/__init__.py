"""The Linux personality: x86-64 programs, one process, one thread.

`create_process(...)` loads a program, `Process.run()` runs it; see `api`. The rest of the package is one file
for each family of system calls. Not here: threads, fork, other machines.
"""

from .api import (
    Death,
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

__all__ = [
    "Change",
    "Death",
    "HostDir",
    "Overlay",
    "Process",
    "ProgramError",
    "Result",
    "Tmpfs",
    "Tree",
    "TreeStat",
    "create_process",
]

_LATER = {
    "Change": "overlay",
    "HostDir": "shape",
    "Overlay": "overlay",
    "Tmpfs": "shape",
    "Tree": "given",
    "TreeStat": "given",
}


def __getattr__(name: str) -> object:
    """What only runs with a tree of their own need is imported when it is asked for."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"{__name__}.fs.{_LATER[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
