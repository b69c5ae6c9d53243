"""Running a guest: system calls, registers, and every way a run ends or is refused."""

from __future__ import annotations

import functools
import gc
import itertools
import subprocess
import sys
import threading
import time
import weakref
from typing import Any

import pytest

from axptr._core.phys.phys import PhysMemory
from axptr.engine import UnicornEngine
from axptr.mm.space import AddrSpace

from .conftest import CODE, DATA, EXIT, KINDS, PAGE, STACK_TOP, Machine, R, W

SYSCALL_EXIT = "0f05 b83c000000 0f05"  # syscall; mov eax, 60; syscall
SPIN = "ebfe"  # jmp .


# -- system calls ---------------------------------------------------------------------------------------


def test_handler_gets_number_and_six_arguments_unsigned(machine: Machine) -> None:
    machine.run(SYSCALL_EXIT, rax=7, rdi=1, rsi=2, rdx=3, r10=4, r8=5, r9=-1)
    assert machine.calls[0] == (7, 1, 2, 3, 4, 5, 2**64 - 1)


@pytest.mark.parametrize(("result", "rax"), [(5, 5), (-14, 2**64 - 14), (2**64 - 1, 2**64 - 1), (True, 1)])
def test_result_is_in_rax_after_the_call(machine: Machine, result: int, rax: int) -> None:
    seen = []
    machine.on_call = lambda nr, *args: result if nr == 1 else seen.append(args[0]) or 0
    # syscall; mov rdi, rax; mov eax, 2; syscall; mov eax, 60; syscall
    machine.run("0f05 4889c7 b802000000 0f05 b83c000000 0f05", rax=1)
    assert seen == [rax]


def test_rcx_and_r11_are_clobbered_as_the_cpu_does(machine: Machine) -> None:
    regs = machine.engine.regs
    machine.on_call = lambda *args: machine.engine.stop() or 0
    machine.run("0f05", rcx=1, r11=1)
    assert regs.rcx == CODE + 2
    assert regs.r11 == regs.rflags == 0x202


def test_none_leaves_all_registers_to_the_handler(machine: Machine) -> None:
    def serve(nr: int, *args: int) -> None:
        machine.engine.regs.rax = 0x55
        machine.engine.regs.rcx = 0x66
        machine.engine.stop()

    machine.on_call = serve
    machine.run("0f05")
    assert machine.engine.regs.rax == 0x55
    assert machine.engine.regs.rcx == 0x66


@pytest.mark.parametrize(
    ("result", "error"), [(2**64, OverflowError), (-(2**63) - 1, OverflowError), ("x", TypeError), (1.5, TypeError)]
)
def test_a_result_that_is_no_register_raises_out_of_run(machine: Machine, result: Any, error: type[Exception]) -> None:
    machine.on_call = lambda *args: result
    with pytest.raises(error):
        machine.run(SYSCALL_EXIT, rax=1)


def test_exception_in_a_handler_comes_out_of_run_with_its_traceback(machine: Machine) -> None:
    def broken(*args: int) -> int:
        raise ZeroDivisionError("a bug")

    machine.on_call = broken
    with pytest.raises(ZeroDivisionError, match="a bug") as caught:
        machine.run(SYSCALL_EXIT, rax=1)
    assert "broken" in [entry.name for entry in caught.traceback]
    assert machine.engine.regs.rip == CODE + 2  # the call has been made; it can be run on
    machine.on_call = None
    assert machine.go_on().kind == "stopped"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_base_exceptions_are_not_swallowed(machine: Machine, error: type[BaseException]) -> None:
    def interrupted(*args: int) -> int:
        raise error

    machine.on_call = interrupted
    with pytest.raises(error):
        machine.run(SYSCALL_EXIT, rax=1)


def test_no_guest_instruction_runs_after_a_handler_raised_or_stopped(machine: Machine) -> None:
    machine.on_call = lambda *args: machine.engine.stop() or 0
    exit = machine.run("0f05 c60701", rax=1, rdi=DATA)  # syscall; mov byte [rdi], 1
    assert (exit.kind, exit.rip) == ("stopped", CODE + 2)
    assert machine.space.read(DATA, 1) == b"\0"


def test_handler_that_sets_rip_continues_there(machine: Machine) -> None:
    """As execve and a delivered signal do."""
    target = machine.load("bf2a000000 b83c000000 0f05", CODE + 0x100)  # mov edi, 42; mov eax, 60; syscall

    def jump(nr: int, *args: int) -> None:
        assert machine.engine.regs.rip == CODE + 2
        machine.engine.regs.rip = target

    machine.on_call = jump
    machine.run("0f05 0f0b", rax=1)
    assert machine.calls[-1][:2] == (EXIT, 42)


def test_context_restored_in_a_handler_continues_as_saved(machine: Machine) -> None:
    """As rt_sigreturn does: the context was saved in an earlier call, and goes on after that one."""
    saved: list[Any] = []

    def serve(nr: int, *args: int) -> int | None:
        if nr == 1:
            saved.append(machine.engine.save())
            return 0
        if nr == 2:
            machine.engine.restore(saved[0])
            return None
        return 0

    machine.on_call = serve
    # syscall; cmp rbx, 0; jne exit; inc rbx; mov eax, 2; syscall; ud2 / exit: mov edi, ebx; mov eax, 60; syscall
    # rbx is 0 in the saved context; the handler's second turn finds it so again, hence r12 counts in memory.
    code = "0f05 ff07 833f02 7409 b802000000 0f05 0f0b b83c000000 0f05"
    # syscall; inc dword [rdi]; cmp dword [rdi], 2; je exit; mov eax, 2; syscall; ud2; exit: mov eax, 60; syscall
    exit = machine.run(code, rax=1, rdi=DATA)
    assert exit.kind == "stopped"
    assert [call[0] for call in machine.calls] == [1, 2, EXIT]


# -- registers ------------------------------------------------------------------------------------------


def test_new_engine_has_the_registers_of_a_new_program(machine: Machine) -> None:
    regs = machine.engine.regs
    names = [name for name in dir(regs) if name.startswith("r") or name.endswith("base")]
    assert {name: getattr(regs, name) for name in names} == {name: 0x202 if name == "rflags" else 0 for name in names}
    assert (regs.mxcsr, regs.fpcw, regs.fptag) == (0x1F80, 0x37F, 0xFFFF)


def test_every_register_keeps_what_was_written(machine: Machine) -> None:
    regs = machine.engine.regs
    wanted = {}
    for i, name in enumerate(dir(regs)):
        bits = {"xm": 128, "st": 80}.get(name[:2], 64)
        if name not in ("rflags", "mxcsr", "fpcw", "fpsw", "fptag"):
            wanted[name] = (0x0123_4567_89AB_CDEF_1122_3344_5566_7788 + i) % (1 << bits)
    for name, value in wanted.items():
        setattr(regs, name, value)
    assert {name: getattr(regs, name) for name in wanted} == wanted


def test_the_guest_sees_registers_that_were_written(machine: Machine) -> None:
    machine.run("0f05 b83c000000 0f05", rax=9, rdi=1 << 63)
    assert machine.calls[0][:2] == (9, 1 << 63)
    # movq rdi, xmm3; mov rsi, fs:[0]; mov rdx, gs:[0]; mov eax, 60; syscall
    machine.space.write(DATA, (11).to_bytes(8, "little") + (12).to_bytes(8, "little"))
    code = "66480f7edf 64488b342500000000 65488b142500000000 b83c000000 0f05"
    machine.run(code, xmm3=33, fs_base=DATA, gs_base=DATA + 8)
    assert machine.calls[-1][:4] == (EXIT, 33, 11, 12)


def test_rflags_takes_only_what_a_program_may_change(machine: Machine) -> None:
    machine.engine.regs.rflags = 0xFFFF_FFFF_FFFF_FFFF & ~0x100
    assert machine.engine.regs.rflags & 0x2_7202 == 0x202  # no IOPL, NT, VM; interrupts on
    assert machine.engine.regs.rflags & 1
    # pushf; pop rdi; cli
    assert machine.run("9c 5f fa").vector == 13


def test_unknown_register_is_an_attribute_error(machine: Machine) -> None:
    with pytest.raises(AttributeError, match="eaxx"):
        _ = machine.engine.regs.eaxx
    with pytest.raises(AttributeError, match="cr3"):
        machine.engine.regs.cr3 = 0


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("rax", 2**64, OverflowError),
        ("rax", -(2**63) - 1, OverflowError),
        ("rax", "1", TypeError),
        ("rip", 1.0, TypeError),
        ("mxcsr", 2**32, OverflowError),
        ("fpcw", -1, OverflowError),
        ("xmm0", 2**128, OverflowError),
        ("xmm0", -1, OverflowError),
    ],
)
def test_a_value_that_does_not_fit_changes_nothing(
    machine: Machine, name: str, value: Any, error: type[Exception]
) -> None:
    before = getattr(machine.engine.regs, name)
    with pytest.raises(error):
        setattr(machine.engine.regs, name, value)
    assert getattr(machine.engine.regs, name) == before


def test_save_and_restore_keep_sse_and_x87_state(machine: Machine) -> None:
    # fld1; fldz; movq xmm5, rdi; mov eax, 60; syscall
    machine.run("d9e8 d9ee 66480f6eef b83c000000 0f05", rdi=0x1234)
    regs = machine.engine.regs
    regs.mxcsr = 0x1FC0
    before = {name: getattr(regs, name) for name in dir(regs)}
    saved = machine.engine.save()
    # fninit; pxor xmm5, xmm5; xor edi, edi; mov eax, 60; syscall
    machine.run("dbe3 660fefed 31ff b83c000000 0f05")
    assert regs.xmm5 == 0
    machine.engine.restore(saved)
    assert {name: getattr(regs, name) for name in dir(regs)} == before
    machine.run("dfe0 dd1f b83c000000 0f05", rdi=DATA)  # fnstsw ax; fstp qword [rdi] (0.0); exit
    machine.run("dd1f b83c000000 0f05", rdi=DATA)  # fstp qword [rdi]
    assert machine.space.read(DATA, 8) == bytes.fromhex("000000000000f03f")  # 1.0


def test_x87_stack_is_read_and_written_from_its_top(machine: Machine) -> None:
    # fld1; fldz; mov eax, 60; syscall
    machine.run("d9e8 d9ee b83c000000 0f05")
    regs = machine.engine.regs
    one = 0x3FFF_8000_0000_0000_0000
    assert (regs.st0, regs.st1) == (0, one)
    regs.st0 = one + (1 << 64)  # 2.0
    machine.run("dd1f b83c000000 0f05", rdi=DATA)  # fstp qword [rdi]
    assert machine.space.read(DATA, 8) == bytes.fromhex("0000000000000040")
    assert regs.st0 == one


def test_reset_gives_the_registers_of_a_new_program(machine: Machine) -> None:
    machine.run(SYSCALL_EXIT, rbx=5, xmm1=7, fs_base=9)
    machine.engine.reset()
    regs = machine.engine.regs
    assert (regs.rip, regs.rbx, regs.xmm1, regs.fs_base, regs.mxcsr) == (0, 0, 0, 0, 0x1F80)


# -- how runs end ---------------------------------------------------------------------------------------


def test_stop_from_another_thread_ends_a_loop_exactly(machine: Machine) -> None:
    # inc rax; lea rbx, [rbx + 2]; jmp back: rbx is twice rax wherever the run is stopped between instructions
    machine.load("48ffc0 488d5b02 ebf7")
    regs = machine.engine.regs
    regs.rip = CODE
    for _ in range(50):
        threading.Timer(0.002, machine.engine.stop).start()
        exit = machine.go_on()
        assert exit.kind == "stopped"
        assert exit.rip in (CODE, CODE + 3, CODE + 7)
        assert regs.rbx == 2 * regs.rax - 2 * (exit.rip == CODE + 3)


def test_a_stop_before_the_run_is_not_lost(machine: Machine) -> None:
    machine.engine.stop()
    exit = machine.run(SPIN)
    assert (exit.kind, exit.rip) == ("stopped", CODE)
    assert machine.run(SPIN, timeout=0.01).kind == "timeout"  # and counts once


def test_stops_that_race_with_the_start_are_never_lost(machine: Machine) -> None:
    machine.load(SPIN)
    machine.engine.regs.rip = CODE
    turn = threading.Barrier(2)
    rounds = 300
    began = time.monotonic()

    def stopper() -> None:
        for i in range(rounds):
            turn.wait()
            for _ in range(i % 7 * 20):
                pass
            machine.engine.stop()

    thread = threading.Thread(target=stopper)
    thread.start()
    for _ in range(rounds):
        turn.wait()
        assert machine.go_on().kind == "stopped"
    thread.join()
    assert time.monotonic() - began < 60


def test_timeout_ends_a_loop_and_the_guest_can_run_on(machine: Machine) -> None:
    began = time.monotonic()
    exit = machine.run("48ffc0 ebfb", timeout=0.1)  # inc rax; jmp back
    assert exit.kind == "timeout"
    assert 0.09 < time.monotonic() - began < 60
    first = machine.engine.regs.rax
    assert machine.engine.run(timeout=0.02).kind == "timeout"
    assert machine.engine.regs.rax > first > 0


def test_timeout_ends_a_guest_that_only_makes_system_calls(machine: Machine) -> None:
    assert machine.run("0f05 ebfc", timeout=0.05, rax=1).kind == "timeout"
    assert machine.calls


def test_timeout_of_zero_ends_at_once_and_bad_ones_are_refused(machine: Machine) -> None:
    assert machine.run(SPIN, timeout=0).kind == "timeout"
    for bad in (-1, float("nan")):
        with pytest.raises(ValueError):
            machine.engine.run(timeout=bad)
    with pytest.raises(TypeError):
        machine.engine.run(timeout="1")


def test_timeout_that_is_not_reached_changes_nothing(machine: Machine) -> None:
    assert machine.run(SYSCALL_EXIT, timeout=1e300, rax=1).kind == "stopped"


def test_other_python_threads_run_while_the_guest_spins(machine: Machine) -> None:
    count = 0
    done = threading.Event()

    def work() -> None:
        nonlocal count
        while not done.is_set():
            count += 1

    thread = threading.Thread(target=work)
    thread.start()
    machine.run(SPIN, timeout=0.3)
    progress = count
    done.set()
    thread.join()
    assert progress > 10_000


def test_a_busy_python_thread_does_not_slow_fills_down(machine: Machine) -> None:
    """Fills take no GIL: 16,384 first touches with another thread busy take nowhere near a switch interval each."""
    machine.space.map_alloc(0x1000_0000, 1 << 26, R | W)
    done = threading.Event()

    def busy() -> None:
        while not done.is_set():
            pass

    thread = threading.Thread(target=busy)
    thread.start()
    began = time.monotonic()
    # mov [rdi], rdi; add rdi, 4096; cmp rdi, rsi; jb back; mov eax, 60; syscall
    machine.run("48893f 4881c700100000 4839f7 72f1 b83c000000 0f05", rdi=0x1000_0000, rsi=0x1400_0000)
    took = time.monotonic() - began
    done.set()
    thread.join()
    assert took < 40  # 16,384 switch intervals of 5 ms would be 80 s


# -- what is refused ------------------------------------------------------------------------------------


def test_run_needs_a_space_and_a_handler(engine_name: str) -> None:
    engine = KINDS[engine_name](PhysMemory(1 << 24))
    with pytest.raises(RuntimeError, match="attach"):
        engine.run()
    engine.attach(AddrSpace(PAGE, 1 << 30, engine.phys))
    with pytest.raises(RuntimeError, match="on_syscall"):
        engine.run()
    with pytest.raises(TypeError):
        engine.on_syscall(5)


def test_a_space_over_another_memory_is_refused(machine: Machine) -> None:
    with pytest.raises(ValueError, match="PhysMemory"):
        machine.engine.attach(AddrSpace(PAGE, 1 << 30, PhysMemory(1 << 24)))
    with pytest.raises(TypeError):
        machine.engine.attach("space")
    assert machine.engine.space is machine.space


def test_run_inside_a_handler_is_refused(machine: Machine) -> None:
    machine.on_call = lambda *args: machine.engine.run()
    with pytest.raises(RuntimeError, match="running"):
        machine.run(SYSCALL_EXIT, rax=1)


def test_another_thread_can_neither_run_it_nor_touch_registers(machine: Machine) -> None:
    errors: list[str] = []

    def meddle() -> None:
        for action in (
            lambda: machine.engine.run(),
            lambda: machine.engine.regs.rax,
            lambda: setattr(machine.engine.regs, "rip", 0),
            lambda: machine.engine.save(),
            lambda: machine.engine.attach(machine.space),
            lambda: machine.engine.close(),
        ):
            try:
                action()
            except RuntimeError as error:
                errors.append(str(error))
        machine.engine.stop()

    thread = threading.Thread(target=meddle)
    machine.engine.on_syscall(lambda *arguments: thread.start() or 0)  # a run is under way then
    assert machine.run(f"0f05 {SPIN}").kind == "stopped"
    thread.join()
    assert len(errors) == 6


def test_runs_in_turn_in_several_threads(machine: Machine) -> None:
    kinds = []
    for _ in range(3):
        thread = threading.Thread(target=lambda: kinds.append(machine.run(SYSCALL_EXIT, rax=1).kind))
        thread.start()
        thread.join()
    assert kinds == ["stopped"] * 3


def test_a_closed_engine_refuses_everything(machine: Machine) -> None:
    machine.engine.close()
    machine.engine.close()
    for action in (machine.engine.run, machine.engine.save, lambda: machine.engine.regs.rax):
        with pytest.raises(RuntimeError, match="closed"):
            action()


def test_engines_spaces_and_memory_may_go_in_any_order() -> None:
    for order in itertools.permutations(range(3)):
        made = Machine()
        made.on_call = lambda *args: 0
        made.run(SYSCALL_EXIT, rax=1)
        parts: list[Any] = [made.engine, made.space, made.phys]
        engine = made.engine
        engine.on_syscall(print)
        del made, engine
        for i in order:
            parts[i] = None


def test_an_engine_in_a_reference_cycle_is_collected(machine: Machine) -> None:
    engine = machine.new_engine()
    engine.attach(machine.space)
    engine.on_syscall(functools.partial(print, engine))
    gone = weakref.ref(engine)
    del engine
    gc.collect()
    assert gone() is None
    machine.space.unmap(DATA, PAGE)  # nobody writes to the engine that is gone


def test_two_engines_share_a_space(machine: Machine) -> None:
    other = machine.new_engine()
    other.attach(machine.space)
    calls = []
    other.on_syscall(lambda *args: calls.append(args) or other.stop() or 0)
    machine.load("8b3f 0f05")  # mov edi, [rdi]; syscall
    machine.space.write(DATA, (77).to_bytes(4, "little"))
    other.regs.rdi = DATA
    other.regs.rip = CODE
    other.regs.rsp = STACK_TOP
    assert other.run().kind == "stopped"
    assert calls[0][1] == 77
    other.close()


@pytest.mark.parametrize("memory", [None, 5, "memory"])
def test_an_engine_of_no_memory_is_a_type_error(machine: Machine, memory: object) -> None:
    with pytest.raises(TypeError, match="phys"):
        machine.kind(memory)
    with pytest.raises(TypeError):
        machine.kind()


def test_engine_says_what_to_install_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    phys = PhysMemory(1 << 24)
    monkeypatch.delitem(sys.modules, "unicorn", raising=False)
    monkeypatch.setattr(sys, "meta_path", [])
    with pytest.raises(ImportError, match=r"pip install 'axptr\[run\]'"):
        UnicornEngine(phys)


def test_engine_does_not_import_the_binding() -> None:
    code = (
        "import sys; from axptr._core.phys.phys import PhysMemory; from axptr.engine import UnicornEngine;"
        "UnicornEngine(PhysMemory(1 << 24)); assert 'unicorn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
