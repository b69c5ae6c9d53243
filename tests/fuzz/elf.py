"""python -m tests.fuzz.elf: fuzz what execve reads: ELF headers, program headers, `#!` lines.

A case is one file, a good program with fields set to what no linker writes, or a script, given to the guest's execve;
one in ten is then run for an instant. Held for each: execve gives an errno or begins the program, and raises nothing
else; it comes back in time; memory stays within its limit; every descriptor and frame is given back. It runs confined
(`sandbox`). The status is 0 only if all held.
"""

from __future__ import annotations

import gc
import os
import random
import struct
import sys
from pathlib import Path

from axptr.flags import MappingFlags as F
from axptr.linux import Process, ProgramError, create_process

from .calls import BATCH, MEMORY_LIMIT, SLOW, Broken, descriptors, limited
from .campaign import campaign, options_of

EHDR, PHDR = 64, 56
TEXT = 0x1000_0000
HALVES = (0, 1, 2, 3, 4, 5, 55, 56, 57, 62, 64, 183, 1170, 1171, 0x7FFF, 0x8000, 0xFFFF)
WORDS = (0, 1, 2, 3, 4, 5, 6, 7, 0x6474_E551, 0x6474_E553, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
LONGS = (
    *(0, 1, 7, 8, 0x40, 0x78, 0xFFF, 0x1000, 0x1001, 0x2000, 0x10000, 0x20_0000, 0x40_0000, 0x40_1000, 1 << 30),
    *(1 << 31, 1 << 32, 1 << 40, 0x5555_5555_4000, 0x7FFF_F7FF_F000, 0x7FFF_FFFF_EFFF, 0x7FFF_FFFF_F000, 1 << 47),
    *(1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 0x1000, (1 << 64) - 1),
)
INTERPRETERS = (
    *(b"/lib64/ld-linux-x86-64.so.2\0", b"/bin/true\0", b"/etc/passwd\0", b"/\0", b"case\0", b"\0", b"", b"/nope\0"),
    *(b"/dev/zero\0", b"/proc/self/exe\0", b"x" * 4095 + b"\0", b"x" * 5000, b"no-nul", b"a\0b\0"),
)
SCRIPTS = (
    *(b"#!", b"#! ", b"#!\n", b"#!/bin/sh\n", b"#!/bin/true -x -y\n", b"#!case\n", b"#! \t/bin/true \t\n", b"#!/\n"),
    *(
        b"#!" + b"a" * 254,
        b"#!" + b"a" * 300 + b"\n",
        b"#!/bin/true\0more\n",
        b"#!/nope\n",
        b"#!\0\n",
        b"#!/bin/true" * 30,
    ),
)
CODE = b"\xb8\x3c\0\0\0\xbf\x07\0\0\0\x0f\x05"
"""exit(7)."""


def main() -> int:
    options = options_of("elf", __doc__, "files", 5_000).parse_args()
    bases = good_programs()

    def batch(number: int, directory: Path) -> int:
        return one_batch(options.seed, number, directory, bases)

    return campaign(options, "files", BATCH, batch)


def good_programs() -> list[bytes]:
    """A tiny program at a fixed address, the same position independent, and one of the host's that is dynamic."""
    found = [tiny(2, 0x40_0000), tiny(3, 0)]
    found.append(Path("/bin/true").read_bytes())
    return found


def tiny(kind: int, base: int) -> bytes:
    entry = base + EHDR + 4 * PHDR
    ident = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    header = ident + struct.pack("<HHIQQQIHHHHHH", kind, 62, 1, entry, EHDR, 0, 0, EHDR, PHDR, 4, 0, 0, 0)
    segments = (
        (1, 5, 0, base, base, 0x1000, 0x1000, 0x1000),
        (1, 6, 0x1000, base + 0x1000, base + 0x1000, 0x800, 0x3000, 0x1000),
        (0x6474_E551, 6, 0, 0, 0, 0, 0, 16),
        (6, 4, EHDR, base + EHDR, base + EHDR, 4 * PHDR, 4 * PHDR, 8),
    )
    head = header + b"".join(struct.pack("<IIQQQQQQ", *segment) for segment in segments) + CODE
    return head.ljust(0x1800, b"d")


def changed(rng: random.Random, bases: list[bytes]) -> bytes:
    """A file to execute."""
    choice = rng.random()
    if choice < 0.08:
        script = rng.choice(SCRIPTS)
        return script if rng.random() < 0.7 else bytes(rng.choice(script) for _ in range(rng.randrange(300)))
    data = bytearray(rng.choice(bases[:2] if rng.random() < 0.85 else bases))
    if rng.random() < 0.15:
        interpret(rng, data)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 6))):
        change(rng, data)
    if rng.random() < 0.1:
        del data[rng.choice((0, 1, 4, 16, 63, 64, 100, 120, 4095, 4096, 4097, rng.randrange(len(data)))) :]
    return bytes(data)


def interpret(rng: random.Random, data: bytearray) -> None:
    """Make a program header of it name an interpreter."""
    name = rng.choice(INTERPRETERS)
    count = max(1, int.from_bytes(data[56:58], "little"))
    at, place = EHDR + PHDR * rng.randrange(min(count, 12)), len(data)
    data += name
    data[at : at + PHDR] = struct.pack("<IIQQQQQQ", 3, 4, place, 0, 0, len(name), len(name), 1)


def change(rng: random.Random, data: bytearray) -> None:
    """One field, of the file header or of a program header; or some bytes of either."""
    choice = rng.random()
    count = max(1, min(int.from_bytes(data[56:58], "little"), 12))
    if choice < 0.12:
        at = rng.randrange(min(len(data), EHDR + count * PHDR))
        data[at] = rng.getrandbits(8)
    elif choice < 0.35:
        at, size = rng.choice(
            ((16, 2), (18, 2), (20, 4), (24, 8), (32, 8), (48, 4), (52, 2), (54, 2), (56, 2), (4, 1), (5, 1))
        )
        put(rng, data, at, size)
    elif choice < 0.42:  # a whole segment as another
        source, goal = EHDR + PHDR * rng.randrange(count), EHDR + PHDR * rng.randrange(count)
        data[goal : goal + PHDR] = data[source : source + PHDR]
    else:
        at, size = rng.choice(((0, 4), (4, 4), (8, 8), (16, 8), (32, 8), (40, 8), (48, 8)))
        put(rng, data, EHDR + PHDR * rng.randrange(count) + at, size)


def put(rng: random.Random, data: bytearray, at: int, size: int) -> None:
    known = HALVES if size <= 2 else WORDS if size == 4 else LONGS
    number = rng.choice(known) if rng.random() < 0.85 else rng.getrandbits(8 * size)
    if rng.random() < 0.2:
        number += rng.choice((-1, 1, 0x10, 0x1000, -0x1000))
    data[at : at + size] = (number % (1 << (8 * size))).to_bytes(size, "little")


def one_batch(seed: int, batch: int, directory: Path, bases: list[bytes]) -> int:
    """Some files, given to execve one after the other."""
    rng = random.Random(f"elf {seed} {batch}")
    opened = descriptors()
    null = os.open("/dev/null", os.O_RDWR)
    process: Process | None = None
    try:
        for i in range(BATCH):
            data = changed(rng, bases)
            path = directory / f"case-{i % 8}"
            path.unlink(missing_ok=True)
            path.write_bytes(data)
            path.chmod(0o755)
            try:
                process = one_case(rng, process, os.fsencode(path), null)
            except BaseException as error:
                error.add_note(
                    f"with the file {data[:512].hex()}" + (f"... of {len(data)} bytes" if len(data) > 512 else "")
                )
                raise
    finally:
        if process is not None:
            process.close()
        os.close(null)
    phys = None if process is None else process.phys
    died = process is not None and process.task.death is not None
    del process
    gc.collect()
    frames = 0 if phys is None or died else phys.data_frames
    del phys
    if frames:
        raise Broken(f"{frames} frames were not given back")
    still = {fd: what for fd, what in descriptors().items() if opened.get(fd) != what}
    if still:
        raise Broken(f"descriptors were not given back: {still}")
    return BATCH


def one_case(rng: random.Random, process: Process | None, path: bytes, null: int) -> Process | None:
    """Execute the file in this process, or as a new one; the process to go on with, None if it is over."""
    with limited(SLOW):
        if process is None:
            try:
                process = create_process(path, [path], [b"A=1"], cwd="/", memory_limit=MEMORY_LIMIT, stdio=(null,) * 3)
            except ProgramError as error:
                if "\n" in str(error):
                    raise Broken(f"more than one line: {error}") from None
                return None
            process.task.kernel = process.kernel
        else:
            space = process.task.space
            space.map_alloc(TEXT, 4096, F.READ | F.WRITE, replace=True)
            space.write(TEXT, path + b"\0")
            result = process.kernel.dispatcher(process.task)(59, TEXT, 0, 0, 0, 0, 0)
            if result is not None and not -4096 < result < 0:
                raise Broken(f"execve gave {result}")
    process.task.space._check()
    if process.phys.frames_in_use * 4096 > MEMORY_LIMIT:
        raise Broken("more frames than the limit")
    if rng.random() < 0.1:
        with limited(SLOW):
            process.run(0.01)
    if process.task.over:
        process.close()
        return None
    return process


if __name__ == "__main__":
    sys.exit(main())
