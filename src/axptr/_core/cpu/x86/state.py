"""All registers of an x86-64 CPU as bytes, and back, laid out as Linux hands them to debuggers and writes them to core
files: so they mean the same to every engine.

general: struct user_regs_struct (asm/user_64.h), 27 words of 8 bytes. orig_rax is -1, "in no system call".
extended: the FXSAVE64 image, 512 bytes (x87 and SSE), or an XSAVE area of the standard format, whose header says which
parts of it are in use and which are as a CPU starts with them (Intel SDM vol. 1, 10.5 and 13.4).

Not here: `rip` and the trap flag, of which the CPU that runs knows better (`unicorn`); single registers (`x86regs`).

Failure: `ValueError` for a state that no program can be in, or one with parts that this CPU has not; nothing has changed.
"""

import cython
from cython.cimports.axptr._core.cpu.unicorn.uclib import (
    UC_X86_REG_CS,
    UC_X86_REG_DS,
    UC_X86_REG_EFLAGS,
    UC_X86_REG_ES,
    UC_X86_REG_FDP,
    UC_X86_REG_FIP,
    UC_X86_REG_FOP,
    UC_X86_REG_FP0,
    UC_X86_REG_FPCW,
    UC_X86_REG_FPSW,
    UC_X86_REG_FPTAG,
    UC_X86_REG_FS,
    UC_X86_REG_FS_BASE,
    UC_X86_REG_GS,
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
    UC_X86_REG_SS,
    UC_X86_REG_XMM0,
    Api,
)
from cython.cimports.axptr._core.cpu.x86.state import CS, DS, GS, RFLAGS, RIP, SS
from cython.cimports.axptr._core.cpu.x86.x86regs import is_loadable
from cython.cimports.libc.stdint import uint8_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy, memset

_words = cython.declare(cython.int, 27)
_orig_rax = cython.declare(cython.int, 15)
_fxsave = cython.declare(cython.int, 512)
_header = cython.declare(cython.int, 576)  # the end of the header of an XSAVE area
_mxcsr_mask = cython.declare(uint32_t, 0xFFFF)
_order = cython.declare(cython.int[27])
_numbers: list = [
    *(UC_X86_REG_R8 + 7, UC_X86_REG_R8 + 6, UC_X86_REG_R8 + 5, UC_X86_REG_R8 + 4),
    *(UC_X86_REG_RBP, UC_X86_REG_RBX),
    *(UC_X86_REG_R8 + 3, UC_X86_REG_R8 + 2, UC_X86_REG_R8 + 1, UC_X86_REG_R8),
    *(UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RSI, UC_X86_REG_RDI, UC_X86_REG_RAX),
    *(UC_X86_REG_RIP, UC_X86_REG_CS, UC_X86_REG_EFLAGS, UC_X86_REG_RSP, UC_X86_REG_SS),
    *(UC_X86_REG_FS_BASE, UC_X86_REG_GS_BASE),
    *(UC_X86_REG_DS, UC_X86_REG_ES, UC_X86_REG_FS, UC_X86_REG_GS),
]
for _i in range(27):
    _order[_i] = _numbers[_i]


@cython.cfunc
def take_general(api: cython.pointer(Api), uc: cython.p_void, pc: uint64_t, flags: uint64_t) -> bytes:
    """user_regs_struct, with `pc` and `flags` as they are given."""
    words: uint64_t[27]
    places: cython.p_void[27]
    i: cython.int
    memset(words, 0, cython.sizeof(words))
    for i in range(_words):
        places[i] = cython.address(words[i])
    api.reg_read_batch(uc, _order, places, _words)
    words[_orig_rax] = 0xFFFF_FFFF_FFFF_FFFF
    words[RIP], words[RFLAGS] = pc, flags
    return cython.cast(cython.p_char, words)[: cython.sizeof(words)]


@cython.cfunc
def take_extended(api: cython.pointer(Api), uc: cython.p_void) -> bytes:
    """The FXSAVE64 image."""
    image: uint8_t[512]
    value: uint64_t[2]
    i: cython.int
    top: cython.int
    tags: cython.int = 0
    abridged: cython.int = 0
    memset(image, 0, cython.sizeof(image))
    api.reg_read(uc, UC_X86_REG_FPCW, image)
    api.reg_read(uc, UC_X86_REG_FPSW, image + 2)
    top = image[3] >> 3 & 7
    api.reg_read(uc, UC_X86_REG_FPTAG, cython.address(tags))
    for i in range(8):
        if tags >> 2 * i & 3 != 3:
            abridged |= 1 << i
    image[4] = abridged
    api.reg_read(uc, UC_X86_REG_FOP, image + 6)
    api.reg_read(uc, UC_X86_REG_FIP, image + 8)
    api.reg_read(uc, UC_X86_REG_FDP, image + 16)
    api.reg_read(uc, UC_X86_REG_MXCSR, image + 24)
    memcpy(image + 28, cython.address(_mxcsr_mask), 4)
    for i in range(8):
        value[0] = value[1] = 0
        api.reg_read(uc, UC_X86_REG_FP0 + (top + i & 7), value)
        memcpy(image + 32 + 16 * i, value, 10)
    for i in range(16):
        api.reg_read(uc, UC_X86_REG_XMM0 + i, image + 160 + 16 * i)
    return cython.cast(cython.p_char, cython.cast(cython.p_void, image))[:512]


@cython.cfunc
def general_word(general: bytes, index: cython.int) -> uint64_t:
    """A word of a state that `require_state` let pass."""
    words = cython.cast(cython.pointer(uint64_t), cython.cast(cython.p_char, general))
    return words[index]


@cython.cfunc
@cython.exceptval(-1, check=False)
def require_state(general: bytes, extended: bytes) -> cython.int:
    """Raise `ValueError` unless both can be put into this CPU."""
    i: cython.int
    size: cython.ssize_t = len(extended)
    if len(general) != 8 * _words:
        raise ValueError(f"the general registers of x86-64 have {8 * _words} bytes, not {len(general)}")
    for i in range(DS, GS + 1):
        if not is_loadable(general_word(general, i)):
            raise ValueError(f"no program can load the selector {general_word(general, i):#x}")
    if general_word(general, CS) != 0x33 or general_word(general, SS) != 0x2B:
        raise ValueError("a program of 64 bits has cs 0x33 and ss 0x2b")
    if size != _fxsave and size < _header:
        raise ValueError(f"{size} bytes are neither an FXSAVE image nor an XSAVE area")
    if _parts(extended) & ~cython.cast(uint64_t, 3) or (size > _fxsave and general_word(extended, 65)):
        raise ValueError("the state has parts that this CPU has not: x87 and SSE are all")
    if (general_word(extended, 3) & 0xFFFF_FFFF) > _mxcsr_mask:
        raise ValueError("mxcsr has bits that no CPU has")
    return 0


@cython.cfunc
@cython.exceptval(check=False)
def _parts(extended: bytes) -> uint64_t:
    """XSTATE_BV: which parts are in use; bit 0 for x87, bit 1 for SSE."""
    return general_word(extended, 64) if len(extended) > _fxsave else 3


@cython.cfunc
@cython.exceptval(-1, check=False)
def put_general(api: cython.pointer(Api), uc: cython.p_void, general: bytes) -> cython.int:
    """All but rip and rflags. A selector that is to change is loaded: its descriptor must be there."""
    i: cython.int
    now: uint64_t
    words = cython.cast(cython.pointer(uint64_t), cython.cast(cython.p_char, general))
    for i in range(DS, GS + 1):
        now = 0
        api.reg_read(uc, _order[i], cython.address(now))
        if now != words[i] and api.reg_write(uc, _order[i], cython.address(words[i])):
            raise RuntimeError(f"Unicorn does not load the selector {words[i]:#x}")
    for i in range(DS):
        if i != _orig_rax and i != RIP and i != CS and i != RFLAGS and i != SS:
            api.reg_write(uc, _order[i], cython.address(words[i]))
    return 0


@cython.cfunc
@cython.exceptval(-1, check=False)
def put_extended(api: cython.pointer(Api), uc: cython.p_void, extended: bytes) -> cython.int:
    """Into a CPU whose x87 and SSE registers are as it starts with them."""
    image = cython.cast(cython.pointer(uint8_t), cython.cast(cython.p_char, extended))
    used: uint64_t = _parts(extended)
    value: uint64_t[2]
    tags: uint64_t = 0
    i: cython.int
    top: cython.int
    if used & 1:
        api.reg_write(uc, UC_X86_REG_FPCW, image)
        api.reg_write(uc, UC_X86_REG_FPSW, image + 2)
        top = image[3] >> 3 & 7
        for i in range(8):
            value[0] = value[1] = 0
            memcpy(value, image + 32 + 16 * i, 10)
            api.reg_write(uc, UC_X86_REG_FP0 + (top + i & 7), value)
            if not image[4] >> i & 1:
                tags |= cython.cast(uint64_t, 3) << 2 * i
        api.reg_write(uc, UC_X86_REG_FPTAG, cython.address(tags))
        api.reg_write(uc, UC_X86_REG_FOP, image + 6)
        api.reg_write(uc, UC_X86_REG_FIP, image + 8)
        api.reg_write(uc, UC_X86_REG_FDP, image + 16)
    if used & 2:
        for i in range(16):
            api.reg_write(uc, UC_X86_REG_XMM0 + i, image + 160 + 16 * i)
    api.reg_write(uc, UC_X86_REG_MXCSR, image + 24)
    return 0
