"""What the scan of a page of code says, and that its decoder finds the lengths that the CPU finds."""

from __future__ import annotations

import random
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from axptr._core import codescan

unicorn = pytest.importorskip("unicorn")
x86 = pytest.importorskip("unicorn.x86_const")

PAGE = 4096
NOP = b"\x90"


def judge(code: bytes, at: int = 0) -> list[int] | None:
    return codescan._judge((NOP * at + code).ljust(PAGE, NOP))


def careful(code: bytes, at: int = 0) -> bool:
    """Whether this code in a page makes that page run in steps."""
    return judge(code, at) is None


@pytest.mark.parametrize(
    ("code", "leaks"),
    [
        ("d8c0", 2),
        ("d9c9", 2),
        ("df f1", 2),
        ("dd37", 1),
        ("8ee0", 1),
        ("8e2f", 1),
        ("660f70c101", 1),
        ("0fc6c101", 1),
        ("660f3a0fc108", 1),
        ("c5f970c101", 1),
        ("c4e3710fc101", 1),
        ("c4e273f0c1", 1),
        ("f20f38f1c0", 1),
    ],
)
def test_straight_run_needs_care_from_the_budget_on(code: str, leaks: int) -> None:
    count = 190 // leaks
    one = bytes.fromhex(code)
    assert not careful(one * count)
    assert careful(one * (count + 1))
    assert careful(one * (count + 1), at=PAGE - (count + 1) * len(one))


@pytest.mark.parametrize("branch", ["eb00", "7500", "0f8400000000", "c3", "e800000000", "ffe0", "ff17", "0f05", "0f0b"])
def test_branches_between_make_many_harmless(branch: str) -> None:
    assert not careful((bytes.fromhex("d8c0") * 80 + bytes.fromhex(branch)) * 15)


def test_operands_that_look_like_leaks_do_not_count() -> None:
    assert not careful(bytes.fromhex("48b8d8c0d8c0d8c0d8c0") * 50)  # mov rax, imm64
    assert not careful(bytes.fromhex("db2f") * 2000)  # fld tbyte [rdi]


def test_unknown_length_counts_all_ways_on() -> None:
    assert careful((bytes.fromhex("d8c0") * 60 + bytes.fromhex("0f33")) * 2)


@pytest.mark.parametrize("test", ["a3c0", "abc1", "b3ff", "bbc8", "bae001", "baf807"])
@pytest.mark.parametrize("prefixes", ["f0", "f048", "66f0", "4ff065", "f0f0", "f2f04e"])
def test_locked_bit_test_of_a_register_has_exits_up_to_the_lock(prefixes: str, test: str) -> None:
    code = bytes.fromhex(prefixes + "0f" + test)
    lock = bytes.fromhex(prefixes).rindex(0xF0)
    for at in (1, 2, 2000, PAGE - len(code)):
        assert judge(code, at) == list(range(at, at + lock + 1))
    assert judge(code) is None


def test_locked_bit_test_in_two_pages_is_seen_in_one_of_them() -> None:
    code = bytes.fromhex("66f0480fabc8")
    for k in range(1, len(code)):
        assert judge(code[:k], PAGE - k) == [PAGE - k, PAGE - k + 1] or judge(code[k:]) is None, k


def test_many_locked_bit_tests_need_steps() -> None:
    code = bytes.fromhex("f00fa3c0")
    assert judge(code * 24, 1) == [1 + 4 * i for i in range(24)]
    assert judge(code * 25, 1) is None
    assert judge(b"\xf0" * 24 + code[1:], 1) is not None
    assert judge(b"\xf0" * 25 + code[1:], 1) is None


@pytest.mark.parametrize("code", ["f00fab07", "0fa3c0", "f0480fba2f01", "f0480fb117", "f090900fa3c0", "89f00fb6c0"])
def test_other_uses_of_lock_and_bit_tests_are_harmless(code: str) -> None:
    assert judge(bytes.fromhex(code), 100) == []


def pages_of(path: str) -> Iterator[bytes]:
    """The executable pages of an ELF file."""
    data = Path(path).read_bytes()
    (offset,) = struct.unpack_from("<Q", data, 32)
    (count,) = struct.unpack_from("<H", data, 56)
    for i in range(count):
        kind, flags, start, _, _, size = struct.unpack_from("<IIQQQQ", data, offset + 56 * i)
        if kind == 1 and flags & 1:
            for at in range(start & -PAGE, start + size, PAGE):
                yield data[at : at + PAGE]


@pytest.mark.parametrize(
    "path", ["/bin/busybox", "/lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/libm.so.6", sys.executable]
)
def test_no_page_of_an_ordinary_program_is_run_in_steps(path: str) -> None:
    if not Path(path).exists():
        pytest.skip(f"no {path} here")
    judged = [codescan._judge(page) for page in pages_of(path)]
    assert judged.count(None) * 300 <= len(judged)
    assert sum(1 for exits in judged if exits) * 50 <= len(judged)


def test_lengths_are_those_of_the_cpu() -> None:
    """Random instructions stepped over by the library itself, all memory being one page."""
    uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    uc.ctl_set_tlb_mode(unicorn.UC_TLB_VIRTUAL)
    uc.ctl_exits_enabled(True)
    uc.mem_map(0, 0x10000)
    code, data, at = 0x4000, 0x8000, 0x123400

    def fill(uc, vaddr, access, entry, _):  # type: ignore[no-untyped-def]
        entry.paddr = code if vaddr == at & -PAGE else data
        entry.perms = unicorn.UC_PROT_ALL
        return True

    ended: list[tuple[int, int]] = []

    def interrupt(uc, number, _):  # type: ignore[no-untyped-def]
        ended.append((number, uc.reg_read(x86.UC_X86_REG_RIP)))
        uc.emu_stop()

    uc.hook_add(unicorn.UC_HOOK_TLB_FILL, fill)
    uc.hook_add(unicorn.UC_HOOK_INTR, interrupt)
    clean = uc.context_save()
    rng = random.Random(5)
    compared = 0
    for _ in range(6000):
        head = bytes(rng.choice(b"\x66\xf2\xf3\x48\x44\x41\x67\x2e\x64") for _ in range(rng.choice((0, 0, 1, 2))))
        head += rng.choice((b"", b"", b"", b"\x0f", b"\x0f", b"\x0f\x38", b"\x0f\x3a", b"\xc5\xf8", b"\xc4\xe2\x79"))
        one = head + rng.randbytes(2) + rng.choice((b"", rng.randbytes(1))) + rng.randbytes(9)
        length = codescan._length(one)
        # Not those that change the mode (the library is in ring 0 here), and those with no trap behind them: loads
        # of SS, `pause`.
        body = one.lstrip(bytes([*range(0x40, 0x50), *b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3"]))
        if length <= 0 or body[:2] in (b"\x0f\x00", b"\x0f\x01", b"\x0f\x09") or body[0] in (0x90, 0xCF):
            continue
        if body[0] == 0x8E and body[1] & 0x38 == 0x10:
            continue
        uc.context_restore(clean)
        uc.reg_write(x86.UC_X86_REG_EFLAGS, 0x102)
        uc.reg_write(x86.UC_X86_REG_RSP, 0x7000)
        uc.mem_write(code + (at & 0xFFF), one)
        uc.ctl_remove_cache(at, at + 16)
        ended.clear()
        try:
            uc.emu_start(at, 0)
        except unicorn.UcError:
            continue  # no such instruction
        if ended and ended[0][0] == 1:
            assert ended[0][1] == at + length, one.hex()
            compared += 1
    assert compared > 1500
