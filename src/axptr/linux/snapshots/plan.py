"""What of a graph is to be looked at when a machine is put back in place: found once, used for each restore."""

from __future__ import annotations

from ..._core.words.graph import DICT, INSTANCE, LEAF, LIST, TUPLE, Graph, Node, Place
from ...named import NamedTuple
from ..files.fifo import FifoOpening
from ..fs.host.file import HostFile
from ..fs.host.tree import HostNode
from .taking import ROOTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_OWN = frozenset(("machine", "loop", "engine", "kernel", "view", "phys"))


class Plan(NamedTuple):
    """All by their places. files: an open file of the host's, the leaf that is its descriptor, and that one's number in
    `held`. channels: open files of the host's; dead: those of them that were dropped. fifos: openings of FIFOs. nodes:
    places of the host's, and what has the descriptor of each. started: the numbers of the processes that the user
    started. given: leaves that are the same in each copy, and what they are. own: leaves that are the machine's, and
    their kind."""

    files: list[tuple[int, int, int]]
    channels: list[int]
    fifos: list[int]
    nodes: list[tuple[int, Any]]
    started: list[int]
    dead: list[int]
    given: list[tuple[int, Any]]
    own: list[tuple[int, str]]


def plan_of(graph: Graph, held: list[Any], objects: list[Any]) -> Plan:
    """held, objects: what leaves of these kinds stand for."""
    plan = Plan([], [], [], [], _started(graph), [], [], [])
    same = {"held": held, "object": objects, "cache": objects}
    for index, node in enumerate(graph.nodes):
        if node.kind == LEAF and (what := same.get(node.values[0])) is not None:
            plan.given.append((index, what[node.values[1]]))
        elif node.kind == LEAF and node.values[0] in _OWN:
            plan.own.append((index, node.values[0]))
        if node.kind != INSTANCE:
            continue
        cls = node.cls
        if cls is HostNode:
            plan.nodes.append((index, held[graph.nodes[_value(node, "_lent").index].values[1]]))
        elif cls is FifoOpening:
            plan.fifos.append(index)
        elif cls is HostFile:
            plan.channels.append(index)
            leaf = _value(node, "host_fd")
            if isinstance(leaf, Place) and graph.nodes[leaf.index].values[0] == "fd":
                plan.files.append((index, leaf.index, graph.nodes[leaf.index].values[1]))
            elif isinstance(leaf, Place) and graph.nodes[leaf.index].values[0] == "dead":
                plan.dead.append(index)
    return plan


def _value(node: Node, name: str) -> Any:
    names = node.names or ()
    return node.values[names.index(name)] if name in names else None


def _started(graph: Graph) -> list[int]:
    """As `face` keeps them; a graph from elsewhere may have anything there, of which nothing is found then."""
    extra = _node(graph, graph.roots[ROOTS - 1] if len(graph.roots) >= ROOTS else None, DICT)
    row = None
    if extra is not None:
        values = extra.values
        row = _node(
            graph, next((v for k, v in zip(values[::2], values[1::2], strict=False) if k == "started"), None), LIST
        )
    entries = [_node(graph, value, TUPLE) for value in row.values] if row is not None else []
    return [entry.values[0] if entry is not None and entry.values else -1 for entry in entries]


def _node(graph: Graph, value: Any, kind: int) -> Node | None:
    node = graph.nodes[value.index] if isinstance(value, Place) else None
    return node if node is not None and node.kind == kind else None
