"""`LinuxKernel`: the table of calls, the loop of a process with its signals and timers, and how a process starts.

The calls themselves are in the families' files, which are imported here; the public face is `api`.
"""

from __future__ import annotations

import os
import stat as stat_module
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .._core.phys.phys import PhysMemory
from ..engine import UnicornEngine
from ..errors import LinuxError
from ..kernel.kernel import Kernel
from ..mm.space import AddrSpace
from .api import Process, ProgramError
from .calls import (  # noqa: F401 - each enters its calls in the registry
    advice,
    dirs,
    files,
    futex,
    ioctl,
    limits,
    memory,
    mlock,
    names,
    network,
    poll,
    prctl,
    process,
    remap,
    rw,
    signals,
    splice,
    stat,
    system,
    xattr,
)
from .calls import time as time_calls  # noqa: F401
from .fs import (  # noqa: F401 - each enters its calls in the registry
    opening,
)
from .fs.dev import Dev
from .fs.host.file import HostFile, standard_stream
from .fs.openfile import FileTable
from .fs.walk import AT_FDCWD, FileSystem
from .load.loader import find_program
from .machine import Machine
from .proc.tree import Proc
from .registry import table
from .task import (  # noqa: F401 - each enters its calls in the registry
    exec,
    waiting,
)
from .task.task import LinuxTask
from .task.waiting import TimeUp

if TYPE_CHECKING:
    from ..engine import Engine


class LinuxKernel(Kernel):
    """The x86-64 Linux personality: `Kernel` with every call of this package."""

    def __init__(self) -> None:
        super().__init__()
        self.syscalls.update(table("x86_64"))

    def name_of(self, nr: int) -> str:
        """The name of a call, served or not: `clone` for 56, `syscall_1000` for a number that Linux has not."""
        from .abi.numbers import name_of  # not at every start

        known = self.syscalls.get(nr)
        return known.name if known is not None else name_of(nr)

    def run_process(self, task: LinuxTask, timeout: float | None = None) -> bool:
        """Run until the process is over (True) or `timeout` seconds have passed (False)."""
        engine: Engine = task.engine
        task.kernel = self
        task.deadline = None if timeout is None else time.monotonic() + timeout
        engine.on_syscall(self.dispatcher(task))
        host_signals = task.host_signals
        if host_signals is not None:
            host_signals.start()
        task.timers.cpu.resume()
        task.machine.terminals.enter()
        try:
            if task.signals.deliverable(task):  # the end of a program that could not be mapped
                task.signals.deliver(task)
            while not task.over:
                engine.attach(task.space)
                task.on_exit(engine.run(timeout=task.time_slice()))
                if task.deadline is not None and time.monotonic() >= task.deadline:
                    break
        except TimeUp as up:  # a call that waits: it is made again when the process is run on
            engine.regs.rax = up.number
            engine.regs.rip -= 2
        finally:
            task.deadline = None
            task.timers.cpu.pause()
            task.machine.terminals.leave()
            if host_signals is not None:
                host_signals.stop()
        if task.over:
            task.files.close_all()  # as exit does: locks and ends of pipes are given back, whenever memory is
        return task.over


def start(
    program: bytes,
    argv: list[bytes],
    environ: list[bytes],
    *,
    cwd: bytes | None,
    memory_limit: int | None,
    allow_write: Iterable[bytes],
    stdio: tuple[int, int, int],
    host_signals: bool,
) -> Process:
    """`create_process` with everything as bytes; see there."""
    machine = Machine()
    table = FileTable(limit=1024, locks=machine.locks)
    _open_streams(machine, table, stdio)  # before anything else is opened: a closed stream's number is given out again
    phys = PhysMemory(limit=memory_limit)  # no room for it is the host's affair, not the program's
    space = AddrSpace(0, 1 << 47, phys)
    try:
        fs = FileSystem(cwd, allow_write, Proc(), Dev())
        task = LinuxTask(space, machine, table, fs, memory_limit)
        path = _search(task, program, environ)
        found = find_program(path, argv or [program], exec.program_finder(task))
    except ProgramError:
        raise
    except (OSError, ValueError) as error:
        raise ProgramError(getattr(error, "errno", None) or 22, f"{os.fsdecode(program)}: {error}") from None
    try:
        task.engine = UnicornEngine(phys)
        if host_signals:
            from .signals.host import HostSignals

            task.host_signals = HostSignals(task)
            task.host_signals.adopt(task.signals)
        exec.start_program(task, found, environ, program)
    except ProgramError:
        raise
    except LinuxError as error:
        raise ProgramError(error.errno, f"{os.fsdecode(program)}: {os.strerror(error.errno)}") from None
    finally:
        found.close()
    table.limit = limits.get_limit(task, limits.RLIMIT_NOFILE)[0]
    return Process(task, LinuxKernel())


def _search(task: LinuxTask, program: bytes, environ: list[bytes]) -> bytes:
    """The path of a program: as it is with a slash in it, else the first in PATH that can be run (execvp)."""
    if b"/" in program or not program:
        return program
    directories = b"/bin:/usr/bin"
    for entry in environ:
        if entry.startswith(b"PATH="):
            directories = entry[5:]
    there = None
    for directory in directories.split(b":"):
        candidate = os.path.join(directory or b".", program)
        try:
            node = task.fs.resolve(task, AT_FDCWD, candidate)
            if not stat_module.S_ISREG(node.mode):
                continue
            there = there or candidate
            node.access(task.fs, os.X_OK, True)
            return candidate
        except LinuxError:
            continue
    if there is not None:
        return there
    raise ProgramError(2, f"{os.fsdecode(program)}: no such program")


def _open_streams(machine: Machine, table: FileTable, stdio: tuple[int, int, int]) -> None:
    """Descriptors 0, 1, 2 are the host's. Two that are the same open file there are one here too, as far as seen."""
    for number, fd in enumerate(stdio):
        stream: HostFile | None = standard_stream(fd)
        if stream is not None:
            table.place(number, stream)
            machine.streams.add(stream.identity)
