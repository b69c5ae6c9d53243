"""What an architecture is to an engine and to a kernel: its registers by the parts they play, how a system call is made
again, what the CPU's own numbers of exceptions mean. Tables that never change.

`engine.arch` names the one that an engine runs. There is an engine for x86-64; of the others stands here what does not
need one: names, parts, what an ELF file calls them.

    regs = engine.regs
    regs.pc, regs.sp, regs.result                       # on every architecture
    [getattr(regs, name) for name in engine.arch.arguments]

Sources: the psABI of each; `struct user_regs_struct` of each in Linux (asm/user.h, asm/ptrace.h), which debuggers and
core files have too; syscall(2); elf.h.

Not here: system calls' numbers (`linux.abi`), signal frames (`linux.arch`), page tables (`axptr.paging`).
"""

from __future__ import annotations

from .._core.cpu.x86 import x86regs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal

    Trap = Literal[
        "page", "divide", "debug", "breakpoint", "overflow", "undefined", "protection", "alignment", "float", "call"
    ]  # fmt: skip


class Architecture:
    """One architecture.

    name: as `uname -m` says it. machine: e_machine of its ELF files. address_bits: a program's addresses have so many
        bits, with the page tables that Linux takes by default; of larger ones those exist that have all others set.
    registers: the integer registers in the order of Linux' user_regs_struct, 8 bytes each: `Context.general`.
    places: where each of them lies there, in bytes.
    pc, sp, flags, tls, number, arguments, result, link: which of them play these parts. tls: the thread pointer.
        number, arguments, result: of a system call. flags, link: "" where there is none, as a branch compares by itself
        or a call leaves the way back on the stack.
    apart: those of the parts that do not stand in `registers`.
    call_size: bytes of the instruction that makes a system call.
    traps: exceptions' numbers -> what happened, for those that an engine reports as `Exit.vector`.
    """

    __slots__ = (
        "address_bits", "apart", "arguments", "call_size", "flags", "link", "machine", "name", "number", "pc", "places",
        "registers", "result", "sp", "tls", "traps",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        machine: int,
        address_bits: int,
        registers: str,
        *,
        pc: str,
        sp: str,
        flags: str,
        tls: str,
        number: str,
        arguments: str,
        result: str,
        link: str,
        call_size: int,
        traps: Mapping[int, Trap] = {},
    ) -> None:
        self.name = name
        self.machine = machine
        self.address_bits = address_bits
        self.registers = tuple(registers.split())
        self.places = {name: 8 * i for i, name in enumerate(self.registers)}
        self.pc, self.sp, self.flags, self.tls, self.link = pc, sp, flags, tls, link
        self.number, self.arguments, self.result = number, tuple(arguments.split()), result
        self.call_size = call_size
        self.traps = traps
        parts = (pc, sp, flags, tls, link, number, *self.arguments, result)
        self.apart = tuple(part for part in dict.fromkeys(parts) if part and part not in self.registers)

    def rewind(self, regs: Any, number: int, first: int) -> None:
        """Have the system call in hand made again when the CPU goes on: as call `number`, with `first` as its first
        argument. Both are given, as the result may have gone to the register of either.
        """
        setattr(regs, self.pc, getattr(regs, self.pc) - self.call_size)
        setattr(regs, self.number, number)
        setattr(regs, self.arguments[0], first)

    def is_canonical(self, address: int) -> bool:
        """Whether an address can be formed at all: the bits that a program's addresses have not are alike."""
        return address >> self.address_bits in (0, (1 << 64 - self.address_bits) - 1)

    def __repr__(self) -> str:
        return f"<Architecture {self.name}>"

    def __reduce__(self) -> str:
        return self.name.upper()


X86_64 = Architecture(
    "x86_64",
    62,
    47,
    "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax "
    "rip cs rflags rsp ss fs_base gs_base ds es fs gs",
    arguments="rdi rsi rdx r10 r8 r9",
    link="",
    call_size=2,
    **x86regs.parts,
    traps={
        0: "divide", 1: "debug", 3: "breakpoint", 4: "overflow", 6: "undefined", 12: "protection", 13: "protection",
        14: "page", 16: "float", 17: "alignment", 19: "float", 0x80: "call",
    },
)  # fmt: skip
AARCH64 = Architecture(
    "aarch64",
    183,
    48,
    " ".join(f"x{i}" for i in range(31)) + " sp pc pstate",
    pc="pc",
    sp="sp",
    flags="pstate",
    tls="tpidr_el0",
    number="x8",
    arguments="x0 x1 x2 x3 x4 x5",
    result="x0",
    link="x30",
    call_size=4,
)
RISCV64 = Architecture(
    "riscv64",
    243,
    38,
    "pc ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6",
    pc="pc",
    sp="sp",
    flags="",
    tls="tp",
    number="a7",
    arguments="a0 a1 a2 a3 a4 a5",
    result="a0",
    link="ra",
    call_size=4,
)

ARCHITECTURES = {arch.name: arch for arch in (X86_64, AARCH64, RISCV64)}
"""By name."""
