"""What changes in a space has changed for the guest before its next instruction, code included.

FUNCTION is a page of the guest's code that others change; `ANSWER[n]` is a function there that returns n.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Callable

import pytest

from axptr import AddrSpace, LinuxError, PhysAddr, PhysMemory
from axptr.engine import UnicornEngine
from axptr.flags import MappingFlags

from .conftest import CODE, DATA, KINDS, PAGE, STACK_TOP, Machine, R, W, X

FUNCTION = 0x500000
ALIAS = 0x510000
# call rbp; mov edi, eax; mov eax, 1; syscall; jmp back: reports what the function returns, over and over
CALL_LOOP = "ffd5 89c7 b801000000 0f05 ebf3"


def answer(n: int) -> bytes:
    """mov eax, n; ret"""
    return b"\xb8" + n.to_bytes(4, "little") + b"\xc3"


def call_twice(machine: Machine, change: Callable[[], object], *, times: int = 1) -> list[int]:
    """What the function at FUNCTION returns before and after each `change`, which runs in a system call."""
    seen: list[int] = []

    def serve(nr: int, result: int, *args: int) -> int:
        seen.append(result)
        if len(seen) > times:
            machine.engine.stop()
        else:
            change()
        return 0

    machine.on_call = serve
    machine.run(CALL_LOOP, rbp=FUNCTION)
    return seen


@pytest.fixture
def code(machine: Machine) -> Machine:
    machine.space.map_alloc(FUNCTION, PAGE, R | W | X, name="function")
    machine.space.write(FUNCTION, answer(1))
    return machine


# -- code -----------------------------------------------------------------------------------------------


def test_code_written_by_the_debugger_is_new_at_once(code: Machine) -> None:
    assert call_twice(code, lambda: code.space.write(FUNCTION, answer(2))) == [1, 2]


def test_code_written_through_a_pointer_is_new_at_once(code: Machine) -> None:
    from ctypes import c_ubyte, c_uint32

    from axptr._core.pointers.pointer import UserPtr

    assert call_twice(code, lambda: UserPtr[c_uint32](FUNCTION + 1).write_unaligned(code.space, 2)) == [1, 2]
    assert call_twice(code, lambda: UserPtr[c_ubyte](FUNCTION).write_slice(code.space, answer(3))) == [2, 3]


def test_code_written_by_write_from_is_new_at_once(code: Machine) -> None:
    assert call_twice(code, lambda: code.space.write_from(FUNCTION, answer(2))) == [1, 2]


def test_code_written_into_physical_memory_is_new_at_once(code: Machine) -> None:
    where = code.space.query(FUNCTION)
    assert where is not None
    assert call_twice(code, lambda: code.phys.write(where[0], answer(2))) == [1, 2]


def test_code_written_again_and_again_is_new_each_time(code: Machine) -> None:
    values = iter(range(2, 50))
    assert call_twice(code, lambda: code.space.write(FUNCTION, answer(next(values))), times=40) == list(range(1, 42))


def test_code_written_between_runs_is_new(code: Machine) -> None:
    for n in range(1, 5):
        code.space.write(FUNCTION, answer(n))
        seen = call_twice(code, lambda: None, times=0)
        assert seen == [n]


def test_code_that_crosses_into_the_written_page_is_new(machine: Machine) -> None:
    """The translated block begins in another page."""
    machine.space.map_alloc(FUNCTION - PAGE, 2 * PAGE, R | W | X)
    machine.space.write(FUNCTION - 3, answer(1))  # mov eax, imm32 with its last bytes behind FUNCTION
    seen: list[int] = []

    def serve(nr: int, result: int, *args: int) -> int:
        seen.append(result)
        machine.space.write(FUNCTION, b"\x01\x00")
        if len(seen) == 2:
            machine.engine.stop()
        return 0

    machine.on_call = serve
    machine.run(CALL_LOOP, rbp=FUNCTION - 3)
    assert seen == [1, 0x01_0001]


def remap(machine: Machine, n: int) -> None:
    """The page goes away, and another with other code comes in its place: very likely the same frame."""
    machine.space.unmap(FUNCTION, PAGE)
    machine.space.map_alloc(FUNCTION, PAGE, R | W | X)
    machine.space.write(FUNCTION, answer(n))


def test_recycled_frame_at_the_same_address_has_its_new_code(code: Machine) -> None:
    first = code.space.query(FUNCTION)
    values = iter(range(2, 50))
    assert call_twice(code, lambda: remap(code, next(values)), times=30) == list(range(1, 32))
    again = code.space.query(FUNCTION)
    assert first is not None
    assert again is not None


def test_recycled_frame_at_another_address_has_its_new_code(code: Machine) -> None:
    """The frame of FUNCTION becomes that of another page of code, which is called at once."""
    assert call_twice(code, lambda: None, times=0) == [1]
    where = code.space.query(FUNCTION)
    code.space.unmap(FUNCTION, PAGE)
    code.space.map_alloc(ALIAS, PAGE, R | W | X)
    code.space.write(ALIAS, answer(9))
    assert code.space.query(ALIAS)[0] == where[0]  # type: ignore[index]
    seen: list[int] = []
    code.on_call = lambda nr, result, *args: (seen.append(result), code.engine.stop(), 0)[2]
    code.run(CALL_LOOP, rbp=ALIAS)
    assert seen == [9]


def test_recycled_frame_supplied_by_the_guest_itself_has_its_new_code(code: Machine) -> None:
    """Unmapped and mapped in system calls; the guest writes the new code with its own stores, then calls it."""

    def serve(nr: int, result: int, *args: int) -> int:
        if nr == 1:
            seen.append(result)
            code.space.unmap(FUNCTION, PAGE)
            code.space.map_alloc(FUNCTION, PAGE, R | W | X)
            return 0
        code.engine.stop()
        seen.append(result)
        return 0

    seen: list[int] = []
    code.on_call = serve
    # call rbp; mov edi, eax; mov eax, 1; syscall; mov [rbp], rbx; call rbp; mov edi, eax; mov eax, 2; syscall
    code.run(
        "ffd5 89c7 b801000000 0f05 48895d00 ffd5 89c7 b802000000 0f05",
        rbp=FUNCTION,
        rbx=int.from_bytes(answer(7), "little"),
    )
    assert seen == [1, 7]


def test_guest_that_writes_its_own_code_sees_it_at_once(machine: Machine) -> None:
    """In one basic block: the store changes an instruction behind it.

    mov byte [rip + 3], 5 / mov edi, 1 (its immediate is what is changed) / mov eax, 60; syscall
    """
    machine.space.map_alloc(FUNCTION, PAGE, R | W | X)
    # c6 05 disp32 imm8 is 7 bytes; the immediate of the next instruction lies one byte behind that
    machine.run("c6050100000005 bf01000000 b83c000000 0f05", at=FUNCTION)
    assert machine.calls[-1][1] == 5


def test_first_write_of_own_code_page_that_is_shared_until_then(machine: Machine, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """A private mapping of a file, run, then written by the guest: the copy has the new code, the file the old."""
    file = tmp_path / "code"
    file.write_bytes(answer(1).ljust(PAGE, b"\x90"))
    machine.space.map_file(FUNCTION, PAGE, R | W | X, file)
    # call rbp; mov byte [rbp + 1], 7; call rbp; mov edi, eax; mov eax, 60; syscall
    machine.run("ffd5 c6450107 ffd5 89c7 b83c000000 0f05", rbp=FUNCTION)
    assert machine.calls[-1][1] == 7
    assert file.read_bytes()[:6] == answer(1)


def test_write_xor_execute_jit(code: Machine) -> None:
    """mprotect to rw-, written by the guest, mprotect to r-x, called; as JIT compilers do."""
    count = 0
    seen: list[int] = []

    def serve(nr: int, result: int, *args: int) -> int:
        nonlocal count
        if nr == 1:  # report, make writable
            seen.append(result)
            code.space.protect(FUNCTION, PAGE, R | W)
            count += 1
            if count == 20:
                code.engine.stop()
        else:  # make executable
            code.space.protect(FUNCTION, PAGE, R | X)
        return 0

    code.on_call = serve
    # call rbp; mov edi, eax; mov eax, 1; syscall; inc dword [rbp + 1]; mov eax, 2; syscall; jmp back
    code.run("ffd5 89c7 b801000000 0f05 ff4501 b802000000 0f05 ebe9", rbp=FUNCTION)
    assert seen == list(range(1, 21))


def two_views(machine: Machine) -> int:
    """One frame mapped writable at FUNCTION and executable at ALIAS; its physical address."""
    frame = machine.phys.alloc()
    machine.phys.write(frame, answer(1))
    machine.space.map_linear(FUNCTION, frame, PAGE, R | W)
    machine.space.map_linear(ALIAS, frame, PAGE, R | X)
    return frame


def test_jit_through_two_mappings_of_one_frame(machine: Machine) -> None:
    """Written through a mapping that is not executable: the translated code is dropped, every time."""
    frame = two_views(machine)
    seen: list[int] = []

    def serve(nr: int, result: int, *args: int) -> int:
        seen.append(result)
        if len(seen) == 20:
            machine.engine.stop()
        return 0

    machine.on_call = serve
    # call rbp; mov edi, eax; mov eax, 1; syscall; inc dword [rbx + 1]; jmp back
    machine.run("ffd5 89c7 b801000000 0f05 ff4301 ebf0", rbp=ALIAS, rbx=FUNCTION)
    assert seen == list(range(1, 21))
    machine.space.unmap(FUNCTION, PAGE)
    machine.space.unmap(ALIAS, PAGE)
    machine.phys.free(frame)


def test_jit_through_two_mappings_without_any_call_in_between(machine: Machine) -> None:
    frame = two_views(machine)
    # call rbp; add edi, eax; inc dword [rbx + 1]; dec ecx; jnz back; mov eax, 60; syscall
    machine.run("ffd5 01c7 ff4301 ffc9 75f5 b83c000000 0f05", rbp=ALIAS, rbx=FUNCTION, rcx=100)
    assert machine.calls[-1][1] == sum(range(1, 101))
    machine.space.unmap(FUNCTION, PAGE)
    machine.space.unmap(ALIAS, PAGE)
    machine.phys.free(frame)


def test_code_that_writes_its_own_frame_through_the_other_mapping_makes_progress(machine: Machine) -> None:
    """The instruction needs the frame executable here and writable there at once.

    At ALIAS: inc dword [rbx + 0x100] / dec ecx / jnz back / mov eax, 60 / syscall
    """
    frame = two_views(machine)
    machine.phys.write(frame, bytes.fromhex("ff8300010000 ffc9 75f6 b83c000000 0f05"))
    machine.phys.write(frame + 0x100, bytes(8))
    exit = machine.run(None, at=ALIAS, rbx=FUNCTION, rcx=200)
    assert exit.kind == "stopped"
    assert machine.phys.read(frame + 0x100, 4) == (200).to_bytes(4, "little")
    # and what it writes there is executed: mov byte [rbx + 6 + 1], 9; mov edi, 1; mov eax, 60; syscall
    machine.phys.write(frame, bytes.fromhex("c6430509 bf01000000 b83c000000 0f05"))
    machine.run(None, at=ALIAS, rbx=FUNCTION)
    assert machine.calls[-1][1] == 9
    assert machine.run(None, at=FUNCTION).address == FUNCTION  # the writable mapping has not become executable
    machine.space.unmap(FUNCTION, PAGE)
    machine.space.unmap(ALIAS, PAGE)
    machine.phys.free(frame)


def test_code_written_by_python_through_the_other_mapping_is_new(machine: Machine) -> None:
    frame = two_views(machine)
    seen: list[int] = []

    def serve(nr: int, result: int, *args: int) -> int:
        seen.append(result)
        machine.space.write_from(FUNCTION, answer(2))
        if len(seen) == 2:
            machine.engine.stop()
        return 0

    machine.on_call = serve
    machine.run(CALL_LOOP, rbp=ALIAS)
    assert seen == [1, 2]
    machine.space.unmap(FUNCTION, PAGE)
    machine.space.unmap(ALIAS, PAGE)
    machine.phys.free(frame)


@pytest.mark.parametrize("other_kind", KINDS)
def test_code_written_by_one_engine_is_new_for_another(code: Machine, other_kind: str) -> None:
    other = KINDS[other_kind](code.phys)
    other.attach(code.space)
    seen: list[int] = []
    other.on_syscall(lambda nr, result, *args: (seen.append(result), other.stop(), 0)[2])
    code.load(CALL_LOOP, CODE)
    code.load("c6450102 b83c000000 0f05", CODE + 0x100)  # mov byte [rbp + 1], 2; exit
    for expected in (1, 2):
        other.regs.rip, other.regs.rbp, other.regs.rsp = CODE, FUNCTION, STACK_TOP
        other.run()
        assert seen[-1] == expected
        code.run(None, at=CODE + 0x100, rbp=FUNCTION)
    other.close()


def test_many_frames_of_code_dropped_at_once(machine: Machine) -> None:
    pages, first = 400, 0x2000_0000
    machine.space.map_alloc(first, pages * PAGE, R | W | X)
    for i in range(pages):
        machine.space.write(first + i * PAGE, answer(i))
    # call rbp; add rdi, rax; add rbp, 4096; dec ecx; jnz back; mov eax, 60; syscall
    guest = "ffd5 4801c7 4881c500100000 ffc9 75f0 b83c000000 0f05"
    machine.run(guest, rbp=first, rcx=pages)
    assert machine.calls[-1][1] == sum(range(pages))
    for i in range(pages):
        machine.space.write(first + i * PAGE, answer(2 * i))
    machine.run(None, rbp=first, rcx=pages, rdi=0)
    assert machine.calls[-1][1] == 2 * sum(range(pages))


# -- data -----------------------------------------------------------------------------------------------

READ_LOOP = "8b3b b801000000 0f05 ebf5"  # mov edi, [rbx]; mov eax, 1; syscall; jmp back


def test_unmapped_in_a_handler_faults_at_the_next_access(machine: Machine) -> None:
    machine.on_call = lambda *args: machine.space.unmap(DATA, PAGE) or 0
    exit = machine.run(READ_LOOP, rbx=DATA + 8)
    assert (exit.kind, exit.address) == ("fault", DATA + 8)
    assert len(machine.calls) == 1


@pytest.mark.parametrize(("flags", "code"), [(R, "893b"), (MappingFlags(0), "8b3b")], ids=["write", "read"])
def test_protected_in_a_handler_faults_at_the_next_access(machine: Machine, flags: MappingFlags, code: str) -> None:
    machine.on_call = lambda *args: machine.space.protect(DATA, PAGE, flags) or 0
    exit = machine.run(code + "0f05 ebfa", rbx=DATA)  # (mov), syscall, jmp back
    assert (exit.kind, exit.address) == ("fault", DATA)
    assert len(machine.calls) == 1


def test_code_page_protected_in_a_handler_faults_at_the_next_instruction(machine: Machine) -> None:
    machine.on_call = lambda *args: machine.space.protect(CODE, PAGE, R) or 0
    exit = machine.run("0f05 90", rax=1)
    assert (exit.kind, exit.address, exit.rip) == ("fault", CODE + 2, CODE + 2)


def test_page_made_accessible_in_a_handler_is_accessible(machine: Machine) -> None:
    machine.space.protect(DATA, PAGE, MappingFlags(0))
    machine.on_call = lambda *args: machine.space.protect(DATA, PAGE, R | W) or 0
    # syscall; mov [rbx], edi; mov eax, 60; syscall
    assert machine.run("0f05 893b b83c000000 0f05", rbx=DATA, rax=1).kind == "stopped"


def test_page_replaced_in_a_handler_shows_the_new_bytes(machine: Machine) -> None:
    def serve(nr: int, value: int, *args: int) -> int:
        seen.append(value)
        if len(seen) == 30:
            machine.engine.stop()
        machine.space.map_alloc(DATA, PAGE, R | W, replace=True)
        machine.space.write(DATA, len(seen).to_bytes(4, "little"))
        return 0

    seen: list[int] = []
    machine.on_call = serve
    machine.run(READ_LOOP, rbx=DATA)
    assert seen == list(range(30))


def test_bytes_written_by_python_are_seen_and_the_guests_by_python(machine: Machine) -> None:
    def serve(nr: int, value: int, *args: int) -> int:
        assert machine.space.read(DATA, 4) == value.to_bytes(4, "little")
        machine.space.write(DATA, (value + 1).to_bytes(4, "little"))
        if value >= 100:
            machine.engine.stop()
        return 0

    machine.on_call = serve
    # mov edi, [rbx]; inc edi; mov [rbx], edi; mov eax, 1; syscall; jmp back
    machine.run("8b3b ffc7 893b b801000000 0f05 ebf1", rbx=DATA)
    assert int.from_bytes(machine.space.read(DATA, 4), "little") == 102


def test_copy_on_write_broken_by_the_guest_is_seen_by_it(machine: Machine, tmp_path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "data"
    file.write_bytes(b"A" * PAGE)
    machine.space.map_file(0x700000, PAGE, R | W, file)
    # mov edi, [rbx]; mov dword [rbx], 5; add edi, [rbx]; mov eax, 60; syscall
    machine.run("8b3b c70305000000 033b b83c000000 0f05", rbx=0x700000)
    assert machine.calls[-1][1] == 0x41414141 + 5
    assert file.read_bytes() == b"A" * PAGE
    assert machine.space.read(0x700000, 5) == b"\x05\0\0\0A"


def test_copy_on_write_broken_by_python_is_seen_by_the_guest(machine: Machine, tmp_path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "data"
    file.write_bytes(bytes(PAGE))
    machine.space.map_file(0x700000, PAGE, R | W, file)

    def serve(nr: int, value: int, *args: int) -> int:
        seen.append(value)
        machine.space.write_from(0x700000, (len(seen) * 3).to_bytes(4, "little"))
        if len(seen) == 3:
            machine.engine.stop()
        return 0

    seen: list[int] = []
    machine.on_call = serve
    machine.run(READ_LOOP, rbx=0x700000)
    assert seen == [0, 3, 6]


def test_attach_in_a_handler_switches_memory_at_once(machine: Machine) -> None:
    other = machine.new_space()
    for space, value in ((machine.space, 5), (other, 6)):
        space.write(DATA, value.to_bytes(4, "little"))
        space.write(CODE, bytes.fromhex(READ_LOOP))
    spaces = [machine.space, other]
    seen: list[int] = []

    def serve(nr: int, value: int, *args: int) -> int:
        seen.append(value)
        if len(seen) == 10:
            machine.engine.stop()
        machine.engine.attach(spaces[len(seen) % 2])
        return 0

    machine.on_call = serve
    machine.run(None, rbx=DATA)
    assert seen == [5, 6] * 5
    machine.engine.attach(machine.space)
    spaces.clear()
    del other


def test_same_address_with_other_code_in_another_space(machine: Machine) -> None:
    other = machine.new_space()
    machine.space.write(CODE, bytes.fromhex("bf05000000 b83c000000 0f05"))  # mov edi, 5; exit
    other.write(CODE, bytes.fromhex("bf06000000 b83c000000 0f05"))  # mov edi, 6; exit
    for _ in range(3):
        for space, value in ((machine.space, 5), (other, 6)):
            machine.engine.attach(space)
            machine.run(None)
            assert machine.calls[-1][1] == value
    machine.engine.attach(machine.space)
    del other


# -- other threads --------------------------------------------------------------------------------------


def test_unmap_by_another_thread_is_seen_by_a_loop_that_misses_nothing(machine: Machine) -> None:
    # mov eax, [rbx]; jmp back
    for _ in range(20):
        thread = threading.Timer(0.005, machine.space.unmap, (DATA, PAGE))
        thread.start()
        exit = machine.run("8b03 ebfc", rbx=DATA)
        thread.join()
        assert (exit.kind, exit.address, exit.rip) == ("fault", DATA, CODE)
        machine.space.map_alloc(DATA, PAGE, R | W)


def test_code_written_by_another_thread_is_seen_by_a_loop(code: Machine) -> None:
    # call rbp; cmp eax, 1; je back; mov edi, eax; mov eax, 60; syscall
    thread = threading.Timer(0.01, code.space.write, (FUNCTION, answer(2)))
    thread.start()
    code.run("ffd5 83f801 74f9 89c7 b83c000000 0f05", rbp=FUNCTION)
    thread.join()
    assert code.calls[-1][1] == 2


def test_frame_given_up_while_the_guest_runs_is_not_reused_under_it(machine: Machine) -> None:
    """One thread maps, writes a mark, unmaps, as fast as it can; the guest's own page never shows such a mark.

    The guest reads its page at 0x700000 until another thread takes it away; the frame goes to others at once.
    """
    marks = b"\xee" * PAGE
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            machine.space.map_alloc(0x800000, 4 * PAGE, R | W)
            machine.space.write(0x800000, marks * 4)
            machine.space.unmap(0x800000, 4 * PAGE)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(50):
            machine.space.map_alloc(0x700000, PAGE, R | W)
            machine.space.write(0x700000, bytes(8))
            timer = threading.Timer(0.002, machine.space.unmap, (0x700000, PAGE))
            timer.start()
            # mov eax, [rbx]; test eax, eax; je back; mov eax, 60; syscall: leaves the loop only if it sees a mark
            exit = machine.run("8b03 85c0 74fa b83c000000 0f05", rbx=0x700000)
            timer.join()
            assert (exit.kind, exit.address) == ("fault", 0x700000)
    finally:
        stop.set()
        thread.join()
    machine.phys._check()


def test_frames_that_wait_for_a_flush_are_in_no_run_of_frames() -> None:
    """A run is looked for among all frames that nobody holds once no fresh ones are left: not among those that wait."""
    assert any(_took_while_the_guest_ran() for _ in range(100))


def _took_while_the_guest_ran() -> bool:
    """
    Unmap a run of pages from another thread and take all the runs that are left: whether the guest ran at that moment.

    If it was between two stretches (the loop looked for signals, or the machine gave it no time), then nothing waits,
    and the experiment was not made.
    """
    phys = PhysMemory(512 * PAGE)
    space = AddrSpace(PAGE, (1 << 47) - 2 * PAGE, phys)
    space.map_alloc(CODE, PAGE, R | X)
    space.map_alloc(DATA, 8 * PAGE, R | W)
    space.populate_area(DATA, 8 * PAGE, W)
    places = [space.query(DATA + page * PAGE) for page in range(8)]
    waiting = {int(place[0]) for place in places if place is not None}
    assert waiting == set(range(min(waiting), min(waiting) + 8 * PAGE, PAGE))  # a run, if they were free
    engine = UnicornEngine(phys)
    engine.attach(space)
    runs: list[int] = []
    freed: list[int] = []

    def take(space: AddrSpace) -> None:
        with phys._held():  # a guest that runs cannot flush before this is over
            used = phys.frames_in_use
            space.unmap(DATA, 8 * PAGE)
            freed.append(used - phys.frames_in_use)
            with contextlib.suppress(LinuxError):
                while True:
                    runs.append(int(phys.alloc(4)))

    singles = []
    with contextlib.suppress(LinuxError):
        while True:
            singles.append(phys.alloc())
    for frame in singles:  # not fresh any more
        phys.free(frame)
    # mov eax, 39; syscall; mov eax, [rbx]; jmp to the mov before it
    space.write(CODE, bytes.fromhex("b827000000 0f05 8b03 ebfc"))
    engine.regs.rip, engine.regs.rbx = CODE, DATA
    timer = threading.Timer(0.037, take, (space,))  # not at a beat, nor while the run looks for signals
    engine.on_syscall(lambda *args, start=timer.start: start() or 0)  # from here on the guest runs
    exit = engine.run(timeout=20)
    timer.join()
    assert (exit.kind, exit.address) == ("fault", DATA)
    [at_once] = freed
    ran = at_once == 0  # all of them waited, tables and pages
    if ran:
        assert runs
        assert not waiting & {run + page * PAGE for run in runs for page in range(4)}
    for run in runs:
        phys.free(PhysAddr(run), 4)
    engine.close()
    del engine, space, timer, exit
    gc.collect()
    assert phys.frames_in_use == 0
    phys._check()
    return ran


def test_engines_come_and_go_while_a_guest_in_the_same_space_faults(machine: Machine) -> None:
    """Faults walk the engines of a space without the GIL: the list may move under the lock only."""
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            machine.space.map_alloc(0x800000, 16 * PAGE, R | W)
            machine.space.populate_area(0x800000, 16 * PAGE, W)
            machine.space.unmap(0x800000, 16 * PAGE)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for count in range(1, 12):
            others = [machine.new_engine() for _ in range(count)]
            for other in others:
                other.attach(machine.space)
            machine.space._check()
            for other in others:
                other.close()
    finally:
        stop.set()
        thread.join()
    assert machine.run("b83c000000 0f05").kind == "stopped"


def test_spaces_changed_by_many_threads_while_the_guest_works(machine: Machine) -> None:
    """Pages of one range come and go under a guest that walks it; every fault is one that can be explained."""
    base, pages = 0x2000_0000, 64
    machine.space.map_alloc(base, pages * PAGE, R | W)
    stop = threading.Event()

    def change(seed: int) -> None:
        import random

        rng = random.Random(seed)
        while not stop.is_set():
            page = base + rng.randrange(pages) * PAGE
            machine.space.protect(page, PAGE, R)
            machine.space.protect(page, PAGE, R | W)

    threads = [threading.Thread(target=change, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    # mov [rbx], ecx; mov eax, [rbx]; add rbx, 4096; cmp rbx, rsi; jb on; mov rbx, rdi; on: dec ecx; jnz back; exit
    machine.load("890b 8b03 4881c300100000 4839f3 7203 4889fb ffc9 75eb b83c000000 0f05")
    regs = machine.engine.regs
    regs.rip, regs.rbx, regs.rdi, regs.rsi, regs.rcx = CODE, base, base, base + pages * PAGE, 200_000
    faults = 0
    while True:
        exit = machine.go_on()
        if exit.kind == "stopped":
            break
        assert exit.kind == "fault"
        assert exit.access == W
        assert base <= exit.address < base + pages * PAGE  # type: ignore[operator]
        faults += 1
    stop.set()
    for thread in threads:
        thread.join()
    machine.phys._check()
