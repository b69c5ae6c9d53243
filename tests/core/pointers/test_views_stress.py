"""Views under stress: threads take, use and drop them while others unmap, move, clone, restore and fork.

Who may show what: every space writes one byte value of its own, its *signature*, and shows nothing but zeros, its own
and what it inherited by being cloned. Freed frames are filled with 0xDB, which is nobody's. So a view that shows the
frame of another, or a freed one, gives itself away.

Bounded by counts, seeded; how threads meet differs from run to run, what they do does not.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from axptr import (
    PAGE_SIZE,
    AddrSpace,
    LinuxError,
    MappingFlags,
    PhysMemory,
    SharedObject,
    Snapshot,
    UserConstPtr,
    UserFault,
    UserPtr,
)
from threads import together

try:
    import numpy
except ImportError:
    numpy = None

R, W = MappingFlags.READ, MappingFlags.WRITE
POISON, SHARED, PAGED = 0xDB, 0xE1, 0xE2
BASE, LANE, PAGES = 0x100000, 0x400000, 12  # where private areas are, and the shared and paged ones above them
char, u8, u16, u32, u64 = ctypes.c_char, ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # of fork, since 3.12


class Wide(ctypes.Structure):
    _fields_ = [("a", u32), ("b", u8 * (2 * PAGE_SIZE)), ("c", u64)]


class Pair(ctypes.Structure):
    _fields_ = [("a", u16), ("b", u32)]


class Owner(NamedTuple):
    space: AddrSpace
    signature: int
    allowed: frozenset[int]
    snaps: list[Snapshot]


class Held(NamedTuple):
    """A view, as bytes that can be read and, unless const, written; and what it may show."""

    look: memoryview
    keep: Any
    writes: int | None
    allowed: frozenset[int]

    def check(self, when: str) -> None:
        seen = set(self.look.tobytes())
        assert seen <= self.allowed, f"{when}: a view shows {sorted(map(hex, seen - self.allowed))}, poison is 0xdb"

    def fill(self, chance: random.Random) -> None:
        if self.writes is not None and len(self.look):
            first = chance.randrange(len(self.look))
            last = chance.randrange(first, len(self.look)) + 1
            self.look[first:last] = bytes([self.writes]) * (last - first)


@pytest.fixture(autouse=True)
def threads_meet() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def fork_and(child: Callable[[], None]) -> Callable[[], None]:
    """Fork; the child waits until what is returned here is called, which also says how it went."""
    wait, go = os.pipe()
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        # Nothing here but views, bytes and descriptors: the locks of the other threads are held by nobody.
        try:
            os.close(go)
            os.read(wait, 1)
            child()
        except BaseException as error:
            os.write(tell, repr(error).encode()[:4000])
            os._exit(1)
        os._exit(0)
    os.close(wait)
    os.close(tell)

    def end() -> None:
        os.write(go, b"x")
        os.close(go)
        for _ in range(3000):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                break
            time.sleep(0.01)
        else:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise AssertionError("the forked child waits for ever")
        said = os.read(told, 4096).decode()
        os.close(told)
        assert os.waitstatus_to_exitcode(status) == 0, f"in the forked child: {said or status}"

    return end


class World:
    """Spaces over one memory, born, changed and dropped by several threads."""

    def __init__(self, phys: PhysMemory) -> None:
        self.shared = SharedObject(phys, PAGES * PAGE_SIZE)
        self.signatures = iter(n % 200 + 2 for n in range(1 << 30))  # none of 0, 0xDB, 0xE1, 0xE2
        root = AddrSpace(0x1000, 1 << 40, phys)
        root.map_alloc(BASE, PAGES * PAGE_SIZE, R | W)
        self.owners = [Owner(root, 1, frozenset({0, 1}), [])]
        self.fileless = phys.fd < 0
        self.views = 0

    def some(self, chance: random.Random) -> Owner:
        while True:
            with contextlib.suppress(IndexError):  # others drop some
                return self.owners[chance.randrange(len(self.owners))]

    # -- those who take views ------------------------------------------------------------------------------------

    def take(self, chance: random.Random) -> Held | None:
        """A view of a random kind, place and length, or None where the space refuses one."""
        owner = self.some(chance)
        lane = chance.choice((BASE, BASE, BASE, LANE, 2 * LANE))
        at = lane + chance.randrange(PAGES * PAGE_SIZE)
        room = lane + PAGES * PAGE_SIZE - at
        signature, allowed = owner.signature, owner.allowed
        if lane == LANE:
            signature, allowed = SHARED, frozenset({0, SHARED})
        elif lane == 2 * LANE:
            allowed = owner.allowed | {PAGED}
        try:
            match chance.randrange(9):
                case 0:
                    keep: Any = UserPtr[u64](at & -8).get(owner.space)
                case 1:
                    keep = UserPtr[Wide](at & -8).get(owner.space)
                case 2:
                    keep = UserPtr[char](at).get_as_slice(owner.space, chance.randrange(1, room + 1))
                case 3:
                    keep = UserPtr[u64](at & -8).get_as_slice(owner.space, chance.randrange(1, room // 8 + 2))
                case 4:
                    keep = UserPtr[Pair](at & -4).get_as_slice(owner.space, chance.randrange(1, room // 8 + 2))
                case 5:
                    keep = UserConstPtr[u32](at & -4).get_as_slice(owner.space, chance.randrange(1, room // 4 + 2))
                case 6:
                    keep = UserConstPtr[Pair](at & -4).get_as_slice(owner.space, chance.randrange(1, room // 8 + 2))
                case 7:
                    keep = UserPtr[u16](at & -2).get_as_null_terminated(owner.space)
                case _:
                    keep = UserPtr[u8](at).get_as_slice(owner.space, chance.randrange(1, min(room, 64) + 1))
        except UserFault:
            return None
        except BufferError:
            assert self.fileless, "views of scattered frames are refused only without a memory file"
            return None
        look = memoryview(keep).cast("B") if memoryview(keep).nbytes else memoryview(b"")
        return Held(look, keep, None if look.readonly else signature, allowed)

    def look(self, chance: random.Random, rounds: int, turn: Callable[[list[Held]], None] = lambda held: None) -> None:
        held: list[Held] = []
        for _ in range(rounds):
            view = self.take(chance)
            if view is not None:
                self.views += 1
                view.check("when taken")
                view.fill(chance)
                view.check("when written")
                held.append(view)
            for one in chance.sample(held, min(2, len(held))):
                one.check("later")
                one.fill(chance)
            while len(held) > chance.randrange(12):
                gone = held.pop(chance.randrange(len(held)))
                gone.check("at the end")
                if chance.randrange(2) and isinstance(gone.keep, memoryview):
                    gone.look.release()
                    gone.keep.release()
            turn(held)
        for one in held:
            one.check("after all")

    def look_numpy(self, chance: random.Random, rounds: int) -> None:
        """The same through numpy: arrays over views, and dtypes as T."""
        if numpy is None:
            return
        record = numpy.dtype([("a", "<u2"), ("b", "u1", (300,))])
        for _ in range(rounds):
            owner = self.some(chance)
            at = BASE + chance.randrange(PAGES * PAGE_SIZE)
            try:
                array = UserPtr.of(record)(at).get_as_slice(owner.space, chance.randrange(1, 60))
            except UserFault:
                continue
            except BufferError:
                assert self.fileless
                continue
            assert isinstance(array, numpy.ndarray)
            flat = array.view(numpy.uint8)
            assert set(numpy.unique(flat).tolist()) <= owner.allowed
            flat[chance.randrange(len(flat)) :] = owner.signature
            assert set(numpy.unique(flat).tolist()) <= owner.allowed
            view = self.take(chance)
            if view is not None and len(view.look):
                other = numpy.frombuffer(view.look, dtype=numpy.uint8)
                allowed = view.allowed
                del view
                assert set(numpy.unique(other).tolist()) <= allowed

    # -- those who take memory away ---------------------------------------------------------------------------------

    def move(self, chance: random.Random, rounds: int) -> None:
        for _ in range(rounds):
            owner = self.some(chance)
            space = owner.space
            first = chance.randrange(PAGES)
            start, size = BASE + first * PAGE_SIZE, chance.randrange(1, PAGES - first + 1) * PAGE_SIZE
            with contextlib.suppress(LinuxError):  # holes, and what another thread did first
                match chance.randrange(11):
                    case 0 | 1:
                        space.map_alloc(start, size, R | W, replace=True)
                    case 2:
                        space.unmap(start, size)
                    case 3:
                        space.protect(start, size, chance.choice((R, R | W, R | W, MappingFlags(0))))
                    case 4:
                        space.discard(start, size)
                    case 5:
                        for n in chance.sample(range(PAGES), PAGES):  # so that frames lie in no order
                            space.populate_area(BASE + n * PAGE_SIZE, PAGE_SIZE, chance.choice((R, W)))
                    case 6:
                        space.move(start, PAGE_SIZE, BASE + chance.randrange(PAGES) * PAGE_SIZE)
                    case 7 | 8:
                        space.write(start, bytes([owner.signature]) * size)
                    case 9:
                        space.map_shared(LANE, PAGES * PAGE_SIZE, R | W, self.shared, replace=True)
                        if chance.randrange(2):
                            space.unmap(LANE + first * PAGE_SIZE, size)
                    case 10:
                        space.map_pager(2 * LANE, PAGES * PAGE_SIZE, R | W, _paged, replace=True)
                        space.dirty_pages(clear=True)

    def remember(self, chance: random.Random, rounds: int) -> None:
        """Clones, snapshots and restores; spaces that die."""
        for _ in range(rounds):
            owner = self.some(chance)
            match chance.randrange(5):
                case 0:
                    signature = next(self.signatures)
                    twin = owner.space.try_clone()
                    UserPtr[char](BASE + chance.randrange(PAGES) * PAGE_SIZE).copy_out(twin, bytes([signature]) * 5000)
                    self.owners.append(Owner(twin, signature, owner.allowed | {signature, PAGED}, []))
                case 1:
                    owner.snaps.append(owner.space.snapshot())
                case 2 | 3:
                    with contextlib.suppress(IndexError):
                        owner.space.restore(chance.choice(owner.snaps))
                case 4:
                    with contextlib.suppress(IndexError):
                        owner.snaps.pop(chance.randrange(4))
            while len(self.owners) > 4:
                with contextlib.suppress(IndexError):
                    self.owners.pop(chance.randrange(1, len(self.owners)))
            owner.space._check()

    def fork(self, chance: random.Random, rounds: int, every: int) -> None:
        """Takes views as the others do, and forks now and then: the child's must be of the moment of the fork."""
        turns = iter(range(1 << 30))

        def turn(held: list[Held]) -> None:
            if next(turns) % every or not held:
                return
            before = [one.look.tobytes() for one in held]

            def child() -> None:
                for one in held:
                    one.check("in the forked child")
                    one.fill(random.Random(0))
                    one.check("written by the forked child")

            end = fork_and(child)
            for one, was in zip(held, before, strict=True):
                one.check("in the parent")
                assert len(one.look) == len(was)
            held.clear()
            self.move(chance, 10)
            end()

        self.look(chance, rounds, turn)


def _paged(offset: int) -> bytes:
    return bytes([PAGED]) * PAGE_SIZE


def stress(phys: PhysMemory, seed: int, rounds: int, forks: int) -> None:
    world = World(phys)
    chances = [random.Random(seed * 100 + n) for n in range(7)]
    together(
        lambda: world.look(chances[0], rounds),
        lambda: world.look(chances[1], rounds),
        lambda: world.look_numpy(chances[2], rounds // 2),
        lambda: world.move(chances[3], rounds),
        lambda: world.move(chances[4], rounds),
        lambda: world.remember(chances[5], rounds // 2),
        lambda: world.fork(chances[6], rounds // 4, max(1, rounds // 4 // forks)),
        patience=600,
    )
    assert world.views > rounds // 4, "hardly a view was taken: this shows nothing"
    for owner in world.owners:
        owner.space._check()
    phys._check()


@pytest.mark.parametrize("seed", range(3))
def test_views_of_changing_spaces_show_nobody_elses_bytes(phys: PhysMemory, seed: int) -> None:
    stress(phys, seed, 1500, 12)


def test_views_over_memory_without_a_file_show_nobody_elses_bytes(
    make_phys: Callable[..., PhysMemory], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    stress(make_phys(), 7, 1000, 8)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(100, 110))
def test_views_of_changing_spaces_show_nobody_elses_bytes_for_long(phys: PhysMemory, seed: int) -> None:
    stress(phys, seed, 6000, 60)


# -- what a view writes is what the space has ----------------------------------------------------------------------


def lane(space: AddrSpace, at: int, chance: random.Random, rounds: int, forks: int) -> None:
    """Four pages that only this thread changes: view, pointers and a plain copy of the bytes agree after each step."""
    size = 4 * PAGE_SIZE
    away = at + 16 * PAGE_SIZE
    for round in range(rounds):
        space.map_alloc(at, size, R | W)
        for n in chance.sample(range(4), 4):  # frames in any order
            space.write(at + n * PAGE_SIZE, chance.randbytes(8))
        has = bytearray(space.read(at, size))
        view = UserPtr[u8](at).get_as_slice(space, size)
        const = UserConstPtr[u64](at + PAGE_SIZE - 64).get_as_slice(space, 600)
        place, live = at, True  # where the pages are, and whether the space still shows the frames of the view
        for _ in range(12):
            offset = chance.randrange(size - 200)
            data = chance.randbytes(chance.randrange(1, 200))
            match chance.randrange(6):
                case 0 | 1:
                    view[offset : offset + len(data)] = data
                    has[offset : offset + len(data)] = data
                case 2 if live:
                    UserPtr[char](place + offset).write_slice(space, data)
                    has[offset : offset + len(data)] = data
                case 3 if live:
                    to = away if place == at else at
                    space.move(place, size, to)
                    place = to
                case 4 if live and chance.randrange(3) == 0:
                    if chance.randrange(2):
                        space.unmap(place, size)
                        space.map_alloc(place, size, R | W)
                    else:
                        space.discard(place, size)
                    assert space.read(place, size) == bytes(size)
                    live = False
                case 5:
                    space.protect(place, size, R)
                    space.protect(place, size, R | W)
            assert view.tobytes() == has
            assert const.tobytes() == has[PAGE_SIZE - 64 : PAGE_SIZE - 64 + 4800]
            if live:
                assert space.read(place, size) == has
                assert UserConstPtr[char](place + offset).read_slice(space, 200) == has[offset : offset + 200]
        if round % max(1, rounds // forks) == 0:
            was = bytes(has)

            def child(view: Any = view, const: Any = const, was: bytes = was) -> None:
                assert view.tobytes() == was, "the child's view is not of the moment of the fork"
                view[:] = bytes(size)
                assert not any(view.tobytes())
                assert not any(const.tobytes()), "two views in the child do not show the same"

            end = fork_and(child)
            view[:4] = has[:4] = b"more"
            space.unmap(place, size)
            assert view.tobytes() == has
            del view, const
            end()
        else:
            space.unmap(place, size)
            assert view.tobytes() == has


def watch(space: AddrSpace, lanes: list[int], chance: random.Random, over: threading.Event) -> None:
    """Clones and snapshots come and go; what is written into a clone is seen by nobody else."""
    while not over.is_set():
        snap = space.snapshot()
        twin = space.try_clone()
        for at in lanes:
            UserPtr[char](at + 100).copy_out(twin, b"\xcc" * 9000)
            with contextlib.suppress(UserFault):
                UserPtr[u8](at).get_as_slice(twin, 3 * PAGE_SIZE)[:] = b"\xcd" * 3 * PAGE_SIZE
        space.dirty_pages(clear=bool(chance.randrange(2)))
        twin.restore(snap)
        twin._check()
        space._check()


def lanes(phys: PhysMemory, seed: int, rounds: int, forks: int) -> None:
    space = AddrSpace(0x1000, 1 << 40, phys)
    starts = [BASE + n * 64 * PAGE_SIZE for n in range(3)]
    over = threading.Event()
    left = [0]

    def owner(n: int) -> Callable[[], None]:
        def work() -> None:
            try:
                lane(space, starts[n], random.Random(seed * 10 + n), rounds, forks if n == 0 else 1)
            finally:
                left.append(n)
                if len(left) == 4:
                    over.set()

        return work

    together(*(owner(n) for n in range(3)), lambda: watch(space, starts, random.Random(seed), over), patience=600)
    assert phys.pinned_frames == 0
    space._check()


@pytest.mark.parametrize("seed", range(2))
def test_a_view_and_the_space_agree_while_clones_snapshots_and_forks_come_and_go(phys: PhysMemory, seed: int) -> None:
    lanes(phys, seed, 200, 20)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(100, 104))
def test_a_view_and_the_space_agree_for_long(phys: PhysMemory, seed: int) -> None:
    lanes(phys, seed, 800, 60)
