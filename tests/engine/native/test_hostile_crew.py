"""A hostile guest beside honest ones, all out at once on the host's cores: they compute on, their calls are their own
whatever it does to its stub, and it maps nothing of theirs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import pytest

from axptr.engine import Exit
from axptr.mm.space import AddrSpace

from .conftest import CODE, DATA, EXIT, PAGE, STACK_TOP, TARGET, NativeMachine, R, W, X
from .test_hostile import CONTROL, HAND_OVER, MMAP, call_sites, foreign_frame, jump, noise, text_size

HONEST_CALL = 39
# again: inc rbx; mov [rdi], rbx; mov rsi, rbx; mov eax, 39; syscall; cmp rax, rbx; jne bad; cmp [rdi], rbx; je again
# bad: ud2
HONEST = bytes.fromhex("48ffc3 48891f 4889de b827000000 0f05 4839d8 7505 48391f 74e6 0f0b")


class Crew:
    """Two honest guests that run all the time, and one that is let go for one attempt after the other."""

    def __init__(self, native: NativeMachine) -> None:
        self.native, self.engine = native, native.engine
        native.check()
        self.base, self.sites, self.size = native.base, call_sites(native), text_size(native)
        self.counts = [0, 0]
        self.spaces, self.honest = [], []
        for number in range(2):
            space = AddrSpace(PAGE, (1 << 47) - 2 * PAGE, native.phys)
            space.map_alloc(CODE, PAGE, R | W | X)
            space.map_alloc(DATA + number * PAGE, PAGE, R | W)
            space.write(CODE, HONEST)
            self.spaces.append(space)
            self.engine.attach(space)
            self.engine.reset()
            self.engine.regs.rip, self.engine.regs.rdi = CODE, DATA + number * PAGE
            self.engine.on_syscall(partial(self.serve, number))
            self.honest.append(self.engine.join(number))

    def serve(self, number: int, nr: int, *args: int) -> int:
        """Of honest guest `number`: its calls, each once, and none but its own."""
        assert (nr, *args[:2]) == (HONEST_CALL, DATA + number * PAGE, self.counts[number] + 1)
        self.counts[number] += 1
        return args[1]

    def serve_hostile(self, nr: int, *args: int) -> int:
        if nr == EXIT:
            self.engine.stop()
        return 0

    def attempt(self, code: str, seconds: float = 0.02) -> Exit | None:
        """What became of it; None if it had to be brought back."""
        engine, native = self.engine, self.native
        native.space.write(CODE, bytes.fromhex(code))
        engine.attach(native.space)
        engine.on_syscall(self.serve_hostile)
        engine.reset()
        engine.regs.rsp, engine.regs.rip = STACK_TOP, CODE
        member = engine.join("hostile")
        exit, tag = engine.run_all(seconds)
        assert tag in (None, "hostile"), (exit, tag)
        if tag is None:
            engine.withdraw(member)
        return exit if tag else None

    def check(self) -> None:
        """The honest ones go on, and nobody has the foreign frame."""
        before = list(self.counts)
        for _ in range(200):
            exit, tag = self.engine.run_all(0.05)
            assert tag is None, (exit, tag)
            if all(now > then for now, then in zip(self.counts, before, strict=True)):
                break
        else:
            pytest.fail(f"honest guests stand still: {before}, {self.counts}")
        for pid in self.engine.guest_pids:
            with open(f"/proc/{pid}/maps") as file:
                assert not any(TARGET <= int(line.split("-")[0], 16) < TARGET + (1 << 28) for line in file)
        assert self.native.phys.read(self.native.secret, 3600) == b"SECRET" * 600

    def close(self) -> None:
        for space in self.spaces:
            space.clear()


@pytest.fixture
def crew(native: NativeMachine) -> Iterator[Crew]:
    made = Crew(native)
    yield made
    made.check()
    native.engine.attach(native.space)
    for parked in made.honest:
        native.engine.withdraw(parked)
    made.honest.clear()
    made.close()
    native.engine.on_syscall(native._serve)


def test_no_byte_of_the_stub_harms_those_beside_it(crew: Crew) -> None:
    for offset in range(0, crew.size, 3):
        crew.attempt(jump(crew.base + offset, **foreign_frame(crew.native)))
        if offset % 60 == 0:
            crew.check()


def test_a_forged_hand_over_is_nobody_elses_event(crew: Crew) -> None:
    for site in crew.sites:
        for nr in (HAND_OVER, MMAP, HONEST_CALL):
            crew.attempt(jump(site, **foreign_frame(crew.native) | {"rax": nr, "rdi": DATA, "rsi": 7}), 0.05)
        crew.check()


@pytest.mark.parametrize("length", [0x100, 0x10000, 0x20000])
def test_noise_in_the_control_block_is_the_harm_of_its_own_guest(crew: Crew, length: int) -> None:
    """All that the stub and the engine tell each other, with calls between and behind."""
    for code in noise(crew.base + CONTROL, length):
        crew.attempt(code, 0.2)
        crew.check()


def test_one_that_never_comes_back_does_not_keep_the_others(crew: Crew) -> None:
    """Handing over without end, and not at all."""
    crew.native.space.write(CODE + 0x200, bytes.fromhex(jump(crew.sites[0], rax=HAND_OVER)))
    for code in ("ebfe", jump(crew.base + 0x30, rax=HAND_OVER), jump(crew.sites[0], rax=HAND_OVER)):
        crew.attempt(code, 0.2)
        crew.check()


def test_a_process_that_its_own_guest_ends_is_no_loss_to_the_others(crew: Crew) -> None:
    """By the calls that kill it when they are judged, again and again."""
    pids = set()
    for _ in range(20):
        crew.attempt(jump(crew.sites[1], **foreign_frame(crew.native)), 0.1)
        pids.update(crew.engine.guest_pids)
        crew.check()
    assert os.getpid() not in pids
