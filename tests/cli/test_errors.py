"""Programs that cannot be run, command lines without sense: one clear line, and a shell's exit status."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

import pytest

from .conftest import ENVIRONMENT, run_axptr


def one_line(stderr: bytes) -> str:
    lines = stderr.decode().splitlines()
    assert len(lines) == 1, stderr.decode()
    assert lines[0].startswith("axptr")
    return lines[0]


def elf_header(machine: int = 62, bits: int = 2, kind: int = 2, order: int = 1) -> bytes:
    """The first 64 bytes of an executable with one program header that is not there."""
    ident = b"\x7fELF" + bytes([bits, order, 1]) + bytes(9)
    word = "little" if order == 1 else "big"
    fields = kind.to_bytes(2, word) + machine.to_bytes(2, word) + (1).to_bytes(4, word)
    fields += (0x401000).to_bytes(8, word) + (64).to_bytes(8, word) + bytes(8) + bytes(4)
    return ident + fields + b"".join(n.to_bytes(2, word) for n in (64, 56, 1, 64, 0, 0))


def executable(path: Path, contents: bytes) -> Path:
    path.write_bytes(contents)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("name", ["/nowhere/at/all", "no-such-program-in-the-path", "/bin/echo/more"])
def test_missing_program_gives_127_or_126_for_a_file_used_as_directory(name: str) -> None:
    done = run_axptr("run", "--", name)
    assert done.returncode == (126 if name == "/bin/echo/more" else 127)
    assert name in one_line(done.stderr)
    assert done.stdout == b""


def test_directory_gives_126(tmp_path: Path) -> None:
    done = run_axptr("run", "--", tmp_path)
    assert done.returncode == 126
    assert str(tmp_path) in one_line(done.stderr)


def test_empty_name_gives_127() -> None:
    done = run_axptr("run", "--", "")
    assert done.returncode == 127
    one_line(done.stderr)


@pytest.mark.parametrize(
    "contents",
    [
        pytest.param(b"", id="empty file"),
        pytest.param(b"just text, no interpreter named\n", id="text"),
        pytest.param(b"#!\n", id="empty interpreter"),
        pytest.param(b"#!/nowhere/interpreter\n", id="interpreter that is missing"),
        pytest.param(b"#!/tmp\n", id="interpreter that is a directory"),
        pytest.param(b"\x7fELF", id="four bytes"),
        pytest.param(elf_header()[:40], id="half a header"),
        pytest.param(elf_header(), id="program headers past the end"),
        pytest.param(elf_header(machine=183), id="AArch64"),
        pytest.param(elf_header(machine=243), id="RISC-V"),
        pytest.param(elf_header(machine=3, bits=1), id="32 bits"),
        pytest.param(elf_header(machine=22, order=2), id="big-endian"),
        pytest.param(elf_header(kind=1), id="object file"),
        pytest.param(elf_header(kind=4), id="core dump"),
    ],
)
def test_what_is_no_program_gives_126_or_127(tmp_path: Path, contents: bytes) -> None:
    program = executable(tmp_path / "program", contents)
    done = run_axptr("run", "--", program)
    assert done.returncode in (126, 127), done
    assert done.returncode == (127 if b"nowhere" in contents else 126)
    assert str(program if contents != b"#!/tmp\n" else "/tmp") in one_line(done.stderr)


def test_a_program_that_cannot_be_mapped_dies_as_on_the_host_and_says_why(tmp_path: Path) -> None:
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, 100, 10, 4096)
    program = executable(tmp_path / "program", elf_header() + load)
    assert subprocess.run([program]).returncode == -11
    done = run_axptr("run", "--", program)
    assert done.returncode == 128 + 11
    assert "died of signal 11 (SIGSEGV): ELF file with a segment" in done.stderr.decode().splitlines()[0]


def test_truncated_program_gives_126_wherever_it_is_cut(tmp_path: Path) -> None:
    whole = Path("/bin/true").read_bytes()
    for size in (16, 63, 64, 100, 600):
        done = run_axptr("run", "--", executable(tmp_path / f"cut{size}", whole[:size]))
        assert done.returncode == 126, (size, done)
        one_line(done.stderr)


def test_program_cut_after_its_headers_ends_as_on_the_host(tmp_path: Path) -> None:
    """The kernel maps such a file all the same; the program dies of SIGBUS or SIGSEGV once it runs."""
    whole = Path("/bin/true").read_bytes()
    done = run_axptr("run", "--", executable(tmp_path / "cut", whole[:5000]))
    assert done.returncode in (126, 128 + 7, 128 + 11), done


def test_file_without_execute_permission_gives_126(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(0o644)
    done = run_axptr("run", "--", program)
    assert done.returncode == 126
    assert re.search("ermission", one_line(done.stderr))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "no command"),
        (["walk"], "walk"),
        (["run"], "which program"),
        (["run", "--"], "which program"),
        (["run", "--nonsense", "--", "/bin/true"], "--nonsense"),
        (["run", "--memory-limit", "lots", "--", "/bin/true"], "--memory-limit"),
        (["run", "--memory-limit", "0", "--", "/bin/true"], "--memory-limit"),
        (["run", "--memory-limit"], "--memory-limit"),
        (["run", "--timeout", "soon", "--", "/bin/true"], "--timeout"),
        (["run", "--timeout", "-1", "--", "/bin/true"], "--timeout"),
        (["run", "--timeout", "nan", "--", "/bin/true"], "--timeout"),
        (["run", "--env", "NAME", "--", "/bin/true"], "--env"),
        (["run", "--env", "=x", "--", "/bin/true"], "--env"),
        (["run", "--allow-write", "/nowhere", "--", "/bin/true"], "/nowhere"),
        (["run", "--output", "/nowhere/trace", "--strace", "--", "/bin/true"], "/nowhere/trace"),
    ],
)
def test_wrong_command_line_is_one_line_and_125(arguments: list[str], says: str) -> None:
    done = run_axptr(*arguments)
    assert done.returncode == 125
    assert says in one_line(done.stderr)
    assert done.stdout == b""


def test_without_the_engine_one_line_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        "found = PathFinder.find_spec\n"
        "class Blind:\n"
        "    find_spec = staticmethod(lambda name, *more: None if name == 'unicorn' else found(name, *more))\n"
        "sys.meta_path[sys.meta_path.index(PathFinder)] = Blind\n"
    )
    options = "--engine", "unicorn"
    done = run_axptr("run", *options, "--", "/bin/true", env={**ENVIRONMENT, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 125
    assert "pip install 'axptr[run]'" in one_line(done.stderr)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_help_and_version_go_to_standard_output(arguments: list[str]) -> None:
    done = run_axptr(*arguments)
    assert done.returncode == 0
    assert done.stderr == b""
    assert done.stdout.startswith((b"usage: axptr", b"axptr 0."))
