"""Which decoder each argument of a call has: by the call's name and the argument's place, else by its annotation."""

from __future__ import annotations

import errno
from ctypes import c_char

from . import constants as names
from . import multiplexed, signaltext, sockets
from .decode import (
    PLAIN,
    Call,
    Decoder,
    Style,
    creation_mode,
    decimal,
    dirfd,
    environment,
    fd,
    filled,
    filled_text,
    flags,
    futex_operation,
    given,
    hexadecimal,
    octal,
    open_flags,
    path,
    pipe_fds,
    pipe_flags,
    pointer,
    rlimit,
    rlimit_given,
    signal_number,
    stat,
    statx,
    statx_flags,
    stored,
    string_array,
    timespec,
    timespec_given,
    timeval,
    utsname,
    value,
    vector,
    wait_status,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...kernel.convert import Param


@stored
def _rest_of_sleep(call: Call, at: int) -> str:
    """What was left of it, which is told of one that a signal ended."""
    return timespec_given(call, at) if call.result == -errno.EINTR else pointer(call, at)


@stored
def _random(call: Call, at: int) -> str:
    """Random bytes, all as hexadecimal."""
    if call.failed:
        return pointer(call, at)
    limit = call.style.strings
    data = call.bytes_at(at, min(call.result or 0, limit))
    return '"' + "".join(f"\\x{byte:02x}" for byte in data) + '"' + ("..." if (call.result or 0) > limit else "")


ARGUMENTS: dict[str, tuple[Decoder, ...]] = {
    "read": (fd, filled, decimal),
    "write": (fd, given(2), decimal),
    "pread64": (fd, filled, decimal, decimal),
    "pwrite64": (fd, given(2), decimal, decimal),
    "readv": (fd, vector(True), decimal),
    "writev": (fd, vector(False), decimal),
    "preadv": (fd, vector(True), decimal, decimal),
    "pwritev": (fd, vector(False), decimal, decimal),
    "open": (path, open_flags, creation_mode(1)),
    "openat": (dirfd, path, open_flags, creation_mode(2)),
    "creat": (path, octal),
    "close": (fd,),
    "stat": (path, stat),
    "lstat": (path, stat),
    "fstat": (fd, stat),
    "newfstatat": (dirfd, path, stat, flags(names.AT)),
    "statx": (dirfd, path, statx_flags, flags(names.STATX), statx),
    "access": (path, flags(names.ACCESS)),
    "faccessat": (dirfd, path, flags(names.ACCESS)),
    "faccessat2": (dirfd, path, flags(names.ACCESS), flags(names.FACCESSAT)),
    "lseek": (fd, decimal, value(names.SEEK)),
    "mmap": (pointer, decimal, flags(names.PROT), flags(names.MAP), fd, hexadecimal),
    "mprotect": (pointer, decimal, flags(names.PROT)),
    "munmap": (pointer, decimal),
    "mremap": (pointer, decimal, decimal, flags(names.MREMAP), pointer),
    "msync": (pointer, decimal, flags(names.MSYNC)),
    "madvise": (pointer, decimal, value(names.MADVISE)),
    "brk": (pointer,),
    "dup": (fd,),
    "dup2": (fd, fd),
    "dup3": (fd, fd, pipe_flags),
    "pipe": (pipe_fds,),
    "pipe2": (pipe_fds, pipe_flags),
    "fcntl": (fd, value(names.FCNTL), multiplexed.fcntl_argument),
    "ioctl": (fd, value(names.IOCTL), multiplexed.ioctl_argument),
    "getcwd": (filled_text, decimal),
    "chdir": (path,),
    "mkdir": (path, octal),
    "mkdirat": (dirfd, path, octal),
    "rmdir": (path,),
    "unlink": (path,),
    "unlinkat": (dirfd, path, flags(names.AT)),
    "rename": (path, path),
    "renameat": (dirfd, path, dirfd, path),
    "renameat2": (dirfd, path, dirfd, path, pointer),
    "link": (path, path),
    "linkat": (dirfd, path, dirfd, path, flags(names.AT)),
    "symlink": (path, path),
    "symlinkat": (path, dirfd, path),
    "readlink": (path, filled, decimal),
    "readlinkat": (dirfd, path, filled, decimal),
    "chmod": (path, octal),
    "fchmod": (fd, octal),
    "fchmodat": (dirfd, path, octal),
    "chown": (path, decimal, decimal),
    "lchown": (path, decimal, decimal),
    "fchown": (fd, decimal, decimal),
    "fchownat": (dirfd, path, decimal, decimal, flags(names.AT)),
    "truncate": (path, decimal),
    "ftruncate": (fd, decimal),
    "umask": (octal,),
    "utimensat": (dirfd, path, pointer, flags(names.AT)),
    "getxattr": (path, path, pointer, decimal),
    "lgetxattr": (path, path, pointer, decimal),
    "setxattr": (path, path, given(3), decimal, decimal),
    "lsetxattr": (path, path, given(3), decimal, decimal),
    "fsetxattr": (fd, path, given(3), decimal, decimal),
    "listxattr": (path, pointer, decimal),
    "llistxattr": (path, pointer, decimal),
    "statfs": (path, pointer),
    "fadvise64": (fd, decimal, decimal, value(names.FADVISE)),
    "getdents64": (fd, multiplexed.entries_listed, decimal),
    "execve": (path, string_array, environment),
    "execveat": (dirfd, path, string_array, environment, flags(names.AT)),
    "exit": (decimal,),
    "exit_group": (decimal,),
    "clone": tuple(decoder for _, decoder in multiplexed.CLONE),
    "clone3": (multiplexed.clone3_arguments, decimal),
    "wait4": (decimal, wait_status, flags(names.WAIT), pointer),
    "kill": (decimal, signal_number),
    "tkill": (decimal, signal_number),
    "tgkill": (decimal, decimal, signal_number),
    "rt_sigaction": (signal_number, signaltext.given_action, signaltext.told_action, decimal),
    "rt_sigprocmask": (value(names.SIG_HOW), signaltext.given_mask, signaltext.told_mask, decimal),
    "rt_sigsuspend": (signaltext.given_mask, decimal),
    "rt_sigpending": (signaltext.told_mask, decimal),
    "arch_prctl": (value(names.ARCH_PRCTL), pointer),
    "prctl": (value(names.PRCTL), pointer, pointer, pointer, pointer),
    "set_tid_address": (pointer,),
    "set_robust_list": (pointer, decimal),
    "rseq": (pointer, hexadecimal, decimal, lambda call, value: hex(value)),
    "futex": (pointer, futex_operation, *map(multiplexed.futex_rest, range(2, 6))),
    "getrlimit": (value(names.RLIMIT), rlimit),
    "setrlimit": (value(names.RLIMIT), rlimit_given),
    "prlimit64": (decimal, value(names.RLIMIT), rlimit_given, rlimit),
    "getrusage": (value(names.RUSAGE), pointer),
    "clock_gettime": (value(names.CLOCK), timespec),
    "clock_getres": (value(names.CLOCK), timespec),
    "clock_nanosleep": (value(names.CLOCK), flags(names.TIMER), timespec_given, _rest_of_sleep),
    "nanosleep": (timespec_given, _rest_of_sleep),
    "poll": (multiplexed.poll_entries, decimal, decimal),
    "ppoll": (multiplexed.poll_entries, decimal, timespec_given, signaltext.given_mask, decimal),
    "epoll_create1": (flags(names.EPOLL_CREATE),),
    "epoll_ctl": (fd, value(multiplexed.EPOLL_CTL), fd, multiplexed.epoll_event),
    "epoll_wait": (fd, multiplexed.epoll_events, decimal, decimal),
    "epoll_pwait": (fd, multiplexed.epoll_events, decimal, decimal, signaltext.given_mask, decimal),
    "fsync": (fd,),
    "fdatasync": (fd,),
    "fchdir": (fd,),
    "flock": (fd, flags(names.FLOCK)),
    "gettimeofday": (timeval, pointer),
    "getrandom": (_random, decimal, flags(names.GETRANDOM)),
    "uname": (utsname,),
    "memfd_create": (path, flags(names.MEMFD)),
    **sockets.ARGUMENTS,
}
"""By the name of the call; arguments past the end of an entry are printed by their annotation."""

_TEXT_NAMES = ("path", "name", "target")


def by_annotation(param: Param) -> Decoder:
    """For an argument that no table knows.

    A pointer is an address; a constant char pointer that is called a path, a name or a target is the string there
    (`const char *`, and not `const void *`, which is annotated alike).
    """
    if param.kind == "pointer":
        is_text = param.type.const and param.type.T is c_char and param.name.endswith(_TEXT_NAMES)
        return path if is_text else pointer
    if param.kind == "int" and not param.signed and param.bits == 64:
        return lambda call, value: str(value) if value < 1 << 20 else f"{value:#x}"
    return decimal


def integer(argument: Any) -> int:
    """An argument as a handler got it (pointer, enum member, int, None) as the number that it came from."""
    if argument is None:
        return 0
    address = getattr(argument, "address", None)
    return int(argument if address is None else address)


def decoders_of(name: str, params: tuple[Param, ...] | None, count: int) -> tuple[Decoder, ...]:
    """One for each argument. params: of the handler; None for a call that nobody serves, of which `count` registers
    are known."""
    known = ARGUMENTS.get(name, ())[:count]
    if params is None:
        return known + (pointer,) * ((count if not known else len(known)) - len(known))
    return known + tuple(by_annotation(param) for param in params[len(known) :])


def texts(name: str, decoders: tuple[Decoder, ...], call: Call) -> list[str]:
    """The arguments as strace writes them, those that do not count as empty texts."""
    if name == "clone" and len(call.values) == len(multiplexed.CLONE):
        return [decode(call, call.values[place]) for place, decode in multiplexed.CLONE]
    return [decode(call, number) for decode, number in zip(decoders, call.values, strict=False)]


__all__ = ["ARGUMENTS", "PLAIN", "Call", "Style", "by_annotation", "decoders_of", "integer", "texts"]
