"""`--strace`: one line for each system call, in strace's form.

    openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3
    read(3, 0x10, 4096)                     = -1 EFAULT (write of 4096 bytes at 0x10: not mapped)

A line is written after its call; a call that never returns has `?` as its result, one that the program was in when
it ended is `<unfinished ...>`. Of several tasks each line has the number of its own in front. The text after an error
is the error's own; for `EFAULT` it says what was touched and why that failed. Arguments are read after the call, except
those of `execve` and its kin, whose memory is gone then.
"""

from __future__ import annotations

import os
from ctypes import c_char
from struct import iter_unpack

from .._core.pointers.pointer import UserConstPtr
from ..errors import LinuxError
from ..linux.abi.numbers import name_of
from . import constants
from .decode import (
    ARGUMENTS,
    ARRAY_LIMIT,
    PATH_LIMIT,
    RESULT_IN_HEX,
    Call,
    Decoder,
    by_annotation,
    integer,
    pointer,
    quoted,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..kernel.kernel import Kernel, Syscall
    from ..kernel.task import Task
    from ..linux.task.task import LinuxTask

RESULT_COLUMN = 40
_AT_EXECFN = 31
EXECUTING = frozenset({"execve", "execveat"})
"""Calls whose arguments are read before them: afterwards their memory is gone."""


class Tracer:
    """Writes a line per call: `trace(kernel)` before the run; `interrupted` or `timed_out` after one that stopped.

    Once there are several tasks each line begins with whose it is, as strace's do for `-f`.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._decoders: dict[int, tuple[Decoder, ...]] = {}
        self._under_way: dict[Task, tuple[Syscall, tuple[Any, ...], str | None]] = {}
        """Calls that have begun, with their text where it was read before."""
        self._first: Task | None = None
        self._many = False

    def trace(self, kernel: Kernel) -> None:
        """Have the kernel tell of its calls."""
        kernel.on_enter = self._enter
        kernel.on_call = self._leave
        kernel.on_end = self._end

    def write(self, task: Task | None, text: str) -> None:
        if task is not None and task is not self._first:
            self._many = self._many or self._first is not None
            self._first = self._first or task
        tid = getattr(task, "tid", None) if self._many else None
        self._write(text if tid is None else f"[pid {tid:5}] {text}")

    def began(self, task: LinuxTask, argv: list[str], variables: int) -> None:
        """The first line: what began the program."""
        words = dict(iter_unpack("<QQ", task.mm.auxv))
        path = UserConstPtr[c_char](words.get(_AT_EXECFN, 0)).read_cstr(task, PATH_LIMIT)
        texts = ", ".join(quoted(os.fsencode(word), PATH_LIMIT) for word in argv[:ARRAY_LIMIT])
        more = ", ..." if len(argv) > ARRAY_LIMIT else ""
        start = pointer_text(task.mm.env[0])
        call = f"execve({quoted(path, PATH_LIMIT)}, [{texts}{more}], {start} /* {variables} vars */)"
        self.write(task, f"{call:<{RESULT_COLUMN - 1}} = 0\n")

    def _enter(self, task: Task, syscall: Syscall, arguments: tuple[Any, ...]) -> None:
        text = self._call(task, syscall, arguments, None) if syscall.name in EXECUTING else None
        self._under_way[task] = syscall, arguments, text

    def _leave(
        self, task: Task, syscall: Syscall, arguments: tuple[Any, ...], outcome: int | LinuxError | None
    ) -> None:
        result = -outcome.errno if isinstance(outcome, LinuxError) else outcome
        entered = self._under_way.pop(task, None)
        text = (entered and entered[2]) or self._call(task, syscall, arguments, result)
        if syscall.name in EXECUTING and outcome is None:
            outcome = 0
        self.write(task, f"{text:<{RESULT_COLUMN - 1}} = {_outcome(syscall.name, outcome)}\n")

    def _end(self, task: LinuxTask) -> None:
        """A thread has ended: the call that it was in, and of what it died."""
        self._unfinished(task)
        death = task.group.death
        if death is None:
            code = task.code if task.group.exit_code is None else task.group.exit_code
            self.write(task, f"+++ exited with {code} +++\n")
            return
        name = constants.signal_name(death.signal)
        code_name = constants.signal_code(death.signal, death.code)
        address = "" if death.address is None else f", si_addr={pointer_text(death.address)}"
        self.write(task, f"--- {name} {{si_signo={name}, si_code={code_name}{address}}} ---\n")
        self.write(task, f"+++ killed by {name} +++\n")

    def _call(self, task: Task, syscall: Syscall, arguments: tuple[Any, ...], result: int | None) -> str:
        registered = syscall.nr in task.kernel.syscalls
        name = syscall.name if registered else name_of(syscall.nr)
        decoders = self._decoders.get(syscall.nr)
        if decoders is None:
            decoders = self._decoders[syscall.nr] = _decoders(name, syscall, len(arguments), registered)
        call = Call(task, [integer(argument) for argument in arguments], result)
        texts = [decode(call, value) for decode, value in zip(decoders, call.values, strict=False)]
        while texts and not texts[-1]:  # an argument that does not count, such as open's mode without O_CREAT
            texts.pop()
        return f"{name}({', '.join(texts)})"

    def interrupted(self) -> None:
        """The last lines of a run that Ctrl-C ended."""
        self._stopped("interrupted")

    def timed_out(self) -> None:
        self._stopped("timed out")

    def _stopped(self, how: str) -> None:
        for task in list(self._under_way):
            self._unfinished(task)
        self._write(f"+++ {how} +++\n")

    def _unfinished(self, task: Task) -> None:
        """The call that was under way."""
        entered = self._under_way.pop(task, None)
        if entered is not None:
            syscall, arguments, before = entered
            text = before or self._call(task, syscall, arguments, None)
            self.write(task, f"{text.removesuffix(')')} <unfinished ...>\n")


def _decoders(name: str, syscall: Syscall, count: int, registered: bool) -> tuple[Decoder, ...]:
    known = ARGUMENTS.get(name, ())[:count]
    if not registered:
        return known + (pointer,) * ((count if not known else len(known)) - len(known))
    return known + tuple(by_annotation(param) for param in syscall.params[len(known) :])


def _outcome(name: str, outcome: int | LinuxError | None) -> str:
    if outcome is None:
        return "?"
    if isinstance(outcome, LinuxError):
        return f"-1 {outcome.name} ({outcome.strerror})"
    if -4096 < outcome < 0:  # a handler may give the negative number itself
        error = LinuxError(-outcome)
        return f"-1 {error.name} ({error.strerror})"
    return f"{outcome:#x}" if name in RESULT_IN_HEX else str(outcome)


def pointer_text(address: int) -> str:
    """`NULL` or hexadecimal."""
    return f"{address:#x}" if address else "NULL"
