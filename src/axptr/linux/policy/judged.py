"""A system call as a function of Python judges it: `Call`, with arguments that were fetched once.

What is judged is what is done: strings are read from the program's memory before the function is called, and the
handler gets what was read, or what the function put in its place. So do structures that the function asks for
(`Call.bytes`). A thread that writes over them meanwhile changes nothing.

Not here: which functions there are (`policy`), what the calls do.
"""

from __future__ import annotations

import errno
import os

from ..._core.words.watched import WatchedCall, again, finish, watched
from ...errors import LinuxError
from ...kernel.kernel import Unfinished
from ..known import KnownBytes, KnownString, KnownStrings
from ..uaccess import get_bytes, put_bytes, read_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ...kernel.convert import Wrapper
    from ...kernel.kernel import Syscall
    from ..task.task import LinuxTask
    from .policy import Policy

    Kept = tuple[str, tuple[int, ...], dict[int, Any]]
    """What is kept of a call that waits, as plain data: its name, registers, and what was put in the place of them."""
    Before = Callable[["Call"], "Refuse | Fake | int | None"]
    After = Callable[["Call"], object]

_STRINGS = frozenset({"path", "old", "new", "target", "pathname", "filename"})
"""Names of parameters that are paths, in the handlers of this package."""
_ARRAYS = frozenset({"argv", "envp"})
_MOST = 1 << 16


class Refuse:
    """What a function before a call gives to have it refused. code: an errno, or its name. why: for `Denied`."""

    def __init__(self, code: int | str = errno.EACCES, why: str = "refused by a function") -> None:
        number: int = getattr(errno, code) if isinstance(code, str) else code
        if not 0 < number < 4096:
            raise ValueError(f"{code} is no errno")
        self.errno = number
        self.why = why


class Fake:
    """What a function before a call gives to have the program get a result without the call. result: as the program
    sees it."""

    def __init__(self, result: int) -> None:
        self.result = result


class Call(WatchedCall):
    """One system call. name: Linux' name of it. task: who calls.

    args: its arguments by the names that our handlers have for them, mostly those of the manual: numbers, strings of
    paths as bytes, lists of them for `argv` and `envp`, addresses of what else is pointed at.
    result: afterwards, what the program gets: an errno is negative; None for a call that does not come back. A function
    after the call may set it.

    One argument is had by its name, `call["path"]`: from then on it is what the call is made with.
    """

    __slots__ = ()

    kind: Kind

    @property
    def name(self) -> str:
        return self.kind.name

    @property
    def args(self) -> dict[str, Any]:
        return {name: self[name] for name in self.kind.at}

    def fetched(self, at: int, name: str) -> Any:
        values = self.converted()
        value = values[at]
        if isinstance(value, (KnownString, KnownStrings)) or not value.address:
            return value
        if name in _ARRAYS:
            from ..task.exec import read_strings

            value = KnownStrings(read_strings(self.task, value.address, name), value.address)
        else:
            value = KnownString(read_path(self.task, value), value.address)
        values[at] = value
        return value

    def kept(self) -> Kept:
        known: dict[int, Any] = {}
        fresh = self.kind.convert(None, *self.registers)
        for at, (value, before) in enumerate(zip(self.converted(), fresh, strict=True)):
            if isinstance(value, KnownStrings):
                known[at] = int(value.address), list(value.strings)
            elif isinstance(value, (KnownString, KnownBytes)):
                known[at] = int(value.address), value.data
            elif isinstance(value, int) and value != before:
                known[at] = int(value)
        return self.name, self.registers, known

    def shown(self, value: Any) -> Any:
        if isinstance(value, (KnownString, KnownBytes)):
            return value.data
        if isinstance(value, KnownStrings):
            return list(value.strings)
        address = getattr(value, "address", None)
        return value if address is None else int(address)

    @property
    def pid(self) -> int:
        return int(self.task.pid)

    @property
    def comm(self) -> str:
        """The program's name."""
        return os.fsdecode(self.task.comm)

    def __setitem__(self, name: str, value: Any) -> None:
        """Have the call made with another argument: a number, a string, or bytes of a structure."""
        i, values = self.kind.at[name], self.converted()
        old = values[i]
        if isinstance(value, str):
            value = os.fsencode(value)
        if isinstance(old, KnownString) or name in _STRINGS:
            if not isinstance(value, bytes) or b"\0" in value:
                raise TypeError(f"{name} of {self.name} is a string without NULs")
            values[i] = KnownString(value, getattr(old, "address", 0))
        elif hasattr(old, "address"):
            if not isinstance(value, bytes):
                raise TypeError(f"{name} of {self.name} is what is pointed at: bytes")
            values[i] = KnownBytes(value, old.address)
        else:
            if not isinstance(value, int):
                raise TypeError(f"{name} of {self.name} is a number")
            values[i] = type(old)(value)

    def write(self, name: str, data: bytes) -> None:
        """Put bytes where an argument points, as a call that is faked would have. EFAULT."""
        put_bytes(self.task, int(self.converted()[self.kind.at[name]].address), data)

    def bytes(self, name: str, size: int) -> bytes:
        """The first bytes of a structure that an argument points at. The handler gets these very bytes.

        Not of buffers, whose bytes go by pieces: those of `write` and its kin are fetched by the handler.
        """
        i, values = self.kind.at[name], self.converted()
        pointer = values[i]
        if isinstance(pointer, KnownBytes) and len(pointer.data) >= size:
            return pointer.data[:size]
        data = get_bytes(self.task, int(pointer.address), min(size, _MOST))
        values[i] = KnownBytes(data, int(pointer.address))
        return data

    def address(self, name: str = "address", size: str = "size") -> tuple[str, int] | None:
        """The host and port of an internet address that an argument points at; None for another family."""
        data = self.bytes(name, min(max(int(self[size]), 0), 128))
        family = int.from_bytes(data[:2], "little")
        from ipaddress import ip_address

        if family == 2 and len(data) >= 8:
            return str(ip_address(data[4:8])), int.from_bytes(data[2:4], "big")
        if family == 10 and len(data) >= 24:
            return str(ip_address(data[8:24])), int.from_bytes(data[2:4], "big")
        return None

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self.args.items())
        return f"{self.name}({inside})"


class Kind:
    """What is the same for all calls of one name. at: where each argument stands; texts: which of them are strings, or
    arrays of such, by place. convert: of the registers, as `_core.words.conversion` makes it."""

    __slots__ = ("at", "convert", "name", "texts")

    def __init__(self, syscall: Syscall) -> None:
        self.name = syscall.name
        self.convert = syscall.converter
        params = syscall.params
        self.at = {param.name: i for i, param in enumerate(params)}
        texts = _STRINGS | _ARRAYS
        self.texts = {i: p.name for i, p in enumerate(params) if p.kind == "pointer" and p.name in texts}


def guard(
    policy: Policy, syscall: Syscall, plain: Wrapper, befores: tuple[Before, ...], afters: tuple[After, ...]
) -> Wrapper:
    """The wrapper of a call that functions look at. plain: the one that it has by itself."""

    def decided(call: Call, verdict: Any) -> int | None:
        return _decided(policy, call, verdict, afters)

    return watched(Call, Kind(syscall), plain, syscall.handler, befores, afters, decided, LinuxError, Unfinished)


def call_of(task: LinuxTask, syscall: Syscall, kept: Kept) -> Call:
    """A call that waited, of what was kept of it."""
    _, registers, known = kept
    kind = Kind(syscall)
    values = list(kind.convert(None, *registers))
    for at, value in known.items():
        if not isinstance(value, tuple):
            values[at] = type(values[at])(value)
        elif isinstance(value[1], list):
            values[at] = KnownStrings(value[1], value[0])
        else:
            values[at] = (KnownString if at in kind.texts else KnownBytes)(value[1], value[0])
    call: Call = again(Call, task, kind, registers, values)
    return call


def _decided(policy: Policy, call: Call, verdict: Any, afters: tuple[After, ...]) -> int | None:
    """What a function said."""
    if isinstance(verdict, Refuse):
        policy.refused(call.task, repr(call), "call", verdict.why, verdict.errno)
        return finish(call, afters, -verdict.errno, None)
    result = verdict.result if isinstance(verdict, Fake) else verdict
    if not isinstance(result, int):
        raise TypeError(f"a function before {call.name} gives None, a Refuse, a Fake or a number, not {verdict!r}")
    return finish(call, afters, result, None)
