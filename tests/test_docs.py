"""The code in the documentation runs: every Python block of a page, in order, in one namespace."""

from __future__ import annotations

import os
import re
import shutil
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


TOGETHER = ["README.md", "docs/guide.md", "docs/snapshots.md"]


@pytest.mark.parametrize("page", TOGETHER)
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
    "docs/running-programs.md",
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


def test_no_page_with_code_is_forgotten() -> None:
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    assert {str(page.relative_to(ROOT)) for page in pages if BLOCK.search(page.read_text())} == {*TOGETHER, *ALONE}


# -- commands

CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = {
    "words": "apple\n",
    "program": "#!/bin/sh\ncat /etc/hostname > /dev/null\n",
    "tests": "#!/bin/sh\necho tested\n",
    "Makefile": "all:\n\t@echo made\n",
}
CRASH = "int main(void) { return *(volatile int *)0; }"
RUN = {
    "axptr run -- /bin/echo hello": ["^hello$"],
    "axptr run --overlay-diff -- sed -i s/apple/fig/ words": ["^C HERE/words$"],
    "cat words": ["^apple$"],
    "axptr run --strace -- /bin/cat /etc/hostname": [
        r'^openat\(AT_FDCWD, "/etc/hostname", O_RDONLY\) = 3$',
        r"^exit_group\(0\) += \?$",
        r"^\+\+\+ exited with 0 \+\+\+$",
    ],
    "axptr run -e %process -T -- /bin/sh -c '(exit 3); sleep 1'": [r"exited with 3", r"wait4.*<\d+\.\d+>$"],
    "axptr run -c -- /usr/bin/find /etc": ["^/etc/passwd$", "calls.*syscall"],
    "axptr run --status -- make": ["^made$"],
    "axptr run -- ./crash; echo $?": [
        r"^axptr: the program died of signal 11 \(SIGSEGV\): read at 0x0: page 0x0 is not mapped",
        "  registers",
        "  areas near",
        "^139$",
    ],
    "axptr run --learn rules.toml --overlay -- ./program": [],
    "axptr run --policy rules.toml --audit calls.jsonl --overlay -- ./program": [],
    "axptr run --overlay --timeout 60 --memory-limit 1G -- sh -c 'make -j2 && ./tests'": ["^made$", "^tested$"],
}
"""Commands of the pages, and what each prints, by line, HERE standing for the directory that it runs in."""
NOT_RUN = {
    "pip install": "needs a registry; .ci/dist installs the wheel that was built",
    "python3 -m venv": "the two commands of the README, which .ci/run runs as they stand",
    ".venv/bin/pip install": "the same",
    "python -m venv": "the same",
    "/tmp/qiling": "another project's program",
    "AXPTR_QILING_PYTHON": "the same",
    "python -m bench": "takes minutes; .ci/run has the short one",
}


def commands(page: str) -> list[str]:
    lines = "\n".join(CONSOLE.findall((ROOT / page).read_text())).splitlines()
    return [re.sub(r"\s+#.*", "", line[2:]) for line in lines if line.startswith("$ ")]


PAGES = ["README.md", *sorted(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/**/*.md"))]


def test_every_command_of_a_page_is_run_or_it_is_said_why_not() -> None:
    found = {command for page in PAGES for command in commands(page)}
    assert {command for command in found if not command.startswith(tuple(NOT_RUN))} == set(RUN)
    assert all(any(command.startswith(start) for command in found) for start in NOT_RUN)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", ["README.md", "docs/running-programs.md", "docs/sandbox.md"])
def test_the_commands_of_a_page_do_what_it_says(page: str, tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "crash.c").write_text(CRASH)
    for tool in ("make", "gcc"):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool}")
    if any("./crash" in command for command in commands(page)):
        subprocess.run(["gcc", "-o", "crash", "crash.c"], cwd=tmp_path, check=True)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command in commands(page):
        if command not in RUN:
            continue
        done = subprocess.run(
            ["sh", "-c", command], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=500,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode == 0, (command, said)
        for line in RUN[command]:
            assert re.search(line.replace("HERE", re.escape(str(tmp_path))), said, re.MULTILINE), (command, line, said)


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
