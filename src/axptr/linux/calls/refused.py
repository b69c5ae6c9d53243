"""Calls that need a right which no container gives: modules, clocks of the machine, other kernels, swap,
quotas, tracing of the whole machine. What comes before the right is looked at is judged as on Linux, then it is EPERM.

Whoever looks for such a thing finds what it finds in a container: the errno of a process without the capability, or
with a facility that the system's owner has switched off (io_uring, landlock). Nothing of the host's is ever asked.
Source: fs/quota/quota.c, kernel/module, kernel/reboot.c, kernel/events/core.c, io_uring/io_uring.c,
security/landlock/syscalls.c of Linux 6.18.
"""

from __future__ import annotations

import errno
import os
from struct import unpack

from ...errors import LinuxError
from ...kernel.abi import c_int, c_size_t, c_uint, c_ulong
from ..fs.walk import AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW
from ..registry import call
from ..uaccess import Bytes, ConstBytes, get_bytes, read_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

_NOT_PERMITTED = errno.EPERM
_SWAP_FLAGS = 0x7_FFFF
_TYPES, _Q_SYNC = 3, 0x80_0001
_PORTS = 65_536
_PERF_FLAGS, _PERF_SIZE, _PERF_OLDEST = 0xF, 136, 64
_HANDLE_MOST = 128
_USER_MODE_ONLY = 1


def _refuse() -> int:
    raise LinuxError(_NOT_PERMITTED)


# -- the whole machine


@call("swapon")
def sys_swapon(task: LinuxTask, path: ConstBytes, flags: c_int) -> int:
    if flags & ~_SWAP_FLAGS:
        raise LinuxError(errno.EINVAL)
    return _refuse()


@call("swapoff")
def sys_swapoff(task: LinuxTask, path: ConstBytes) -> int:
    return _refuse()


@call("reboot")
def sys_reboot(task: LinuxTask, magic: c_int, magic2: c_int, command: c_uint, arg: ConstBytes) -> int:
    return _refuse()


@call("iopl")
def sys_iopl(task: LinuxTask, level: c_uint) -> int:
    if level > 3:
        raise LinuxError(errno.EINVAL)
    return _refuse() if level else 0


@call("ioperm")
def sys_ioperm(task: LinuxTask, start: c_ulong, count: c_ulong, on: c_int) -> int:
    end = (start + count) % (1 << 64)
    if end <= start or end > _PORTS:
        raise LinuxError(errno.EINVAL)
    return _refuse() if on else 0


@call("init_module")
def sys_init_module(task: LinuxTask, image: ConstBytes, size: c_ulong, options: ConstBytes) -> int:
    return _refuse()


@call("finit_module")
def sys_finit_module(task: LinuxTask, fd: c_int, options: ConstBytes, flags: c_int) -> int:
    return _refuse()


@call("delete_module")
def sys_delete_module(task: LinuxTask, name: ConstBytes, flags: c_uint) -> int:
    return _refuse()


@call("acct")
def sys_acct(task: LinuxTask, path: ConstBytes) -> int:
    return _refuse()


@call("kexec_load")
def sys_kexec_load(task: LinuxTask, entry: c_ulong, count: c_ulong, segments: ConstBytes, flags: c_ulong) -> int:
    return _refuse()


@call("kexec_file_load")
def sys_kexec_file_load(
    task: LinuxTask, fd: c_int, initrd: c_int, size: c_ulong, line: ConstBytes, flags: c_ulong
) -> int:
    return _refuse()


@call("vhangup")
def sys_vhangup(task: LinuxTask) -> int:
    return _refuse()


@call("quotactl")
def sys_quotactl(task: LinuxTask, command: c_uint, special: ConstBytes, who: c_uint, address: c_ulong) -> int:
    """No tree here counts what its users have: there is no such device."""
    if command & 0xFF >= _TYPES:
        raise LinuxError(errno.EINVAL)
    if special.is_null:
        if command >> 8 == _Q_SYNC:
            return 0
        raise LinuxError(errno.ENODEV)
    task.fs.resolve(task, AT_FDCWD, read_path(task, special))
    raise LinuxError(errno.ENOTBLK)


@call("quotactl_fd")
def sys_quotactl_fd(task: LinuxTask, fd: c_uint, command: c_uint, who: c_uint, address: c_ulong) -> int:
    task.files.get(fd)
    raise LinuxError(errno.EINVAL if command & 0xFF >= _TYPES else errno.EPERM)


# -- what the system's owner has switched off


@call("perf_event_open")
def sys_perf_event_open(task: LinuxTask, attr: ConstBytes, pid: c_int, cpu: c_int, group: c_int, flags: c_ulong) -> int:
    """kernel.perf_event_paranoid lets nobody measure."""
    if flags & ~_PERF_FLAGS:
        raise LinuxError(errno.EINVAL)
    (size,) = unpack("<I", get_bytes(task, attr.address + 4, 4))
    size = size or _PERF_OLDEST
    if size < _PERF_OLDEST or size > 4096:
        raise LinuxError(errno.E2BIG)
    get_bytes(task, attr.address, min(size, _PERF_SIZE))
    raise LinuxError(errno.EACCES)


@call("bpf")
def sys_bpf(task: LinuxTask, command: c_int, attr: ConstBytes, size: c_uint) -> int:
    """kernel.unprivileged_bpf_disabled."""
    if size > 4096:
        raise LinuxError(errno.E2BIG)
    get_bytes(task, attr.address, 1) if size else b""
    return _refuse()


@call("userfaultfd")
def sys_userfaultfd(task: LinuxTask, flags: c_int) -> int:
    """vm.unprivileged_userfaultfd is 0."""
    if flags & _USER_MODE_ONLY and flags & ~(_USER_MODE_ONLY | os.O_CLOEXEC | os.O_NONBLOCK):
        raise LinuxError(errno.EINVAL)
    return _refuse()


@call("io_uring_setup")
def sys_io_uring_setup(task: LinuxTask, entries: c_uint, params: Bytes) -> int:
    """kernel.io_uring_disabled is 2."""
    return _refuse()


@call("io_uring_enter")
def sys_io_uring_enter(
    task: LinuxTask, fd: c_uint, submit: c_uint, least: c_uint, flags: c_uint, arg: ConstBytes, size: c_size_t
) -> int:
    """There can be no descriptor of this kind."""
    if flags & ~0x7F:
        raise LinuxError(errno.EINVAL)
    task.files.get_io(fd)
    raise LinuxError(errno.EOPNOTSUPP)


@call("io_uring_register")
def sys_io_uring_register(task: LinuxTask, fd: c_int, operation: c_uint, arg: ConstBytes, count: c_uint) -> int:
    if operation & 0x7FFF_FFFF >= 37:
        raise LinuxError(errno.EINVAL)
    if fd == -1:
        return _refuse()
    task.files.get_io(fd)
    raise LinuxError(errno.EOPNOTSUPP)


@call("fanotify_init")
def sys_fanotify_init(task: LinuxTask, flags: c_uint, event_flags: c_uint) -> int:
    return _refuse()


@call("fanotify_mark")
def sys_fanotify_mark(task: LinuxTask, fd: c_int, flags: c_uint, mask: c_ulong, dirfd: c_int, path: ConstBytes) -> int:
    """There can be no descriptor of this kind."""
    if mask >> 32 or flags & ~0x7FF or flags & 0x83 not in (1, 2, 0x80):
        raise LinuxError(errno.EINVAL)
    task.files.get_io(fd)
    raise LinuxError(errno.EINVAL)


@call("landlock_create_ruleset")
def sys_landlock_create_ruleset(task: LinuxTask, attr: ConstBytes, size: c_size_t, flags: c_uint) -> int:
    raise LinuxError(errno.EOPNOTSUPP)


@call("landlock_add_rule")
def sys_landlock_add_rule(task: LinuxTask, fd: c_int, kind: c_int, attr: ConstBytes, flags: c_uint) -> int:
    raise LinuxError(errno.EOPNOTSUPP)


@call("landlock_restrict_self")
def sys_landlock_restrict_self(task: LinuxTask, fd: c_int, flags: c_uint) -> int:
    raise LinuxError(errno.EOPNOTSUPP)


@call("memfd_secret")
def sys_memfd_secret(task: LinuxTask, flags: c_uint) -> int:
    """secretmem.enable=0."""
    raise LinuxError(errno.ENOSYS)


@call("add_key")
def sys_add_key(
    task: LinuxTask, kind: ConstBytes, name: ConstBytes, payload: ConstBytes, size: c_size_t, ring: c_int
) -> int:
    """Keys would be those of the host's user: no container has them."""
    return _refuse()


@call("request_key")
def sys_request_key(task: LinuxTask, kind: ConstBytes, name: ConstBytes, info: ConstBytes, ring: c_int) -> int:
    return _refuse()


@call("keyctl")
def sys_keyctl(task: LinuxTask, operation: c_int, a: c_ulong, b: c_ulong, c: c_ulong, d: c_ulong) -> int:
    return _refuse()


# -- files by handles


@call("name_to_handle_at")
def sys_name_to_handle_at(
    task: LinuxTask, dirfd: c_int, path: ConstBytes, handle: Bytes, mount: Bytes, flags: c_int
) -> int:
    """The trees of a machine have no handles."""
    if flags & ~(0x400 | AT_EMPTY_PATH | 0x200 | 1 | 2) or (flags & 0x200 and flags & 2):
        raise LinuxError(errno.EINVAL)
    from .stat import lookup

    lookup(task, dirfd, read_path(task, path), flags & AT_EMPTY_PATH | (0 if flags & 0x400 else AT_SYMLINK_NOFOLLOW))
    raise LinuxError(errno.EOPNOTSUPP)


@call("open_by_handle_at")
def sys_open_by_handle_at(task: LinuxTask, mount: c_int, handle: ConstBytes, flags: c_int) -> int:
    size, _ = unpack("<Ii", get_bytes(task, handle.address, 8))
    if not 0 < size <= _HANDLE_MOST:
        raise LinuxError(errno.EINVAL)
    if mount != AT_FDCWD:
        task.files.get(mount)
    return _refuse()
