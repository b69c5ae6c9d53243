"""Providers that break the contract of `with_addr_space`, under every verb: a `RuntimeError` that says so, no value.

The table has every verb of the public API that takes a provider; `test_every_verb_is_here` reads the stubs and the
signatures for those that it lacks.
"""

from __future__ import annotations

import ast
import ctypes
import inspect
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import axptr
from axptr import (
    LP64,
    AddrSpace,
    Budget,
    IoVec,
    Layout,
    Locked,
    MappingFlags,
    PhysMemory,
    Provider,
    UserAtomic,
    UserConstPtr,
    UserFault,
    UserFile,
    UserPtr,
    UserSlice,
    check_region_with,
    check_zeroed,
    clear,
    copy_between,
    copy_in_nofault,
    copy_out_nofault,
    copy_struct,
    copy_struct_out,
    is_accessing_user_memory,
    read_string_array,
    read_terminated,
    read_text,
    search,
    search_any,
    search_regex,
    search_value,
)

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x10000
ARGV, NODE, WIDE = BASE + 0x800, BASE + 0x900, BASE + 0xA00
char, u32, u64 = ctypes.c_char, ctypes.c_uint32, ctypes.c_uint64


class Big(ctypes.Structure):
    _fields_ = [("x", ctypes.c_uint8 * (1 << 20))]


class Node(ctypes.Structure):
    _fields_ = [("next", ctypes.c_void_p), ("value", u64)]


number, text, wide = UserPtr[u32](BASE), UserPtr[char](BASE), UserPtr[ctypes.c_wchar](WIDE)

VERBS: dict[str, Callable[[Any], object]] = {
    "read": number.read,
    "read a structure": UserConstPtr[Big](BASE).read,
    "read_unaligned": UserPtr[u64](BASE + 1).read_unaligned,
    "read_unaligned a structure": UserPtr[Big](BASE + 1).read_unaligned,
    "read_slice": lambda p: number.read_slice(p, 4),
    "read_slice of bytes": lambda p: text.read_slice(p, 100_000),
    "read_slice of structures": lambda p: UserPtr[Node](BASE).read_slice(p, 3),
    "read_cstr": text.read_cstr,
    "get_as_str": text.get_as_str,
    "get_as_str, wide": wide.get_as_str,
    "copy_in": lambda p: text.copy_in(p, bytearray(8)),
    "write": lambda p: number.write(p, 1),
    "write a structure": lambda p: UserPtr[Node](BASE).write(p, Node()),
    "write_unaligned": lambda p: UserPtr[u64](BASE + 1).write_unaligned(p, 1),
    "write_slice": lambda p: number.write_slice(p, [1, 2]),
    "write_slice of bytes": lambda p: text.write_slice(p, b"1234"),
    "copy_out": lambda p: text.copy_out(p, b"1234"),
    "get": number.get,
    "get of a constant": UserConstPtr[u32](BASE).get,
    "get_as_slice": lambda p: number.get_as_slice(p, 2),
    "get_as_slice of none": lambda p: number.get_as_slice(p, 0),
    "get_as_null_terminated": text.get_as_null_terminated,
    "each": lambda p: list(UserPtr[UserPtr[char]](ARGV).each(p, 10)),
    "follow": lambda p: list(UserPtr[Node](NODE).follow(p, "next", 10)),
    "UserAtomic.load": UserAtomic(BASE, u32).load,
    "UserAtomic.store": lambda p: UserAtomic(BASE, u32).store(p, 1),
    "UserAtomic.exchange": lambda p: UserAtomic(BASE, u32).exchange(p, 1),
    "UserAtomic.compare_exchange": lambda p: UserAtomic(BASE, u32).compare_exchange(p, 1, 2),
    "UserAtomic.fetch_add": lambda p: UserAtomic(BASE, u32).fetch_add(p, 1),
    "UserAtomic.fetch_or": lambda p: UserAtomic(BASE, u32).fetch_or(p, 1),
    "UserAtomic.fetch_and": lambda p: UserAtomic(BASE, u32).fetch_and(p, 1),
    "UserAtomic.fetch_xor": lambda p: UserAtomic(BASE, u32).fetch_xor(p, 1),
    "IoVec.read": lambda p: IoVec.read(p, ARGV, 1),
    "IoStream.copy_in": lambda p: IoVec([(BASE, 4)]).stream(p).copy_in(bytearray(4)),
    "IoStream.copy_out": lambda p: IoVec([(BASE, 4)]).stream(p).copy_out(b"1234"),
    "IoStream.clear": lambda p: IoVec([(BASE, 4)]).stream(p).clear(4),
    "UserSliceReader.read": lambda p: UserSlice(BASE, 64).reader(p).read(8),
    "UserSliceReader.read_value": lambda p: UserSlice(BASE, 64).reader(p).read_value(u32),
    "UserSliceReader.read_all": lambda p: UserSlice(BASE, 64).reader(p).read_all(),
    "UserSliceReader.read_cstr": lambda p: UserSlice(BASE, 64).reader(p).read_cstr(),
    "UserSliceReader.copy_in": lambda p: UserSlice(BASE, 64).reader(p).copy_in(bytearray(8)),
    "UserSliceWriter.write": lambda p: UserSlice(BASE, 64).writer(p).write(b"1234"),
    "UserSliceWriter.write_value": lambda p: UserSlice(BASE, 64).writer(p).write_value(u32, 1),
    "UserSliceWriter.clear": lambda p: UserSlice(BASE, 64).writer(p).clear(8),
    "UserSliceWriter.copy_out": lambda p: UserSlice(BASE, 64).reader_writer(p)[1].copy_out(b"1234"),
    "UserFile.readinto": lambda p: UserFile(p, BASE, 64).readinto(bytearray(8)),
    "UserFile.read": lambda p: UserFile(p, BASE, 64).read(8),
    "UserFile.write": lambda p: UserFile(p, BASE, 64).write(b"1234"),
    "copy_between, from": lambda p: copy_between(p, BASE, _own(), BASE, 8),
    "copy_between, to": lambda p: copy_between(_own(), BASE, p, BASE, 8),
    "copy_between, nothing": lambda p: copy_between(_own(), BASE, p, BASE, 0),
    "copy_in_nofault": lambda p: copy_in_nofault(p, BASE, bytearray(8)),
    "copy_out_nofault": lambda p: copy_out_nofault(p, BASE, b"1234"),
    "clear": lambda p: clear(p, BASE, 8),
    "check_zeroed": lambda p: check_zeroed(p, BASE, 8),
    "copy_struct": lambda p: copy_struct(p, NODE, Node, 16),
    "copy_struct_out": lambda p: copy_struct_out(p, NODE, Node(), 16),
    "check_region_with": lambda p: check_region_with(p, BASE, Layout(8), R),
    "read_terminated": lambda p: read_terminated(p, BASE, 4),
    "read_string_array": lambda p: read_string_array(p, ARGV),
    "read_text": lambda p: read_text(p, BASE, "utf-16-le"),
    "search": lambda p: list(search(p, b"zz", BASE, 4096)),
    "search_value": lambda p: list(search_value(p, u32, 7, BASE, 4096)),
    "search_any": lambda p: list(search_any(p, u32, [7], BASE, 4096)),
    "search_regex": lambda p: list(search_regex(p, b"z+", BASE, 4096)),
    "Locked": lambda p: number.read(Locked(p)),
    "Locked twice": lambda p: text.write_slice(Locked(Locked(p)), b"1234"),
}


def _own() -> AddrSpace:
    space = AddrSpace(0x1000, 1 << 30, PhysMemory(1 << 26))
    space.map_alloc(BASE, 1 << 21, R | W)
    space.write(BASE, b"t\0e\0x\0t\0\0\0\0\0" + b"t" * 20 + bytes(4))
    space.write(ARGV, BASE.to_bytes(8, "little") + bytes(8))
    space.write(NODE, bytes(16))
    space.write(WIDE, "text".encode("utf-32-le") + bytes(4))
    return space


class Liar:
    """Leads to `space`, after a fashion."""

    kept: Any = None

    def __init__(self, space: Any) -> None:
        self.space = space


class NoReturn(Liar):
    def with_addr_space(self, f: Any) -> None:
        f(self.space)


class Short(Liar):
    def with_addr_space(self, f: Any) -> bytes:
        f(self.space)
        return b"ab"


class Skips(Liar):
    def with_addr_space(self, f: Any) -> None:
        return None


class Twice(Liar):
    def with_addr_space(self, f: Any) -> Any:
        f(self.space)
        return f(self.space)


class TwiceInSilence(Liar):
    def with_addr_space(self, f: Any) -> Any:
        first = f(self.space)
        try:
            f(self.space)
        except RuntimeError:
            pass
        return first


class Later(Liar):
    def with_addr_space(self, f: Any) -> Any:
        self.kept = f
        return 0


class Copies(Liar):
    """Another object that is as good: but what if it is not?"""

    def with_addr_space(self, f: Any) -> Any:
        return [f(self.space)]


class Swallows(Liar):
    def with_addr_space(self, f: Any) -> Any:
        try:
            return f(None)
        except (TypeError, AttributeError, BufferError):
            return 0


LIARS = [NoReturn, Short, Skips, Twice, TwiceInSilence, Later, Copies, Swallows]


def _answering(kind: type[Liar]) -> type[Liar]:
    """One that says of its model and budget what it can, so that the verb itself is the first to ask for the space."""
    return type(f"{kind.__name__}WithModel", (kind,), {"model": LP64, "budget": Budget()})


@pytest.mark.parametrize("verb", VERBS)
def test_a_provider_that_breaks_its_contract_is_told_so(verb: str) -> None:
    space = _own()
    for liar in [*LIARS, *map(_answering, LIARS)]:
        provider = liar(space)
        with pytest.raises(RuntimeError, match="must call f once, before it returns, and return what f returned"):
            pytest.fail(f"{liar.__name__}: {VERBS[verb](provider)!r}")
        assert not is_accessing_user_memory()
        if provider.kept is not None:
            with pytest.raises(RuntimeError, match="after it returned"):
                provider.kept(space)
    space._check()


@pytest.mark.parametrize("verb", VERBS)
def test_the_table_works_over_an_honest_provider(verb: str) -> None:
    class Honest(Liar):
        def with_addr_space(self, f: Any) -> Any:
            return f(self.space)

    VERBS[verb](Honest(_own()))
    VERBS[verb](_own())


def test_what_a_provider_raises_comes_out() -> None:
    class Raises(Liar):
        def with_addr_space(self, f: Any) -> Any:
            raise ZeroDivisionError

    for name, verb in VERBS.items():
        with pytest.raises(ZeroDivisionError):
            verb(Raises(None))
        assert not is_accessing_user_memory(), name


def test_a_fault_passes_an_honest_provider_and_a_retry_of_it_is_refused() -> None:
    class Again(Liar):
        def with_addr_space(self, f: Any) -> Any:
            try:
                return f(self.space)
            except UserFault:
                return f(self.space)

    provider = Again(_own())
    assert isinstance(number.read(provider), int)
    with pytest.raises(RuntimeError, match="twice"):
        UserPtr[u32](1 << 28).read(provider)


# -- memories whose counts cannot be


class Counts:
    """A memory that grants everything and says of each copy what it likes."""

    model, budget = LP64, None

    def __init__(self, count: Any, shrink: bool = False) -> None:
        self.count = count
        self.shrink = shrink

    def with_addr_space(self, f: Any) -> Any:
        return f(self)

    def check_region_access(self, range: Any, flags: Any) -> bool:
        return True

    def populate_area(self, start: int, size: int, access: Any) -> None: ...

    def read_into(self, vaddr: int, buf: Any) -> Any:
        size = len(memoryview(buf).cast("B"))
        if self.shrink and isinstance(buf, bytearray):
            buf.clear()
        return size if self.count is None else self.count

    def write_from(self, vaddr: int, buf: Any) -> Any:
        return self.read_into(vaddr, buf)


COPIES = [
    *("read", "read a structure", "read_slice", "read_slice of bytes", "read_cstr", "copy_in", "write", "write_slice"),
    *(
        "copy_out",
        "IoStream.copy_in",
        "IoStream.copy_out",
        "UserSliceReader.copy_in",
        "UserFile.read",
        "UserFile.write",
    ),
    *("copy_between, from", "copy_between, to", "copy_struct", "copy_struct_out", "clear", "get_as_str, wide"),
]


@pytest.mark.parametrize("count", [1 << 70, (1 << 21) + 1, -5, None, "8", 4.0])
@pytest.mark.parametrize("verb", COPIES)
def test_a_count_that_cannot_be_is_told_so(verb: str, count: Any) -> None:
    memory = Counts(count)
    if count is None:
        memory.read_into = lambda vaddr, buf: None  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="Counts says it copied"):
        VERBS[verb](memory)


def test_a_memory_that_shrinks_the_buffer_it_is_to_fill_is_told_so() -> None:
    for verb in ("read", "read a structure", "read_slice of bytes"):
        with pytest.raises(RuntimeError, match="changed the size"):
            VERBS[verb](Counts(None, shrink=True))


# -- providers of ours


def test_a_provider_class_with_a_visit_of_its_own_is_refused_when_its_space_is_set() -> None:
    class Task(Provider):
        def with_addr_space(self, f: Any) -> Any:
            return f(self._space)

    class Below(Task):
        pass

    for kind in (Task, Below):
        with pytest.raises(TypeError, match="Locked"):
            kind()._set_space(_own())

    class Plain(Provider):
        pass

    task = Plain()
    task.with_addr_space = lambda f: None  # type: ignore[method-assign, assignment]
    with pytest.raises(TypeError, match="Locked"):
        task._set_space(_own())
    Plain()._set_space(_own())


def test_a_space_class_with_a_visit_of_its_own_is_refused() -> None:
    with pytest.raises(TypeError, match="Locked"):

        class Space(AddrSpace):
            def with_addr_space(self, f: Any) -> Any:
                return f(self)


# -- the table


def _stub_verbs(name: str) -> set[str]:
    tree = ast.parse((Path(axptr.__file__).parent / "_core" / name).read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and "provider" in [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
    }


def test_every_verb_is_here() -> None:
    wanted = _stub_verbs("pointers/pointer.pyi") | _stub_verbs("pointers/atomic.pyi") | {"copy_in", "copy_out", "clear"}
    for name in axptr.__all__:
        thing = getattr(axptr, name)
        if inspect.isfunction(thing) and any(
            "provider" in p or p == "source" for p in inspect.signature(thing).parameters
        ):
            wanted.add(name)
        if name in ("UserSliceReader", "UserSliceWriter"):
            wanted |= {each for each in vars(thing) if not each.startswith("_")} - {"clone"}
    here = set(itertools.chain.from_iterable(verb.replace(".", " ").replace(",", " ").split() for verb in VERBS))
    assert wanted - here == set()
    assert {"read", "copy_struct", "search_any", "fetch_xor", "read_value"} <= wanted
