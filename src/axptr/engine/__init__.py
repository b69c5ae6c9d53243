"""CPUs that run user code over an `AddrSpace`: `UnicornEngine`, which needs `pip install 'axptr[run]'`, emulates one;
`NativeEngine` is the host's own, in a confined process."""

from __future__ import annotations

from .arch import Architecture
from .context import Context
from .exit import Exit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .engine import Engine, ExitKind, SyscallHandler
    from .native import NativeEngine
    from .unicorn import UnicornEngine

__all__ = ["Architecture", "Context", "Engine", "Exit", "ExitKind", "NativeEngine", "SyscallHandler", "UnicornEngine"]


def __getattr__(name: str) -> object:
    """What describes engines, and each engine, is loaded where it is named: a run has one."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "NativeEngine":
        from .native import NativeEngine

        return NativeEngine
    if name == "UnicornEngine":
        from .unicorn import UnicornEngine

        return UnicornEngine
    from . import engine

    return getattr(engine, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
