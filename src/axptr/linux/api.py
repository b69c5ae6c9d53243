"""Starting a Linux program and seeing how it ends: what `axptr run` and tests use.

    process = create_process("/bin/echo", ["echo", "hello"])
    result = process.run(timeout=10)
    result.exit_code        # 0

One process, one thread, one engine. Not here: how an ELF file is loaded (`load.loader`), what the calls do (`calls`),
how a death is printed (`axptr.cli`).
"""

from __future__ import annotations

import errno
import os
import stat as stat_module

from .._core.phys.phys import PhysMemory
from ..engine.auto import choose
from ..errors import LinuxError
from ..mm.space import AddrSpace
from . import arguments
from .arch.x86_64.cpu import of_host
from .arguments import Text
from .ends import Death, ProgramError, Result
from .fs.host.file import HostFile
from .fs.host.mount import HostMount
from .fs.host.tree import standard_stream
from .fs.latermount import LaterTmpMount
from .fs.setup import first_directory, host_tree
from .fs.walk import AT_FDCWD, FsContext
from .fs.writable import WritableDirs
from .host import HostView
from .host import wall as now
from .load.loader import find_program
from .machine import Machine
from .personality import LinuxKernel
from .task import exec
from .task.filetable import FileTable
from .task.limits import RLIMIT_NOFILE, get_limit
from .task.task import LinuxTask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..engine.auto import Choice
    from ..mm.area import MemoryArea
    from .fs.mounts import MountTable
    from .fs.node import DirNode
    from .fs.overlay import Overlay
    from .net.policy import Policy

    Layout = tuple[object, dict[bytes, object], Overlay | None]

__all__ = ["Death", "Process", "ProgramError", "Result", "create_process"]

_SHM_DEVICE = os.makedev(0, 0x3F)
MAX_PROCS = 32768
"""Processes and threads that a machine may have at once, if nothing else is said."""
_AHEAD = 64
_AROUND = 64
"""Pages that a program which writes one after the other gets at once, on a CPU where a fault costs microseconds."""


class Process:
    """A program loaded and ready. Made by `create_process`.

    task: the `LinuxTask` (a provider: `UserPtr[T](address).read(process.task)` works at any time).
    kernel: its `LinuxKernel`: `kernel.on_call` for a tracer, `kernel.unknown` (number -> count of unknown calls),
    `kernel.calls` (name -> count, when `kernel.count_calls` was set before the run).
    engine: the CPU. engine_why: why it is this one; engine_lack: what the host does not allow, where "auto" would have
    taken another. phys: the `PhysMemory`, its own.
    After the end of the program memory and areas are still there, until `close()`.
    """

    def __init__(self, task: LinuxTask, kernel: LinuxKernel, chosen: Choice) -> None:
        self.machine = task.machine
        self._first = task.group
        self.kernel = kernel
        self.engine = task.engine
        self.engine_why, self.engine_lack = chosen.why, chosen.lack
        self.phys: PhysMemory = task.space.phys
        self._closed = False

    @property
    def task(self) -> LinuxTask:
        """The main thread of the program, in the end the last that it had."""
        return self._first.leader

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

        Processes that it leaves behind stay as they are: `run_rest` runs them on, `close` ends them.
        What a tracer, a handler or Ctrl-C raises comes out of here, and the process can be run on. `RuntimeError` once
        the program has ended, or the process was closed.
        """
        if self._closed:
            raise RuntimeError("this process is closed: there is nothing left to run")
        if self._first.zombie:
            raise RuntimeError("this program has ended: create another process to run it again")
        begin = now()
        task = self.task
        finished = self.kernel.run_process(task, timeout)
        wall = now() - begin
        if not finished:
            return Result(timed_out=True, wall=wall)
        if self._first.death is not None:
            return Result(death=self._first.death, wall=wall)
        return Result(exit_code=self._first.exit_code, wall=wall)

    def run_rest(self, timeout: float | None = None) -> bool:
        """After the program's end: run on what it left in the background, as long as one of those has a standard output
        open, which is how long whoever reads it would wait on the host. Whether that is over by now, or it took longer
        than `timeout` seconds.

        What then still runs without an output, such as a daemon, ends with the machine (`close`).
        """
        if self._closed:
            raise RuntimeError("this process is closed: there is nothing left to run")
        if not self._first.zombie:
            raise RuntimeError("the program has not ended: run() runs it, and all others with it")
        return self.kernel.run_rest(self.machine, timeout)

    def close(self) -> None:
        """Close the program's files and give its memory back. The process is of no use afterwards."""
        self._closed = True
        self.machine.close()
        self.task.space.clear()
        self.task.fs.mounts.close()
        self.engine.close()

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
    root: object = None,
    mounts: Mapping[Text, object] | None = None,
    overlay: Overlay | bool = False,
    stdio: tuple[int, int, int] = (0, 1, 2),
    host_signals: bool = False,
    seed: int | None = None,
    engine: str = "auto",
    max_procs: int | None = None,
    net: str = "loopback",
    allow_net: Iterable[Text] = (),
) -> Process:
    """Load `program` and give back a process that is about to run its first instruction.

    program: a path; a name without a slash is looked up in the environment's PATH as `execvp` does.
    argv: all arguments, argv[0] included; by default the program's name alone.
    env: a mapping, or `NAME=value` strings; by default the host's environment.
    cwd: where the program starts; by default where the host process is.
    memory_limit: bytes of frames (data and page tables) the program may hold; beyond it calls give ENOMEM.
    allow_write: directories under which files may be created, written and removed; everywhere else EROFS.
    root: what the program sees as `/`, with our own /proc and /dev in it; by default the host's files. A directory of
    the host, or what `mounts` takes. `cwd` is then a directory in it, by default `/`.
    mounts: what else it sees, by place: a directory of the host (a path: it may be changed; `HostDir(path,
    readonly=True)`), `Tmpfs()`, or a tree of Python's (`Tree`).
    overlay: keep all changes in memory: True, or an `Overlay`, which lists, saves and commits them. What `allow_write`
    names is changed on the host all the same.
    stdio: the host descriptors the program gets as 0, 1, 2; they are used as they are and never closed.
    host_signals: whether signals sent to this process while it runs are the program's, as `axptr run` has it: it starts
    with those ignored and blocked that this process ignores and blocks, and one that stops it stops this process. It
    can be run in the main thread only then, and other threads should block what is to reach it.
    seed: a number by which the run repeats: clocks, random bytes, the process's number and the names of the machine are
    made of it, and a sleep takes no time. None: all of that is the host's.

    max_procs: how many processes and threads there may be at once; beyond it fork gives EAGAIN. Some thousands by
    default.
    engine: the CPU: "native", the host's own in a confined process; "unicorn", which emulates it; or "auto", the first
    where the host allows it and no seed is given, else the other. `process.engine.name` tells which it is,
    `process.engine_why` why.
    net: "loopback", one of the machine's own; "none", not even that; "host", the host's network.
    allow_net: `HOST[:PORT]` that may be reached besides, a name, an address or a range of them (`10.0.0.0/8`).

    Raises `ProgramError` with one clear line if the program cannot be started; nothing is left behind then. `TypeError`
    and `ValueError` for arguments that make no sense.
    """
    name = arguments.text("program", program)
    argv_bytes, environ = arguments.argv(name, argv), arguments.environment(env)
    try:
        return _start(
            name,
            argv_bytes,
            environ,
            cwd=arguments.text("cwd", cwd) if cwd is not None else None,
            memory_limit=arguments.limit(memory_limit),
            allow_write=arguments.directories("allow_write", allow_write),
            layout=_layout(root, mounts, overlay),
            stdio=arguments.streams(stdio),
            host_signals=bool(host_signals),
            seed=arguments.seed(seed),
            engine=arguments.engine(engine, seed),
            max_procs=arguments.count("max_procs", max_procs, MAX_PROCS),
            policy=arguments.network(net, allow_net, seed),
        )
    except ProgramError:
        raise
    except (MemoryError, LinuxError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "out of memory"
        code = getattr(error, "errno", None) or errno.ENOMEM
        raise ProgramError(code, f"the host has no room for a machine: {reason}", own=True) from None


def _start(
    program: bytes,
    argv: list[bytes],
    environ: list[bytes],
    *,
    cwd: bytes | None,
    memory_limit: int | None,
    allow_write: Iterable[bytes],
    layout: Layout | None,
    stdio: tuple[int, int, int],
    host_signals: bool,
    seed: int | None,
    engine: str,
    max_procs: int,
    policy: Policy | None,
) -> Process:
    """`create_process` with everything as bytes; see there."""
    machine = Machine(memory_limit, _view(seed), most_tasks=max_procs)
    machine.net_policy = policy
    table = FileTable(limit=1024, locks=machine.locks)
    _open_streams(machine, table, stdio)  # before anything else is opened: a closed stream's number is given out again
    phys = PhysMemory(limit=memory_limit)  # no room for it is the host's affair, not the program's
    machine.phys = phys
    space = AddrSpace(0, 1 << 47, phys)
    space.fault_around = _AROUND
    try:
        fs = FsContext(_mounts(machine, phys, allow_write, layout), machine.host.umask)
        _streams_are_of(table, fs, allow_write)
        task = LinuxTask.first(machine, space, table, fs)
        if layout is not None and layout[0] is not None:
            fs.cwd = fs.resolve(task, AT_FDCWD, (cwd or b"/") + b"/").hold()
        else:
            fs.cwd = first_directory(task, cwd if cwd is not None else b".")
        path = _search(task, program, environ)
        found = find_program(path, argv or [program], exec.program_finder(task))
    except ProgramError:
        raise
    except (OSError, ValueError) as error:
        raise ProgramError(getattr(error, "errno", None) or 22, f"{os.fsdecode(program)}: {error}") from None
    try:
        chosen = choose(engine, phys, space, machine.host.engine, repeats=machine.host.repeats, ahead=_AHEAD)
        if chosen.engine.name == "native":
            machine.cpu = of_host(machine.host)
        machine.start(chosen.engine)
        task.engine, task.loop = machine.engine, machine.loop
        task.cpu.engine = task.engine
        if host_signals:
            from .signals.host import HostSignals

            task.host_signals = HostSignals(task)
            task.host_signals.adopt(task.signals)
        exec.start_program(task, found, environ, program)
    except ProgramError:
        raise
    except LinuxError as error:
        raise ProgramError(error.errno, f"{os.fsdecode(program)}: {os.strerror(error.errno)}") from None
    except OSError as error:  # the engine that was asked for
        raise ProgramError(error.errno or errno.ENOSYS, error.strerror or str(error), own=True) from None
    finally:
        found.close()
    table.limit = get_limit(task, RLIMIT_NOFILE)[0]
    return Process(task, LinuxKernel(), chosen)


def _layout(root: object, mounts: Mapping[Text, object] | None, overlay: Overlay | bool) -> Layout | None:
    """What the program is to see besides, or instead of, the host's files; None for just these."""
    if root is None and not mounts and overlay is False:
        return None
    if isinstance(overlay, bool):
        made = None
        if overlay:
            from .fs.overlay import Overlay

            made = Overlay()
    else:
        made = overlay
    places = {arguments.text("a place in mounts", place): what for place, what in (mounts or {}).items()}
    return root, places, made


def _mounts(machine: Machine, phys: PhysMemory, allow_write: Iterable[bytes], layout: Layout | None) -> MountTable:
    if layout is None:
        shared_memory = None
        if not any(
            _holds(path, b"/dev/shm") or _holds(b"/dev/shm", path) for path in map(os.path.realpath, allow_write)
        ):
            shared_memory = LaterTmpMount(phys, machine, _SHM_DEVICE)
        return host_tree(allow_write, _proc, shared_memory)
    from .fs.shape import Shaper

    root, places, overlay = layout
    return Shaper(machine, phys, allow_write).build(root, places, overlay, _proc)


def _holds(directory: bytes, path: bytes) -> bool:
    return (path + b"/").startswith(directory.rstrip(b"/") + b"/")


def _proc() -> DirNode:
    from .proc.tree import Proc  # when a program looks at it

    return Proc()


def _streams_are_of(table: FileTable, fs: FsContext, allow_write: Iterable[bytes]) -> None:
    """What the user gave as standard streams may be changed where the host's tree may be."""
    mount = fs.mounts.mounts[0]
    if not isinstance(mount, HostMount) or not mount.whole:
        mount = HostMount(b"/", WritableDirs(allow_write))
    for fd in table.descriptors():
        file = table.get(fd)
        if isinstance(file, HostFile):
            file.mount = mount


def _view(seed: int | None) -> HostView:
    if seed is None:
        return HostView()
    from .seeded import SeededView

    return SeededView(seed)


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
            node.access(os.X_OK, True)
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
            if number:
                machine.outputs.append(stream)
