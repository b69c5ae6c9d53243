"""`UnicornEngine`: user code run by the Unicorn library.

The library is found without importing its Python binding, which costs more than all the rest of a short run.
The CPU itself, with everything that happens between two exits, is compiled: `axptr._core.unicorn`.

Left out by the library, and so by this engine: AVX (a program is told so by `cpuid`), faults for misaligned
SSE operands, segment selectors other than zero, 32-bit code. After `in` and `out`, which no program may use,
the rest of the basic block has run when exception 13 is reported; `rip` is exact.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING, Self

from .._core.unicorn import UnicornCpu
from ..errors import LinuxError
from ..flags import MappingFlags
from .engine import Exit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._core.phys import PhysMemory

_FAULT_NOMEM = 6

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


class UnicornEngine(UnicornCpu):
    """An x86-64 CPU over `phys`, in user mode, registers as a new program finds them.

    See `axptr.engine.Engine` for the contract. Raises `ImportError` if Unicorn is not installed.
    """

    def __new__(cls, phys: PhysMemory) -> Self:
        return super().__new__(cls, phys, library_path())

    def run(self, timeout: float | None = None) -> Exit:
        """Run the guest until it faults, raises an exception of the CPU, is stopped or `timeout` seconds have
        passed.

        Raises `RuntimeError` without a space or a handler, or if it is running already; `ValueError` for a
        negative timeout; and what a handler, a page's function or a signal's handler raised.
        """
        kind, rip, what, access, code = self._run(timeout)
        if kind == "fault":
            wanted = MappingFlags(access)
            assert self.space is not None
            fault: LinuxError
            if code == _FAULT_NOMEM:
                fault = LinuxError(errno.ENOMEM, f"no memory for the page at {what:#x}")
            else:
                fault = self.space.fault(what, wanted, size=0)
            return Exit(kind, rip, address=what, access=wanted, fault=fault)
        if kind == "exception":
            vector, rip = self._as_delivered(what, rip)
            self.reg_write("rip", rip)
            return Exit(kind, rip, vector=vector)
        return Exit(kind, rip)

    def _as_delivered(self, vector: int, rip: int) -> tuple[int, int]:
        """Vector and rip as a kernel with Linux' interrupt gates sees them.

        The library takes `int n` at its word; and for some instructions it has an invalid opcode where a CPU
        has another fault.
        """
        code = self._peek(rip, 3)
        if vector == 6 and code[:1] == b"\xf1":
            vector, rip = 1, rip + 1  # int1: a trap
        elif vector == 6 and (code[:2] in (b"\x0f\x33", b"\x0f\x07") or code == b"\x48\x0f\x07"):
            vector = 13  # rdpmc, sysret
        elif vector not in (3, 4, 0x80) and self._peek(rip - 2, 2) == bytes((0xCD, vector)):
            if vector != 0 or not _divides(self._peek(rip, 15)):
                vector, rip = 13, rip - 2
        elif vector not in _SELF_MADE:
            vector = 13
        return vector, rip

    def _peek(self, vaddr: int, size: int) -> bytes:
        """The bytes there, fewer or none at the end of a mapping."""
        buffer = bytearray(size)
        assert self.space is not None
        if not 0 <= vaddr < 1 << 64:
            return b""
        done = self.space.read_into(vaddr, buffer)
        return bytes(buffer[:done])


def _divides(code: bytes) -> bool:
    """Whether this is `div` or `idiv`, after any prefixes."""
    code = code.lstrip(bytes((0x66, 0x67, 0xF2, 0xF3, 0x2E, 0x36, 0x3E, 0x26, 0x64, 0x65, *range(0x40, 0x50))))
    return len(code) > 1 and code[0] in (0xF6, 0xF7) and code[1] >> 3 & 7 in (6, 7)
