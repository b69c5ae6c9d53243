"""CPUs that run user code over an `AddrSpace`: `UnicornEngine`, which needs `pip install 'axptr[run]'`, emulates one;
`NativeEngine` is the host's own, in a confined process."""

from __future__ import annotations

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


def __getattr__(name: str) -> object:
    """Each is loaded where it is named: a run has one engine."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = __import__(f"{__name__}.{_HOMES.get(name, 'engine')}", fromlist=[name])
    found = globals()[name] = getattr(home, name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
