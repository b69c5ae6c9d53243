"""Several spaces in turn on one engine: each keeps its process, which goes with the space."""

from __future__ import annotations

import gc
import os
import subprocess
import time

from axptr.flags import MappingFlags
from axptr.mm.space import AddrSpace

from .conftest import CODE, DATA, PAGE, STACK, NativeMachine

R, W, X = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE


def another(native: NativeMachine, value: int) -> AddrSpace:
    """A space with the program below and a number in its data."""
    space = AddrSpace(PAGE, (1 << 47) - 2 * PAGE, native.phys)
    space.map_alloc(CODE, PAGE, R | X)
    space.map_alloc(DATA, 16 * PAGE, R | W)
    space.map_alloc(STACK, 4 * PAGE, R | W)
    # inc dword [rdi]; mov ebx, [rdi]; movd xmm1, ebx; mov eax, 60; syscall; jmp back
    space.write(CODE, bytes.fromhex("ff07 8b1f 660f6ecb b83c000000 0f05 ebef"))
    space.write(DATA, value.to_bytes(4, "little"))
    return space


def run_it(native: NativeMachine) -> None:
    native.engine.reset()
    native.engine.regs.rip, native.engine.regs.rdi = CODE, DATA
    assert native.engine.run(5).kind == "stopped"


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


def test_spaces_in_turn_keep_their_processes_and_registers(native: NativeMachine) -> None:
    engine = native.engine
    spaces = [another(native, 1000 * i) for i in range(5)]
    contexts = []
    for space in spaces:
        engine.attach(space)
        engine.reset()
        engine.regs.rip, engine.regs.rdi = CODE, DATA
        contexts.append(engine.save())
    pids: dict[int, int | None] = {}
    for turn in range(1, 40):
        for i, space in enumerate(spaces):
            engine.restore(contexts[i])
            engine.attach(space)
            assert engine.run(5).kind == "stopped"
            assert engine.regs.rbx == engine.regs.xmm1 == 1000 * i + turn
            contexts[i] = engine.save()
            assert pids.setdefault(i, engine.guest_pid) == engine.guest_pid
    assert engine.stubs == len(set(pids.values())) == 5
    assert sorted(engine.guest_pids) == sorted(pid for pid in pids.values() if pid)


def wait_for_its_end(pid: int) -> None:
    """It runs no instruction any more, and is gone when the host comes to it."""
    end = time.monotonic() + 60
    while alive([pid]):
        assert time.monotonic() < end
        time.sleep(0.001)


def test_a_process_goes_with_its_space(native: NativeMachine) -> None:
    space = another(native, 0)
    native.engine.attach(space)
    run_it(native)
    pid = native.engine.guest_pid
    assert pid is not None
    native.engine.attach(native.space)
    assert alive([pid])
    del space
    gc.collect()
    wait_for_its_end(pid)
    native.check()


def test_a_process_serves_the_next_space_of_kin_and_shows_nothing_of_the_last(native: NativeMachine) -> None:
    """Programs that may do to each other what they like: what the last one had is gone, its memory free."""
    engine = native.engine
    pids, frames = set(), set()
    for number in range(1, 30):
        space = another(native, number)
        space.is_kin = True
        both = [space, space.try_clone()]
        del space
        while both:
            each = both.pop()
            assert each.is_kin
            engine.attach(each)
            run_it(native)
            assert int.from_bytes(each.read(DATA, 4), "little") == number + 1 == engine.regs.rbx
            assert engine.guest_pid is not None
            pids.add(engine.guest_pid)
            engine.attach(native.space)
            del each
            gc.collect()
        frames.add(native.phys.data_frames)
    assert len(pids) == 1
    assert len(frames) == 1
    stranger = another(native, 0)
    engine.attach(stranger)
    engine.prepare()
    assert engine.guest_pid not in pids
    engine.attach(native.space)
    native.check()


def test_a_space_that_changed_meanwhile_is_seen_as_it_is(native: NativeMachine) -> None:
    engine, space = native.engine, another(native, 6)
    engine.attach(space)
    engine.reset()
    engine.regs.rip, engine.regs.rdi = CODE, DATA
    assert engine.run(5).kind == "stopped"
    context = engine.save()
    engine.attach(native.space)
    native.check()
    twin = space.try_clone()  # its pages are shared now
    space.write(DATA, (20).to_bytes(4, "little"))
    for which, value in ((space, 21), (twin, 8), (space, 22), (twin, 9)):
        engine.restore(context)
        engine.attach(which)
        assert engine.run(5).kind == "stopped"
        assert engine.regs.rbx == value
    space.unmap(DATA, PAGE)
    engine.restore(context)
    exit = engine.run(5)
    assert exit.kind == "stopped"  # the twin is attached
    engine.attach(space)
    engine.restore(context)
    exit = engine.run(5)
    assert (exit.kind, exit.address) == ("fault", DATA)
    engine.attach(native.space)


def test_frames_do_not_wait_for_a_space_whose_turn_does_not_come(native: NativeMachine) -> None:
    """Given up by one that sleeps while another runs: they are free again before long."""
    engine, sleeper = native.engine, another(native, 0)
    sleeper.map_alloc(0x1000_0000, 4096 * PAGE, R | W)
    engine.attach(sleeper)
    engine.reset()
    # mov byte [rdi], 1; add rdi, 4096; dec ecx; jnz back; mov eax, 60; syscall
    sleeper.protect(CODE, PAGE, R | W)
    sleeper.write(CODE, bytes.fromhex("c60701 4881c700100000 ffc9 75f2 b83c000000 0f05"))
    sleeper.protect(CODE, PAGE, R | X)
    engine.regs.rip, engine.regs.rdi, engine.regs.rcx = CODE, 0x1000_0000, 4096
    assert engine.run(5).kind == "stopped"
    engine.attach(native.space)
    native.check()
    before = native.phys.frames_in_use
    sleeper.unmap(0x1000_0000, 4096 * PAGE)
    native.check()
    native.check()
    assert native.phys.frames_in_use <= before - 4096


def test_the_least_used_is_ended_when_there_are_many(native: NativeMachine) -> None:
    engine = native.engine
    spaces = [another(native, i) for i in range(70)]
    for space in spaces:
        engine.attach(space)
        engine.prepare()
    assert len(engine.guest_pids) == len(alive(engine.guest_pids)) <= 64
    engine.attach(spaces[0])  # its process was ended long ago
    engine.reset()
    engine.regs.rip, engine.regs.rdi = CODE, DATA
    assert engine.run(5).kind == "stopped"
    assert engine.regs.rbx == 1
    engine.attach(native.space)


def test_one_that_was_killed_in_its_sleep_is_made_anew(native: NativeMachine) -> None:
    engine, space = native.engine, another(native, 5)
    engine.attach(space)
    engine.reset()
    engine.regs.rip, engine.regs.rdi = CODE, DATA
    engine.run(5)
    context, pid = engine.save(), engine.guest_pid
    engine.attach(native.space)
    native.check()
    subprocess.run(["kill", "-9", str(pid)], check=True)
    engine.restore(context)
    engine.attach(space)
    assert engine.run(5).kind == "stopped"
    assert engine.regs.rbx == 7
    assert engine.guest_pid != pid


def test_a_process_that_was_never_used_serves_the_next_space(native: NativeMachine) -> None:
    """Also when nobody looks for garbage in between: what a program is loaded into replaces a space without a page."""
    engine = native.engine
    spaces = [AddrSpace(PAGE, (1 << 47) - 2 * PAGE, native.phys)]
    engine.attach(spaces[0])
    engine.prepare()
    pid, made = engine.guest_pid, engine.stubs
    spaces.append(another(native, 7))
    engine.attach(spaces[1])
    del spaces[0]
    run_it(native)
    assert (engine.guest_pid, engine.stubs) == (pid, made)
    assert engine.regs.rbx == 8
    engine.attach(native.space)
    del spaces[0]
    assert pid is not None
    wait_for_its_end(pid)


def test_spaces_that_come_and_go_leave_nothing(native: NativeMachine) -> None:
    engine = native.engine
    native.check()

    def state() -> tuple[int, int, int]:
        gc.collect()
        with open("/proc/self/maps") as maps:
            return len(os.listdir("/proc/self/fd")), sum(1 for _ in maps), len(engine.guest_pids)

    pids: list[int] = []
    before = (0, 0, 0)
    begin = time.monotonic()
    for i in range(10_000):
        space = another(native, i)
        engine.attach(space)
        if i % 5:  # else it never gets a page, and its process is the next one's
            run_it(native)
        else:
            engine.prepare()
        if i < 100:
            pids += engine.guest_pids
        engine.attach(native.space)
        del space
        if i == 54:
            before = state()
    descriptors, mappings, processes = state()
    assert (descriptors, processes) == (before[0], before[2]), time.monotonic() - begin
    assert abs(mappings - before[1]) < 50  # the interpreter has its own, which come and go
    pids = sorted(set(pids) - set(engine.guest_pids))
    assert len(alive(pids)) <= 1
    native.check()
