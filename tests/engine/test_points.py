"""Breakpoints, watchpoints and single steps: alike over every engine, and nothing that the program could see."""

from __future__ import annotations

import pytest

from axptr.engine import Breakpoint, Exit, Watchpoint
from axptr.flags import MappingFlags

from .conftest import CODE, DATA, EXIT, PAGE, STACK_TOP, Machine, R, W, X

ENGINES = ("unicorn", "native")

# xor ecx, ecx; L: inc ecx; cmp ecx, 5; jne L; mov eax, 60; syscall
LOOP = "31c9 ffc1 83f905 75f9 b83c000000 0f05"
BODY = CODE + 2


def ended(exit: Exit) -> bool:
    return exit.kind == "stopped"


def test_a_breakpoint_ends_each_run_before_its_instruction(machine: Machine) -> None:
    stop = machine.engine
    machine.load(LOOP)
    point = machine.engine.break_at(BODY)
    seen = []
    exit = machine.run()
    while exit.kind == "breakpoint":
        assert exit.points == (point,)
        assert exit.pc == exit.address == BODY
        seen.append(machine.engine.regs.rcx)
        exit = machine.go_on()
    assert ended(exit)
    assert seen == [0, 1, 2, 3, 4]
    assert stop.regs.rcx == CODE + 16


def test_a_breakpoint_that_is_set_and_undone_while_the_code_is_cached_counts_at_once(machine: Machine) -> None:
    machine.run(LOOP)
    for _ in range(3):
        point = machine.engine.break_at(BODY)
        assert machine.run().kind == "breakpoint"
        machine.engine.forget(point)
        machine.engine.forget(point)
        assert machine.engine.points == ()
        assert ended(machine.go_on())


def test_a_run_that_begins_at_a_breakpoint_ends_there_at_once_but_for_the_resume_flag(machine: Machine) -> None:
    machine.load(LOOP)
    machine.engine.break_at(CODE)
    assert machine.run().pc == CODE
    assert machine.engine.regs.rflags & 0x10000
    context = machine.engine.save()
    assert context.read("rflags") & 0x10000
    machine.engine.reset()
    machine.engine.restore(context)
    assert ended(machine.go_on())
    assert machine.engine.regs.rflags & 0x10000 == 0
    machine.engine.restore(context.replace(rflags=context.read("rflags") & ~0x10000))
    assert machine.go_on().kind == "breakpoint"


def test_the_program_does_not_see_a_breakpoint_in_memory_and_nobody_else_does(machine: Machine) -> None:
    machine.load(LOOP)
    machine.engine.break_at(BODY)
    machine.engine.break_at(CODE + 11)
    assert machine.run().kind == "breakpoint"
    assert machine.space.read(CODE, 16) == bytes.fromhex(LOOP)
    twin = machine.space.try_clone()
    assert twin.read(CODE, 16) == bytes.fromhex(LOOP)
    assert twin.stops is None
    machine.engine.attach(twin)
    assert ended(machine.run())
    machine.engine.attach(machine.space)
    assert machine.run().kind == "breakpoint"
    twin.clear()


def test_a_call_at_a_breakpoint_is_made_once(machine: Machine) -> None:
    # mov eax, 5; syscall; mov eax, 60; syscall
    machine.load("b805000000 0f05 b83c000000 0f05")
    machine.engine.break_at(CODE + 5)
    assert machine.run().pc == CODE + 5
    assert machine.calls == []
    assert ended(machine.go_on())
    assert [call[0] for call in machine.calls] == [5, EXIT]


def test_an_int3_of_the_program_is_an_exception_with_a_breakpoint_on_it_too(machine: Machine) -> None:
    machine.load("90 cc 90")
    machine.engine.break_at(CODE + 1)
    assert machine.run().kind == "breakpoint"
    exit = machine.go_on()
    assert (exit.kind, exit.vector, exit.pc) == ("exception", 3, CODE + 2)


def test_breakpoints_in_code_that_writes_to_its_own_page_and_is_rewritten(machine: Machine) -> None:
    machine.space.map_alloc(0x500000, PAGE, R | W | X)
    # mov byte [rip+5], 0x11 ; (next:) mov ecx, 0x00 with its immediate rewritten ; nop; mov eax, 60; syscall
    machine.load("c6 05 01 00 00 00 11 b9 00 00 00 00 90 b83c000000 0f05", 0x500000)
    machine.engine.break_at(0x500000 + 7)
    machine.engine.break_at(0x500000 + 12)
    for value in (0x11, 0x22):
        machine.space.write(0x500000 + 6, bytes((value,)))
        assert machine.run(at=0x500000).pc == 0x500007
        assert machine.go_on().pc == 0x50000C
        assert machine.engine.regs.rcx == value
        assert ended(machine.go_on())


def test_code_that_python_writes_under_a_breakpoint_is_what_runs(machine: Machine) -> None:
    machine.load(LOOP)
    point = machine.engine.break_at(BODY)
    machine.run()
    machine.space.write(BODY, bytes.fromhex("b907000000 909090"))  # mov ecx, 7
    machine.engine.regs.rip = CODE
    assert machine.go_on().pc == BODY
    machine.space.write(BODY + 8, bytes.fromhex("0f0b"))
    exit = machine.go_on()
    assert (exit.kind, exit.vector, exit.pc) == ("exception", 6, BODY + 8)
    assert machine.engine.regs.rcx == 7
    machine.engine.forget(point)


@pytest.mark.parametrize("access", [W, R | W])
@pytest.mark.parametrize("at", [0, 8, 0xFF8])
def test_a_watchpoint_ends_the_run_behind_the_store_and_at_no_other(
    machine: Machine, at: int, access: MappingFlags
) -> None:
    # mov [rdi+64], rax; mov [rdi+16], al; mov [rdi+8], rax; mov [rdi], ax; nop; mov eax, 60; syscall
    machine.load("48894740 884710 48894708 668907 90 b83c000000 0f05")
    point = machine.engine.watch(DATA + at + 9, 2, access)
    exit = machine.run(rdi=DATA + at, rax=0x1122334455667788)
    assert (exit.kind, exit.points, exit.address) == ("watchpoint", (point,), DATA + at + 9)
    assert exit.access == MappingFlags.WRITE
    assert (exit.by, exit.pc) == (CODE + 7, CODE + 11)
    assert machine.space.read(DATA + at + 8, 8) == (0x1122334455667788).to_bytes(8, "little")
    assert ended(machine.go_on())
    assert machine.space.read(DATA + at, 2) == b"\x88\x77"


def test_watchpoints_of_reads_and_of_updates(machine: Machine) -> None:
    # mov rax, [rdi]; inc dword [rdi+4]; mov [rdi], al; mov eax, 60; syscall
    machine.load("488b07 ff4704 8807 b83c000000 0f05")
    machine.engine.watch(DATA + 4, 4, R)
    found = []
    exit = machine.run(rdi=DATA)
    while exit.kind == "watchpoint":
        found.append((exit.by, exit.access, exit.address))
        exit = machine.go_on()
    assert found == [(CODE, MappingFlags.READ, DATA + 4), (CODE + 3, MappingFlags.READ, DATA + 4)]
    assert machine.space.read(DATA + 4, 1) == b"\1"


def test_a_watchpoint_of_execution_ends_the_run_before_any_instruction_that_begins_there(machine: Machine) -> None:
    machine.load(LOOP)
    point = machine.engine.watch(BODY + 2, 3, X)  # the compare alone begins there
    seen = 0
    exit = machine.run()
    while exit.kind == "breakpoint":
        assert (exit.pc, exit.points) == (BODY + 2, (point,))
        seen += 1
        exit = machine.go_on()
    assert ended(exit)
    assert seen == 5


def test_a_repeated_store_stops_behind_the_round_that_touches_the_bytes(machine: Machine) -> None:
    # rep stosq; mov eax, 60; syscall
    machine.load("f348ab b83c000000 0f05")
    machine.engine.watch(DATA + 20, 1)
    exit = machine.run(rdi=DATA, rcx=8, rax=7)
    assert (exit.kind, exit.address, machine.engine.regs.rcx) == ("watchpoint", DATA + 20, 5)
    assert ended(machine.go_on())


def test_what_a_handler_stores_is_not_seen(machine: Machine) -> None:
    def store(*call: int) -> int:
        machine.space.write(DATA, b"x")
        return 0

    machine.on_call = store
    machine.engine.watch(DATA, 8)
    assert ended(machine.run("b805000000 0f05 b83c000000 0f05"))


def test_a_refused_access_to_a_watched_page_is_a_fault_as_without(machine: Machine) -> None:
    machine.space.protect(DATA, PAGE, R)
    machine.engine.watch(DATA, 8, R | W)
    exit = machine.run("8807", rdi=DATA)
    assert (exit.kind, exit.address, exit.pc) == ("fault", DATA, CODE)


def test_steps_do_one_instruction_each(machine: Machine) -> None:
    machine.load(LOOP)
    machine.engine.regs.rip, machine.engine.regs.rsp = CODE, STACK_TOP
    places = []
    for _ in range(4):
        exit = machine.engine.run(step=True)
        assert exit.kind == "step"
        places.append(exit.pc)
    assert places == [CODE + 2, CODE + 4, CODE + 7, CODE + 2]
    assert machine.engine.regs.rflags & 0x100 == 0


def test_a_step_over_a_call_makes_it(machine: Machine) -> None:
    machine.load("b805000000 0f05 90")
    machine.engine.regs.rip = CODE
    machine.on_call = lambda *call: 17
    assert machine.engine.run(step=True).kind == "step"
    exit = machine.engine.run(step=True)
    assert (exit.kind, exit.pc, machine.engine.regs.rax) == ("step", CODE + 7, 17)
    assert machine.engine.regs.r11 & 0x100 == 0


def test_the_program_does_not_see_that_it_is_stepped(machine: Machine) -> None:
    # pushf; pop rcx; pushf; popf; nop; pushf; pop rdx
    machine.load("9c 59 9c 9d 90 9c 5a 90")
    machine.engine.regs.rip, machine.engine.regs.rsp = CODE, STACK_TOP
    for _ in range(7):
        assert machine.engine.run(step=True).kind == "step"
    assert machine.engine.regs.rip == CODE + 7
    assert machine.engine.regs.rcx & 0x100 == machine.engine.regs.rdx & 0x100 == 0


def test_a_trap_flag_of_the_programs_own_traps_all_the_same(machine: Machine) -> None:
    # pushf; or dword [rsp], 0x100; popf; nop; nop
    machine.load("9c 810c2400010000 9d 90 90")
    machine.engine.regs.rip, machine.engine.regs.rsp = CODE, STACK_TOP
    kinds = [machine.engine.run(step=True).kind for _ in range(4)]
    assert kinds == ["step", "step", "step", "exception"]
    assert machine.engine.regs.rip == CODE + 10


def test_a_step_that_faults_and_one_that_raises_leave_no_trap_flag(machine: Machine) -> None:
    exit = None
    for code, kind in (("488b0425000000 00", "fault"), ("0f0b", "exception"), ("31c9 f7f1", "exception")):
        machine.load(code)
        machine.engine.regs.rip = CODE
        for _ in range(2):
            exit = machine.engine.run(step=True)
            if exit.kind != "step":
                break
        assert exit is not None
        assert exit.kind == kind
        assert machine.engine.regs.rflags & 0x100 == 0


def test_a_step_ends_at_a_breakpoint_and_at_a_watched_byte(machine: Machine) -> None:
    machine.load("8807 90")
    machine.engine.break_at(CODE)
    machine.engine.watch(DATA, 1)
    machine.engine.regs.rip, machine.engine.regs.rdi = CODE, DATA
    assert [machine.engine.run(step=True).kind for _ in range(3)] == ["breakpoint", "watchpoint", "step"]


def test_many_breakpoints_count_as_one_trace(machine: Machine) -> None:
    """Each instruction of a loop has one: the trace is that of single steps."""
    machine.load(LOOP)
    for at in (0, 2, 4, 7, 9, 14):
        machine.engine.break_at(CODE + at)
    traced = []
    exit = machine.run()
    while exit.kind == "breakpoint":
        traced.append(exit.pc)
        exit = machine.go_on()
    machine.engine._own_space()._set_points(None, [], {})  # type: ignore[attr-defined]
    machine.engine.regs.rip = CODE
    stepped = [CODE]
    while (exit := machine.engine.run(step=True)).kind == "step":
        stepped.append(exit.pc)
    assert traced == stepped


def test_points_refuse_what_makes_no_sense(machine: Machine) -> None:
    for arguments in ((DATA, 0), (DATA, 1, MappingFlags(0)), ((1 << 64) - 1, 2)):
        with pytest.raises(ValueError, match="watchpoint"):
            machine.engine.watch(*arguments)
    with pytest.raises((ValueError, OverflowError)):
        machine.engine.break_at(-1)
    empty = machine.new_engine()
    with pytest.raises(RuntimeError, match="space"):
        empty.break_at(CODE)
    empty.close()
    assert isinstance(machine.engine.break_at(0xFFFF_FFFF_FFFF_FFFF), Breakpoint)
    assert isinstance(machine.engine.watch(0xFFFF_FFFF_FFFF_FFFE, 2), Watchpoint)
    assert ended(machine.run(LOOP))
