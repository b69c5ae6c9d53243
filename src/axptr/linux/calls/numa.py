"""Where memory is to come from, and where it is: get_mempolicy(2), set_mempolicy, mbind, move_pages and their kin. A
machine has one node, 0, so that every policy does what the default does; the one that was set is told. Source:
mm/mempolicy.c, mm/migrate.c of Linux 6.18.
"""

from __future__ import annotations

import errno
from struct import pack, unpack

from ...errors import LinuxError
from ...kernel.abi import c_int, c_uint, c_ulong
from ..mem.vma import PAGE, page_up, pieces
from ..registry import call
from ..task.looking import require_look
from ..task.waiting import breathe
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


# -- of ranges, and where pages are: all are on the one node

_STRICT, _MOVE, _MOVE_ALL = 1, 2, 4


@call("mbind")
def sys_mbind(
    task: LinuxTask, start: c_ulong, length: c_ulong, mode: c_ulong, mask: ConstBytes, most: c_ulong, flags: c_uint
) -> int:
    """What a range is told changes nothing, and is told by nobody (get_mempolicy)."""
    _check_flags(mode)
    nodes = _nodes(task, mask, most)
    if flags & ~(_STRICT | _MOVE | _MOVE_ALL):
        raise LinuxError(errno.EINVAL)
    if flags & _MOVE_ALL:
        raise LinuxError(errno.EPERM)
    end = _range(start, length)
    if end == start:
        return 0
    _check(mode, nodes)
    if mode & ~_MODE_FLAGS != MPOL_DEFAULT or flags & _STRICT == 0:
        _require_whole(task, start, end, holes=mode & ~_MODE_FLAGS == MPOL_DEFAULT)
    return 0


def _check_flags(mode: int) -> None:
    """sanitize_mpol_flags."""
    flags, mode = mode & _MODE_FLAGS, mode & 0xFFFF_FFFF & ~_MODE_FLAGS
    if mode > MPOL_WEIGHTED or (flags & _STATIC and flags & _RELATIVE):
        raise LinuxError(errno.EINVAL)
    if flags & _BALANCING and mode not in (MPOL_BIND, MPOL_PREFERRED_MANY):
        raise LinuxError(errno.EINVAL)


def _range(start: int, length: int) -> int:
    """Where it ends. EINVAL for one that is none."""
    if start & (PAGE - 1):
        raise LinuxError(errno.EINVAL)
    end = start + page_up(length)
    if end >= 1 << 64:
        raise LinuxError(errno.EINVAL)
    return end


def _require_whole(task: LinuxTask, start: int, end: int, *, holes: bool) -> None:
    """EFAULT for a hole, or where there is nothing but one."""
    at = start
    found = False
    for begin, stop, _ in pieces(task, start, end):
        found = True
        if begin > at and not holes:
            break
        at = stop
    if not found or (at < end and not holes):
        raise LinuxError(errno.EFAULT)


@call("set_mempolicy_home_node")
def sys_set_mempolicy_home_node(task: LinuxTask, start: c_ulong, length: c_ulong, node: c_ulong, flags: c_ulong) -> int:
    """ENOENT where no policy was set for the range, as for every range here."""
    if start & (PAGE - 1) or flags or node >= _NODES:
        raise LinuxError(errno.EINVAL)
    end = _range(start, length)
    if end == start:
        return 0
    raise LinuxError(errno.ENOENT)


def _other(task: LinuxTask, pid: int) -> LinuxTask:
    """Whose memory it is about; 0 is the caller. ESRCH, EPERM."""
    if not pid:
        return task
    other = task.machine.thread(pid)
    if other is None or other.dead:
        raise LinuxError(errno.ESRCH)
    require_look(task, other)
    return other


@call("migrate_pages")
def sys_migrate_pages(task: LinuxTask, pid: c_int, most: c_ulong, old: ConstBytes, new: ConstBytes) -> int:
    _nodes(task, old, most)
    goal = _nodes(task, new, most)
    _other(task, pid)
    if not goal:
        raise LinuxError(errno.EINVAL)
    return 0


@call("move_pages")
def sys_move_pages(
    task: LinuxTask, pid: c_int, count: c_ulong, pages: ConstBytes, nodes: ConstBytes, status: Bytes, flags: c_int
) -> int:
    """Tell where pages are, or that they are where they are to go."""
    if flags & ~(_MOVE | _MOVE_ALL):
        raise LinuxError(errno.EINVAL)
    if flags & _MOVE_ALL:
        raise LinuxError(errno.EPERM)
    other = _other(task, pid)
    for index in range(count):
        (address,) = unpack("<Q", get_bytes(task, pages.address + 8 * index, 8))
        if not nodes.is_null:
            (node,) = unpack("<i", get_bytes(task, nodes.address + 4 * index, 4))
            if not 0 <= node < _NODES:
                raise LinuxError(errno.ENODEV)
        put_user(task, status.address + 4 * index, pack("<i", _where(other, address & -PAGE)))
        breathe(task)
    return 0


def _where(task: LinuxTask, address: int) -> int:
    """The node of a page, or the error that there is none."""
    if address >= USER_END or task.space.find_area(address) is None:
        return -errno.EFAULT
    return 0 if any(task.space.presence(address, PAGE)) else -errno.ENOENT
