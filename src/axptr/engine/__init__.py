"""CPUs that run user code over an `AddrSpace`. `UnicornEngine` needs `pip install 'axptr[run]'`."""

from .engine import Engine, Exit, ExitKind, SyscallHandler
from .unicorn import UnicornEngine

__all__ = ["Engine", "Exit", "ExitKind", "SyscallHandler", "UnicornEngine"]
