"""What the house rules say of every source: how long modules and functions may be, where shared lists may move."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import axptr

ROOT = Path(axptr.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
MOST_LINES = 600
MOST_OF_A_FUNCTION = 80
CORE = sorted((ROOT / "_core").rglob("*.py"))


def long_functions(source: str) -> Iterator[str]:
    """Functions of more than 80 lines that do not say why: `def f(...):  # long: a table of cases`."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            count = (node.end_lineno or node.lineno) - node.lineno + 1
            head = lines[node.lineno - 1 : node.body[0].lineno]
            if count > MOST_OF_A_FUNCTION and not any("# long: " in line for line in head):
                yield f"{node.name} has {count} lines"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_has_no_more_than_600_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES, f"{path.relative_to(ROOT)}: split it by concept"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_function_has_no_more_than_80_lines_or_says_why(path: Path) -> None:
    assert list(long_functions(path.read_text())) == []


def test_the_reader_of_functions_sees_long_ones() -> None:
    body = "    pass\n" * 80
    assert list(long_functions(f"def f():\n{body}")) == ["f has 81 lines"]
    assert list(long_functions(f"class C:\n  def f(self):  # long: one table\n{body}")) == []
    assert list(long_functions("def f():\n" + "    pass\n" * 79)) == []


# -- lists that others walk under the lock -------------------------------------------------------------------------


def calls_in_order(function: ast.FunctionDef) -> list[str]:
    """Names of the functions that one calls, in the order of the source."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    calls.sort(key=lambda node: (node.lineno, node.col_offset))
    return [node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "") for node in calls]


def unguarded(source: str) -> Iterator[str]:
    """Functions that take the lock and reallocate something while they do not hold it."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef):
            continue
        calls = calls_in_order(node)
        if "realloc" not in calls or not any(name.startswith("axptr_lock_") for name in calls):
            continue
        first = min(i for i, name in enumerate(calls) if name.startswith("axptr_lock_"))
        last = max((i for i, name in enumerate(calls) if name == "axptr_unlock"), default=-1)
        if any(name == "realloc" and not first < i < last for i, name in enumerate(calls)):
            yield node.name


@pytest.mark.parametrize("path", CORE, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_takes_the_lock_reallocates_under_it(path: Path) -> None:
    """The engines of a space are walked without the GIL: their list must not move beside the lock."""
    assert list(unguarded(path.read_text())) == []


def test_the_reader_sees_a_list_that_moves_beside_the_lock() -> None:
    good = "def attach_engine(self):\n    axptr_lock_gil(l)\n    x = realloc(a, b)\n    axptr_unlock(l)\n"
    early = "def attach_engine(self):\n    x = realloc(a, b)\n    axptr_lock_gil(l)\n    axptr_unlock(l)\n"
    late = "def attach_engine(self):\n    axptr_lock_gil(l)\n    axptr_unlock(l)\n    x = realloc(a, b)\n"
    assert [list(unguarded(source)) for source in (good, early, late)] == [[], ["attach_engine"], ["attach_engine"]]
    guest = (ROOT / "_core" / "mm" / "guest.py").read_text()
    assert "attach_engine" in guest
    assert "realloc" in guest


# -- the glossary ---------------------------------------------------------------------------------------------------

GLOSSARY = ROOT.parent.parent / "docs" / "glossary.md"


@pytest.mark.skipif(not GLOSSARY.exists(), reason="an installed package has no docs")
def test_the_glossary_names_files_and_functions_that_are_there() -> None:
    text = GLOSSARY.read_text()
    rows = re.findall(r"^\| (?!word|---)(.+?) \| .+ \| (.+?) \|$", text, re.MULTILINE)
    assert len(rows) > 40
    core = "\n".join(path.read_text() for path in CORE)
    for word, where in rows:
        for place in re.findall(r"`([^`]+)`", where):
            if "/" in place or place.endswith(".py"):
                assert (ROOT / place).exists(), f"{word}: {place}"
            else:
                name = place.rpartition(".")[2]
                assert f"def {name}(" in core or name in (ROOT / "_core/mm/mmu.pxd").read_text(), f"{word}: {place}"
