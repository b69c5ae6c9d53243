"""Which instructions Unicorn must not translate as they come, told from their bytes.

Version 2.1.4 of the library dies of some code that any program may hold, found by trying every opcode:

- `lock` before a bit test of a register (`lock bt eax, eax`) aborts the process. A CPU has exception 6 for it.
- Some instructions leak one or two of the 464 temporaries that a block of translated code may use (`leak_of`): those of
  x87 that work on registers, SSE instructions with an immediate operand, `crc32`, loads of FS and GS. A straight run of
  233 of the first kind writes past the end of a table.
- `pcmpestri` and `pcmpestrm` with a length of -2**31 in eax or edx read and write far outside of their operands.

Other code it runs, but as no CPU does, found by comparing random code with the host's CPU (tests/oracle):

- VEX, EVEX and XOP prefixes, which a CPU without AVX does not have, are passed over: AVX runs as SSE.
- `lock` before what cannot be locked is passed over.
- `cmpxchg` of 32 bits clears the upper half of rax, or of its destination, that a CPU leaves; `lock neg` has wrong flags;
  pcmp[ei]str[im] that look for a substring miss one that the second operand cuts off; `test` with a constant in its
  other spelling (f6 /1, f7 /1) is refused; `fcomi` and its kin leave OF, SF and AF as they were; `fisttp` saturates.
- `phaddw`, `phsubd` and their kin of a register with itself read it while they write it.
- SSSE3 on MMX registers with REX.R or REX.B writes behind the eighth register, into other state of the CPU (`_is_mmx`).
- `cmpxchg8b` has wrong flags, `cmpxchg16b` takes misaligned operands; reserved bits of MXCSR may be set; segment registers
  may hold nothing but null selectors.
- Operands of SSE that must lie at a multiple of 16 may lie anywhere. Where the instruction itself tells that they do not,
  it is refused (`is_misaligned`); where a register tells, nobody looks.
- It takes some prefixes and constants for more than they are: a REX prefix that is not the last one, or that extends the
  opcode or ah; 0x66 beside 0xF2 or 0xF3; the upper bits of the predicate of `cmpps` and its kin (`rewrite`).

Not here: who asks (`stepping`), what is done instead (`corrections`). No state, no failure.
"""

import cython
from cython.cimports.axptr._core.cpu.x86.codescan import (
    COMPARE,
    CONTROLS,
    ENTROPY,
    EXCHANGE,
    HORIZONTAL,
    LONGEST,
    NEGATE,
    NOTHING,
    PAIR,
    PAUSE,
    PLAIN,
    READS_FLAGS,
    REWRITE,
    SELECTOR,
    SETS_FLAGS,
    STRINGS,
    TEST,
    TIMESTAMP,
    TRUNCATE,
    UNDEFINED,
    UNFINISHED,
    Insn,
)
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t, uint64_t
from cython.cimports.libc.string import memcpy

_PREFIXES = b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3" + bytes(range(0x40, 0x50))
# First bytes of what may be more than plain, or may leak.
_NOTED = _PREFIXES + b"\x0f\x62\x8e\x8f\xc4\xc5\xf6\xf7" + bytes(range(0xD8, 0xE0))
_dull = cython.declare(cython.bint[256])
_prefix = cython.declare(cython.bint[256])
for _i in range(256):
    _dull[_i] = _i not in _NOTED
    _prefix[_i] = _i in _PREFIXES

# Opcodes behind 0x0F, 0x0F 0x38 and 0x0F 0x3A whose operand in memory must be aligned, by mandatory prefix: a bit each.
_NO_PREFIX, _SHORT, _F2, _F3 = 1, 2, 4, 8
_aligned = cython.declare(uint8_t[768])


def _demand(page: cython.int, prefixes: cython.int, opcodes: object):
    for opcode in opcodes:
        _aligned[256 * page + opcode] |= prefixes


_both = _NO_PREFIX | _SHORT
_demand(0, _both, b"\x14\x15\x28\x29\x2b\x51\x54\x55\x56\x57\x58\x59\x5c\x5d\x5e\x5f\xc2\xc6")
_demand(0, _NO_PREFIX, b"\x52\x53\x5b")
_demand(0, _SHORT, b"\x2c\x2d\x5a\x5b\x74\x75\x76\x7c\x7d\x7f\xd0\xe6\xe7" + bytes(range(0x60, 0x6E)))
_demand(0, _SHORT, b"\x6f\x70" + bytes(range(0xD1, 0xD6)) + bytes(range(0xD8, 0xE6)) + bytes(range(0xE8, 0xF0)))
_demand(0, _SHORT, bytes(range(0xF1, 0xF7)) + bytes(range(0xF8, 0xFF)))
_demand(0, _F2, b"\x70\x7c\x7d\xd0\xe6")
_demand(0, _F3, b"\x12\x16\x5b\x70")
_demand(1, _SHORT, bytes(range(0x0C)) + b"\x10\x14\x15\x17\x1c\x1d\x1e\x28\x29\x2a\x2b\x37\x40\x41")
_demand(1, _SHORT, bytes(range(0x38, 0x40)) + bytes(range(0xDB, 0xE0)))
_demand(2, _SHORT, b"\x08\x09\x0c\x0d\x0e\x0f\x40\x41\x42\x44\xdf")


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def is_dull(first: uint8_t) -> cython.bint:
    """Whether an instruction with this first byte is plain, or matters in steps only, and leaks nothing."""
    return _dull[first]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def operand_size(modrm: cython.pointer(cython.const[uint8_t]), room: cython.int) -> cython.int:
    """Bytes of a modrm byte and what belongs to it; -1 if `room` bytes do not tell."""
    mode: uint8_t
    size: cython.int = 1
    if room < 1:
        return -1
    mode = modrm[0] >> 6
    if mode == 3:
        return 1
    if modrm[0] & 7 == 4:
        if room < 2:
            return -1
        size = 6 if mode == 0 and modrm[1] & 7 == 5 else 2
    elif mode == 0 and modrm[0] & 7 == 5:
        size = 5
    return size + (1 if mode == 1 else 4 if mode == 2 else 0)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def read_prefixes(
    code: cython.pointer(cython.const[uint8_t]), size: cython.int, insn: cython.pointer(Insn)
) -> cython.bint:
    """Take the prefixes apart; False if there is nothing behind them. A REX prefix counts right before the opcode."""
    i: cython.int = 0
    byte: uint8_t
    insn.rex = insn.repeat = insn.segment = 0
    insn.short = insn.near = insn.locked = insn.stray = False
    while i < size and i < LONGEST and _prefix[code[i]]:
        byte = code[i]
        insn.stray = insn.stray or insn.rex != 0
        insn.rex = byte if byte & 0xF0 == 0x40 else 0
        if byte == 0x66:
            insn.short = True
        elif byte == 0x67:
            insn.near = True
        elif byte == 0xF0:
            insn.locked = True
        elif byte >= 0xF2:
            insn.repeat = byte
        elif byte == 0x64 or byte == 0x65:
            insn.segment = byte
        i += 1
    insn.at = i
    insn.modrm = i + 1
    if i < size and code[i] == 0x0F:
        insn.modrm = i + 2
        if i + 1 < size and code[i + 1] & 0xFD == 0x38:
            insn.modrm = i + 3
    return i < size


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _can_be_locked(opcode: uint8_t, second: uint8_t, modrm: uint8_t) -> cython.bint:
    """Whether this is one of the instructions that take `lock`, with a destination in memory. second: behind 0x0F."""
    digit: uint8_t = modrm >> 3 & 7
    if modrm >= 0xC0:
        return False
    if opcode == 0x0F:
        if second == 0xBA:
            return digit >= 5
        if second == 0xC7:
            return digit == 1
        return second == 0xAB or second == 0xB3 or second == 0xBB or second & 0xFE == 0xB0 or second & 0xFE == 0xC0
    if opcode < 0x38:
        return opcode & 7 < 2
    if opcode == 0x80 or opcode == 0x81 or opcode == 0x83:
        return digit < 7
    if opcode & 0xFE == 0xF6:
        return digit == 2 or digit == 3
    if opcode & 0xFE == 0xFE:
        return digit < 2
    return opcode & 0xFE == 0x86


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _kind_of_two(
    code: cython.pointer(cython.const[uint8_t]), size: cython.int, insn: cython.pointer(Insn)
) -> cython.int:
    """The kind of an instruction whose opcode begins with 0x0F. `modrm` may lie behind what is there."""
    second: uint8_t
    more: cython.int
    digit: uint8_t
    if size < insn.at + 2:
        return UNFINISHED
    second = code[insn.at + 1]
    if insn.short and insn.repeat and _has_mandatory_prefix(second):
        return REWRITE
    if second == 0xC2:
        more = operand_size(code + insn.modrm, size - insn.modrm)
        if more < 0 or size <= insn.modrm + more:
            return UNFINISHED
        return PLAIN if code[insn.modrm + more] < 8 else REWRITE
    if second == 0xC3 and (insn.short or insn.repeat):
        return UNDEFINED
    if second == 0xC7:
        if size <= insn.modrm:
            return UNFINISHED
        return PAIR if code[insn.modrm] < 0xC0 and code[insn.modrm] & 0x38 == 8 else PLAIN
    if second == 0x3A:
        if size < insn.at + 3:
            return UNFINISHED
        if code[insn.at + 2] & 0xFC != 0x60:
            if insn.rex & 5 and _is_mmx(code, insn):
                return UNFINISHED if size <= insn.modrm else REWRITE
            return PLAIN
        if not insn.short or insn.repeat:
            return UNDEFINED
        if code[insn.at + 2] < 0x62:
            return STRINGS
        more = operand_size(code + insn.modrm, size - insn.modrm)
        if more < 0 or size <= insn.modrm + more:
            return UNFINISHED
        return STRINGS if code[insn.modrm + more] & 0x0C == 0x0C else PLAIN
    if second == 0x38:
        if size < insn.at + 3:
            return UNFINISHED
        digit = code[insn.at + 2]
        if digit > 0x1E:
            return PLAIN
        if size <= insn.modrm:
            return UNFINISHED
        if digit == 0 or digit == 4 or digit > 7:
            return REWRITE if insn.rex & 5 and _is_mmx(code, insn) else PLAIN
        digit = code[insn.modrm]
        if digit >= 0xC0 and digit >> 3 & 7 == digit & 7 and (not insn.short or insn.rex & 1 == insn.rex >> 2 & 1):
            return HORIZONTAL
        return REWRITE if insn.rex & 5 and _is_mmx(code, insn) else PLAIN
    if second == 0xA1 or second == 0xA9:
        return SELECTOR
    if second == 0xB2 or second == 0xB4 or second == 0xB5:
        return SELECTOR
    if second == 0xB1:
        return PLAIN if insn.short or insn.rex & 8 else EXCHANGE
    if second == 0xAE and not insn.short and not insn.repeat:
        if size <= insn.modrm:
            return UNFINISHED
        digit = code[insn.modrm] >> 3 & 7
        if code[insn.modrm] < 0xC0 and (digit == 1 or digit == 2):
            return CONTROLS
    return PLAIN


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _has_mandatory_prefix(second: uint8_t) -> cython.bint:
    """Whether 0x66, 0xF2, 0xF3 choose among instructions of SSE with this opcode."""
    return (
        second & 0xF8 == 0x10
        or second & 0xF8 == 0x28
        or 0x50 <= second < 0x80
        or second == 0xC2
        or 0xC4 <= second < 0xC7
        or second >= 0xD0
    )


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _is_mmx(code: cython.pointer(cython.const[uint8_t]), insn: cython.pointer(Insn)) -> cython.bint:
    """Whether this is one of SSSE3's instructions on MMX registers, of which there are eight: REX.R and B do not count.

    The library takes them for the numbers of registers behind the last one.
    """
    third: uint8_t = code[insn.at + 2]
    if insn.short or insn.repeat:
        return False
    if code[insn.at + 1] == 0x38:
        return third <= 0x0B or 0x1C <= third <= 0x1E
    return code[insn.at + 1] == 0x3A and third == 0x0F


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def rewrite(code: cython.pointer(uint8_t), size: cython.int) -> cython.void:
    """Put a REWRITE into the words that the library understands: prefixes without effect become 0x3E, which has none."""
    i: cython.int
    more: cython.int
    insn: Insn
    none: uint8_t = 0x3E
    read_prefixes(code, size, cython.address(insn))
    for i in range(insn.at):
        if (code[i] & 0xF0 == 0x40 and (i < insn.at - 1 or code[insn.at] & 0xFE == 0x9E)) or (
            code[i] == 0x66 and insn.repeat and code[insn.at] == 0x0F and _has_mandatory_prefix(code[insn.at + 1])
        ):
            code[i] = none
    if insn.rex and code[insn.at] == 0x0F and _is_mmx(code, cython.address(insn)):
        code[insn.at - 1] &= 0xFA if code[insn.modrm] >= 0xC0 else 0xFB
    if insn.rex and code[insn.at] & 0xFE == 0xC6:
        code[insn.at - 1] &= 0xFB
    if code[insn.at] == 0x0F and code[insn.at + 1] == 0xC2:
        more = operand_size(code + insn.modrm, size - insn.modrm)
        if more > 0 and insn.modrm + more < size:
            code[insn.modrm + more] &= 7


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def kind_of(code: cython.pointer(cython.const[uint8_t]), size: cython.int) -> cython.int:
    """What the instruction is that begins with these bytes."""
    insn: Insn
    opcode: uint8_t
    modrm: uint8_t = 0
    digit: uint8_t
    if not read_prefixes(code, size, cython.address(insn)):
        return UNFINISHED if insn.at < LONGEST else PLAIN
    opcode = code[insn.at]
    if opcode == 0xC4 or opcode == 0xC5 or opcode == 0x62:
        return UNDEFINED
    if insn.locked:
        if size <= insn.modrm:
            if opcode == 0x0F and size < insn.at + 2:
                return UNFINISHED
            for digit in range(8):
                if _can_be_locked(opcode, code[insn.modrm - 1], digit << 3):
                    return UNFINISHED
            return UNDEFINED
        if not _can_be_locked(opcode, code[insn.at + 1], code[insn.modrm]):
            return UNDEFINED
    if insn.stray:
        return REWRITE
    if opcode == 0x0F:
        return _kind_of_two(code, size, cython.address(insn))
    if opcode == 0x90 and insn.repeat == 0xF3 and not insn.rex & 1:
        return PAUSE
    if opcode & 0xFE == 0x9E and insn.rex:
        return REWRITE
    if opcode & 0xFE == 0xC6 and insn.rex & 4:
        return REWRITE
    if opcode == 0x9C:
        return READS_FLAGS
    if opcode == 0x9D or opcode == 0xCF:
        return SETS_FLAGS
    if opcode != 0x8F and opcode != 0x8E and opcode & 0xFE != 0xF6 and opcode & 0xF8 != 0xD8:
        return PLAIN
    if size <= insn.modrm:
        return UNFINISHED
    modrm = code[insn.modrm]
    digit = modrm >> 3 & 7
    if opcode == 0x8F:
        return UNDEFINED if digit else PLAIN
    if opcode == 0x8E:
        return UNDEFINED if digit == 1 or digit > 5 else SELECTOR
    if opcode & 0xFE == 0xF6:
        return TEST if digit == 1 else NEGATE if digit == 3 and insn.locked else PLAIN
    if opcode == 0xDB or opcode == 0xDF:
        if modrm >= 0xE8 and modrm < 0xF8:
            return COMPARE
    if (opcode == 0xDB or opcode == 0xDD or opcode == 0xDF) and modrm < 0xC0 and digit == 1:
        return TRUNCATE
    return PLAIN


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def chance_in(code: cython.pointer(cython.const[uint8_t]), size: cython.int) -> cython.int:
    """What of an instruction's result is not told by the program and its memory: NOTHING, TIMESTAMP, ENTROPY."""
    insn: Insn
    second: uint8_t
    if not read_prefixes(code, size, cython.address(insn)) or insn.locked or size < insn.at + 2:
        return NOTHING
    second = code[insn.at + 1]
    if code[insn.at] != 0x0F:
        return NOTHING
    if second == 0x31:
        return TIMESTAMP
    if insn.modrm >= size:
        return NOTHING
    if second == 0x01 and code[insn.modrm] == 0xF9:
        return TIMESTAMP
    if second == 0xC7 and code[insn.modrm] >= 0xF0 and code[insn.modrm] < 0xF8 and not insn.repeat:
        return ENTROPY
    return NOTHING


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def leak_of(code: cython.pointer(cython.const[uint8_t]), size: cython.int) -> cython.int:
    """Temporaries that the library leaks for this instruction, at most."""
    insn: Insn
    opcode: uint8_t
    then: uint8_t
    if not read_prefixes(code, size, cython.address(insn)):
        return 2
    opcode = code[insn.at]
    if opcode != 0x0F and opcode != 0x8E and opcode & 0xF8 != 0xD8:
        return 0
    if size < insn.at + (3 if opcode == 0x0F else 2):
        return 2
    then = code[insn.at + 1]
    if opcode == 0x8E:
        return then & 0x30 == 0x20
    if opcode == 0x0F:
        if then == 0x38:
            return code[insn.at + 2] >= 0xF0
        return 2 if then == 0x78 else then == 0x70 or then == 0xC6 or then == 0x3A
    if then >= 0xC0:
        return 2
    return (opcode == 0xD9 or opcode == 0xDD) and then & 0x28 == 0x20


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def narrows_rax(code: cython.pointer(cython.const[uint8_t]), size: cython.int, narrow: cython.bint) -> cython.bint:
    """Whether the upper half of rax is known to be zero behind an instruction; `narrow`: before it.

    Then `cmpxchg` of 32 bits in memory is right. Known are moves and arithmetic, as stand before it: without REX.W they
    clear the upper half of what they write, or leave it.
    """
    insn: Insn
    opcode: uint8_t
    modrm: uint8_t
    into_modrm: cython.bint
    if not read_prefixes(code, size, cython.address(insn)) or insn.locked or insn.stray or insn.at + 1 >= size:
        return False
    opcode = code[insn.at]
    modrm = code[insn.at + 1]
    if opcode & 0xF8 == 0xB8:
        if opcode & 7 or insn.rex & 1:
            return narrow
        return not insn.rex & 8 and (narrow or not insn.short)
    if (opcode < 0x40 and opcode & 7 < 4) or opcode & 0xFC == 0x88:
        into_modrm = opcode & 2 == 0
    elif opcode == 0x8D or opcode == 0x84 or opcode == 0x85:
        into_modrm = False
    elif opcode == 0x81 or opcode == 0x83 or opcode == 0xC7:
        into_modrm = True
    else:
        return False
    if (opcode == 0x31 or opcode == 0x33) and modrm == 0xC0 and not insn.rex and not insn.short:
        return True
    if insn.rex & 8:  # 64 bits: not into rax
        if into_modrm:
            return narrow and (modrm < 0xC0 or modrm & 7 != 0 or insn.rex & 1 != 0)
        return narrow and (modrm & 0x38 != 0 or insn.rex & 4 != 0)
    if opcode == 0x8B and modrm & 0x38 == 0 and not insn.rex & 4 and not insn.short:
        return True
    return narrow


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def is_in_memory(code: cython.pointer(cython.const[uint8_t]), size: cython.int) -> cython.bint:
    """Whether the modrm byte of this instruction names memory."""
    insn: Insn
    return read_prefixes(code, size, cython.address(insn)) and insn.modrm < size and code[insn.modrm] < 0xC0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def is_misaligned(code: cython.pointer(cython.const[uint8_t]), size: cython.int, vaddr: uint64_t) -> cython.int:
    """Whether an instruction at `vaddr` demands an operand at a multiple of 16, and names one that is not. -1: not told.

    Only operands that no register moves: relative to rip, and absolute ones. Those of FS and GS are not among them.
    """
    insn: Insn
    page: cython.int = 0
    more: cython.int = 0
    opcode: uint8_t
    modrm: uint8_t
    near: int32_t = 0
    at: uint64_t = 0
    if not read_prefixes(code, size, cython.address(insn)) or size <= insn.at + 1:
        return 0 if insn.at < size and code[insn.at] != 0x0F else -1
    if code[insn.at] != 0x0F or insn.segment or insn.locked:
        return 0
    if size <= insn.modrm:
        return -1
    opcode = code[insn.modrm - 1]
    modrm = code[insn.modrm]
    if modrm & 0xC7 != 4 and modrm & 0xC7 != 5:
        return 0
    if insn.modrm == insn.at + 3:
        page = 1 if code[insn.at + 1] == 0x38 else 2
    if page == 0 and opcode == 0xAE:  # fxsave, fxrstor
        if modrm & 0x30 or insn.short or insn.repeat:
            return 0
    elif insn.repeat:
        if not _aligned[256 * page + opcode] & (4 if insn.repeat == 0xF2 else 8):
            return 0
    elif not _aligned[256 * page + opcode] & (2 if insn.short else 1):
        return 0
    more = operand_size(code + insn.modrm, size - insn.modrm)
    if more < 0:
        return -1
    if modrm & 7 == 4 and (code[insn.modrm + 1] & 0x3F != 0x25 or insn.rex & 2):
        return 0
    if size < insn.modrm + more:
        return -1
    memcpy(cython.address(near), code + insn.modrm + more - 4, 4)
    at = cython.cast(uint64_t, cython.cast(int64_t, near))
    if modrm & 7 == 5:
        at += vaddr + cython.cast(uint64_t, insn.modrm + more)
        if page == 2 or (page == 0 and (opcode == 0x70 or opcode == 0xC2 or opcode == 0xC6)):
            at += 1
    return at & 15 != 0


def _misaligned(code, vaddr):
    """`is_misaligned` of these bytes. For tests."""
    at = cython.cast(cython.pointer(cython.const[uint8_t]), cython.cast(cython.p_char, code))
    return is_misaligned(at, len(code), vaddr)


def _narrow(code, narrow):
    """`narrows_rax` of these bytes. For tests."""
    return narrows_rax(
        cython.cast(cython.pointer(cython.const[uint8_t]), cython.cast(cython.p_char, code)), len(code), narrow
    )


def _kind(code):
    """`kind_of` and `leak_of` of these bytes. For tests."""
    at = cython.cast(cython.pointer(cython.const[uint8_t]), cython.cast(cython.p_char, code))
    return kind_of(at, len(code)), leak_of(at, len(code))


def _chance(code):
    """`chance_in` these bytes. For tests."""
    return chance_in(cython.cast(cython.pointer(cython.const[uint8_t]), cython.cast(cython.p_char, code)), len(code))
