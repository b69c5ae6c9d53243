"""Where memory is to come from: get_mempolicy(2), set_mempolicy. A machine has one node, 0, so that every policy does
what the default does; the one that was set is told. Source: mm/mempolicy.c of Linux 6.18.
"""

from __future__ import annotations

import errno
from struct import pack

from ...errors import LinuxError
from ...kernel.abi import c_int, c_ulong
from ..mem.vma import PAGE
from ..registry import call
from ..uaccess import USER_END, Bytes, ConstBytes, get_bytes, put_bytes, put_user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

_NODE, _ADDR, _MEMS_ALLOWED = 1, 2, 4
MPOL_DEFAULT, MPOL_PREFERRED, MPOL_BIND, MPOL_INTERLEAVE, MPOL_LOCAL, MPOL_PREFERRED_MANY, MPOL_WEIGHTED = range(7)
_BALANCING, _RELATIVE, _STATIC = 0x2000, 0x4000, 0x8000
_MODE_FLAGS = _BALANCING | _RELATIVE | _STATIC
_NODES = 1
"""How many node numbers there are (nr_node_ids)."""


@call("get_mempolicy")
def sys_get_mempolicy(task: LinuxTask, policy: Bytes, mask: Bytes, most: c_ulong, addr: c_ulong, flags: c_ulong) -> int:
    if mask.address and most < _NODES:
        raise LinuxError(errno.EINVAL)
    if flags & ~(_NODE | _ADDR | _MEMS_ALLOWED):
        raise LinuxError(errno.EINVAL)
    value, nodes = task.kept.memory_policy
    if flags & _MEMS_ALLOWED:
        if flags & (_NODE | _ADDR):
            raise LinuxError(errno.EINVAL)
        value, nodes = MPOL_DEFAULT, 1
    elif flags & _ADDR:
        if addr >= USER_END or task.space.find_area(addr) is None:
            raise LinuxError(errno.EFAULT)
        value, nodes = MPOL_DEFAULT, 0  # of the area, for which none was set
        if flags & _NODE:
            task.space.read(addr, 1)  # brought in, as for one who touches it
    elif addr or flags & _NODE:  # the next node to interleave over, which the default policy has not
        raise LinuxError(errno.EINVAL)
    if policy.address:
        put_user(task, policy.address, pack("<i", value))
    if mask.address:
        _put_nodes(task, mask.address, nodes, most)
    return 0


def _put_nodes(task: LinuxTask, address: int, nodes: int, most: int) -> None:
    """copy_nodes_to_user: what is beyond the nodes there are is cleared first. EINVAL for more than a page."""
    size = ((most + 62) % (1 << 64) & ~63) // 8  # ALIGN(maxnode - 1, 64), which wraps
    if size > 8:
        if size > PAGE:
            raise LinuxError(errno.EINVAL)
        put_bytes(task, address + 8, bytes(size - 8))
    put_bytes(task, address, pack("<Q", nodes)[: min(size, 8)])


def _nodes(task: LinuxTask, mask: ConstBytes, most: int) -> int:
    """The set of nodes that a call names (get_nodes). EINVAL for one that there is not."""
    most -= 1
    if most == 0 or not mask.address:
        return 0
    if most < 0 or most > PAGE * 8:
        raise LinuxError(errno.EINVAL)
    nodes = int.from_bytes(get_bytes(task, mask.address, -(-most // 64) * 8), "little") & ((1 << most) - 1)
    if nodes >> _NODES:
        raise LinuxError(errno.EINVAL)
    return nodes


def _check(mode: int, nodes: int) -> None:
    flags, mode = mode & _MODE_FLAGS, mode & ~_MODE_FLAGS
    if not MPOL_DEFAULT <= mode <= MPOL_WEIGHTED or (flags & _STATIC and flags & _RELATIVE):
        raise LinuxError(errno.EINVAL)
    if flags & _BALANCING and mode not in (MPOL_BIND, MPOL_PREFERRED_MANY):
        raise LinuxError(errno.EINVAL)
    if mode in (MPOL_DEFAULT, MPOL_LOCAL):
        if nodes:
            raise LinuxError(errno.EINVAL)
    elif not nodes and (mode != MPOL_PREFERRED or flags & (_STATIC | _RELATIVE)):
        raise LinuxError(errno.EINVAL)


@call("set_mempolicy")
def sys_set_mempolicy(task: LinuxTask, mode: c_int, mask: ConstBytes, most: c_ulong) -> int:
    nodes = _nodes(task, mask, most)
    _check(mode, nodes)
    if mode == MPOL_PREFERRED and not nodes:
        mode = MPOL_LOCAL
    task.kept.memory_policy = mode, nodes
    return 0
