"""The same machine code run by the host's CPU and by the engine leaves the same bytes, whatever disturbs the engine.

Each round takes two random addresses in the memory (a power of two in size), aligned to nothing, and reads, writes, and
does what must not be done twice.
"""

from __future__ import annotations

import ctypes
import functools
import platform
import threading
import time

import pytest

from axptr.engine import UnicornEngine

from .conftest import CODE, DATA, PAGE, Machine, R, W

BASE = 0x1_0000_0000
SEED = 88172645463325252
# rax = xorshift(rax): mov r8, rax; shl r8, 13; xor rax, r8; the same with shr 7 and shl 17
ROUND = "4989c0 49c1e00d 4c31c0 4989c0 49c1e807 4c31c0 4989c0 49c1e011 4c31c0"
# rbx = rdi + (rax >> 20 & rsi); rdx = rdi + (rax >> 5 & rsi)
ROUND += "4889c3 48c1eb14 4821f3 4801fb 4889c2 48c1ea05 4821f2 4801fa"
# add [rbx], rax; lock xadd [rdx], r8; add r9, r8; movups xmm0, [rbx]; movups [rdx + 3], xmm0; xchg [rbx + 1], r9
ROUND += "480103 f04c0fc102 4d01c1 0f1003 0f114203 4c874b01"
# push rax, rcx, rsi, rdi; rdi = rbx; rsi = rdx; mov ecx, 24; cld; rep movsb; pop rdi, rsi, rcx, rax
ROUND += "50 51 56 57 4889df 4889d6 b918000000 fc f3a4 5f 5e 59 58"
# r10 = rbx & -16; push rax, rbx, rcx, rdx; rbx = rax; rcx = r9; rax = [r10]; rdx = [r10 + 8]; lock cmpxchg16b; pop
ROUND += "4989da 4983e2f0 50 53 51 52 4889c3 4c89c9 498b02 498b5208 f0490fc70a 5a 59 5b 58"
# push [rbx]; pop [rdx]; movq xmm1, [rdx]; paddq xmm1, xmm0; movdqu [rbx + 5], xmm1; lock inc qword [rdx]; dec rcx; jnz
ROUND += "ff33 8f02 f30f7e0a 660fd4c8 f30f7f4b05 f048ff02 48ffc9 0f855dffffff"
# The same for the host's CPU without locks: one that crosses a cache line takes it up to a millisecond
# (split_lock_mitigate, and hosts that do not let a virtual machine have the bus), and nobody else sees these bytes.
# mov r11, [rbx + 1]; mov [rbx + 1], r9; mov r9, r11 where there was the xchg; a nop where there was a prefix
UNLOCKED = ROUND.replace("4c874b01", "4c8b5b01 4c894b01 4d89d9").replace("0f855dffffff", "0f8556ffffff")
for locked in ("f04c0fc102", "f0490fc70a", "f048ff02"):
    UNLOCKED = UNLOCKED.replace(locked, "90" + locked[2:])


@functools.cache
def natively(size: int, rounds: int) -> tuple[int, bytes]:
    """r9 at the end, and the memory, of the host's CPU."""
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    private, anonymous, fixed_noreplace = 2, 0x20, 0x100000
    memory = libc.mmap(BASE, size + PAGE, 3, private | anonymous | fixed_noreplace, -1, 0)
    assert memory == BASE
    code = libc.mmap(None, PAGE, 7, private | anonymous, -1, 0)
    # push rbx; mov rax, rcx; mov rcx, rdx; xor r9, r9; (rounds); mov rax, r9; pop rbx; ret
    body = bytes.fromhex("53 4889c8 4889d1 4d31c9" + UNLOCKED + "4c89c8 5b c3")
    ctypes.memmove(code, body, len(body))
    word = ctypes.c_uint64
    result = ctypes.CFUNCTYPE(word, word, word, word, word)(code)(BASE, size - 1, rounds, SEED)
    left = ctypes.string_at(BASE, size + PAGE)
    libc.munmap(BASE, size + PAGE)
    libc.munmap(code, PAGE)
    return result, left


def disturb_nothing(machine: Machine) -> None:
    time.sleep(0.01)


def flush(machine: Machine) -> None:
    """Take rights away from a page that the guest does not use: everything cached goes."""
    machine.space.protect(DATA, PAGE, R)
    machine.space.protect(DATA, PAGE, R | W)
    time.sleep(0.0001)


def protect_its_memory(machine: Machine) -> None:
    """The same rights once more: it is stopped, and asks for every page again."""
    machine.space.protect(BASE, PAGE, R | W)
    time.sleep(0.0001)


def interrupt(machine: Machine) -> None:
    machine.engine.stop()
    time.sleep(0.00002)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="runs the guest's code on the host too")
@pytest.mark.parametrize("size", [1 << 12, 1 << 20, 1 << 24], ids=["4K", "1M", "16M"])
@pytest.mark.parametrize("disturbance", [disturb_nothing, flush, protect_its_memory, interrupt])
def test_same_bytes_as_on_the_host(machine: Machine, disturbance, size: int) -> None:  # type: ignore[no-untyped-def]
    rounds, code = (300_000, ROUND) if machine.kind is UnicornEngine else (3_000_000, UNLOCKED)
    register, memory = natively(size, rounds)
    machine.space.map_alloc(BASE, size + PAGE, R | W)
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            disturbance(machine)

    thread = threading.Thread(target=work)
    thread.start()
    exit = machine.run(code + "b83c000000 0f05", timeout=60, rdi=BASE, rsi=size - 1, rcx=rounds, rax=SEED, r9=0)
    while exit.kind == "stopped" and not machine.calls:
        exit = machine.go_on()
    done.set()
    thread.join()
    assert exit.kind == "stopped"
    assert machine.engine.regs.r9 == register
    assert machine.space.read(BASE, size + PAGE) == memory


def test_each_instruction_is_done_once_however_often_the_run_is_stopped(machine: Machine) -> None:
    """inc qword [rdi] / inc rbx / jmp back: the two counts agree at every stop, wherever it is."""
    machine.load("48ff07 48ffc3 ebf8")
    regs = machine.engine.regs
    regs.rip, regs.rdi = CODE, DATA + 4
    done = threading.Event()

    def stopper() -> None:
        while not done.is_set():
            machine.engine.stop()
            time.sleep(0.0001)

    thread = threading.Thread(target=stopper)
    thread.start()
    for _ in range(1000):
        assert machine.go_on().kind == "stopped"
        assert int.from_bytes(machine.space.read(DATA + 4, 8), "little") == regs.rbx + (regs.rip == CODE + 3)
    done.set()
    thread.join()
    assert regs.rbx > 0
