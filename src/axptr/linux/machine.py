"""What one run holds besides its processes: nothing of a run is module-wide, so that machines in several threads
share nothing but tables that never change.
"""

from __future__ import annotations

import errno
import itertools
import os

from .._core.host.hostcalls import HoleBuffer
from ..errors import LinuxError
from ..kernel.run import RunLoop
from ..light import cached_property
from ..mm.space import AddrSpace
from .arch.x86_64.cpu import EMULATED
from .files.locks import LockTable
from .fs.host.calls import PAGE
from .fs.host.terminal import Terminals
from .host import INIT, HostView
from .signals.pending import Tally
from .task.creds import Credentials
from .task.group import ThreadGroup
from .task.pids import PidTable
from .uaccess import CHUNK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .._core.phys.charges import Account
    from .._core.phys.phys import PhysMemory
    from ..engine import Engine
    from .abi.signals import Info
    from .files.futex import FutexTable
    from .files.futexpi import PiTable
    from .files.inotify import Watches
    from .files.pty import Pty
    from .files.signalfd import SignalFile
    from .fs.disk import Disk
    from .fs.memoryfiles import MemoryFiles
    from .fs.openfile import OpenFile
    from .ipc.space import IpcSpace
    from .load.vdso import Vdso
    from .mem.mm import Mm
    from .net.network import Network
    from .net.policy import Policy
    from .policy.policy import Policy as Rules
    from .signals.console import Console
    from .task.task import LinuxTask
    from .task.uts import Uts


def whatever(step: Callable[[], object]) -> object:
    """A step of closing what may make no sense: whatever comes of it, the next is made."""
    try:
        return step()
    except Exception:
        return None


_MADE = (
    "vdso", "ipc", "memory_files", "nothing", "network", "futexes",
    "futexes_pi", "init_thread",
)  # fmt: skip
"""What is made when somebody wants it, and goes with the run."""
_CIRCLES = ("memory_files", "network")
"""Of that, what leads back to itself."""


def just(step: Callable[[], object]) -> object:
    """Makes a step of closing."""
    return step()


class Machine:
    """The tables and buffers of a run. The thread in its loop alone uses it; others `post` to the loop.

    | field | exec | fork | a snapshot |
    | --- | --- | --- | --- |
    | host: what it knows of the host | keeps | the same | a seed and its counts; of the host as it is nothing |
    | owner: who the host's process is, by which the host judges | keeps | the same | made anew |
    | cpu: what programs are told of it | keeps | the same | goes by the engine |
    | memory_limit: bytes that all may hold | keeps | the same | the number |
    | account: the frames that they hold | keeps | the same | has that one; begun anew, in a copy too |
    | vdso: what programs tell the time by | keeps | the same | programs have the pages |
    | pids: who has which number; init: the process that was there before the first | keeps | one more | the numbers |
    | init_thread: its one thread, once somebody asked for it | keeps | the same | as it is |
    | first: the process that the user started first | keeps | the same | its number |
    | held: processes that the user looks at, and whose memory stays when they end | keeps | the same | their numbers |
    | phys, engine, loop: memory, the CPU, and who has it | keeps | the same | the memory; the rest is made anew |
    | locks: file locks of all kinds | record locks of closed descriptors go | none of the child's | records |
    | futexes, futexes_pi: the words that tasks wait at | keeps | keeps | with those who wait |
    | terminals: those that a program has changed | keeps | the same | nothing |
    | streams: the user's standard streams, by device and inode | keeps | the same | nothing |
    | outputs: the open files of the user's standard outputs | keeps | the same | nothing |
    | nice: the nice value that programs begin with | keeps | the same | the number |
    | pipe_bytes: what the pipes that programs made may hold | keeps | the same | the number |
    | network: its sockets, by which names | keeps | the same | see there |
    | net_policy: what of the outside they may reach; None for nothing | keeps | the same | as it is |
    | rules: what the user says of places in the tree; None for nothing | keeps | the same | as they are |
    | socket_bytes: what they hold | keeps | the same | the number |
    | disk: what may be written to trees in memory; None for as much as there is memory | keeps | the same | the limit |
    | tree_bytes: what names and inodes of trees in memory cost | keeps | the same | the number |
    | watches: of inotify, None as long as there was none | keeps | the same | through the open files |
    | ipc: objects of System V and queues | keeps | the same; nothing to undo | see `IpcSpace` |
    | memory_files: files in memory without a name | keeps | the same | those that are open or mapped |
    | core: the host's file for a core; core_failed: why there is none | keeps | keeps | nothing |
    | console: the user's own terminal | keeps | keeps | numbers |
    | ptys: pseudo-terminals by their numbers | keeps | keeps | each one's state |
    | signal_tally: signals on their way | keeps | the same | the number |
    | signal_files: open signalfds, which hear of signals | keeps | keeps | through the tables that have them |
    | inode numbers of shared mappings, numbers of name spaces | go on | go on | the next |
    | uts: its names | keeps | the same | as they are |
    | nothing: the memory of who has ended | - | - | nothing |
    | transfer buffers: valid within one call | - | - | nothing |
    """

    phys: PhysMemory
    account: Account
    engine: Engine
    loop: RunLoop

    def __init__(
        self, memory_limit: int | None = None, host: HostView | None = None, *, most_tasks: int | None = None
    ) -> None:
        """most_tasks: how many threads there may be at once."""
        self.cpu = EMULATED
        self.memory_limit = memory_limit
        self._inodes = itertools.count(1024)
        self._spaces = 0xF000_0000
        self.host = host if host is not None else HostView()
        self.owner = Credentials.of_host(self.host)
        self.init = ThreadGroup(self.host, INIT, None)
        self.first = self.init
        self.held: set[ThreadGroup] = set()
        self.pids = PidTable(self.host.pid, most_tasks)
        self.pids.enter(self.init)
        self.locks = LockTable()
        self.terminals = Terminals()
        self.streams: set[tuple[int, int]] = set()
        self.outputs: list[OpenFile] = []
        self.nice = self.host.nice
        self.pipe_bytes = 0
        self.watches: Watches | None = None
        self.tree_bytes = 0
        self.disk: Disk | None = None
        self.signal_files: set[SignalFile] = set()
        self.signal_tally = Tally()
        self.ptys: dict[int, Pty] = {}
        self.console: Console | None = None
        self.core: str | None = None
        self.core_failed: str | None = None
        self.socket_bytes = 0
        self.net_policy: Policy | None = None
        self.rules: Rules | None = None

    @property
    def tasks(self) -> dict[int, LinuxTask]:
        """Threads by their number."""
        return self.pids.tasks

    def thread(self, tid: int) -> LinuxTask | None:
        """The thread of a number, that of `init` too as long as there is another; None if nobody has it."""
        found = self.pids.tasks.get(tid)
        return self.init_thread if found is None and tid == INIT and self.pids.tasks else found

    def open_files(self) -> Iterator[OpenFile]:
        """What descriptors of all tasks lead to, once for each descriptor of each table."""
        for table in {task.files for task in self.tasks.values()}:
            for fd in table.descriptors():
                yield table.get(fd)

    @cached_property
    def init_thread(self) -> LinuxTask:
        """What `init` is seen as."""
        from .task.init import make_init  # which few programs look at

        return make_init(self)

    def start(self, engine: Engine, jobs: int = 1, *, clock: bool = True) -> None:
        """Let the machine have a CPU, which all its tasks share. jobs: how many of them may run at once, if it can do
        that. clock: whether it has its own page for the time now; a copy of another machine finds it later."""
        self.engine = engine
        if jobs > 1 and engine.name == "native":
            from ..kernel.crew import CrewLoop  # which few runs need

            self.loop = CrewLoop(engine, jobs, clock=self.host)  # type: ignore[arg-type]
            self.host.cpu_count = jobs
        else:
            self.loop = RunLoop(engine, clock=self.host)
        if clock and engine.name == "native":
            engine.keep_clock(self.vdso.clock(self.host))  # type: ignore[attr-defined]

    def first_group(self, *, alone: bool = True) -> ThreadGroup:
        """A process that the user starts: a child of `init`. alone: in the place that the host's has among its
        relatives, with the user's terminal; else in a session of its own."""
        group = ThreadGroup(self.host, self.pids.allocate(outside=True), self.init)
        if self.first is self.init:
            self.first = group
        self.held.add(group)
        group.origin = group
        if alone:
            group.pgid, group.sid = self.host.pgid, self.host.sid
        self.pids.enter(group)
        device = self.host.terminal[0] if alone else 0
        if device:
            from .signals.console import Console

            self.console = Console(self, device)
            self.console.session, self.console.pgrp = group.sid, group.pgid
            group.tty = self.console
        return group

    def dump_core(self, task: LinuxTask, info: Info) -> None:
        """A signal ends the task's process: write its core if that is one that leaves one. That of a process that the
        user did not start has its number behind the name."""
        from .abi.signals import DUMPING
        from .task.coredump import write_core

        if info.signal not in DUMPING or self.core is None:
            return
        path = self.core if task.group is self.first else f"{self.core}.{task.pid}"
        try:
            write_core(task, info, path)
        except OSError as error:
            self.core_failed = f"{path}: {error.strerror}"
        else:
            task.group.dumped = True

    def close(self, attempt: Callable[[Callable[[], object]], object] = just) -> None:
        """End everything that still runs, and give all back. Idempotent. attempt: makes each step of it."""
        from .task.ending import abandon

        tasks: list[LinuxTask] = []
        attempt(lambda: tasks.extend(self.tasks.values()))
        for task in tasks:
            attempt(lambda task=task: abandon(task))  # type: ignore[misc]
        attempt(self.loop.close)
        if self.engine.name == "native":
            self.engine.keep_clock(None)  # type: ignore[attr-defined]

    def dissolve(self) -> None:
        """It is closed: what it had lets go of one another, so that all of it goes at once and not when a collector
        comes. Who holds one of its processes still has its last thread, and how it ended."""
        self.init.dissolve()
        self.pids.dissolve()
        if "loop" in vars(self):  # it was started
            self.loop.dissolve()
        for group in self.held:
            group.dissolve()
        self.held.clear()
        self.first = self.init
        self.disk = self.rules = self.net_policy = self.locks.on_close = None
        for name in _MADE:
            made = self.__dict__.pop(name, None)
            if name in _CIRCLES and made is not None:
                made.dissolve()

    def next_space(self) -> int:
        """The number of the next name space (PROC_DYNAMIC_FIRST)."""
        self._spaces += 1
        return self._spaces

    @cached_property
    def uts(self) -> Uts:
        """What it is called, to all who have no other view."""
        from .task.uts import Uts

        return Uts(self.host)

    def next_inode(self) -> int:
        """The inode number that maps show for the next shared anonymous mapping."""
        return next(self._inodes)

    @cached_property
    def vdso(self) -> Vdso:
        """What its programs tell the time by."""
        from .load.vdso import Vdso

        return Vdso(self.phys)

    @cached_property
    def memory_files(self) -> MemoryFiles:
        """Files in memory that have no names."""
        from .fs.memoryfiles import MemoryFiles

        return MemoryFiles(self.phys, self, os.makedev(0, 1), mode=0o700)

    @cached_property
    def ipc(self) -> IpcSpace:
        """Objects of System V and queues, of all who have no others."""
        from .ipc.space import IpcSpace

        return IpcSpace(self)

    def left(self, group: ThreadGroup, last: LinuxTask) -> None:
        """A process is over with its last thread: what it asked to be undone then is."""
        spaces = [space for space in (last.own_ipc, self.__dict__.get("ipc")) if space is not None]
        if spaces:
            spaces[0].left(group)  # its own, or the machine's
        for space in spaces:
            space.sweep()

    @cached_property
    def nothing(self) -> Mm:
        """The memory of who has ended."""
        from .mem.mm import Mm

        return Mm(AddrSpace(0, 1 << 47, self.phys), self.host)

    @cached_property
    def futexes(self) -> FutexTable:
        """The words of memory that tasks wait at."""
        from .files.futex import FutexTable  # which few programs need

        return FutexTable()

    @cached_property
    def network(self) -> Network:
        """Sockets: their names, ports, and what may be reached."""
        from .net.network import Network  # which few programs need
        from .net.policy import Policy

        return Network(self._charge_sockets, self.locks, self.host, self.net_policy or Policy())

    def _charge_sockets(self, size: int) -> None:
        """Sockets hold so many bytes more. ENOMEM for more than a part of what the run may have."""
        limit = self.memory_limit
        if size > 0 and limit is not None and self.socket_bytes + size > limit // 4:
            raise LinuxError(errno.ENOMEM)
        self.socket_bytes += size

    @cached_property
    def futexes_pi(self) -> PiTable:
        """Those of them that have a holder."""
        from .files.futexpi import PiTable

        return PiTable()

    @cached_property
    def bounce(self) -> memoryview:
        """CHUNK bytes at the start of a page, for whoever copies now; valid until the next call that copies."""
        return self._pages[:CHUNK]

    def bounce_like(self, addresses: int) -> memoryview:
        """As `bounce`, and aligned as badly as any of the user's `addresses` (or-ed together): O_DIRECT asks."""
        at = addresses % PAGE
        return self._pages[at : at + CHUNK]

    @cached_property
    def _pages(self) -> memoryview:
        return HoleBuffer(CHUNK + PAGE).view  # whole pages

    @cached_property
    def hole(self) -> HoleBuffer:
        """Host memory before a hole, for transfers whose user memory runs into one."""
        return HoleBuffer(CHUNK)
