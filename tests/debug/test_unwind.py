"""Frames and symbols of programs that stand still: compared with what the programs know of themselves, and with gdb."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from axptr import PAGE_SIZE, AddrSpace, MappingFlags
from axptr.debug import Symbols, backtrace, unwind
from axptr.linux import Tmpfs, create_process
from programs import compiled, shared_directory

# The program notes where each of its calls returns to, as the compiler knows it, and then dies.
DEEP = r"""
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
void *notes[64]; int noted;
#define NOTE() notes[noted++] = __builtin_extract_return_addr(__builtin_return_address(0))
#define KEEP __attribute__((noinline, noclone))
volatile int sink; int *volatile nowhere;
static char other[65536];
KEEP void innermost(void) { NOTE(); *nowhere = 1; sink++; }
KEEP void handler(int number) { innermost(); sink++; }
KEEP int order(const void *a, const void *b) { NOTE(); raise(SIGUSR1); return 0; }
KEEP void sorts(void) { NOTE(); int a[4] = {4, 3, 2, 1}; qsort(a, 4, 4, order); sink = a[0]; }
KEEP int recursive(int n) {
    NOTE();
    volatile char room[100 + n * 16];
    room[n] = n;
    if (n) return recursive(n - 1) + room[n];
    sorts();
    return 1;
}
int main(void) {
    stack_t stack = {.ss_sp = other, .ss_size = sizeof other};
    sigaltstack(&stack, 0);
    struct sigaction action = {.sa_handler = handler, .sa_flags = ONSTACK};
    sigaction(SIGUSR1, &action, 0);
    sink = recursive(5);
    return 0;
}
"""
WAYS = {
    "optimized": ("-O2", "-DONSTACK=0"),
    "unoptimized": ("-O0", "-DONSTACK=0"),
    "other stack": ("-O2", "-DONSTACK=SA_ONSTACK"),
    "static": ("-O2", "-static", "-DONSTACK=0"),
    "no table": ("-O2", "-DONSTACK=0", "-Wl,--no-eh-frame-hdr"),
    "stripped": ("-O2", "-s", "-DONSTACK=0"),
}


@pytest.fixture
def programs_here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_directory(tmp_path_factory)


@pytest.mark.parametrize("way", WAYS)
def test_every_return_address_that_the_program_notes_is_in_its_backtrace(
    way: str, programs_here: Path, engine_name: str
) -> None:
    program = compiled(programs_here, "deep", DEEP, WAYS[way])
    with create_process(program, engine=engine_name) as process:
        assert process.run(timeout=60).signal == 11
        frames = backtrace(process)
        found = [frame.pc for frame in frames]
        if way == "stripped":
            assert len(found) > 12
            return
        notes = Symbols(process.space).address_of("notes")
        noted = [int.from_bytes(process.space.read(notes + 8 * n, 8), "little") for n in range(9)]
        assert [pc for pc in found if pc in noted] == noted[::-1]  # each once, the innermost first
        assert [frame.location.symbol for frame in frames[:2]] == ["innermost", "handler"]
        assert [frame.signal for frame in frames[:4]] == [False, False, False, True]
        names = [frame.location.symbol for frame in frames if frame.location.file == str(program)]
        assert names[:2] + [name for name in names if name in ("order", "sorts", "recursive", "main", "_start")] == [
            "innermost", "handler", "order", "sorts", *6 * ["recursive"], "main", "_start",
        ]  # fmt: skip


@pytest.mark.skipif(shutil.which("gdb") is None, reason="needs gdb")
def test_frames_are_those_that_gdb_finds(programs_here: Path) -> None:
    program = compiled(programs_here, "deep", DEEP, WAYS["other stack"])
    command = ["gdb", "-nx", "-batch", "-ex", "set debuginfod enabled off", "-ex", "run", "-ex", "bt", str(program)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL).stdout
    theirs = [int(address, 16) for address in re.findall(r"^#\d+ +0x([0-9a-f]+) in", told, re.MULTILINE)]
    if len(theirs) < 10:
        pytest.skip("gdb cannot run programs here")
    with create_process(program) as process:
        process.run(timeout=60)
        ours = [frame.pc for frame in backtrace(process)]
        base = min(area.start for area in process.space.areas() if area.name == str(program))
        mine = {address - base for address in ours if base <= address < base + 0x10000}
    base = min(theirs) & ~0xFFF  # gdb turns the host's random placing off
    assert {a & 0xFFF for a in theirs if a - base < 0x10000} <= {a & 0xFFF for a in mine}


def test_a_call_to_where_nothing_is_is_unwound_by_the_return_address(programs_here: Path) -> None:
    source = "void (*volatile nowhere)(void); int main(void) { nowhere(); return 0; }"
    program = compiled(programs_here, "nowhere", source, ("-O2",))
    with create_process(program) as process:
        assert process.run(timeout=60).signal == 11
        frames = backtrace(process)
        assert [frame.way for frame in frames[:2]] == ["registers", "return address"]
        assert frames[1].location.symbol == "main"


def test_without_rules_the_frame_pointer_leads_on(programs_here: Path) -> None:
    source = (
        "int *nowhere; __attribute__((noinline)) void leaf(void) { *nowhere = 1; } int main(void) { leaf(); return 0; }"
    )
    flags = ("-O0", "-fno-omit-frame-pointer", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables")
    program = compiled(programs_here, "pointers", source, flags)
    with create_process(program) as process:
        assert process.run(timeout=60).signal == 11
        frames = backtrace(process)
        assert [frame.location.symbol for frame in frames[:2]] == ["leaf", "main"]
        assert frames[1].way == "frame pointer"


def test_a_stack_that_leads_in_a_circle_or_nowhere_ends_the_list() -> None:
    space = AddrSpace(PAGE_SIZE, 1 << 40)
    space.map_alloc(0x10000, PAGE_SIZE, MappingFlags.READ | MappingFlags.WRITE | MappingFlags.EXECUTE)
    names = ["rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", *(f"r{n}" for n in range(8, 16)), "rip"]
    for bp, word in [(0x10100, 0x10100), (0x10100, 1 << 63), (0x10FF8, 0), ((1 << 64) - 8, 0), (0, 0)]:
        space.write(0x10100, word.to_bytes(8, "little") + (0x10010).to_bytes(8, "little"))
        registers = dict.fromkeys(names, 0) | {"rip": 0x10000, "rsp": 0x10080, "rbp": bp}
        assert 1 <= len(unwind(space, registers)) < 4


def test_symbols_come_from_the_file_that_is_mapped_not_from_its_name(programs_here: Path, tmp_path: Path) -> None:
    source = "int only_here; int main(void) { __builtin_trap(); }"
    program = compiled(programs_here, "named", source, ("-O1", "-static"))
    tmpfs = Tmpfs()
    script = f"cp {program} /scratch/p && exec /scratch/p"
    with create_process("/bin/sh", ["sh", "-c", script], mounts={"/scratch": tmpfs}) as process:
        assert process.run(timeout=60).signal in (4, 5)
        symbols = Symbols(process.space)
        assert backtrace(process)[0].location.symbol == "main"
        assert symbols.at(symbols.address_of("main")).function == "main"
        assert symbols.address_of("p!only_here") == symbols.address_of("only_here")
        with pytest.raises(LookupError, match="no_such_name"):
            symbols.address_of("no_such_name")
        with pytest.raises(LookupError):
            symbols.address_of("elsewhere!main")
        assert str(symbols.at(8)) == "0x8"


def test_files_that_are_no_elf_files_and_broken_ones_have_no_names(programs_here: Path, tmp_path: Path) -> None:
    good = compiled(programs_here, "deep", DEEP, WAYS["optimized"]).read_bytes()
    for number in range(60):
        data = bytearray(good)
        for at in range(number * 7 % 61, len(data), 61 + number):
            data[at] = (data[at] + number * 31) % 256
        path = tmp_path / f"broken{number}"
        path.write_bytes(good[: number * 50] if number % 3 == 0 else bytes(data))
        if not path.stat().st_size:
            path.write_bytes(b"#!")
        space = AddrSpace(PAGE_SIZE, 1 << 40)
        size = -(-path.stat().st_size // PAGE_SIZE) * PAGE_SIZE
        space.map_file(0x10000, size, MappingFlags.READ | MappingFlags.EXECUTE, path)
        space.map_alloc(0x1000000, PAGE_SIZE, MappingFlags.READ | MappingFlags.WRITE, name="stack")
        symbols = Symbols(space)
        names = ["rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", *(f"r{n}" for n in range(8, 16)), "rip"]
        for address in range(0x10000, 0x10000 + size, 777):
            symbols.at(address)
            unwind(space, dict.fromkeys(names, 0x1000100) | {"rip": address}, 8)


def test_a_task_that_ended_by_itself_has_no_frames() -> None:
    with create_process("/bin/true") as process:
        process.run(timeout=60)
        with pytest.raises(ValueError, match="ended"):
            backtrace(process)
