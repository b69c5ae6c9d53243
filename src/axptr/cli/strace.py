"""`--strace`: one line for each system call, in strace's form.

    openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3
    read(3, 0x10, 4096)                     = -1 EFAULT (write of 4096 bytes at 0x10: not mapped)

A line is written after its call; a call that never returns has `?` as its result, one that the program was in when
the run ended is `<unfinished ...>`. The text after an error is the error's own; for `EFAULT` it says what was touched
and why that failed. Arguments are read after the call, except those of `execve` and its kin, whose memory is gone then.
"""

from __future__ import annotations

from ..errors import LinuxError
from ..linux.abi.numbers import name_of
from . import constants
from .decode import ARGUMENTS, RESULT_IN_HEX, Call, Decoder, by_annotation, integer, pointer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..kernel.kernel import Kernel, Syscall
    from ..kernel.task import Task
    from ..linux.api import Result

RESULT_COLUMN = 40
EXECUTING = frozenset({"execve", "execveat"})
"""Calls whose arguments are read before them: afterwards their memory is gone."""


class Tracer:
    """Writes a line per call to `write`: `trace(kernel)` before the run, `ended(result)` after it."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self.write = write
        self._decoders: dict[int, tuple[Decoder, ...]] = {}
        self._entered: tuple[Task, Syscall, tuple[Any, ...]] | None = None
        self._text: str | None = None

    def trace(self, kernel: Kernel) -> None:
        """Have the kernel tell of its calls."""
        kernel.on_enter = self._enter
        kernel.on_call = self._leave

    def _enter(self, task: Task, syscall: Syscall, arguments: tuple[Any, ...]) -> None:
        self._entered = (task, syscall, arguments)
        self._text = self._call(task, syscall, arguments, None) if syscall.name in EXECUTING else None

    def _leave(
        self, task: Task, syscall: Syscall, arguments: tuple[Any, ...], outcome: int | LinuxError | None
    ) -> None:
        result = -outcome.errno if isinstance(outcome, LinuxError) else outcome
        text = self._text or self._call(task, syscall, arguments, result)
        self._entered = self._text = None
        self.write(f"{text:<{RESULT_COLUMN - 1}} = {_outcome(syscall.name, outcome)}\n")

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
        self._unfinished()
        self.write("+++ interrupted +++\n")

    def _unfinished(self) -> None:
        """The call that was under way."""
        if self._entered is not None:
            text = self._text or self._call(*self._entered, None)
            self.write(f"{text.removesuffix(')')} <unfinished ...>\n")

    def ended(self, result: Result) -> None:
        """The last lines: the call that was under way, the signal that killed the program, and its end."""
        self._unfinished()
        if result.death is not None:
            death = result.death
            name = constants.signal_name(death.signal)
            code = constants.signal_code(death.signal, death.code)
            address = "" if death.address is None else f", si_addr={pointer_text(death.address)}"
            self.write(f"--- {name} {{si_signo={name}, si_code={code}{address}}} ---\n")
            self.write(f"+++ killed by {name} +++\n")
        elif result.timed_out:
            self.write("+++ timed out +++\n")
        else:
            self.write(f"+++ exited with {result.exit_code} +++\n")


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
