"""The CPU: what a system call costs, and guest code under our page tables, against Unicorn used by itself.

The guests are small C programs compiled here and now (`guests/*.c`, static, without a C library); each run is
a fresh process, on either side, and reports the seconds from the guest's first instruction to its last.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from axptr import PAGE_SIZE, AddrSpace, MappingFlags

from .harness import Benchmark, Mode, Pair, Side, Skip, work
from .memory import READ_WRITE, SPACE_SIZE

GUESTS = Path(__file__).parent / "guests"
NOTHING = 500
"""A system-call number that Linux does not use."""
EXIT = 60
CALLS = 20_000
RUNS = 1000
CODE = 0x40_0000
LOAD, SYSCALL = bytes.fromhex("488b042510000000"), bytes.fromhex("0f05")
STACK = 0x7FFE_0000_0000

COMPILE = (
    *("gcc", "-static", "-nostdlib", "-no-pie", "-fno-pie", "-O2", "-ffreestanding", "-fno-stack-protector"),
    # SSE is slow in any interpreter of machine code; what is compared is the memory path.
    *("-fno-tree-vectorize", "-fno-tree-loop-distribute-patterns"),
)


def benchmarks() -> list[Benchmark]:
    return [
        Benchmark(
            "syscall.nothing",
            "a system call that does nothing, through Kernel and a registered handler",
            "a Python hook under Unicorn that reads the seven registers with reg_read_batch",
            1 / 20,
            _prepare_syscall,
        ),
        Benchmark(
            "engine.fault",
            "a run of Unicorn that ends in a refused read",
            "one that ends in a system call, whose handler stops it",
            8.0,
            _prepare_fault,
        ),
        Benchmark(
            "guest.hash",
            "a static program hashes 20 MB in memory, under the Linux personality",
            "the same program, bare Unicorn on flat mapped memory",
            1.1,
            functools.partial(_prepare_guest, "hash", "-DSIZE=4000000"),
        ),
        Benchmark(
            "guest.walk",
            "a static program walks 64 MiB of pages 1,000 times, under the Linux personality",
            "the same program, bare Unicorn on flat mapped memory",
            1.5,
            functools.partial(_prepare_guest, "walk", "-DPASSES=300"),
        ),
    ]


def _caller(calls: int) -> bytes:
    """Machine code that makes `calls` system calls of number NOTHING and then EXIT."""
    return (
        b"\xbb" + calls.to_bytes(4, "little")  # mov ebx, calls
        + b"\xb8" + NOTHING.to_bytes(4, "little")  # again: mov eax, NOTHING
        + b"\x0f\x05"  # syscall
        + b"\xff\xcb"  # dec ebx
        + b"\x75\xf5"  # jnz again
        + b"\xb8" + EXIT.to_bytes(4, "little")  # mov eax, EXIT
        + b"\x0f\x05"  # syscall
        + b"\xf4"  # hlt: not reached
    )  # fmt: skip


def _prepare_syscall(mode: Mode) -> Pair:
    unicorn = _unicorn()
    return Pair(work(_kernel_caller()), work(_bare_caller(unicorn)), operations=CALLS)


def _kernel_caller() -> Any:
    from axptr.engine import UnicornEngine
    from axptr.kernel import Kernel, Task

    kernel = Kernel()
    called = 0

    @kernel.syscall(NOTHING, "nothing")
    def sys_nothing(task: Task) -> int:
        return 0

    @kernel.syscall(EXIT, "exit")
    def sys_exit(task: Task) -> int:
        nonlocal called
        called += 1
        task.engine.stop()
        return 0

    space = AddrSpace(0, SPACE_SIZE)
    space.map_alloc(CODE, PAGE_SIZE, MappingFlags.READ | MappingFlags.EXECUTE | MappingFlags.USER)
    space.map_alloc(STACK, PAGE_SIZE, READ_WRITE)
    space.write(CODE, _caller(CALLS))
    engine = UnicornEngine(space.phys)
    task = Task(space)

    def run() -> None:
        before = called
        engine.regs.rip = CODE
        engine.regs.rsp = STACK + PAGE_SIZE - 64
        kernel.run(task, engine)
        assert called == before + 1

    return run


def _bare_caller(unicorn: Any) -> Any:
    from unicorn import x86_const as x86

    uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    uc.mem_map(CODE, PAGE_SIZE)
    uc.mem_write(CODE, _caller(CALLS))
    seven = (
        *(x86.UC_X86_REG_RAX, x86.UC_X86_REG_RDI, x86.UC_X86_REG_RSI, x86.UC_X86_REG_RDX),
        *(x86.UC_X86_REG_R10, x86.UC_X86_REG_R8, x86.UC_X86_REG_R9),
    )

    def hook(uc: Any, data: object) -> None:
        if uc.reg_read_batch(seven)[0] == EXIT:
            uc.emu_stop()

    uc.hook_add(unicorn.UC_HOOK_INSN, hook, None, 1, 0, x86.UC_X86_INS_SYSCALL)
    return functools.partial(uc.emu_start, CODE, 0)


def _prepare_fault(mode: Mode) -> Pair:
    """The text of a fault is made when it is read: it is no part of this."""
    try:
        return Pair(work(_ended(LOAD)), work(_ended(SYSCALL)), operations=RUNS)
    except ImportError as error:
        raise Skip(str(error)) from None


def _ended(code: bytes) -> Any:
    """RUNS runs of one instruction, each of which ends at it or behind it."""
    from axptr import UnicornEngine

    space = AddrSpace(0, SPACE_SIZE)
    space.map_alloc(CODE, PAGE_SIZE, MappingFlags.READ | MappingFlags.EXECUTE)
    space.write(CODE, code)
    engine = UnicornEngine(space.phys)
    engine.attach(space)
    engine.on_syscall(lambda *_: engine.stop())

    def run() -> None:
        for _ in range(RUNS):
            engine.regs.rip = CODE
            engine.run()

    run()
    return run


def _prepare_guest(name: str, smaller: str, mode: Mode) -> Pair:
    _unicorn()
    program = build(name, *((smaller,) if mode.smoke else ()))
    expected = subprocess.run([program], capture_output=True, check=True, text=True).stdout
    return Pair(
        _guest_side(GUESTS / "axptr_run.py", program, expected),
        _guest_side(GUESTS / "bare_unicorn.py", program, expected),
        slow=1,
        notes={"output": expected.strip()},
    )


def _guest_side(script: Path, program: Path, expected: str) -> Side:
    """Runs the script on the program; the seconds are its own, its output must be the host's."""

    def side(times: int) -> float:
        total = 0.0
        for _ in range(times):
            done = subprocess.run([sys.executable, script, program], capture_output=True, text=True)
            if done.returncode or done.stdout != expected:
                raise RuntimeError(f"{script.name} {program.name}: {done.stdout!r}, {done.stderr[-500:]!r}")
            total += float(done.stderr.splitlines()[-1])
        return total

    return side


@functools.cache
def build(name: str, *defines: str) -> Path:
    """Compiles `guests/NAME.c`; raises `Skip` where there is no compiler for it."""
    if shutil.which("gcc") is None:
        raise Skip("needs gcc to compile the guest")
    program = _directory() / "-".join((name, *defines))
    done = subprocess.run([*COMPILE, *defines, "-o", program, GUESTS / f"{name}.c"], capture_output=True, text=True)
    if done.returncode:
        raise Skip(f"gcc cannot build the guest: {done.stderr.strip().splitlines()[-1]}")
    return program


@functools.cache
def _directory() -> Path:
    directory = tempfile.TemporaryDirectory(prefix="axptr-bench-")
    atexit.register(directory.cleanup)
    return Path(directory.name)


def _unicorn() -> Any:
    try:
        import unicorn
    except ImportError as error:
        raise Skip("needs unicorn: pip install 'axptr[run]'") from error
    return unicorn
