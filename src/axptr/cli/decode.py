"""How an argument of a system call is printed: by the call's name and the argument's place, else by its
annotation.

User memory is read through checked pointers after the call, so output arguments show what the call left
there; whatever cannot be read prints as an address. Not decoded: structures beyond the few that
coreutils-like programs pass; those print as addresses too.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from ctypes import c_char
from typing import TYPE_CHECKING, Any

from .._core.pointers.pointer import UserConstPtr
from ..addr import ADDRESS_END
from ..errors import LinuxError
from . import constants as names

if TYPE_CHECKING:
    from ..kernel.convert import Param
    from ..kernel.task import Task

STRING_LIMIT = 32
"""Bytes of a buffer that are shown, as in strace; paths and arguments are shown to `PATH_LIMIT`."""
PATH_LIMIT = 4096
ARRAY_LIMIT = 32
"""Elements of an array that are shown."""
AT_FDCWD = -100
O_CREAT = 0x40
O_TMPFILE = 0x410000


class Call:
    """One system call as it is printed: arguments as integers; its result, negative for an error, or None."""

    __slots__ = ("result", "task", "values")

    def __init__(self, task: Task, values: Sequence[int], result: int | None) -> None:
        self.task = task
        self.values = values
        self.result = result

    def bytes_at(self, address: int, size: int) -> bytes:
        """Up to `size` bytes, fewer if the memory ends before; raises nothing."""
        if not 0 <= address < ADDRESS_END:  # an element of an array that leaves the 64 bits
            return b""
        buffer = bytearray(size)
        try:
            done = int(UserConstPtr[c_char](address).copy_in(self.task, buffer))
        except LinuxError:
            return b""
        return bytes(buffer[:done])


Decoder = Callable[[Call, int], str]


# Numbers.


def decimal(call: Call, value: int) -> str:
    return str(value)


def pointer(call: Call, value: int) -> str:
    return f"{value:#x}" if value else "NULL"


def octal(call: Call, value: int) -> str:
    return f"0{value & 0xFFFF_FFFF:o}" if value else "0"


def dirfd(call: Call, value: int) -> str:
    return "AT_FDCWD" if value == AT_FDCWD else str(value)


def signal_number(call: Call, value: int) -> str:
    return names.signal_name(value) if value in names.SIGNALS else str(value)


def flags(table: names.Table) -> Decoder:
    return lambda call, value: names.flag_names(value & 0xFFFF_FFFF, table)


def value(table: names.Table) -> Decoder:
    return lambda call, number: names.value_name(number, table)


def open_flags(call: Call, value: int) -> str:
    access = names.OPEN_ACCESS[value & 3]
    rest = value & 0xFFFF_FFFC
    return f"{access}|{names.flag_names(rest, names.OPEN)}" if rest else access


def creation_mode(flags_index: int) -> Decoder:
    """The mode of open and openat, which counts only if the flags create a file; else no text at all."""

    def decode(call: Call, value: int) -> str:
        given = call.values[flags_index] if flags_index < len(call.values) else 0
        return octal(call, value) if given & O_CREAT or given & O_TMPFILE == O_TMPFILE else ""

    return decode


def futex_operation(call: Call, value: int) -> str:
    private = "_PRIVATE" if value & 0x80 else ""
    clock = "|FUTEX_CLOCK_REALTIME" if value & 0x100 else ""
    return names.value_name(value & 0x7F, names.FUTEX) + private + clock


def clone_flags(call: Call, value: int) -> str:
    """The signal of its end stands in the low byte."""
    flag_text, signal = names.flag_names(value & 0xFFFF_FF00, names.CLONE), value & 0xFF
    if not signal:
        return flag_text
    return signal_number(call, signal) if flag_text == "0" else f"{flag_text}|{signal_number(call, signal)}"


def _status(status: int) -> str:
    """As wait stores it, in the words of the macros that take it apart."""
    if status == 0xFFFF:
        return "WIFCONTINUED(s)"
    if status & 0xFF == 0x7F:
        return f"WIFSTOPPED(s) && WSTOPSIG(s) == {names.signal_name(status >> 8)}"
    if status & 0x7F:
        dumped = " && WCOREDUMP(s)" if status & 0x80 else ""
        return f"WIFSIGNALED(s) && WTERMSIG(s) == {names.signal_name(status & 0x7F)}{dumped}"
    return f"WIFEXITED(s) && WEXITSTATUS(s) == {status >> 8}"


# Memory.


def quoted(data: bytes, limit: int = STRING_LIMIT) -> str:
    """As C writes it, cut after `limit` bytes with `...` behind."""
    shown = data[:limit]
    text = []
    for at, byte in enumerate(shown):
        if byte in _ESCAPES:
            text.append(_ESCAPES[byte])
        elif 0x20 <= byte < 0x7F:
            text.append(chr(byte))
        else:
            digit_follows = shown[at + 1 : at + 2].isdigit()
            text.append(f"\\{byte:03o}" if digit_follows else f"\\{byte:o}")
    return '"' + "".join(text) + '"' + ("..." if len(data) > limit else "")


_ESCAPES = {0x22: '\\"', 0x5C: "\\\\", 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x0B: "\\v", 0x0C: "\\f"}


def path(call: Call, value: int) -> str:
    """A string up to its NUL."""
    if not value:
        return "NULL"
    try:
        return quoted(UserConstPtr[c_char](value).read_cstr(call.task, PATH_LIMIT), PATH_LIMIT)
    except LinuxError:
        return pointer(call, value)


def buffer(size: Callable[[Call], int | None]) -> Decoder:
    """Bytes whose number `size(call)` tells; None: there are none to show."""

    def decode(call: Call, value: int) -> str:
        count = size(call)
        if not value or count is None or count < 0:
            return pointer(call, value)
        if not count:
            return '""'
        data = call.bytes_at(value, min(count, STRING_LIMIT + 1))
        return quoted(data) if len(data) == min(count, STRING_LIMIT + 1) else pointer(call, value)

    return decode


def given(index: int) -> Decoder:
    """A buffer that the program fills: argument `index` tells its size."""
    return buffer(lambda call: call.values[index] if index < len(call.values) else None)


filled = buffer(lambda call: call.result)
"""A buffer that the call fills: its result is the size."""


def string_array(call: Call, value: int) -> str:
    """`argv`: pointers to strings up to a NULL."""
    if not value:
        return "NULL"
    items = []
    for index in range(ARRAY_LIMIT):
        word = call.bytes_at(value + 8 * index, 8)
        if len(word) < 8:
            return pointer(call, value)
        address = int.from_bytes(word, "little")
        if not address:
            break
        items.append(path(call, address))
    else:
        items.append("...")
    return "[" + ", ".join(items) + "]"


def environment(call: Call, value: int) -> str:
    """`envp`: only how many there are, as strace does."""
    for count in range(10_000):
        word = call.bytes_at(value + 8 * count, 8) if value else b""
        if len(word) < 8:
            break
        if not any(word):
            return f"{value:#x} /* {count} vars */"
    return pointer(call, value)


def vector(output: bool) -> Decoder:
    """An iovec array, its length in argument 2; an output one shows as many bytes as the result tells."""

    def decode(call: Call, value: int) -> str:
        count = call.values[2] if len(call.values) > 2 else -1
        left = call.result if output else (1 << 62)
        if left is None or left < 0 or not 0 <= count <= 1024:
            return pointer(call, value)
        items = []
        for index in range(min(count, ARRAY_LIMIT)):
            entry = call.bytes_at(value + 16 * index, 16)
            if len(entry) < 16:
                return pointer(call, value)
            base, size = struct.unpack("<QQ", entry)
            here = min(size, left)
            left -= here
            text = buffer(lambda call, n=here: n)(call, base)  # type: ignore[misc]
            items.append(f"{{iov_base={text}, iov_len={size}}}")
        return "[" + ", ".join(items + ["..."] * (count > ARRAY_LIMIT)) + "]"

    return decode


def structure(layout: str, text: Callable[..., str], *, output: bool = True) -> Decoder:
    """A structure unpacked with `layout`; one that the call fills is an address if the call failed."""
    size = struct.calcsize(layout)

    def decode(call: Call, value: int) -> str:
        if not value or (output and (call.result is None or call.result < 0)):
            return pointer(call, value)
        data = call.bytes_at(value, size)
        return "{" + text(*struct.unpack(layout, data)) + "}" if len(data) == size else pointer(call, value)

    return decode


def _mode(mode: int) -> str:
    kind = names.FILE_TYPE.get(mode & 0o170000)
    return f"{kind}|0{mode & 0o7777:o}" if kind else f"0{mode:o}"


def _limit(number: int) -> str:
    return "RLIM64_INFINITY" if number == (1 << 64) - 1 else str(number)


def _text(field: bytes) -> str:
    return quoted(field.split(b"\0")[0], 64)


def _fds(first: int, second: int) -> str:
    return f"{first}, {second}"


stat = structure("<24xI20xQ88x", lambda mode, size: f"st_mode={_mode(mode)}, st_size={size}, ...")
statx = structure("<28xH10xQ208x", lambda mode, size: f"stx_mode={_mode(mode)}, stx_size={size}, ...")
timespec = structure("<qq", lambda s, ns: f"tv_sec={s}, tv_nsec={ns}")
timespec_given = structure("<qq", lambda s, ns: f"tv_sec={s}, tv_nsec={ns}", output=False)
timeval = structure("<qq", lambda s, us: f"tv_sec={s}, tv_usec={us}")
rlimit = structure("<QQ", lambda cur, top: f"rlim_cur={_limit(cur)}, rlim_max={_limit(top)}")
rlimit_given = structure("<QQ", lambda cur, top: f"rlim_cur={_limit(cur)}, rlim_max={_limit(top)}", output=False)
utsname = structure("<65s65s260x", lambda system, node: f"sysname={_text(system)}, nodename={_text(node)}, ...")
pipe_fds = structure("<ii", _fds)


def wait_status(call: Call, value: int) -> str:
    """Stored for a child that there was."""
    data = call.bytes_at(value, 4) if value and call.result is not None and call.result > 0 else b""
    return f"[{{{_status(int.from_bytes(data, 'little'))}}}]" if len(data) == 4 else pointer(call, value)


_ids = (decimal,) * 3

ARGUMENTS: dict[str, tuple[Decoder, ...]] = {
    "read": (decimal, filled, decimal),
    "write": (decimal, given(2), decimal),
    "pread64": (decimal, filled, decimal, decimal),
    "pwrite64": (decimal, given(2), decimal, decimal),
    "readv": (decimal, vector(True), decimal),
    "writev": (decimal, vector(False), decimal),
    "preadv": (decimal, vector(True), decimal, decimal),
    "pwritev": (decimal, vector(False), decimal, decimal),
    "open": (path, open_flags, creation_mode(1)),
    "openat": (dirfd, path, open_flags, creation_mode(2)),
    "creat": (path, octal),
    "close": (decimal,),
    "stat": (path, stat),
    "lstat": (path, stat),
    "fstat": (decimal, stat),
    "newfstatat": (dirfd, path, stat, flags(names.AT)),
    "statx": (dirfd, path, flags(names.AT), flags(names.STATX), statx),
    "access": (path, flags(names.ACCESS)),
    "faccessat": (dirfd, path, flags(names.ACCESS)),
    "faccessat2": (dirfd, path, flags(names.ACCESS), flags(names.FACCESSAT)),
    "lseek": (decimal, decimal, value(names.SEEK)),
    "mmap": (pointer, decimal, flags(names.PROT), flags(names.MAP), decimal, lambda call, value: hex(value)),
    "mprotect": (pointer, decimal, flags(names.PROT)),
    "munmap": (pointer, decimal),
    "mremap": (pointer, decimal, decimal, flags(names.MREMAP), pointer),
    "msync": (pointer, decimal, flags(names.MSYNC)),
    "madvise": (pointer, decimal, value(names.MADVISE)),
    "brk": (pointer,),
    "dup": (decimal,),
    "dup2": (decimal, decimal),
    "dup3": (decimal, decimal, open_flags),
    "pipe": (pipe_fds,),
    "pipe2": (pipe_fds, open_flags),
    "fcntl": (decimal, value(names.FCNTL), decimal),
    "ioctl": (decimal, value(names.IOCTL), pointer),
    "getcwd": (filled, decimal),
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
    "fchmod": (decimal, octal),
    "fchmodat": (dirfd, path, octal),
    "chown": (path, decimal, decimal),
    "lchown": (path, decimal, decimal),
    "fchown": _ids,
    "fchownat": (dirfd, path, decimal, decimal, flags(names.AT)),
    "truncate": (path, decimal),
    "ftruncate": (decimal, decimal),
    "umask": (octal,),
    "utimensat": (dirfd, path, pointer, flags(names.AT)),
    "getxattr": (path, path, pointer, decimal),
    "lgetxattr": (path, path, pointer, decimal),
    "setxattr": (path, path, given(3), decimal, decimal),
    "lsetxattr": (path, path, given(3), decimal, decimal),
    "fsetxattr": (decimal, path, given(3), decimal, decimal),
    "listxattr": (path, pointer, decimal),
    "llistxattr": (path, pointer, decimal),
    "statfs": (path, pointer),
    "fadvise64": (decimal, decimal, decimal, value(names.FADVISE)),
    "getdents64": (decimal, pointer, decimal),
    "execve": (path, string_array, environment),
    "execveat": (dirfd, path, string_array, environment, flags(names.AT)),
    "exit": (decimal,),
    "exit_group": (decimal,),
    "clone": (clone_flags, pointer, pointer, pointer, pointer),
    "wait4": (decimal, wait_status, flags(names.WAIT), pointer),
    "kill": (decimal, signal_number),
    "tkill": (decimal, signal_number),
    "tgkill": (decimal, decimal, signal_number),
    "rt_sigaction": (signal_number, pointer, pointer, decimal),
    "rt_sigprocmask": (value(names.SIG_HOW), pointer, pointer, decimal),
    "arch_prctl": (value(names.ARCH_PRCTL), pointer),
    "prctl": (value(names.PRCTL), pointer, pointer, pointer, pointer),
    "set_tid_address": (pointer,),
    "set_robust_list": (pointer, decimal),
    "rseq": (pointer, decimal, decimal, lambda call, value: hex(value)),
    "futex": (pointer, futex_operation, decimal, pointer, pointer, decimal),
    "getrlimit": (value(names.RLIMIT), rlimit),
    "setrlimit": (value(names.RLIMIT), rlimit_given),
    "prlimit64": (decimal, value(names.RLIMIT), rlimit_given, rlimit),
    "getrusage": (value(names.RUSAGE), pointer),
    "clock_gettime": (value(names.CLOCK), timespec),
    "clock_getres": (value(names.CLOCK), timespec),
    "clock_nanosleep": (value(names.CLOCK), decimal, timespec_given, pointer),
    "nanosleep": (timespec_given, pointer),
    "gettimeofday": (timeval, pointer),
    "getrandom": (filled, decimal, flags(names.GETRANDOM)),
    "uname": (utsname,),
    "memfd_create": (path, pointer),
}
"""By the name of the call; arguments past the end of an entry are printed by their annotation."""

RESULT_IN_HEX = frozenset({"mmap", "mremap", "brk", "shmat"})


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
