"""`Linux`: a machine that runs programs, one after the other or side by side, until it is closed.

    with Linux(overlay=True) as linux:
        first = linux.spawn(["sh", "-c", "echo hi > /tmp/x"])
        first.wait()
        second = linux.spawn(["cat", "/tmp/x"], stdout=PIPE)
        second.wait()
        second.stdout.take()    # b"hi\n"

Process 1 is init, which was there before: whoever starts programs from here acts for it. Each is a child of init in a
session of its own, without a terminal; init adopts orphans, and waits for everybody at once. What a program left in the
background goes on when the machine next runs. Between runs the machine stands still, and so does its time where that is
its own (`seed`).

Not here: how a program is loaded (`load.loader`), what one that was started is to whoever started it (`process`), one
program in a machine of its own (`api`).
"""

from __future__ import annotations

import errno
import os

from .._core.mm.shelf import keep_programs
from .._core.phys.charges import Account
from .._core.phys.phys import PhysMemory
from ..engine.auto import choose
from ..errors import LinuxError
from ..mm.space import AddrSpace
from . import arguments
from .arch.x86_64.cpu import of_host
from .ends import ProgramError, sensible
from .fs.host.file import HostFile
from .fs.host.mount import HostMount
from .fs.host.tree import standard_stream
from .fs.latermount import LaterTmpMount
from .fs.permissions import judge
from .fs.setup import first_directory, host_tree
from .fs.walk import AT_FDCWD, FsContext
from .fs.writable import WritableDirs
from .host import HostView
from .load.loader import find_program, search_path
from .machine import Machine, just, whatever
from .personality import LinuxKernel
from .process import Process
from .task import exec
from .task.filetable import FileTable
from .task.limits import RLIMIT_CPU, RLIMIT_NOFILE, get_limit
from .task.task import LinuxTask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from ..engine import Engine
    from .arguments import Text
    from .fs.mounts import MountTable
    from .fs.node import DirNode
    from .fs.openfile import OpenFile
    from .fs.overlay import Overlay
    from .policy.policy import Policy
    from .snapshots.snapshot import MachineSnapshot
    from .streams import Inlet, Outlet
    from .task.group import ThreadGroup

    Layout = tuple[object, dict[bytes, object], Overlay | None]
    Ends = tuple[Inlet | None, Outlet | None, Outlet | None]
    User = str | int | tuple[int, int]
    Stream = int | bytes | OpenFile | None

_SHM_DEVICE = os.makedev(0, 0x3F)
MAX_PROCS = 32768
"""Processes and threads that a machine may have at once, if nothing else is said."""
_AHEAD = 64
_AROUND = 64
"""Pages that a program which writes one after the other gets at once, on a CPU where a fault costs microseconds."""
_STDIN, _STDERR = 0, 2


class Linux:
    """A machine. Its options are those of `create_process`; see there. The thread that runs it alone uses it.

    machine: its tables. phys: its memory. kernel: its calls (`kernel.on_call` for a tracer). engine: the CPU, made with
    the first program; engine_why, engine_lack: why it is this one, and what the host does not allow.
    limits: resource limits that programs begin with, (soft, hard) by number; the rest are the host's.
    env: what programs get that are given no environment. overlay: where changes are kept, None for nowhere of its own.
    notes: plain data of whoever keeps the machine, which goes along with its snapshots. disk_limit: bytes that may
    be written to trees in memory. policy: what programs may do besides (`Policy`).

    Raises `OSError` and `LinuxError` for what cannot be had, `TypeError` and `ValueError` for what makes no sense.
    """

    engine: Engine

    doubtful = False
    """Whether its state came from a file, which may have said what makes no sense: it can be closed all the same."""

    def __init__(
        self,
        *,
        env: Mapping[Text, Text] | Iterable[Text] | None = None,
        memory_limit: int | None = None,
        allow_write: Iterable[Text] = (),
        root: object = None,
        mounts: Mapping[Text, object] | None = None,
        overlay: Overlay | bool = False,
        seed: int | None = None,
        engine: str = "auto",
        engine_jobs: int | str = 1,
        max_procs: int | None = None,
        net: str = "loopback",
        allow_net: Iterable[Text] = (),
        limits: Mapping[int, tuple[int, int]] | None = None,
        disk_limit: int | None = None,
        policy: Policy | None = None,
        view: HostView | None = None,
    ) -> None:
        """view: what it knows of the host, by default the host as it is, or what is made of the seed."""
        self.env = arguments.environment(env)
        memory = arguments.limit(memory_limit)
        self._allow_write = arguments.directories("allow_write", allow_write)
        layout = _layout(root, mounts, overlay)
        number = arguments.seed(seed)
        self._wanted = arguments.engine(engine, seed)
        self._jobs = arguments.jobs(engine_jobs, seed)
        most = arguments.count("max_procs", max_procs, MAX_PROCS)
        reach = arguments.network(net, allow_net, seed)
        self.limits = dict(limits or {})
        self.engine_why = self.engine_lack = ""
        self.kernel = LinuxKernel()
        self.closed = False
        machine = self.machine = Machine(memory, view if view is not None else _view(number), most_tasks=most)
        machine.net_policy = reach
        if policy is not None:
            arguments.policy(policy).attach(machine, self.kernel)
        machine.phys = self.phys = PhysMemory()
        machine.account = Account(self.phys, memory)
        keep_programs(self.phys, memory)
        if disk_limit is not None:
            from .fs.disk import Disk

            machine.disk = Disk(machine, disk_limit)
        self.notes: dict[str, Any] = {}
        self.overlay = layout[2] if layout is not None else None
        self.mounts = _mounts(machine, self.phys, self._allow_write, layout)
        self._of_streams: HostMount | None = None
        self._started: dict[int, Process] = {}
        self._rooted = layout is not None and layout[0] is not None

    # -- starting programs

    @sensible
    def spawn(
        self,
        argv: Sequence[Text],
        *,
        program: Text | None = None,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        env: Mapping[Text, Text] | Iterable[Text] | None = None,
        cwd: Text | None = None,
        user: User | None = None,
    ) -> Process:
        """Start a program; it is about to run its first instruction, which it does when the machine runs.

        program: its path, or name to be looked up in PATH; by default argv[0].
        stdin, stdout, stderr: `PIPE` (`process.stdin` and so on are our ends), `DEVNULL`, for stderr `STDOUT`, a
        descriptor of the host, or for stdin bytes that it is to read; by default nowhere (`DEVNULL`).
        cwd: by default `/`, or where the host's process is if the root is the host's.
        user: who it is: a name in the machine's /etc/passwd, a number, two (user and group), or a text of both,
        `NAME:GROUP`; by default who we are. HOME, USER and LOGNAME are its own unless `env` says them.

        Raises `ProgramError` if it cannot be started; the machine is as it was then.
        """
        words = arguments.texts("argv", argv)
        if not words and program is None:
            raise ValueError("argv is empty: which program?")
        name = arguments.text("program", program) if program is not None else words[0]
        given = tuple(arguments.stream(what, stream) for what, stream in (("stdin", stdin), ("stdout", stdout)))
        return self.start(
            name,
            words or [name],
            self.env if env is None else arguments.environment(env),
            streams=(*given, arguments.stream("stderr", stderr)),
            cwd=arguments.text("cwd", cwd) if cwd is not None else None,
            user=user,
        )

    @sensible
    def start(
        self,
        program: bytes,
        argv: list[bytes],
        environ: list[bytes],
        *,
        streams: tuple[Stream, ...],
        cwd: bytes | None = None,
        user: User | None = None,
        host_signals: bool = False,
        owner: bool = False,
    ) -> Process:
        """`spawn` with everything as bytes. streams: None for one that is closed. host_signals: see `create_process`.
        owner: the machine is for this process alone, which stands in it where the host's process does on the host."""
        if self.closed:
            raise RuntimeError("this machine is closed")
        machine = self.machine
        with machine.account.acting():
            if not owner:
                _ = machine.nothing  # what it has after its end: a lack of memory is told now
            table = FileTable(limit=1024, locks=machine.locks)
            try:
                space = AddrSpace(0, 1 << 47, self.phys)
            except LinuxError as error:
                raise ProgramError(error.errno, f"{os.fsdecode(program)}: {error.strerror}", own=owner) from None
            space.fault_around = _AROUND
            space.is_kin = user is None  # which its programs lose when they become somebody else
            task = LinuxTask.first(machine, space, table, FsContext(self.mounts, machine.host.umask), alone=owner)
            try:
                task.kernel = self.kernel
                for number, limit in self.limits.items():
                    task.group.limits.set(number, *limit)
                self._place(task, cwd, user)
                if user is not None:
                    from .users import surroundings

                    environ = surroundings(task, environ)
                ends = self._run_program(task, program, argv, environ, streams, host_signals)
                process = Process(self, task, owner=owner)
                process.stdin, process.stdout, process.stderr = ends
                self._started[process.pid] = process
            except BaseException:
                self._undo(task)
                raise
            table.limit = get_limit(task, RLIMIT_NOFILE)[0]
            return process

    def _place(self, task: LinuxTask, cwd: bytes | None, user: User | None) -> None:
        """Where it is, and who."""
        fs = task.fs
        if user is not None:
            from .users import credentials

            task.creds = credentials(task, user)
        try:
            if self._rooted:
                fs.cwd = fs.resolve(task, AT_FDCWD, (cwd or b"/") + b"/").hold()
            else:
                fs.cwd = first_directory(task, cwd if cwd is not None else b".")
        except OSError as error:
            raise ProgramError(error.errno or errno.ENOENT, f"{os.fsdecode(cwd or b'.')}: {error.strerror}") from None

    def _run_program(
        self,
        task: LinuxTask,
        program: bytes,
        argv: list[bytes],
        environ: list[bytes],
        streams: tuple[Stream, ...],
        host_signals: bool,
    ) -> Ends:
        """Find the program, give it a CPU and its streams, and load it. Our ends of the streams."""
        try:
            path = search_path(task, program, environ)
            if self.machine.rules is not None:
                judge(task, task.fs.resolve(task, AT_FDCWD, path), "run")
            found = find_program(path, argv, exec.program_finder(task))
            judge(task, found.file.node, "run")
        except ProgramError:
            raise
        except (OSError, ValueError) as error:
            raise ProgramError(getattr(error, "errno", None) or 22, f"{os.fsdecode(program)}: {error}") from None
        try:
            self._give_cpu(task)
            ends = self._open_streams(task, streams)
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
        self.machine.loop.seat(task)
        return ends

    def _give_cpu(self, task: LinuxTask) -> None:
        """The machine's CPU, with nobody's registers in it."""
        machine = self.machine
        if not self.engine_why:
            host = machine.host
            counter = host.monotonic_ns if host.ahead() is None else None  # the host's counter would tell its clock
            chosen = choose(
                self._wanted, self.phys, task.space, host.engine, repeats=host.repeats, ahead=_AHEAD, counter=counter
            )
            if chosen.engine.name == "native":
                machine.cpu = of_host(host)
            self.engine, self.engine_why, self.engine_lack = chosen.engine, chosen.why, chosen.lack
            machine.start(chosen.engine, self._jobs)
        else:
            machine.loop.park()
        _ = machine.nothing  # as long as there is room for it
        task.engine, task.loop = machine.engine, machine.loop
        task.cpu.engine = task.engine
        if hasattr(task.engine, "guest_cpu_ns"):  # a process beside us: the host's limit on us knows nothing of it
            task.group.timers.set_cpu_limit(*get_limit(task, RLIMIT_CPU))

    def _undo(self, task: LinuxTask) -> None:
        """A program could not be started: nothing of it is left."""
        from .task.ending import abandon

        machine, group = self.machine, task.group
        if self.engine_why:
            abandon(task)
        else:
            task.files.release()
            task.mm.release()
        machine.pids.leave(group)
        del machine.tasks[task.tid]
        machine.init.children.pop(group, None)
        machine.held.discard(group)
        if machine.first is group:
            machine.first = machine.init

    def _open_streams(self, task: LinuxTask, streams: tuple[Stream, ...]) -> Ends:
        """Descriptors 0, 1, 2 of a new program; our ends of those that are pipes. Two that are the same open file of
        the host there are one here too, as far as seen."""
        table, machine = task.files, self.machine
        ends: list[Inlet | Outlet | None] = [None, None, None]
        for number, stream in enumerate(streams):
            if stream is None:
                continue
            file: OpenFile | None
            if isinstance(stream, (int, bytes)):
                from .streams import DEVNULL, PIPE, STDOUT, make_inlet, make_outlet

                if stream == STDOUT:
                    if 1 in table.descriptors():
                        table.place(number, table.get(1))
                    continue
                if stream == DEVNULL:
                    mode = os.O_RDONLY if number == _STDIN else os.O_WRONLY
                    file = task.fs.resolve(task, AT_FDCWD, b"/dev/null").open(task, mode)
                elif number == _STDIN and (stream == PIPE or isinstance(stream, bytes)):
                    file, inlet = make_inlet(task)
                    ends[number] = inlet
                elif stream == PIPE:
                    file, outlet = make_outlet(task)
                    ends[number] = outlet
                else:
                    assert isinstance(stream, int)
                    file = standard_stream(stream)
            else:
                file = stream
            if file is None:
                continue
            table.place(number, file)
            if isinstance(file, HostFile):
                file.stream = number
                file.mount = self._stream_mount(task.fs)
                machine.streams.add(file.identity)
                if number:
                    machine.outputs.append(file)
            if isinstance(stream, bytes):
                inlet.feed(stream, last=True)
        return ends[0], ends[1], ends[2]  # type: ignore[return-value]

    def _stream_mount(self, fs: FsContext) -> HostMount:
        """What the user gave as standard streams may be changed where the host's tree may be."""
        if self._of_streams is None:
            mount = fs.mounts.mounts[0]
            if not isinstance(mount, HostMount) or not mount.whole:
                mount = HostMount(b"/", WritableDirs(self._allow_write))
            self._of_streams = mount
        return self._of_streams

    # -- running

    @property
    @sensible
    def processes(self) -> list[int]:
        """The numbers of the processes that there are, init's left out."""
        return [tgid for tgid in self.machine.pids.groups if tgid != self.machine.init.tgid]

    @sensible
    def run_until(self, done: Callable[[], bool], timeout: float | None = None) -> bool:
        """Run all programs until `done()`, which is asked after each turn, or nothing is left that could run, or
        `timeout` seconds have passed. Whether it is done."""
        if self.closed:
            raise RuntimeError("this machine is closed")
        if self.engine_why and not done():
            loop = self.machine.loop
            self.kernel.run_machine(self.machine, lambda: done() or loop.empty, timeout)
        return done()

    @sensible
    def step(self, timeout: float | None = None) -> bool:
        """Let one program have its turn: until its slice is over, it waits or ends.
        Where all wait, for one that need not any more, or `timeout` seconds. Whether anything is left to run."""
        if self.closed:
            raise RuntimeError("this machine is closed")
        if self.engine_why and not self.machine.loop.empty:
            self.kernel.run_machine(self.machine, lambda: True, timeout)
        return bool(self.engine_why) and not self.machine.loop.empty

    # -- snapshots: see `snapshots.snapshot`

    @sensible
    def snapshot(self, *, drop: Iterable[str] = ()) -> MachineSnapshot:
        """The whole machine as it is now, between two runs: to go back to, to branch from.

        It costs what plain data there is, page tables, and the pages of shared memory and of files that are mapped from
        memory. The machine goes on as it was. Files of the host are no part of it, but which are open, and where. What
        cannot go along (a connection of the host's, a pipe or device of the host's that is no standard stream) is a
        `SnapshotError` that names it. `LinuxError(ENOMEM)` when frames run out.

        drop: what to leave out instead, "connections" or "files" or both: in a copy, and here after a restore, a
        connection was reset by its peer (ECONNRESET, then the end; EPIPE), and of a file the other end is closed.
        """
        from .snapshots.face import take

        return take(self, drop)

    @sensible
    def restore(self, snap: MachineSnapshot) -> None:
        """Be what the machine was: its own snapshot, or that of another of its family. Costs what has changed since.

        Processes that were started since are gone, their objects too; those that were there are what they were.
        """
        from .snapshots.face import restore

        restore(self, snap)

    @sensible
    def branch(self, count: int = 1, *, drop: Iterable[str] = ()) -> list[Linux]:
        """Machines in the state of this one, which go their own ways; memory is shared until it is written."""
        snap = self.snapshot(drop=drop)
        return [self.from_snapshot(snap) for _ in range(count)]

    @classmethod
    def from_snapshot(
        cls,
        snap: MachineSnapshot,
        *,
        stdio: tuple[int, int, int] | None = None,
        engine: str | None = None,
        policy: Policy | None = None,
    ) -> Linux:
        """Another machine in the state of a snapshot; `process` has the programs in it.

        stdio: descriptors of the host in place of those that were given as standard streams; by default the very same,
        and 0, 1 and 2 for a snapshot that was loaded.
        engine: its CPU, "native" or "unicorn"; by default as it was.
        policy: what its programs may do from now on, in place of what held for them.
        """
        from .snapshots.face import make

        return make(cls, snap, stdio, engine, policy)

    @sensible
    def process(self, pid: int | None = None) -> Process:
        """A program that was started here, by its number; by default the first. `KeyError` for none that is open."""
        return self._started[self.machine.first.tgid if pid is None else pid]

    # -- the end

    @sensible
    def end_all(self) -> None:
        """End every process here and now."""
        from .task.ending import end_group

        for group in list(self.machine.pids.groups.values()):
            if group is not self.machine.init and not group.zombie:
                end_group(group)
        self._forget_memory()

    def forget(self, process: Process) -> None:
        """Whoever started a program is done with it."""
        self._started.pop(process.pid, None)

    def let_go(self, group: ThreadGroup) -> None:
        """Nobody looks at the memory of a process any more that has ended."""
        machine = self.machine
        if group in machine.held:
            machine.held.discard(group)
            group.leader.space.clear()
            group.leader.set_space(machine.nothing.space)
            group.leader.mm = machine.nothing
            self._forget_memory()

    def _forget_memory(self) -> None:
        """Have the CPU forget the memory of who has ended: what it may still see is given to nobody else. At once, if
        that may soon be wanted."""
        machine = self.machine
        if not self.engine_why or machine.loop.current is not None:
            return
        self.engine.attach(machine.nothing.space)
        prepare = getattr(self.engine, "prepare", None)
        limit = machine.memory_limit
        if prepare is not None and limit is not None and machine.account.used > limit // 2:
            try:  # not by `contextlib`, which a start would pay for
                prepare()
            except OSError:  # the next program is told, if it is still so
                pass

    def close(self) -> None:
        """End everything, close all files and give the memory back. Idempotent. `RuntimeError` within a run."""
        if self.closed:
            return
        if self.engine_why and self.machine.loop.running:
            raise RuntimeError("a machine is closed between its runs, not within one")
        self.closed = True
        machine, attempt = self.machine, whatever if self.doubtful else just
        if self.engine_why:
            machine.close(attempt)
            groups: list[ThreadGroup] = attempt(lambda: list(machine.held)) or []  # type: ignore[assignment]
            for group in groups:
                attempt(lambda group=group: group.leader.space.clear())  # type: ignore[misc]
        attempt(lambda: self.mounts.close())
        if self.engine_why:
            attempt(lambda: self.engine.on_syscall(lambda *_: None))  # what it has leads to a task
            attempt(self.engine.close)
        attempt(self._dissolve)

    def _dissolve(self) -> None:
        """It is closed: what it had is to go at once, and not when a collector comes."""
        while self._started:
            self._started.popitem()[1].dissolve()
        if self._of_streams is not None:
            self._of_streams.dissolve()
        self.machine.dissolve()
        self.kernel.dissolve()

    def __enter__(self) -> Linux:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _layout(root: object, mounts: Mapping[Text, object] | None, overlay: Overlay | bool) -> Layout | None:
    """What the program is to see besides, or instead of, the host's files; None for just these."""
    if root is None and not mounts and overlay is False:
        return None
    made = arguments.overlay(overlay)
    places = {arguments.text("a place in mounts", place): what for place, what in (mounts or {}).items()}
    return root, places, made


def _mounts(machine: Machine, phys: PhysMemory, allow_write: Iterable[bytes], layout: Layout | None) -> MountTable:
    if layout is None:
        shared_memory = None
        if not any(
            _holds(path, b"/dev/shm") or _holds(b"/dev/shm", path) for path in map(os.path.realpath, allow_write)
        ):
            shared_memory = LaterTmpMount(phys, machine, _SHM_DEVICE)
        return host_tree(allow_write, _proc, shared_memory, _sys)
    from .fs.shape import Shaper

    root, places, overlay = layout
    return Shaper(machine, phys, allow_write).build(root, places, overlay, _proc, _sys)


def _holds(directory: bytes, path: bytes) -> bool:
    return (path + b"/").startswith(directory.rstrip(b"/") + b"/")


def _proc() -> DirNode:
    from .proc.tree import Proc  # when a program looks at it

    return Proc()


def _sys() -> DirNode:
    from .proc.sysfs import make_sys

    return make_sys()


def _view(seed: int | None) -> HostView:
    if seed is None:
        return HostView()
    from .seeded import SeededView

    return SeededView(seed)
