"""The one loop: turns, waits, deadlines, other threads; on the real engine, and against a naive model on a fake one."""

from __future__ import annotations

import errno
import itertools
import pickle
import random
import threading
import time
from collections.abc import Iterator
from ctypes import c_int

import pytest

from axptr.errors import LinuxError
from axptr.kernel import Kernel, RunLoop, Task, WaitQueue, WorkClock
from axptr.kernel.run import Clock
from axptr.mm.space import AddrSpace

pytest.importorskip("unicorn", reason="the engine needs the Unicorn library")
from axptr.engine import Exit, UnicornEngine

from .test_kernel import CODE, EXIT, Machine, call

SPIN = b"\xeb\xfe"
"""jmp to itself"""


class Thing:
    def __init__(self) -> None:
        self.queue = WaitQueue()

    def ready(self, mask: int) -> int:
        return 0

    def __reduce__(self):
        return thing_at, (THINGS.index(self),)


def thing_at(index: int) -> Thing:
    return THINGS[index]


THINGS = [Thing() for _ in range(4)]


def finish(task: Task, value: int) -> int:
    return value


def fail(task: Task, code: int) -> int:
    raise LinuxError(code)


def count_down(task: Task, left: int) -> int | None:
    if left:
        return task.block(on=[(THINGS[0], 1)], again=(count_down, (left - 1,)))
    return 77


@pytest.fixture
def machine() -> Iterator[Machine]:
    made = Machine()
    made.others = []
    kernel = made.kernel

    @kernel.syscall(1, "wait")
    def sys_wait(task: Task, which: c_int, value: c_int) -> int | None:
        return task.block(on=[(THINGS[which], 1)], again=(finish, (value,)))

    @kernel.syscall(2, "wake")
    def sys_wake(task: Task, which: c_int) -> int:
        return THINGS[which].queue.wake(1)

    @kernel.syscall(3, "sleep")
    def sys_sleep(task: Task, milliseconds: c_int) -> int | None:
        return task.block(until=time.monotonic() + milliseconds / 1000, again=(finish, (5,)))

    @kernel.syscall(4, "fork")
    def sys_fork(task: Task) -> int:
        made.others.append(task.fork())
        return 1

    @kernel.syscall(5, "switch")
    def sys_switch(task: Task) -> int:
        task.loop.switch()
        return 0

    @kernel.syscall(6, "count")
    def sys_count(task: Task, times: c_int) -> int | None:
        return count_down(task, times)

    @kernel.syscall(7, "fail")
    def sys_fail(task: Task) -> int | None:
        return task.block(until=0, again=(fail, (errno.EPIPE,)))

    made.said = []

    @kernel.syscall(8, "say")
    def sys_say(task: Task, what: c_int) -> int:
        made.said.append(what)
        return 0

    yield made
    for thing in THINGS:
        thing.queue = WaitQueue()
    for other in made.others:
        other.space.clear()
    made.space.clear()
    assert made.phys.data_frames == 0


def until_blocked(machine: Machine, code: bytes) -> None:
    """Run until the task waits, however slow the host is."""
    machine.run(code, timeout=0.02)
    while machine.task.blocked is None or machine.task.blocked.woken is not None:
        assert machine.kernel.run(machine.task, machine.engine, timeout=0.02).kind == "timeout"


def go_on_until_blocked(machine: Machine, records: object) -> None:
    while machine.task.blocked is records or machine.task.blocked.woken is not None:
        machine.kernel.run(machine.task, machine.engine, timeout=0.02)


def test_a_call_sleeps_until_its_time_and_has_the_result_of_what_goes_on(machine):
    begin = time.monotonic()
    assert machine.result(3, 60) == 5
    assert time.monotonic() - begin >= 0.06


def test_an_error_of_what_goes_on_is_the_calls(machine):
    assert machine.result(7) == -errno.EPIPE


def test_a_wait_outlasts_the_time_of_a_run_and_goes_on_in_the_next(machine):
    until_blocked(machine, call(1, 0, 9) + b"\x48\x89\xc3")
    machine.task.loop._check()
    THINGS[0].queue.wake(1)
    assert machine.kernel.run(machine.task, machine.engine).kind == "stopped"
    assert machine.engine.regs.rbx == 9


def test_a_woken_call_may_wait_again(machine):
    until_blocked(machine, call(6, 3) + b"\x48\x89\xc3")
    for left in (2, 1):
        record = machine.task.blocked
        assert record.data == (left,)
        THINGS[0].queue.wake(1)
        go_on_until_blocked(machine, record)
        machine.task.loop._check()
    THINGS[0].queue.wake(1)
    machine.kernel.run(machine.task, machine.engine)
    assert machine.engine.regs.rbx == 77


def test_a_child_has_registers_and_memory_of_its_own_and_wakes_its_parent(machine):
    parent = call(1, 0, 4) + b"\x48\x89\xc3"
    end = call(EXIT)
    code = call(4) + b"\x85\xc0\x74" + bytes([len(parent + end)]) + parent + end
    say = b"\x89\xc7\xb8\x08\x00\x00\x00\x0f\x05"  # say(eax)
    assert machine.run(code + call(3, 30) + call(2, 0) + say).kind == "stopped"
    assert machine.engine.regs.rbx == 4
    (child,) = machine.others
    assert child.space is not machine.space
    assert child not in child.loop.tasks or machine.kernel.run(child, machine.engine).kind == "stopped"
    assert machine.said == [1]  # woke one


def test_two_that_never_call_share_the_cpu_by_time(machine):
    machine.run(call(4) + call(8, 1) + SPIN, timeout=0.1)
    while machine.said != [1, 1]:  # a slow host
        machine.kernel.run(machine.task, machine.engine, timeout=0.1)
    machine.task.loop._check()


def schedule(nanoseconds: int) -> list[int]:
    """Which of two busy tasks makes its calls when, by a clock that passes with the work."""
    machine, said = Machine(), []
    engine = machine.engine = UnicornEngine(machine.phys, metered=True)

    @machine.kernel.syscall(4, "fork")
    def sys_fork(task: Task) -> int:
        machine.child = task.fork(result=2)
        return 1

    @machine.kernel.syscall(8, "say")
    def sys_say(task: Task, what: c_int) -> int | None:
        said.append(what)
        if len(said) >= 2000:
            task.engine.stop()
        return None

    say = b"\xb8\x08\x00\x00\x00\x89\xef\x0f\x05"  # say(ebp)
    loop = b"\xff\xc1\xff\xc1\xff\xc1" + say
    code = call(4) + b"\x89\xc5" + loop
    machine.task.loop = RunLoop(engine, clock=WorkClock(engine), slice=nanoseconds / 10**9)
    machine.space.write(CODE, code + b"\xeb" + (-len(loop) - 2).to_bytes(1, "little", signed=True))
    machine.engine.regs.pc = CODE
    machine.kernel.run(machine.task, machine.engine, timeout=60)
    machine.task.loop.close()
    machine.child.space.clear()
    machine.space.clear()
    return said[:2000]


def test_slices_by_work_repeat_exactly():
    one = schedule(3000)
    assert len(one) == 2000
    assert schedule(3000) == one
    assert schedule(2000) != one
    assert set(one) == {1, 2}
    runs = [len(list(group)) for _, group in itertools.groupby(one)][1:-1]
    assert max(runs) - min(runs) <= 1  # of 17 bytes each
    assert 170 <= min(runs) <= 180


def test_a_sleep_by_the_work_takes_no_time():
    machine = Machine()
    engine = machine.engine = UnicornEngine(machine.phys, metered=True)
    loop = machine.task.loop = RunLoop(engine, clock=WorkClock(engine))

    @machine.kernel.syscall(3, "sleep")
    def sys_sleep(task: Task, seconds: c_int) -> int | None:
        return task.block(until=loop.clock.monotonic() + seconds, again=(finish, (5,)))

    begin = time.monotonic()
    assert machine.result(3, 3600) == 5
    assert time.monotonic() - begin < 60
    assert 3600 <= loop.clock.monotonic() < 3601
    machine.space.clear()


def test_switch_lets_all_others_have_a_turn(machine):
    code = call(4) + b"\x89\xc5"  # mov ebp, eax
    # say ebp (as 8's argument), switch, three times
    say = b"\xb8\x08\x00\x00\x00\x89\xef\x0f\x05" + call(5)
    machine.run(code + say * 3)
    while machine.others and machine.others[0] in machine.others[0].loop.tasks:
        machine.kernel.run(machine.others[0], machine.engine)
    assert machine.said in ([1, 0] * 3, [0, 1] * 3)


def test_posted_functions_run_in_the_loops_thread_at_once(machine):
    seen = []

    def post() -> None:
        loop = machine.task.loop
        loop.post(lambda: seen.append(threading.current_thread()))
        loop.post(THINGS[0].queue.wake)

    threading.Timer(0.05, post).start()
    begin = time.monotonic()
    assert machine.result(1, 0, 6) == 6
    assert time.monotonic() - begin < 50
    assert seen == [threading.current_thread()]


def test_a_post_to_a_busy_cpu_does_not_end_its_run(machine):
    seen = []
    loop = machine.task.loop = RunLoop(machine.engine)
    threading.Timer(0.05, lambda: loop.post(seen.append, 1)).start()
    assert machine.run(SPIN, timeout=0.3).kind == "timeout"
    assert seen == [1]


def test_what_a_posted_function_raises_comes_out_and_the_wait_goes_on(machine):
    until_blocked(machine, call(1, 0, 3) + b"\x48\x89\xc3")
    machine.task.loop.post(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        machine.kernel.run(machine.task, machine.engine)
    machine.task.loop._check()
    THINGS[0].queue.wake()
    machine.kernel.run(machine.task, machine.engine)
    assert machine.engine.regs.rbx == 3


def test_a_tracer_is_told_of_a_call_that_waited_when_it_has_its_result(machine):
    seen = []
    machine.kernel.on_call = lambda task, syscall, args, outcome: seen.append((syscall.name, args, outcome))
    machine.kernel.count_calls = True
    until_blocked(machine, call(1, 0, 9))
    assert seen == []
    THINGS[0].queue.wake()
    machine.kernel.run(machine.task, machine.engine)
    assert seen[0] == ("wait", (0, 9), 9)
    assert machine.kernel.calls == {"wait": 1, "exit": 1}


def test_a_record_goes_on_in_a_twin(machine):
    until_blocked(machine, call(6, 1) + b"\x48\x89\xc3")
    data = pickle.dumps(machine.task.blocked)
    registers = machine.task.loop.registers(machine.task)
    machine.task.loop.remove(machine.task)
    twin = Task(machine.space)
    twin.kernel, twin.blocked = machine.kernel, pickle.loads(data)
    loop = RunLoop(machine.engine)
    twin.context = registers
    loop.add(twin)
    loop._check()
    THINGS[0].queue.wake()
    loop.run(twin)
    assert machine.engine.regs.rbx == 77


def test_blocking_outside_of_a_loop_or_twice_is_refused(machine):
    with pytest.raises(RuntimeError, match="never run"):
        Task(machine.space).block()
    until_blocked(machine, call(1, 0, 3))
    with pytest.raises(RuntimeError, match="waits already"):
        machine.task.block()
    with pytest.raises(RuntimeError, match="while it runs"):
        Task(machine.space).fork()


def test_ten_thousand_sleepers_cost_the_one_that_runs_nothing(machine):
    loop = RunLoop(machine.engine)
    for _ in range(10_000):
        task = Task(machine.space)
        loop.add(task)
        task.block(on=[(THINGS[1], 1)], until=time.monotonic() + 1000)
    machine.task.loop = loop
    machine.space.write(CODE, call(8, 1) * 20 + call(EXIT))
    machine.engine.regs.rip = CODE
    starts = machine.engine.starts
    machine.kernel.run(machine.task, machine.engine)
    assert machine.engine.starts - starts <= 2
    for task in list(loop.tasks):
        loop.remove(task)
    loop._check()


def test_waking_another_leaves_a_task_in_the_cpu_until_its_slice_is_over(machine):
    loop = machine.task.loop = RunLoop(machine.engine, slice=60.0)
    sleeper = Task(machine.space)
    loop.add(sleeper)
    sleeper.block(on=[(THINGS[0], 1)], again=(finish, (1,)))
    machine.space.write(CODE, call(2, 0) + call(8, 1) * 20 + call(EXIT))
    machine.engine.regs.rip = CODE
    starts = machine.engine.starts
    machine.kernel.run(machine.task, machine.engine)
    assert machine.said == [1] * 20
    assert machine.engine.starts - starts <= 2
    assert sleeper in loop.tasks
    loop.remove(sleeper)
    loop._check()


# -- against a model


class Model(Clock):
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class Player(Task):
    """A task without code: at each of its turns the script acts for it."""

    disturbance = False

    def __init__(self, name: int, kernel: Kernel) -> None:
        super().__init__(SPACE)
        self.name, self.kernel = name, kernel
        self.results: list[object] = []

    def disturbed(self) -> bool:
        return self.disturbance

    def enter(self) -> bool:
        self.disturbance = False
        return True

    def on_exit(self, exit: Exit) -> bool:
        return exit.kind != "stopped"

    def __repr__(self) -> str:
        return f"<Player {self.name}>"


SPACE = AddrSpace(0x1000, 1 << 30)


class FakeEngine:
    """Has one register, which is the number of its task; at each run the script does one thing."""

    space = None

    def __init__(self) -> None:
        self.regs = self
        self.result = self.pc = 0
        self.who = 0
        self.preempted = False
        self.script = lambda: "timeout"

    def attach(self, space: AddrSpace) -> None:
        pass

    def on_syscall(self, handler: object) -> None:
        pass

    def preempt(self) -> None:
        self.preempted = True

    def shorten(self, timeout: float) -> None:
        self.preempted = True

    def save(self) -> int:
        return self.who

    park = save

    def keep_in_calls(self) -> None:
        pass

    def resume(self, parked: int, space: AddrSpace) -> None:
        self.who = parked

    def run(self, timeout: float | None = None) -> Exit:
        return Exit(self.script(), 0)


def note(task: Player, at: int) -> int:
    task.results.append(("woken", task.woken, at))
    return 0


@pytest.mark.parametrize("seed", range(30))
def test_the_loop_does_as_a_naive_one(seed: int):
    """Random programs of block, wake, interrupt, switch and end: who is blocked, woken by what, and runs when."""
    rng = random.Random(seed)
    clock, engine, kernel = Model(), FakeEngine(), Kernel()
    loop = RunLoop(engine, clock=clock)  # type: ignore[arg-type]
    things = [Thing() for _ in range(3)]
    players = [Player(i, kernel) for i in range(6)]
    waits: dict[Player, tuple[dict[int, int], float | None]] = {}  # blocked: masks by thing, until
    woken: dict[Player, int] = {}
    steps = 0

    def wake_model(which: int, mask: int, n: int | None) -> int:
        count = 0
        for player in [p for p in order[which] if p in waits]:
            if n is not None and count == n:
                break
            masks, _ = waits[player]
            if masks.get(which, 0) & mask:
                woken[player] = woken.get(player, 0) | masks[which] & mask
                order[which].remove(player)
                masks[which] = 0
                count += 1
        return count

    order: list[list[Player]] = [[], [], []]

    def act() -> str:
        nonlocal steps
        steps += 1
        task = loop.current
        assert isinstance(task, Player)
        assert task.blocked is None
        if task in waits:  # it must have been woken, or interrupted
            waits.pop(task)
            if task in woken:
                events = woken.pop(task)
                assert task.results.pop() == ("woken", events, id(task))
            for queue in order:
                if task in queue:
                    queue.remove(task)
        clock.now += rng.random()
        for player, (_, until) in waits.items():
            if until is not None and until <= clock.now:
                woken.setdefault(player, 0)
        choice = rng.randrange(8)
        if choice < 3:
            chosen = {i: rng.choice((1, 2, 3)) for i in range(3) if rng.random() < 0.6}
            until = clock.now + rng.random() * 3 if rng.random() < 0.7 or not chosen else None
            waits[task] = (dict(chosen), until)
            for i in chosen:
                order[i].append(task)
            task.block(on=[(things[i], m) for i, m in chosen.items()], until=until, again=(note, (id(task),)))
        elif choice < 6:
            which, mask, n = rng.randrange(3), rng.choice((1, 2, 3)), rng.choice((None, 1, 2))
            assert things[which].queue.wake(mask, n) == wake_model(which, mask, n)
        elif choice == 6:
            victim = rng.choice(players)
            victim.disturbance = True
            victim.interrupt()
        else:
            loop.switch()
        loop.look()  # timers that are due
        loop._check()
        for player in players:
            if player.blocked is not None and player.blocked.woken is not None:
                assert player in woken, player
                assert player.blocked.woken == woken[player]
            elif player.blocked is not None:
                assert player not in woken, player
        if steps >= 300:
            task.loop.remove(task)
            raise StopIteration
        return "timeout"

    engine.script = act
    for player in players:
        player.context = player.name
        loop.add(player)
    loop._sleep = lambda: setattr(clock, "now", clock.now + 1)  # type: ignore[method-assign]
    for player in players:
        player.loop = loop
    try:
        while True:
            if not loop.queue.all:
                for player in players:  # nobody could wake them
                    if player.blocked is not None and player.blocked.until is None:
                        player.disturbance = True
                        player.interrupt()
            loop.run(players[0], timeout=0.0005)
    except StopIteration:
        pass
    assert steps >= 300
