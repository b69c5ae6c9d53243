"""CPUs that run user code over an `AddrSpace`: `UnicornEngine`, which needs `pip install 'axptr[run]'`, emulates one;
`NativeEngine` is the host's own, in a confined process."""

from __future__ import annotations

from ..named import later

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .arch import Architecture
    from .context import Context
    from .engine import Engine, ExitKind, SyscallHandler
    from .exit import Exit
    from .native import NativeEngine
    from .points import Breakpoint, Watchpoint
    from .unicorn import UnicornEngine

__all__ = [
    "Architecture", "Breakpoint", "Context", "Engine", "Exit", "ExitKind", "NativeEngine", "SyscallHandler",
    "UnicornEngine", "Watchpoint",
]  # fmt: skip


_HOMES = {
    "Architecture": "arch",
    "Breakpoint": "points",
    "Context": "context",
    "Exit": "exit",
    "NativeEngine": "native",
    "UnicornEngine": "unicorn",
    "Watchpoint": "points",
}

# Each is loaded where it is named: a run has one engine.
__getattr__, __dir__ = later(__name__, {name: _HOMES.get(name, "engine") for name in __all__})
