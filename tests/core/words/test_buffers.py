"""Every verb that takes a buffer, and every buffer that holds addresses of the host: a `TypeError`, nothing copied.

Bytes of a guest in such a buffer would be followed by Python; bytes out of it would tell a guest where things lie.
"""

from __future__ import annotations

import array
import ctypes
import importlib.util
import io
import mmap
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from axptr import (
    X86_64,
    AddrSpace,
    IoVec,
    Locked,
    MappingFlags,
    PageTable,
    PhysMemory,
    UserAtomic,
    UserFile,
    UserPtr,
    UserSlice,
    copy_in_nofault,
    copy_out_nofault,
    copy_struct_out,
    search,
)
from axptr._core.words.buffers import flat
from axptr.mm.filecache import FileCache
from fakes import FakeMemory, PlainProvider

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x10000
POINTER = ctypes.POINTER(ctypes.c_int)
char = ctypes.c_char


class Text(ctypes.Structure):
    _fields_ = [("n", ctypes.c_int), ("s", ctypes.c_char_p)]


class Nested(ctypes.Structure):
    _fields_ = [("O", ctypes.c_int), ("many", Text * 2)]


class Either(ctypes.Union):
    """Its format says nothing: "B"."""

    _fields_ = [("n", ctypes.c_long), ("o", ctypes.c_char_p)]


class Holds(ctypes.Structure):
    _fields_ = [("n", ctypes.c_long), ("either", Either)]


class Late(ctypes.Structure):
    pass


class Later(ctypes.Structure):
    pass


EARLY = [UserPtr[kind] for kind in (Late, Later)]  # before their fields are known
Late._fields_ = [("s", ctypes.c_char_p)]
Later._fields_ = [("deep", Late * 2)]


def _objects() -> Any:
    import numpy

    return numpy.zeros(4, "O")


def _records() -> Any:
    import numpy

    return numpy.zeros(4, [("when", "M8[s]"), ("what", "O")])


FOLLOWED: dict[str, Callable[[], Any]] = {
    "c_char_p": lambda: (ctypes.c_char_p * 4)(),
    "c_wchar_p": lambda: (ctypes.c_wchar_p * 4)(),
    "py_object": lambda: (ctypes.py_object * 4)(),
    "pointers": lambda: (POINTER * 4)(),
    "functions": lambda: (ctypes.CFUNCTYPE(None) * 4)(),
    "one text": ctypes.c_char_p,
    "a structure": Text,
    "nested structures": Nested,
    "a union": Either,
    "a structure with a union": Holds,
    "unions": lambda: (Either * 3)(),
    "late fields": Late,
    "later fields": lambda: (Later * 2)(),
    "a view of texts": lambda: memoryview((ctypes.c_char_p * 4)()),
    "a view of texts as bytes": lambda: memoryview((ctypes.c_char_p * 4)()).cast("B"),
    "a view of a union": lambda: memoryview(Either()),
    "a part of a view": lambda: memoryview((Either * 3)())[1:].cast("B"),
    "numpy objects": _objects,
    "a view of numpy objects": lambda: memoryview(_objects()),
    "numpy records with objects and dates": _records,
    "a pickle's buffer": lambda: pickle.PickleBuffer((ctypes.c_char_p * 4)()),
}


class Bench:
    def __init__(self, path: Path) -> None:
        self.phys = PhysMemory(1 << 24)
        self.space = AddrSpace(0x1000, 1 << 40, self.phys)
        self.space.map_alloc(BASE, 0x1000, R | W)
        self.space.write(BASE, b"A" * 256)
        fake = FakeMemory()
        fake.map(BASE, 1, R | W)
        self.fake = PlainProvider(fake)
        self.frame = self.phys.alloc()
        path.write_bytes(bytes(8192))
        self.fd = os.open(path, os.O_RDWR)
        self.file = FileCache.of(self.phys, self.fd)

    def pager(self, data: Any) -> None:
        self.space.map_pager(0x100000, 0x1000, R, lambda offset: data, replace=True)
        try:
            UserPtr[char](0x100000).read(self.space)
        except OSError as fault:
            raise (fault.__cause__ or fault) from None

    def table(self, data: Any) -> None:
        class Source:
            def read(self, paddr: int, size: int) -> Any:
                return data

        PageTable.at(Source(), 0x1000, X86_64).query(0)


VERBS: dict[str, Callable[[Bench, Any], object]] = {
    "copy_in": lambda b, buf: UserPtr[char](BASE).copy_in(b.space, buf),
    "copy_out": lambda b, buf: UserPtr[char](BASE).copy_out(b.space, buf),
    "copy_in, locked": lambda b, buf: UserPtr[char](BASE).copy_in(Locked(b.space), buf),
    "copy_out, locked": lambda b, buf: UserPtr[char](BASE).copy_out(Locked(b.space), buf),
    "copy_in, other memory": lambda b, buf: UserPtr[char](BASE).copy_in(b.fake, buf),
    "copy_out, other memory": lambda b, buf: UserPtr[char](BASE).copy_out(b.fake, buf),
    "write_slice": lambda b, buf: UserPtr[char](BASE).write_slice(b.space, buf),
    "write_slice of bytes": lambda b, buf: UserPtr[ctypes.c_ubyte](BASE).write_slice(b.space, buf),
    "write_slice, other memory": lambda b, buf: UserPtr[char](BASE).write_slice(b.fake, buf),
    "read_into": lambda b, buf: b.space.read_into(BASE, buf),
    "write_from": lambda b, buf: b.space.write_from(BASE, buf),
    "AddrSpace.write": lambda b, buf: b.space.write(BASE, buf),
    "copy_in_nofault": lambda b, buf: copy_in_nofault(b.space, BASE, buf),
    "copy_out_nofault": lambda b, buf: copy_out_nofault(b.space, BASE, buf),
    "copy_struct_out": lambda b, buf: copy_struct_out(b.space, BASE, buf, 8),
    "IoStream.copy_in": lambda b, buf: IoVec([(BASE, 64)]).stream(b.space).copy_in(buf),
    "IoStream.copy_out": lambda b, buf: IoVec([(BASE, 64)]).stream(b.space).copy_out(buf),
    "IoStream.copy_in, other memory": lambda b, buf: IoVec([(BASE, 64)]).stream(b.fake).copy_in(buf),
    "UserSliceReader.copy_in": lambda b, buf: UserSlice(BASE, 64).reader(b.space).copy_in(buf),
    "UserSliceWriter.copy_out": lambda b, buf: UserSlice(BASE, 64).writer(b.space).copy_out(buf),
    "UserSliceWriter.write": lambda b, buf: UserSlice(BASE, 64).writer(b.space).write(buf),
    "UserFile.readinto": lambda b, buf: UserFile(b.space, BASE, 64).readinto(buf),
    "UserFile.write": lambda b, buf: UserFile(b.space, BASE, 64).write(buf),
    "PhysMemory.write": lambda b, buf: b.phys.write(b.frame, buf),
    "search": lambda b, buf: list(search(b.space, buf, BASE, 64)),
    "what a pager supplies": Bench.pager,
    "what a foreign table's source gives": Bench.table,
    "a file that is mapped": lambda b, buf: b.file.write(b.fd, 0, buf),
}


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    made = Bench(tmp_path / "file")
    yield made
    os.close(made.fd)


@pytest.mark.parametrize("verb", VERBS)
def test_a_buffer_that_holds_addresses_of_the_host_is_refused(verb: str, bench: Bench) -> None:
    for name, make in FOLLOWED.items():
        if "numpy" in name and importlib.util.find_spec("numpy") is None:
            continue
        held = make()
        try:
            VERBS[verb](bench, held)
        except TypeError:
            pass
        else:
            pytest.fail(f"{verb} takes {name}")
        if "numpy" not in name and name != "a pickle's buffer":
            assert bytes(memoryview(held).cast("B")) == bytes(memoryview(held).nbytes), name
    assert bench.space.read(BASE, 256) == b"A" * 256


def _complex() -> Any:
    return pytest.importorskip("numpy").zeros(2, "c16")


def _dates() -> Any:
    return pytest.importorskip("numpy").zeros(2, "M8[s]")


def _structured() -> Any:
    return pytest.importorskip("numpy").zeros(2, [("O", "i4"), ("z", "f4"), ("X", "2i4")])


class Guest(ctypes.Structure):
    """A guest's pointer, as it is spelt for Python not to follow it; members whose names are codes."""

    _fields_ = [("p", ctypes.c_void_p), ("z", ctypes.c_int), ("O", ctypes.c_int)]


class Plain(ctypes.Union):
    _fields_ = [("a", ctypes.c_int), ("b", ctypes.c_short * 8)]


PLAIN: dict[str, Callable[[], Any]] = {
    "bytearray": lambda: bytearray(16),
    "array": lambda: array.array("i", [0, 0, 0, 0]),
    "characters": lambda: (ctypes.c_wchar * 4)(),
    "a part of a view": lambda: memoryview(bytearray(32))[8:24],
    "numbers": lambda: (ctypes.c_int * 4)(),
    "guest pointers": lambda: (ctypes.c_void_p * 2)(),
    "a structure": Guest,
    "a union": Plain,
    "a map": lambda: mmap.mmap(-1, 16),
    "BytesIO": lambda: io.BytesIO(bytes(16)).getbuffer(),
    "numpy complex": _complex,
    "numpy dates": _dates,
    "numpy records": _structured,
    "a live view": lambda: _live(),
}


def _live() -> Any:
    space = AddrSpace(0x1000, 1 << 30, PhysMemory(1 << 24))
    space.map_alloc(BASE, 0x1000, R | W)
    return UserPtr[UserPtr[char]](BASE).get_as_slice(space, 2)


@pytest.mark.parametrize("buffer", PLAIN)
def test_other_buffers_are_filled_and_stored(buffer: str, bench: Bench) -> None:
    held = PLAIN[buffer]()
    pointer = UserPtr[char](BASE)
    done = pointer.copy_in(bench.space, held)
    assert done == bench.space.read_into(BASE, held) >= 16
    whole = bytes(held.tobytes() if hasattr(held, "tobytes") else memoryview(held).cast("B"))
    assert whole == b"A" * done
    assert pointer.copy_out(bench.space, held) == done
    if buffer != "numpy dates":
        assert UserSlice(BASE, 64).reader(bench.space).copy_in(held) == min(done, 64)
        assert len(flat(held)) == done


def test_a_buffer_that_cannot_be_written_or_lies_in_pieces_is_refused_as_before(bench: Bench) -> None:
    pointer = UserPtr[char](BASE)
    for held, kind in ((b"const", BufferError), (memoryview(bytearray(8))[::2], BufferError), ("text", TypeError)):
        with pytest.raises(kind):
            pointer.copy_in(bench.space, held)
    with pytest.raises(BufferError):
        pointer.copy_out(bench.space, memoryview(bytearray(8))[::2])


def test_bytes_in_pieces_are_taken_where_all_of_them_are_copied_first(bench: Bench) -> None:
    pieces = memoryview(b"a-b-c-")[::2]
    bench.phys.write(bench.frame, pieces)
    assert bench.phys.read(bench.frame, 3) == b"abc"
    assert list(search(bench.space, memoryview(b"A-A-")[::2], BASE, 3)) == [BASE, BASE + 1]


def test_a_refused_buffer_is_given_back(bench: Bench) -> None:
    class Texts(ctypes.Array):
        _type_, _length_ = ctypes.c_char_p, 4

    view = memoryview(Texts())
    with pytest.raises(TypeError):
        bench.space.write(BASE, view)
    view.release()  # BufferError while somebody has it


def test_atomics_and_values_take_no_buffer(bench: Bench) -> None:
    for held in (b"1234", (ctypes.c_char_p * 1)()):
        with pytest.raises(TypeError):
            UserAtomic(BASE, ctypes.c_uint32).store(bench.space, held)
        with pytest.raises(TypeError):
            UserPtr[ctypes.c_uint32](BASE).write(bench.space, held)


@pytest.mark.parametrize("pointer", EARLY, ids=["late", "later"])
def test_type_whose_fields_turn_out_to_be_host_pointers_is_refused_when_used(pointer: Any) -> None:
    space = AddrSpace(0x1000, 1 << 32, PhysMemory(1 << 24))
    space.map_alloc(BASE, 0x1000, R | W)
    space.write(BASE, b"A" * 64)
    for verb in (lambda: pointer(BASE).read(space), lambda: pointer(BASE).get(space)):
        with pytest.raises(TypeError):
            verb()
