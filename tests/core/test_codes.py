"""`_core/words/codes`: numbers that the core and Python share are written there and nowhere else."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

import axptr
from axptr import MappingFlags
from axptr._core.words import codes
from axptr.addr import PAGE_SHIFT, PAGE_SIZE
from axptr.errors import FaultReason
from axptr.mm.area import CLONE_RULES
from axptr.mm.fault import REASONS

ROOT = Path(axptr.__file__).parent
TABLE = ROOT / "_core" / "words" / "codes.pxd"
WRITTEN = {
    name: int(value, 0) for name, value in re.findall(r"^    ([A-Z_]+) = (\w+)", TABLE.read_text(), re.MULTILINE)
}
DECLARATIONS = [path for path in ROOT.rglob("*.pxd") if path != TABLE]
SOURCES = [path for path in ROOT.rglob("*.py") if path.name != "codes.py"]


def test_python_has_every_number_of_the_table_as_a_plain_int() -> None:
    found = {name: value for name, value in vars(codes).items() if not name.startswith("_")}
    assert found == WRITTEN
    assert all(type(value) is int for value in found.values())


def test_the_stub_names_what_the_table_has() -> None:
    stub = TABLE.with_suffix(".pyi").read_text()
    assert re.findall(r"^(\w+): int$", stub, re.MULTILINE) == list(WRITTEN)


def is_number(node: ast.expr) -> bool:
    """Whether an expression is made of numbers alone: `1 << 12`, `32 * 4096`."""
    parts = {type(part) for part in ast.walk(node)}
    return ast.Constant in parts and not parts & {ast.Name, ast.Attribute, ast.Call, ast.JoinedStr}


def second_writings(source: str) -> Iterator[str]:
    """Names of the table that a Python source gives a value made of numbers (also `_NAME`, and in a tuple)."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value] * len(names)
            for name, value in zip(names, values, strict=False):
                counted = isinstance(value, ast.Call) and "range" in ast.dump(value.func)
                ours = isinstance(name, ast.Name) and name.id.lstrip("_") in WRITTEN
                if ours and (counted or is_number(value)):
                    yield name.id


def test_the_reader_sees_a_second_writing() -> None:
    assert list(second_writings("_FAULT_NOMEM = 6")) == ["_FAULT_NOMEM"]
    assert list(second_writings("_KIND_PAGER, _KIND_MMIO = 3, 4")) == ["_KIND_PAGER", "_KIND_MMIO"]
    assert list(second_writings("_KIND_ALLOC, _KIND_LINEAR = range(2)")) == ["_KIND_ALLOC", "_KIND_LINEAR"]
    assert list(second_writings("PAGE_SIZE = 1 << 12")) == ["PAGE_SIZE"]
    assert list(second_writings("READ = codes.READ\nWRITE = MappingFlags.WRITE")) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_source_writes_a_number_of_the_table_again(path: Path) -> None:
    assert list(second_writings(path.read_text())) == []


@pytest.mark.parametrize("path", DECLARATIONS, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_declaration_has_a_name_of_the_table(path: Path) -> None:
    named = re.findall(r"^\s+([A-Z_]+)(?: =|\s*#|\s*$)", path.read_text(), re.MULTILINE)
    assert not set(named) & set(WRITTEN)


def bare(source: str) -> Iterator[str]:
    """Lines of code with the size of a page, the bits inside it or its shift as a number."""
    lines = source.splitlines()
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type != tokenize.NL]
    for before, token in pairwise(tokens):
        if token.type != tokenize.NUMBER:
            continue
        value = ast.literal_eval(token.string)
        if value in (0xFFF, 4096) or (value == 12 and before.string in ("<<", ">>", "<<=", ">>=")):
            yield lines[token.start[0] - 1].strip()


def test_the_reader_sees_a_bare_page() -> None:
    assert list(bare("a = b << 12\nc = 12\nd = e & 0xFFF\nf = 4096  # 4096\n")) == [
        "a = b << 12",
        "d = e & 0xFFF",
        "f = 4096  # 4096",
    ]


@pytest.mark.parametrize("room", ["words", "phys", "paging", "mm", "pointers"])
def test_the_core_writes_pages_with_their_names(room: str) -> None:
    """But for counts that only happen to be 4096: those are named."""
    counts = {"_MOST_REPEATS", "_MOST_RUNS", "_PAGES_AT_ONCE", "_SHORT_OF_FRAMES", "_most_shift"}
    for path in (ROOT / "_core" / room).glob("*.py"):
        assert not {line.partition(" = ")[0] for line in bare(path.read_text())} - counts, path


def test_flags_and_pages_are_those_of_the_table() -> None:
    assert {flag.name: flag.value for flag in MappingFlags} == {
        name: getattr(codes, name) for name in ("READ", "WRITE", "EXECUTE", "USER", "DEVICE", "UNCACHED")
    }
    assert codes.ACCESS == MappingFlags.READ | MappingFlags.WRITE | MappingFlags.EXECUTE
    assert codes.MEMORY_TYPE == MappingFlags.DEVICE | MappingFlags.UNCACHED
    assert (PAGE_SHIFT, PAGE_SIZE) == (codes.PAGE_SHIFT, codes.PAGE_SIZE) == (12, 1 << 12)
    assert codes.IN_PAGE == PAGE_SIZE - 1


def test_sums_in_the_table_are_sums() -> None:
    traits = [value for name, value in WRITTEN.items() if name.startswith("TRAIT_")]
    assert sum(traits) == codes.TRAITS
    assert codes.TRAITS_OF_CLONES == codes.TRAIT_OMIT | codes.TRAIT_WIPE
    assert [CLONE_RULES[bits] for bits in (0, codes.TRAIT_OMIT, codes.TRAIT_WIPE)] == ["copy", "omit", "wipe"]
    assert codes.GUARD_GAP == 256 * PAGE_SIZE
    assert codes.MAX_RW_COUNT == 0x7FFF_FFFF & -PAGE_SIZE


def test_every_reason_of_a_fault_has_one_code() -> None:
    """ABSENT is said by memories that are no space."""
    assert set(REASONS.values()) == set(FaultReason) - {FaultReason.ABSENT}
    assert len(set(REASONS)) == len(REASONS.values())
