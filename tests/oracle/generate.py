"""Random pieces of code: some instructions that the emulated CPU has, and the flags that they leave undefined."""

from __future__ import annotations

import random
import struct
from typing import NamedTuple

CF, PF, AF, ZF, SF, OF = 1, 4, 0x10, 0x40, 0x80, 0x800
ALL = CF | PF | AF | ZF | SF | OF


class Row(NamedTuple):
    """opcode: hex. form: m modrm, r registers only, e memory only, + a register in the opcode; b, z, w constants.
    prefix: one that belongs to the opcode, hex. digit: of modrm. sizes: 66 and REX.W too. undefined: flags."""

    opcode: str
    form: str = "m"
    prefix: str = ""
    digit: int | None = None
    sizes: bool = False
    lock: bool = False
    undefined: int = 0
    floats: int = 0


class Piece(NamedTuple):
    code: bytes
    seed: int
    floats: int
    undefined: int
    aligned: bool

    def pack(self) -> bytes:
        return struct.pack("<QBBB53s", self.seed, len(self.code), self.floats, self.aligned, self.code)


def _integer() -> list[Row]:
    rows = []
    for i, digit in enumerate((0, 1, 2, 3, 4, 5, 6, 7)):  # add or adc sbb and sub xor cmp
        undefined = AF if i in (1, 4, 6) else 0
        lock = i != 7
        rows += [
            Row(f"{8 * i:02x}", lock=lock, undefined=undefined),
            Row(f"{8 * i + 1:02x}", sizes=True, lock=lock, undefined=undefined),
            Row(f"{8 * i + 2:02x}", undefined=undefined),
            Row(f"{8 * i + 3:02x}", sizes=True, undefined=undefined),
            Row(f"{8 * i + 4:02x}", "b", undefined=undefined),
            Row(f"{8 * i + 5:02x}", "z", sizes=True, undefined=undefined),
            Row("80", "mb", digit=digit, lock=lock, undefined=undefined),
            Row("81", "mz", digit=digit, sizes=True, lock=lock, undefined=undefined),
            Row("83", "mb", digit=digit, sizes=True, lock=lock, undefined=undefined),
        ]
    for digit in range(8):  # rol ror rcl rcr shl shr sal sar
        undefined = OF | (CF | AF if digit > 3 else 0)
        # rcl and rcr of memory that faults: the library has lost the flags by then.
        m = "r" if digit in (2, 3) else "m"
        for wide in (0, 1):
            rows += [
                Row(f"{0xC0 + wide:02x}", m + "b", digit=digit, sizes=bool(wide), undefined=undefined),
                Row(f"{0xD0 + wide:02x}", m, digit=digit, sizes=bool(wide), undefined=AF if digit > 3 else 0),
                Row(f"{0xD2 + wide:02x}", m, digit=digit, sizes=bool(wide), undefined=undefined),
            ]
    for wide in (0, 1):
        sizes = bool(wide)
        rows += [
            Row(f"{0xF6 + wide:02x}", "mz" if wide else "mb", digit=0, sizes=sizes, undefined=AF),
            Row(f"{0xF6 + wide:02x}", "mz" if wide else "mb", digit=1, sizes=sizes, undefined=AF),
            Row(f"{0xF6 + wide:02x}", digit=2, sizes=sizes, lock=True),
            Row(f"{0xF6 + wide:02x}", digit=3, sizes=sizes, lock=True),
            Row(f"{0xF6 + wide:02x}", digit=4, sizes=sizes, undefined=SF | ZF | AF | PF),
            Row(f"{0xF6 + wide:02x}", digit=5, sizes=sizes, undefined=SF | ZF | AF | PF),
            Row(f"{0xF6 + wide:02x}", digit=6, sizes=sizes, undefined=ALL),
            Row(f"{0xF6 + wide:02x}", digit=7, sizes=sizes, undefined=ALL),
            Row(f"{0xFE + wide:02x}", digit=0, sizes=sizes, lock=True),
            Row(f"{0xFE + wide:02x}", digit=1, sizes=sizes, lock=True),
            Row(f"{0x84 + wide:02x}", sizes=sizes, undefined=AF),
            Row(f"{0x86 + wide:02x}", sizes=sizes, lock=True),
            Row(f"{0x88 + wide:02x}", sizes=sizes),
            Row(f"{0x8A + wide:02x}", sizes=sizes),
            Row(f"{0xC6 + wide:02x}", "mz" if wide else "mb", digit=0, sizes=sizes),
            Row(f"{0xA8 + wide:02x}", "z" if wide else "b", sizes=sizes, undefined=AF),
            Row(f"0f{0xB0 + wide:02x}", sizes=sizes, lock=True),
            Row(f"0f{0xC0 + wide:02x}", sizes=sizes, lock=True),
            Row(f"0f{0xB6 + wide:02x}", sizes=True),
            Row(f"0f{0xBE + wide:02x}", sizes=True),
            *(Row(f"{op + wide:02x}", "", sizes=sizes) for op in (0xA4, 0xA6, 0xAA, 0xAC, 0xAE)),
        ]
    rows += [Row(f"0f{0x40 + i:02x}", sizes=True) for i in range(16)]
    rows += [Row(f"0f{0x90 + i:02x}") for i in range(16)]
    rows += [Row(op, "r+", sizes=True) for op in ("50", "58", "90", "b8w", "0fc8")]
    rows += [Row("b0", "+b"), Row("63", sizes=True), Row("8d", "e", sizes=True), Row("8f", digit=0)]
    rows += [Row(op, "", sizes=True) for op in ("98", "99", "9c", "c9")]
    rows += [Row(op, "") for op in ("f5", "f8", "f9", "9e", "9f", "fc", "d7")]
    rows += [
        Row("69", "mz", sizes=True, undefined=SF | ZF | AF | PF),
        Row("6b", "mb", sizes=True, undefined=SF | ZF | AF | PF),
    ]
    rows += [Row("0faf", sizes=True, undefined=SF | ZF | AF | PF), Row("68", "z"), Row("6a", "b"), Row("ff", digit=6)]
    rows += [Row("0fbc", sizes=True, undefined=ALL & ~ZF), Row("0fbd", sizes=True, undefined=ALL & ~ZF)]
    for op, digit in (("0fa3", 4), ("0fab", 5), ("0fb3", 6), ("0fbb", 7)):
        rows += [Row(op, "r", sizes=True, undefined=OF | SF | AF | PF)]
        rows += [Row("0fba", "mb", digit=digit, sizes=True, lock=digit > 4, undefined=OF | SF | AF | PF)]
    rows += [Row(op, form, sizes=True, undefined=OF | AF) for op, form in (("0fa4", "mc"), ("0fac", "mc"))]
    rows += [Row("0fc7", "e", digit=1, sizes=True, lock=True), Row("0fc3", "e", sizes=True)]
    rows += [Row("0fb8", prefix="f3", sizes=True), Row("0f38f0", prefix="f2"), Row("0f38f1", prefix="f2", sizes=True)]
    return rows


# Opcodes of SSE on integers, by mandatory prefix and map.
_MMX = (
    "60 61 62 63 64 65 66 67 68 69 6a 6b 74 75 76 d1 d2 d3 d4 d5 d8 d9 da db dc dd de df e0 e1 e2 e3 e4 e5 e8 e9 ea eb "
)
_MMX += "ec ed ee ef f1 f2 f3 f4 f5 f6 f8 f9 fa fb fc fd fe"
_66 = "6c 6d 54 55 56 57 14 15 16 17 12 13 28 29 10 11 6f 7f 6e 7e d6 e7 2b 5b"
_38 = (
    "00 01 02 03 04 05 06 07 08 09 0a 0b 10 14 15 17 1c 1d 1e 20 21 22 23 24 25 28 29 2a 2b 30 31 32 33 34 35 37 38 39 "
)
_38 += "3a 3b 3c 3d 3e 3f 40 41 db dc dd de df"
_3A = "08 09 0a 0b 0c 0d 0e 0f 14 15 16 17 20 21 22 42 44 60 61 62 63 df"
_MEMORY = {"12", "13", "16", "17", "e7", "2b"}


def _vectors() -> list[Row]:
    rows = [Row("0f" + op, prefix="66") for op in _MMX.split()]
    rows += [Row("0f" + op, "e" if op in _MEMORY else "m", prefix="66") for op in _66.split()]
    rows += [
        Row("0f" + op, "e" if op in ("13", "17", "2b") else "m")
        for op in ["12", "13", "14", "15", "16", "17", "28", "29", "2b", "54", "55", "56", "57", "10", "11"]
    ]
    rows += [
        Row("0f38" + op, "e" if op == "2a" else "m", prefix="66")
        for op in _38.split()
        if op not in ("08", "09", "0a", "0b")
    ]
    rows += [Row("0f3a" + op, "mb", prefix="66") for op in _3A.split() if op not in ("08", "09", "0a", "0b")]
    rows += [Row("0f70", "mb", prefix=p) for p in ("66", "f2", "f3")]
    rows += [Row("0fc6", "mb", prefix=p) for p in ("", "66")]
    rows += [Row("0fc4", "mb", prefix="66"), Row("0fc5", "rb", prefix="66"), Row("0fd7", "r", prefix="66")]
    rows += [Row("0f50", "r", prefix=p) for p in ("", "66")]
    for op in ("71", "72", "73"):
        rows += [Row("0f" + op, "rb", prefix="66", digit=d) for d in (2, 4, 6) if (op, d) != ("73", 4)]
    rows += [Row("0f73", "rb", prefix="66", digit=d) for d in (3, 7)]
    rows += [
        Row("0f6f", prefix="f3"),
        Row("0f7f", prefix="f3"),
        Row("0f7e", prefix="f3"),
        Row("0ff0", "e", prefix="f2"),
    ]
    rows += [Row("0f12", prefix=p) for p in ("f2", "f3")] + [Row("0f16", prefix="f3"), Row("0ff7", "r", prefix="66")]
    rows += [Row("0f10", prefix=p) for p in ("f2", "f3")] + [Row("0f11", prefix=p) for p in ("f2", "f3")]
    return rows


def _mmx() -> list[Row]:
    rows = [Row("0f" + op) for op in _MMX.split()]
    rows += [
        Row("0f38" + op)
        for op in ["00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "0a", "0b", "1c", "1d", "1e"]
    ]
    rows += [
        Row("0f6e"),
        Row("0f7e"),
        Row("0f6f"),
        Row("0f7f"),
        Row("0fe7", "e"),
        Row("0f70", "mb"),
        Row("0f3a0f", "mb"),
    ]
    rows += [
        Row("0fc4", "mb"),
        Row("0fc5", "rb"),
        Row("0fd7", "r"),
        Row("0fd6", "r", prefix="f2"),
        Row("0fd6", "r", prefix="f3"),
    ]
    rows += [Row("0f71", "rb", digit=d) for d in (2, 4, 6)] + [Row("0f72", "rb", digit=d) for d in (2, 4, 6)]
    return rows + [Row("0f73", "rb", digit=d) for d in (2, 6)]


def _floats() -> list[Row]:
    rows = []
    for op in ("51", "58", "59", "5c", "5d", "5e", "5f"):
        rows += [Row("0f" + op, prefix=p, floats=f) for p, f in (("", 4), ("f3", 4), ("66", 8), ("f2", 8))]
    rows += [Row("0fc2", "mb", prefix=p, floats=f) for p, f in (("", 4), ("f3", 4), ("66", 8), ("f2", 8))]
    rows += [Row("0f2e", prefix=p, floats=f) for p, f in (("", 4), ("66", 8))]
    rows += [Row("0f2f", prefix=p, floats=f) for p, f in (("", 4), ("66", 8))]
    rows += [Row("0f5a", prefix=p, floats=f) for p, f in (("", 4), ("f3", 4), ("66", 8), ("f2", 8))]
    rows += [Row("0f5b", prefix=p, floats=4) for p in ("", "66", "f3")]
    rows += [Row("0fe6", prefix=p, floats=8) for p in ("f2", "66", "f3")]
    for op in ("2a", "2c", "2d"):
        rows += [Row("0f" + op, prefix=p, floats=f, sizes=True) for p, f in (("f3", 4), ("f2", 8))]
    for op in ("7c", "7d", "d0"):
        rows += [Row("0f" + op, prefix=p, floats=f) for p, f in (("f2", 4), ("66", 8))]
    rows += [Row("0f3a" + op, "mb", prefix="66", floats=f) for op, f in (("08", 4), ("09", 8), ("0a", 4), ("0b", 8))]
    return rows


GROUPS = {"integer": _integer(), "vectors": _vectors(), "mmx": _mmx(), "floats": _floats()}


def encode(row: Row, rng: random.Random, aligned: bool) -> bytes:
    head = b""
    rex = 0
    short = False
    if row.sizes:
        pick = rng.randrange(4)
        short = pick == 1 and row.prefix != "66"
        rex = 0x48 if pick == 2 else 0
    if row.opcode == "0fc8":
        short = False  # bswap of 16 bits is undefined
    opcode = bytearray.fromhex(row.opcode.removesuffix("w"))
    tail = b""
    locked = False
    if rng.random() < 0.4:
        rex |= 0x40 | rng.randrange(8)
    if (
        "m" in row.form
        or ("r" in row.form and "+" not in row.form)
        or "e" in row.form
        or (not row.form and row.digit is not None)
    ):
        memory = "e" in row.form or ("m" in row.form and rng.random() < 0.4)
        reg = row.digit if row.digit is not None else rng.randrange(8)
        if memory:
            locked = row.lock and rng.random() < 0.4
            displacement = rng.randrange(-128, 128) & (-16 if aligned else -1)
            tail = bytes([0x40 | reg << 3 | rng.choice((3, 6, 7)), displacement & 0xFF])
            rex &= ~0x02
        else:
            tail = bytes([0xC0 | reg << 3 | rng.randrange(8)])
    elif "+" in row.form:
        opcode[-1] += rng.randrange(8)
    if row.opcode.endswith("w"):
        tail += rng.randbytes(8 if rex & 8 else 2 if short else 4)
    if "b" in row.form:
        tail += bytes([rng.choice((0, 1, 7, 8, 12, 31, 63, 127, 128, 255, rng.randrange(256)))])
    if "c" in row.form:
        tail += bytes([rng.randrange(1, 16)])
    if "z" in row.form:
        tail += rng.randbytes(2 if short and not rex & 8 else 4)
    if locked:
        head += b"\xf0"
    if short:
        head += b"\x66"
    head += bytes.fromhex(row.prefix)
    if rex:
        head += bytes([rex])
    return head + bytes(opcode) + tail


def pieces(group: str, seed: int, count: int) -> list[Piece]:
    """`count` pieces whose instructions are of one group, some among ones on integers."""
    rng = random.Random(f"{group} {seed}")
    rows = GROUPS[group]
    result = []
    aligned = group != "integer"  # the library does not look at the alignment of operands of SSE
    for _ in range(count):
        code = b""
        undefined = 0
        floats = 0
        for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
            if undefined:
                code += b"\x48\x83\xf8\x05"  # cmp rax, 5
                undefined = 0
            row = rng.choice(rows)
            if row.floats and floats and row.floats != floats:
                break
            floats = row.floats or floats
            code += encode(row, rng, aligned)
            undefined |= row.undefined
        result.append(Piece(code if len(code) <= 53 else b"", rng.getrandbits(63), floats, undefined, aligned))
    return result
