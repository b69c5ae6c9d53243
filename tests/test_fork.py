"""After a fork of the host process two processes never write the same frames with two books.

The child's memory refuses, its live views are a copy of its own, and the parent notices nothing. Each case forks
inside a process of its own: ours has threads and locks of the test runner.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

PRELUDE = """
import ctypes, os, sys, gc
before = []
os.register_at_fork(before=lambda: [one() for one in before])
from axptr import *
R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x100000
char, u32 = ctypes.c_char, ctypes.c_uint32

def refuses(call):
    try:
        call()
    except RuntimeError as error:
        assert "fork" in str(error), error
    else:
        raise AssertionError("no refusal")

def in_child(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

if sys.argv[1] == "anonymous":
    del os.memfd_create
phys = PhysMemory(1 << 30)
assert (phys.fd < 0) == (sys.argv[1] == "anonymous")
space = AddrSpace(0x1000, 1 << 40, phys)
space.map_alloc(BASE, 4 * PAGE_SIZE, R | W)
space.write(BASE, b"parent")
p = UserPtr[char](BASE)
assert p.read_slice(space, 6) == b"parent"
"""

LATE = """
        space.write(BASE + PAGE_SIZE, b"second")
        space.write(BASE + 3 * PAGE_SIZE, b"fourth")
        late = []
        def take():
            late[:] = [UserPtr[char](BASE + n * PAGE_SIZE).get_as_slice(space, 6) for n in (1, 3)]
        before.append(take)  # registered before the memory's own, this is called after it
        def child():
            assert [bytes(one) for one in late] == [b"second", b"fourth"]
            late[1][:] = b"child!"
            assert bytes(late[1]) == b"child!"
        in_child(child)
        assert [bytes(one) for one in late] == [b"second", b"fourth"]
"""

CASES = {
    "every use of the memory refuses": """
        def child():
            class Task(Provider):
                pass
            task = Task()
            task._set_space(space)
            frame = space.query(BASE)[0]
            for call in (
                lambda: phys.alloc(),
                lambda: phys.alloc(4),
                lambda: phys.free(frame),
                lambda: phys.read(frame, 4),
                lambda: phys.write(frame, b"child"),
                lambda: p.read(space),
                lambda: p.write(space, b"c"),
                lambda: p.read(task),
                lambda: p.read(Locked(space)),
                lambda: p.read_slice(space, 6),
                lambda: p.write_slice(space, b"child"),
                lambda: p.copy_in(space, bytearray(6)),
                lambda: p.copy_out(space, b"child"),
                lambda: p.read_cstr(space),
                lambda: p.get_as_str(space),
                lambda: p.get(space),
                lambda: p.get_as_slice(space, 4),
                lambda: space.read(BASE, 4),
                lambda: space.write(BASE, b"child"),
                lambda: space.populate_area(BASE, PAGE_SIZE, W),
                lambda: space.handle_page_fault(BASE, W),
                lambda: space.map_alloc(BASE + 64 * PAGE_SIZE, PAGE_SIZE, R),
                lambda: space.unmap(BASE, PAGE_SIZE),
                lambda: space.protect(BASE, PAGE_SIZE, R),
                lambda: space.clear(),
                lambda: check_region(space, BASE, Layout(4), R),
                lambda: AddrSpace(0, PAGE_SIZE, phys),
                lambda: PageTable(phys),
            ):
                refuses(call)
        in_child(child)
        assert p.read_slice(space, 6) == b"parent"
        space._check()
        phys._check()
    """,
    "a space that dies in the child gives nothing back to the parent's books": """
        def child():
            global space
            del space
            gc.collect()
        view = p.get_as_slice(space, 6)
        in_child(child)
        assert (phys.data_frames, phys.pinned_frames) == (1, 1)
        assert bytes(view) == b"parent"
        other = phys.alloc()
        phys.write(other, b"x" * PAGE_SIZE)
        assert p.read_slice(space, 6) == b"parent"
        phys._check()
    """,
    "a live view is the child's own copy": """
        view = p.get_as_slice(space, 6)
        live = UserPtr[u32](BASE + 8).get(space)
        def child():
            assert bytes(view) == b"parent"
            view[:] = b"child!"
            live.value = 7
            assert bytes(view) == b"child!"
        in_child(child)
        assert bytes(view) == b"parent"
        assert (p.read_slice(space, 6), live.value) == (b"parent", 0)
        p.write_slice(space, b"later!")
        assert bytes(view) == b"later!"
    """,
    "a live view of scattered frames is the child's own copy": """
        for n in (2, 0, 3, 1):
            space.write(BASE + n * PAGE_SIZE + 100, b"x")
        view = p.get_as_slice(space, 4 * PAGE_SIZE)
        def child():
            view[:6] = b"child!"
            view[3 * PAGE_SIZE] = 9
        in_child(child)
        assert bytes(view[:6]) == b"parent"
        assert view[3 * PAGE_SIZE] == 0
    """,
    "a live view is of the moment of the fork, whatever the parent does next": """
        view, whole = p.get_as_slice(space, 6), p.get_as_slice(space, PAGE_SIZE)
        ready, go = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.read(ready, 1)
            good = bytes(view) == b"parent" and set(whole[6:]) == {0}
            view[:] = b"child!"
            os._exit(0 if good and bytes(whole[:6]) == b"child!" else 1)
        del view, whole
        space.write(BASE, b"later!")
        space.unmap(BASE, PAGE_SIZE)
        gc.collect()
        phys.write(phys.alloc(), b"another owner" * 100)
        os.write(go, b"x")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    """,
    "live views of scattered frames are of the moment of the fork, and agree in the child": """
        for n in (2, 0, 3, 1):
            space.write(BASE + n * PAGE_SIZE + 100, b"x")
        view, part = p.get_as_slice(space, 4 * PAGE_SIZE), p.get_as_slice(space, 6)
        ready, go = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.read(ready, 1)
            good = bytes(view[:6]) == b"parent" and all(view[n * PAGE_SIZE + 100] == ord("x") for n in range(4))
            view[:6] = b"child!"
            def grandchild():
                assert bytes(part) == bytes(view[:6]) == b"child!"
                part[:] = b"grand!"
                assert bytes(view[:6]) == b"grand!"
            good = good and bytes(part) == b"child!"
            in_child(grandchild)
            os._exit(0 if good and bytes(view[:6]) == bytes(part) == b"child!" else 1)
        view[:] = b"later!" + bytes(4 * PAGE_SIZE - 6)
        os.write(go, b"x")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert bytes(part) == b"later!"
    """,
    "views that are taken while a fork begins are copies too": LATE,
    "views that are taken while a fork begins are copies too, beside others": """
        view = p.get_as_slice(space, 6)
    """
    + LATE
    + """
        in_child(lambda: bytes(view) == b"parent" or os._exit(1))
    """,
    "a fork that finds no room for a copy of the views says so, and forks": """
        import errno, warnings
        view = p.get_as_slice(space, 6)
        if phys.fd < 0:
            sys.exit()  # the fork itself makes the copy
        def memfd_create(*args):
            raise OSError(errno.EMFILE, "Too many open files")
        os.memfd_create = memfd_create
        def child():
            view[:] = b"child!"
            assert bytes(view) == b"child!"
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", RuntimeWarning)
            in_child(child)
        assert ["no copy" in str(one.message) for one in said if one.category is RuntimeWarning] == [True], said
        assert bytes(view) == b"parent"
    """,
    "forks leave no descriptor behind": """
        def descriptors():
            return sorted(os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")
                          if os.path.exists(f"/proc/self/fd/{name}"))
        at_first = descriptors()
        view = p.get_as_slice(space, 6)
        def child():
            assert [name for name in descriptors() if "axptr" in name] == [n for n in at_first if "axptr" in n]
            in_child(lambda: None)
            assert [name for name in descriptors() if "axptr" in name] == [n for n in at_first if "axptr" in n]
        in_child(child)
        assert descriptors() == at_first
        del view
        in_child(child)
        assert descriptors() == at_first
    """,
    "the child gets a process-wide memory of its own": """
        mine = AddrSpace(0, 1 << 30)
        mine.map_alloc(BASE, PAGE_SIZE, R | W)
        mine.write(BASE, b"parent")
        def child():
            refuses(lambda: mine.read(BASE, 6))
            assert default_memory() is not mine.phys
            own = AddrSpace(0, 1 << 30)
            own.map_alloc(BASE, PAGE_SIZE, R | W)
            own.write(BASE, b"child!")
            assert own.read(BASE, 6) == b"child!"
            own._check()
        in_child(child)
        assert mine.read(BASE, 6) == b"parent"
    """,
    "a memory made in the child works and forks again": """
        def child():
            fresh = PhysMemory(1 << 30)
            own = AddrSpace(0x1000, 1 << 40, fresh)
            own.map_alloc(BASE, PAGE_SIZE, R | W)
            own.write(BASE, b"child!")
            in_child(lambda: refuses(lambda: own.read(BASE, 1)))
            assert own.read(BASE, 6) == b"child!"
        in_child(child)
    """,
    "clones, snapshots and shared memory refuse": """
        shared = SharedObject(phys, PAGE_SIZE)
        space.map_shared(BASE + 16 * PAGE_SIZE, PAGE_SIZE, R | W, shared)
        space.write(BASE + 16 * PAGE_SIZE, b"shared")
        snap = space.snapshot()
        empty = AddrSpace(0x1000, 1 << 40, phys)
        nothing = empty.snapshot()
        space.write(BASE, b"later!")
        def child():
            for call in (
                lambda: space.try_clone(),
                lambda: space.snapshot(),
                lambda: space.restore(snap),
                lambda: empty.restore(nothing),
                lambda: space.dirty_pages(),
                lambda: space.dirty_pages(clear=True),
                lambda: space.discard(BASE, PAGE_SIZE),
                lambda: space.move(BASE, PAGE_SIZE, BASE + 64 * PAGE_SIZE),
                lambda: space.set_clone_rule(BASE, PAGE_SIZE, "omit"),
                lambda: space.map_shared(BASE + 32 * PAGE_SIZE, PAGE_SIZE, R, shared),
                lambda: space.map_pager(BASE + 32 * PAGE_SIZE, PAGE_SIZE, R, lambda offset: b""),
                lambda: snap.read(BASE, 6),
                lambda: shared.store.poke(0, 0, b"child!"),
            ):
                refuses(call)
        in_child(child)
        assert space.read(BASE, 6) == b"later!"
        assert space.read(BASE + 16 * PAGE_SIZE, 6) == b"shared"
        space.restore(snap)
        assert space.read(BASE, 6) == b"parent"
        space._check()
        phys._check()
    """,
    "a fork while another thread takes a snapshot does not hang the child": """
        import threading
        over = threading.Event()
        snaps = []
        def work():
            while not over.is_set():
                snaps.append(space.snapshot())
                space.restore(snaps.pop())
        thread = threading.Thread(target=work)
        thread.start()
        def child():
            refuses(lambda: space.snapshot())
            refuses(lambda: space.try_clone())
            if snaps:
                refuses(lambda: space.restore(snaps[0]))
        for _ in range(5):
            in_child(child)
        over.set()
        thread.join()
    """,
    "no file is written by the child": """
        import tempfile
        from axptr.mm.filecache import FileCache
        file = tempfile.NamedTemporaryFile()
        file.write(b"f" * PAGE_SIZE)
        file.flush()
        fd = os.open(file.name, os.O_RDWR)
        space.map_file(BASE + 16 * PAGE_SIZE, PAGE_SIZE, R | W, fd, shared=True)
        UserPtr[char](BASE + 16 * PAGE_SIZE).write_slice(space, b"parent")
        cache = FileCache.of(phys, fd)
        def child():
            global space, cache
            for call in (
                lambda: space.sync(BASE, 32 * PAGE_SIZE),
                lambda: space.unmap(BASE, 32 * PAGE_SIZE),
                lambda: cache.sync(),
                lambda: cache.flush(),
                lambda: cache.write(fd, 0, b"child!"),
                lambda: cache.truncate(fd, 0),
                lambda: cache.reload(),
                lambda: space.map_file(BASE + 32 * PAGE_SIZE, PAGE_SIZE, R | W, fd, shared=True),
            ):
                refuses(call)
            del space, cache, call
            gc.collect()
        in_child(child)
        assert os.pread(fd, 6, 0) == b"ffffff"
        assert os.fstat(fd).st_size == PAGE_SIZE
        space.sync(BASE, 32 * PAGE_SIZE)
        assert os.pread(fd, 6, 0) == b"parent"
    """,
    "a fork while another thread holds the lock does not hang the child": """
        import threading
        big = AddrSpace(0x1000, 1 << 40, phys)
        big.map_alloc(BASE, 60000 * PAGE_SIZE, R | W)
        thread = threading.Thread(target=lambda: big.populate_area(BASE, 60000 * PAGE_SIZE, W))
        thread.start()
        for _ in range(3):
            in_child(lambda: refuses(lambda: phys.alloc()))
        thread.join()
        big._check()
    """,
}


@pytest.mark.parametrize("memory", ["file", "anonymous"])
@pytest.mark.parametrize("case", CASES)
def test_after_a_fork(case: str, memory: str) -> None:
    if memory == "anonymous" and "scattered" in case:
        pytest.skip("without a memory file there is no such view")
    script = PRELUDE + textwrap.dedent(CASES[case])
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-X", "faulthandler", "-c", script, memory],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
