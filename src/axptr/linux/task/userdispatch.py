"""Calls that come back to their program as signals: syscall user dispatch, by which emulators of other systems see the
calls of what they run. Source: kernel/entry/syscall_user_dispatch.c of Linux 6.18.

Where no task asked for it, nothing of this is loaded or asked. fork and clone do not hand it on, and exec ends it.

Not here: the call (`calls.prctl`).
"""

from __future__ import annotations

from struct import pack

from ...errors import LinuxError
from ...named import NamedTuple
from ..abi.signals import SI_KERNEL, SIGSEGV, SIGSYS, Info
from ..uaccess import get_bytes
from .seccomp import end_by

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...kernel.kernel import Dispatch
    from .task import LinuxTask

_WORD = (1 << 64) - 1
_ALLOW, _BLOCK = b"\0", b"\1"
_SYS_USER_DISPATCH = 2


class Diverted(NamedTuple):
    """start, size: addresses whose calls are the kernel's, around the end of all addresses too. selector: the address
    of the byte that says of the others what becomes of them; 0: they come back."""

    start: int
    size: int
    selector: int


def diverted(task: LinuxTask, inner: Dispatch) -> Dispatch:
    """The function that answers the calls of a task that asked for it."""

    def dispatch(nr: int, a0: int, a1: int, a2: int, a3: int, a4: int, a5: int) -> int | None:
        asked = task.diverted
        if asked is None or task.engine.regs.pc - asked.start & _WORD < asked.size:
            return inner(nr, a0, a1, a2, a3, a4, a5)
        if asked.selector:
            try:
                state = get_bytes(task, asked.selector, 1)
            except LinuxError:
                end_by(task, Info(SIGSEGV, SI_KERNEL), whole=True)
                return nr
            if state == _ALLOW:
                return inner(nr, a0, a1, a2, a3, a4, a5)
            if state != _BLOCK:
                end_by(task, Info(SIGSYS, SI_KERNEL), whole=True)
                return nr
        number = (nr & 0xFFFF_FFFF ^ 1 << 31) - (1 << 31)
        raw = pack("<iii4xQiI", SIGSYS, 0, _SYS_USER_DISPATCH, task.engine.regs.pc, number, task.layouts.audit)
        task.signals.force(task, Info(SIGSYS, _SYS_USER_DISPATCH, raw=raw.ljust(48, b"\0")))
        task.engine.stop()
        return nr

    return dispatch
