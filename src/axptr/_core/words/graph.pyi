from collections.abc import Callable
from typing import Any

ATOM: int
INSTANCE: int
LIST: int
DICT: int
SET: int
ARRAY: int
MAPPING: int
TUPLE: int
FROZENSET: int
CALL: int
LEAF: int
STANDIN: int

class Place:
    index: int
    def __init__(self, index: int) -> None: ...

class Rule:
    kind: int
    take: Callable[[Any, Capture], Any] | None
    slots: tuple[str, ...]
    omit: frozenset[str]
    def __init__(
        self,
        kind: int,
        take: Callable[[Any, Capture], Any] | None = None,
        slots: tuple[str, ...] = (),
        omit: frozenset[str] = ...,
    ) -> None: ...

class Node:
    kind: int
    cls: Any
    names: tuple[str, ...] | None
    values: tuple[Any, ...]
    def __init__(self, kind: int, cls: Any, names: tuple[str, ...] | None, values: tuple[Any, ...]) -> None: ...

class Capture:
    nodes: list[Node]
    owner: Any
    def __init__(self, rules: dict[type, Rule], missing: Callable[[Any], Rule], owner: Any) -> None: ...
    def place(self, it: Any) -> Any: ...
    def finish(self, *roots: Any) -> Graph: ...

class Graph:
    nodes: tuple[Node, ...]
    roots: tuple[Any, ...]
    def __init__(self, nodes: tuple[Node, ...], roots: tuple[Any, ...]) -> None: ...
    def build(self, leaf: Callable[..., Any]) -> list[Any]: ...
