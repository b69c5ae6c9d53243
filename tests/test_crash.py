"""Inputs that must never crash the interpreter: each runs in a process of its own, which has to end in peace.

What each raises is part of the promise too: the script fails where nothing, or something else, is raised.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PRELUDE = """
import copy, ctypes, gc, os, pickle, sys, tempfile, threading, weakref
from axptr import *
NONE, R, W, X = MappingFlags(0), MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
BASE, TOP = 0x100000, 1 << 64
char, u8, u32, u64 = ctypes.c_char, ctypes.c_uint8, ctypes.c_uint32, ctypes.c_uint64

def refuses(kinds, call):
    try:
        call()
    except kinds:
        return
    raise AssertionError("nothing raised")

phys = PhysMemory(1 << 30)
space = AddrSpace(0x1000, (1 << 47) - 0x2000, phys)
space.map_alloc(BASE, 8 * PAGE_SIZE, R | W)
for n in (3, 1, 0, 2, 7, 5, 4, 6):
    space.write(BASE + n * PAGE_SIZE, b"x")
"""

CASES = {
    "views after unmap": """
        views = [UserPtr[T](BASE + 8).get_as_slice(space, 3000) for T in (char, u32, UserPtr[char])]
        views.append(UserPtr[u8 * 9000](BASE).get(space))
        space.unmap(BASE, 8 * PAGE_SIZE)
        for view in views:
            view[0] = view[1]
            view[len(view) - 1] = 1
            bytes(view)
    """,
    "views after the death of space and memory": """
        views = [UserPtr[char](BASE).get_as_slice(space, 30000), UserPtr[u32](BASE).get(space)]
        del space, phys
        gc.collect()
        views[0][29999] = 7
        views[1].value = 5
        assert views[0][0] == 5
        del views
        gc.collect()
    """,
    "views of views in any order of death": """
        view = UserPtr[char](BASE).get_as_slice(space, 30000)
        half = view[10000:].cast("B", (200, 100))
        array = (u8 * 100).from_buffer(view)
        owner = view.obj
        del view, owner, space
        gc.collect()
        half[0, 0] = array[0]
        refuses((TypeError, ValueError, BufferError), lambda: ctypes.resize(array, 1 << 40))
    """,
    "view objects made by hand": """
        kind = type(UserPtr[char](BASE).get_as_slice(space, 4).obj)
        refuses((TypeError, BufferError), lambda: memoryview(kind()))
        refuses((TypeError, BufferError), lambda: memoryview(kind.__new__(kind)))
        refuses(TypeError, lambda: pickle.dumps(UserPtr[char](BASE).get_as_slice(space, 4).obj))
        refuses(TypeError, lambda: copy.copy(UserPtr[char](BASE).get_as_slice(space, 4).obj))
    """,
    "cycles of every class": """
        class Space(AddrSpace): pass
        class Memory(PhysMemory): pass
        class Task(Provider): pass
        class Table(PageTable): pass
        for _ in range(50):
            memory = Memory(1 << 24)
            own = Space(0, 1 << 30, memory)
            own.map_alloc(BASE, PAGE_SIZE, R | W)
            task = Task()
            task._set_space(own)
            table = Table(memory)
            table.map(0, 0, R)
            view = UserPtr[char](BASE).get_as_slice(task, 100)
            for a in (memory, own, task, table):
                a.others = [memory, own, task, table, view]
            own.me = own
            locked = Locked(own)
            locked.me = locked
            del memory, own, task, table, view, a, locked
        gc.collect()
    """,
    "finalizers that use what is being collected": """
        class Task(Provider):
            def __del__(self):
                UserPtr[char](BASE).read(self)
                self.with_addr_space(lambda m: m.read(BASE, 4))
        for _ in range(20):
            own = AddrSpace(0, 1 << 30, phys)
            own.map_alloc(BASE, PAGE_SIZE, R | W)
            task = Task()
            task._set_space(own)
            own.task = task
            task.me = task
            weakref.finalize(own, lambda: None)
            del own, task
        gc.collect()
    """,
    "huge counts": """
        for n in (1 << 31, 1 << 32, (1 << 61) - 1, 1 << 61, 1 << 62, 1 << 63, TOP - 1, TOP, 1 << 100):
            for T in (char, u32, u64, UserPtr[char], u8 * 3):
                p = UserPtr[T](BASE)
                refuses(UserFault, lambda: p.read_slice(space, n))
                refuses(UserFault, lambda: p.get_as_slice(space, n))
            refuses(UserFault, lambda: space.read(BASE, n))
            refuses(LinuxError, lambda: space.populate_area(BASE, n, R))
            refuses(LinuxError, lambda: space.map_alloc(BASE, n * PAGE_SIZE, R))
            refuses((LinuxError, ValueError), lambda: phys.alloc(n))
            refuses(ValueError, lambda: phys.read(0, n))
            refuses((UserFault, ValueError), lambda: check_region(space, BASE, Layout(n), R))
    """,
    "huge counts over an area that is there": """
        # 64 TiB may be read as far as the flags go: there is no room for it, neither here nor in the memory.
        space.map_alloc(1 << 45, 1 << 46, R | W)
        p = UserPtr[char](1 << 45)
        small = PhysMemory(1 << 22)
        other = AddrSpace(0, 1 << 47, small)
        other.map_alloc(1 << 45, 1 << 46, R | W)
        for where in (space, other):
            refuses(LinuxError, lambda: p.read_slice(where, 1 << 46))
            refuses(LinuxError, lambda: where.read(1 << 45, 1 << 46))
        refuses(LinuxError, lambda: p.get_as_slice(other, 1 << 46))
        refuses(LinuxError, lambda: UserPtr[u8 * (1 << 40)](1 << 45).get(other))
        refuses(LinuxError, lambda: other.populate_area(1 << 45, 1 << 46, W))
        refuses(LinuxError, lambda: check_region(other, 1 << 45, Layout(1 << 46), W))
        refuses(LinuxError, lambda: p.cast(u8 * (1 << 40)).read(other))
        other._check()
        small._check()
    """,
    "wrapped addresses": """
        top = AddrSpace(TOP - (1 << 20), 1 << 20, phys)
        top.map_alloc(TOP - (1 << 20), 1 << 20, R | W)
        top.write(TOP - 64, b"z" * 64)
        for back in (1, 2, 3, 4, 7, 8, 9, 63, 64, 4096, 4097):
            p = UserPtr[char](TOP - back)
            for size in (back + 1, back + 8, back + 5000, TOP - 1):
                refuses(UserFault, lambda: p.read_slice(top, size))
                refuses(UserFault, lambda: p.get_as_slice(top, size))
                refuses(UserFault, lambda: top.read(TOP - back, size))
                refuses(LinuxError, lambda: top.populate_area(TOP - back, size, R))
                refuses(UserFault, lambda: check_region(top, TOP - back, Layout(size), R))
            buffer = bytearray(back + 5000)
            assert p.copy_in(top, buffer) == back
            assert p.copy_out(top, buffer) == back
            assert top.read_into(TOP - back, buffer) == back
            refuses(UserFault, lambda: p.write_slice(top, buffer))
            refuses(UserFault, lambda: top.write(TOP - back, buffer))
        for T in (u32, u64, u8 * 3, u8 * 5000):
            for back in (1, 2, 4999):
                if back < ctypes.sizeof(T):
                    refuses(UserFault, lambda: UserPtr[T](TOP - back).read_unaligned(top))
                    refuses(UserFault, lambda: UserPtr[T](TOP - back).get(top))
        top.write(TOP - 64, b"z" * 64)
        refuses(UserFault, lambda: UserPtr[char](TOP - 64).get_as_str(top))
        refuses(UserFault, lambda: UserPtr[u8 * 3](TOP - 64).get_as_null_terminated(top))
        refuses(UserFault, lambda: UserPtr[u32](TOP - 64).get_as_null_terminated(top))
        refuses(LinuxError, lambda: top.map_alloc(TOP - PAGE_SIZE, 2 * PAGE_SIZE, R, replace=True))
        top.unmap(TOP - PAGE_SIZE, PAGE_SIZE)
        top._check()
    """,
    "a file truncated under its mapping": """
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"f" * 10 * PAGE_SIZE)
            file.flush()
            space.map_file(1 << 30, 10 * PAGE_SIZE, R | W, file)
            p = UserPtr[char](1 << 30)
            view = UserPtr[char]((1 << 30) + PAGE_SIZE).get_as_slice(space, 10)
            assert p.read(space) == b"f"
            for size in (5 * PAGE_SIZE + 5, 0):
                os.ftruncate(file.fileno(), size)
                refuses(UserFault, lambda: p.read_slice(space, 10 * PAGE_SIZE))
                refuses(UserFault, lambda: p.write_slice(space, b"w" * 10 * PAGE_SIZE))
                refuses(UserFault, lambda: p.get_as_slice(space, 10 * PAGE_SIZE))
                refuses(UserFault, lambda: space.read(1 << 30, 10 * PAGE_SIZE))
                assert p.copy_in(space, bytearray(10 * PAGE_SIZE)) < 10 * PAGE_SIZE
                view[0] = 9
            os.unlink(file.name)
            open(file.name, "w").close()
        space.clear()
        assert bytes(view[1:3]) == b"ff"
    """,
    "types that would be followed on the host": """
        class Holds(ctypes.Structure):
            _fields_ = [("n", ctypes.c_int), ("p", ctypes.POINTER(ctypes.c_int))]
        class Inner(ctypes.Structure):
            _fields_ = [("many", Holds * 3)]
        class Either(ctypes.Union):
            _fields_ = [("n", ctypes.c_int), ("o", ctypes.py_object)]
        class Text(ctypes.c_char_p):
            pass
        space.write(BASE, b"\\x41" * 4096)
        for T in (ctypes.POINTER(ctypes.c_int), ctypes.c_char_p, ctypes.c_wchar_p, ctypes.py_object, Text,
                  ctypes.CFUNCTYPE(None), ctypes.c_char_p * 3, Holds, Inner, Either, Inner * 2, ctypes.c_void_p * 0,
                  int, object, None, 5, UserPtr, Layout, "c int", ctypes.Structure, ctypes.Array, ctypes.Union):
            for make in (lambda: UserPtr[T], lambda: UserConstPtr.of(T), lambda: UserPtr[char](BASE).cast(T),
                         lambda: Layout.of(T), lambda: check_null_terminated(space, BASE, T, R),
                         lambda: UserPtr[UserPtr[char]](BASE).read(space).cast(T)):
                refuses(TypeError, make)
    """,
    "pointers made without their fields": """
        for kind in (UserPtr, UserConstPtr, UserPtr.__mro__[1]):
            refuses(TypeError, lambda: kind())
            refuses(TypeError, lambda: kind(5))
            refuses(TypeError, lambda: kind.__new__(kind))
            refuses(TypeError, lambda: object.__new__(kind))
            refuses(TypeError, lambda: type("Own", (kind,), {})())
            refuses(TypeError, lambda: type("Own", (kind,), {"__init__": lambda self: None})())
        refuses(TypeError, lambda: type(UserPtr[char]).__new__(type(UserPtr[char])))
        refuses(TypeError, lambda: type(UserPtr[char])(ctypes.c_char_p, True))
    """,
    "providers of what is no space": """
        class Task(Provider): pass
        for wrong in (None, 5, object(), phys, Task(), PageTable(phys)):
            refuses(TypeError, lambda: Task()._set_space(wrong))
        for T in (char, u32, u8 * 3):
            p = UserPtr[T](BASE)
            for verb in (lambda: p.read(Task()), lambda: p.get(Task()), lambda: p.read_slice(Task(), 3),
                         lambda: p.get_as_slice(Task(), 3), lambda: p.copy_in(Task(), bytearray(3))):
                refuses(RuntimeError, verb)
        for base in AddrSpace.__mro__[1:-2]:
            try:
                half = base(0, 1 << 30, phys)
            except TypeError:
                continue
            if base.__name__ not in ("SpaceCore", "MappedSpace", "BackedSpace", "History"):
                refuses((RuntimeError, TypeError), lambda: UserPtr[char](BASE).read(half))
                refuses(TypeError, lambda: Task()._set_space(half))
    """,
    "a provider that skips, forgets or makes up the result, or raises": """
        class Raises:
            def with_addr_space(self, f): raise ZeroDivisionError
        class Skips:
            def with_addr_space(self, f): return None
        class Forgets:
            def with_addr_space(self, f): f(space)
        class Short:
            def with_addr_space(self, f): f(space); return b"ab"
        class Lies:
            def with_addr_space(self, f): return f(Liar())
        class Liar:
            def check_region_access(self, range, flags): return True
            def populate_area(self, start, size, access): pass
            def read_into(self, vaddr, buf): return 1 << 70
            def write_from(self, vaddr, buf): return -5
        class Big(ctypes.Structure):
            _fields_ = [("x", u8 * (1 << 20))]
        space.map_alloc(1 << 30, 1 << 21, R | W)
        for provider, error in ((Raises(), ZeroDivisionError), (Skips(), RuntimeError), (Forgets(), RuntimeError),
                                (Short(), RuntimeError), (Lies(), RuntimeError)):
            p = UserPtr[u32](1 << 30)
            for verb in (lambda: p.read(provider), lambda: p.write(provider, 1), lambda: p.read_slice(provider, 4),
                         lambda: p.copy_in(provider, bytearray(4)), lambda: p.copy_out(provider, b"1234"),
                         lambda: p.cast(char).get_as_str(provider, 100), lambda: p.read_unaligned(provider),
                         lambda: p.cast(Big).read(provider), lambda: p.cast(Big).read_slice(provider, 2)):
                refuses(error, verb)
            refuses((error, BufferError), lambda: p.get(provider))
    """,
    "code of the caller that runs in the middle": """
        class Sly:
            def __index__(self):
                space.unmap(BASE, 8 * PAGE_SIZE)
                return 7
        def items():
            yield 1
            space.clear()
            yield 2
        refuses(UserFault, lambda: UserPtr[u32](BASE).write(space, Sly()))
        space.map_alloc(BASE, 8 * PAGE_SIZE, R | W)
        UserPtr[u32](BASE).write(space, 1)
        refuses(UserFault, lambda: UserPtr[u32](BASE).write_slice(space, items()))
        space.map_alloc(BASE, 8 * PAGE_SIZE, R | W)
        refuses(UserFault, lambda: UserPtr[u32](BASE).read_slice(space, Sly()))
        space.map_alloc(BASE, 8 * PAGE_SIZE, R | W)
        refuses(UserFault, lambda: space.read(BASE, Sly()))
        class Task(Provider): pass
        task = Task()
        task._set_space(space)
        class Swaps:
            def __index__(self):
                global space
                task._set_space(AddrSpace(0, 1 << 30, phys))
                space = None
                gc.collect()
                return 7
        refuses(UserFault, lambda: UserPtr[u32](BASE).write(task, Swaps()))
        refuses(UserFault, lambda: UserPtr[u32](BASE).read_slice(task, Swaps()))
    """,
    "the page tables written over": """
        table = PageTable(phys)
        for root in (table.root, space.page_table.root):
            refuses(ValueError, lambda: phys.write(root, b"\\xff" * PAGE_SIZE))
            refuses(ValueError, lambda: phys.free(root))
            other = AddrSpace(0x1000, 1 << 30, phys)
            other.map_linear(BASE, root, PAGE_SIZE, R | W)
            refuses(UserFault, lambda: UserPtr[char](BASE).write_slice(other, b"\\xff" * PAGE_SIZE))
            refuses(UserFault, lambda: other.write(BASE, b"\\xff"))
            refuses(UserFault, lambda: UserPtr[char](BASE).get_as_slice(other, PAGE_SIZE))
        refuses(TypeError, lambda: space.page_table.map(BASE + (1 << 30), 1 << 50, R))
        refuses(TypeError, lambda: space.page_table.unmap(BASE))
        assert space.read(BASE, 1) == b"x"
    """,
    "foreign page tables full of nonsense": """
        import random
        rng = random.Random(9)
        class Noise:
            def read(self, paddr, size):
                return rng.randbytes(size)
        class Short:
            def read(self, paddr, size):
                return b""
        class Wrong:
            def read(self, paddr, size):
                return "text"
        for fmt in (X86_64, AARCH64, SV39, SV48):
            table = PageTable.at(Noise(), 0x1000, fmt)
            for _ in range(3000):
                table.query(rng.randrange(TOP))
            refuses(PagingError, lambda: PageTable.at(Short(), 0x1000, fmt).query(0))
            refuses(PagingError, lambda: list(PageTable.at(Short(), 0x1000, fmt).leaves()))
        refuses(NotAligned, lambda: PageTable.at(Noise(), TOP - 1))
        leaves = PageTable.at(Noise(), TOP - PAGE_SIZE).leaves()
        for _ in range(3000):
            next(leaves)
        refuses(TypeError, lambda: PageTable.at(Wrong(), 0).query(0))
        refuses(ValueError, lambda: PageTable.at(phys, TOP - PAGE_SIZE).query(0))
    """,
    "many pointers that die in the finalizer of their type": """
        from axptr.forms.base import Form
        kind, kept = type(UserConstPtr[u32]), []
        class Own(Form):
            load_many = None
            def __init__(self): self.T, self.size, self.align = "f", 4, 4
            def __del__(self): kept.clear()
        for _ in range(3):
            own = kind(Own(), True)
            last = own(8)
            del own
            drained = [UserConstPtr[u32](n) for n in range(192)]
            kept = [UserConstPtr[u32](n) for n in range(200)]
            more = [UserConstPtr[u32](n) for n in range(5000)]
            del drained[70:]
            del last
            more.clear()
            made = [UserConstPtr[u32](n) for n in range(300)]
            assert len({id(each) for each in made}) == 300
            assert [each.address for each in made] == list(range(300))
    """,
    "a space that is only the core of one": """
        core = next(kind for kind in AddrSpace.__mro__ if kind.__name__ == "SpaceCore")
        half = core(0, 1 << 30, phys)
        for verb in (lambda: UserPtr[char](BASE).read(half), lambda: UserPtr[char](BASE).write(half, b"x"),
                     lambda: UserPtr[char](BASE).copy_in(half, bytearray(4)), lambda: half.read(BASE, 4),
                     lambda: UserPtr[char](BASE).read_slice(half, TOP - 1)):
            try:
                verb()
            except NotImplementedError as error:
                assert "make an AddrSpace" in str(error), error
            else:
                raise AssertionError("nothing raised")
    """,
    "classes without their constructor": """
        for kind in (PhysMemory, PageTable, AddrSpace, Provider, AllocBackend, LinearBackend, FileBackend, Backend):
            try:
                made = kind.__new__(kind)
            except (TypeError, LinuxError):
                continue
            repr(made)
            if isinstance(made, Backend):
                try:
                    space.map(1 << 30, PAGE_SIZE, R | W, made, replace=True)
                    space.read(1 << 30, 1)
                except LinuxError:
                    pass
        backend = AllocBackend()
        for wrong in (2, 5, -1, 1 << 40):
            refuses((ValueError, OverflowError, TypeError), lambda: backend._set(wrong))
        space._check()
    """,
    "a memory without room": """
        tiny = PhysMemory(8 * PAGE_SIZE)
        own = AddrSpace(0, 1 << 47, tiny)
        own.map_alloc(0, 1 << 46, R | W)
        for n in range(200):
            at = (n * 0x12345678000) % (1 << 46) & -PAGE_SIZE
            for call in (lambda: UserPtr[char](at).write(own, b"x"), lambda: own.write(at, b"x" * 9000),
                         lambda: UserPtr[char](at).get_as_slice(own, 9000), lambda: own.populate_area(at, 1 << 20, W),
                         lambda: UserPtr[char](at).get_as_str(own)):
                try:
                    call()
                except LinuxError:
                    pass
            if n % 10 == 0:
                own._check()
        own.clear()
        assert (tiny.data_frames, tiny.table_frames) == (0, 1)
    """,
    "deep nesting of pointer types and structures": """
        T = char
        for _ in range(2000):
            T = UserPtr[T]
        T(BASE).read(space)
        hash(T)
        S = ctypes.c_int
        for n in range(150):
            S = type(f"S{n}", (ctypes.Structure,), {"_fields_": [("inner", S)]})
        UserPtr[S](BASE).read(space)
        class List(ctypes.Structure):
            pass
        List._fields_ = [("next", ctypes.c_void_p)]
        UserPtr[List](BASE).get(space).next = 5
    """,
    "exit with everything alive": """
        views = [UserPtr[char](BASE).get_as_slice(space, 30000), UserPtr[u32](BASE).get(space)]
        class Task(Provider): pass
        task = Task()
        task._set_space(space)
        task.me = task
        other = AddrSpace(0, 1 << 30)
        other.map_alloc(BASE, PAGE_SIZE, R, populate=True)
        sys.modules["kept"] = [views, task, other, phys]
    """,
    "exit with snapshots, clones, pagers and files alive": """
        file = tempfile.NamedTemporaryFile(delete=False)
        file.write(bytes(PAGE_SIZE))
        file.close()
        space.map_file(2 * BASE, PAGE_SIZE, R | W, file.name, shared=True)
        os.unlink(file.name)
        UserPtr[char](2 * BASE).write(space, b"q")
        space.map_pager(3 * BASE, PAGE_SIZE, R, lambda offset: space.read(BASE, PAGE_SIZE))
        space.read(3 * BASE, 1)
        kept = []
        for n in range(50):
            space.write(BASE, b"x")
            kept.append(space.snapshot())
            kept.append(space.try_clone())
        class Cycle: pass
        cycle = Cycle()
        cycle.me, cycle.kept = cycle, kept[1::2]
        sys.kept = kept[::3], space
    """,
}


@pytest.mark.parametrize("case", CASES)
def test_interpreter_survives(case: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", PRELUDE + textwrap.dedent(CASES[case])],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_what_a_mapping_wrote_is_in_the_file_when_the_interpreter_ended(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(4096))
    script = f"""
        space.map_file(2 * BASE, PAGE_SIZE, R | W, {str(path)!r}, shared=True)
        UserPtr[char](2 * BASE).write(space, b"q")
        sys.kept = [space, space.try_clone(), space.snapshot()]
    """
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(script)], capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert path.read_bytes()[:1] == b"q"
