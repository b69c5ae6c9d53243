"""How an argument of a system call is printed: decoders of numbers, flags, text and common structures.

User memory is read through checked pointers after the call, so output arguments show what the call left
there; whatever cannot be read prints as an address. Which argument has which decoder is `arguments`; more of them stand
in `signaltext`, `sockets`, `multiplexed`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from ctypes import c_char

from ..._core.pointers.pointer import UserConstPtr
from ...addr import ADDRESS_END
from ...errors import LinuxError
from ..abi.openflags import generic
from . import constants as names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...kernel.task import Task

STRING_LIMIT = 32
"""Bytes of a buffer that are shown, as in strace; paths and arguments are shown to `PATH_LIMIT`."""
PATH_LIMIT = 4096
ARRAY_LIMIT = 32
"""Elements of an array that are shown."""
AT_FDCWD = -100
O_CREAT = 0x40
O_TMPFILE = 0x410000


class Style:
    """How much is told. strings: bytes of a buffer. descriptors: whether the files behind them are named (-y)."""

    __slots__ = ("descriptors", "strings")

    def __init__(self, strings: int = STRING_LIMIT, *, descriptors: bool = False) -> None:
        self.strings = strings
        self.descriptors = descriptors


PLAIN = Style()


class Call:
    """One system call as it is printed: arguments as integers; its result, negative for an error, or None."""

    __slots__ = ("result", "style", "task", "values")

    def __init__(self, task: Task, values: Sequence[int], result: int | None, style: Style = PLAIN) -> None:
        self.task = task
        self.values = values
        self.result = result
        self.style = style

    @property
    def failed(self) -> bool:
        """Whether it has not stored anything: it failed, or is not over."""
        return self.result is None or self.result < 0

    def value(self, index: int) -> int:
        """An argument, 0 if the call has fewer."""
        return self.values[index] if index < len(self.values) else 0

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

_STORED: set[Decoder] = set()


def stored(decoder: Decoder) -> Decoder:
    """The decoder of what a call stores: there is nothing to print before it is over."""
    _STORED.add(decoder)
    return decoder


def is_stored(decoder: Decoder) -> bool:
    return decoder in _STORED


# Numbers.


def decimal(call: Call, value: int) -> str:
    return str(value)


def pointer(call: Call, value: int) -> str:
    return f"{value:#x}" if value else "NULL"


def octal(call: Call, value: int) -> str:
    return f"0{value & 0xFFFF_FFFF:o}".zfill(3)


def signed(value: int) -> int:
    """The int in the low half, which some handlers take as unsigned."""
    low = value & 0xFFFF_FFFF
    return low - (low >> 31 << 32)


def hexadecimal(call: Call, value: int) -> str:
    return f"{value:#x}" if value else "0"


def fd(call: Call, value: int) -> str:
    """A descriptor, and with `-y` what is open there."""
    value = signed(value)
    return f"{value}{described(call.task, value) if call.style.descriptors else ''}"


def described(task: Any, number: int) -> str:
    """`</etc/passwd>`; nothing for a number that is no descriptor."""
    try:
        file = task.files.get(number)
        name = task.machine.host.shown_name(file.name())
    except (LinuxError, AttributeError):
        return ""
    return f"<{quoted(name, PATH_LIMIT)[1:-1]}>"


def dirfd(call: Call, value: int) -> str:
    if value != AT_FDCWD:
        return fd(call, value)
    if not call.style.descriptors:
        return "AT_FDCWD"
    task: Any = call.task
    try:
        return f"AT_FDCWD<{quoted(task.fs.cwd.where(), PATH_LIMIT)[1:-1]}>"
    except (LinuxError, AttributeError):
        return "AT_FDCWD"


def signal_number(call: Call, value: int) -> str:
    return names.signal_name(value) if value in names.SIGNALS else str(value)


def flags(table: names.Table) -> Decoder:
    return lambda call, value: names.flag_names(value & 0xFFFF_FFFF, table)


def value(table: names.Table) -> Decoder:
    return lambda call, number: names.value_name(number, table)


def _generic_flags(call: Call, value: int) -> int:
    """A program's flags of open as most architectures number them, and the names do."""
    engine = getattr(call.task, "engine", None)
    return generic(engine.arch.name, value) if engine is not None else value


def pipe_flags(call: Call, value: int) -> str:
    return names.flag_names(_generic_flags(call, value & 0xFFFF_FFFF), names.PIPE)


def open_flags(call: Call, value: int) -> str:
    value = _generic_flags(call, value)
    access = names.OPEN_ACCESS[value & 3]
    rest = value & 0xFFFF_FFFC
    return f"{access}|{names.flag_names(rest, names.OPEN)}" if rest else access


def statx_flags(call: Call, value: int) -> str:
    """Which of three ways to look is always told."""
    way = "" if value & 0x6000 else "AT_STATX_SYNC_AS_STAT"
    rest = names.flag_names(value & 0xFFFF_FFFF, names.AT) if value else ""
    return "|".join(filter(None, (way, rest)))


def creation_mode(flags_index: int) -> Decoder:
    """The mode of open and openat, which counts only if the flags create a file; else no text at all."""

    def decode(call: Call, value: int) -> str:
        given = _generic_flags(call, call.values[flags_index]) if flags_index < len(call.values) else 0
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
        limit = call.style.strings
        data = call.bytes_at(value, min(count, limit + 1))
        return quoted(data, limit) if len(data) == min(count, limit + 1) else pointer(call, value)

    return decode


def given(index: int) -> Decoder:
    """A buffer that the program fills: argument `index` tells its size."""
    return buffer(lambda call: call.values[index] if index < len(call.values) else None)


filled = stored(buffer(lambda call: call.result))
"""A buffer that the call fills: its result is the size."""
filled_text = stored(buffer(lambda call: call.result and call.result - 1))
"""One with a NUL in the end, which counts."""


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

    return stored(decode) if output else decode


def structure(layout: str, text: Callable[..., str], *, output: bool = True) -> Decoder:
    """A structure unpacked with `layout`; one that the call fills is an address if the call failed."""
    size = struct.calcsize(layout)

    def decode(call: Call, value: int) -> str:
        if not value or (output and (call.result is None or call.result < 0)):
            return pointer(call, value)
        data = call.bytes_at(value, size)
        return "{" + text(*struct.unpack(layout, data)) + "}" if len(data) == size else pointer(call, value)

    return stored(decode) if output else decode


def _mode(mode: int) -> str:
    kind = names.FILE_TYPE.get(mode & 0o170000)
    return f"{kind}|0{mode & 0o7777:o}" if kind else f"0{mode:o}"


def _limit(number: int) -> str:
    if number == (1 << 64) - 1:
        return "RLIM64_INFINITY"
    return f"{number // 1024}*1024" if number > 1024 and not number % 1024 else str(number)


def _text(field: bytes) -> str:
    return quoted(field.split(b"\0")[0], 64)


def _stat(mode: int, device: int, size: int) -> str:
    if mode & 0o170000 not in (0o020000, 0o060000):
        return f"st_mode={_mode(mode)}, st_size={size}, ..."
    return f"st_mode={_mode(mode)}, st_rdev=makedev({os.major(device):#x}, {os.minor(device):#x}), ..."


stat = structure("<24xI12xQQ88x", _stat)


def _statx(mask: int, attributes: int, mode: int, size: int) -> str:
    shown = names.flag_names(mask, names.STATX), names.flag_names(attributes, names.STATX_ATTR)
    return f"stx_mask={shown[0]}, stx_attributes={shown[1]}, stx_mode={_mode(mode)}, stx_size={size}, ..."


statx = structure("<I4xQ12xHxx8xQ208x", _statx)
timespec = structure("<qq", lambda s, ns: f"tv_sec={s}, tv_nsec={ns}")
timespec_given = structure("<qq", lambda s, ns: f"tv_sec={s}, tv_nsec={ns}", output=False)
timeval = structure("<qq", lambda s, us: f"tv_sec={s}, tv_usec={us}")
rlimit = structure("<QQ", lambda cur, top: f"rlim_cur={_limit(cur)}, rlim_max={_limit(top)}")
rlimit_given = structure("<QQ", lambda cur, top: f"rlim_cur={_limit(cur)}, rlim_max={_limit(top)}", output=False)
utsname = structure("<65s65s260x", lambda system, node: f"sysname={_text(system)}, nodename={_text(node)}, ...")


@stored
def pipe_fds(call: Call, value: int) -> str:
    data = b"" if call.failed else call.bytes_at(value, 8)
    if len(data) < 8:
        return pointer(call, value)
    return f"[{', '.join(fd(call, number) for number in struct.unpack('<ii', data))}]"


@stored
def wait_status(call: Call, value: int) -> str:
    """Stored for a child that there was."""
    data = call.bytes_at(value, 4) if value and call.result is not None and call.result > 0 else b""
    return f"[{{{_status(int.from_bytes(data, 'little'))}}}]" if len(data) == 4 else pointer(call, value)
