"""What a sequence is made of, and how one comes from a seed.

An operation is a tuple: its name, then numbers.

    ("mmap", addr, length, prot, flags, fd, offset, place)    and the other calls of CALLS, with their arguments
    ("mremap", addr, old, new, flags, new_addr, place)
    ("load", addr)  ("store", addr, value, size)              one access of the program itself; size 1 or 8
    ("mincore", addr, length, n)                              the first n bytes of the answer are compared
    ("check",)  ("fork",)                                     maps and all pages' contents, here or in a forked child
    ("disk", file)  ("synced", file)                          what read gives of a whole file, now or after an msync
    ("unlink", file)                                          remove the file's name

`place` is where both sides move what was mapped outside the arena: there the kernel chose the address, and that is
not compared. Addresses are absolute. The arena is [ARENA, ARENA_END); addresses from page HEAP on stand for the heap,
which is elsewhere, and are translated. The four files are open as 100 + 4 * file, + 1 read-only, + 2 write-only; 90 and
91 are a pipe, 92 is a directory.
"""

from __future__ import annotations

import random
import struct

PAGE = 4096
ARENA = 0x10_0000_0000
ARENA_END = 0x10_0400_0000
MAIN, STACK, HEAP, SCRATCH = 0, 4258, 8000, 12000  # the first pages of the parts of the arena that are used
HEAP_PAGES = 64
FILES = 4

CALLS = {
    "mmap": 9,
    "mprotect": 10,
    "munmap": 11,
    "brk": 12,
    "mremap": 25,
    "msync": 26,
    "madvise": 28,
    "pread": 17,
    "pwrite": 18,
    "ftruncate": 77,
    "mlock": 149,
    "munlock": 150,
    "mlock2": 325,
}
ARGUMENTS = {"mmap": 6, "mremap": 5}  # those with a place after their arguments
KINDS = {"call": 0, "load": 1, "store": 2, "check": 3, "fork": 4, "mincore": 5, "disk": 6, "unlink": 7, "synced": 8}

Op = tuple  # of a name and ints

SHARED, PRIVATE, VALIDATE = 1, 2, 3
FIXED, ANON, GROWSDOWN, POPULATE, NOREPLACE = 0x10, 0x20, 0x100, 0x8000, 0x100000
LOCKED, NORESERVE, STACK_FLAG = 0x2000, 0x4000, 0x20000


def P(page: int, offset: int = 0) -> int:
    """The address of a byte in the arena."""
    return ARENA + page * PAGE + offset


def setup() -> list[Op]:
    """What stands before every sequence: scratch memory, with a file's bytes in it to write from."""
    return [
        ("mmap", P(SCRATCH), 16 * PAGE, 3, FIXED | PRIVATE | ANON, -1, 0, 0),
        ("pread", 100, P(SCRATCH + 4), 3 * PAGE, 0),
    ]


def encode(op: Op, heap: int) -> bytes:
    """The operation as the oracle reads it; `heap` is where the heap is."""
    name, *numbers = op
    words = [translate(n, heap) for n in numbers]
    place = 0
    if name in ARGUMENTS:
        place = words.pop()
    kind, nr = (0, CALLS[name]) if name in CALLS else (KINDS[name], 0)
    args = (words + [0] * 6)[:6]
    return struct.pack("<10Q", kind, nr, *(w % (1 << 64) for w in args), place, 0)


def translate(number: int, heap: int) -> int:
    """An address in the part of the arena that stands for the heap becomes one in the heap; others stay."""
    if P(HEAP) <= number <= P(HEAP + HEAP_PAGES):
        return number - P(HEAP) + heap
    return number


def literal(ops: list[Op]) -> str:
    """The sequence as Python source for cases.py."""
    return "[\n" + "".join(f"    {show(op)},\n" for op in ops) + "]"


def show(op: Op) -> str:
    return "(" + ", ".join([repr(op[0]).replace("'", '"'), *map(_number, op[1:])]) + ("," if len(op) == 1 else "") + ")"


def _number(n: int) -> str:
    if ARENA - PAGE <= n < ARENA_END:
        page, offset = divmod(n - ARENA, PAGE)
        return f"P({page}, {offset})" if offset else f"P({page})"
    return str(n) if -4096 < n < 10 else hex(n)


class Generator:
    """Operations from a seed. It knows nothing of what the operations did: dense use of few pages does the rest."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        moods = (1, 1, 1, 0.3, 3)  # each seed does more of some things and less of others
        self.weights = [weight * self.rng.choice(moods) for weight, _ in _MAKERS]

    def sequence(self, count: int, check_every: int = 20) -> list[Op]:
        made: list[Op] = []
        for i in range(count):
            maker = self.rng.choices(_MAKERS, self.weights)[0][1]
            made.append(maker(self))
            if i % check_every == check_every - 1:
                made.append(("check",))
        return [*made, ("check",)]

    # -- numbers

    def page(self) -> int:
        """A page of the arena, most often of its main part."""
        part = self.rng.random()
        if part < 0.8:
            return self.rng.randrange(48)
        if part < 0.88:
            return STACK + self.rng.randrange(-4, 16)
        if part < 0.9:
            return STACK - 256 + self.rng.randrange(-3, 8)
        if part < 0.97:
            return HEAP + self.rng.randrange(14)
        return self.rng.randrange(48)

    def address(self) -> int:
        """The start of a range: nearly always a page's."""
        r = self.rng.random()
        if r < 0.97:
            return P(self.page())
        if r < 0.985:
            return P(self.page(), self.rng.choice((1, 8, 100, 4095)))
        odd = (0, 1, PAGE, 65536, 0x7FFF_FFFF_E000, 0x7FFF_FFFF_F000, 1 << 47, 1 << 63, (1 << 64) - PAGE)
        return self.rng.choice(odd)

    def length(self) -> int:
        r = self.rng.random()
        if r < 0.75:
            return PAGE * self.rng.choice((1, 1, 1, 2, 2, 3, 4, 5, 8, 12))
        if r < 0.95:
            return PAGE * self.rng.randrange(8) + self.rng.choice((1, 7, 100, 2048, 4095))
        if r < 0.985:
            return PAGE * self.rng.choice((20, 30, 48))
        return self.rng.choice((0, 0, 1 << 47, 1 << 63, (1 << 64) - PAGE, (1 << 64) - 1, (1 << 64) - 4096 + 1))

    def byte(self) -> int:
        odd = (0, 1, 99, 100, 776, 2047, 2048, 4088, 4093, 4095, self.rng.randrange(PAGE))
        return P(self.page(), self.rng.choice(odd))

    def prot(self) -> int:
        prot = self.rng.choice((0, 1, 1, 2, 3, 3, 3, 3, 3, 3, 5, 6, 7, 4, 8, 11))
        return prot if prot & 7 != 4 else 5  # PROT_EXEC alone: ours cannot be told from READ and EXEC

    def place(self) -> int:
        return P(self.rng.randrange(48))

    def fd(self) -> int:
        r = self.rng.random()
        if r < 0.93:
            return 100 + 4 * self.rng.randrange(FILES) + self.rng.choice((0, 0, 0, 1))
        if r < 0.96:
            return 102 + 4 * self.rng.randrange(FILES)
        return self.rng.choice((-1, 90, 91, 92, 99, 0x1_0000_0064))

    # -- operations

    def mmap(self) -> Op:
        rng = self.rng
        kind = rng.choice((PRIVATE, PRIVATE, PRIVATE, SHARED, SHARED))
        if rng.random() < 0.02:
            kind = rng.choice((0, VALIDATE, 15, 4))
        flags, fd, offset = kind, -1, 0
        if rng.random() < 0.55:
            flags |= ANON
            if rng.random() < 0.1:
                flags |= GROWSDOWN
            if rng.random() < 0.1:
                fd, offset = self.fd(), PAGE * rng.randrange(4)
        else:
            fd = self.fd()
            offset = PAGE * rng.choice((0, 0, 0, 1, 1, 2, 3, 8))
            if rng.random() < 0.04:
                offset = rng.choice((1, 100, PAGE + 1, 1 << 43, 1 << 62, (1 << 63) - PAGE, (1 << 64) - PAGE))
            if rng.random() < 0.02:
                flags |= GROWSDOWN
        how = rng.random()
        if how < 0.6:
            flags |= FIXED
        elif how < 0.75:
            flags |= NOREPLACE
        if rng.random() < 0.12:
            flags |= POPULATE
        if rng.random() < 0.08:
            rare = (LOCKED, NORESERVE, STACK_FLAG, 0x800, 0x1000, 0x10000, 0x40, 0x40000, 0x80000, 0x400000)
            flags |= rng.choice(rare)
            if flags & ANON:
                flags &= ~0x40000  # huge pages: what they give depends on the machine
        address = 0 if how > 0.9 else self.address()
        if flags & GROWSDOWN and address < ARENA:
            address = self.place()  # near 0 ours cannot say how far it may grow elsewhere
        length = self.length()
        if flags & LOCKED and length > 48 * PAGE:
            length = PAGE
        return ("mmap", address, length, self.prot(), flags, fd, offset, self.place())

    def stack(self) -> Op:
        """Memory that grows down, where there is room for that."""
        start, size = P(STACK + self.rng.randrange(12)), PAGE * self.rng.choice((1, 2, 3))
        return ("mmap", start, size, self.prot(), PRIVATE | ANON | GROWSDOWN | FIXED, -1, 0, 0)

    def munmap(self) -> Op:
        return ("munmap", self.address(), self.length())

    def mprotect(self) -> Op:
        prot = self.prot()
        r = self.rng.random()
        if r < 0.06:
            prot |= 0x0100_0000
        elif r < 0.08:
            prot |= self.rng.choice((0x0200_0000, 0x0300_0000, 16, 1 << 40, 64))
        return ("mprotect", self.address(), self.length(), prot)

    def mremap(self) -> Op:
        rng = self.rng
        old, new = self.length(), self.length()
        if rng.random() < 0.35:
            new = old
        flags = rng.choice((0, 1, 1, 1, 3, 3, 3, 3, 5, 7))
        if rng.random() < 0.03:
            flags = rng.choice((2, 4, 6, 8, 9))
        if rng.random() < 0.05:
            old = 0
        if new > 48 * PAGE and new < 1 << 48:
            new = PAGE
        target = self.address() if flags & 2 or rng.random() < 0.5 else 0
        if target in (PAGE, 65536):
            target = self.place()  # as in mmap
        return ("mremap", self.address(), old, new, flags, target, self.place())

    def brk(self) -> Op:
        r = self.rng.random()
        if r < 0.9:
            return ("brk", P(HEAP + self.rng.randrange(24), self.rng.choice((0, 0, 1, 2000))))
        return ("brk", self.rng.choice((0, 1 << 47, (1 << 64) - 1, P(HEAP))))

    def madvise(self) -> Op:
        rng = self.rng
        advice = rng.choice((4, 4, 4, 4, 8, 8, 22, 22, 23, 23, 10, 11, 18, 18, 19, 9, 9, 0, 3, 16, 17, 20, 24))
        if rng.random() < 0.03:
            advice = rng.choice((5, 6, 7, 26, 99, 105, -1, 1 << 31))
        length = self.length()
        if 48 * PAGE < length <= 1 << 63:  # the host's process has memory of its own above the arena
            length = PAGE
        return ("madvise", self.address(), length, advice)

    def mincore(self) -> Op:
        length = min(self.length(), self.rng.choice((48 * PAGE, 1 << 64)))
        return ("mincore", self.address(), length, 64)

    def msync(self) -> Op:
        flags = self.rng.choice((0, 1, 2, 4, 4, 4, 6, 5, 8))
        return ("msync", self.address(), self.length(), flags)

    def lock(self) -> Op:
        name = self.rng.choice(("mlock", "munlock", "munlock", "mlock2"))
        length = self.length()
        if length > 48 * PAGE:
            length = PAGE
        if name == "mlock2":
            return (name, self.address(), length, self.rng.choice((0, 0, 1, 1, 2)))
        return (name, self.address(), length)

    def load(self) -> Op:
        return ("load", self.byte())

    def store(self) -> Op:
        size = self.rng.choice((1, 1, 1, 8))
        return ("store", self.byte(), self.rng.randrange(1, 256) * (1 if size == 1 else 0x0101010101010101), size)

    def size(self) -> int:
        """A file's size, or a place in one."""
        return PAGE * self.rng.randrange(10) + self.rng.choice((0, 0, 1, 100, 777, 3000, 4095))

    def pread(self) -> Op:
        to = P(SCRATCH + 5, 123) if self.rng.random() < 0.6 else self.byte()
        return ("pread", self.fd(), to, self.rng.choice((1, 10, 100, 4096, 5000)), self.size())

    def pwrite(self) -> Op:
        start = P(SCRATCH + 4, self.rng.randrange(PAGE))
        at, end = sorted((self.size(), self.size()))
        return ("pwrite", self.fd(), start, min(end - at, 2 * PAGE), max(at, end - 2 * PAGE))

    def ftruncate(self) -> Op:
        return ("ftruncate", self.fd(), self.size())

    def disk(self) -> Op:
        return ("disk", self.rng.randrange(FILES))

    def synced(self) -> Op:
        return ("synced", self.rng.randrange(FILES))

    def unlink(self) -> Op:
        return ("unlink", self.rng.randrange(FILES))

    def fork(self) -> Op:
        return ("fork",)


G = Generator
_MAKERS = [
    (24.0, G.mmap),
    (1.0, G.stack),
    (4.0, G.munmap),
    (8.0, G.mprotect),
    (9.0, G.mremap),
    (2.5, G.brk),
    (8.0, G.madvise),
    (3.0, G.mincore),
    (2.0, G.msync),
    (1.5, G.lock),
    (9.0, G.load),
    (20.0, G.store),
    (2.0, G.pread),
    (2.5, G.pwrite),
    (1.5, G.ftruncate),
    (1.0, G.disk),
    (0.7, G.synced),
    (0.03, G.unlink),
    (0.5, G.fork),
]
