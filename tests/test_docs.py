"""The code in the documentation runs: every Python block of a page, in order, in one namespace."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import axptr
import axptr.debug
import axptr.engine
import axptr.kernel
import axptr.linux

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TEXT = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md", "docs/snapshots.md"])
def test_python_blocks_of_a_page_run_top_to_bottom(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / page).read_text()
    blocks = BLOCK.findall(text)
    assert blocks
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), namespace)
    namespace.clear()  # functions hold it, areas hold a pager's function, and no garbage collector sees that
    if page == "README.md":
        shown = re.search(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        assert shown is not None
        assert shown.group(1) in capsys.readouterr().out


ALONE = [
    "docs/index.md",
    "docs/tutorial.md",
    "docs/sandbox.md",
    *sorted(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/howto/*.md")),
]


@pytest.mark.parametrize("page", ALONE)
def test_a_page_for_users_works_in_an_empty_directory_and_prints_what_it_says(page: str, tmp_path: Path) -> None:
    text = (ROOT / page).read_text()
    (tmp_path / "page.py").write_text("\n".join(BLOCK.findall(text)))
    command = [sys.executable, "-W", "error", "page.py"]
    done = subprocess.run(command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=500)
    assert (done.returncode, done.stderr) == (0, "")
    for shown in TEXT.findall(text):
        assert shown in done.stdout


def test_every_public_name_is_in_the_reference() -> None:
    pages = "".join(page.read_text() for page in ROOT.glob("docs/api/*.md"))
    named = {name.rpartition(".")[2] for name in re.findall(r"^\.\. auto\w+:: (\S+)$", pages, re.MULTILINE)}
    for module in axptr, axptr.debug, axptr.engine, axptr.kernel, axptr.linux, axptr.sandbox:
        for name in module.__all__:
            if (
                getattr(getattr(module, name), "__name__", None) == name
            ):  # a class or function, and no other name of one
                assert name in named


def test_ci_runs_the_two_commands_that_the_readme_names() -> None:
    commands = re.findall(r"^\$ (.*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert commands[0].endswith("axptr run -- /bin/echo hello")
    assert "pytest" in commands[1]
    assert "sed -n '/^```console$/,/^```$/s/^\\$ //p' README.md | head -2" in (ROOT / ".ci/run").read_text()


def test_the_links_of_the_readme_lead_somewhere_outside_the_repository_too() -> None:
    text = (ROOT / "README.md").read_text()
    source = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Source"]
    assert not re.search(r"\]\((?!https://)[a-zA-Z./]", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    links = dict(re.findall(r"^\[([^\]]+)\]: (\S+)$", text, re.MULTILINE))
    assert set(re.findall(r"\[([^\]]+\.md|[^\]]+/)\]", text)) == set(links)
    for name, link in links.items():
        assert re.fullmatch(rf"{source}/(blob|tree)/main/{name.rstrip('/')}", link)
        assert (ROOT / name).exists()
