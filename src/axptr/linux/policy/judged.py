"""A system call as a function of Python judges it: `Call`, with arguments that were fetched once.

What is judged is what is done: strings are read from the program's memory before the function is called, and the
handler gets what was read, or what the function put in its place. So do structures that the function asks for
(`Call.bytes`). A thread that writes over them meanwhile changes nothing.

Not here: which functions there are (`policy`), what the calls do.
"""

from __future__ import annotations

import errno
import os

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


class Call:
    """One system call. name: Linux' name of it. task: who calls.

    args: its arguments by the names that our handlers have for them, mostly those of the manual: numbers, strings of
    paths as bytes, lists of them for `argv` and `envp`, addresses of what else is pointed at.
    result: afterwards, what the program gets: an errno is negative; None for a call that does not come back. A function
    after the call may set it.
    """

    __slots__ = ("_kind", "_registers", "_values", "result", "task")

    def __init__(self, task: LinuxTask, kind: Kind, registers: tuple[int, ...]) -> None:
        self.task = task
        self.result: int | None = None
        self._kind = kind
        self._registers = registers
        self._values: list[Any] | None = None  # what the handler gets, once somebody has asked for any of it

    @property
    def name(self) -> str:
        return self._kind.name

    @property
    def args(self) -> dict[str, Any]:
        return {name: self[name] for name in self._kind.at}

    def _all(self) -> list[Any]:
        if self._values is None:
            self._values = list(self._kind.convert(*self._registers))
        return self._values

    def _fetched(self, name: str) -> Any:
        """What the handler gets for an argument, read from memory if it is a string."""
        i = self._kind.at[name]
        values = self._all()
        value = values[i]
        if i in self._kind.strings and not isinstance(value, KnownString) and value.address:
            value = values[i] = KnownString(read_path(self.task, value), value.address)
        elif i in self._kind.arrays and not isinstance(value, KnownStrings):
            from ..task.exec import read_strings

            value = values[i] = KnownStrings(read_strings(self.task, value.address, name), value.address)
        return value

    @property
    def pid(self) -> int:
        return self.task.pid

    @property
    def comm(self) -> str:
        """The program's name."""
        return os.fsdecode(self.task.comm)

    def __getitem__(self, name: str) -> Any:
        """One argument. From now on it is what the call is made with, whatever becomes of the memory that it was in."""
        return _shown(self._fetched(name))

    def __setitem__(self, name: str, value: Any) -> None:
        """Have the call made with another argument: a number, a string, or bytes of a structure."""
        i, values = self._kind.at[name], self._all()
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
        put_bytes(self.task, int(self._all()[self._kind.at[name]].address), data)

    def bytes(self, name: str, size: int) -> bytes:
        """The first bytes of a structure that an argument points at. The handler gets these very bytes.

        Not of buffers, whose bytes go by pieces: those of `write` and its kin are fetched by the handler.
        """
        i, values = self._kind.at[name], self._all()
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


def _shown(value: Any) -> Any:
    if isinstance(value, (KnownString, KnownBytes)):
        return value.data
    if isinstance(value, KnownStrings):
        return list(value.strings)
    address = getattr(value, "address", None)
    return value if address is None else int(address)


class Kind:
    """What is the same for all calls of one name. at: where each argument stands; strings, arrays: which of them are
    strings, and arrays of such."""

    __slots__ = ("arrays", "at", "convert", "name", "strings")

    def __init__(self, syscall: Syscall) -> None:
        self.name = syscall.name
        self.convert = syscall.convert
        params = syscall.params
        self.at = {param.name: i for i, param in enumerate(params)}
        pointers = [(i, param.name) for i, param in enumerate(params) if param.kind == "pointer"]
        self.strings = frozenset(i for i, name in pointers if name in _STRINGS)
        self.arrays = frozenset(i for i, name in pointers if name in _ARRAYS)


def guard(
    policy: Policy, syscall: Syscall, plain: Wrapper, befores: tuple[Before, ...], afters: tuple[After, ...]
) -> Wrapper:
    """The wrapper of a call that functions look at. plain: the one that it has by itself."""
    kind, handler = Kind(syscall), syscall.handler

    def guarded(task: Any, a0: int, a1: int, a2: int, a3: int, a4: int, a5: int) -> int | None:
        call = Call(task, kind, (a0, a1, a2, a3, a4, a5))
        if afters:
            _ = call.args  # as they are now
        for function in befores:
            verdict = function(call)
            if verdict is not None:
                return _decided(policy, call, verdict, afters)
        values = call._values
        if not afters:
            return plain(task, a0, a1, a2, a3, a4, a5) if values is None else handler(task, *values)
        try:
            result = handler(task, *(values or ()))
        except Unfinished:
            raise
        except LinuxError as error:
            return finish(call, afters, -error.errno, error)
        if task.blocked is not None:
            task.judged = call, afters
            return None
        return finish(call, afters, result, None)

    return guarded


def _decided(policy: Policy, call: Call, verdict: Any, afters: tuple[After, ...]) -> int | None:
    """What a function said."""
    if isinstance(verdict, Refuse):
        policy.refused(call.task, repr(call), "call", verdict.why, verdict.errno)
        return finish(call, afters, -verdict.errno, None)
    result = verdict.result if isinstance(verdict, Fake) else verdict
    if not isinstance(result, int):
        raise TypeError(f"a function before {call.name} gives None, a Refuse, a Fake or a number, not {verdict!r}")
    return finish(call, afters, result, None)


def finish(call: Call, afters: tuple[After, ...], result: int | None, error: LinuxError | None) -> int | None:
    """Tell the functions after a call; what the program gets."""
    call.result = result
    for function in afters:
        function(call)
    if call.result == result and error is not None:
        raise error
    return call.result
