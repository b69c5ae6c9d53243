"""Guests that take turns and leave their registers where they are: in their processes, in the calls they wait in."""

from __future__ import annotations

import os
import pickle
import random
import signal
import time

import pytest

from axptr.engine import Context, UnicornEngine
from axptr.engine.native import NativeEngine
from axptr.errors import GuestLost
from axptr.flags import MappingFlags
from axptr.mm.space import AddrSpace

from .conftest import CODE, DATA, PAGE, NativeMachine

R, W, X = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
# again: inc rbx; movq xmm1, rbx; mov [rdi], rbx; mov eax, 39; syscall; add rbp, rax; movq r12, xmm1; jmp again
STEPS = bytes.fromhex("48ffc3 66480f6ecb 48891f b827000000 0f05 4801c5 66490f7ecc ebe4")
BEHIND = CODE + 18


def another(native: NativeMachine) -> AddrSpace:
    space = AddrSpace(PAGE, (1 << 47) - 2 * PAGE, native.phys)
    space.map_alloc(CODE, PAGE, R | W | X)
    space.map_alloc(DATA, PAGE, R | W)
    space.write(CODE, STEPS)
    return space


class Guest:
    """Counts in rbx, xmm1 and memory of its own, and adds up what its calls give."""

    def __init__(self, native: NativeMachine, space: AddrSpace, number: int) -> None:
        engine = native.engine
        engine.reset()
        self.space, self.at = space, DATA + 8 * (number % 512)
        regs = engine.regs
        regs.rip, regs.rdi, regs.rbx, regs.fs_base = CODE, self.at, 1000 * number, 0x1000 * number
        self.first = 1000 * number
        self.number, self.turns, self.given = number, 0, 0
        self.parked: object = engine.save()

    def turn(self, engine: NativeEngine) -> None:
        engine.resume(self.parked, self.space)
        if self.turns:
            self.given += self.turns
            engine.regs.result = self.turns
        assert engine.run(5).kind == "stopped"
        self.turns += 1
        self.parked = engine.park()

    def check(self, engine: NativeEngine) -> None:
        context = engine.saved(self.parked)
        assert context.read("rbx") == self.first + self.turns
        assert int.from_bytes(context.extended[176:192], "little") == self.first + self.turns
        assert context.read("r12") == (self.first + self.turns - 1 if self.turns > 1 else 0)
        assert context.read("rbp") == self.given
        assert context.read("fs_base") == 0x1000 * self.number
        assert context.pc == BEHIND
        assert int.from_bytes(self.space.read(self.at, 8), "little") == self.first + self.turns


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_guests_that_are_parked_go_on_whoever_ran_meanwhile(native: NativeMachine, threads: int) -> None:
    """Some in one space, some in their own, in random order; now and then one is looked at, or saved and restored."""
    engine, dice = native.engine, random.Random(threads)
    engine.keep_in_calls()
    engine.on_syscall(lambda *call: engine.stop())
    spaces = [another(native) for _ in range(3)]
    guests = [Guest(native, space, 1 + i * threads + j) for i, space in enumerate(spaces) for j in range(threads)]
    for _ in range(600):
        guest = dice.choice(guests)
        guest.turn(engine)
        if not dice.randrange(10):
            guest.check(engine)
        if not dice.randrange(20):
            other = dice.choice(guests)
            if other.turns:
                other.parked = pickle.loads(pickle.dumps(engine.saved(other.parked)))
    for guest in guests:
        if guest.turns:
            guest.check(engine)
    assert engine.stubs <= 4 * len(spaces) + 1
    engine.on_syscall(native._serve)
    engine.attach(native.space)


def test_more_guests_than_processes(native: NativeMachine) -> None:
    engine = native.engine
    engine.keep_in_calls()
    engine.on_syscall(lambda *call: engine.stop())
    guests = [Guest(native, another(native), 1 + i) for i in range(80)]
    for _ in range(2):
        for guest in guests:
            guest.turn(engine)
    for guest in guests:
        guest.check(engine)
    assert len(engine.guest_pids) <= 64
    engine.on_syscall(native._serve)
    engine.attach(native.space)


def test_what_is_taken_from_a_space_is_gone_when_a_parked_guest_goes_on(native: NativeMachine) -> None:
    engine = native.engine
    engine.keep_in_calls()
    engine.on_syscall(lambda *call: engine.stop())
    mine = Guest(native, another(native), 1)
    mine.turn(engine)
    other = Guest(native, another(native), 2)
    other.turn(engine)
    mine.space.protect(DATA, PAGE, R)
    engine.resume(mine.parked, mine.space)
    exit = engine.run(5)
    assert (exit.kind, exit.address) == ("fault", DATA + 8)
    mine.parked = engine.park()
    mine.space.unmap(DATA, PAGE)
    other.turn(engine)
    engine.resume(mine.parked, mine.space)
    exit = engine.run(5)
    assert (exit.kind, exit.address, engine.regs.rbx) == ("fault", DATA + 8, 1002)
    engine.on_syscall(native._serve)
    engine.attach(native.space)


def test_frames_wait_for_no_parked_guest(native: NativeMachine) -> None:
    """What one gave up that sleeps is used again in the end, and it is none the worse for it."""
    engine = native.engine
    engine.keep_in_calls()
    engine.on_syscall(lambda *call: engine.stop())
    sleeper, busy = Guest(native, another(native), 1), Guest(native, another(native), 2)
    sleeper.space.map_alloc(0x1000_0000, 1024 * PAGE, R | W, populate=True)
    sleeper.turn(engine)
    busy.turn(engine)
    before = native.phys.frames_in_use
    sleeper.space.unmap(0x1000_0000, 1024 * PAGE)
    for _ in range(20):
        busy.turn(engine)
    sleeper.check(engine)
    assert native.phys.frames_in_use <= before - 1024
    sleeper.turn(engine)
    sleeper.check(engine)
    engine.on_syscall(native._serve)
    engine.attach(native.space)


def test_a_parked_guest_whose_process_was_ended_is_lost_and_the_others_go_on(native: NativeMachine) -> None:
    engine = native.engine
    engine.keep_in_calls()
    engine.on_syscall(lambda *call: engine.stop())
    one, two = Guest(native, another(native), 1), Guest(native, another(native), 2)
    one.turn(engine)
    (pid,) = set(engine.guest_pids)
    two.turn(engine)
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 20
    while not ended(pid):
        assert time.monotonic() < end
        time.sleep(0.01)
    two.turn(engine)
    two.check(engine)
    engine.resume(one.parked, one.space)
    engine.regs.result = 1
    assert engine.run(5).kind == "lost"
    one.parked = engine.park()
    with pytest.raises(RuntimeError, match="lost"):
        engine.saved(one.parked)
    two.turn(engine)
    two.check(engine)
    engine.on_syscall(native._serve)
    engine.attach(native.space)
    native.check()


@pytest.mark.parametrize("moment", ["out", "in a call"])
def test_one_of_a_crew_whose_process_was_ended_does_not_go_on_from_where_it_was_let_go(
    native: NativeMachine, moment: str
) -> None:
    engine, space = native.engine, another(native)
    engine.on_syscall(lambda *call: engine.stop())
    one = Guest(native, space, 1)
    if moment == "out":
        space.write(CODE, bytes.fromhex("48ffc3 48891f ebf8"))  # again: inc rbx; mov [rdi], rbx; jmp again
        engine.resume(one.parked, space)
    else:
        engine.keep_in_calls()
        one.turn(engine)
        engine.resume(one.parked, space)
        engine.regs.result = 1
    member = engine.join("one")
    if moment == "out":
        while int.from_bytes(space.read(one.at, 8), "little") < one.first + 2:  # it has what it needs, and runs
            assert engine.run_all(0.05)[1] is None
        last = space.read(one.at, 8)
        while space.read(one.at, 8) == last:  # since it was let go last, too
            time.sleep(0.1)
            if space.read(one.at, 8) == last:  # it has come out: the clock asked it to
                assert engine.run_all(0.05)[1] is None
                last = space.read(one.at, 8)
    (pid,) = engine.guest_pids
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 20
    while not ended(pid):
        assert time.monotonic() < end
        time.sleep(0.01)
    engine.withdraw(member)
    with pytest.raises(GuestLost):
        engine.saved(member)
    engine.resume(member, space)
    assert engine.join("again") is not None
    exit, tag = engine.run_all(5)
    assert (exit.kind, tag) == ("lost", "again")
    engine.on_syscall(native._serve)
    engine.attach(native.space)
    native.check()


@pytest.mark.parametrize("number", [39, 56])
def test_a_call_that_nobody_has_served_is_made_after_what_a_signal_does_to_the_registers(
    native: NativeMachine, number: int
) -> None:
    """One that the host tells of by a notification, one by a signal. It computes for a while before each."""
    engine, space, seen = native.engine, another(native), []
    engine.keep_in_calls()
    # again: inc rbx; mov [rdi], rbx; mov ecx, 10000000; dec ecx; jnz; mov eax, number; syscall; jmp again
    computes = bytes.fromhex("48ffc3 48891f b980969800 ffc9 75fc")
    space.write(CODE, computes + bytes((0xB8, number, 0, 0, 0)) + bytes.fromhex("0f05 ebe8"))
    one = Guest(native, space, 1)
    engine.resume(one.parked, space)

    def serve(*call: int) -> None:
        seen.append(call[0])
        engine.stop()

    engine.on_syscall(serve)
    for turn in range(1, 12):
        member = engine.join("one")
        if engine.run_all(0.004)[1] is None:
            time.sleep(0.01 * turn)  # it has made its call by now, or not: that is as good
            engine.withdraw(member)
            engine.resume(member, space)
            engine.restore(engine.save())
            assert engine.run(5).kind == "stopped"
        assert seen == [number] * turn
        assert engine.regs.rbx == one.first + turn
        engine.regs.result = 1
    engine.on_syscall(native._serve)
    engine.attach(native.space)
    native.check()


def ended(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def test_a_parked_guest_goes_over_to_another_engine(native: NativeMachine) -> None:
    engine = native.engine
    engine.keep_in_calls()
    engine.on_syscall(lambda *call: engine.stop())
    guest = Guest(native, another(native), 3)
    guest.turn(engine)
    context = engine.saved(guest.parked)
    assert isinstance(context, Context)
    with pytest.raises(TypeError):
        pickle.dumps(guest.parked)
    helper = UnicornEngine(native.phys)
    helper.on_syscall(lambda *call: helper.stop())
    helper.resume(helper.saved(Context(context.arch, context.general, context.extended[:512])), guest.space)
    assert helper.run(5).kind == "stopped"
    assert helper.regs.rbx == 3002
    helper.close()
    guest.turn(engine)
    assert engine.saved(guest.parked).read("rbx") == 3002
    engine.on_syscall(native._serve)
    engine.attach(native.space)


def test_nothing_is_parked_in_a_run_and_what_a_closed_engine_had_is_lost(native: NativeMachine) -> None:
    engine = native.engine
    engine.keep_in_calls()
    engine.on_syscall(lambda *call: engine.stop())
    guest = Guest(native, another(native), 1)
    calls = []

    def serve(*call: int) -> None:
        with pytest.raises(RuntimeError, match="between two runs"):
            engine.park()
        calls.append(call)
        engine.stop()

    engine.on_syscall(serve)
    guest.turn(engine)
    assert len(calls) == 1
    engine.close()
    with pytest.raises(RuntimeError, match="lost"):
        engine.saved(guest.parked)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="a machine of one core")
def test_one_that_goes_on_beside_another_does_so_on_another_core(native: NativeMachine) -> None:
    """It is kept off the one where the other was let go on, while there is another; alone it may run anywhere."""
    engine, ours = native.engine, os.sched_getaffinity(0)
    guests = [Guest(native, another(native), number) for number in (1, 2)]
    for guest in guests:
        guest.space.write(CODE, bytes.fromhex("48ffc3 48891f ebf8"))  # again: inc rbx; mov [rdi], rbx; jmp again
    masks: list[set[int]] = []
    for _ in range(20):  # whoever lets them go may have been moved between the two
        members = []
        for guest in guests:
            engine.resume(guest.parked, guest.space)
            members.append(engine.join(guest))
        assert engine.run_all(0.02)[1] is None
        masks = [os.sched_getaffinity(pid) for pid in engine.guest_pids if os.sched_getaffinity(pid) != ours]
        for guest, member in zip(guests, members, strict=True):
            engine.withdraw(member)
            guest.parked = member
        if masks:
            break
    assert 1 <= len(masks) <= 2  # both, if they met on either core
    assert all(len(ours - mask) == 1 for mask in masks)
    for guest in guests:
        engine.resume(guest.parked, guest.space)
        member = engine.join(guest)
        assert engine.run_all(0.02)[1] is None
        engine.withdraw(member)
    assert all(os.sched_getaffinity(pid) == ours for pid in engine.guest_pids)
    engine.attach(native.space)
    native.check()
