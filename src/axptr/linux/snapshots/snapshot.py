"""`MachineSnapshot`: a machine as it was between two turns of its loop, and the ways on from there.

    snap = linux.snapshot()
    other = Linux.from_snapshot(snap)       # another machine in that state, which goes its own way
    linux.restore(snap)                     # this one is as it was

A snapshot is a graph of plain data (`axptr._core.words.graph`), frozen copy-on-write twins of the spaces and the memory
behind them (`memory`), and descriptors of the host's files (`hostfiles`). It never changes, and goes with the last who
names it. Any number of machines can be made of it, in any order, also while the first runs in another thread: memory
has its own lock, and nothing else is shared.

Not here: what is kept of each class (`rules`), the machine's face (`face`), what they are as bytes (`file`).

Failure: `SnapshotError` for what cannot go along, by its name, and what it is; `LinuxError(ENOMEM)`; the machine is as
it was."""

from __future__ import annotations

from functools import cached_property
from os import PathLike

from ..._core.phys.charges import Account
from ..._core.words.inplace import InPlace
from ...engine.native import NativeEngine
from ...errors import SnapshotError
from ..machine import Machine
from ..mem.mm import Mm
from ..personality import LinuxKernel
from .making import Making
from .plan import Plan, plan_of
from .rules import slots_of
from .taking import Taking
from .view import resumed, state_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Sequence
    from typing import Any

    from ...engine import Engine
    from ...mm.space import AddrSpace
    from ..host import HostView
    from .file import Saved

_DAMAGED = (
    LookupError, TypeError, ValueError, AttributeError, ArithmeticError, AssertionError, RuntimeError, OSError,
)  # fmt: skip
"""What values that have no meaning raise where a machine is made of them."""
AHEAD = 64
"""Pages that a program which writes one after the other gets at once, natively."""


class _Sensible:
    """See `MachineSnapshot.sensible`. No generator: what is raised through one, and all that was made, would stay until
    a collector comes."""

    def __init__(self, loaded: bool) -> None:
        self.loaded = loaded

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, failure: BaseException | None, where: object) -> None:
        if self.loaded and isinstance(failure, _DAMAGED):
            raise SnapshotError(f"no machine can be made of it: {failure!r}") from failure


class MachineSnapshot:
    """graph: plain data. memory: spaces and stores. account: who is charged for them. held: descriptors of the host's
    files. objects: what is this process's own. view: the state of the machine's clocks. engine: the name of its CPU.
    loaded: whether another process made it. saved: where its pages are in files, if they are.
    """

    saved: Saved | None = None
    doubtful = False
    """Whether it is of a machine that came from a file: what it says may make no sense."""

    def __init__(self, taking: Taking, machine: Machine) -> None:
        """For `take`."""
        self.view = state_of(machine.host)
        self.account = machine.account.hand_over()
        try:
            with self.account.acting():
                self.graph = taking.walk()
        except BaseException:
            machine.account.take_back(self.account)
            raise
        self.memory = taking.memory
        self.held = taking.held
        self.objects = taking.objects
        self.engine = machine.engine.name
        self.memory_limit = machine.memory_limit
        self.loaded = False

    @classmethod
    def take(cls, machine: Machine, extra: dict[str, Any], drop: frozenset[str] = frozenset()) -> MachineSnapshot:
        """The state of a machine that does not run just now. extra: what else to keep, for `make` and `restore`. drop:
        what to leave out of it where it cannot go along (`taking.DROPS`)."""
        if machine.loop.running:
            raise RuntimeError("a machine is snapshotted between its runs, not within one")
        machine.loop.look()
        taken = cls(Taking(machine, extra, drop), machine)
        if machine.engine.name == "native":  # it may not run for long, and frames of its copies would wait for it
            machine.engine.settle()  # type: ignore[attr-defined]
        return taken

    def make(self, stdio: tuple[int, int, int] | None, engine: str | None) -> Making:
        """Another machine in this state: `making.machine`."""
        if self.loaded and stdio is None:
            stdio = 0, 1, 2
        view = resumed(*self.view)
        made = Machine(self.memory_limit, view)
        made.phys = self.memory.phys
        made.account = Account(made.phys, self.memory_limit, of=self.account)
        made.start(self._engine(engine or self.engine, view), clock=False)
        try:
            making = Making(self, made, view, stdio, {}, LinuxKernel())
            with made.account.acting():
                making.finish(*making.build())
        except BaseException:
            made.engine.close()
            raise
        return making

    def sensible(self) -> _Sensible:
        """Around all that is made of the snapshot: what comes from a file may describe nothing of the kind, which is a
        `SnapshotError` then."""
        return _Sensible(self.loaded or self.doubtful)

    # -- as bytes: see `file`

    def save(self, path: str | PathLike[str], *, since: MachineSnapshot | None = None) -> None:
        """Write it to a file, for `load` in any process of a host that has the same files.

        Pages that have a frame are stored; those of files that nobody has touched come from their files again. Raises
        `SnapshotError` naming what cannot go along: a file without a name, a policy, a tree of Python's; `OSError`.
        Under the name there is, at any time, what was there before or the whole snapshot.

        since: another snapshot of the same family, which was saved or loaded: only the pages that are not in its file
        are stored, and that file is the base that `load` is to be given. `SnapshotError` if there is none.
        """
        from .file import save

        save(self, path, since)

    @staticmethod
    def load(
        path: str | PathLike[str],
        *,
        base: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
        verify: bool = True,
    ) -> MachineSnapshot:
        """The snapshot in a file, in a memory of its own. Standard streams that were descriptors of the host's are
        those of `from_snapshot(stdio=)` then, by default 0, 1 and 2.

        The pages are mapped from the file, which must not be written to or cut short as long as the snapshot or a
        machine of it lives. (`save` never does that, and a removed name is no harm.) verify: whether all of them are
        read now, to prove their checksum; without it the time hardly depends on their number, and damage to them is
        not told.

        base: the file that it builds on, if it was saved `since` another; all of them, the oldest first, if that one
        was, too. Any other file is refused.

        It opens files of the host's, and says what programs may do with them: load only what you trust with that. No
        code of it is run. Raises `SnapshotError` for a file that is damaged, of another version or no snapshot, and
        where a file that was open or mapped is not there, is another, or was changed; `LinuxError(ENOMEM)`; `OSError`.
        A value that its owner has no use for is found where it is used: whatever verb of a machine of it meets that
        raises `SnapshotError`, and the machine can still be closed.
        """
        from .file import load

        bases = (base,) if isinstance(base, (str, PathLike)) else tuple(base)
        return load(path, MachineSnapshot.__new__(MachineSnapshot), verify, bases)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Pickles as `save` writes; with protocol 5 the pages are out-of-band buffers over the frames themselves."""
        from .file import pickled

        return MachineSnapshot._unpickled, pickled(self, int(protocol))

    @staticmethod
    def _unpickled(meta: bytes, parts: list[Any]) -> MachineSnapshot:
        """What the pickle of a snapshot calls."""
        from .file import unpickled

        return unpickled(meta, parts, MachineSnapshot.__new__(MachineSnapshot))

    def _engine(self, name: str, view: HostView) -> Engine:
        if name not in ("native", "unicorn"):
            raise ValueError(f"no such engine: {name!r}; want native or unicorn")
        if name == "native" and not view.repeats:
            return NativeEngine(self.memory.phys, ahead=AHEAD)
        return view.engine(self.memory.phys)

    @cached_property
    def in_place(self) -> InPlace:
        return InPlace(self.graph, slots_of)

    @cached_property
    def plan(self) -> Plan:
        return plan_of(self.graph, self.held, self.objects)

    def restore(self, machine: Machine, kernel: LinuxKernel, live: dict[str, Any]) -> Making:
        """Make a machine of this memory what it was, at the cost of what has changed since: its objects stay, as far as
        they stand where they stood. live: what its face has in the place of what `take` was given."""
        if machine.loop.running:
            raise RuntimeError("a machine is restored between its runs, not within one")
        if machine.phys is not self.memory.phys:
            raise SnapshotError("the snapshot is of another memory: make a machine of it")
        there: dict[object, AddrSpace] = {}
        memories = [task.mm for task in machine.tasks.values()]
        memories += [it for it in vars(machine).values() if type(it) is Mm]
        for mm in memories:
            space = mm.space
            if space.line is not None:
                there[space.line] = space
        view, state = resumed(*self.view), None
        if type(view) is type(machine.host) and not view.repeats:  # who names it goes on with it
            view, state = machine.host, vars(view)
        making = Making(self, machine, view, None, there, kernel)
        with machine.account.acting():
            making.look(live)
            _clear(machine, {id(space) for space in making.memory.spaces}, making.kept)
            if state is not None:
                vars(view).clear()
                vars(view).update(state)
            machine.loop.clock = view
            if view.repeats:
                view.take_over(machine.engine)  # type: ignore[attr-defined]
            making.finish(*making.put_back())
        machine.account.go_below(self.account)
        return making


def _clear(machine: Machine, spaces: set[int], kept: Container[int]) -> None:
    """Give back what a machine has, but for some spaces and objects, which are to be what they were in a moment."""
    loop, tasks = machine.loop, list(machine.tasks.values())
    for task in tasks:
        loop.remove(task)
    for table in {id(task.files): task.files for task in tasks}.values():
        table.close_others(kept)
    for mounts in {id(task.fs.mounts): task.fs.mounts for task in tasks}.values():
        mounts.close_others(kept)
    network = vars(machine).get("network")
    if network is not None:
        network.leave_host()
    for number, space in {id(task.mm.space): task.mm.space for task in tasks}.items():
        if number not in spaces:
            space.clear()
    loop._posted.clear()
