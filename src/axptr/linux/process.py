"""`Process`: a program that was started in a machine, as whoever started it has it: to run, wait for and look into.

Not here: how it is started (`system`, `api`), how it ends (`task.ending`).
"""

from __future__ import annotations

from .ends import Result, sensible
from .host import wall as now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._core.phys.phys import PhysMemory
    from ..engine import Engine
    from ..mm.area import MemoryArea
    from ..mm.space import AddrSpace
    from .machine import Machine
    from .personality import LinuxKernel
    from .streams import Inlet, Outlet
    from .system import Linux
    from .task.task import LinuxTask
    from .task.usage import Usage


class Process:
    """A program loaded and ready. Made by `create_process` and `Linux.spawn`.

    task: the `LinuxTask` (a provider: `UserPtr[T](address).read(process.task)` works at any time).
    kernel: its `LinuxKernel`: `kernel.on_call` for a tracer, `kernel.unknown` (number -> count of unknown calls),
    `kernel.calls` (name -> count, when `kernel.count_calls` was set before the run).
    engine: the CPU. engine_why: why it is this one; engine_lack: what the host does not allow, where "auto" would have
    taken another. phys: the `PhysMemory`, its machine's. pid: its number in the machine. owner: whether the machine is
    for it alone.
    stdin, stdout, stderr: our end of what was made by `PIPE`, else None.
    After the end of the program memory and areas are still there, until `close()`.

    The machine's thread alone uses it.
    """

    stdin: Inlet | None = None
    stdout: Outlet | None = None
    stderr: Outlet | None = None

    def __init__(self, linux: Linux, task: LinuxTask, *, owner: bool) -> None:
        """owner: whether the machine is for this process alone, and ends with it."""
        self.linux = linux
        self.machine: Machine = task.machine
        self._first = task.group
        self.owner = owner
        self.kernel: LinuxKernel = linux.kernel
        self.engine: Engine = task.engine
        self.engine_why, self.engine_lack = linux.engine_why, linux.engine_lack
        self.phys: PhysMemory = task.space.phys
        self.pid = task.pid
        self._closed = False
        self._last: LinuxTask | None = None

    @property
    def doubtful(self) -> bool:
        """Whether its machine came from a file."""
        return self.linux.doubtful

    @property
    def task(self) -> LinuxTask:
        """The main thread of the program, in the end the last that it had."""
        return self._first.leader if self._last is None else self._last

    @property
    def space(self) -> AddrSpace:
        """The program's address space now (execve makes a new one)."""
        return self.task.space

    @sensible
    def area_name(self, area: MemoryArea) -> str:
        """What an area is called in the program's /proc/self/maps: its file, `[heap]`, `[stack]`, or ""."""
        from .proc.maps import area_name

        return area_name(self.task, area)

    @sensible
    def format_maps(self) -> str:
        """The areas as the program sees them in /proc/self/maps. `space.format_maps` knows of no heap and no stack."""
        from .proc.maps import format_maps

        return format_maps(self.task, self.space)

    @sensible
    def format_svg(self, title: str = "") -> str:
        """The same as a picture: `space.format_svg`, with the heap and the stack named."""
        return self.space.format_svg(title, name_of=self.area_name)

    @property
    def ended(self) -> bool:
        """Whether the program has exited or died."""
        return self._first.zombie

    @property
    @sensible
    def result(self) -> Result | None:
        """How it ended; None as long as it has not. `wall` is not told here."""
        if not self._first.zombie:
            return None
        if self._first.death is not None:
            return Result(death=self._first.death)
        return Result(exit_code=self._first.exit_code)

    @property
    @sensible
    def usage(self) -> Usage:
        """What the process has used, and those of its children that it has waited for."""
        from .task.usage import Usage, used_by

        total = Usage()
        group = self._first
        total.add(group.used if group.zombie else used_by(self.task))
        total.add(group.waited)
        return total

    @sensible
    def run(self, timeout: float | None = None, *, until: str | int | None = None, count: int = 1) -> Result:
        """Run the machine until the program exits or dies, or `timeout` seconds have passed.

        until: or until the program comes to a place so many times (`count`): the address of an instruction, which is
        still to come; a function by its name, as `axptr.debug.Symbols` finds it once the libraries are there
        (`LookupError` if nothing has it); a system call that has just been made, as "call:openat".
        `result.stopped` then says where, and the next run goes on from there.

        Processes that it leaves behind stay as they are: `run_rest` runs them on, `close` ends them.
        What a tracer, a handler or Ctrl-C raises comes out of here, and the process can be run on. `RuntimeError` once
        the program has ended, or the process was closed.
        """
        self._require_open()
        if self._first.zombie:
            raise RuntimeError("this program has ended: create another process to run it again")
        if until is not None:
            from .until import run_until

            return run_until(self, until, count, timeout)
        return self.wait(timeout)

    @sensible
    def wait(self, timeout: float | None = None) -> Result:
        """The same, and the result once more for a program that has ended."""
        self._require_open()
        begin = now()
        if not self._first.zombie and not self.kernel.run_process(self.task, timeout):
            return Result(timed_out=True, wall=now() - begin)
        result = self.result
        assert result is not None
        result.wall = now() - begin
        return result

    @sensible
    def run_rest(self, timeout: float | None = None) -> bool:
        """After the program's end: run on what it left in the background, as long as one of those has a standard output
        open, which is how long whoever reads it would wait on the host. Whether that is over by now, or it took longer
        than `timeout` seconds.

        What then still runs without an output, such as a daemon, ends with the machine (`close`).
        """
        self._require_open()
        if not self._first.zombie:
            raise RuntimeError("the program has not ended: run() runs it, and all others with it")
        return self.kernel.run_rest(self.machine, timeout)

    @sensible
    def signal(self, number: int) -> None:
        """Send it a signal, as its parent; nothing happens to one that has ended. It is delivered when it runs."""
        from .abi.signals import SI_USER, Info
        from .signals.sending import send_process

        if not 1 <= number <= 64:
            raise ValueError(f"{number} is no signal")
        send_process(self._first, Info(number, SI_USER))

    @sensible
    def end(self, number: int = 9) -> None:
        """End it here and now, as if a signal that it cannot handle had: no instruction of it runs any more."""
        from .task.ending import end_group

        group = self._first
        if not group.zombie:
            end_group(group, number)

    @sensible
    def end_all(self) -> None:
        """The same, of all processes that came of it too, whoever's children they are now."""
        from .task.ending import end_group

        for group in list(self.machine.pids.groups.values()):
            if group.origin is self._first and not group.zombie:
                end_group(group)

    def refer(self, task: LinuxTask, ends: tuple[Inlet | None, Outlet | None, Outlet | None]) -> None:
        """The machine was put back to a snapshot: this is what the process is now, and our ends of its streams."""
        self._first = task.group
        self.engine, self.kernel = task.engine, self.linux.kernel
        self.stdin, self.stdout, self.stderr = ends

    def gone(self) -> None:
        """The machine was put back to before it was started: there is no such process any more."""
        self._closed = True

    def dissolve(self) -> None:
        """Its machine is closed: it and our ends of its streams are left to whoever holds them."""
        self._last = self.task
        for end in (self.stdin, self.stdout, self.stderr):
            if end is not None:
                end.dissolve()

    def close(self) -> None:
        """Give its memory back, which ends it if it still runs; with a machine of its own, that and all its files too.
        The process is of no use afterwards. Idempotent. `RuntimeError` as of `Linux.close`."""
        if self._closed:
            return
        if self.owner:
            self.linux.close()
        self._closed = True
        if not self.owner and not self.linux.closed:
            self.end()
            self.linux.forget(self)
            self.linux.let_go(self._first)
            for end in (self.stdin, self.stdout, self.stderr):
                if end is not None:
                    end.close()
            if self.machine.pids.groups.get(self._first.tgid) is not self._first:
                self._last = self.task
                self._first.dissolve()

    def _require_open(self) -> None:
        if self._closed or self.linux.closed:
            raise RuntimeError("this process is closed: there is nothing left to run")

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
