"""Two threads of one space, each on a core of its own, one of them hostile: to its own stub, to the judge while memory
that both have is changed, to whoever waits for it. It gets of the other what threads have of each other."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from axptr.engine import Exit

from .conftest import CODE, DATA, EXIT, PAGE, STACK_TOP, TARGET, NativeMachine, R, W
from .test_hostile import (
    CONTROL,
    HAND_OVER,
    MMAP,
    MPROTECT,
    MUNMAP,
    foreign_frame,
    jump,
    noise,
    quad,
    signals_off,
    text_size,
)
from .test_hostile_crew import HONEST, HONEST_CALL

pytestmark = pytest.mark.usefixtures("waiting")
HONEST_CODE, HONEST_DATA = CODE + 8 * PAGE, DATA + 8 * PAGE
LOST_PAGE, SEEN = DATA + 4 * PAGE, DATA + 2 * PAGE
"""A page that comes and goes, and where the hostile one writes what it finds in it."""
AWAKE = 9 * 8 + 2 * 4
"""Of the control block: whether a guest that is gone had been let run (`struct nat_channel`)."""
PATIENCE = 1.0
"""Seconds: longer nobody waits under the memory's lock for one that does not come back, unless it gets no CPU."""


class Pair:
    """An honest guest that runs all the time, and one in its space that is let go for one attempt after the other."""

    def __init__(self, native: NativeMachine) -> None:
        self.native, self.engine, self.space = native, native.engine, native.space
        native.check()
        self.base, self.size = native.base, text_size(native)
        self.count = 0
        self.changes = False
        self.takes_at = 0
        self.mapped = True
        self.space.write(HONEST_CODE, HONEST)
        self.space.write(HONEST_DATA, bytes(8))
        self.space.map_alloc(LOST_PAGE, PAGE, R | W, replace=True)
        self.start_honest()

    def start_honest(self) -> None:
        self.engine.attach(self.space)
        self.engine.reset()
        self.engine.regs.rip, self.engine.regs.rdi = HONEST_CODE, HONEST_DATA
        self.engine.on_syscall(self.serve)
        self.honest = self.engine.join("honest")

    def serve(self, nr: int, *args: int) -> int:
        """Of the honest guest: its calls, each once. With `changes` each takes the page away, or brings another."""
        assert (nr, *args[:2]) == (HONEST_CALL, HONEST_DATA, self.count + 1)
        self.count += 1
        if self.changes:
            self.change()
        if self.count == self.takes_at:
            self.space.unmap(LOST_PAGE, PAGE)
        return args[1]

    def change(self) -> None:
        """What the page's frame has next is somebody else's: nobody who had the page may see it."""
        if not self.mapped:
            self.space.map_alloc(LOST_PAGE, PAGE, R | W)
        elif self.count % 3:
            self.space.unmap(LOST_PAGE, PAGE)
        else:
            self.space.protect(LOST_PAGE, PAGE, R)
            self.space.protect(LOST_PAGE, PAGE, R | W)
            return
        self.mapped = not self.mapped

    def serve_hostile(self, nr: int, *args: int) -> int:
        if nr == EXIT:
            self.engine.stop()
        return 0

    def let_go(self, code: str) -> object:
        self.space.write(CODE, bytes.fromhex(code))
        self.engine.attach(self.space)
        self.engine.on_syscall(self.serve_hostile)
        self.engine.reset()
        self.engine.regs.rsp, self.engine.regs.rip = STACK_TOP, CODE
        return self.engine.join("hostile")

    def attempt(self, code: str, seconds: float = 0.02) -> Exit | None:
        """What became of it; None if it had to be brought back."""
        member = self.let_go(code)
        exit, tag = self.engine.run_all(seconds)
        assert tag in (None, "hostile"), (exit, tag)
        if tag is None:
            self.engine.withdraw(member)
        return exit if tag else None

    def go_on(self, seconds: float) -> Exit | None:
        """Let both run for so long, or until the hostile one comes out: how."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            exit, tag = self.engine.run_all(0.02)
            assert tag in (None, "hostile"), (exit, tag)
            if tag:
                return exit
        return None

    def check(self) -> None:
        """The honest one goes on, and nobody has the foreign frame."""
        before = self.count
        until = time.monotonic() + 20
        while self.count == before:
            assert time.monotonic() < until, "the honest guest stands still"
            exit, tag = self.engine.run_all(0.02)
            assert tag is None, (exit, tag)
        for pid in self.engine.guest_pids:
            with open(f"/proc/{pid}/maps") as file:
                assert not any(TARGET <= int(line.split("-")[0], 16) < TARGET + (1 << 28) for line in file)
        assert self.native.phys.read(self.native.secret, 3600) == b"SECRET" * 600


@pytest.fixture
def pair(native: NativeMachine) -> Iterator[Pair]:
    made = Pair(native)
    yield made
    made.check()
    native.engine.attach(native.space)
    native.engine.withdraw(made.honest)
    del made.honest
    native.engine.on_syscall(native._serve)
    native.check()


def sites(pair: Pair) -> list[int]:
    with open(f"/proc/{pair.engine.guest_pids[0]}/mem", "rb") as memory:
        memory.seek(pair.base)
        text = memory.read(pair.size)
    return [pair.base + at for at in range(len(text)) if text.startswith(b"\x0f\x05", at)]


def restorer(pair: Pair) -> int:
    """Where the stub's text has `mov eax, 15; syscall`."""
    with open(f"/proc/{pair.engine.guest_pids[0]}/mem", "rb") as memory:
        memory.seek(pair.base)
        return pair.base + memory.read(pair.size).index(bytes.fromhex("b80f000000 0f05"))


def deaf(pair: Pair, code: str = "ebfe", before: str = "") -> str:
    """Code of a guest that no signal reaches any more, running `code`; before: what it does first."""
    pair.space.write(DATA, signals_off(CODE + 0x200))
    pair.space.write(CODE + 0x200, bytes.fromhex(code))
    # mov rax, DATA; mov al, [rax]: what it returns by must be there, else the host's kernel finds no frame
    return before + "48b8" + quad(DATA) + "8a00 48bc" + quad(DATA) + jump(restorer(pair))


def test_no_byte_of_the_stub_harms_the_other_thread(pair: Pair) -> None:
    for offset in range(0, pair.size, 3):
        pair.attempt(jump(pair.base + offset, **foreign_frame(pair.native)))
        if offset % 60 == 0:
            pair.check()


def test_a_forged_hand_over_is_not_the_other_threads_event(pair: Pair) -> None:
    for site in sites(pair):
        for nr in (HAND_OVER, MMAP, HONEST_CALL):
            pair.attempt(jump(site, **foreign_frame(pair.native) | {"rax": nr, "rdi": HONEST_DATA, "rsi": 7}), 0.05)
        pair.check()


@pytest.mark.parametrize("length", [0x100, 0x10000, 0x20000])
def test_noise_in_the_control_block_is_the_harm_of_its_own_thread(pair: Pair, length: int) -> None:
    for code in noise(pair.base + CONTROL, length):
        pair.attempt(code, 0.2)
        pair.check()


# again: mov rax, [rsi]; mov [rdi], rax; jmp again: what it finds in the page, where it can be seen
LOOKS = "488b06 488907 ebf8"


@pytest.mark.parametrize("way", ["plain", "mmap", "mprotect", "munmap", "hands over"])
def test_who_races_the_judge_keeps_nothing_that_was_taken_away(pair: Pair, way: str) -> None:
    """The honest thread's calls take a page away and bring another, its rights too. What was a frame of it is somebody
    else's as soon as it is free: the hostile thread, which reads the page all the time and makes the calls that its
    stub may be told to make, never sees a byte of that."""
    base, phys = pair.base, pair.native.phys
    before = set(sites(pair))
    registers = {
        "plain": None,
        "mmap": {"rax": MMAP, "rdi": LOST_PAGE, "rsi": PAGE, "rdx": 3, "r10": 0x8011, "r8": 3, "r9": 0},
        "mprotect": {"rax": MPROTECT, "rdi": LOST_PAGE, "rsi": PAGE, "rdx": 3},
        "munmap": {"rax": MUNMAP, "rdi": 0, "rsi": 0, "rdx": 0},
        "hands over": {"rax": HAND_OVER},
    }[way]
    pair.changes = True
    seen = 0
    until = time.monotonic() + 3
    foreign: list[object] = []
    while time.monotonic() < until:
        for site in sorted(before) if registers else [0]:
            code = "48be" + quad(LOST_PAGE) + "48bf" + quad(SEEN)
            code += LOOKS if registers is None else "488b06 488907 " * 20 + jump(site, **registers)
            pair.attempt(code, 0.01)
            # whatever is free by now is somebody else's
            foreign.extend(phys.alloc() for _ in range(8))
            for frame in foreign[-8:]:
                phys.write(frame, b"SECRET!!" * 512)
            assert pair.space.read(SEEN, 8) != b"SECRET!!"
            seen += 1
            if len(foreign) > 400:
                while foreign:
                    phys.free(foreign.pop())
    pair.changes = False
    for frame in foreign:
        phys.free(frame)
    assert seen > 10
    assert pair.count > 20
    assert base == pair.base


def test_a_call_returns_when_the_other_thread_has_lost_what_it_took_away(pair: Pair) -> None:
    """The honest thread writes its number before each call: what the other read of the page after it saw the next
    number, it had after the call."""
    # again: mov r8, [rdi]; mov r9, [rsi]; mov [rdx], r8; jmp again
    code = "48bf" + quad(HONEST_DATA) + "48be" + quad(LOST_PAGE) + "48ba" + quad(SEEN) + "4c8b07 4c8b0e 4c8902 ebf5"
    for _ in range(40):
        pair.let_go(code)
        assert pair.go_on(0.02) is None
        pair.takes_at = pair.count + 20
        exit = pair.go_on(10)
        assert exit is not None
        assert (exit.kind, exit.address) == ("fault", LOST_PAGE)
        assert int.from_bytes(pair.space.read(SEEN, 8), "little") <= pair.takes_at
        pair.space.map_alloc(LOST_PAGE, PAGE, R | W)
        pair.check()


def test_who_does_not_come_back_is_waited_for_a_moment_and_ended(pair: Pair) -> None:
    """A twin of the space is made while it runs: under the lock of the memory, which nobody else gets meanwhile."""
    waited = []
    while not waited or (min(waited) >= PATIENCE and len(waited) < 6):  # where it gets little of a CPU it takes longer
        pair.let_go(deaf(pair))
        assert pair.go_on(0.2) is None
        began = time.monotonic()
        twin = pair.space.try_clone()
        waited.append(time.monotonic() - began)
        twin.clear()
        assert pair.go_on(5) is not None
    assert min(waited) < PATIENCE
    pair.check()


def test_nor_is_it_for_a_lie_about_whether_it_ran(pair: Pair) -> None:
    """It says that it never was let run: still it does not go on once more, and again, from where it was."""
    # again: mov [awake], 0; jmp again
    at = pair.base + CONTROL + AWAKE
    clear = "48b8" + quad(at) + "31c9 488908"
    pair.let_go(deaf(pair, clear + "ebfb", clear))
    assert pair.go_on(0.2) is None
    waited = []
    for _ in range(5):
        began = time.monotonic()
        pair.space.try_clone().clear()
        waited.append(time.monotonic() - began)
        if pair.go_on(0.2) is not None:
            break
    else:
        pytest.fail(f"it goes on and on: {waited}")
    assert sum(long > 0.1 for long in waited) == 1  # before it was deaf it may have come out at once
    pair.check()


def test_who_keeps_signals_out_and_calls_on_is_no_wait_without_end(pair: Pair) -> None:
    """Asked out of a call it makes the next one, and the next: what is taken away meanwhile has it asked."""
    # again: mov eax, 500; syscall; jmp again
    pair.changes = True
    pair.let_go(deaf(pair, "b8f4010000 0f05 ebf7"))
    began = time.monotonic()
    assert pair.go_on(5) is not None
    assert time.monotonic() - began < 5
    pair.changes = False
    pair.check()
