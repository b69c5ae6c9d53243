"""The rows of the pointer-abuse suite: for each call with a pointer, the words of one that works (`abuse`)."""

from __future__ import annotations

from collections.abc import Callable
from struct import pack
from typing import Any

from .abuse import NO_EVENT, NONBLOCK, Count, Pointer, Row, Text, Things, numbers, out
from .caller import AT_FDCWD, NOWHERE, READ_ONLY

SIGSET = 8
_PRIVATE = 2 | 128
"""Flags of the later calls of futexes: 32 bits, private."""


def _file(*more: Any) -> Row:
    return lambda e: [Text("file"), *more]


def _at(*more: Any) -> Row:
    return lambda e: [AT_FDCWD, Text("file"), *more]


def _times() -> Pointer:
    return numbers(1000, 5, 2000, 7)


def _sigset() -> Pointer:
    return numbers(1 << 9, zeroes=True)


def _bind(e: Things) -> list[Any]:
    return [e.udp, Pointer(pack("<HHI", 2, 0, 0x0100007F) + bytes(8)), Count(16)]


def _connect(e: Things) -> list[Any]:
    return [e.unix, Pointer(pack("<H", 1) + b"nothing\0"), Count(10)]


def _header2(e: Things) -> Pointer:
    """Two struct mmsghdrs."""
    one = e.header()
    return Pointer((one.data + bytes(8)) * 2, also=[data + bytes(8) + one.data + bytes(8) for data in one.also])


def _operations() -> Pointer:
    """One more of each of two; memory that is all zeroes would wait for ever."""
    return Pointer(pack("<HhhHhh", 0, 1, 0x800, 1, 1, 0x800), zeroes=False)


def _event() -> Pointer:
    return Pointer(NO_EVENT, zeroes=False, null=False)


PATHS: dict[str, Row] = {
    "open": _file(0, 0),
    "creat": _file(0o644),
    "openat": _at(0, 0),
    "openat2": lambda e: [AT_FDCWD, Text("file"), Pointer(pack("<3Q", 0, 0, 0)), Count(24)],
    "stat": _file(out(144, hide=True)),
    "lstat": _file(out(144, hide=True)),
    "newfstatat": _at(out(144, hide=True), 0),
    "statx": _at(0, 0x7FF, out(256, hide=True)),
    "access": _file(4),
    "faccessat": _at(4),
    "faccessat2": _at(4, 0),
    "statfs": _file(out(120, hide=True)),
    "truncate": _file(60),
    "chdir": lambda e: [Text(".")],
    "rename": lambda e: [Text("file"), Text("file")],
    "renameat": lambda e: [AT_FDCWD, Text("file"), AT_FDCWD, Text("file")],
    "renameat2": lambda e: [AT_FDCWD, Text("file"), AT_FDCWD, Text("file"), 0],
    "link": lambda e: [Text("file"), Text("other")],
    "linkat": lambda e: [AT_FDCWD, Text("file"), AT_FDCWD, Text("other"), 0],
    "symlink": lambda e: [Text("file"), Text("other")],
    "symlinkat": lambda e: [Text("file"), AT_FDCWD, Text("other")],
    "mkdir": lambda e: [Text("d"), 0o755],
    "mkdirat": lambda e: [AT_FDCWD, Text("d"), 0o755],
    "rmdir": lambda e: [Text("d/e")],
    "unlink": lambda e: [Text("d/gone")],
    "unlinkat": lambda e: [AT_FDCWD, Text("d/gone"), 0],
    "mknod": lambda e: [Text("file"), 0o100644, 0],
    "mknodat": lambda e: [AT_FDCWD, Text("file"), 0o100644, 0],
    "readlink": lambda e: [Text("link"), out(16), Count(16)],
    "readlinkat": lambda e: [AT_FDCWD, Text("link"), out(16), Count(16)],
    "chmod": _file(0o644),
    "fchmodat": _at(0o644),
    "fchmodat2": _at(0o644, 0),
    "chown": _file(-1, -1),
    "lchown": _file(-1, -1),
    "fchownat": _at(-1, -1, 0),
    "utime": lambda e: [Text("file"), numbers(5, 6)],
    "utimes": lambda e: [Text("file"), _times()],
    "futimesat": lambda e: [AT_FDCWD, Text("file"), _times()],
    "utimensat": lambda e: [AT_FDCWD, Text("file"), _times(), 0],
    "inotify_add_watch": lambda e: [e.inotify, Text("file"), 2],
    "mq_open": lambda e: [Text("axptr-test-none"), 2, 0, numbers(0, 4, 16, 0)],
    "mq_unlink": lambda e: [Text("axptr-test-none")],
    "memfd_create": lambda e: [Text("name"), 0],
}


def _xattr(first: Callable[[Things], Any]) -> dict[str, Row]:
    return {
        "set": lambda e: [first(e), Text("user.a"), Pointer(b"value"), Count(5), 0],
        "get": lambda e: [first(e), Text("user.a"), out(16), Count(16)],
        "list": lambda e: [first(e), out(64), Count(64)],
        "remove": lambda e: [first(e), Text("user.none")],
    }


def _xattr_args(e: Things, value: bytes) -> bytes:
    """struct xattr_args."""
    return pack("<QII", e.script.put(value), len(value), 0)


XATTRS: dict[str, Row] = {
    prefix + verb + "xattr": row
    for prefix, first in (("", lambda e: Text("file")), ("l", lambda e: Text("file")), ("f", lambda e: e.file))
    for verb, row in _xattr(first).items()
}

XATTRS |= {
    "setxattrat": lambda e: [AT_FDCWD, Text("file"), 0, Text("user.a"), Pointer(_xattr_args(e, b"value")), Count(16)],
    "getxattrat": lambda e: [AT_FDCWD, Text("file"), 0, Text("user.a"), Pointer(_xattr_args(e, bytes(16))), Count(16)],
    "listxattrat": lambda e: [AT_FDCWD, Text("file"), 0, out(64), Count(64)],
    "removexattrat": lambda e: [AT_FDCWD, Text("file"), 0, Text("user.none")],
}

FILES: dict[str, Row] = {
    "read": lambda e: [e.file, out(16), Count(16)],
    "write": lambda e: [e.file, Pointer(b"data" * 4), Count(16)],
    "pread64": lambda e: [e.file, out(16), Count(16), 8],
    "pwrite64": lambda e: [e.file, Pointer(b"data" * 4), Count(16), 8],
    "readv": lambda e: [e.file, e.vector(), Count(2)],
    "writev": lambda e: [e.file, e.vector(), Count(2)],
    "preadv": lambda e: [e.file, e.vector(), Count(2), 8],
    "pwritev": lambda e: [e.file, e.vector(), Count(2), 8],
    "preadv2": lambda e: [e.file, e.vector(), Count(2), 8, 0, 0],
    "pwritev2": lambda e: [e.file, e.vector(), Count(2), 8, 0, 0],
    "process_vm_readv": lambda e: [e.script.call("getpid"), e.vector(), 2, e.vector(), Count(2), 0],
    "process_madvise": lambda e: [-10_000, e.vector(), Count(2), 3, 0],
    "cachestat": lambda e: [e.file, numbers(0, 0), out(40, hide=True), 0],
    "process_vm_writev": lambda e: [e.script.call("getpid"), e.vector(), 2, e.vector(), Count(2), 0],
    "vmsplice": lambda e: [e.pipe[1], e.vector(), Count(2), 2],
    "sendfile": lambda e: [e.other, e.file, numbers(8), 16],
    "splice": lambda e: [e.pipe[0], 0, e.file, numbers(8), 16, 2],
    "copy_file_range": lambda e: [e.file, numbers(8), e.other, numbers(8), 16, 0],
    "fstat": lambda e: [e.file, out(144, hide=True)],
    "fstatfs": lambda e: [e.file, out(120, hide=True)],
    "getdents": lambda e: [e.directory, out(280, hide=True), 280],
    "getdents64": lambda e: [e.directory, out(280, hide=True), 280],
    "getcwd": lambda e: [out(4096, hide=True), 4096],
    "pipe": lambda e: [out(8)],
    "pipe2": lambda e: [out(8), 0],
    "poll": lambda e: [Pointer(pack("<iHHiHH", -1, 1, 0, 77, 1, 0)), Count(2), 0],
    "ppoll": lambda e: [
        Pointer(pack("<iHHiHH", -1, 1, 0, 77, 1, 0)), Count(2), numbers(0, 0, null=False), _sigset(), Count(SIGSET),
    ],
    "select": lambda e: [1, numbers(0), numbers(0), numbers(0), numbers(0, 0, null=False)],
    "pselect6": lambda e: [
        1, numbers(0), numbers(0), numbers(0), numbers(0, 0, null=False), numbers(e.script.put(bytes(8)), 8),
    ],
    "epoll_ctl": lambda e: [e.epoll, 3, e.event, Pointer(pack("<IQ", 4, 77))],
    "epoll_wait": lambda e: [e.epoll, out(24), Count(2), 0],
    "epoll_pwait": lambda e: [e.epoll, out(24), 2, 0, _sigset(), Count(SIGSET)],
    "io_setup": lambda e: [1, Pointer(bytes(8), hide=True, word=True)],
    "io_submit": lambda e: [0, 1, numbers(0)],
    "io_getevents": lambda e: [0, 0, 1, out(32), numbers(0, 0)],
    "io_pgetevents": lambda e: [0, 0, 1, out(32), numbers(0, 0), Pointer(pack("<QQ", 0, SIGSET))],
    "io_cancel": lambda e: [0, Pointer(bytes(64)), out(32)],
    "epoll_pwait2": lambda e: [e.epoll, out(24), 2, numbers(0, 0), _sigset(), Count(SIGSET)],
    "signalfd": lambda e: [-1, _sigset(), Count(SIGSET)],
    "signalfd4": lambda e: [-1, _sigset(), Count(SIGSET), 0],
    "timerfd_settime": lambda e: [e.timer, 0, numbers(0, 0, 1000, 0), out(32, hide=True)],
    "timerfd_gettime": lambda e: [e.timer, out(32, hide=True)],
}  # fmt: skip

SOCKETS: dict[str, Row] = {
    "bind": _bind,
    "connect": _connect,
    "accept": lambda e: [e.listener, out(16), Pointer(pack("<I", 16))],
    "accept4": lambda e: [e.listener, out(16), Pointer(pack("<I", 16)), 0],
    "getsockname": lambda e: [e.listener, out(16), Pointer(pack("<I", 16))],
    "getpeername": lambda e: [e.pair[0], out(16), Pointer(pack("<I", 16))],
    "socketpair": lambda e: [1, 1, 0, out(8)],
    "setsockopt": lambda e: [e.unix, 1, 7, Pointer(pack("<I", 5000)), Count(4)],
    "getsockopt": lambda e: [e.unix, 1, 3, out(4), Pointer(pack("<I", 4))],
    "sendto": lambda e: [e.pair[0], Pointer(b"data" * 2), Count(8), 0x4040, 0, 0],
    "recvfrom": lambda e: [e.datagrams[0], out(16), Count(16), 0x40, out(16), Pointer(pack("<I", 16))],
    "sendmsg": lambda e: [e.pair[0], e.header(), 0x4040],
    "recvmsg": lambda e: [e.datagrams[0], e.header(), 0x40],
    "sendmmsg": lambda e: [e.pair[0], _header2(e), Count(2), 0x4040],
    "recvmmsg": lambda e: [e.datagrams[0], _header2(e), Count(2), 0x40, numbers(0, 0)],
}

IPC: dict[str, Row] = {
    "shmctl": lambda e: [e.segment, 2, out(112, hide=True)],
    "msgctl": lambda e: [e.messages, 2, out(120, hide=True)],
    "msgsnd": lambda e: [e.messages, numbers(1, 2), Count(8), NONBLOCK],
    "msgrcv": lambda e: [e.messages, out(24), Count(16), 0, NONBLOCK],
    "semop": lambda e: [e.semaphores, _operations(), Count(2)],
    "semtimedop": lambda e: [
        e.semaphores, _operations(), Count(2), numbers(0, 0),
    ],
    "mq_timedsend": lambda e: [e.queue, Pointer(b"data" * 2), Count(8), 1, numbers(0, 0)],
    "mq_timedreceive": lambda e: [e.queue, out(16), Count(16), out(4), numbers(0, 0)],
    "mq_notify": lambda e: [e.queue, _event()],
    "mq_getsetattr": lambda e: [e.queue, numbers(NONBLOCK, 0, 0, 0, 0, 0, 0, 0, zeroes=False), out(64)],
}  # fmt: skip


SIGNALS: dict[str, Row] = {
    "rt_sigaction": lambda e: [10, numbers(1, 0x0400_0000, 0, 0), out(32, hide=True), Count(SIGSET)],
    "rt_sigprocmask": lambda e: [0, _sigset(), out(8), Count(SIGSET)],
    "rt_sigpending": lambda e: [out(8), Count(SIGSET)],
    "rt_sigtimedwait": lambda e: [_sigset(), out(128), numbers(0, 0, null=False), Count(SIGSET)],
    "rt_sigqueueinfo": lambda e: [e.script.call("getpid"), 0, Pointer(pack("<iii", 0, 0, -1) + bytes(116))],
    "rt_tgsigqueueinfo": lambda e: [
        e.script.call("getpid"), e.script.call("gettid"), 0, Pointer(pack("<iii", 0, 0, -1) + bytes(116)),
    ],
    "sigaltstack": lambda e: [numbers(e.room(8192), 0, 8192), out(24, hide=True)],
    "pidfd_send_signal": lambda e: [
        e.script.call("pidfd_open", e.script.call("getpid"), 0), 0, Pointer(pack("<iii", 0, 0, -1) + bytes(116)), 0,
    ],
    "set_robust_list": lambda e: [numbers(0, 0, 0), 24],
    "get_robust_list": lambda e: [0, out(8, hide=True), out(8)],
    "seccomp": lambda e: [2, 0, Pointer(pack("<I", 0x7FFF_0000))],
    "futex_wake": lambda e: [Pointer(bytes(4)), 1, 1, _PRIVATE],
    "futex_wait": lambda e: [Pointer(bytes(4)), 5, 1, _PRIVATE, numbers(0, 0, null=False), 1],
    "futex_requeue": lambda e: [numbers(0, e.room(8), _PRIVATE, 0, e.room(8), _PRIVATE), 0, 0, 1],
    "futex_waitv": lambda e: [numbers(5, e.room(8), _PRIVATE), Count(1), 0, numbers(0, 0, null=False), 1],
    "futex": lambda e: [Pointer(bytes(8)), 0, 5, numbers(0, 0, null=False), 0, 0],
}  # fmt: skip

TIME: dict[str, Row] = {
    "nanosleep": lambda e: [numbers(0, 5), out(16)],
    "clock_nanosleep": lambda e: [1, 0, numbers(0, 5), out(16)],
    "getitimer": lambda e: [1, out(32, hide=True)],
    "setitimer": lambda e: [1, numbers(0, 0, 1000, 0), out(32, hide=True)],
    "timer_create": lambda e: [1, _event(), out(4, hide=True)],
    "timer_settime": lambda e: [e.posix_timer, 0, numbers(0, 0, 1000, 0), out(32, hide=True)],
    "timer_gettime": lambda e: [e.posix_timer, out(32, hide=True)],
    "gettimeofday": lambda e: [out(16, hide=True), out(8)],
    "clock_gettime": lambda e: [1, out(16, hide=True)],
    "clock_getres": lambda e: [1, out(16)],
    "time": lambda e: [out(8, hide=True, word=True)],
    "times": lambda e: [out(32, hide=True)],
}

SYSTEM: dict[str, Row] = {
    "uname": lambda e: [out(390, hide=True)],
    "sysinfo": lambda e: [out(112, hide=True)],
    "getrusage": lambda e: [0, out(144, hide=True)],
    "getrlimit": lambda e: [7, out(16, hide=True)],
    "setrlimit": lambda e: [4, numbers(0, 1 << 40)],
    "prlimit64": lambda e: [0, 4, numbers(0, 1 << 40), out(16, hide=True)],
    "getgroups": lambda e: [64, out(256, hide=True)],
    "getresuid": lambda e: [out(4), out(4), out(4)],
    "getresgid": lambda e: [out(4), out(4), out(4)],
    "getrandom": lambda e: [out(16, hide=True), 16, 0],
    "getcpu": lambda e: [out(4, hide=True, word=True), out(4, hide=True, word=True), 0],
    "mincore": lambda e: [0x6000_0000, Count(4096), out(1)],
    "wait4": lambda e: [-1, out(4), 1, out(144)],
    "waitid": lambda e: [0, 0, out(128), 5, out(144)],
    "capget": lambda e: [Pointer(pack("<Ii", 0x2008_0522, 0)), out(24, hide=True)],
    "set_mempolicy": lambda e: [0, numbers(0), 64],
    "mbind": lambda e: [READ_ONLY, 4096, 1, numbers(1), Count(64), 0],
    "migrate_pages": lambda e: [0, Count(64), numbers(1), numbers(1)],
    "move_pages": lambda e: [0, 2, numbers(READ_ONLY, NOWHERE), numbers(0), out(8, hide=True), 2],
    "get_mempolicy": lambda e: [out(4), out(128), Count(1024), 0, 0],
    "sched_getparam": lambda e: [0, out(4)],
    "sched_setparam": lambda e: [0, Pointer(bytes(4))],
    "sched_setscheduler": lambda e: [0, 0, Pointer(bytes(4))],
    "sched_rr_get_interval": lambda e: [0, out(16, hide=True)],
    "sched_getaffinity": lambda e: [0, Count(128), out(128, hide=True, edges=False)],
    "sched_setaffinity": lambda e: [0, 128, Pointer(b"\xff" * 128, edges=False)],
    "sched_getattr": lambda e: [0, out(56, hide=True), Count(56), 0],
    "sched_setattr": lambda e: [0, Pointer(pack("<IIQiIQQQ", 48, 0, 0, 0, 0, 0, 0, 0)), 0],
}

FAULTING: dict[str, Row] = {
    "chroot": lambda e: [Text("nothing")],
    "execve": lambda e: [Text("nothing"), numbers(0), numbers(0)],
    "execveat": lambda e: [AT_FDCWD, Text("nothing"), numbers(0), numbers(0), 0],
    "rt_sigsuspend": lambda e: [numbers(0), SIGSET],
    "capset": lambda e: [Pointer(pack("<Ii", 0x2008_0522, 0)), Pointer(bytes(24))],
    "setgroups": lambda e: [2, Pointer(bytes(8))],
    "clock_settime": lambda e: [0, numbers(0, 0)],
    "settimeofday": lambda e: [numbers(0, 0), 0],
    "adjtimex": lambda e: [Pointer(bytes(208))],
    "clock_adjtime": lambda e: [0, Pointer(bytes(208))],
}
"""Calls that are made with what faults alone: they would change the host, or wait for ever."""
ROWS: dict[str, Row] = {**PATHS, **XATTRS, **FILES, **SOCKETS, **IPC, **SIGNALS, **TIME, **SYSTEM}
