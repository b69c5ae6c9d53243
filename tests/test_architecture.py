"""What CONTRIBUTING.md and docs/architecture.md say of the tree is so: every module has its room, no path is dead."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src/axptr"
PATH = re.compile(r"`([\w./]+(?:\.py|\.pxd|/))(?::(\w+))?`")

if not SOURCE.exists():
    pytest.skip("tests of an installed package, without its sources", allow_module_level=True)


def cells(text: str, header: str) -> list[list[str]]:
    """The rows of the table of Markdown under this first line."""
    body = text.split(header + "\n", 1)[1].split("\n\n", 1)[0].splitlines()[1:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in body]


def test_the_table_of_contributing_names_every_module_once_and_no_other() -> None:
    told = {
        f"{room.strip('`').removeprefix('./')}{module}.py"
        for room, modules, _ in cells((ROOT / "CONTRIBUTING.md").read_text(), "| room | modules | what |")
        for module in modules.split()
    }
    there = {str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py") if path.name != "__init__.py"}
    assert sorted(there - told) == [], "add these to the table of CONTRIBUTING.md"
    assert sorted(told - there) == [], "CONTRIBUTING.md names what is not there"


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_every_path_that_is_named_is_there(page: str) -> None:
    named = PATH.findall((ROOT / page).read_text())
    dead = []
    for path, name in named:
        at = next((place for place in (SOURCE / path, SOURCE / "linux" / path, ROOT / path) if place.exists()), None)
        if at is None or (name and not re.search(rf"\b{name}\b", at.read_text())):
            dead.append(f"{path}:{name}" if name else path)
    assert dead == []
    assert len(named) > 10


def test_a_newcomer_has_ten_answers_of_one_hop_each() -> None:
    rows = cells((ROOT / "docs/architecture.md").read_text(), "| question | answer | where |")
    assert len(rows) >= 10
    for question, answer, where in rows:
        assert question.endswith("?")
        assert answer
        assert PATH.search(where), question


def test_a_life_is_told_in_ten_lines_with_its_files() -> None:
    parts = re.split(r"^## ", (ROOT / "docs/architecture.md").read_text(), flags=re.MULTILINE)
    lives = {part.splitlines()[0]: part for part in parts if part.startswith("The life of")}
    assert len(lives) == 4
    for title, part in lives.items():
        assert len(re.findall(r"^\d+\. ", part, re.MULTILINE)) <= 10, title
        assert len(PATH.findall(part)) >= 4, title
