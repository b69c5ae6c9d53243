"""Code that kills the Unicorn library when it translates it: it has to run as on a CPU. And the single steps that are
used for it: the guest must not see them.

What could end the process is run in one of its own.
"""

from __future__ import annotations

import functools
import inspect
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from axptr.engine import Exit, UnicornEngine

from .conftest import CODE, DATA, EXIT, PAGE, STACK_TOP, Machine, R, W, X

TESTS = Path(__file__).parents[1]
ALL = ["rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "rflags", "fpsw", "fptag", "fs_base", "gs_base"]
ALL += [f"r{i}" for i in range(8, 16)] + [f"xmm{i}" for i in range(16)] + [f"st{i}" for i in range(8)]
DONE = "6a3c 58 0f05"  # push 60; pop rax; syscall
HLT = b"\xf4"  # exception 13


def in_child(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test in a process of its own: one that dies is a failure."""

    @functools.wraps(test)
    def outside(**arguments: object) -> None:
        script = f"from {test.__module__} import {test.__name__} as t; t.__wrapped__(**{arguments!r})"
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, cwd=TESTS, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:] or done.returncode

    outside.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    return outside


def state(machine: Machine) -> dict[str, int]:
    """All registers but AF, which some instructions leave undefined."""
    return {name: getattr(machine.engine.regs, name) & ~(0x10 if name == "rflags" else 0) for name in ALL}


def is_invalid(done: Exit, rip: int) -> bool:
    return (done.kind, done.vector, done.rip) == ("exception", 6, rip)


# -- lock before a bit test of a register --------------------------------------------------------------------------


@pytest.mark.parametrize("test", ["a3c0", "abc8", "b3c1", "bbd0", "bae005", "baed05", "baf705", "baf805"])
@in_child
def test_locked_bit_test_of_a_register_is_exception_6_at_its_first_byte(test: str) -> None:
    machine = Machine()
    for prefixes in ("f0", "f048", "66f0", "f0f0", "f24ff065"):
        code = bytes.fromhex(prefixes + "0f" + test)
        for at in (CODE, CODE + 1, CODE + 1000, CODE + PAGE - len(code)):
            machine.space.write(CODE, b"\x90" * PAGE)
            machine.space.write(at, code)
            assert is_invalid(machine.run(at=at), at)
            assert is_invalid(machine.run(at=CODE), at)


@in_child
def test_locked_bit_test_that_lies_in_two_pages_is_exception_6_at_its_first_byte() -> None:
    machine = Machine()
    code = bytes.fromhex("66f0480fabc8")
    for k in range(1, len(code)):
        machine.space.write(CODE, b"\x90" * 2 * PAGE)
        at = CODE + PAGE - k
        machine.space.write(at, code)
        assert is_invalid(machine.run(at=at), at)
        assert is_invalid(machine.run(at=CODE), at)
        assert is_invalid(machine.run(at=at), at)


@in_child
def test_jump_to_the_lock_in_the_middle_of_another_instruction_is_exception_6() -> None:
    machine = Machine()
    # mov eax, esi; bt eax, 5; setc al; jmp into the first instruction if edi
    machine.load("89f0 0fbae005 0f92c0 85ff 75f4".replace(" ", "") + DONE)
    for _ in range(3):
        assert machine.run(rsi=0x20, rdi=0, timeout=5).kind == "stopped"
        assert is_invalid(machine.run(rsi=0x20, rdi=1, timeout=5), CODE + 1)
        assert machine.engine.regs.rax == 1


@in_child
def test_page_that_only_looks_like_it_runs_at_full_speed() -> None:
    machine = Machine()
    # l: mov eax, esi; bt eax, 5; adc edx, 0; dec ecx; jnz l
    assert machine.run("89f0 0fbae005 83d200 ffc9 75f3" + DONE, rsi=0x20, rdx=0, rcx=100_000).kind == "stopped"
    assert machine.engine.regs.rdx == 100_000
    assert machine.engine.starts < 10


@in_child
def test_locked_bit_test_that_the_guest_writes_where_it_ran_before_is_exception_6() -> None:
    machine = Machine()
    machine.space.map_alloc(0x500000, PAGE, R | W | X)
    machine.load("c3", 0x500000)  # ret
    # call rdi; mov dword [rdi + 2], 0xc0a30ff0; mov word [rdi], 0x9090; call rdi
    done = machine.run("ffd7 c74702f00fa3c0 66c7079090 ffd7", rdi=0x500000)
    assert is_invalid(done, 0x500002)


@in_child
def test_locked_bit_test_that_comes_through_another_mapping_or_from_python_is_exception_6() -> None:
    machine = Machine()
    frame = machine.phys.alloc(1)
    machine.space.map_linear(0x500000, frame, PAGE, R | W)
    machine.space.map_linear(0x510000, frame, PAGE, R | X)
    machine.space.write(0x500000, b"\x90\xc3")
    # call rdi; mov dword [rsi + 1], 0xc0ab0ff0; call rdi
    assert is_invalid(machine.run("ffd7 c74601f00fabc0 ffd7", rdi=0x510000, rsi=0x500000), 0x510001)
    machine.space.write(0x500000, bytes.fromhex("90c3"))
    machine.on_call = lambda *_: machine.space.write(0x500000, bytes.fromhex("9090f00fbbc1"))
    assert is_invalid(machine.run("ffd7 0f05 ffd7", rdi=0x510000), 0x510002)


@in_child
def test_pages_with_exits_beyond_what_is_kept_at_a_time_run() -> None:
    machine = Machine()
    # a ring of pages: mov eax, esi; bt eax, 5, ten times; jmp to the next page
    machine.space.map_alloc(0x500000, 64 * PAGE, R | X)
    for i in range(64):
        code = bytes.fromhex("89f00fbae005" * 10) + b"\xe9" + (PAGE - 65).to_bytes(4, "little")
        machine.space.write(0x500000 + i * PAGE, code)
    # dec ecx; jz done; jmp back to the first page
    machine.space.write(0x500000 + 63 * PAGE + 60, bytes.fromhex("ffc9 0f8405000000 e9") + bytes(4))
    last = 0x500000 + 63 * PAGE + 60
    machine.space.write(last + 9, (0x500000 - last - 13).to_bytes(4, "little", signed=True))
    machine.space.write(last + 13, bytes.fromhex(DONE))
    assert machine.run(at=0x500000, rcx=50).kind == "stopped"
    machine.load("f00fa3c0", 0x500000 + 40 * PAGE + 12)
    assert is_invalid(machine.run(at=0x500000, rcx=50), 0x500000 + 40 * PAGE + 12)


@in_child
def test_page_of_an_exit_that_is_unmapped_while_the_guest_runs_is_no_fault() -> None:
    machine = Machine()
    machine.space.map_alloc(0x500000, 2 * PAGE, R | X)
    machine.load("89f00fbae005 c3", 0x500000 + PAGE + 1)
    machine.on_call = lambda *_: machine.space.unmap(0x500000, 2 * PAGE)
    # call rdi; syscall; nop
    assert machine.run("ffd7 0f05 90 6a3c58 0f05", rdi=0x500000 + PAGE + 1).kind == "stopped"
    assert len(machine.calls) == 2


# -- string comparisons with lengths -----------------------------------------------------------------------------------

LENGTHS = [0, 1, -1, 5, -5, 15, 16, -16, 17, 0x7FFF_FFFF, -(1 << 31), 1 << 32, (1 << 32) + 3, -(1 << 63), -(1 << 40)]


@pytest.mark.parametrize("code", ["0f3a60", "0f3a61"])
@pytest.mark.parametrize("at", [CODE, CODE + PAGE - 1, CODE + PAGE - 2, CODE + PAGE - 3, CODE + PAGE - 4])
@in_child
def test_string_comparison_takes_any_length(code: str, at: int) -> None:
    """The library dies of -2**31. Lengths over 16 count as 16, in eax and edx, or with REX.W in rax and rdx."""
    machine = Machine()
    machine.space.write(CODE, b"\x90" * 2 * PAGE)
    machine.space.write(DATA, b"the quick brown fox jumps over the lazy dog")
    results = {}
    for wide in (False, True):
        for a in LENGTHS:
            for d in LENGTHS:
                bits = 64 if wide else 32
                cut = [(n + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1) for n in (a, d)]
                # movdqu xmm1, [rdi]; movdqu xmm2, [rsi] in front, then the comparison of xmm1 with xmm2
                body = "66" + ("48" if wide else "") + code + "ca" + "0c"
                machine.space.write(at, bytes.fromhex(body + "4989c8" + DONE))  # mov r8, rcx
                machine.load("f30f6f0f f30f6f16 ffe3", CODE + 4 * PAGE)  # ... jmp rbx
                registers = {"rax": a % (1 << 64), "rdx": d % (1 << 64), "rdi": DATA, "rsi": DATA + 4, "rbx": at}
                done = machine.run(at=CODE + 4 * PAGE, rcx=99, **registers)
                assert done.kind == "stopped"
                regs = machine.engine.regs
                assert regs.rdx == d % (1 << 64)
                key = tuple(min(abs(n), 16) for n in cut)
                assert results.setdefault(key, (regs.r8, regs.xmm0)) == (regs.r8, regs.xmm0)
    assert len(set(results.values())) > 1


# -- blocks that leak ----------------------------------------------------------------------------------------------

LEAKING = [
    "d8c1", "d9c0", "d9c9", "dec9", "dfe0", "d9e8", "d9f7",
    "0f70c1b1", "660f70ca1b", "f20f70d34e", "0fc6ca93", "660f3a0fc803", "660f3a21c110",
    "f20f38f1d9", "f2480f38f1c1", "d937",
]  # fmt: skip


def prepared(machine: Machine) -> None:
    machine.engine.reset()
    regs = machine.engine.regs
    for i in range(16):
        setattr(regs, f"xmm{i}", int.from_bytes(random.Random(i).randbytes(16), "little"))
    regs.rsi = regs.rdi = DATA
    regs.rcx = 0x12345678
    regs.rsp = STACK_TOP


def run_at(machine: Machine, at: int, **regs: int) -> dict[str, int]:
    prepared(machine)
    machine.engine.regs.rip = at
    for name, value in regs.items():
        setattr(machine.engine.regs, name, value)
    done = machine.engine.run(timeout=20)
    assert (done.kind, done.vector) == ("exception", 13), done
    return state(machine)


def in_pieces(machine: Machine, one: bytes, count: int) -> dict[str, int]:
    """The result of `count` times that instruction, in blocks of 16. Steps are taken of few blocks at most.

    From the end of a page on, that is: what lies there might be something else.
    """
    code = b"".join(one * min(16, count - i) + b"\x90" * 8 + b"\xeb\x00" for i in range(0, count, 16))
    machine.space.map_alloc(0x800000, (len(code) // PAGE + 1) * PAGE, R | X)
    machine.space.write(0x800000, code + HLT)
    starts = machine.engine.starts
    result = run_at(machine, 0x800000)
    assert machine.engine.starts - starts < count // 2
    return result


@pytest.mark.parametrize("code", LEAKING)
@in_child
def test_page_full_of_what_leaks_has_the_result_of_small_blocks(code: str) -> None:
    machine = Machine()
    one = bytes.fromhex(code)
    count = PAGE // len(one)
    expected = in_pieces(machine, one, count)
    for at in (CODE, CODE + PAGE // 2 - 8):  # one page; two
        machine.space.write(at, one * count + HLT)
        starts = machine.engine.starts
        assert run_at(machine, at) == expected
        assert machine.engine.starts - starts > count // 464  # cut


@pytest.mark.parametrize("code", LEAKING)
@in_child
def test_straight_run_of_about_as_much_as_is_let_through_runs(code: str) -> None:
    machine = Machine()
    one = bytes.fromhex(code)
    for leak in (1, 2):  # too much by this, at worst
        count = 190 // leak + 8
        machine.space.write(CODE, b"\x90" * 2 * PAGE)
        machine.load((one * count * 2 + HLT).hex(), CODE + PAGE - count * len(one))
        run_at(machine, CODE + PAGE - count * len(one))


@pytest.mark.parametrize("code", ["d8c1", "660f3a0fc803", "f20f38f1d9"])
@in_child
def test_page_that_the_guest_fills_with_what_leaks_after_it_ran(code: str) -> None:
    machine = Machine()
    one = bytes.fromhex(code)
    count = (PAGE - 16) // len(one)
    expected = in_pieces(machine, one, count)
    machine.space.map_alloc(0x500000, PAGE, R | W | X)
    machine.space.write(DATA + PAGE, one * count + b"\xc3")
    machine.space.write(0x500000, b"\xc3")
    # call rbx; mov rdi, rbx; rep movsb; pop rcx; pop rsi; call rbx
    machine.load("ffd3 4889df f3a4 59 5e ffd3 f4")
    machine.space.write(STACK_TOP - 16, (0x12345678).to_bytes(8, "little") + DATA.to_bytes(8, "little"))
    size = count * len(one) + 1
    result = run_at(machine, CODE, rbx=0x500000, rsi=DATA + PAGE, rcx=size, rsp=STACK_TOP - 16)
    same = ["rax", "rcx", "rdx", "rsi", "fpsw", "st0", "st1", "xmm0", "xmm1"]
    assert {name: result[name] for name in same} == {name: expected[name] for name in same}


# -- steps -----------------------------------------------------------------------------------------------------------


def stepped(machine: Machine) -> None:
    machine.engine._always_step = True


def test_system_call_before_what_must_not_be_translated_ends_its_step(machine: Machine) -> None:
    stepped(machine)
    assert is_invalid(machine.run("0f05 f00fa3c0"), CODE + 2)
    assert len(machine.calls) == 1


def test_flags_pushed_and_popped_show_no_trap_flag(machine: Machine) -> None:
    stepped(machine)
    # pushf; pop rbx; mov ax, -1; push ax; pushfw; pop r9w; pop r10w; syscall
    done = machine.run("9c 5b 6683c8ff 6650 669c 664159 66415a" + DONE, r9=0, r10=0)
    assert done.kind == "stopped"
    regs = machine.engine.regs
    assert (regs.rbx & 0x100, regs.r9 & 0x100, regs.r10, regs.rflags & 0x100, regs.r11 & 0x100) == (0, 0, 0xFFFF, 0, 0)
    if machine.kind is UnicornEngine:
        assert machine.engine.starts > 8


def test_handler_and_fault_show_no_trap_flag(machine: Machine) -> None:
    stepped(machine)
    seen: list[int] = []
    machine.on_call = lambda *_: seen.append(machine.engine.regs.rflags | machine.engine.regs.r11)
    done = machine.run("0f05 488b07", rdi=8)
    assert (done.kind, seen[0] & 0x100, machine.engine.regs.rflags & 0x100) == ("fault", 0, 0)


@pytest.mark.parametrize("in_steps", [False, True])
def test_trap_flag_that_the_guest_sets_traps_behind_the_next_instruction(machine: Machine, in_steps: bool) -> None:
    if in_steps:
        stepped(machine)
    # pushf; or dword [rsp], 0x100; popf; nop; nop; pushf; pop rbx; nop; pause; nop
    machine.load("9c 810c2400010000 9d 90 90 9c 5b 90 f390 90" + DONE)
    done = machine.run()
    # (The library itself does not trap behind `pause`.)
    for where in (0xA, 0xB, 0xC, 0xD, 0xE, 0x10)[: 6 if in_steps else 5]:
        assert (done.kind, done.vector, done.rip) == ("exception", 1, CODE + where)
        assert machine.engine.regs.rflags & 0x100
        done = machine.go_on()
    assert machine.engine.regs.rbx & 0x100


@pytest.mark.parametrize("in_steps", [False, True])
def test_flags_that_a_handler_sets_stay(machine: Machine, in_steps: bool) -> None:
    if in_steps:
        stepped(machine)

    def call(*_: int) -> None:
        machine.engine.regs.rflags = 0x101

    machine.on_call = call
    done = machine.run("0f05 90 90")
    assert (done.kind, done.vector, done.rip, machine.engine.regs.rflags) == ("exception", 1, CODE + 2, 0x303)


def test_pause_before_what_must_not_be_translated_is_a_step_of_its_own(machine: Machine) -> None:
    stepped(machine)
    assert is_invalid(machine.run("f390 f00fa3c0"), CODE + 2)
    assert is_invalid(machine.run("66f34890 f00fa3c0"), CODE + 4)


def test_pause_with_a_register_of_rex_is_an_exchange(machine: Machine) -> None:
    stepped(machine)
    machine.load("f34190" + DONE)  # xchg eax, r8d
    assert machine.run(rax=7, r8=9).kind == "stopped"
    assert machine.engine.regs.r8 == 7


def test_code_on_a_writable_stack_that_pushes_makes_progress(machine: Machine) -> None:
    machine.space.protect(STACK_TOP - PAGE, PAGE, R | W | X)
    # l: push rcx; pop rdx; add rbx, rdx; dec ecx; jnz l
    assert machine.run("51 5a 4801d3 ffc9 75f7" + DONE, STACK_TOP - 256, rcx=1000, rbx=0).kind == "stopped"
    assert machine.engine.regs.rbx == 500500


def test_timeout_and_stop_end_steps(machine: Machine) -> None:
    stepped(machine)
    assert machine.run("ebfe", timeout=0.05).kind == "timeout"
    assert machine.run("f390 ebfc", timeout=0.05).kind == "timeout"
    assert machine.run("b9ffffffff f3ac", timeout=0.05, rsi=DATA).kind in ("timeout", "fault")


# `test` after what leaves flags undefined.
SNIPPETS = [
    "0f05", "cc", "0f0b", "cd80", "ffc0", "ffc3", "488b07", "488907", "48ff07", "0fae07", "0fae0f", "0faee8", "f3a4",
    "f3aa", "50", "58", "9c", "9d", "f0480fb117", "0fa2", "dbe3", "d9e8", "dd1f", "d93f", "9b", "0f77",
    "660ffec0", "0f2907", "0f2807", "c8100000", "c9", "8ed8", "8ee0", "f3480faed0", "cf", "cb", "ff17", "ff1f", "fd",
    "fc", "e2fe", "7402", "7502", "f2a6", "d7", "0fc8", "f0ff07", "8f07", "ff37", "660f3a0fc108", "f20f38f1c0",
    "f390", "f7f1", "48f7f9", "f0480fab0785ff", "4801d8", "11c8", "d3e0", "f30fb8c1", "0f92c0", "0f44c1", "f1",
    "e800000000", "eb00", "89f00fbae00585ff", "f00fbae005", "0fa3c885ff",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
@in_child
def test_random_code_in_steps_does_what_it_does_in_blocks(seed: int) -> None:
    rng = random.Random(seed)
    kinds = set()
    plain, stepping = Machine(), Machine()
    for _ in range(200):
        code = b"".join(bytes.fromhex(rng.choice(SNIPPETS)) for _ in range(rng.randrange(1, 12)))
        regs = {name: rng.choice((0, 1, 5, DATA, DATA + 4092, CODE, rng.getrandbits(64))) for name in ALL[:7]}
        regs["rcx"] &= 0xFF
        memory = rng.randbytes(4 * PAGE)
        results = []
        for machine in (plain, stepping):
            machine.engine.reset()
            machine.space.write(CODE, code.ljust(PAGE, b"\xf4"))
            machine.space.write(DATA, memory)
            machine.space.write(STACK_TOP - 256, memory[:256])
            if machine is stepping:
                stepped(machine)
            done = machine.run(**{**regs, "rflags": 0x202}, timeout=0.05)
            left = (machine.space.read(DATA, 4 * PAGE), machine.space.read(STACK_TOP - 1024, 1024))
            results.append((done.kind, done.vector, done.rip, done.address, state(machine), left, machine.calls[-1:]))
            kinds.add((done.kind, done.vector))
        if "timeout" not in (results[0][0], results[1][0]):
            for in_blocks, in_steps in zip(*results, strict=True):
                assert in_blocks == in_steps, code.hex()
    assert len(kinds) > 5
    assert EXIT not in kinds
