"""CPUs that run user code over an `AddrSpace`. `UnicornEngine` needs `pip install 'axptr[run]'`."""

from __future__ import annotations

from .arch import Architecture
from .context import Context
from .exit import Exit
from .unicorn import UnicornEngine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .engine import Engine, ExitKind, SyscallHandler

__all__ = ["Architecture", "Context", "Engine", "Exit", "ExitKind", "SyscallHandler", "UnicornEngine"]


def __getattr__(name: str) -> object:
    """What describes engines is loaded where it is named: a run has one, and needs no description."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import engine

    return getattr(engine, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
