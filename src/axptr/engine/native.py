"""`NativeEngine`: user code run by the host's own CPU, in a confined process.

The CPU itself, with everything that happens between two exits, is compiled: `axptr._core.cpu.native.native`. See there
for how the guest is kept; `axptr.engine.Engine` has the contract.
"""

from __future__ import annotations

import errno

from .._core.cpu.native.native import NativeCpu
from .._core.words.codes import FAULT_NOMEM
from ..errors import LinuxError
from ..flags import MappingFlags
from .arch import X86_64
from .context import SavesContexts
from .exit import Exit
from .operands import accesses, branch_target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

    from .arch import Architecture


class NativeEngine(SavesContexts, NativeCpu):
    """The host's x86-64 CPU over `phys`, in user mode, registers as a new program finds them.

    ahead: how many pages a guest that writes one after the other gets at once, at most; by default none but those it
    touches.
    """

    arch: ClassVar[Architecture] = X86_64
    name: ClassVar[str] = "native"

    def run(self, timeout: float | None = None) -> Exit:
        """Run the guest until it faults, raises an exception of the CPU, is stopped or `timeout` seconds have
        passed.

        Raises `RuntimeError` without a space or a handler, or if it is running already; `ValueError` for a
        negative timeout; `OSError` where the host does not allow a confined process; and what a handler, a page's
        function or a signal's handler raised.
        """
        kind, rip, what, access, code = self._run(timeout)
        if kind == "exception":
            return self._excepted(rip, what, access)
        if kind != "fault":
            return Exit(kind, rip)
        wanted, space = MappingFlags(access), self.space
        assert space is not None
        if code == FAULT_NOMEM:
            fault = LinuxError(errno.ENOMEM, f"no memory for the page at {what:#x}")
            return Exit("fault", rip, address=what, access=wanted, fault=fault, trap="page", vector=14)
        return self._fault(rip, what, wanted, 14)

    def _excepted(self, rip: int, vector: int, error: int) -> Exit:
        """An exception of the CPU; a fault where it was for an address that no CPU can form, which it does not tell."""
        if vector in (12, 13) and error == 0:
            code = self._peek(rip, 15)
            target = branch_target(code, rip, self.reg_read, self._peek)
            if target is not None and not X86_64.is_canonical(target):
                return self._fault(rip, target, MappingFlags.EXECUTE, vector)
            for access in accesses(code, rip, self.reg_read):
                if not X86_64.is_canonical(access.address):
                    wanted = MappingFlags.WRITE if access.writes else MappingFlags.READ
                    return self._fault(rip, access.address, wanted, vector)
        return Exit("exception", rip, trap=X86_64.traps.get(vector), vector=vector, error=error)

    def _fault(self, rip: int, address: int, wanted: MappingFlags, vector: int) -> Exit:
        space = self.space
        assert space is not None
        return Exit(
            "fault",
            rip,
            address=address,
            access=wanted,
            find=lambda: space.fault(address, wanted, size=0),
            trap="page" if vector == 14 else "protection",
            vector=vector,
        )

    def _peek(self, vaddr: int, size: int) -> bytes:
        """The bytes there, fewer or none at the end of a mapping."""
        buffer = bytearray(size)
        assert self.space is not None
        if not 0 <= vaddr < 1 << 64:
            return b""
        return bytes(buffer[: self.space.read_into(vaddr, buffer)])
