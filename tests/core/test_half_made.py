"""Objects of the core that were never finished: no constructor ran to its end, and the interpreter survives them.

A compiled object gets the methods of a class just before that class' `__cinit__` runs, base classes first. When the
`__cinit__` of a base fails, the `__dealloc__` of every class below it runs all the same, over a table of methods that
has none of its own: a method found by that table is then somebody else's memory.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import axptr

CORE = Path(axptr.__file__).parent / "_core"


def _classes() -> dict[str, ast.ClassDef]:
    found = {}
    for path in sorted(CORE.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = node
    return found


CLASSES = _classes()


def _method(owner: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    return next((n for n in owner.body if isinstance(n, ast.FunctionDef) and n.name == name), None)


def _bases(owner: ast.ClassDef) -> list[ast.ClassDef]:
    near = [CLASSES[b.id] for b in owner.bases if isinstance(b, ast.Name) and b.id in CLASSES]
    return [each for base in near for each in (base, *_bases(base))]


def _calls(function: ast.FunctionDef) -> list[tuple[str, str]]:
    """`(name, attribute)` of every call `name.attribute(...)`."""
    return [
        (node.func.value.id, node.func.attr)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
    ]


WITH_AN_END = [name for name, node in CLASSES.items() if _method(node, "__dealloc__") is not None]


def test_the_look_at_the_sources_finds_them() -> None:
    assert {"HostMemory", "PhysMemory", "Mmu", "FrameStore", "UserCpu", "MappedCpu", "IoVec"} <= set(WITH_AN_END)
    assert "UserCpu" in [base.name for base in _bases(CLASSES["MappedCpu"])]


@pytest.mark.parametrize("name", WITH_AN_END)
def test_no_dealloc_finds_a_method_by_the_table_of_its_object(name: str) -> None:
    owner = CLASSES[name]
    end = _method(owner, "__dealloc__")
    assert end is not None
    assert not [call for call in _calls(end) if call[0] == "self"]
    if all(_method(base, "__cinit__") is None for base in _bases(owner)):
        return  # its own table is in place by then: what it calls by name may use that
    seen: set[tuple[str, str]] = set()
    todo = [call for call in _calls(end) if call[0] in CLASSES]
    while todo:
        call = todo.pop()
        if call in seen:
            continue
        seen.add(call)
        called = _method(CLASSES[call[0]], call[1])
        assert called is not None, call
        inner = _calls(called)
        assert not [each for each in inner if each[0] == "self"], call
        todo += [each for each in inner if each[0] in CLASSES]


HALF = """
import importlib, os, pkgutil, sys
import axptr, axptr._core
from axptr import *

memory = PhysMemory(1 << 24)
space = AddrSpace(0x1000, 1 << 30, memory)
attempts = [
    (), (None,), (5,), (-1, -1), ("x", "y", "z"), (memory,), (memory, None), (memory, "no library"), (memory, 5, 5),
    (memory, 1 << 60, 1 << 60), (0, 1 << 20, memory, None), (0, 1 << 20, None, 7), (0, 3, memory), (None, None, None),
    (space,), (space, None, None, None, None, None), (memory, -1, "label"), (memory, None, "label", -1),
    (memory, 1 << 30), (b"x", b"y"), ([(1, 1 << 63)],), ([(-1, 2)],), ([5],),
]
kinds = []
for module in pkgutil.walk_packages(axptr._core.__path__, "axptr._core."):
    if module.name == "axptr._core.library":  # what all of them are in
        continue
    names = vars(importlib.import_module(module.name))
    kinds += [each for each in names.values() if isinstance(each, type) and each.__module__.startswith("axptr._core")]
kinds += [UnicornEngine, AddrSpace]
assert len(kinds) > 30, kinds
os.fstat(0)
def make():
    for kind in dict.fromkeys(kinds):
        try:
            both = (kind, type("Derived", (kind,), {}))
        except TypeError:  # no class to derive from
            both = (kind,)
        for which in both:
            for arguments in attempts:
                try:
                    which.__new__(which, *arguments)
                except (TypeError, ValueError, OSError, OverflowError, RuntimeError, AttributeError, ImportError):
                    pass
"""


def _run(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", script], capture_output=True, text=True, timeout=100, input=""
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_half_made_objects_of_every_class_die_in_peace() -> None:
    _run(HALF + "make()\nos.fstat(0)\n")


def test_half_made_objects_over_a_memory_of_the_parent_die_in_peace() -> None:
    _run(
        HALF
        + textwrap.dedent(
            """
            child = os.fork()
            if not child:
                make()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            """
        )
    )
