"""What a handler is told of an exception of the CPU, as on the host: signal, si_code, si_addr, trap and error, rip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import engines
from engines import BOTH

from ..conftest import run_guest, run_host

ENGINES = BOTH
TRAPS = {
    "int3": "90cc",
    "int 3": "90cd03",
    "int1": "90f1",
    "int 0x2d": "90cd2d",
    "int 0": "cd00",
    "int 4": "cd04",
    "int 13": "cd0d",
    "hlt": "90f4",
    "in, out": "ec",
    "out": "e680",
    "cli": "fa",
    "rdmsr": "0f32",
    "ud0": "0fffc0",
    "ud1": "0fb9c0",
    "ud2": "0f0b",
    "into": "ce",
    "pop with a digit": "8fc8",
    "lock mov": "f0488907",
    "lock nop": "f090",
    "lock add of a register": "f001c0",
    "divide by zero": "90f7f1",
    "quotient too large": "ba02000000b901000000f7f1",
    "trap flag": "9c810c24000100009d9090",
    "trap flag and a system call": "9c810c24000100009db8270000000f0590",
    "mov es, 0x2b": "b82b0000008ec0c3",
    "mov ds, 0x33": "b8330000008ed8c3",
    "mov gs, 3": "b8030000008ee8c3",
    "mov ss, 0x2b": "b82b0000008ed0c3",
    "mov es, 0x10": "b8100000008ec0",
    "mov es, 0x1234": "b8341200008ec0",
    "mov ss, 0": "31c08ed0",
    "mov ss, 0x33": "b8330000008ed0",
    "mov cs": "8ec8",
    "mov es from memory": "66c7072b008e07c3",
    "mov es from a hole": "8e0425000000008ec0",
    "pop gs of a bad selector": "6a100fa9",
    "load, not canonical": "488b06",
    "store, not canonical": "488906",
    "add, not canonical": "480106",
    "load by rbp, not canonical": "4889f5488b4500",
    "load by rsp, not canonical": "4889e54889f4488b04244889ec",
    "load by r13, not canonical": "4989f5498b4500",
    "push by rsp, not canonical": "4889e54889f450",
    "pop by rsp, not canonical": "4889e54889f458",
    "ret by rsp, not canonical": "4889e54889f4c3",
    "leave, not canonical": "4889f5c9",
    "push of what is not canonical": "ff36",
    "load by fs and rbp, not canonical": "4889f564488b4500",
    "movs, not canonical": "4887fea4",
    "load from a hole": "488b0425100000000f",
    "store to a hole": "488904251000000000",
    "inc in a hole": "ff042510000000",
    "cmp in a hole": "833c251000000000",
    "store to a constant": "48890390",
    "inc of a constant": "ff03",
    "lock add to a constant": "f00103",
    "cmpxchg of a constant": "0fb10b",
    "xadd of a constant": "0fc10b",
    "load of a kernel's address": "48b8000000000080ffff488b00",
    "jump to data": "ffe7",
    "jump into a hole": "b810000000ffe0",
    "ret to what is not canonical": "90ff7740c3",
    "rep ret to what is not canonical": "90ff7740f3c3",
    "ret n to what is not canonical": "6a0090ff7740c20800",
    "jump by register to what is not canonical": "90ffe6",
    "jump by r12 to what is not canonical": "4989f441ffe4",
    "call by register of what is not canonical": "90ffd6",
    "jump by memory to what is not canonical": "ff6740",
    "call by memory of what is not canonical": "b801000000ff54c738",
    "jump by stack to what is not canonical": "ff7740ff2424",
    "ret to what is not canonical after a system call": "ff7740b8270000000f05c3",
    "ldmxcsr of reserved bits": "0fae5750",
    "fxrstor of a misaligned image": "0fae4f01",
    "cmpxchg16b, misaligned": "480fc74f08",
    "f6 /1": "f6c801c3",
    "x87 divide by zero": "d93f668127fbffd92fd9e8d9eedef99bdbe3c3",
}
# What the host's CPU may have and ours has not.
MISSING = {
    "vaddps": "c5f058c2",
    "andn": "c4e270f2c0",
    "evex": "62f17c4858c2",
    "vmovaps from a hole": "c5f828042510000000",
}

# Opcodes of SSE behind 0x0F, with an operand in memory, by what stands before them. What the host may have and our CPU
# has not (SHA, GFNI) is not among them.
_MAPS = {
    "": "10-17 28-29 2a-2f 51-5f c2 c6 ae",
    "66": "10-17 28-29 2a-2f 51 54-76 7c-7f c2 c4 c6 d0-d6 d8-f6 f8-fe",
    "f2": "10-12 2a 2c 2d 51 58-5a 5c-5f 70 7c 7d c2 d0 e6 f0",
    "f3": "10-12 16 2a 2c 2d 51-53 58-5f 6f 70 7e 7f c2 e6",
    "66 38": "00-0b 10 14 15 17 1c-1e 20-25 28-2b 30-35 37-41 db-df",
    "66 3a": "08-0f 14-17 20-22 40-42 44 60-63 df",
}


def _operands() -> dict[str, str]:
    """Code that reads or writes 16 bytes, 8, or fewer, behind itself, at a multiple of 16 and not: relative to rip."""
    found = {}
    for where, opcodes in _MAPS.items():
        prefix, _, page = where.partition(" ")
        for opcode in (o for part in opcodes.split() for o in range(int(part[:2], 16), int(part[-2:], 16) + 1)):
            if page == "" and 0x71 <= opcode <= 0x73:  # of registers only
                continue
            constant = "00" if page == "3a" or (page == "" and opcode in (0x70, 0xC2, 0xC4, 0xC6)) else ""
            head = f"{prefix}0f{page}{opcode:02x}"
            for rex in ("", "44") if opcode in (0x28, 0x6F, 0xC2) else ("",):
                start = prefix + rex + head[len(prefix) :] + "05"
                size = (len(start) + len(constant)) // 2 + 4
                for target in (0x800, 0x808, 0x801):
                    code = start + (target - size).to_bytes(4, "little").hex() + constant + "c3"
                    found[f"{start}{constant} {target:#x}"] = code
    return found


# Absolute ones, in the hole below the programs, and others that only look like them.
ABSOLUTE = {
    "movaps, absolute": "0f28042508000000",
    "movaps, absolute and even": "0f28042510000000",
    "movaps, absolute and 32 bits": "670f28042508000000",
    "movaps, relative to eip": "670f2805f0070000c3",
    "movaps, with an index that makes it even": "ba080000000f28041508000000",
    "movaps, with r12 for such an index": "ba080000004989d4420f28042508000000",
    "movups, absolute": "0f10042508000000",
    "paddd, absolute": "660ffe042501000000",
    "pshufd, absolute": "660f7004250100000000",
    "fxsave, absolute": "0fae042508000000",
    "fxsave64, absolute": "480fae042508000000",
    "movaps behind a jump": "eb000f2805010000000fc3",
    "movaps, not reached": "c30f280501000000",
}


_TOLD: dict[str, dict[str, tuple[str, str]]] = {}


@pytest.fixture
def told(compile_guest: Callable[..., Path], engine_name: str) -> dict[str, tuple[str, str]]:
    """What each piece of code leads to: on the host, here; asked once for each engine."""
    if engine_name not in _TOLD:
        program = compile_guest("traps")
        codes = list(TRAPS.values())
        host, ours = run_host(program, *codes), run_guest(program, *codes)
        assert (host.status, ours.status) == (0, 0), (host, ours)
        assert len(host.lines) == len(codes)
        _TOLD[engine_name] = {n: pair for n, *pair in zip(TRAPS, host.lines, ours.lines, strict=True)}  # type: ignore
    return _TOLD[engine_name]


@pytest.mark.parametrize("name", TRAPS)
def test_handler_is_told_what_it_is_told_on_the_host(told: dict[str, tuple[str, str]], name: str) -> None:
    host, ours = told[name]
    assert ours == host


def test_misaligned_operand_that_the_instruction_names_is_refused_where_the_host_refuses_it(
    compile_guest: Callable[..., Path],
) -> None:
    program, codes = compile_guest("traps"), {**_operands(), **ABSOLUTE}
    host, ours = run_host(program, *codes.values()), run_guest(program, *codes.values())
    assert (host.status, ours.status) == (0, 0), (host, ours)
    told = zip(codes, host.lines, ours.lines, strict=True)
    assert [(name, here) for name, there, here in told if here != there] == []
    assert 100 < sum("trap 13" in line for line in host.lines) < len(codes) * 2 // 3


@pytest.mark.parametrize("code", MISSING.values(), ids=MISSING.keys())
def test_instruction_that_the_cpu_says_it_lacks_is_like_any_undefined_one(
    compile_guest: Callable[..., Path], code: str
) -> None:
    program = compile_guest("traps")
    ours, undefined = run_guest(program, "90" + code), run_host(program, "900f0b")
    assert ours.lines[0].split(": ")[1] == undefined.lines[0].split(": ")[1]


KEYS = """
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static char *page;

static void handler(int signal, siginfo_t *info, void *context)
{
    printf("signal %d code %d address %ld\\n", signal, info->si_code, (long)((char *)info->si_addr - page));
    fflush(stdout);
    _exit(1);
}

int main(int argc, char **argv)
{
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
    unsigned taken = atoi(argv[1]);
    page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    page[8] = 1;
    sigaction(SIGSEGV, &action, 0);
    if (argv[2][0] == 'w')
        __asm__ volatile("wrpkru; movb $1, 8(%3); xor %%eax, %%eax; wrpkru"
            : "+a"(taken) : "c"(0), "d"(0), "r"(page) : "memory");
    else
        __asm__ volatile("wrpkru; movb 8(%3), %%al; xor %%eax, %%eax; wrpkru"
            : "+a"(taken) : "c"(0), "d"(0), "r"(page) : "memory");
    puts("went on");
    return 0;
}
"""


@pytest.mark.skipif(engines.missing("native") is not None, reason="needs the native engine")
@pytest.mark.skipif(" ospke" not in Path("/proc/cpuinfo").read_text(), reason="this CPU has no protection keys")
@pytest.mark.parametrize(
    "taken", ["0", "1", "2", "3"]
)  # of key 0, which all pages have: 1: all rights, 2: that to write
@pytest.mark.parametrize("access", ["read", "write"])
def test_rights_that_a_program_takes_from_its_own_protection_key_are_a_fault_of_their_own(
    compile_guest: Callable[..., Path], taken: str, access: str
) -> None:
    """Not one that bringing the page mends: a guest that did so was let run into it again, for ever."""
    program = compile_guest("keys", source=KEYS)
    host, ours = run_host(program, taken, access), run_guest(program, taken, access, engine="native", timeout=20)
    assert (ours.lines, ours.status) == (host.lines, host.status)
    refused = taken in ("1", "3") or (taken, access) == ("2", "write")
    assert host.lines == ["signal 11 code 4 address 8" if refused else "went on"]
