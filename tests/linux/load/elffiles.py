"""Small ELF files written byte by byte, random ones too, and what becomes of one here and on the host.

The code in them prints its own mappings, its auxiliary vector and where the kernel put its parts, then bytes of its
memory, and exits: nothing else, whatever the headers say. The host runs it without randomization, so that every
address can be compared.
"""

from __future__ import annotations

import ctypes
import os
import random
import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from struct import iter_unpack, pack

from axptr.linux import ProgramError, create_process

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE, PT_GNU_STACK, PT_GNU_PROPERTY = 1, 2, 3, 4, 0x6474E551, 0x6474E553
R, W, X = 4, 2, 1
ENVIRONMENT = {"NAME": "value"}
TOP = (1 << 64) - 1
USER_END = 0x7FFF_FFFF_F000
BASE = 0x400000
HUGE_PAGE = 0x200000


class Phdr:
    """A program header; every field may be any number."""

    FIELDS = ("kind", "flags", "offset", "vaddr", "paddr", "filesz", "memsz", "align")

    def __init__(
        self, kind: int, flags: int, offset: int, vaddr: int, filesz: int, memsz: int, align: int = 4096
    ) -> None:
        self.kind, self.flags, self.offset, self.vaddr, self.paddr = kind, flags, offset, vaddr, vaddr
        self.filesz, self.memsz, self.align = filesz, memsz, align

    def pack(self) -> bytes:
        return pack("<IIQQQQQQ", *(getattr(self, name) for name in self.FIELDS))

    def __repr__(self) -> str:
        return "Phdr(" + ", ".join(f"{name}={getattr(self, name):#x}" for name in self.FIELDS) + ")"


ELF_AT = 0x400
"""Where the body of a file stands."""


class Elf:
    """A file: the header's fields, program headers, and `body` behind them."""

    def __init__(self, phdrs: list[Phdr], body: bytes, **fields: int) -> None:
        self.phdrs = phdrs
        self.body = body
        self.ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
        self.kind, self.machine, self.version, self.entry, self.phoff = 2, 62, 1, BASE + ELF_AT, 64
        self.flags, self.ehsize, self.phentsize = 0, 64, 56
        self.phnum: int | None = None
        self.cut: int | None = None
        for name, value in fields.items():
            assert hasattr(self, name), name
            setattr(self, name, value)

    def pack(self) -> bytes:
        count = len(self.phdrs) if self.phnum is None else self.phnum
        head = pack(
            "<HHIQQQIHHHHHH", self.kind, self.machine, self.version, self.entry, self.phoff, 0, self.flags,
            self.ehsize, self.phentsize, count, 0, 0, 0,
        )  # fmt: skip
        table = b"".join(p.pack() for p in self.phdrs)
        whole = (self.ident + head + table).ljust(ELF_AT, b"\0") + self.body
        return whole[: self.cut]

    def __repr__(self) -> str:
        fields = {k: v for k, v in vars(self).items() if k not in ("phdrs", "body")}
        return f"Elf({fields}, {self.phdrs})"


# -- code


def _call(nr: int, *arguments: bytes) -> bytes:
    return b"".join(arguments) + b"\xb8" + pack("<I", nr) + b"\x0f\x05"


def _edi(n: int) -> bytes:
    return b"\xbf" + pack("<I", n)


def _rsi(n: int) -> bytes:
    return b"\x48\xbe" + pack("<Q", n)


def _edx(n: int) -> bytes:
    return b"\xba" + pack("<I", n)


def show(address: int, size: int) -> bytes:
    """Print `size` bytes at `address`, then in 8 bytes what the call gave."""
    return (
        _call(1, _edi(1), _rsi(address), _edx(size))
        + b"\x50"
        + _call(1, _edi(1), b"\x48\x89\xe6", _edx(8))  # mov rsi, rsp
        + b"\x58"
    )


def copy_file(path: bytes) -> bytes:
    """Print a file."""
    text = path.ljust(len(path) // 8 * 8 + 8, b"\0")
    words = [text[i : i + 8] for i in range(0, len(text), 8)]
    pushed = b"".join(b"\x48\xb8" + w + b"\x50" for w in reversed(words))
    opened = _call(2, b"\x48\x89\xe7\x31\xf6") + b"\x41\x89\xc4"  # mov rdi, rsp; xor esi, esi; ...; mov r12d, eax
    read = _call(0, b"\x44\x89\xe7\x48\x8d\xb4\x24" + pack("<i", -0x3000), _edx(0x2000))  # lea rsi, [rsp - 0x3000]
    write = b"\x89\xc2" + _call(1, _edi(1))  # mov edx, eax
    loop = read + b"\x85\xc0\x7e" + bytes([len(write) + 2]) + write
    loop += b"\xeb" + bytes([256 - len(loop) - 2])
    return pushed + opened + loop + b"\x48\x83\xc4" + bytes([len(text)])  # add rsp, ...


def leave(code: int) -> bytes:
    return _call(60, _edi(code))


TELL = copy_file(b"/proc/self/maps") + copy_file(b"/proc/self/auxv") + copy_file(b"/proc/self/stat")


def program(*shown: tuple[int, int], code: int = 7, fill: int = 0x3000, **fields: int) -> Elf:
    """One that tells all of itself and the ranges asked for; one segment, all of it, at BASE (or 0 if dynamic)."""
    body = (TELL + b"".join(show(*range_) for range_ in shown) + leave(code)).ljust(fill, b"\xa5")
    base = 0 if fields.get("kind") == 3 else BASE
    size = ELF_AT + len(body)
    elf = Elf([Phdr(PT_LOAD, R | X, 0, base, size, size)], body, **fields)
    if "entry" not in fields:
        elf.entry = base + ELF_AT
    return elf


def changed(**fields: int) -> Elf:
    """The one segment's header with other fields."""
    elf = program()
    for name, value in fields.items():
        setattr(elf.phdrs[0], name, value)
    return elf


# -- running


class Told:
    """How it ended, and what it printed: mappings, auxiliary vector, the kernel's numbers, bytes."""

    def __init__(self, end: tuple[str, int], out: bytes) -> None:
        self.end = end
        lines = out.split(b"\n")
        maps = [line for line in lines if b"-" in line[:20] and b" " in line]
        self.maps = _mappings(maps)
        rest = out[sum(len(line) + 1 for line in maps) :] if out[:1].isalnum() else out
        self.auxv: dict[int, int] = {}
        self.stat: list[bytes] = []
        at = 0
        for key, value in iter_unpack("<QQ", rest[: len(rest) // 16 * 16]):
            at += 16
            if not key:
                break
            if key in (3, 4, 5, 6, 7, 8, 9):
                self.auxv[key] = value
        line, _, self.rest = rest[at:].partition(b"\n")
        if interpreter := self.auxv.get(7):  # it maps for itself, where the host has put a vdso
            own = [m for m in self.maps if interpreter - (1 << 24) < int(m.split()[0], 16) < interpreter]
            self.maps = [m for m in self.maps if m not in own]
        words = line.rpartition(b")")[2].split()
        if len(words) == 50:
            self.stat = [words[i - 3] for i in (26, 27, 45, 46, 47, 48, 49, 50, 51)]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Told) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        auxv = {k: hex(v) for k, v in self.auxv.items()}
        stat = [hex(int(w)) for w in self.stat]
        return "\n".join([f"{self.end} auxv {auxv} stat {stat}", *self.maps, f"{self.rest!r}"])


def _mappings(lines: list[bytes]) -> list[str]:
    """Range, permissions, offset and name of each mapping; the kernel's own apart, alike neighbours as one."""
    told: list[list[str]] = []
    for line in lines:
        words = line.decode(errors="replace").split(None, 5)
        name = Path(words[5].strip()).name if len(words) > 5 else ""
        if name.startswith(("[v", "[uprobes")):
            continue
        start, end = words[0].split("-")
        if told and not name and told[-1][1:] == [start, words[1], words[2], name]:
            told[-1][1] = end
        else:
            told.append([start, end, words[1], words[2], name])
    return [" ".join(words) for words in told]


def _quiet() -> None:
    ctypes.CDLL(None).personality(0x0040000)  # ADDR_NO_RANDOMIZE
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (5, 5))


def on_host(path: Path) -> Told:
    with tempfile.TemporaryFile() as out:
        try:
            done = subprocess.run(
                [path, "one"], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL, env=ENVIRONMENT,
                preexec_fn=_quiet, timeout=20,
            )  # fmt: skip
        except OSError as error:
            return Told(("errno", error.errno or 0), b"")
        out.seek(0)
        status = done.returncode
        return Told(("exit", status) if status >= 0 else ("signal", -status), out.read())


def here(path: Path) -> Told:
    with tempfile.TemporaryFile() as out, open(os.devnull, "r+b") as null:
        try:
            with create_process(
                path, [str(path), "one"], ENVIRONMENT, stdio=(null.fileno(), out.fileno(), null.fileno())
            ) as process:
                result = process.run(20)
        except ProgramError as error:
            return Told(("errno", error.errno), b"")
        out.seek(0)
        end = ("signal", result.signal) if result.signal else ("exit", result.status)
        return Told(end, out.read())


# -- at random

_EDGES = (0, 1, 2, 8, 0x38, 0x78, 0x400, 0xFFF, 0x1000, 0x1001, 0x2000, 0x3400, 0x10000, 0x200000)
_EDGES += (BASE, BASE + 0x1000, BASE + 0x2000, BASE + 0x3000, BASE - 0x1000, 0x5555_5555_4000, 0x7FFF_F7FF_0000)
_EDGES += (USER_END - 0x21000, USER_END - 0x1000, USER_END - 1, USER_END, 1 << 47, 1 << 48, 1 << 62, 1 << 63)
_EDGES += (TOP, TOP - 0xFFF, TOP - 0x1FFF, TOP - 0x3FF)

_NAMES = (b"/lib64/ld-linux-x86-64.so.2\0", b"/no/such\0", b"\0\0", b"/bin\0", b"/etc/passwd\0", b"/bin/true\0", b"x")


def mutated(seed: int) -> Elf:
    """A program with a few fields of its headers changed."""
    rng = random.Random(seed)
    kind = rng.choice((2, 2, 3))
    base = 0 if kind == 3 else BASE
    elf = program((base + 0x3000 - 32, 64), (base + 0x4000, 32), code=rng.randrange(256), kind=kind)
    _add_headers(rng, elf, base)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 5))):
        _change(rng, elf)
    if rng.random() < 0.1:
        elf.cut = rng.randrange(0, ELF_AT + len(elf.body))
    return elf


def _add_headers(rng: random.Random, elf: Elf, base: int) -> None:
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
        offset = rng.choice((0, 0x1000, 0x2000, 0x3000)) + rng.choice((0, 0, 0, 0x10, 0x7FF))
        at = base + rng.choice((0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x8000)) + offset % 0x1000
        size = rng.choice((0, 1, 0x400, 0xFF0, 0x1000, 0x1234))
        more = rng.choice((0, 0, 1, 0x100, 0x1000, 0x2345))
        extra = Phdr(PT_LOAD, rng.choice((R, W, R | W, R | W | X, R | X, 0)), offset, at, size, size + more)
        elf.phdrs.insert(rng.randrange(len(elf.phdrs) + 1), extra)
    if rng.random() < 0.25:
        name = rng.choice(_NAMES)
        where = 0x300
        interp = Phdr(PT_INTERP, R, where, where, len(name), len(name), 1)
        elf.phdrs.insert(rng.randrange(len(elf.phdrs) + 1), interp)
        elf.body = elf.body[: 0x3000 - 0x40] + name  # past the code
        interp.offset = ELF_AT + len(elf.body) - len(name)
    if rng.random() < 0.3:
        kind = rng.choice((PT_GNU_STACK, PT_GNU_STACK, PT_GNU_PROPERTY, PT_NOTE, PT_DYNAMIC))
        elf.phdrs.insert(rng.randrange(len(elf.phdrs) + 1), Phdr(kind, rng.randrange(8), 0, 0, 0, 0, 16))


def _change(rng: random.Random, elf: Elf) -> None:
    if rng.random() < 0.75:
        phdr = rng.choice(elf.phdrs)
        field = rng.choice(("flags", "offset", "vaddr", "filesz", "memsz", "align"))
        now = getattr(phdr, field)
        new = rng.choice((rng.choice(_EDGES), now + rng.choice((1, -1, 0x1000, -0x1000, 0x10000))))
        if field in ("offset", "vaddr") and rng.random() < 0.7:
            new = new & ~0xFFF | now & 0xFFF
        if field == "flags":
            new = rng.choice((0, R, W, R | W, R | X, R | W | X))
        setattr(phdr, field, new & TOP)
        return
    choices: list[Callable[[], None]] = [
        lambda: setattr(elf, "kind", rng.choice((0, 1, 2, 3, 4))),
        lambda: setattr(elf, "machine", rng.choice((0, 183, 62, 0x3E00))),
        lambda: setattr(elf, "entry", rng.choice((0, USER_END - 1, USER_END, TOP, 1 << 47, 0x123))),
        lambda: setattr(elf, "phoff", rng.choice(_EDGES)),
        lambda: setattr(elf, "phentsize", rng.choice((0, 32, 55, 57))),
        lambda: setattr(elf, "phnum", rng.choice((0, len(elf.phdrs) + 1, 1, 1170, 1171, 65535))),
        lambda: setattr(elf, "version", rng.choice((0, 7))),
        lambda: setattr(elf, "ehsize", rng.choice((0, 7))),
        lambda: setattr(elf, "ident", _swapped(rng, elf.ident)),
        lambda: rng.shuffle(elf.phdrs),
    ]
    rng.choice(choices)()


def _swapped(rng: random.Random, ident: bytes) -> bytes:
    changed = bytearray(ident)
    changed[rng.randrange(16)] = rng.choice((0, 1, 2, 3, 255))
    return bytes(changed)


def _size(elf: Elf) -> int:
    loads = [p for p in elf.phdrs if p.kind == PT_LOAD]
    return max((p.vaddr + p.memsz & TOP for p in loads), default=0) - min((p.vaddr for p in loads), default=0) + 0x2000


def _entered(elf: Elf) -> bool:
    """Whether the entry point lies in a segment that is read."""
    read = elf.phdrs if elf.phnum is None else elf.phdrs[: elf.phnum]
    return any(p.kind == PT_LOAD and p.vaddr <= elf.entry < p.vaddr + p.memsz for p in read)


def difference(directory: Path, elf: Elf) -> str:
    """Run one in both places; the empty string if nothing differs."""
    path = directory / "program"
    path.unlink(missing_ok=True)
    path.write_bytes(elf.pack())
    path.chmod(0o755)
    host, ours = on_host(path), here(path)
    if elf.kind == 3 and _size(elf) >= HUGE_PAGE:  # a place that huge pages fit, if the file system is for that
        return "" if host.end == ours.end else f"{elf}\nhost: {host.end}\nours: {ours.end}"
    if elf.kind == 3 and not _entered(elf) and host.end[0] == ours.end[0] == "signal":
        return ""  # below the program the host has a vdso and what belongs to it: another signal
    return "" if host == ours else f"{elf}\nhost: {host}\nours: {ours}"


def main(first: int, count: int) -> Iterable[str]:
    with tempfile.TemporaryDirectory() as directory:
        for seed in range(first, first + count):
            told = difference(Path(directory), mutated(seed))
            if told:
                yield f"seed {seed}: {told}"


if __name__ == "__main__":
    import sys

    for line in main(int(sys.argv[1]), int(sys.argv[2])):
        print(line)
