"""mseal(2): memory that nothing may change any more until the program ends. Source: mm/mseal.c of Linux 6.18.

Ranges that are sealed stay mapped as they are, so that a list of them is all there is to keep (`Mm.sealed`); the calls
that would change memory ask `require_unsealed`.
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from ...kernel.abi import c_size_t, c_ulong
from ..mem.vma import PAGE, page_up, pieces
from ..registry import call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask


@call("mseal")
def sys_mseal(task: LinuxTask, start: c_ulong, length: c_size_t, flags: c_ulong) -> int:
    """ENOMEM for a hole in the range, and nothing is sealed."""
    if flags or start & (PAGE - 1):
        raise LinuxError(errno.EINVAL)
    size = page_up(length)
    end = start + size
    if size >= 1 << 64 or end >= 1 << 64:
        raise LinuxError(errno.EINVAL)
    if end == start:
        return 0
    at = start
    for begin, stop, _ in pieces(task, start, end):
        if begin > at:
            break
        at = stop
    if at < end:
        raise LinuxError(errno.ENOMEM)
    task.mm.sealed = (*task.mm.sealed, (start, end))
    return 0
