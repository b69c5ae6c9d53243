"""Programs that no linker makes, mapped as the host maps them: every address, permission and byte is compared.

The files and the comparison are `elffiles`; here is the list of kinds, and random ones by seed.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from . import elffiles
from .elffiles import (
    BASE,
    ELF_AT,
    PT_DYNAMIC,
    PT_GNU_PROPERTY,
    PT_GNU_STACK,
    PT_INTERP,
    PT_LOAD,
    TOP,
    USER_END,
    Elf,
    Phdr,
    R,
    W,
    X,
    changed,
    difference,
    here,
    program,
)

LINKER = b"/lib64/ld-linux-x86-64.so.2\0"
SIZE = ELF_AT + 0x3000


def with_more(*phdrs: Phdr, shown: tuple[tuple[int, int], ...] = (), first: bool = False, **fields: int) -> Elf:
    """The whole file at its base, and more headers behind (or before) that."""
    elf = program(*shown, **fields)
    elf.phdrs[0 if first else 1 : 0] = phdrs
    return elf


def interpreted(
    name: bytes, *, kind: int = 2, filesz: int | None = None, offset: int | None = None, **fields: int
) -> Elf:
    elf = program(kind=kind, **fields)
    elf.body += name
    at = ELF_AT + len(elf.body) - len(name)
    size = len(name) if filesz is None else filesz
    elf.phdrs.append(Phdr(PT_INTERP, R, at if offset is None else offset, 0, size, size, 1))
    return elf


def load(flags: int, offset: int, vaddr: int, filesz: int, memsz: int, align: int = 4096) -> Phdr:
    return Phdr(PT_LOAD, flags, offset, vaddr, filesz, memsz, align)


def _cut(size: int) -> Elf:
    elf = program((BASE + 0x5000 - 16, 32))
    elf.phdrs.append(load(R | W, 0x3000, BASE + 0x5000, 0x3000, 0x3000))
    elf.cut = size
    return elf


def _ident(*bytes_: int) -> Elf:
    elf = program()
    elf.ident = bytes([0x7F, 0x45, 0x4C, 0x46, *bytes_]).ljust(16, b"\xee")
    return elf


CASES: dict[str, Callable[[], Elf]] = {
    # segments that a linker does not make
    "overlapping": lambda: with_more(load(R | W, 0x1000, BASE + 0x2000, 0x1800, 0x1800), shown=((BASE + 0x2000, 64),)),
    "sharing a page": lambda: with_more(load(R | W, 0x3040, BASE + 0x3040, 0x80, 0x80), shown=((BASE + 0x3000, 256),)),
    "sharing a page, with bss": lambda: with_more(
        load(R | W, 0x3040, BASE + 0x3040, 0x80, 0x180), shown=((BASE + 0x3000, 0x200),)
    ),
    "out of order": lambda: with_more(
        load(R, 0x1000, BASE + 0x8000, 0x100, 0x100), first=True, shown=((BASE + 0x8000, 16),)
    ),
    "a lower one last": lambda: with_more(load(R | W, 0, BASE - 0x8000, 0x100, 0x2000), shown=((BASE - 0x8000, 8),)),
    "the same twice": lambda: with_more(load(R | W | X, 0, BASE, SIZE, SIZE)),
    "an odd offset": lambda: with_more(load(R | W, 0x1234, BASE + 0x6234, 0x10, 0x20), shown=((BASE + 0x6200, 128),)),
    "offset and address disagree": lambda: with_more(load(R, 0x1001, BASE + 0x6000, 16, 16)),
    "empty": lambda: with_more(load(R, 0x1000, BASE + 0x6000, 0, 0)),
    "empty, beyond user space": lambda: with_more(load(R, 0x1000, USER_END, 0, 0)),
    "without permissions": lambda: with_more(load(0, 0x1000, BASE + 0x6000, 16, 16), shown=((BASE + 0x6000, 16),)),
    "only writable": lambda: with_more(load(W, 0x1000, BASE + 0x6000, 16, 16), shown=((BASE + 0x6000, 32),)),
    "unknown flags": lambda: with_more(load(0xFFFFFFF8 | R, 0x1000, BASE + 0x6000, 16, 16)),
    # files that end too early
    "past the end of the file": lambda: _cut(0x3100),
    "past the end of the file, by pages": lambda: _cut(0x3000),
    "cut in the code": lambda: _cut(ELF_AT + 16),
    "bss behind pages that the file does not have": lambda: with_more(
        load(R | W, 0x10000, BASE + 0x8000, 0x800, 0x900)
    ),
    "read-only bss behind such": lambda: with_more(load(R, 0x10000, BASE + 0x8000, 0x800, 0x1900)),
    # bss
    "bss": lambda: with_more(load(R | W, 0x1000, BASE + 0x6000, 0x234, 0x3000), shown=((BASE + 0x6200, 0x100),)),
    "bss of a read-only segment": lambda: with_more(
        load(R, 0x1000, BASE + 0x6000, 0x234, 0x3000), shown=((BASE + 0x6200, 0x100), (BASE + 0x7000, 8))
    ),
    "bss of an executable segment": lambda: with_more(load(R | X, 0x1000, BASE + 0x6000, 0x234, 0x3000)),
    "nothing but bss": lambda: with_more(load(R, 0, BASE + 0x6000, 0, 0x100), shown=((BASE + 0x6000, 8),)),
    "nothing but bss, at an odd address": lambda: with_more(load(R, 0, BASE + 0x6123, 0, 0x1000)),
    "bss over the code": lambda: with_more(load(R | W, 0, BASE, 0, SIZE)),
    "bss over what comes after": lambda: with_more(
        load(R, 0x1000, BASE + 0x6000, 0x100, 0x5000), load(R, 0x1000, BASE + 0x8000, 0x100, 0x100)
    ),
    "bss too large for the space": lambda: with_more(
        load(R | W, 0x1000, BASE + 0x6000, 0x100, USER_END - BASE - 0x5000)
    ),
    "bss too large for the machine": lambda: with_more(load(R | W, 0x1000, BASE + 0x6000, 0x100, 1 << 46)),
    "bss up to the stack": lambda: with_more(load(R | W, 0, USER_END - 0x200000, 0, 0x1000)),
    "bss over the stack": lambda: with_more(load(R | W, 0, USER_END - 0x30000, 0, 0x30000)),
    "a segment over the stack": lambda: with_more(load(R | W, 0, USER_END - 0x1000, 0x1000, 0x1000)),
    "the first one over the stack": lambda: with_more(load(R | W, 0, USER_END - 0x1000, 0x1000, 0x1000), first=True),
    # numbers that do not fit
    "memory smaller than file": lambda: changed(memsz=10),
    "address in the kernel": lambda: changed(vaddr=0xFFFF_8000_0000_0000),
    "address at the end of user space": lambda: with_more(load(R, 0, USER_END - 0x1000, 120, 8192)),
    "size that wraps": lambda: with_more(load(R, 0, BASE + 0x6000, 0, TOP)),
    "file size that wraps": lambda: with_more(load(R, 0, BASE + 0x6000, TOP, TOP)),
    "a file size of no page": lambda: with_more(load(R, 0, BASE + 0x6000, TOP - 0xFFE, TOP - 0xFFE)),
    "offset at the top": lambda: with_more(load(R, TOP - 0xFFF, BASE + 0x6000, 16, 16)),
    "offset beyond any file": lambda: with_more(load(R, 1 << 62, BASE + 0x6000, 16, 16)),
    "page zero": lambda: with_more(load(R | W, 0x1000, 0, 16, 0x2000), shown=((8, 16),)),
    "page zero first": lambda: with_more(load(R | W, 0x1000, 0, 16, 0x2000), first=True),
    # alignment and place
    "position independent": lambda: program(kind=3),
    "position independent, with a first address": lambda: with_more(
        load(R, 0x1000, 0x10000, 16, 16), first=True, kind=3
    ),
    "position independent, higher first": lambda: with_more(load(R, 0x1000, 0x7000, 16, 16), first=True, kind=3),
    "position independent, bss first": lambda: with_more(load(R, 0x1000, 0, 0, 16), first=True, kind=3),
    "position independent, high address": lambda: with_more(load(R, 0, 1 << 46, 16, 16), kind=3),
    "position independent, larger than the space": lambda: with_more(load(R, 0, 0x7FFF_FFFF_0000, 120, 120), kind=3),
    "position independent, nothing to load": lambda: Elf([Phdr(PT_DYNAMIC, R, 0, 0, 0, 0)], b"", kind=3),
    "position independent, no size": lambda: Elf([load(R, 0, 0, 0, 0)], b"", kind=3),
    "nothing to load": lambda: Elf([Phdr(PT_DYNAMIC, R, 0, 0, 0, 0)], b""),
    **{
        f"aligned to {align:#x}{', with an interpreter' if name else ''}": (
            lambda align=align, name=name: _aligned(align, name)
        )
        for align in (0, 1, 3, 0x1001, 0x2000, 0x10000, 0x200000, 1 << 40, 1 << 47, 1 << 63)
        for name in (b"", LINKER)
    },
    # the interpreter
    "interpreter": lambda: interpreted(LINKER),
    "interpreter of a position-independent one": lambda: interpreted(LINKER, kind=3),
    "interpreter name with more behind it": lambda: interpreted(LINKER + b"rest\0"),
    "interpreter name without end": lambda: interpreted(LINKER[:-1]),
    "interpreter name of one byte": lambda: interpreted(b"\0"),
    "interpreter name that is empty": lambda: interpreted(b"\0\0"),
    "interpreter name of 4096": lambda: interpreted(LINKER.ljust(4096, b"\0")),
    "interpreter name of 4097": lambda: interpreted(LINKER.ljust(4097, b"\0")),
    "interpreter name past the end": lambda: interpreted(LINKER, filesz=len(LINKER) + 1),
    "interpreter name beyond the end": lambda: interpreted(LINKER, offset=1 << 40),
    "interpreter name at the top": lambda: interpreted(LINKER, offset=TOP - 3),
    "interpreter that is missing": lambda: interpreted(b"/no/such\0"),
    "interpreter that is a directory": lambda: interpreted(b"/usr\0"),
    "interpreter that is no ELF file": lambda: interpreted(b"/etc/ld.so.cache\0"),
    "interpreter that is a program": lambda: interpreted(b"/bin/true\0"),
    "two interpreters": lambda: _two_interpreters(),
    # the header
    "class, order and version are not looked at": lambda: _ident(0, 0, 0),
    "class 1": lambda: _ident(1, 1, 1),
    "big-endian": lambda: _ident(2, 2, 1),
    "version": lambda: program(version=7),
    "header size": lambda: program(ehsize=0),
    "flags": lambda: program(flags=0xFFFFFFFF),
    "object file": lambda: program(kind=1),
    "core dump": lambda: program(kind=4),
    "another machine": lambda: program(machine=183),
    "program headers of another size": lambda: program(phentsize=32),
    "no program headers": lambda: program(phnum=0),
    "too many program headers": lambda: program(phnum=1171),
    "as many as can be": lambda: program(phnum=170),
    "program headers beyond the end": lambda: program(phoff=1 << 40),
    "program headers at the top": lambda: program(phoff=TOP - 7),
    "program headers in no segment": lambda: _headers_apart(),
    # entry points
    "entry at the end": lambda: program(entry=TOP),
    "entry in the kernel": lambda: program(entry=USER_END),
    "entry at zero": lambda: program(entry=0),
    "entry past the segment": lambda: program(entry=BASE + 0x100000),
    "entry without execution": lambda: changed(flags=R),
    "entry on a page that the file does not have": lambda: changed(offset=0x10000),
    # other headers
    "executable stack": lambda: with_more(Phdr(PT_GNU_STACK, R | W | X, 0, 0, 0, 0)),
    "plain stack": lambda: with_more(Phdr(PT_GNU_STACK, R | W, 0, 0, 0, 0)),
    "two answers about the stack": lambda: with_more(
        Phdr(PT_GNU_STACK, X, 0, 0, 0, 0), Phdr(PT_GNU_STACK, R | W, 0, 0, 0, 0)
    ),
    "a property that is none": lambda: with_more(Phdr(PT_GNU_PROPERTY, R, 1 << 40, 0, 1 << 40, 0)),
    "a processor's own header": lambda: with_more(Phdr(0x70000001, R, 1 << 40, 0, 1 << 40, 0)),
}


def _aligned(align: int, name: bytes) -> Elf:
    elf = interpreted(name, kind=3) if name else program(kind=3)
    elf.phdrs[0].align = align
    return elf


def _two_interpreters() -> Elf:
    elf = interpreted(LINKER)
    elf.phdrs.append(Phdr(PT_INTERP, R, 0, 0, 1, 1, 1))
    return elf


def _headers_apart() -> Elf:
    elf = program()
    elf.phoff = ELF_AT + len(elf.body)
    elf.body += b"".join(p.pack() for p in elf.phdrs)
    return elf


@pytest.mark.parametrize("kind", CASES)
def test_a_program_that_no_linker_makes_is_mapped_as_on_the_host(tmp_path, kind):
    assert difference(tmp_path, CASES[kind]()) == ""


def test_the_comparison_sees_mappings_numbers_and_bytes(tmp_path):
    """So that equality says something: the plain program tells all of itself."""
    path = tmp_path / "program"
    path.write_bytes(program((BASE, 4)).pack())
    path.chmod(0o755)
    told = here(path)
    assert told.end == ("exit", 7)
    assert told.maps[0] == f"{BASE:08x} {BASE + 0x4000:08x} r-xp 00000000 program"
    assert told.auxv[9] == BASE + ELF_AT
    assert len(told.stat) == 9
    assert told.rest == b"\x7fELF\x04" + bytes(7)


def test_random_headers_are_loaded_as_on_the_host():
    assert list(elffiles.main(0, 150)) == []


@pytest.mark.slow
def test_many_random_headers_are_loaded_as_on_the_host():
    assert list(elffiles.main(1000, 10_000)) == []
