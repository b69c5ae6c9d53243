"""Guests that know where the stub is and want what is not theirs: a foreign frame mapped, a call of the host's, the
engine hung or dead. They get none of it."""

from __future__ import annotations

import contextlib
import struct
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from .conftest import CODE, DATA, EXIT, PAGE, STACK_TOP, TARGET, NativeMachine, R, W

pytestmark = pytest.mark.usefixtures("waiting")
CONTROL, CONTROL_SIZE, STACK_AT = 0x10000, 0x20000, 0x10000
SIGNAL, FRAME, VECTORS = 0, 32, 40
MMAP, MPROTECT, MUNMAP, SIGRETURN, HAND_OVER = 9, 10, 11, 15, 0x1FFE


def quad(value: int) -> str:
    return struct.pack("<Q", value).hex()


def noise(at: int, length: int) -> Iterator[str]:
    """Code that fills the control block at `at` from one place on up to `length`, makes a call, and ends."""
    for skip in (0, 0x40, STACK_AT, STACK_AT + 0x8000):
        if skip < length:
            # mov rdi, at; mov ecx, length / 8; mov rax, noise; rep stosq; mov eax, 500; syscall; mov eax, 60; syscall
            code = "48bf" + quad(at + skip) + "b9" + struct.pack("<I", (length - skip) // 8).hex()
            yield code + "48b8" + quad(0x8000_1234_5678_9ABC) + "f348ab b8f4010000 0f05 b83c000000 0f05"


def jump(to: int, **registers: int) -> str:
    """movabs of each register, then `mov rbx, to; jmp rbx`."""
    load = {"rax": "48b8", "rdi": "48bf", "rsi": "48be", "rdx": "48ba", "r10": "49ba", "r8": "49b8", "r9": "49b9"}
    return "".join(load[name] + quad(value) for name, value in registers.items()) + "48bb" + quad(to) + "ffe3"


def foreign_frame(native: NativeMachine) -> dict[str, int]:
    """mmap(TARGET, PAGE, rw, MAP_SHARED | MAP_FIXED, the memory file, the secret's frame)."""
    return {"rax": MMAP, "rdi": TARGET, "rsi": PAGE, "rdx": 3, "r10": 0x11, "r8": 3, "r9": int(native.secret)}


def started(native: NativeMachine) -> int:
    native.check()
    return native.base


def text_size(native: NativeMachine) -> int:
    line = next(line for line in native.maps().splitlines() if "axptr-guest" in line)
    first, last = (int(end, 16) for end in line.split()[0].split("-"))
    with open(f"/proc/{native.engine.guest_pid}/mem", "rb") as memory:
        memory.seek(first)
        return len(memory.read(last - first).rstrip(b"\0"))


def attempt(native: NativeMachine, code: str, timeout: float = 0.1) -> None:
    with contextlib.suppress(RuntimeError):  # its registers may be lost
        native.run(code, timeout=timeout)


@pytest.mark.parametrize("part", range(8))
def test_no_byte_of_the_stub_leads_to_a_foreign_frame(native: NativeMachine, part: int) -> None:
    """Entered at each byte, with the registers of the call that would map it."""
    started(native)
    for offset in range(part, text_size(native), 8):
        native.calls.clear()
        attempt(native, jump(native.base + offset, **foreign_frame(native)), 0.02)
        native.check()


@pytest.mark.parametrize("nr", [MMAP, MPROTECT, MUNMAP, 25, 216, 30, 157, 317, 59, 257, 56, 231, 310, 1 << 30, 200])
def test_calls_of_the_host_are_the_kernels_here(native: NativeMachine, nr: int) -> None:
    """Made by the guest's own `syscall`: mremap, remap_file_pages, shmat, prctl, seccomp, execve, openat, clone, ..."""
    started(native)
    native.calls.clear()
    registers = foreign_frame(native) | {"rax": nr}
    # syscall; mov eax, 60; syscall
    code = jump(0, **registers)[: -2 * 12] + "0f05 b83c000000 0f05"
    exit = native.run(code)
    assert exit.kind == "stopped"
    assert [call[0] for call in native.calls] == [nr, 60]
    native.check()


def test_each_number_of_a_call_gets_to_the_handler(native: NativeMachine) -> None:
    """Also uretprobe (335), which filters do not see: it is SIGILL there. uprobe (336), of 6.18, is -ENXIO at once."""
    started(native)
    for nr in {*range(0, 500, 7), *range(320, 350)} - {EXIT, 336}:
        native.calls.clear()
        # mov eax, nr; mov edi, 7; syscall; mov ebx, eax; mov eax, 60; syscall
        exit = native.run(f"b8{struct.pack('<I', nr).hex()} bf07000000 0f05 89c3 b83c000000 0f05")
        assert (exit.kind, native.engine.regs.rbx) == ("stopped", 0)
        assert [call[:2] for call in native.calls] == [(nr, 7), (60, 7)]
    native.check()


def test_the_32_bit_call_is_an_exception(native: NativeMachine) -> None:
    started(native)
    exit = native.run("b801000000 cd80")  # mov eax, 1; int 0x80
    assert (exit.kind, exit.vector) == ("exception", 0x80)
    native.check()


def test_the_vsyscall_page_is_not_there(native: NativeMachine) -> None:
    started(native)
    exit = native.run("48c7c0 000060ff ffd0")  # mov rax, 0xffffffffff600000; call rax
    assert (exit.kind, exit.address) == ("fault", 0xFFFF_FFFF_FF60_0000)
    native.check()


def call_sites(native: NativeMachine) -> list[int]:
    """Where the stub's text has `syscall`."""
    with open(f"/proc/{native.engine.guest_pid}/mem", "rb") as memory:
        memory.seek(native.base)
        text = memory.read(text_size(native))
    return [native.base + at for at in range(len(text)) if text.startswith(b"\x0f\x05", at)]


def test_a_forged_hand_over_shows_nothing(native: NativeMachine) -> None:
    """Made by the guest, at each call of the stub's text: it says no more than that the guest waits."""
    started(native)
    for i in range(len(call_sites(native))):
        native.calls.clear()
        attempt(native, jump(call_sites(native)[i], **foreign_frame(native) | {"rax": HAND_OVER}), 0.1)
        native.check()


@pytest.mark.parametrize("nr", [9, 10, 11, 41, 257, 322])
def test_the_call_by_which_it_mapped_at_its_birth_is_shut(native: NativeMachine, nr: int) -> None:
    """The first filter lets all calls of that one instruction through; the second came before the guest."""
    base = started(native)
    assert base + 8 in call_sites(native)
    attempt(native, jump(base + 8, **foreign_frame(native) | {"rax": nr}), 0.1)
    native.check()


def test_calls_that_set_the_process_up_are_the_kernels_here_too(native: NativeMachine) -> None:
    """The first filter lets them through: dup, dup2, close_range, execveat, exit_group."""
    started(native)
    before = native.engine.guest_pid
    for nr in (32, 33, 436, 322, 231, HAND_OVER):
        native.calls.clear()
        exit = native.run(f"b8{struct.pack('<I', nr).hex()} bf03000000 be64000000 0f05 b83c000000 0f05")
        assert exit.kind == "stopped"
        assert [call[:3] for call in native.calls] == [(nr, 3, 100), (60, 3, 100)]
    test_the_stub_has_nothing_but_the_memory_file(native)
    assert native.engine.guest_pid == before


@pytest.mark.parametrize("where", [0, 8, 0x1000, -1, 1 << 63, (1 << 64) - 8, 0x7FFF_FFFF_F000])
@pytest.mark.parametrize("field", [FRAME, VECTORS])
def test_a_forged_frame_is_not_followed(native: NativeMachine, field: int, where: int) -> None:
    """The channel names another place as the frame, and a hand-over sends us there."""
    base = started(native)
    at = base + CONTROL
    value = (at + STACK_AT + where) & ((1 << 64) - 1) if where in (-1,) else where
    code = "48b8" + quad(at) + "48b9" + quad(value) + f"488988{field:02x}000000"
    code += jump(call_sites(native)[0], rax=HAND_OVER)
    attempt(native, code, 0.2)
    native.check()


def test_a_frame_full_of_noise_is_the_guests_own_harm(native: NativeMachine) -> None:
    """A call is made, and when it returns the frame is noise: the guest dies, or goes on somewhere of its own."""
    base = started(native)
    at = base + CONTROL + STACK_AT
    # mov rdi, at; mov rcx, 0x10000 / 8; mov rax, noise; rep stosq; mov eax, 39; syscall; mov eax, 60; syscall
    code = (
        "48bf" + quad(at) + "b900200000 48b8" + quad(0x8000_1234_5678_9ABC) + "f348ab b827000000 0f05 b83c000000 0f05"
    )
    attempt(native, code, 0.5)
    native.check()
    # and rt_sigreturn by hand, of noise
    attempt(native, "48bc" + quad(at + 0x8000) + "48c7c00f000000" + jump(base + 0x15)[0:], 0.5)
    native.check()


def test_a_guest_that_never_comes_back_is_stopped(native: NativeMachine) -> None:
    """Signals cannot be kept from it by anything that the stub's text can do."""
    base = started(native)
    begin = time.monotonic()
    exit = native.run("ebfe", timeout=0.1)
    assert exit.kind == "timeout"
    # handing over without end
    at = call_sites(native)[0]
    native.space.write(CODE + 0x200, bytes.fromhex(jump(at, rax=HAND_OVER)))
    attempt(native, jump(base + 0x30, rax=HAND_OVER), 0.3)
    assert time.monotonic() - begin < 60
    native.check()


def signals_off(to: int) -> bytes:
    """The frame of a signal that returns to `to` and blocks all of them."""
    frame = bytearray(1024)
    struct.pack_into("<Q", frame, 40 + 16 * 8, to)  # rip
    struct.pack_into("<Q", frame, 40 + 15 * 8, DATA + 0x800)  # rsp
    struct.pack_into("<Q", frame, 40 + 17 * 8, 0x202)
    struct.pack_into("<Q", frame, 40 + 18 * 8, 0x002B_0000_0000_0033)
    struct.pack_into("<Q", frame, 40 + 32 * 8, (1 << 64) - 1)
    return bytes(frame)


def test_a_guest_that_blocks_the_signal_is_ended(native: NativeMachine) -> None:
    """rt_sigreturn through the stub, with a mask of everything, into an endless loop."""
    base = started(native)
    native.space.write(DATA, signals_off(CODE + 0x100))
    native.space.write(CODE + 0x100, bytes.fromhex("ebfe"))
    begin = time.monotonic()
    # mov rax, DATA; mov al, [rax]: without the page the host's kernel would find no frame
    exit = native.run("48b8" + quad(DATA) + "8a00 48bc" + quad(DATA) + jump(base + 0x10), timeout=0.1)
    assert time.monotonic() - begin > 1, "the signal reached it"
    assert time.monotonic() - begin < 60
    assert exit.kind == "fault"
    native.check()


def test_a_guest_that_blocks_the_signal_and_calls_on_is_ended(native: NativeMachine) -> None:
    """Asked out of a call, for what the call took away, it makes the next one, and the next."""
    base = started(native)
    native.space.write(DATA, signals_off(CODE + 0x100))
    native.space.write(CODE + 0x100, bytes.fromhex("b8f4010000 0f05 ebf7"))  # mov eax, 500; syscall; jmp back
    native.engine.on_syscall(lambda *_: native.space.unmap(DATA + PAGE, PAGE) or 0)
    begin = time.monotonic()
    native.space.map_alloc(DATA + PAGE, PAGE, R | W, replace=True, populate=True)
    native.run("48b8" + quad(DATA) + "8a00 8a8000100000 48bc" + quad(DATA) + jump(base + 0x10), timeout=0.5)
    with pytest.raises(RuntimeError, match="lost"):  # of a call there are no registers but those of the call
        native.engine.reg_read("rbx")
    assert time.monotonic() - begin < 20
    native.engine.on_syscall(native._serve)
    native.check()


def test_a_guest_without_a_stack_or_code_faults(native: NativeMachine) -> None:
    started(native)
    exit = native.run("31e4 50")  # xor esp, esp; push rax
    assert (exit.kind, exit.address) == ("fault", (1 << 64) - 8)
    exit = native.run("48c7c000100000 ffe0", timeout=1)
    assert exit.kind == "fault"
    native.check()


def test_memory_where_the_stub_lies_is_the_guests(native: NativeMachine) -> None:
    """An area that is put there moves the stub."""
    base = started(native)
    native.space.map_alloc(base, 0x40000, native.space.find_area(DATA).flags, populate=True)
    native.space.write(base, b"mine")
    # mov rax, base; mov ebx, [rax]; mov eax, 60; syscall
    exit = native.run("48b8" + quad(base) + "8b18 b83c000000 0f05")
    assert exit.kind == "stopped"
    assert native.engine.regs.rbx == int.from_bytes(b"mine", "little")
    assert native.base != base
    native.check()


@pytest.mark.parametrize("moment", [0.0, 0.001, 0.01, 0.05])
def test_a_stub_that_is_killed_is_made_anew_or_told_of(native: NativeMachine, moment: float) -> None:
    started(native)
    pid = native.engine.guest_pid
    killer = threading.Timer(moment, lambda: subprocess.run(["kill", "-9", str(pid)], check=True))
    killer.start()
    # mov eax, 39; syscall; jmp back
    with contextlib.suppress(RuntimeError):
        while native.run("b827000000 0f05 ebf7", timeout=0.05).kind == "timeout" and killer.is_alive():
            native.calls.clear()
    killer.join()
    native.calls.clear()
    native.check()


def test_a_stub_killed_between_two_runs_loses_nothing(native: NativeMachine) -> None:
    started(native)
    # mov r15d, 7; movq xmm3, r15; syscall 60; then: movq rbx, xmm3; syscall 60
    native.run("41bf07000000 66490f6edf b83c000000 0f05 66480f7edb b83c000000 0f05")
    subprocess.run(["kill", "-9", str(native.engine.guest_pid)], check=True)
    assert native.engine.run(5).kind == "stopped"
    assert native.engine.regs.rbx == 7
    assert native.engine.regs.r15 == 7
    assert native.engine.stubs == 2


def test_the_stub_has_nothing_but_the_memory_file(native: NativeMachine) -> None:
    started(native)
    pid = native.engine.guest_pid
    listed = subprocess.run(["ls", "-l", f"/proc/{pid}/fd"], capture_output=True, text=True, check=True).stdout
    assert [line.split(" -> ")[1].split()[0] for line in listed.splitlines()[1:]] == ["/memfd:axptr"] or (
        len(listed.splitlines()) == 2 and "memfd" in listed
    )
    with open(f"/proc/{pid}/status") as file:
        status = file.read()
    assert "Seccomp:\t2" in status
    assert "NoNewPrivs:\t1" in status


def test_a_call_sees_and_changes_all_registers(native: NativeMachine) -> None:
    """Of a call the engine has number and arguments; the rest is there when somebody looks."""
    started(native)
    seen = []

    def serve(nr: int, *args: int) -> int | None:
        regs = native.engine.regs
        if nr == EXIT:
            native.engine.stop()
            return 0
        if nr == 1000:
            return 77
        if nr == 1001:
            seen.append((regs.rax, regs.rdi, regs.rip, regs.rcx, regs.rbx, regs.r15, regs.xmm3, regs.rsp))
            seen.append((nr, *args))
            return 78
        regs.rax, regs.rbx, regs.xmm3 = 79, 80, 81
        return None

    native.engine.on_syscall(serve)
    # mov ebx, 5; mov r15d, 6; movq xmm3, r15; mov edi, 7; mov eax, 1000; syscall; mov r14, rax
    first = "bb05000000 41bf06000000 66490f6edf bf07000000 b8e8030000 0f05 4989c6"
    # mov eax, 1001; syscall; mov r13, rax; mov eax, 1002; syscall; mov r12, rax; mov eax, 60; syscall
    code = first + "b8e9030000 0f05 4989c5 b8ea030000 0f05 4989c4 b83c000000 0f05"
    assert native.run(code).kind == "stopped"
    regs = native.engine.regs
    assert (regs.r14, regs.r13, regs.r12, regs.rbx, regs.xmm3) == (77, 78, 79, 80, 81)
    after = CODE + len(bytes.fromhex(first)) + 7
    assert seen == [(1001, 7, after, after, 5, 6, 6, STACK_TOP), (1001, 7, 0, 0, 0, 0, 0)]
    native.engine.on_syscall(native._serve)


def test_calls_are_made_once_whatever_signals_come(native: NativeMachine) -> None:
    """Asked to come out at any moment of a call, each is served once, and its result is the guest's."""
    started(native)
    count = 0

    def serve(nr: int, *args: int) -> int:
        nonlocal count
        if nr == EXIT:
            native.engine.stop()
        else:
            assert args[0] == count
            count += 1
        return count

    native.engine.on_syscall(serve)
    stop = threading.Event()

    def pester() -> None:
        while not stop.is_set():
            native.engine.preempt()
            for pid in native.engine.guest_pids:
                subprocess.run(["kill", "-USR1", str(pid)], check=False, stderr=subprocess.DEVNULL)
                subprocess.run(["kill", "-STOP", str(pid)], check=False, stderr=subprocess.DEVNULL)
                subprocess.run(["kill", "-CONT", str(pid)], check=False, stderr=subprocess.DEVNULL)

    pesterer = threading.Thread(target=pester)
    pesterer.start()
    try:
        # xor edi, edi; mov ebp, 200000; mov eax, 39; syscall; mov edi, eax; dec ebp; jnz back; mov eax, 60; syscall
        exit = native.run("31ff bd400d0300 b827000000 0f05 89c7 ffcd 75f3 b83c000000 0f05", timeout=60)
        while exit.kind == "timeout":
            exit = native.engine.run(60)
    finally:
        stop.set()
        pesterer.join()
    assert exit.kind == "stopped"
    assert count == 200_000
    native.engine.on_syscall(native._serve)
    native.check()


def test_a_page_taken_away_is_gone_before_the_next_instruction(native: NativeMachine) -> None:
    started(native)
    native.space.write(DATA, b"\1")
    # mov eax, [rdi]; jmp back
    done = threading.Thread(target=lambda: (time.sleep(0.05), native.space.unmap(DATA, PAGE)))
    done.start()
    exit = native.run("8b07 ebfc", rdi=DATA, timeout=5)
    done.join()
    assert (exit.kind, exit.address) == ("fault", DATA)


def test_a_frame_given_up_is_nobody_elses_while_the_stub_may_see_it(native: NativeMachine) -> None:
    """Freed by Python between two runs: it is used again only after the guest has lost it."""
    started(native)
    native.run("c60701 b83c000000 0f05", rdi=DATA)  # mov byte [rdi], 1; exit
    frame = native.space.query(DATA)[0]
    native.space.unmap(DATA, PAGE)
    taken = [native.phys.alloc() for _ in range(64)]
    assert frame not in taken
    native.run("b83c000000 0f05")
    taken += [native.phys.alloc() for _ in range(4)]
    assert frame in taken
    for one in taken:
        native.phys.free(one)
    assert CODE  # the code's page is there still
