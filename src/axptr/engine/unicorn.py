"""`UnicornEngine`: user code run by the Unicorn library.

The library is found without importing its Python binding, which costs more than all the rest of a short run.
The CPU itself, with everything that happens between two exits, is compiled: `axptr._core.cpu.unicorn.unicorn`.

The CPU is an Ivy Bridge without AVX, as `cpuid` says: SSE4.2, AES, PCLMULQDQ, POPCNT, RDRAND, no BMI. Left out by the
library, and so by this engine: faults for misaligned SSE operands, flags and traps of SSE and x87 exceptions, 32-bit
code. After `in` and `out`, which no program may use, the rest of the basic block has run when exception 13 is reported;
`rip` is exact.
"""

from __future__ import annotations

import os
import sys

from .._core.cpu.unicorn import uclib
from .._core.cpu.unicorn.unicorn import UnicornCpu
from .._core.words.codes import EXECUTE, READ, WRITE
from ..flags import MappingFlags
from .arch import X86_64
from .context import SavesContexts
from .exit import Exit
from .faults import ReportsFaults
from .instructions import divides, updates_memory, uses_stack_segment
from .points import StopsAtPoints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import ClassVar, Self

    from .._core.phys.phys import PhysMemory
    from .arch import Architecture
    from .branches import Branch
    from .points import Raw

# Vectors that a program can raise by itself; `int` with any other number is a protection fault, as with
# Linux' gates.
_SELF_MADE = frozenset({0, 1, 3, 4, 6, 16, 19, 0x80})


def _package() -> Iterable[str]:
    """The directories of the package: as `importlib.util.find_spec` finds them, whose import a run does not need."""
    if "unicorn" in sys.modules:
        return sys.modules["unicorn"].__path__
    for finder in sys.meta_path:
        spec = finder.find_spec("unicorn", None)
        if spec is not None:
            return spec.submodule_search_locations or ()
    return ()


def library_path() -> str:
    """Where the library of the `unicorn` package lies. Raises `ImportError`, saying what to install."""
    for folder in _package():
        path = os.path.join(folder, "lib", "libunicorn.so.2")
        if os.path.exists(path):
            return path
    raise ImportError("running programs needs the Unicorn library: pip install 'axptr[run]'")


def preload() -> None:
    """Have the library opened beside what the caller does until it makes an engine; `ImportError` if there is none.

    For a process that has no other thread, and forks none until then.
    """
    uclib.preload(library_path())


class UnicornEngine(SavesContexts, ReportsFaults, StopsAtPoints, UnicornCpu):
    """An x86-64 CPU over `phys`, in user mode, registers as a new program finds them.

    metered: whether it counts its `work`, the bytes of code that have begun to run, which is then all that runs depend
    on: `rdtsc` shows `clock_base` and the work, `rdrand` gives numbers made of `entropy`. It is slower for that.

    See `axptr.engine.Engine` for the contract. Raises `ImportError` if Unicorn is not installed.
    """

    arch: ClassVar[Architecture] = X86_64
    name: ClassVar[str] = "unicorn"

    def __new__(cls, phys: PhysMemory, *, metered: bool = False) -> Self:
        made = super().__new__(cls, phys, library_path())
        if metered:
            made._meter()
        return made

    def run(self, timeout: float | None = None, count: int | None = None, *, step: bool = False) -> Exit:
        """Run the guest until it faults, raises an exception of the CPU, comes to a point that was set, is stopped or
        `timeout` seconds have passed; or, metered, once it has done so much work: at the end of a block of code, and
        always the same one; or for one instruction.

        Raises `RuntimeError` without a space or a handler, or if it is running already; `ValueError` for a
        negative timeout or count, or a count without a meter; and what a handler, a page's function or a signal's
        handler raised.
        """
        return self._stopping(timeout, count, step)

    def _go(self, timeout: float | None, count: int | None, single: int) -> Raw:
        return self._run(timeout, count, single)

    def _settled(self, raw: Raw) -> Exit | None:
        """The exit for what the CPU came out with."""
        kind, rip, what, access, code = raw
        if kind == "fault":
            return self._faulted(rip, what, access, code)
        if kind == "exception":
            vector, rip, error = self._as_delivered(what, rip, access)
            self.reg_write("rip", rip)
            return Exit(kind, rip, trap=X86_64.traps.get(vector), vector=vector, error=error)
        return Exit(kind, rip)

    def shorten(self, timeout: float | None = None, count: int | None = None) -> None:
        """In a handler: have the run under way end in `timeout` seconds, or metered after so much more work, at the
        latest."""
        if timeout is not None:
            super().shorten(timeout)
        if count is not None:
            self._shorten(count)

    def _faulted(self, rip: int, address: int, access: int, code: int) -> Exit:
        vector = 14
        if access & EXECUTE:
            if rip == address and not X86_64.is_canonical(address):
                vector = 13
                branch = self._branch_to(address)
                if branch is not None:
                    rip = branch.rip
                    self.reg_write("rsp", branch.rsp)
                    self.reg_write("rip", rip)
        else:
            instruction = self._peek(rip, 15)
            if not X86_64.is_canonical(address):
                writes = access == WRITE
                vector = 12 if uses_stack_segment(instruction, writes) else 13
            if access == READ and updates_memory(instruction):
                access = WRITE
        return self._refused(rip, address, MappingFlags(access), vector, code)

    def _branch_to(self, target: int) -> Branch | None:
        """The jump that led to an address that is not canonical, if it can be told."""
        from .branches import branch_before, find_branch  # which few runs need

        trail, start = self._trail()
        if trail:
            return find_branch(trail, target, self.reg_read, self._peek)
        return branch_before(start, target, self.reg_read, self._peek) if start else None

    def _as_delivered(self, vector: int, rip: int, error: int) -> tuple[int, int, int]:
        """Vector, rip and error code as a kernel with Linux' interrupt gates sees them.

        The library takes `int n` at its word; and for some instructions it has an invalid opcode where a CPU
        has another fault.
        """
        code = self._peek(rip, 3)
        if vector == 6 and code[:1] == b"\xf1":
            vector, rip = 1, rip + 1  # int1: a trap
        elif vector == 6 and (code[:2] in (b"\x0f\x33", b"\x0f\x07") or code == b"\x48\x0f\x07"):
            vector = 13  # rdpmc, sysret
        elif vector not in (3, 4, 0x80) and self._peek(rip - 2, 2) == bytes((0xCD, vector)):
            if vector != 0 or not divides(self._peek(rip, 15)):
                vector, rip, error = 13, rip - 2, vector << 3 | 2
        elif vector not in _SELF_MADE:
            vector = 13
        return vector, rip, error
