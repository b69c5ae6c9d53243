"""What a snapshot keeps of each class: `rule_for`. A class of `owners.STATE` is kept with all its attributes, but for
what stands here; what belongs to the process of the host (descriptors, engines, views) is a leaf, by which `making`
finds what is to stand in its place."""

from __future__ import annotations

import functools
import itertools
from collections import deque
from enum import Enum
from types import FunctionType, MethodType
from weakref import WeakKeyDictionary, WeakValueDictionary

from ..._core.kernel.accounts import IoTally
from ..._core.kernel.eventpoll import Entry, EventPoll
from ..._core.kernel.runqueue import RunQueue
from ..._core.kernel.streams import End, Message, TcpEnd, UnixEnd
from ..._core.kernel.waiting import KEPT, Blocked, WaitQueue, Watch
from ..._core.mm.frames import FrameStore
from ..._core.phys.phys import PhysMemory
from ..._core.words.graph import (
    ARRAY,
    ATOM,
    CALL,
    DICT,
    FROZENSET,
    INSTANCE,
    LEAF,
    LIST,
    MAPPING,
    SET,
    STANDIN,
    TUPLE,
    Capture,
    Rule,
)
from ...engine.arch import Architecture
from ...engine.context import Context
from ...errors import SnapshotError
from ...kernel.kernel import Kernel
from ...kernel.run import RunLoop
from ...mm.space import AddrSpace
from ...weak import WeakTable
from ..host import HostView
from ..machine import Machine
from .owners import STATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Take = Callable[[Any, Capture], Any]

_ROOT = "axptr."
_PROC = (
    "linux.proc.tree",
    "linux.proc.mapfiles",
    "linux.proc.nodes",
    "linux.proc.settings",
    "linux.proc.sysfs",
    "linux.proc.userfiles",
)
_PROC_FILES = frozenset(
    ("ProcFile", "TextFile", "SpaceFile", "MmFile", "MemFile", "PagemapFile", "IdFile", "_SpaceNode")
)
"""What of those rooms has a state of its own, and is not found by its name."""


class Token(tuple):  # type: ignore[type-arg]
    """A leaf, where an attribute is one: its kind first."""

    __slots__ = ()


def _atom_function(function: Any) -> None:
    """Only a function of a module is the same for all who name it."""
    if function.__closure__ or "<" in function.__qualname__:
        raise SnapshotError(f"a machine holds {function.__qualname__} of {function.__module__}, which cannot be kept")


def _method(method: Any, capture: Capture) -> tuple[Any, tuple[Any, ...]]:
    _atom_function(method.__func__)
    return MethodType, (method.__func__, method.__self__)


def _partial(it: Any, capture: Capture) -> tuple[Any, tuple[Any, ...]]:
    if it.keywords:
        raise SnapshotError(f"a machine holds {it}, which cannot be kept")
    return functools.partial, (it.func, *it.args)


def _count(it: Any, capture: Capture) -> tuple[Any, tuple[Any, ...]]:
    """By what it prints, `count(start)` or `count(start, step)`: Python 3.14 takes no copies of it any more."""
    return itertools.count, tuple(map(int, repr(it)[len("count(") : -1].split(",")))


def _view(it: memoryview, capture: Capture) -> tuple[Any, tuple[Any, ...]]:
    """Bytes on their way through a socket, which nobody changes."""
    if not it.readonly:
        raise SnapshotError(f"a machine holds {it}, which cannot be kept")
    return memoryview, (bytes(it),)


# -- what belongs to the process of the host


def _leaf(kind: str) -> Rule:
    return Rule(LEAF, lambda it, capture: (kind,))


def _space(it: AddrSpace, capture: Capture) -> tuple[str, int]:
    return "space", capture.owner.memory.freeze(it, capture.place)


def _store(it: FrameStore, capture: Capture) -> tuple[Any, ...]:
    if it.is_file:
        return "cache", capture.owner.hold_object(it)
    return "store", capture.owner.memory.keep(it)


def _task(it: Any, capture: Capture) -> dict[str, Any]:
    state = dict(vars(it))
    state.pop("calling", None)
    state.update(blocked=it.blocked, woken=it.woken, result=it.result, loop=it.loop)
    state.update(voluntary=it.voluntary, involuntary=it.involuntary, calling=None)
    state["context"] = it.loop.registers(it) if it.loop is not None else None
    state["host_signals"] = None
    capture.owner.tasks.append(it)
    return state


def loop_state(it: Any) -> dict[str, Any]:
    return {name: getattr(it, name) for name in ("queue", "timers", "_blocked")}


LEFT_OUT = frozenset((
    "bounce", "_pages", "hole", "engine", "loop", "phys", "account", "host", "terminals", "core", "core_failed",
    "streams",
))  # fmt: skip
"""Of a machine."""


def machine_state(it: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(it).items() if name not in LEFT_OUT}


def _host_file(it: Any, capture: Capture) -> dict[str, Any]:
    state = {name: value for name, value in vars(it).items() if name not in ("channel", "_waitable", "shown")}
    state["host_fd"] = leaf = Token(capture.owner.hold_file(it))
    if leaf[0] == "dead":
        state["dropped"] = True
    capture.owner.files.append(it)
    return state


def _host_node(it: Any, capture: Capture) -> dict[str, Any]:
    lent = Token(("held", capture.owner.lend(it)))  # `making` has it borrow that one's descriptor
    return {"_lent": lent, "mode": it.mode, "identity": it.identity, "mount": it.mount, "home": it.home}


def _opened_node(it: Any, capture: Capture) -> Any:
    return it.hold()


def _inode(it: Any, capture: Capture) -> dict[str, Any]:
    """The copy of its bytes does not know when mappings wrote to them."""
    it.tell_time()
    return {}


def _fifo_opening(it: Any, capture: Capture) -> dict[str, Any]:
    return {**vars(it), "fd": Token(("fd", capture.owner.hold(it.fd))) if it.fd >= 0 else -1}


def _entry(it: Any, capture: Capture) -> dict[str, Any]:
    capture.owner.watches.append(it)
    return {}


def _death(it: Any, capture: Capture) -> dict[str, Any]:
    """The fault holds the file of its area, and tells its reader only."""
    return {**vars(it), "fault": None}


def _trace(it: Any, capture: Capture) -> dict[str, Any]:
    return {**vars(it), "inner": None}


def _file_locks(it: Any, capture: Capture) -> dict[str, Any]:
    """The host holds locks for one machine, not for its copies."""
    return {**vars(it), "host": None}


def _proc_node(it: Any, capture: Capture) -> tuple[Any, ...]:
    return "proc", type(it), it.path, it.mount


def _later_mount(it: Any, capture: Capture) -> dict[str, Any]:
    """Its tree is made again when somebody comes to it."""
    return {**vars(it), "_made": None}


def _given(it: Any, capture: Capture) -> dict[str, Any]:
    return {**vars(it), "tree": Token(("object", capture.owner.hold_object(it.tree)))}


def _disk(it: Any, capture: Capture) -> dict[str, Any]:
    return {**vars(it), "_files": Token(("weak set", *it._files))}


def _pids(it: Any, capture: Capture) -> dict[str, Any]:
    """Processes that were waited for are none of it."""
    return {**vars(it), "_left": Token(("weak set",))}


def _object(it: Any, capture: Capture) -> tuple[Any, ...]:
    """The very same for all copies in this process: a tree that never changes, a policy, which is its user's."""
    return "object", capture.owner.hold_object(it)


def _outside(it: Any, capture: Capture) -> Any:
    if "connections" not in capture.owner.drop:
        raise SnapshotError("a connection of the host's network is open: close it first, or have it dropped")
    from ..net.dropped import Dropped

    return Dropped.of(it)


def _end(it: Any, capture: Capture) -> dict[str, Any]:
    """Our end of a stream, which its holder is told of by functions of this process."""
    return {**vars(it), "changed": None}


_TAKES: dict[str, tuple[int, Take]] = {
    "linux.task.task:LinuxTask": (INSTANCE, _task),
    "linux.fs.host.file:HostFile": (INSTANCE, _host_file),
    "linux.fs.host.tree:HostNode": (INSTANCE, _host_node),
    "linux.fs.host.tree:OpenedNode": (STANDIN, _opened_node),
    "linux.fs.inode:Inode": (INSTANCE, _inode),
    "linux.files.fifo:FifoOpening": (INSTANCE, _fifo_opening),
    "_core.kernel.eventpoll:Entry": (INSTANCE, _entry),
    "linux.ends:Death": (INSTANCE, _death),
    "linux.task.trace:Trace": (INSTANCE, _trace),
    "linux.files.locks:FileLocks": (INSTANCE, _file_locks),
    "linux.fs.latermount:LaterMount": (INSTANCE, _later_mount),
    "linux.fs.given:TreeMount": (INSTANCE, _given),
    "linux.streams:Inlet": (INSTANCE, _end),
    "linux.streams:Outlet": (INSTANCE, _end),
    "linux.fs.disk:Disk": (INSTANCE, _disk),
    "linux.fs.tmproom:Room": (INSTANCE, _disk),
    "linux.task.pids:PidTable": (INSTANCE, _pids),
    "linux.fs.system:SystemMount": (INSTANCE, _given),
    "linux.fs.system:SystemTree": (LEAF, _object),
    "linux.policy.policy:Policy": (LEAF, _object),
    "linux.net.outside:Outside": (STANDIN, _outside),
}
_COMPILED: dict[type, tuple[str, ...]] = {
    Blocked: (*KEPT, "timer"),
    IoTally: ("rchar", "wchar", "syscr", "syscw"),
    RunQueue: ("slice", "woken", "ready", "all", "rests", "share", "turn", "own"),
    WaitQueue: ("_waiters", "_watches"),
    Watch: ("loop", "exclusive"),
    Entry: ("epoll", "fd", "file", "events", "data"),
    EventPoll: ("owner", "entries", "listed", "queue", "polled", "outside"),
    End: ("network", "options", "queue", "kind", "error", "shut", "state", "dead"),
    TcpEnd: (
        "peer",
        "pieces",
        "head",
        "queued",
        "received",
        "sent",
        "urgent",
        "mark",
        "finished",
        "cramped",
    ),
    UnixEnd: ("peer", "messages", "waiting", "urgent", "charged"),
    Message: ("data", "cred", "sender", "cost", "user", "files"),
}
_LEAVES = ((Machine, "machine"), (RunLoop, "loop"), (Kernel, "kernel"), (HostView, "view"))

RULES: dict[type, Rule] = {
    **dict.fromkeys((int, float, complex, bool, str, bytes, type(None), range, type(...)), Rule(ATOM)),
    Architecture: Rule(ATOM),
    Context: Rule(ATOM),
    list: Rule(LIST),
    deque: Rule(LIST),
    dict: Rule(DICT),
    set: Rule(SET),
    tuple: Rule(TUPLE),
    frozenset: Rule(FROZENSET),
    bytearray: Rule(ARRAY),
    WeakValueDictionary: Rule(MAPPING),
    WeakTable: Rule(MAPPING),
    WeakKeyDictionary: Rule(MAPPING),
    MethodType: Rule(CALL, _method),
    functools.partial: Rule(CALL, _partial),
    itertools.count: Rule(CALL, _count),
    memoryview: Rule(CALL, _view),
    Token: Rule(LEAF, lambda it, capture: it),
    AddrSpace: Rule(LEAF, _space),
    PhysMemory: _leaf("phys"),
}


def rule_for(it: Any) -> Rule:
    """The rule of a class that was not met before. Raises `SnapshotError` for one that is in nobody's care."""
    cls = type(it)
    if cls is FunctionType:  # asked for each
        _atom_function(it)
        return _ATOM
    if isinstance(it, type):
        return _ATOM
    found = RULES[cls] = _find(it, cls)
    return found


_ATOM = Rule(ATOM)


def _find(it: Any, cls: type) -> Rule:
    if isinstance(it, (Enum, int)):
        return _ATOM
    if isinstance(it, FrameStore):
        return Rule(LEAF, _store)
    for base, leaf in _LEAVES:
        if isinstance(it, base):
            return _leaf(leaf)
    if hasattr(cls, "on_syscall"):
        return _leaf("engine")
    name = cls.__module__.removeprefix(_ROOT)
    key = f"{name}:{cls.__qualname__}"
    if cls.__qualname__ not in STATE.get(name, "").split() or not cls.__module__.startswith(_ROOT):
        raise SnapshotError(f"a machine holds {it!r}, a {cls.__qualname__} of {cls.__module__}, which cannot be kept")
    if name in _PROC and cls.__qualname__ not in _PROC_FILES:
        return Rule(LEAF, _proc_node)
    if issubclass(cls, tuple):
        return Rule(TUPLE)
    kind, take = _TAKES.get(key, (INSTANCE, None))
    return Rule(kind, take, slots_of(cls))


def slots_of(cls: type) -> tuple[str, ...]:
    """The attributes of a class's objects that are in no `__dict__`."""
    found: list[str] = []
    for base in cls.__mro__:
        found += _COMPILED.get(base, ())
        own = base.__dict__.get("__slots__", ())
        for name in (own,) if isinstance(own, str) else own:
            if name not in ("__weakref__", "__dict__"):
                found.append(f"_{base.__name__.lstrip('_')}{name}" if name[:2] == "__" != name[-2:] else name)
    return tuple(found)
