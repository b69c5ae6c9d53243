"""Runs pieces on the host and under axptr, over the emulated CPU, and says where they differ."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from .generate import Piece

LEFT = struct.Struct("<16QQ32Q8QQiiiiQQ")
NAMES = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{i}" for i in range(8, 16)), "flags"]
NAMES += [f"xmm{i // 2}.{i % 2}" for i in range(32)]
NAMES += [f"mm{i}" for i in range(8)]
NAMES += ["memory", "signal", "code", "trap", "error", "rip", "address"]
FLAGS = NAMES.index("flags")
SEEN = 0x8D5  # CF PF AF ZF SF OF


def build(directory: Path) -> Path:
    """The harness; static, so that both runs have the same addresses."""
    program = directory / "harness"
    source = Path(__file__).with_name("harness.c")
    subprocess.run(["gcc", "-O1", "-w", "-static", "-o", program, source], check=True)
    return program


def run(command: list[str | Path], pieces: list[Piece]) -> list[tuple[int, ...]]:
    done = subprocess.run(command, input=b"".join(p.pack() for p in pieces), capture_output=True, check=False)
    if len(done.stdout) != LEFT.size * len(pieces):
        where = pieces[len(done.stdout) // LEFT.size].code.hex()
        raise RuntimeError(f"{command[0]} ended at {where}: {done.stderr.decode(errors='replace')[-2000:]}")
    return list(LEFT.iter_unpack(done.stdout))


def differences(program: Path, pieces: list[Piece]) -> Iterator[tuple[Piece, dict[str, tuple[int, int]]]]:
    """(piece, what differs: on the host, here)."""
    host = run([program], pieces)
    ours = run([sys.executable, "-m", "axptr", "run", "--engine", "unicorn", "--", program], pieces)
    for piece, left, right in zip(pieces, host, ours, strict=True):
        found = {}
        for i, name in enumerate(NAMES):
            mask = SEEN & ~piece.undefined if i == FLAGS else -1
            if (left[i] ^ right[i]) & mask:
                found[name] = (left[i], right[i])
        if found:
            yield piece, found


# An operand of SSE in memory that is not aligned does not fault here: address arithmetic on results may lead to one.
_MISALIGNED = {"signal": 11, "code": 0x80, "trap": 13, "error": 0, "address": 0}


def is_misaligned(found: dict[str, tuple[int, int]]) -> bool:
    """Whether that is what makes the difference."""
    return all(found.get(name, (value,))[0] == value for name, value in _MISALIGNED.items())
