"""The x86-64 registers of a Unicorn CPU by name.

General registers, `rip`, `rflags`, `fs_base` and `gs_base` have 64 bits, `xmm0` to `xmm15` 128, `mxcsr` 32,
`fpcw`, `fpsw` and `fptag` 16, `st0` to `st7` (from the top of the x87 stack) 80; a value is an unsigned int.
Of `rflags` only what a program may change is written.

Not here: `rip` while a system call is served, which only the CPU knows (`unicorn`).

Failure: `AttributeError` for an unknown name, `TypeError` for no integer, `OverflowError` for one that does
not fit. Nothing has changed then.
"""

import cython
from cython.cimports.axptr._core.cpu.unicorn.uclib import (
    UC_X86_REG_EFLAGS,
    UC_X86_REG_FPCW,
    UC_X86_REG_FPSW,
    UC_X86_REG_FPTAG,
    UC_X86_REG_FS_BASE,
    UC_X86_REG_GS_BASE,
    UC_X86_REG_MXCSR,
    UC_X86_REG_R8,
    UC_X86_REG_RAX,
    UC_X86_REG_RBP,
    UC_X86_REG_RBX,
    UC_X86_REG_RCX,
    UC_X86_REG_RDI,
    UC_X86_REG_RDX,
    UC_X86_REG_RIP,
    UC_X86_REG_RSI,
    UC_X86_REG_RSP,
    UC_X86_REG_ST0,
    UC_X86_REG_XMM0,
    Api,
)
from cython.cimports.axptr._core.cpu.x86.x86regs import FIXED_FLAGS, USER_FLAGS
from cython.cimports.cpython.long import PyLong_AsLongLongAndOverflow, PyLong_AsUnsignedLongLong
from cython.cimports.libc.stdint import uint64_t

# name -> (the library's number, bytes)
_registers = {
    "rax": (UC_X86_REG_RAX, 8),
    "rbx": (UC_X86_REG_RBX, 8),
    "rcx": (UC_X86_REG_RCX, 8),
    "rdx": (UC_X86_REG_RDX, 8),
    "rsi": (UC_X86_REG_RSI, 8),
    "rdi": (UC_X86_REG_RDI, 8),
    "rbp": (UC_X86_REG_RBP, 8),
    "rsp": (UC_X86_REG_RSP, 8),
    "rip": (UC_X86_REG_RIP, 8),
    "rflags": (UC_X86_REG_EFLAGS, 8),
    "fs_base": (UC_X86_REG_FS_BASE, 8),
    "gs_base": (UC_X86_REG_GS_BASE, 8),
    "mxcsr": (UC_X86_REG_MXCSR, 4),
    "fpcw": (UC_X86_REG_FPCW, 2),
    "fpsw": (UC_X86_REG_FPSW, 2),
    "fptag": (UC_X86_REG_FPTAG, 2),
}
_registers.update({f"r{8 + i}": (UC_X86_REG_R8 + i, 8) for i in range(8)})
_registers.update({f"xmm{i}": (UC_X86_REG_XMM0 + i, 16) for i in range(16)})
_registers.update({f"st{i}": (UC_X86_REG_ST0 + i, 10) for i in range(8)})

names = tuple(_registers)

parts = {"pc": "rip", "sp": "rsp", "flags": "rflags", "tls": "fs_base", "number": "rax", "result": "rax"}
"""What they are called by the parts that they play: see `axptr.engine.arch`."""


@cython.cfunc
def read_register(api: cython.pointer(Api), uc: cython.p_void, name: str) -> object:
    """The register's value as an unsigned int."""
    known = _registers.get(name)
    if known is None:
        raise AttributeError(f"no x86-64 register is called {name!r}")
    number: cython.int
    size: cython.int
    number, size = known
    value: uint64_t[2]
    value[0] = value[1] = 0
    api.reg_read(uc, number, value)
    if size == 10:
        value[1] &= 0xFFFF
    if size > 8:
        low: object = value[0]
        high: object = value[1]
        return low | high << 64
    return value[0]


@cython.cfunc
@cython.exceptval(-1, check=False)
def write_register(api: cython.pointer(Api), uc: cython.p_void, name: str, value: object) -> cython.int:
    """Set a register; a negative number stands for its two's complement."""
    known = _registers.get(name)
    if known is None:
        raise AttributeError(f"no x86-64 register is called {name!r}")
    number: cython.int
    size: cython.int
    number, size = known
    bits: uint64_t[2]
    bits[0] = bits[1] = 0
    if size > 8:
        limit: object = 1 << 128 if size == 16 else 1 << 80
        if not 0 <= value < limit:
            raise OverflowError(f"{value} does not fit the {8 * size} bits of {name}")
        bits[0] = value & 0xFFFF_FFFF_FFFF_FFFF
        bits[1] = value >> 64
    else:
        bits[0] = register_bits(value)
        if size < 8 and bits[0] >> (8 * size):
            raise OverflowError(f"{value} does not fit the {8 * size} bits of {name}")
    if number == UC_X86_REG_EFLAGS:
        bits[0] = (bits[0] & USER_FLAGS) | FIXED_FLAGS
    api.reg_write(uc, number, bits)
    return 0


@cython.cfunc
@cython.exceptval(0xFFFFFFFFFFFFFFFF, check=True)
def register_bits(value: object) -> uint64_t:
    """A register's 64 bits for an int from -2**63 to 2**64 - 1; `OverflowError` or `TypeError` otherwise."""
    overflow: cython.int = 0
    number: cython.longlong = PyLong_AsLongLongAndOverflow(value, cython.address(overflow))
    if overflow == 0:
        return cython.cast(uint64_t, number)
    if overflow < 0:
        raise OverflowError(f"{value} does not fit a 64-bit register")
    return PyLong_AsUnsignedLongLong(value)
