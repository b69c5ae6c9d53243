"""A graph as bytes, and back: data only. Nothing that a file says is run while it is read.

What stands in it are numbers, strings, places of other nodes, and names: of classes that `owners` has, of methods of
theirs, and of functions of the personality that go on with a call, whose first parameter is the task. A name of
anything else is refused, as is a place that there is not, or that stands before what it names.

Numbers are unsigned LEB128 unless said otherwise. A value is a tag of one byte and what belongs to it; see
`_Writer.value`.

Failure: `SnapshotError`, for what cannot be written by its name, for what cannot be read by what is wrong with it.
"""

from __future__ import annotations

import functools
import itertools
from collections import deque
from enum import Enum
from importlib import import_module
from struct import Struct
from types import FunctionType, MethodType
from weakref import WeakKeyDictionary, WeakValueDictionary

from ..._core.words.graph import (
    ARRAY,
    DICT,
    FROZENSET,
    INSTANCE,
    LIST,
    MAPPING,
    SET,
    TUPLE,
    Graph,
    Place,
)
from ..._core.words.records import BYTES, FALSE, FLOAT, NEGATIVE, NONE, PLACE, POSITIVE, TEXT, TRUE, Records
from ...engine.arch import ARCHITECTURES, Architecture
from ...engine.context import Context
from ...errors import SnapshotError
from ...weak import WeakTable
from .owners import STATE, TRANSIENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ROOT = "axptr."
_BUILTIN: dict[str, Any] = {
    "list": list, "dict": dict, "set": set, "tuple": tuple, "frozenset": frozenset, "deque": deque,
    "bytearray": bytearray, "weak values": WeakValueDictionary, "weak keys": WeakKeyDictionary,
    "weak table": WeakTable, "method": MethodType,
    "partial": functools.partial, "count": itertools.count, "view": memoryview,
}  # fmt: skip
_NAMES = {made: name for name, made in _BUILTIN.items()}
_CALLED = (MethodType, functools.partial, itertools.count, memoryview)
_CLASSES: dict[int, tuple[Any, ...]] = {
    LIST: (list, deque),
    DICT: (dict,),
    SET: (set,),
    ARRAY: (bytearray,),
    FROZENSET: (frozenset,),
}
_CLASSES[MAPPING] = (WeakValueDictionary, WeakKeyDictionary, WeakTable)
_ENUMS = ("axptr.flags", "axptr.errors")
_MAKERS = ("linux.system:_proc", "linux.system:_sys")
_REFUSED = ("linux.task.coredump", "linux.task.exec", "linux.snapshots")
ITEMS, NAME, CONTEXT, ARCHITECTURE, MEMBER = range(PLACE + 1, PLACE + 6)
_FLOAT = Struct("<d")


def _name_of(it: Any) -> str:
    """A class or function by its name, if it can be found by that again."""
    if (known := _NAMES.get(it)) is not None:
        return known
    name = f"{it.__module__.removeprefix(_ROOT)}:{it.__qualname__}"
    if _find(name) is not it:
        raise SnapshotError(f"{it.__qualname__} of {it.__module__} cannot be written to a file")
    return name


@functools.cache
def _find(name: str) -> Any:
    """What a name in a file leads to."""
    if name in _BUILTIN:
        return _BUILTIN[name]
    module, _, path = name.partition(":")
    outer, _, inner = path.partition(".")
    methods = inner and outer in TRANSIENT.get(module, "").split()
    if methods or outer in STATE.get(module, "").split():
        found = getattr(import_module(_ROOT + module), outer, None)
        if inner:
            found = getattr(found, inner, None)
            if not isinstance(found, FunctionType) or inner.startswith("__"):
                raise SnapshotError(f"it names {name}, which is no method")
        return found
    home = module.split(".")
    if home[0] not in ("linux", "kernel") or module.startswith(_REFUSED) or inner:
        raise SnapshotError(f"it names {name}, which is no part of a machine")
    try:
        found = getattr(import_module(_ROOT + module), outer, None)
    except (ImportError, ValueError):
        found = None
    if isinstance(found, type) and issubclass(found, Enum):
        return found
    if not isinstance(found, FunctionType) or found.__module__ != _ROOT + module:
        raise SnapshotError(f"it names {name}, which is not there")
    if name not in _MAKERS and found.__code__.co_varnames[:1] != ("task",):
        raise SnapshotError(f"it names {name}, which goes on with no call")
    return found


def _enumeration(name: str) -> type[Enum] | None:
    """An enumeration of those whose members are plain words."""
    module, _, path = name.partition(":")
    if _ROOT + module not in _ENUMS and not module.startswith("linux.abi."):
        return None
    try:
        found = getattr(import_module(_ROOT + module), path, None)
    except (ImportError, ValueError):
        return None
    return found if isinstance(found, type) and issubclass(found, Enum) else None


class _Writer:
    """out: what was written so far. Names are spelled where they first stand, and have numbers from there on."""

    def __init__(self) -> None:
        self.out = bytearray()
        self._names: dict[str, int] = {}

    def number(self, value: int) -> None:
        out = self.out
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)

    def text(self, text: str) -> None:
        self.data(text.encode("utf-8", "surrogatepass"))

    def data(self, data: bytes) -> None:
        self.number(len(data))
        self.out += data

    def name(self, it: Any) -> None:
        """The number of a name, which is spelled where it first stands."""
        name = it if isinstance(it, str) else _name_of(it)
        known = self._names.get(name)
        if known is None:
            known = self._names[name] = len(self._names)
            self.number(known)
            self.text(name)
        else:
            self.number(known)

    def value(self, it: Any) -> None:
        """NONE TRUE FALSE; POSITIVE number; NEGATIVE number of -1 - n; FLOAT 8 bytes; BYTES, TEXT length and bytes;
        PLACE number; ITEMS a class, their number and values; NAME; CONTEXT its architecture and two BYTES;
        ARCHITECTURE its name; MEMBER of an enumeration: its class and value."""
        put = self.out.append
        kind = type(it)
        if it is None:
            put(NONE)
        elif kind is bool:
            put(TRUE if it else FALSE)
        elif kind is int:
            put(POSITIVE if it >= 0 else NEGATIVE)
            self.number(it if it >= 0 else -1 - it)
        elif kind is float:
            put(FLOAT)
            self.out += _FLOAT.pack(it)
        elif kind is bytes:
            put(BYTES)
            self.data(it)
        elif kind is str:
            put(TEXT)
            self.text(it)
        elif kind is Place:
            put(PLACE)
            self.number(it.index)
        elif isinstance(it, (tuple, frozenset)):
            put(ITEMS)
            self.name(kind)
            self.number(len(it))
            for one in it:
                self.value(one)
        else:
            self._rare(it)

    def _rare(self, it: Any) -> None:
        if isinstance(it, Enum):
            self.out.append(MEMBER)
            name = f"{type(it).__module__.removeprefix(_ROOT)}:{type(it).__qualname__}"
            if _enumeration(name) is not type(it):
                raise SnapshotError(f"{it!r} cannot be written to a file")
            self.name(name)
            self.value(it.value)
        elif isinstance(it, (FunctionType, type)):
            self.out.append(NAME)
            self.name(it)
        elif isinstance(it, Context):
            self.out.append(CONTEXT)
            self.text(it.arch.name)
            self.data(it.general)
            self.data(it.extended)
        elif isinstance(it, Architecture):
            self.out.append(ARCHITECTURE)
            self.text(it.name)
        else:
            raise SnapshotError(f"{it!r} cannot be written to a file")


def encode(graph: Graph, besides: tuple[Any, ...]) -> bytes:
    """Values that name no node; a graph: its nodes, each as its kind, class, names and values; its roots."""
    writer = _Writer()
    writer.value(besides)
    writer.number(len(graph.nodes))
    for node in graph.nodes:
        writer.number(node.kind)
        if node.cls is not None:
            writer.name(node.cls)
        if node.names is not None:
            writer.number(len(node.names))
            for name in node.names:
                writer.name(name)
        writer.number(len(node.values))
        for value in node.values:
            writer.value(value)
    writer.number(len(graph.roots))
    for value in graph.roots:
        writer.value(value)
    return bytes(writer.out)


class _Reader(Records):
    def __init__(self, data: bytes) -> None:
        """For the signature: `Records` takes it when it is made."""

    def listed(self, name: str) -> Any:
        """The class of something like a tuple."""
        cls = _find(name)
        if cls is not frozenset and (not isinstance(cls, type) or not issubclass(cls, tuple)):
            raise SnapshotError("something in it is a tuple by its tag alone")
        return cls

    def made_of(self, cls: Any, items: list[Any]) -> Any:
        """One of a class that `listed` gave."""
        if cls is frozenset:
            return frozenset(items)
        if len(items) != len(cls._fields):
            raise SnapshotError(f"a {cls.__name__} in it has {len(items)} fields")
        return tuple.__new__(cls, items)

    def fitting(self, kind: int, name: str) -> Any:
        """The class of an object that is kept as this kind."""
        cls = _find(name)
        if not _fits(kind, cls):
            raise SnapshotError(f"an object in it is a {cls!r} and of the kind {kind}")
        return cls

    def require_attributes(self, names: tuple[str, ...]) -> None:
        for name in names:
            if not name.isidentifier() or name.startswith("__"):
                raise SnapshotError(f"an attribute in it is called {name!r}")

    def require_call(self, values: tuple[Any, ...]) -> None:
        if not values or values[0] not in _CALLED or len(values) < 2:
            raise SnapshotError("it has something called that makes no object of a machine")

    def rare(self, kind: int, depth: int) -> Any:
        if kind == NAME:
            return _find(self.name())
        if kind == MEMBER:
            return self._member()
        if kind in (CONTEXT, ARCHITECTURE):
            name = self.text()
            if name not in ARCHITECTURES:
                raise SnapshotError(f"it is of the architecture {name!r}")
            if kind == ARCHITECTURE:
                return ARCHITECTURES[name]
            try:
                return Context(ARCHITECTURES[name], self.data(), self.data())
            except ValueError as error:
                raise SnapshotError(str(error)) from None
        raise SnapshotError(f"a value in it has the tag {kind}")

    def _member(self) -> Any:
        name, value = self.name(), self.value()
        cls = _enumeration(name)
        try:
            if cls is not None:
                return cls(value)
        except (ValueError, TypeError):
            pass
        raise SnapshotError(f"it names {name}, which has no member {value!r}")


@functools.cache
def _fits(kind: int, cls: Any) -> bool:
    """Whether an object of a class, which `_find` gave, is kept as this kind."""
    if kind in _CLASSES:
        return cls in _CLASSES[kind]
    if not isinstance(cls, type) or issubclass(cls, Enum):
        return False
    if kind == TUPLE:
        return issubclass(cls, tuple)
    return kind == INSTANCE and not issubclass(cls, tuple) and cls not in _NAMES


def decode(data: bytes) -> tuple[Graph, tuple[Any, ...]]:
    """The graph and the values that `encode` wrote."""
    reader = _Reader(data)
    besides = reader.value()
    if type(besides) is not tuple:
        raise SnapshotError("it does not say what it is of")
    nodes = reader.nodes()
    roots = reader.values()
    reader.end()
    return Graph(nodes, roots), besides
