"""python -m tests.fuzz.streams: random streams of instructions, run on the bare host and by an engine, and compared.

A stream is a dozen instructions of all kinds, over random registers, vectors and flags, with memory that may be
written, read, or neither, and none behind it. One program runs them (`streams.c`): on the host, where it is confined,
and as a guest. Compared to the last bit: general registers, flags, x87, SSE, AVX and AVX-512 state, bases of fs and gs,
memory; of a fault the signal, its code and address, trap, error code and rip, with the state that its handler saw.

`--engine unicorn` compares what the emulated CPU is documented to do: the pieces of `tests.oracle`. The status is 0
only if nothing differed.
"""

from __future__ import annotations

import argparse
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from ..oracle import compare, generate
from .instructions import forbidden, instruction

BATCH = 1000
_STREAM = struct.Struct("<QIIHH236s")
_LEFT = struct.Struct("<16QQQQ416s5QQiiiiQQQ")
_NAMES = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{i}" for i in range(8, 16)), "flags", "fs_base"]
_NAMES += ["gs_base", "legacy", "ymm", "opmask", "zmm", "hi16_zmm", "-", "memory", "signal", "code", "trap", "error"]
_NAMES += ["rip", "address", "cr2"]
_SIGNAL = _NAMES.index("signal")


class Stream(NamedTuple):
    instructions: tuple[bytes, ...]
    seed: int
    flags: int
    mxcsr: int
    fcw: int

    def pack(self) -> bytes:
        code = b"".join(self.instructions)
        return _STREAM.pack(self.seed, self.flags, self.mxcsr, self.fcw, len(code), code)


def _kept(code: str, seed: int, flags: int) -> Stream:
    return Stream(tuple(bytes.fromhex(piece) for piece in code.split()), seed, flags, 0x1F80, 0x37F)


KEPT = [
    _kept("660fd67fa0", 0x56ED047326B6BC4C, 0x207),  # a store to a page of PROT_NONE that has been there: "not present"
    _kept("a77368c2", 0x11BCDB82347257D8, 0x256),
    _kept("4c0f618f60030000be", 0x74BB3656C63A1737, 0x40687),  # alignment check: SIGBUS, BUS_ADRALN
    _kept("cb", 0x494C99362B9EDC5F, 0x697),  # a far return into 32 bits, where sigreturn then leads back, too
]
"""What once differed: run before all else."""


def stream(rng: random.Random) -> Stream:
    made: list[bytes] = []
    for _ in range(rng.choice((1, 2, 4, 8, 12, 16))):
        one = instruction(rng)
        if sum(map(len, made)) + len(one) <= 220 and not forbidden(b"".join(made)[-3:] + one):
            made.append(one)
    flags = 0x202 | rng.getrandbits(12) & 0xCD5
    if rng.random() < 0.05:
        flags |= rng.choice((0x100, 0x40000))  # TF, AC
    trapping = rng.random() < 0.15
    mxcsr = rng.choice((0x1F80, rng.getrandbits(16) if trapping else 0x1F80 | rng.getrandbits(16) & 0xE07F))
    fcw = rng.choice((0x37F, rng.getrandbits(12) | 0x40 if trapping else 0x7F | rng.getrandbits(12) & 0xF40))
    return Stream(tuple(made), rng.getrandbits(63), flags, mxcsr, fcw)


def build(directory: Path) -> Path:
    """The program; static, so that both runs have the same addresses."""
    program = directory / "streams"
    source = Path(__file__).with_name("streams.c")
    options = ["-O1", "-w", "-static", "-fno-stack-protector", "-mno-avx"]
    subprocess.run(["gcc", *options, "-o", program, source], check=True)
    return program


def run(command: list[str | Path], streams: list[Stream]) -> list[tuple[object, ...]]:
    """What each leaves; fewer if the program did not come back from one."""
    packed = b"".join(s.pack() for s in streams)
    try:
        done = subprocess.run(command, input=packed, capture_output=True, check=False, timeout=120)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{command[0]} hangs") from error
    whole = len(done.stdout) // _LEFT.size
    if whole < len(streams):
        tail = done.stderr.decode(errors="replace")[-500:]
        print(f"{command[0]} ended ({done.returncode}) at {show(streams[whole])}: {tail}", file=sys.stderr)
    return list(_LEFT.iter_unpack(done.stdout[: whole * _LEFT.size]))


def ours(program: Path) -> list[str | Path]:
    return [sys.executable, "-m", "axptr", "run", "--engine", "native", "--", program]


def compared(
    program: Path, streams: list[Stream], ends: Counter[int] | None = None
) -> list[tuple[Stream, dict[str, tuple[object, object]]]]:
    """(stream, what differs: on the host, here)."""
    found = []
    host, guest = run([program, "confine"], streams), run(ours(program), streams)
    if ends is not None:
        ends.update(int(str(left[_SIGNAL])) for left in host)
    for one, left, right in zip(streams, host, guest, strict=False):
        if left != right and not _elsewhere(left, right):
            names = zip(_NAMES, left, right, strict=True)
            found.append((one, {name: (a, b) for name, a, b in names if a != b}))
    if len(host) != len(guest):
        at = min(len(host), len(guest))
        found.append((streams[at], {"end": (len(host) > at, len(guest) > at)}))
    return found


def _elsewhere(left: tuple[object, ...], right: tuple[object, ...]) -> bool:
    """Whether both came to an address where one has a stack and the other, whose layout is another, nothing."""
    at = _NAMES.index("address")
    same = [i for i in range(len(_NAMES)) if _NAMES[i] not in ("code", "error")]
    return int(str(left[at])) >> 40 == 0x7F and all(left[i] == right[i] for i in same)


def shrunk(program: Path, one: Stream) -> Stream:
    """The same difference, or another, with fewer instructions."""
    at = 0
    while at < len(one.instructions):
        less = one._replace(instructions=one.instructions[:at] + one.instructions[at + 1 :])
        if less.instructions and compared(program, [less]):
            one = less
        else:
            at += 1
    return one


def show(one: Stream) -> str:
    code = " ".join(piece.hex() for piece in one.instructions)
    return f"seed {one.seed:#x} flags {one.flags:#x} mxcsr {one.mxcsr:#x} fcw {one.fcw:#x}: {code}"


def tell(program: Path, one: Stream, *, shrink: bool) -> None:
    one = shrunk(program, one) if shrink else one
    print(show(one))
    for _, what in compared(program, [one]):
        for name, (host, here) in what.items():
            if isinstance(host, bytes) and isinstance(here, bytes):
                at = next(i for i in range(len(host)) if host[i] != here[i])
                print(f"    {name} from {at}: host {host[at : at + 16].hex()} ours {here[at : at + 16].hex()}")
            else:
                print(f"    {name}: host {host:#x} ours {here:#x}")


def fuzz(options: argparse.Namespace, directory: Path) -> int:
    program, differing, began, told = build(directory), 0, time.monotonic(), time.monotonic()
    first, ends = options.first, Counter[int]()
    for one, _ in compared(program, KEPT):
        differing += 1
        print("kept: ", end="")
        tell(program, one, shrink=False)
    for number in range(first, first + -(-options.cases // BATCH)):
        rng = random.Random(f"{options.seed} {number}")
        streams = [stream(rng) for _ in range(min(BATCH, options.cases - (number - first) * BATCH))]
        for one, _ in compared(program, streams, ends):
            differing += 1
            if differing <= options.most:
                print(f"batch {number}: ", end="")
                tell(program, one, shrink=not options.whole)
        if time.monotonic() - told > 20:
            told = time.monotonic()
            print(f"{(number - first + 1) * BATCH:,} streams", file=sys.stderr, flush=True)
    print("ends by signal: " + ", ".join(f"{signal}: {count}" for signal, count in sorted(ends.items())))
    print(f"{options.cases:,} streams in {time.monotonic() - began:,.0f} s: {differing} differ")
    return 1 if differing else 0


def fuzz_emulated(options: argparse.Namespace, directory: Path) -> int:
    program, differing, share = compare.build(directory), 0, -(-options.cases // len(generate.GROUPS))
    for group in generate.GROUPS:
        for first in range(0, share, 5000):
            pieces = generate.pieces(group, options.seed * 1000 + first, min(5000, share - first))
            for piece, found in compare.differences(program, pieces):
                if group != "integer" and compare.is_misaligned(found):
                    continue
                differing += 1
                print(f"{group} {piece.code.hex()} with seed {piece.seed:#x}: {found}")
    print(f"{options.cases:,} streams: {differing} differ")
    return 1 if differing else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz.streams", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=10_000, help="how many streams (default 10,000)")
    parser.add_argument("--seed", type=int, default=0, help="of the choices (default 0)")
    parser.add_argument("--first", type=int, default=0, help=f"the batch of {BATCH:,} to begin with")
    parser.add_argument("--engine", choices=("native", "unicorn"), default="native")
    parser.add_argument("--most", type=int, default=20, help="how many differences to print (default 20)")
    parser.add_argument("--whole", action="store_true", help="do not look for shorter streams that differ, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        work = fuzz if options.engine == "native" else fuzz_emulated
        return work(options, Path(directory))


if __name__ == "__main__":
    sys.exit(main())
