from collections.abc import Callable
from typing import Literal

from axptr._core.phys.phys import PhysMemory
from axptr.mm.space import AddrSpace

RawKind = Literal["stopped", "fault", "exception", "timeout", "lost", "step", "breakpoint", "watchpoint"]

class Registers:
    pc: int
    sp: int
    flags: int
    tls: int
    number: int
    result: int
    rax: int
    rbx: int
    rcx: int
    rdx: int
    rsi: int
    rdi: int
    rbp: int
    rsp: int
    r8: int
    r9: int
    r10: int
    r11: int
    r12: int
    r13: int
    r14: int
    r15: int
    rip: int
    rflags: int
    fs_base: int
    gs_base: int
    mxcsr: int
    fpcw: int
    fpsw: int
    fptag: int
    xmm0: int
    xmm1: int
    xmm2: int
    xmm3: int
    xmm4: int
    xmm5: int
    xmm6: int
    xmm7: int
    xmm8: int
    xmm9: int
    xmm10: int
    xmm11: int
    xmm12: int
    xmm13: int
    xmm14: int
    xmm15: int
    st0: int
    st1: int
    st2: int
    st3: int
    st4: int
    st5: int
    st6: int
    st7: int

class Answers: ...

class RunningCpu:
    phys: PhysMemory
    fills: int
    syscalls: int
    lost: bool
    @property
    def space(self) -> AddrSpace | None: ...
    @property
    def regs(self) -> Registers: ...
    def attach(self, space: AddrSpace | None) -> None: ...
    def on_syscall(self, handler: Callable[[int, int, int, int, int, int, int], int | None]) -> None: ...
    def stop(self) -> None: ...
    def preempt(self) -> None: ...
    def shorten(self, timeout: float) -> None: ...
    def reg_read(self, name: str) -> int: ...
    def reg_write(self, name: str, value: int) -> None: ...
    def close(self) -> None: ...
