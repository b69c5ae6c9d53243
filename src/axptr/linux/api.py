"""Starting a Linux program and seeing how it ends: what `axptr run` and tests use.

    process = create_process("/bin/echo", ["echo", "hello"])
    result = process.run(timeout=10)
    result.exit_code        # 0

One process, one thread, one engine. Not here: how an ELF file is loaded (`loader`), what the calls do (the
other files of this package), how a death is printed (`axptr.cli`).
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import LinuxError
from . import arguments
from .arguments import Text

if TYPE_CHECKING:
    from .._core.phys.phys import PhysMemory
    from ..mm.area import MemoryArea
    from ..mm.space import AddrSpace
    from .personality import LinuxKernel
    from .task.task import LinuxTask

EXIT_FAILED = 125


class ProgramError(LinuxError):
    """The program could not be started. `str(error)` is one clear line.

    `errno` is what `execve` gives (ENOENT, EACCES, ENOEXEC, EISDIR, ENOMEM, ...), `exit_status` what a shell
    would exit with: 127 when there is no such program, else 126; 125 where it is axptr itself that could not start.
    """

    def __init__(self, errno_: int, message: str, *, own: bool = False) -> None:
        super().__init__(errno_, message)
        self.message = message
        self.own = own

    @property
    def exit_status(self) -> int:
        if self.own:
            return EXIT_FAILED
        return 127 if self.errno == errno.ENOENT else 126

    def __str__(self) -> str:
        return self.message


class Death:
    """Why a signal killed the program.

    signal: the signal's number (11 for SIGSEGV).
    code: siginfo's si_code. address: siginfo's si_addr where the signal has one, else None.
    fault: of a page fault the `UserFault` (address, access, reason, area, message), or the `LinuxError` (ENOMEM) of a
    page there was no memory for; None for other causes.
    rip: the instruction; regs: general registers by name, as they were at that moment.
    """

    __slots__ = ("address", "code", "fault", "regs", "rip", "signal")

    def __init__(
        self, signal: int, code: int, address: int | None, fault: LinuxError | None, regs: dict[str, int]
    ) -> None:
        self.signal = signal
        self.code = code
        self.address = address
        self.fault = fault
        self.regs = regs
        self.rip = regs["rip"]


class Result:
    """How a run ended: exactly one of exit_code, signal, timed_out tells.

    exit_code: 0 to 255 if the program called exit, else None.
    signal: the signal's number if it died of one, else None; `death` then says more.
    timed_out: the time was up; the process can be inspected and run on.
    wall: seconds spent in `run`.
    """

    __slots__ = ("death", "exit_code", "signal", "timed_out", "wall")

    def __init__(
        self,
        *,
        exit_code: int | None = None,
        death: Death | None = None,
        timed_out: bool = False,
        wall: float = 0.0,
    ) -> None:
        self.exit_code = exit_code
        self.death = death
        self.signal = death.signal if death is not None else None
        self.timed_out = timed_out
        self.wall = wall

    @property
    def status(self) -> int:
        """As a shell reports it: the exit code, 128 + signal, or 124 when the time was up."""
        if self.exit_code is not None:
            return self.exit_code
        return 124 if self.signal is None else 128 + self.signal

    def __repr__(self) -> str:
        if self.exit_code is not None:
            return f"<Result exit {self.exit_code}>"
        return f"<Result signal {self.signal}>" if self.signal else "<Result timed out>"


class Process:
    """A program loaded and ready. Made by `create_process`.

    task: the `LinuxTask` (a provider: `UserPtr[T](address).read(process.task)` works at any time).
    kernel: its `LinuxKernel`: `kernel.on_call` for a tracer, `kernel.unknown` (number -> count of unknown calls),
    `kernel.calls` (name -> count, when `kernel.count_calls` was set before the run).
    engine: the CPU. phys: the `PhysMemory`, its own.
    After the end of the program memory and areas are still there, until `close()`.
    """

    def __init__(self, task: LinuxTask, kernel: LinuxKernel) -> None:
        self.task = task
        self.kernel = kernel
        self.engine = task.engine
        self.phys: PhysMemory = task.space.phys
        self._closed = False

    @property
    def space(self) -> AddrSpace:
        """The program's address space now (execve makes a new one)."""
        return self.task.space

    def area_name(self, area: MemoryArea) -> str:
        """What an area is called in the program's /proc/self/maps: its file, `[heap]`, `[stack]`, or ""."""
        from .proc.maps import area_name

        return area_name(self.task, area)

    def format_maps(self) -> str:
        """The areas as the program sees them in /proc/self/maps. `space.format_maps` knows of no heap and no stack."""
        from .proc.maps import format_maps

        return format_maps(self.task, self.space)

    def format_svg(self, title: str = "") -> str:
        """The same as a picture: `space.format_svg`, with the heap and the stack named."""
        return self.space.format_svg(title, name_of=self.area_name)

    def run(self, timeout: float | None = None) -> Result:
        """Run until the program exits or dies, or `timeout` seconds have passed.

        What a tracer, a handler or Ctrl-C raises comes out of here, and the process can be run on. `RuntimeError` once
        the program has ended, or the process was closed.
        """
        if self._closed:
            raise RuntimeError("this process is closed: there is nothing left to run")
        if self.task.over:
            raise RuntimeError("this program has ended: create another process to run it again")
        begin = time.monotonic()
        task = self.task
        finished = self.kernel.run_process(task, timeout)
        wall = time.monotonic() - begin
        if not finished:
            return Result(timed_out=True, wall=wall)
        if task.death is not None:
            return Result(death=task.death, wall=wall)
        return Result(exit_code=task.exit_code, wall=wall)

    def close(self) -> None:
        """Close the program's files and give its memory back. The process is of no use afterwards."""
        self._closed = True
        self.task.files.close_all()
        self.task.space.clear()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def create_process(
    program: Text,
    argv: Sequence[Text] | None = None,
    env: Mapping[Text, Text] | Iterable[Text] | None = None,
    *,
    cwd: Text | None = None,
    memory_limit: int | None = None,
    allow_write: Iterable[Text] = (),
    stdio: tuple[int, int, int] = (0, 1, 2),
    host_signals: bool = False,
) -> Process:
    """Load `program` and give back a process that is about to run its first instruction.

    program: a path; a name without a slash is looked up in the environment's PATH as `execvp` does.
    argv: all arguments, argv[0] included; by default the program's name alone.
    env: a mapping, or `NAME=value` strings; by default the host's environment.
    cwd: where the program starts; by default where the host process is.
    memory_limit: bytes of frames (data and page tables) the program may hold; beyond it calls give ENOMEM.
    allow_write: directories under which files may be created, written and removed; everywhere else EROFS.
    stdio: the host descriptors the program gets as 0, 1, 2; they are used as they are and never closed.
    host_signals: whether signals sent to this process while it runs are the program's, as `axptr run` has it: it starts
    with those ignored and blocked that this process ignores and blocks, and one that stops it stops this process. It
    can be run in the main thread only then, and other threads should block what is to reach it.

    Raises `ProgramError` with one clear line if the program cannot be started; nothing is left behind then. `TypeError`
    and `ValueError` for arguments that make no sense.
    """
    from .personality import start

    name = arguments.text("program", program)
    argv_bytes, environ = arguments.argv(name, argv), arguments.environment(env)
    try:
        return start(
            name,
            argv_bytes,
            environ,
            cwd=arguments.text("cwd", cwd) if cwd is not None else None,
            memory_limit=arguments.limit(memory_limit),
            allow_write=arguments.texts("allow_write", allow_write),
            stdio=arguments.streams(stdio),
            host_signals=bool(host_signals),
        )
    except ProgramError:
        raise
    except (MemoryError, LinuxError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "out of memory"
        code = getattr(error, "errno", None) or errno.ENOMEM
        raise ProgramError(code, f"the host has no room for a machine: {reason}", own=True) from None
