"""Imports go down the layers of DESIGN.md only and never in a circle, Unicorn is named under the engine alone, public
names stand once.

Reads the sources: imports of Python, those of Cython (`cython.cimports...`, and `cimport` in .pxd files), and those
inside functions too. What stands under `if TYPE_CHECKING:` runs never and may point anywhere.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import axptr

ROOT = Path(axptr.__file__).parent
SOURCES = sorted(p for p in ROOT.rglob("*.py")) + sorted(p for p in ROOT.rglob("*.pxd"))

# Each layer imports from itself and from those before it.
LAYERS = (
    "words", "physical", "paging", "mm", "pointers", "memory", "engine", "kernel", "debug", "linux", "sandbox", "pool",
    "cli",
)  # fmt: skip
WHERE = {
    "addr": "words",
    "light": "words",
    "members": "words",
    "named": "words",
    "weak": "words",
    "flags": "words",
    "errors": "words",
    "explain": "words",
    "layout": "words",
    "forms": "words",
    "model": "words",
    "_core.host": "words",
    "_core.words": "words",
    "_core.phys": "physical",
    "paging": "paging",
    "_core.paging": "paging",
    "mm": "mm",
    "_core.mm": "mm",
    "pointers": "pointers",
    "_core.pointers": "pointers",
    "memory": "memory",
    "engine": "engine",
    "_core.cpu": "engine",
    "kernel": "kernel",
    "_core.kernel": "kernel",
    "debug": "debug",
    "linux": "linux",
    "sandbox": "sandbox",
    "pool": "pool",
    "cli": "cli",
    "__main__": "cli",
}


def module_of(path: Path) -> str:
    """`mm.space` for src/axptr/mm/space.py; the package itself is empty."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def layer_of(module: str) -> int | None:
    """The layer's number; None for the package itself and for `_core`, which only group."""
    while module:
        if module in WHERE:
            return LAYERS.index(WHERE[module])
        module = module.rpartition(".")[0]
    return None


def exists(module: str) -> bool:
    path = ROOT.joinpath(*module.split("."))
    return path.is_dir() or any(path.with_suffix(suffix).exists() for suffix in (".py", ".pxd"))


def plain_imports(path: Path) -> Iterator[str]:
    """The full name of each module that a Python source imports at any time."""
    package = "axptr." + module_of(path)
    if path.name != "__init__.py":
        package = package.rpartition(".")[0]

    def names(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            nodes: list[ast.AST] = list(node.orelse)
        else:
            nodes = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                parts = package.rstrip(".").split(".")
                source = ".".join([*parts[: len(parts) - node.level + 1], *([source] if source else [])])
            source = source.removeprefix("cython.cimports.")
            for alias in node.names:
                inside = f"{source}.{alias.name}"
                is_module = inside.startswith("axptr.") and exists(inside.removeprefix("axptr."))
                yield inside if is_module else source
        for child in nodes:
            yield from names(child)

    yield from names(ast.parse(path.read_text()))


def imports(path: Path) -> list[str]:
    if path.suffix == ".py":
        return list(plain_imports(path))
    return re.findall(r"^\s*(?:from\s+([\w.]+)\s+)?c?import\b", path.read_text(), re.MULTILINE)


def inner(path: Path) -> list[str]:
    return [name.removeprefix("axptr").removeprefix(".") for name in imports(path) if name.split(".")[0] == "axptr"]


def test_the_reader_of_imports_sees_every_spelling(tmp_path: Path) -> None:
    path = ROOT / "mm" / "imaginary.py"
    source = (
        "import axptr.flags\nfrom ..addr import PAGE_SIZE\nfrom . import area\n"
        "from cython.cimports.axptr._core.phys.phys import PhysMemory\nfrom axptr.pointers import check as c\n"
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from axptr.linux import personality\n"
        "def f():\n    from axptr.kernel.task import Task\n"
    )

    class Pretended(type(path)):  # type: ignore[misc]
        def read_text(self, *args: object, **kwargs: object) -> str:
            return source

    found = inner(Pretended(path))
    assert found == ["flags", "addr", "mm.area", "_core.phys.phys", "pointers.check", "kernel.task"]


def test_every_module_has_a_layer() -> None:
    for path in SOURCES:
        module = module_of(path)
        if module not in ("", "_core"):
            assert layer_of(module) is not None, f"{module} stands in no layer: add it to WHERE"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down_only(path: Path) -> None:
    module = module_of(path)
    if module == "":
        return  # the package hands out names of every layer
    mine = layer_of(module)
    for target in inner(path):
        assert target != "", f"{module} imports from the package itself: name the module"
        theirs = layer_of(target)
        assert theirs is not None, f"{module} imports {target}, which stands in no layer"
        if mine is not None:
            assert theirs <= mine, f"{module} ({LAYERS[mine]}) imports {target} ({LAYERS[theirs]})"


def circles(graph: dict[str, set[str]]) -> list[frozenset[str]]:
    """The strongly connected parts of more than one module, and modules that import themselves (Tarjan)."""
    found: list[frozenset[str]] = []
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        stack.append(module)
        for target in sorted(graph[module]):
            if target not in number:
                visit(target)
                lowest[module] = min(lowest[module], lowest[target])
            elif target in stack:
                lowest[module] = min(lowest[module], number[target])
        if lowest[module] == number[module]:
            part = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(part) > 1 or module in graph[module]:
                found.append(frozenset(part))

    for module in sorted(graph):
        if module not in number:
            visit(module)
    return found


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": {"d"}, "e": {"a"}}) == [
        frozenset({"d"}),
        frozenset({"b", "c"}),
    ]
    assert circles({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}) == []


def test_no_modules_import_each_other_in_a_circle_at_any_time() -> None:
    """Imports inside functions count: the circle is there while they run, and who reads one must read all of it.

    Not seen, and meant so: what the registry of calls and the rooms of architectures load by a name in a table.
    """
    graph: dict[str, set[str]] = {module_of(path): set() for path in SOURCES}
    for path in SOURCES:
        graph[module_of(path)] |= {name for name in inner(path) if name in graph} - {"", module_of(path)}
    found = circles(graph)
    assert not found, f"circles: {[', '.join(sorted(part)) for part in found]}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_unicorn_is_named_under_the_engine_alone(path: Path) -> None:
    module = module_of(path)
    mine = layer_of(module)
    if mine == LAYERS.index("engine"):
        return
    assert not [name for name in imports(path) if name.split(".")[0] == "unicorn"]
    if path.suffix == ".py":
        # nor by name: find_spec("unicorn"), import_module("unicorn")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and re.search(r"find_spec|import_module|__import__", ast.dump(node.func)):
                assert "'unicorn" not in ast.dump(node)


@pytest.mark.parametrize("path", [p for p in SOURCES if p.suffix == ".py"], ids=lambda p: str(p.relative_to(ROOT)))
def test_every_module_says_first_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


# -- names -----------------------------------------------------------------------------------------------------


def test_public_names_stand_once_and_can_be_had() -> None:
    assert len(axptr.__all__) == len(set(axptr.__all__))
    for name in axptr.__all__:
        assert getattr(axptr, name) is not None
    assert set(axptr.__all__) == set(axptr._PUBLIC)


def test_the_names_that_type_checkers_see_are_those_that_are_handed_out() -> None:
    """Each is imported under TYPE_CHECKING, once, from the module that the table names."""
    conditions = [node for node in ast.parse((ROOT / "__init__.py").read_text()).body if isinstance(node, ast.If)]
    (block,) = [node for node in conditions if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"]
    seen = []
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        seen += [(alias.asname or alias.name, f"axptr.{node.module}") for alias in node.names]
    assert sorted(seen) == sorted(axptr._PUBLIC.items())


def test_nothing_else_looks_public() -> None:
    modules = {module_of(path).split(".")[0] for path in SOURCES}
    others = {name for name in vars(axptr) if not name.startswith("_")} - set(axptr.__all__) - modules
    assert others <= {"annotations", "TYPE_CHECKING"}


def test_names_that_are_loaded_later_are_listed_and_handed_out_before_they_are_loaded() -> None:
    script = (
        "import sys, axptr\n"
        "rooms = ['axptr.engine', 'axptr.kernel', 'axptr.linux']\n"
        "assert set(axptr.__all__) | {'engine', 'kernel', 'linux', '__version__'} <= set(dir(axptr))\n"
        "assert not [name for name in sys.modules if name in rooms]\n"
        "for name in rooms:\n"
        "    room = eval(name)\n"
        "    assert room is sys.modules[name]\n"
        "    assert set(room.__all__) <= set(dir(room))\n"
        "    exec(f'from {name} import *')\n"
        "    assert all(eval(public) is getattr(room, public) for public in room.__all__)\n"
        "exec('from axptr import *')\n"
        "assert all(eval(public) is getattr(axptr, public) for public in axptr.__all__)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nonsense'"):
        axptr.Nonsense  # noqa: B018


def test_the_core_is_compiled() -> None:
    sources = [path for path in (ROOT / "_core").rglob("*.py") if path.stem != "__init__"]
    assert sources
    for path in sources:
        spec = importlib.util.find_spec("axptr." + module_of(path))
        assert spec is not None
        assert spec.origin is not None
        assert spec.origin.endswith(".so"), f"{path.stem} runs uncompiled"


def test_the_library_without_extras_imports_neither_engine_nor_unicorn() -> None:
    script = (
        "import sys, axptr\n"
        "extras = {'unicorn', 'elftools', 'capstone'} & {name.split('.')[0] for name in sys.modules}\n"
        "layers = ('axptr.engine', 'axptr.kernel', 'axptr.linux', 'axptr.cli')\n"
        "assert not extras and not [name for name in sys.modules if name.startswith(layers)]\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
