"""Finding and loading programs: scripts, hostile ELF files, and the one clear line for each failure."""

from __future__ import annotations

import errno
import os
import random
import struct
from contextlib import suppress
from pathlib import Path

import pytest

from axptr.linux import ProgramError, create_process
from axptr.linux.fs.host.tree import file_of
from axptr.linux.load.elf import BadElf, Elf

from ..conftest import run_guest, run_host

EXECUTABLE = 0o755


def write(path: Path, content: bytes, mode: int = EXECUTABLE) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def failure(program: Path | str, *args: str) -> ProgramError:
    with pytest.raises(ProgramError) as caught:
        create_process(os.fspath(program), [os.fspath(program), *args]).close()
    assert "\n" not in str(caught.value)
    assert os.fspath(program) in str(caught.value)
    return caught.value


def phdr(kind: int, flags: int, offset: int, vaddr: int, filesz: int, memsz: int, align: int = 4096) -> bytes:
    return struct.pack("<IIQQQQQQ", kind, flags, offset, vaddr, vaddr, filesz, memsz, align)


def elf(
    *phdrs: bytes,
    entry: int = 0x401000,
    kind: int = 2,
    machine: int = 62,
    bits: int = 2,
    order: int = 1,
    phoff: int = 64,
    phentsize: int = 56,
    phnum: int | None = None,
    body: bytes = b"",
) -> bytes:
    ident = b"\x7fELF" + bytes([bits, order, 1]) + bytes(9)
    count = len(phdrs) if phnum is None else phnum
    head = struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, entry, phoff, 0, 0, 64, phentsize, count, 0, 0, 0)
    return ident + head + b"".join(phdrs) + body


EXIT_7 = bytes.fromhex("b83c000000bf070000000f05")  # mov eax, 60; mov edi, 7; syscall
TINY = elf(phdr(1, 5, 0, 0x400000, 120 + len(EXIT_7), 120 + len(EXIT_7)), entry=0x400078, body=EXIT_7)


def test_a_tiny_program_runs(tmp_path):
    program = write(tmp_path / "tiny", TINY)
    assert run_guest(program).status == run_host(program).status == 7


def test_nothing_there(tmp_path):
    error = failure(tmp_path / "missing")
    assert (error.errno, error.exit_status) == (errno.ENOENT, 127)
    assert failure(tmp_path / "no" / "such" / "directory").exit_status == 127
    assert failure(write(tmp_path / "file", b"x") / "below").exit_status == 126


def test_a_directory(tmp_path):
    error = failure(tmp_path)
    assert (error.errno, error.exit_status) == (errno.EACCES, 126)
    assert "directory" in str(error)


def test_a_file_that_is_not_executable(tmp_path):
    error = failure(write(tmp_path / "plain", TINY, 0o644))
    assert (error.errno, error.exit_status) == (errno.EACCES, 126)


def test_a_fifo_and_a_device(tmp_path):
    os.mkfifo(tmp_path / "fifo", 0o777)
    assert failure(tmp_path / "fifo").errno == errno.EACCES
    assert failure("/dev/null").errno == errno.EACCES


def test_a_text_without_an_interpreter_line(tmp_path):
    error = failure(write(tmp_path / "script", b"echo hello\n"))
    assert (error.errno, error.exit_status) == (errno.ENOEXEC, 126)
    assert failure(write(tmp_path / "empty", b"")).errno == errno.ENOEXEC
    assert failure(write(tmp_path / "blank", b"#!  \nx")).errno == errno.ENOEXEC


def test_an_interpreter_that_is_missing(tmp_path):
    error = failure(write(tmp_path / "script", b"#!/no/such/shell -x\n"))
    assert (error.errno, error.exit_status) == (errno.ENOENT, 127)
    assert "/no/such/shell" in str(error)
    error = failure(write(tmp_path / "prog", elf(phdr(3, 4, 120, 0, 9, 9), body=b"/no/such\0")))
    assert error.errno == errno.ENOENT
    load = phdr(1, 5, 0, 0x400000, 200, 200)
    error = failure(write(tmp_path / "prog2", elf(load, phdr(3, 4, 176, 0, 9, 9), body=b"/no/such\0" + bytes(100))))
    assert (error.errno, error.exit_status) == (errno.ENOENT, 127)
    assert "/no/such" in str(error)


@pytest.mark.parametrize(
    "line", ["#!/bin/sh", "#! /bin/sh", "#!/bin/sh -e", "#!\t/bin/sh \t -e \t", "#!/usr/bin/env sh"]
)
def test_a_script_gets_its_interpreter_its_path_and_its_arguments(tmp_path, line):
    program = write(tmp_path / "script", f'{line}\necho "$0" "$@" "$-"\nexit 9\n'.encode())
    host, ours = run_host(program, "a", "b c"), run_guest(program, "a", "b c")
    assert (ours.stdout, ours.status) == (host.stdout, host.status)


def test_an_interpreter_gets_the_rest_of_the_line_as_one_argument(tmp_path, compile_guest):
    hello = compile_guest("hello", "-static")
    program = write(tmp_path / "script", b"#!%s  one two  three \n" % os.fsencode(hello))
    assert run_guest(program, "last").lines[:4] == run_host(program, "last").lines[:4]
    assert run_guest(program, "last").lines[1] == "argv[1] = one two  three"


def test_scripts_may_nest_but_not_for_ever(tmp_path):
    inner = write(tmp_path / "inner", b'#!/bin/sh\necho inner "$@"\n')
    outer = write(tmp_path / "outer", b"#!%s\n" % os.fsencode(inner))
    assert run_guest(outer, "x").lines == run_host(outer, "x").lines
    loop = tmp_path / "loop"
    write(loop, b"#!%s\n" % os.fsencode(loop))
    assert failure(loop).errno == errno.ELOOP


def test_a_file_cut_short_before_its_headers_end_is_one_clear_line(tmp_path):
    whole = Path("/bin/true").read_bytes()
    for size in [*range(0, 64, 3), 64, 100, 500]:
        error = failure(write(tmp_path / "cut", whole[:size]))
        assert error.errno in (errno.ENOEXEC, errno.EIO), size
        assert error.exit_status == 126


def test_a_file_cut_short_behind_its_headers_runs_as_far_as_on_the_host(tmp_path):
    whole = Path("/bin/true").read_bytes()
    for size in (4096, 5000, len(whole) // 2):
        program = write(tmp_path / "cut", whole[:size])
        assert run_guest(program).status == run_host(program).status, size


OTHERS = {
    "i386": elf(TINY, machine=3, bits=1),
    "AArch64": elf(TINY, machine=183),
    "s390x": elf(machine=0, order=2)[:18] + b"\x00\x16" + bytes(60),
}


@pytest.mark.parametrize("machine", OTHERS)
def test_another_machine_is_named(tmp_path, machine):
    error = failure(write(tmp_path / "other", OTHERS[machine]))
    assert (error.errno, error.exit_status) == (errno.ENOEXEC, 126)
    assert machine in str(error)


LOAD = phdr(1, 5, 0, 0x400000, 120, 120)
HOSTILE = {
    "no program headers": elf(phnum=0),
    "program headers of another size": elf(LOAD, phentsize=32),
    "program headers beyond the end": elf(LOAD, phoff=1 << 40),
    "program headers at the top": elf(LOAD, phoff=(1 << 64) - 8),
    "too many program headers": elf(LOAD, phnum=65535),
    "an object file": elf(LOAD, kind=1),
    "a core dump": elf(LOAD, kind=4),
    "interpreter name without end": elf(LOAD, phdr(3, 4, 0, 0, 4, 4), body=bytes(99)),
    "interpreter name of 5000": elf(LOAD, phdr(3, 4, 0, 0, 5000, 5000), body=bytes(9999)),
    "interpreter name beyond the end": elf(LOAD, phdr(3, 4, 1 << 50, 0, 40, 40), body=bytes(99)),
    "interpreter name at the top": elf(LOAD, phdr(3, 4, (1 << 64) - 2, 0, 40, 40), body=bytes(99)),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused(tmp_path, kind):
    error = failure(write(tmp_path / "hostile", HOSTILE[kind]))
    assert error.exit_status == 126


def test_wild_entry_points_end_in_a_signal(tmp_path):
    for entry in (0, 0x1234, 0x400FFF, (1 << 64) - 1, 0x0000_9000_0000_0000):
        program = write(tmp_path / "wild", elf(LOAD, entry=entry))
        assert run_guest(program).status == run_host(program).status == 128 + 11


def test_random_damage_never_does_worse_than_an_error_or_a_signal(tmp_path, compile_guest):
    """Bytes of the headers are overwritten; whatever becomes of it, nothing but ProgramError or an end comes out."""
    rng = random.Random(20240607)
    sources = [TINY, compile_guest("hello", "-static").read_bytes(), Path("/bin/true").read_bytes()]
    for round_ in range(150):
        image = bytearray(rng.choice(sources))
        for _ in range(rng.randint(1, 12)):
            at = rng.randrange(4, min(len(image), 64 + 56 * 10))
            image[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        program = write(tmp_path / f"damaged{round_ % 2}", bytes(image))
        with suppress(ProgramError):
            assert run_guest(program, timeout=2).result is not None


def test_what_the_headers_say(tmp_path):
    with write(tmp_path / "tiny", TINY).open("rb") as file:
        head = Elf(file_of(file.fileno(), os.O_RDONLY, owned=False))
    assert (head.entry, head.dynamic, head.phoff, head.phnum) == (0x400078, False, 64, 1)
    with write(tmp_path / "text", b"hello").open("rb") as file, pytest.raises(BadElf):
        Elf(file_of(file.fileno(), os.O_RDONLY, owned=False))


def test_an_argument_that_is_too_long_is_e2big():
    with pytest.raises(ProgramError) as caught:
        create_process("/bin/true", ["true", "x" * (33 * 4096)])
    assert caught.value.errno == errno.E2BIG


def test_a_program_that_changes_between_two_runs_runs_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of programs stay for the next process; never those of a file that is not what it was."""
    monkeypatch.setattr("axptr.mm.filecache._OLD", -(1 << 62))  # as if its times were old enough to tell
    script = (
        "cp /bin/echo x; ./x one; ./x two; sleep 0.1; cat /bin/cat >x; echo three | ./x; sleep 0.1; cp /bin/echo y;"
        "mv y x; ./x four; ./x five; sleep 0.1; touch -r /bin/cat x; ./x six; sleep 0.1;"
        "cat /bin/true >x; ./x seven; echo $?"
    )
    done = run_guest("/bin/sh", "-c", script, cwd=tmp_path, allow_write=[tmp_path])
    assert (done.stdout, done.stderr) == (b"one\ntwo\nthree\nfour\nfive\nsix\n0\n", b"")
