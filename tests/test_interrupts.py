"""What a signal's handler raises between two steps leaves nothing taken: lock, mark, page in flight, engine.

The interpreter runs handlers where a function begins and where a call into C has ended. So each test goes through a
call again and again, and each time the exception comes at the next such place, until it comes no more.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from axptr import AddrSpace, Locked, MappingFlags, PhysMemory, UserPtr, is_accessing_user_memory
from axptr.mm.filecache import FileCache

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x10000
text = UserPtr[ctypes.c_char](BASE)


class Interrupted(BaseException):
    pass


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    """A finalizer of other tests' objects would swallow what is raised."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def interrupted_everywhere(call: Callable[[], object], after: Callable[[], object] = lambda: None) -> int:
    """Run `call` with an exception at the first place, the second, and so on until it ends by itself; how many.

    after: what must work, or hold, behind each.
    """
    for moment in range(10_000):
        left = moment

        def look(frame: Any, event: str, argument: Any) -> None:
            nonlocal left
            if event in ("call", "c_return") and frame.f_globals.get("__name__", "").startswith(("axptr", "threading")):
                left -= 1
                if left < 0:
                    sys.setprofile(None)
                    raise Interrupted

        sys.setprofile(look)
        try:
            call()
        except Interrupted:
            pass
        else:
            return moment
        finally:
            sys.setprofile(None)
        assert not is_accessing_user_memory(), moment
        after()
    raise AssertionError("it never ends")


def is_free(space: AddrSpace) -> bool:
    """Whether another thread gets the space's lock."""
    done = []
    other = threading.Thread(target=lambda: done.append(space.areas()), daemon=True)
    other.start()
    other.join(5)
    return bool(done)


@pytest.fixture
def own() -> AddrSpace:
    space = AddrSpace(0x1000, 1 << 30, PhysMemory(1 << 26))
    space.map_alloc(BASE, 0x4000, R | W)
    space.write(BASE, b"text\0")
    return space


def test_verbs_take_their_mark_and_their_locks_back(own: AddrSpace) -> None:
    shared = Locked(own)
    for verb in (
        lambda: text.copy_in(shared, bytearray(8)),
        lambda: text.write_slice(shared, b"text\0"),
        lambda: text.get_as_str(shared),
        lambda: text.read_cstr(Locked(shared)),
    ):
        assert interrupted_everywhere(verb) > 3
        other = threading.Thread(target=lambda: text.read(shared), daemon=True)
        other.start()
        other.join(5)
        assert not other.is_alive()


# In a finalizer nobody hears of it.
@pytest.mark.filterwarnings("ignore:.*(Epoch|Snapshot).__del__:pytest.PytestUnraisableExceptionWarning")
def test_snapshots_and_files_give_the_lock_back(own: AddrSpace, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(0x3000))
    with path.open("r+b") as file:
        cache = FileCache.of(own.phys, file.fileno())
        own.map_file(0x100000, 0x3000, R | W, file, shared=True)
        snap = own.snapshot()

        def after() -> None:
            assert is_free(own)

        def restore() -> None:
            own.write(BASE, b"other")
            own.restore(snap)

        def sync() -> None:
            UserPtr[ctypes.c_char](0x100000).write(own, b"x")
            cache.sync()

        for call in (
            own.snapshot,
            restore,
            sync,
            lambda: cache.write(file.fileno(), 5, b"bytes"),
            lambda: cache.truncate(file.fileno(), 0x2800),
            own.format_svg,
        ):
            assert interrupted_everywhere(call, after) > 0
    own._check()
    own.phys._check()


def test_a_page_whose_pager_was_interrupted_is_supplied_at_the_next_touch(own: AddrSpace) -> None:
    own.map_pager(0x100000, 0x1000, R, lambda offset: b"page")
    pointer = UserPtr[ctypes.c_char](0x100000)

    def touch() -> None:
        own.map_pager(0x100000, 0x1000, R, lambda offset: b"page", replace=True)
        assert pointer.read_slice(own, 4) == b"page"

    def after() -> None:
        got: list[bytes] = []
        other = threading.Thread(target=lambda: got.append(pointer.read_slice(own, 4)), daemon=True)
        other.start()
        other.join(5)
        assert got == [b"page"]

    assert interrupted_everywhere(touch, after) > 3


def test_an_engine_that_was_interrupted_before_its_guest_ran_can_run(own: AddrSpace) -> None:
    pytest.importorskip("unicorn")
    from axptr import UnicornEngine

    own.map_alloc(0x100000, 0x1000, R | MappingFlags.EXECUTE)
    own.write(0x100000, bytes.fromhex("0f05"))  # syscall
    engine = UnicornEngine(own.phys)
    engine.attach(own)
    engine.on_syscall(lambda *_: engine.stop())

    def run() -> None:
        engine.regs.rip = 0x100000
        assert engine.run().kind == "stopped"

    assert interrupted_everywhere(run, run) > 1


def test_a_space_that_dies_while_a_signal_comes_keeps_no_backend(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(0x3000))
    memory = PhysMemory(1 << 26)
    unraisable: list[Any] = []
    hook, sys.unraisablehook = sys.unraisablehook, unraisable.append
    kept = []
    try:
        for moment in range(100):
            space = AddrSpace(0x1000, 1 << 30, memory)
            with path.open("r+b") as file:
                space.map_file(0x100000, 0x3000, R | W, file, shared=True)
            UserPtr[ctypes.c_char](0x100000).write(space, b"x")
            kept.append(weakref.ref(space.areas()[0].backend))
            left = moment

            def look(frame: Any, event: str, argument: Any) -> None:
                nonlocal left
                if event in ("call", "c_return") and frame.f_globals.get("__name__", "").startswith("axptr"):
                    left -= 1
                    if left < 0:
                        sys.setprofile(None)
                        raise Interrupted

            before = len(unraisable)
            sys.setprofile(look)
            del space
            sys.setprofile(None)
            if len(unraisable) == before:
                break
    finally:
        sys.setprofile(None)
        sys.unraisablehook = hook
    unraisable.clear()
    gc.collect()
    assert len(kept) > 3
    assert [each for each in kept if each() is not None] == []
    memory._check()
