"""CPUs that run user code over an `AddrSpace`: `UnicornEngine`, which needs `pip install 'axptr[run]'`, emulates one;
`NativeEngine` is the host's own, in a confined process."""

from __future__ import annotations

from .arch import Architecture
from .context import Context
from .exit import Exit
from .unicorn import UnicornEngine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .engine import Engine, ExitKind, SyscallHandler
    from .native import NativeEngine

__all__ = ["Architecture", "Context", "Engine", "Exit", "ExitKind", "NativeEngine", "SyscallHandler", "UnicornEngine"]


def __getattr__(name: str) -> object:
    """What describes engines, and the second one, are loaded where they are named: a run has one engine."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "NativeEngine":
        from .native import NativeEngine

        return NativeEngine
    from . import engine

    return getattr(engine, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
