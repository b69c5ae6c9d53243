"""The verbs of `Linux` for snapshots: what of the face goes along, and which objects its user has stay the same.

Of a machine that is restored the objects of its processes, and our ends of their streams, are what they were: whoever
holds them goes on with them. A copy has objects of its own.
"""

from __future__ import annotations

from collections import deque

from ..files.pipe import Pipe, PipeFile, Slot
from ..process import Process
from ..streams import Inlet, Outlet
from .snapshot import MachineSnapshot
from .taking import DROPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ..policy.policy import Policy
    from ..system import Linux
    from .making import Making

    Ends = tuple[Inlet | None, Outlet | None, Outlet | None]

_KEPT = (
    "env", "limits", "mounts", "_allow_write", "_of_streams", "_rooted", "_wanted", "_jobs", "engine_why",
    "engine_lack", "notes", "overlay",
)  # fmt: skip
_USERS = ("changed", "eager")
"""Of our end of a stream: how whoever holds it is told."""


def take(linux: Linux, drop: Iterable[str] = ()) -> MachineSnapshot:
    """See `Linux.snapshot`."""
    kinds = frozenset((drop,) if isinstance(drop, str) else drop)
    if unknown := sorted(kinds.difference(DROPS)):
        raise ValueError(f"{unknown[0]!r} is nothing that can be dropped; want some of {', '.join(DROPS)}")
    if linux.closed:
        raise RuntimeError("this machine is closed")
    if not linux.engine_why:
        raise RuntimeError("no program was started in this machine: there is nothing to snapshot")
    started = [(process.pid, process.owner, process.task, _ends(process)) for process in linux._started.values()]
    kept = {name: getattr(linux, name) for name in _KEPT}
    extra = {**kept, "started": started, "policy": linux.kernel.policy}
    taken = MachineSnapshot.take(linux.machine, extra, kinds)
    taken.doubtful = linux.doubtful
    return taken


def make(
    cls: type[Linux],
    snap: MachineSnapshot,
    stdio: tuple[int, int, int] | None,
    engine: str | None,
    policy: Policy | None = None,
) -> Linux:
    """See `Linux.from_snapshot`."""
    if not isinstance(snap, MachineSnapshot):
        raise TypeError(f"want a MachineSnapshot, not {type(snap).__name__}")
    linux = cls.__new__(cls)
    with snap.sensible():
        making = snap.make(stdio, engine)
        try:
            _wear(linux, making, engine, policy)
        except BaseException:
            making.machine.engine.close()
            raise
    return linux


def _wear(linux: Linux, making: Making, engine: str | None, policy: Policy | None) -> None:
    """Let it be the face of a machine that was made."""
    linux.machine, linux.kernel, linux.engine = making.machine, making.kernel, making.machine.engine
    linux.phys, linux.closed = making.machine.phys, False
    linux.doubtful = making.doubtful
    for name in _KEPT:
        setattr(linux, name, making.extra[name])
    if engine is not None:
        linux.engine_why, linux.engine_lack = "as asked", ""
    if policy is None and making.extra["policy"] is not None:
        policy = making.extra["policy"].of_branch()
    if policy is not None:
        policy.attach(linux.machine, linux.kernel)
    linux._started = {}
    for pid, owner, task, ends in making.extra["started"]:
        if making.doubtful:
            _require_ends(ends)
        process = linux._started[pid] = Process(linux, task, owner=owner)
        process.refer(task, ends)


def _require_ends(ends: Ends) -> None:
    """Raise `TypeError` for what are no ends of streams, which their holder calls without asking the machine."""
    for end, cls in zip(ends, (Inlet, Outlet, Outlet), strict=True):
        if end is None:
            continue
        held = end.left if type(end) is Inlet else end.data  # type: ignore[union-attr]
        pipe = end._file.pipe
        if type(end) is not cls or type(end._file) is not PipeFile or type(pipe) is not Pipe:
            raise TypeError(f"{end!r} is no {cls.__name__}")
        if type(held) is not (int if cls is Inlet else bytearray) or end.changed is not None:
            raise TypeError(f"an {cls.__name__} holds {held!r}")
        if type(pipe.slots) is not deque or any(type(slot) is not Slot for slot in pipe.slots):
            raise TypeError(f"a pipe holds {pipe.slots!r}")
        end.doubtful = True


def restore(linux: Linux, snap: MachineSnapshot) -> None:
    """See `Linux.restore`."""
    if linux.closed:
        raise RuntimeError("this machine is closed")
    if not isinstance(snap, MachineSnapshot):
        raise TypeError(f"want a MachineSnapshot, not {type(snap).__name__}")
    users = {id(end): _users(end) for process in linux._started.values() for end in _ends(process) if end is not None}
    live = {name: getattr(linux, name) for name in _KEPT}
    started = (linux._started.get(pid) for pid in snap.plan.started)
    live["started"] = [p and (p.pid, p.owner, p.task, _ends(p)) for p in started]
    live["policy"] = linux.kernel.policy
    before = linux.machine.pids.all_groups()
    making = snap.restore(linux.machine, linux.kernel, live)
    linux.machine.pids.leave_behind(before)
    for name in _KEPT:
        setattr(linux, name, making.extra[name])
    _put_back(linux, making, users)


def _ends(process: Process) -> Ends:
    return process.stdin, process.stdout, process.stderr


def _users(end: Any) -> dict[str, Any]:
    return {name: end.__dict__[name] for name in _USERS}


def _put_back(linux: Linux, making: Making, users: dict[int, dict[str, Any]]) -> None:
    before, linux._started = linux._started, {}
    for pid, owner, task, ends in making.extra["started"]:
        process = before.pop(pid, None)
        if process is None:
            process = Process(linux, task, owner=owner)
        held = _ends(process)
        stdin, stdout, stderr = (_stay(old, new, users) for old, new in zip(held, ends, strict=True))
        process.refer(task, (stdin, stdout, stderr))
        linux._started[pid] = process
    for process in before.values():
        process.gone()


def _stay(held: Any, end: Any, users: dict[int, dict[str, Any]]) -> Any:
    """The object that our user holds becomes what `end` is, if it is not that already."""
    if held is None or end is None:
        return end
    if held is end:
        held.__dict__.update(users[id(held)])
        return held
    held.__dict__.clear()
    held.__dict__.update(end.__dict__, **users[id(held)])
    if not held.closed:
        queue = held._file.queue
        queue._watches[held] = queue._watches.pop(end)
    return held
