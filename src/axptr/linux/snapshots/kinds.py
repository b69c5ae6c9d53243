"""Of what kind a machine's file must say that something is: what compiled code takes from where it lies in an object of
Python's (`_core.kernel.fields`), and uses as what the personality always puts there.

Nobody but a file, which is made up by anybody, puts anything else there, so it is judged when it is loaded. So are the
ends of streams, whose verbs have arguments of the user's that may be wrong as well (`nonsense`). Attributes that are
taken in the usual way, and those that the compiled classes declare, are judged where they are used.

Failure: `SnapshotError`.
"""

from __future__ import annotations

import functools

from ..._core.words.graph import DICT, INSTANCE, Graph, Place
from ...errors import SnapshotError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MISSING = object()
_KINDS = {
    "task.task.LinuxTask": {
        "group": "ThreadGroup", "mm": "Mm", "files": "FileTable", "signals": "SignalState", "cpu": "CpuPart",
    },
    "task.group.ThreadGroup": {"timers": "Timers", "io": "IoTally", "voluntary": "int"},
    "task.timers.Timers": {"virtual": "Timer", "prof": "Timer"},
    "task.filetable.FileTable": {"_files": "dict"},
    "fs.openfile.OpenFile": {"flags": "int", "refs": "int", "watchers": "list"},
    "files.pipe.PipeFile": {"_node": "PipeNode", "pipe": "Pipe"},
    "files.pipe.Pipe": {
        "slots": "deque", "most": "int", "readers": "int", "writers": "int", "notices": "tuple",
        "to_read": "WaitQueue", "to_both": "WaitQueue",
    },
    "files.pipe.Slot": {"data": "bytes", "start": "int"},
    "net.socket.Socket": {"endpoint": "End"},
    "files.epoll.EpollFile": {"set": "EventPoll"},
    "files.futex.FutexWord": {"queue": "WaitQueue"},
    "_core.kernel.eventpoll.Entry": {"file": "OpenFile"},
    "_core.kernel.waiting.Blocked": {"held": "tuple"},
    "_core.kernel.runqueue.RunQueue": {"woken": "deque", "ready": "deque"},
    "kernel.timers.Timers": {"heap": "list"},
    "streams.Inlet": {"_file": "PipeFile", "_left": "bytearray"},
    "streams.Outlet": {"_file": "PipeFile", "data": "bytearray", "_moved": "int", "most": "int | NoneType"},
}  # fmt: skip
"""By classes, whose modules are named beneath `axptr.linux`, or `axptr`."""
_ITEMS = {"slots": "Slot", "_files": "OpenFile", "held": "OpenFile", "woken": "LinuxTask", "ready": "LinuxTask"}
"""The same of what such an attribute holds."""


def require_kinds(graph: Graph) -> None:
    """Raise `SnapshotError` where something of it is of another kind, or missing."""
    for node in graph.nodes:
        if node.kind != INSTANCE:
            continue
        names = node.names or ()
        for name, wanted in wanted_of(node.cls):
            value = node.values[names.index(name)] if name in names else _MISSING
            if _kinds(graph, value).isdisjoint(wanted.split(" | ")):
                raise SnapshotError(f"its {node.cls.__name__} has no {wanted} as {name}")
            if name in _ITEMS and isinstance(value, Place):
                held = graph.nodes[value.index]
                for item in held.values[1::2] if held.kind == DICT else held.values:
                    if _ITEMS[name] not in _kinds(graph, item):
                        raise SnapshotError(f"its {node.cls.__name__} holds what is no {_ITEMS[name]} in {name}")


@functools.cache
def wanted_of(cls: type) -> list[tuple[str, str]]:
    """Attributes of a class, and the name of what each has to be."""
    names = (f"{base.__module__}.{base.__qualname__}" for base in cls.__mro__)
    found = (_KINDS.get(name.removeprefix("axptr.").removeprefix("linux.")) for name in names)
    return [pair for kinds in found if kinds for pair in kinds.items()]


def _kinds(graph: Graph, value: Any) -> frozenset[str]:
    """What a value is: the names of its class and of those that it derives from."""
    cls = graph.nodes[value.index].cls if isinstance(value, Place) else type(value)
    return _names(cls) if isinstance(cls, type) else frozenset()


@functools.cache
def _names(cls: type) -> frozenset[str]:
    return frozenset(base.__name__ for base in cls.__mro__)
