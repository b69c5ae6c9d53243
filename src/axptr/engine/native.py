"""`NativeEngine`: user code run by the host's own CPU, in a confined process.

The CPU itself, with everything that happens between two exits, is compiled: `axptr._core.cpu.native.native`. See there
for how the guest is kept; `axptr.engine.Engine` has the contract.
"""

from __future__ import annotations

from .._core.cpu.native.native import NativeCpu
from ..flags import MappingFlags
from .arch import X86_64
from .context import SavesContexts
from .exit import Exit
from .faults import ReportsFaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

    from .arch import Architecture


class NativeEngine(SavesContexts, ReportsFaults, NativeCpu):
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
        return self._refused(rip, what, MappingFlags(access), 14, code)

    def _excepted(self, rip: int, vector: int, error: int) -> Exit:
        """An exception of the CPU; a fault where it was for an address that no CPU can form, which it does not tell."""
        if vector in (12, 13) and error == 0:
            from .operands import accesses, branch_target  # which few runs need

            code = self._peek(rip, 15)
            target = branch_target(code, rip, self.reg_read, self._peek)
            if target is not None and not X86_64.is_canonical(target):
                return self._refused(rip, target, MappingFlags.EXECUTE, vector)
            for access in accesses(code, rip, self.reg_read):
                if not X86_64.is_canonical(access.address):
                    wanted = MappingFlags.WRITE if access.writes else MappingFlags.READ
                    return self._refused(rip, access.address, wanted, vector)
        return Exit("exception", rip, trap=X86_64.traps.get(vector), vector=vector, error=error)
