"""Which pages of guest code Unicorn must not translate as they come.

Version 2.1.4 of the library dies of two things that any program may hold, found by trying every opcode:

- `lock` before a bit test of a register (`lock bt eax, eax`) aborts the process. A CPU has exception 6 for it.
- Some instructions leak one or two of the 464 temporaries that a block of translated code may use: those of x87
  that work on registers, SSE instructions with an immediate operand (with VEX too), `crc32`, loads of FS and GS. A
  straight run of 233 of the first kind writes past the end of a table.

So each page of code is looked at before it is executed. Where a locked bit test may begin (mostly in the middle of
other instructions), the library gets an exit: a run that comes to that address ends there, and what it is can be
told. A page that may leak too much is run instruction by instruction (`stepping`): one in some thousands among the
programs of a distribution.

What a block may leak is bounded from the page's bytes, for every byte at which an instruction could begin: exactly
where the decoder below knows an instruction's length, from above where it does not. A block lies in two pages at
most; each gets less than half of what there is, the rest is for what one instruction uses and for the one that lies
across the boundary.

Not here: what is done with such a page. No state, no failure.
"""

import cython
from cython.cimports.axptr._core.codescan import (
    FORBIDDEN,
    MOST_EXITS,
    NEEDS_STEPS,
    PAUSE,
    PLAIN,
    READS_FLAGS,
    SETS_FLAGS,
    UNFINISHED,
)
from cython.cimports.libc.stdint import uint8_t, uint16_t
from cython.cimports.libc.string import memcpy, memset

_page = cython.declare(cython.int, 4096)
_longest = cython.declare(cython.int, 15)  # bytes of the longest instruction
_budget = cython.declare(cython.int, 190)  # temporaries that the part of a block in one page may leak

# What follows an opcode byte, 16 to a row; the second table is for those after 0x0F.
#   . nothing   m modrm   b 1 byte   z 2 or 4 bytes by operand size   B modrm and b   Z modrm and z
#   t, T modrm, and b or z if it is `test`   v 2, 4 or 8 bytes   w 3 bytes   a an address   p prefix   r REX
#   o the second table   h, H one more opcode byte, then m or B   x, X VEX   g group 5
#   q, Q m and B, for registers only (some of the library's own ideas of memory are odd)
#   e ends a block, as what no CPU knows does   ? not known to this decoder
_one = cython.declare(uint8_t[256])
_two = cython.declare(uint8_t[256])
_matters = cython.declare(uint8_t[256])  # prefixes, and what `_leak` or a bit test can begin with
_ONE = (
    b"mmmmbzeemmmmbzeo"  # 00
    b"mmmmbzeemmmmbzee"
    b"mmmmbzpemmmmbzpe"
    b"mmmmbzpemmmmbzpe"
    b"rrrrrrrrrrrrrrrr"  # 40
    b"................"
    b"eeemppppzZbB...."
    b"eeeeeeeeeeeeeeee"
    b"BZeBmmmmmmmmmmmm"  # 80
    b"..........e....."
    b"aaaa....bz......"
    b"bbbbbbbbvvvvvvvv"
    b"BBeeXxBZw.eeeeee"  # C0
    b"mmmmeee.mmmmmmmm"
    b"eeeebbbbeeee...."
    b"peppe.tT......mg"
)
_TWO = (
    b"mmmmee????eeeme?"  # 00
    b"mmmmmmmmmmmmmmmm"
    b"????eeeemmmmmmmm"
    b"?.????eeheHeeeee"
    b"mmmmmmmmmmmmmmmm"  # 40
    b"qmmmmmmmmmmmmmmm"
    b"mmmmmmmmmmmmmmmm"
    b"BQQQmmm.??eemmmm"
    b"eeeeeeeeeeeeeeee"  # 80
    b"mmmmmmmmmmmmmmmm"
    b"...mBmee..emBmmm"
    b"mmmmmmmmmeBmmmmm"
    b"mmBmBQBm........"  # C0
    b"mmmmmmqqmmmmmmmm"
    b"mmmmmmmmmmmmmmmm"
    b"mmmmmmmqmmmmmmme"
)


def _fill(one: bytes, two: bytes):
    memcpy(_one, cython.cast(cython.p_char, one), 256)
    memcpy(_two, cython.cast(cython.p_char, two), 256)
    for i in range(256):
        _matters[i] = one[i] in b"pr" or i in (0x0F, 0x8E, 0xC4, 0xC5) or i & 0xF8 == 0xD8


_fill(_ONE, _TWO)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _is_prefix(byte: uint8_t) -> cython.bint:
    return _one[byte] == ord("p") or _one[byte] == ord("r")


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _is_bit_test(code: cython.pointer(cython.const[uint8_t]), size: cython.int) -> cython.bint:
    """Whether a bit test of a register may begin with these bytes, as far as they go. The first is 0x0F."""
    if size < 2:
        return True
    if code[1] != 0xA3 and code[1] != 0xAB and code[1] != 0xB3 and code[1] != 0xBB and code[1] != 0xBA:
        return False
    return size < 3 or code[2] >= 0xC0


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _leak_of(table: cython.int, opcode: uint8_t) -> cython.int:
    """Temporaries that an opcode leaks, at most, after 0x0F (table 1), 0x0F 0x38 (2), 0x0F 0x3A (3), or VEX."""
    if table == 1:  # with VEX there can be a further escape here
        return 2 if opcode == 0x78 else opcode == 0x70 or opcode == 0xC6 or opcode == 0x38 or opcode == 0x3A
    return table == 3 or (table == 2 and opcode >= 0xF0)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _leak(code: cython.pointer(cython.const[uint8_t])) -> cython.int:
    """The same for an instruction from its first byte that is no prefix."""
    opcode: uint8_t = code[0]
    then: uint8_t = code[1]
    if opcode == 0x0F:
        return _leak_of(2 if then == 0x38 else 3 if then == 0x3A else 1, code[2] if then == 0x38 else then)
    if opcode & 0xF8 == 0xD8:
        if then >= 0xC0:
            return 2
        return 1 if (opcode == 0xD9 or opcode == 0xDD) and then & 0x28 == 0x20 else 0
    if opcode == 0xC5:
        return _leak_of(1, code[2])
    if opcode == 0xC4:
        return _leak_of(then & 0x1F, code[3])
    return opcode == 0x8E and then & 0x30 == 0x20


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _decode(code: cython.pointer(cython.const[uint8_t]), leak: cython.p_int) -> cython.int:
    """The length of an instruction; 0 if a block ends with it, -1 if not known. 15 bytes can be read there."""
    i: cython.int = 0
    kind: uint8_t
    modrm: uint8_t = 0
    wide: cython.bint = False
    short: cython.bint = False
    near: cython.bint = False
    leak[0] = 0
    while _is_prefix(code[i]):
        wide = _one[code[i]] == ord("r") and code[i] & 8 != 0  # REX counts only right before the opcode
        short = short or code[i] == 0x66
        near = near or code[i] == 0x67
        i += 1
        if i == _longest:
            return 0
    leak[0] = _leak(code + i)
    kind = _one[code[i]]
    i += 1
    if kind == ord("o"):
        kind = _two[code[i]]
        i += 1
    elif kind == ord("x"):
        kind = _two[code[i + 1]]
        i += 2
    elif kind == ord("X"):
        modrm = code[i] & 0x1F
        kind = _two[code[i + 2]] if modrm == 1 else ord("m") if modrm == 2 else ord("B") if modrm == 3 else ord("?")
        i += 3
    if kind == ord("h") or kind == ord("H"):
        i += 1
        kind = ord("m") if kind == ord("h") else ord("B")
    if kind == ord("e"):
        return 0
    if kind == ord("?"):
        return -1
    if kind == ord("."):
        return i
    if kind == ord("v"):
        return i + (8 if wide else 2 if short else 4)
    if kind == ord("a"):
        return i + (4 if near else 8)
    if kind == ord("w"):
        return i + 3
    if kind != ord("b") and kind != ord("z"):
        modrm = code[i]
        i += 1
        if modrm < 0xC0:
            if kind == ord("q") or kind == ord("Q"):
                return -1
            if modrm & 7 == 4:
                if modrm < 0x40 and code[i] & 7 == 5:
                    i += 4
                i += 1
            if modrm >= 0x80 or (modrm < 0x40 and modrm & 7 == 5):
                i += 4
            elif modrm >= 0x40:
                i += 1
        modrm = modrm >> 3 & 7
        if kind == ord("g"):
            return 0 if 2 <= modrm <= 5 else i
    if kind == ord("b") or kind == ord("B") or kind == ord("Q") or (kind == ord("t") and modrm < 2):
        return i + 1
    if kind == ord("z") or kind == ord("Z") or (kind == ord("T") and modrm < 2):
        return i + (2 if short and not wide else 4)
    return i


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _leaks_too_much(code: cython.pointer(cython.const[uint8_t])) -> cython.bint:
    """Whether some straight run of instructions in this page may leak more than the budget."""
    i: cython.int
    k: cython.int
    size: cython.int
    leak: cython.int
    most: cython.int
    sums: uint16_t[4096 + 32]  # what a run from this byte on leaks
    memset(sums, 0, cython.sizeof(sums))
    for i in range(_page - 1, -1, -1):
        size = _decode(code + i, cython.address(leak))
        most = 0
        if size > 0:
            most = sums[i + size]
        elif size < 0:
            leak = 2
            for k in range(1, _longest + 1):
                most = max(most, sums[i + k])
        sums[i] = cython.cast(uint16_t, leak + most)
        if leak + most > _budget:
            return True
    return False


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def judge(page: cython.pointer(cython.const[uint8_t]), exits: cython.pointer(uint16_t)) -> cython.int:
    """NEEDS_STEPS, or how many exits this page of code needs; their offsets go to `exits` (MOST_EXITS).

    A locked bit test that lies in two pages is found in the one that holds the byte 0x0F. If it is the second one,
    or if the first byte of the page would be an exit, the page needs steps: an exit has to have a page before it.
    """
    i: cython.int
    k: cython.int
    start: cython.int = 0  # of the run of prefixes that ends here
    last: cython.int = 0  # the last `lock` in it; before the page, for all we know, at first
    count: cython.int = 0
    total: cython.int = 0
    byte: uint8_t
    code: uint8_t[4096 + 32]  # the page, and zeros: what lies in the next page leaks nothing here
    memcpy(code, page, _page)
    memset(code + _page, 0, 32)
    for i in range(_page):
        byte = code[i]
        if not _matters[byte]:
            start = i + 1
            continue
        if byte == 0x0F:
            if last >= start and _is_bit_test(code + i, _page - i):
                if start == 0 or count + last - start >= MOST_EXITS:
                    return NEEDS_STEPS
                for k in range(start, last + 1):
                    exits[count] = cython.cast(uint16_t, k)
                    count += 1
            total += _leak(code + i)
        elif _is_prefix(byte):
            if byte == 0xF0:
                last = i
            continue
        else:
            total += _leak(code + i)
        start = i + 1
    # The sum over all bytes is a bound too, and nearly every page stays below it.
    if total > _budget and _leaks_too_much(code):
        return NEEDS_STEPS
    return count


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def kind_of(code: cython.pointer(cython.const[uint8_t]), size: cython.int) -> cython.int:
    """What the instruction that begins with these bytes is to whoever runs it alone."""
    i: cython.int = 0
    locked: cython.bint = False
    repeated: cython.bint = False
    while i < size and _is_prefix(code[i]):
        locked = locked or code[i] == 0xF0
        repeated = repeated or code[i] == 0xF3
        i += 1
    if i == size:
        return UNFINISHED
    if code[i] == 0x90 and repeated and not locked and code[i - 1] & 0xF1 != 0x41:
        return PAUSE
    if code[i] == 0x9C:
        return READS_FLAGS
    if code[i] == 0x9D or code[i] == 0xCF:
        return SETS_FLAGS
    if locked and code[i] == 0x0F and _is_bit_test(code + i, size - i):
        return FORBIDDEN if size - i >= 3 else UNFINISHED
    return PLAIN


def _judge(page):
    """`judge` of a page of bytes: None if it needs steps, or the offsets of its exits. For tests."""
    exits: uint16_t[MOST_EXITS]
    blob: bytes = page.ljust(4096, b"\0")
    count = judge(cython.cast(cython.pointer(cython.const[uint8_t]), cython.cast(cython.p_char, blob)), exits)
    return None if count < 0 else [exits[i] for i in range(count)]


def _length(code):
    """What the decoder says of these bytes. For tests."""
    leak: cython.int
    blob: bytes = code.ljust(16, b"\0")
    return _decode(
        cython.cast(cython.pointer(cython.const[uint8_t]), cython.cast(cython.p_char, blob)), cython.address(leak)
    )
