"""The peer: a static program run by nothing but Unicorn on flat mapped memory.

`python bare_unicorn.py PROGRAM` prints the guest's output to stdout and, as the last line of stderr, the
seconds that `emu_start` took; loading and importing are not in them. Serves `write` to standard output and
`exit`.
"""

from __future__ import annotations

import struct
import sys
import time
from typing import Any

import unicorn
from unicorn import UC_ARCH_X86, UC_HOOK_INSN, UC_MODE_64, UC_PROT_READ, UC_PROT_WRITE
from unicorn.x86_const import (
    UC_X86_INS_SYSCALL,
    UC_X86_REG_RAX,
    UC_X86_REG_RDX,
    UC_X86_REG_RSI,
    UC_X86_REG_RSP,
)

PAGE = 0x1000
STACK = 0x7FFF_0000_0000
STACK_SIZE = 1 << 20
Uc: Any = unicorn.Uc  # type: ignore[attr-defined]
"""Its stubs are untyped."""


def load(uc: Any, program: bytes) -> int:
    """Maps each PT_LOAD segment flat, with its permissions; returns the entry point."""
    entry, table = struct.unpack_from("<QQ", program, 24)
    entry_size, count = struct.unpack_from("<HH", program, 54)
    segments = [struct.unpack_from("<IIQQQQQ", program, table + i * entry_size) for i in range(count)]
    loads = [segment for segment in segments if segment[0] == 1]
    for _, flags, offset, address, _, file_size, memory_size in loads:
        start, end = address // PAGE * PAGE, -(-(address + memory_size) // PAGE) * PAGE
        if end > start:
            # PF_R, PF_W and PF_X are 4, 2 and 1; Unicorn's READ, WRITE and EXEC are 1, 2 and 4.
            uc.mem_map(start, end - start, flags >> 2 & 1 | flags & 2 | (flags & 1) << 2)
            uc.mem_write(address, program[offset : offset + file_size])
    return int(entry)


def main() -> None:
    uc = Uc(UC_ARCH_X86, UC_MODE_64)
    with open(sys.argv[1], "rb") as file:
        entry = load(uc, file.read())
    uc.mem_map(STACK, STACK_SIZE, UC_PROT_READ | UC_PROT_WRITE)
    uc.reg_write(UC_X86_REG_RSP, STACK + STACK_SIZE - 64)

    def syscall(uc: Any, data: object) -> None:
        number, address, size = uc.reg_read_batch((UC_X86_REG_RAX, UC_X86_REG_RSI, UC_X86_REG_RDX))
        if number == 1:
            sys.stdout.write(bytes(uc.mem_read(address, size)).decode())
            uc.reg_write(UC_X86_REG_RAX, size)
        else:
            uc.emu_stop()

    uc.hook_add(UC_HOOK_INSN, syscall, None, 1, 0, UC_X86_INS_SYSCALL)
    start = time.perf_counter()
    uc.emu_start(entry, 0)
    took = time.perf_counter() - start
    sys.stdout.flush()
    print(took, file=sys.stderr)


main()
