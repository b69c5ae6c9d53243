"""Making a machine of a snapshot's graph: what stands in the place of each leaf, and what is set right in the end."""

from __future__ import annotations

import os

from ..._core.words.budget import Budget
from ..._core.words.codes import MAX_RW_COUNT
from ...engine.arch import X86_64
from ...errors import LinuxError, SnapshotError
from ...light import cached_property
from ...weak import WeakSet
from ..host import dead_socket
from ..machine import Machine
from ..task.rseq import settle
from .memory import MemoryCopy
from .rules import LEFT_OUT, loop_state, machine_state

_MADE_LATER = frozenset(name for name, it in vars(Machine).items() if type(it) is cached_property) - LEFT_OUT
"""What a machine has once it was asked for: queues of messages, say. There is none again if there was none."""
_LEGACY = 512
_X87_AND_SSE = 3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ...kernel.run import RunLoop
    from ...mm.space import AddrSpace
    from ..fs.host.file import HostFile
    from ..fs.host.tree import HostNode
    from ..host import HostView
    from ..personality import LinuxKernel
    from ..task.task import LinuxTask
    from .hostfiles import HeldFile
    from .snapshot import MachineSnapshot

    State = tuple[dict[str, Any], dict[str, Any], list[LinuxTask]]


class Making:
    """One copy. machine, loop: those that are to be it, whose state is not touched before `finish`. doubtful: whether
    it comes from a file."""

    def __init__(
        self,
        snapshot: MachineSnapshot,
        machine: Machine,
        view: HostView,
        stdio: tuple[int, int, int] | None,
        there: dict[object, AddrSpace],
        kernel: LinuxKernel,
    ) -> None:
        self._snapshot = snapshot
        self.doubtful = snapshot.loaded or snapshot.doubtful
        self.machine = machine
        self.loop: RunLoop = machine.loop
        self.view = view
        self.kernel = kernel
        self.memory = MemoryCopy(snapshot.memory, there)
        self._stdio = stdio
        self._opened: list[int] = []
        self._rewound: list[tuple[HeldFile, int]] = []
        self._left: list[Any] = []
        self._proc: list[tuple[Any, bytes]] = []

    # -- leaves

    def leaf(self, kind: str, *values: Any) -> Any:
        try:
            return _LEAVES[kind](self, *values)
        except BaseException:  # nobody has them yet: who owns a descriptor is told of it when all leaves are there
            for fd in self._opened:
                os.close(fd)
            self._opened.clear()
            raise

    def _object(self, number: int) -> Any:
        return self._snapshot.objects[number]

    def _fd(self, number: int) -> int:
        fd = self._snapshot.held[number].open()
        self._opened.append(fd)
        return fd

    def _dead(self, mode: int) -> int:
        """A descriptor of which the other end is closed: the end of file for who reads, EPIPE for who writes."""
        if mode in (os.O_RDONLY, os.O_WRONLY):
            ends = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            fd, other = ends if mode == os.O_RDONLY else ends[::-1]
            os.close(other)
        else:
            fd = dead_socket()
        self._opened.append(fd)
        return fd

    def _held(self, number: int) -> Any:
        return self._snapshot.held[number]

    def _proc_node(self, cls: Any, path: bytes, mount: Any) -> Any:
        made = cls.__new__(cls)
        made.path = path
        if mount is not None:
            made.mount = mount
        self._proc.append((made, path))
        return made

    # -- all of it

    def build(self) -> State:
        """The state of the machine and its loop, and the tasks: of new objects."""
        return self._state(*self._snapshot.graph.build(self.leaf))

    def look(self, live: dict[str, Any]) -> None:
        """Find what of the machine can be what it was, and make what is missing: nothing of it is changed. live: what
        the face has in the place of what it kept. kept: numbers (`id`) of the objects that stay."""
        snapshot, plan = self._snapshot, self._snapshot.plan
        roots = [None, None, None, None, machine_state(self.machine), loop_state(self.loop), live]
        self._made, self.kept = made, _ = snapshot.in_place.match(roots)
        for index, leaf, number in plan.files:
            file, held = made[index], snapshot.held[number]
            if file is None or not file.owned:
                continue
            if held.fits(file.host_fd):
                made[leaf] = file.host_fd
                self._rewound.append((held, file.host_fd))
            else:
                self._left.append(file)
        for index, it in plan.given:
            made[index] = it
        for index, kind in plan.own:
            made[index] = _LEAVES[kind](self)
        self._left += [made[index] for index in plan.dead if made[index] is not None and made[index].owned]
        self._fresh = snapshot.in_place.complete(made, self.leaf)

    def put_back(self) -> State:
        """The same as `build`, of the objects that were there; `look` was called, and the machine given up."""
        snapshot, made = self._snapshot, self._made
        plan, fresh = snapshot.plan, self._fresh
        for index in plan.channels:
            if index not in fresh:
                made[index]._close_channel()
        self._left += [made[index] for index in plan.fifos if index not in fresh]
        for owner in self._left:
            owner.close()
        for held, fd in self._rewound:
            held.rewind(fd)
        for index, lent in plan.nodes:
            node = made[index]
            if node._lent is lent:
                node.seen = None  # it is to be asked anew
            else:
                node.let_go()
        return self._state(*snapshot.in_place.put_back(made, fresh))

    def _state(
        self,
        tasks: list[LinuxTask],
        files: list[HostFile],
        watches: list[Any],
        nodes: list[HostNode],
        machine: dict[str, Any],
        loop: dict[str, Any],
        extra: dict[str, Any],
        *names: Any,
    ) -> State:
        self._names = list(names)
        self.extra = extra
        self._files, self._watches = files, watches
        for node in nodes:
            lent = node._lent.fd
            if node.fd != lent:
                node.borrow(lent, node.mode, node.identity)
        machine["host"] = self.view
        return machine, loop, tasks

    def finish(self, machine: dict[str, Any], loop: dict[str, Any], tasks: list[LinuxTask]) -> None:
        """Let the machine and its loop be what was built."""
        if self.machine.engine.name == "unicorn":
            for task in tasks:
                _require_no_more_than_sse(task)
        self.memory.finish(self._names)
        for name, value in loop.items():
            setattr(self.loop, name, value)
        self.loop.current = None
        for name in _MADE_LATER.difference(machine):
            self.machine.__dict__.pop(name, None)
        self.machine.__dict__.update(machine)
        self.machine.host.cpu_count = self.loop.jobs
        self.machine.streams = set()
        for file in self._files:
            if file.dropped:
                file.learn()  # that it is a pipe now, or a socket
            elif file.stream is not None:
                file.learn()  # the stream is another descriptor of the host's now
                self.machine.streams.add(file.identity)
        for task in tasks:
            task.set_space(task.mm.space)
            task.budget = Budget(per_call=MAX_RW_COUNT)
            if self.loop.jobs == 1 and (task.sched.cpu or task.sched.cpus != -1):
                settle(task)
        self.loop.moved()
        if self._proc:
            self._fill_proc(tasks)
        for waiting in self.loop._blocked:
            record = waiting.blocked
            if record is None:
                continue
            record.requeued()
            if record.woken is not None:  # it has left the queue: the next wake is for others
                continue
            for waitable, mask in record.on:
                if waiting not in waitable.queue._waiters:
                    waitable.queue.add(waiting, mask)
        vdso = self.machine.__dict__.get("vdso")
        if vdso is not None:
            vdso.find_clock()
            if self.machine.engine.name == "native":
                self.machine.engine.keep_clock(vdso.clock(self.view))  # type: ignore[attr-defined]
        for watch in self._watches:
            if watch not in watch.file.queue._watches:
                watch.file.queue.add(watch, watch.mask)
        self._wake_dropped(machine.get("network"))

    @staticmethod
    def _wake_dropped(network: Any) -> None:
        """Who waits for a socket that was dropped waits for nothing."""
        if network is not None and network.endpoints:
            from ..net.dropped import Dropped

            for end in list(network.endpoints.values()):
                if isinstance(end, Dropped):
                    end.queue.wake()

    def _fill_proc(self, tasks: list[LinuxTask]) -> None:
        """Files of /proc are made by their names, as programs that look for them would have it."""
        for made, path in sorted(self._proc, key=lambda one: len(one[1])):  # the roots of mounts first
            found = _walk(tasks[0], made.mount, path, made) if tasks else None
            if found is not None and type(found) is type(made):
                for name, value in vars(found).items():
                    made.__dict__.setdefault(name, value)


_LEAVES: dict[str, Callable[..., Any]] = {
    "machine": lambda making: making.machine,
    "loop": lambda making: making.loop,
    "engine": lambda making: making.loop.engine,
    "kernel": lambda making: making.kernel,
    "view": lambda making: making.view,
    "phys": lambda making: making._snapshot.memory.phys,
    "space": lambda making, number: making.memory.space(number),
    "store": lambda making, number: making.memory.store(number),
    "object": Making._object,
    "cache": Making._object,
    "fd": Making._fd,
    "dead": Making._dead,
    "held": Making._held,
    "stream": lambda making, number, fd: fd if making._stdio is None else making._stdio[number],
    "mapped": lambda making, number: making._snapshot.memory.backends[number].store.descriptors[0],
    "proc": Making._proc_node,
    "weak set": lambda making, *members: WeakSet(members),
}
"""What makes something of a leaf, by its kind. (Functions of the class: what is made leaves no circle behind.)"""


def _require_no_more_than_sse(task: LinuxTask) -> None:
    """Raise `SnapshotError` for a task that has state in vector registers which the emulated CPU lacks. XSAVE: the mask
    of what is in use stands behind the legacy region (Intel SDM vol. 1, 13.4.2)."""
    context = task.context
    if context is None or context.arch is not X86_64:
        return
    if int.from_bytes(context.extended[_LEGACY : _LEGACY + 8], "little") & ~_X87_AND_SSE:
        raise SnapshotError(
            f"process {task.pid} has registers of AVX in use, which the engine unicorn lacks: it goes on natively alone"
        )


def _walk(task: LinuxTask, mount: Any, path: bytes, made: Any) -> Any:
    """What a path leads to, in a tree made anew for `made` that is a second mount's root itself."""
    if mount is None or mount.root is made:
        from ..proc.sysfs import make_sys
        from ..proc.tree import Proc

        node: Any = make_sys() if path.startswith(b"/sys") else Proc()
    else:
        node = mount.root
    try:
        for name in path[len(node.path) :].split(b"/")[1:]:
            node = node.lookup(task, name) if node is not None else None
    except LinuxError:
        return None
    return node
