"""What must come to an end in a machine's file: the way from a name up to its root, from a process to its
ancestors, through a mount to what it is mounted on, down a tree, from an epoll to those that watch it. Of names that
were found beneath an overlay and not changed yet the way up is a path, which leads through the overlay's tables.

Whoever follows one of these asks for no bound, as no call of a guest's makes a circle; in compiled code not even the
depth is counted. A file is made up by anybody, so each is followed once when it is loaded.

Failure: `SnapshotError`.
"""

from __future__ import annotations

import functools

from ..._core.words.graph import DICT, INSTANCE, MAPPING, Graph, Node, Place
from ...errors import SnapshotError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_UP = (
    ("Node", "parent_node"), ("Node", "_above"), ("Node", "mount"), ("Mount", "above"), ("ThreadGroup", "parent"),
    ("UserSpace", "parent"),
)  # fmt: skip
_DOWN = ("DirInode", "entries"), ("Node", "inode")
_WOKEN = (
    ("WaitQueue", "_watches"), ("Entry", "epoll"), ("EventPoll", "queue"), ("EventPoll", "polled"),
    ("EpollFile", "above"),
)  # fmt: skip
_WAKES = ("EventPoll", "entries"), ("EpollFile", "set"), ("Entry", "file")
"""The same from the other end."""
_ALL = (_UP, ()), (_DOWN, ()), (_WOKEN, _WAKES)


def require_ends(graph: Graph) -> None:
    """Raise `SnapshotError` where something of it leads to itself by one of these ways."""
    found: tuple[dict[int, list[int]], ...] = tuple({} for _ in _ALL)
    for index, node in enumerate(graph.nodes):
        if node.kind != INSTANCE:
            continue
        for number, name, backwards in _ways(node.cls):
            if name in (node.names or ()):
                for other in _objects(graph, node, name):
                    start, end = (other, index) if backwards else (index, other)
                    found[number].setdefault(start, []).append(end)
    for index, other in _by_path(graph):
        found[0].setdefault(index, []).append(other)
    for edges in found:
        _follow(graph, edges)


@functools.cache
def _ways(cls: type) -> list[tuple[int, str, bool]]:
    """Attributes of a class that lead on: which way, the name, whether from what stands there to it."""
    names = {base.__name__ for base in cls.__mro__}
    return [
        (number, name, backwards)
        for number, both in enumerate(_ALL)
        for backwards, pairs in zip((False, True), both, strict=True)
        for owner, name in pairs
        if owner in names
    ]


def _objects(graph: Graph, node: Node, name: str) -> Iterator[int]:
    """Those that an attribute is, or holds."""
    seen: set[int] = set()
    todo = [node.values[(node.names or ()).index(name)]]
    while todo:
        value = todo.pop()
        if not isinstance(value, Place) or value.index in seen:
            continue
        seen.add(value.index)
        if graph.nodes[value.index].kind == INSTANCE:
            yield value.index
        else:
            todo += graph.nodes[value.index].values


def _by_path(graph: Graph) -> Iterator[tuple[int, int]]:
    """Names that were found below, and what `LayeredFs.node_of` says is above them."""
    for index, node in enumerate(graph.nodes):
        if node.kind != INSTANCE or node.cls.__name__ != "LayeredNode" or _value(node, "_above") is not None:
            continue
        path, inode = _value(node, "path_below"), _instance(graph, _value(node, "inode"))
        layers = _instance(graph, _value(inode, "fs")) if inode is not None else None
        if not isinstance(path, bytes) or layers is None:
            continue
        tables = [_table(graph, _value(layers, name)) for name in ("dirs", "pure")]
        above: int | None = None
        while path and above is None:
            path = path.rpartition(b"/")[0]
            above = next((table[path] for table in tables if path in table), None)
        if above is not None:
            yield index, above


def _value(node: Node, name: str) -> object:
    names = node.names or ()
    return node.values[names.index(name)] if name in names else None


def _instance(graph: Graph, value: object) -> Node | None:
    node = graph.nodes[value.index] if isinstance(value, Place) else None
    return node if node is not None and node.kind == INSTANCE else None


def _table(graph: Graph, value: object) -> dict[bytes, int]:
    """Paths and what stands for them."""
    node = graph.nodes[value.index] if isinstance(value, Place) else None
    if node is None or node.kind not in (DICT, MAPPING):
        return {}
    pairs = zip(node.values[::2], node.values[1::2], strict=True)
    return {key: found.index for key, found in pairs if isinstance(key, bytes) and isinstance(found, Place)}


def _follow(graph: Graph, edges: dict[int, list[int]]) -> None:
    ended: set[int] = set()
    way: set[int] = set()
    for first in edges:
        todo = [first]
        while todo:
            at = todo[-1]
            if at in way:  # all that it leads to was followed
                way.remove(at)
                ended.add(at)
                todo.pop()
            elif at in ended:
                todo.pop()
            else:
                way.add(at)
                for other in edges.get(at, ()):
                    if other in way:
                        raise SnapshotError(f"a {graph.nodes[other].cls.__name__} of it lies in itself")
                    if other not in ended:
                        todo.append(other)
