"""arch_prctl(2): the bases of fs and gs, which C libraries set to a thread's own data."""

from __future__ import annotations

import errno
from struct import pack

from ....errors import LinuxError
from ....kernel.abi import c_int, c_ulong
from ...registry import call
from ...uaccess import USER_END, put_user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...task.task import LinuxTask

ARCH_SET_GS, ARCH_SET_FS, ARCH_GET_FS, ARCH_GET_GS = 0x1001, 0x1002, 0x1003, 0x1004
ARCH_GET_CPUID = 0x1011  # ARCH_SET_CPUID is not there: the instruction cannot be made to fault


@call("arch_prctl")
def sys_arch_prctl(task: LinuxTask, option: c_int, value: c_ulong) -> int:
    regs = task.engine.regs
    if option in (ARCH_SET_FS, ARCH_SET_GS):
        if value >= USER_END:
            raise LinuxError(errno.EPERM)
        if option == ARCH_SET_FS:
            regs.fs_base = value
        else:
            regs.gs_base = value
        return 0
    if option in (ARCH_GET_FS, ARCH_GET_GS):
        put_user(task, value, pack("<Q", regs.fs_base if option == ARCH_GET_FS else regs.gs_base))
        return 0
    if option == ARCH_GET_CPUID:
        return 1
    raise LinuxError(errno.EINVAL)
