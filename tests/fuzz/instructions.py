"""Random instructions of x86-64 for `streams`: integers, x87, MMX, SSE, AVX, AVX-512, strings, the stack, branches, and
those that fault.

What a CPU does not decode is as welcome as what it does: it has to be refused alike. Left out, because a program that
makes them is no witness: system calls, the clock and random numbers, `cpuid`, transactions, instructions that save
state with bits of the moment in it, loads of segment registers.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from ..oracle.generate import GROUPS, encode

_FORBIDDEN = (
    b"\x0f\x05", b"\x0f\x34", b"\xcd\x80", b"\x0f\xa2", b"\x0f\x31", b"\x0f\x01", b"\x0f\xc7", b"\xc7\xf8", b"\xc6\xf8",
    b"\x0f\xa0", b"\x0f\xa1", b"\x0f\xa8", b"\x0f\xa9", b"\x0f\xb2", b"\x0f\xb4", b"\x0f\xb5", b"\x0f\x07", b"\x0f\x33",
)  # fmt: skip
_FENCES = frozenset({2, 3, 7})  # of 0F AE: ldmxcsr, stmxcsr, clflush
_IMMEDIATE_0F = frozenset({0x70, 0x71, 0x72, 0x73, 0xC2, 0xC4, 0xC5, 0xC6})
_FAULTS = (
    "0f0b", "cc", "cd03", "cd04", "cd2d", "f1", "f4", "ec", "ee", "6c", "fa", "0f08", "0f30", "0fb9c0", "d9d0",
    "f0f7c1", "ce", "06", "0f20c0", "0f00c8", "62", "c5f877", "f7f1", "48f7f9", "66f7f1", "f6f9", "9b",
)  # fmt: skip


def _modrm(rng: random.Random, memory: bool | None = None, reg: int | None = None) -> tuple[bytes, int]:
    """A modrm byte with what follows it, and the bits R, X, B of a REX prefix."""
    reg = rng.randrange(16) if reg is None else reg
    if memory is None:
        memory = rng.random() < 0.45
    if not memory:
        base = rng.randrange(16)
        return bytes([0xC0 | (reg & 7) << 3 | base & 7]), reg >> 3 << 2 | base >> 3
    base = rng.choice((3, 5, 6, 7, 11, 14, 15, rng.randrange(16)))
    wide = rng.random() < 0.3
    shift = (rng.randrange(-2048, 2048) if wide else rng.randrange(-128, 128)) & rng.choice((-1, -1, -4, -16, -32, -64))
    displacement = shift.to_bytes(4 if wide else 1, "little", signed=True)
    mode = 0x80 if wide else 0x40
    bits = reg >> 3 << 2 | base >> 3
    if base & 7 == 4 or rng.random() < 0.1:
        index = rng.choice((4, 4, 1, rng.randrange(16)))
        sib = rng.randrange(4) << 6 | (index & 7) << 3 | base & 7
        return bytes([mode | (reg & 7) << 3 | 4, sib]) + displacement, bits | index >> 3 << 1
    return bytes([mode | (reg & 7) << 3 | base & 7]) + displacement, bits


def _segment(rng: random.Random) -> bytes:
    return b"\x65" if rng.random() < 0.04 else b""


def _of_oracle(group: str) -> Callable[[random.Random], bytes]:
    rows = GROUPS[group]
    return lambda rng: _segment(rng) + encode(rng.choice(rows), rng, rng.random() < 0.5)


def _x87(rng: random.Random) -> bytes:
    escape = rng.randrange(0xD8, 0xE0)
    if rng.random() < 0.5:
        return bytes([escape, rng.randrange(0xC0, 0x100)])
    digit = rng.randrange(8)
    if (escape, digit) in ((0xDD, 4), (0xDD, 6), (0xD9, 4), (0xD9, 6)):  # whole states
        digit = 0
    tail, bits = _modrm(rng, True, digit)
    return _segment(rng) + (bytes([0x40 | bits]) if bits else b"") + bytes([escape]) + tail


def _vex(rng: random.Random) -> bytes:
    field, prefix, opcode = rng.choice((1, 1, 2, 2, 3)), rng.choice((0, 1, 1, 1, 2, 3)), rng.randrange(256)
    if field == 1 and opcode == 0xAE:
        opcode = 0x58
    if field == 2 and rng.random() < 0.3:
        opcode = rng.choice((*range(0x96, 0xC0), 0xF2, 0xF3, 0xF5, 0xF6, 0xF7, *range(0x90, 0x94)))
    tail, bits = _modrm(rng)
    head = bytes([0xC4, (~bits & 7) << 5 | field])
    head += bytes([rng.randrange(2) << 7 | (~rng.randrange(16) & 15) << 3 | rng.randrange(2) << 2 | prefix])
    if rng.random() < 0.3:
        head = head[:2] + bytes([head[2] | 0x78])
    one = field == 3 or (field == 1 and opcode in _IMMEDIATE_0F)
    return _segment(rng) + head + bytes([opcode]) + tail + (rng.randbytes(1) if one else b"")


def _evex(rng: random.Random) -> bytes:
    field, prefix, opcode = rng.choice((1, 1, 2, 2, 3, 5, 6)), rng.choice((0, 1, 1, 1, 2, 3)), rng.randrange(256)
    tail, bits = _modrm(rng)
    first = (~bits & 7) << 5 | rng.randrange(2) << 4 | field
    second = rng.randrange(2) << 7 | (~rng.randrange(16) & 15) << 3 | 4 | prefix
    third = rng.randrange(2) << 7 | rng.choice((0, 1, 2, 2)) << 5 | (rng.random() < 0.1) << 4 | 8 | rng.randrange(8)
    if rng.random() < 0.3:
        second |= 0x78
    one = field == 3 or (field == 1 and opcode in _IMMEDIATE_0F)
    return _segment(rng) + bytes([0x62, first, second, third, opcode]) + tail + (rng.randbytes(1) if one else b"")


def _string(rng: random.Random) -> bytes:
    repeat = rng.choice((b"", b"\xf3", b"\xf2"))
    wide = rng.choice((b"", b"\x66", b"\x48"))
    return _segment(rng) + repeat + wide + bytes([rng.choice((0xA4, 0xA5, 0xA6, 0xA7, 0xAA, 0xAB, 0xAC, 0xAE, 0xAF))])


def _stack(rng: random.Random) -> bytes:
    kind = rng.randrange(10)
    if kind < 4:
        rex = b"\x41" if rng.random() < 0.4 else b""
        return rex + bytes([rng.choice((0x50, 0x58)) + rng.randrange(8)])
    if kind == 4:
        return b"\xe8\0\0\0\0"
    if kind == 5:
        return b"\xc8" + rng.choice((b"\x10\0\0", b"\x10\0\2", b"\0\x10\1")) if rng.random() < 0.5 else b"\xc9"
    if kind == 6:
        return rng.choice((b"\xc3", b"\xc2\x08\0", b"\xcb", b"\xcf"))
    if kind == 7:
        return b"\x6a" + rng.randbytes(1)
    if kind == 8:
        return b"\x9c" if rng.random() < 0.6 else b"\x9d"
    tail, bits = _modrm(rng, None, rng.choice((2, 4, 6)))
    return (bytes([0x40 | bits]) if bits else b"") + b"\xff" + tail


def _branch(rng: random.Random) -> bytes:
    """Over the next few bytes, or none."""
    return bytes([rng.choice((*range(0x70, 0x80), 0xEB, 0xE0, 0xE1, 0xE2, 0xE3)), rng.choice((0, 0, 1, 2, 3, 4, 5))])


def _fault(rng: random.Random) -> bytes:
    return bytes.fromhex(rng.choice(_FAULTS))


def _control(rng: random.Random) -> bytes:
    tail, bits = _modrm(rng, True, rng.choice(tuple(_FENCES)))
    rex = bytes([0x40 | bits]) if bits else b""
    other = rng.choice((b"\xf3\x48\x0f\xae\xd8", b"\xf3\x48\x0f\xae\xc8", b"\xf3\x48\x0f\xae\xd0", b"\xd9\x6f\x10"))
    return rex + b"\x0f\xae" + tail if rng.random() < 0.7 else other  # wrgsbase, rdgsbase, wrfsbase of rax; fldcw


def _any(rng: random.Random) -> bytes:
    prefixes = bytes(rng.choice(b"\x66\xf2\xf3\x67\xf0\x48\x41\x4c") for _ in range(rng.choice((0, 0, 1, 2))))
    escape = rng.choice((b"", b"", b"\x0f", b"\x0f", b"\x0f\x38", b"\x0f\x3a"))
    opcode = rng.randrange(256)
    if escape == b"\x0f" and opcode == 0xAE:
        opcode = 0xAF
    if escape == b"" and opcode in (0x8E, 0xC4, 0xC5, 0x62, 0x9A, 0xEA, 0x0F):
        opcode = 0x8D
    tail, bits = _modrm(rng)
    del bits
    return prefixes + escape + bytes([opcode]) + tail + rng.randbytes(rng.choice((0, 0, 1, 4)))


KINDS: tuple[tuple[int, Callable[[random.Random], bytes]], ...] = (
    (20, _of_oracle("integer")), (8, _of_oracle("vectors")), (4, _of_oracle("mmx")), (8, _of_oracle("floats")),
    (12, _x87), (16, _vex), (14, _evex), (4, _string), (6, _stack), (5, _branch), (3, _fault), (3, _control), (8, _any),
)  # fmt: skip
_WEIGHTS = [weight for weight, _ in KINDS]
_MAKERS = [maker for _, maker in KINDS]


def instruction(rng: random.Random) -> bytes:
    """One, of 15 bytes at most or so."""
    while True:
        code = rng.choices(_MAKERS, _WEIGHTS)[0](rng)
        if not forbidden(code):
            return code


def forbidden(code: bytes) -> bool:
    """Whether something in there, wherever a branch may lead, is not to be run."""
    return any(bad in code for bad in _FORBIDDEN)
