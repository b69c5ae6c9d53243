"""FrameStore: seeded operations against a dict, with `_check()` after each; and what `_check()` would find."""

from __future__ import annotations

import gc
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from axptr import PAGE_SIZE, LinuxError, PhysMemory
from axptr._core.mm.frames import FrameStore

MakePhys = Callable[..., PhysMemory]
Pages = dict[int, bytes]


def shown(store: FrameStore) -> Pages:
    return {page: store.peek(page) or b"" for page in store.pages()}


def spread(rng: random.Random) -> int:
    """Numbers of pages that lie near each other, and such that fall on the same slots."""
    return rng.choice([rng.randrange(40), rng.randrange(40) << 17, 64 * rng.randrange(40), rng.randrange(1 << 40)])


@pytest.mark.parametrize("seed", range(4))
def test_memory_agrees_with_a_dict_of_pages(phys: PhysMemory, seed: int) -> None:
    rng = random.Random(seed)
    store = FrameStore(phys, None, "memory", 1 << 40)
    model: Pages = {}
    moment: tuple[FrameStore, int, Pages] | None = None
    for step in range(1500):
        page = spread(rng) if rng.random() < 0.6 or not model else rng.choice(list(model))
        what = rng.randrange(10)
        if what < 4:
            store.fill(page)
            model.setdefault(page, bytes(PAGE_SIZE))
        elif what < 8:
            at, data = rng.randrange(PAGE_SIZE - 8), rng.randbytes(8)
            assert store.poke(page, at, data) == (page in model)
            if page in model:
                model[page] = model[page][:at] + data + model[page][at + 8 :]
        elif what == 8 and rng.random() < 0.3:
            last = page + rng.choice([0, 30, 1 << 20])
            store.forget(page, last)
            model = {number: data for number, data in model.items() if not page <= number <= last}
            moment = None  # what was given up since is not there to be put back
        elif what == 9 and moment is None:
            moment = (*store.capture(), dict(model))
        elif what == 9 and moment is not None and rng.random() < 0.3:
            store.revert(moment[0], moment[1])
            model = {number: moment[2].get(number, bytes(PAGE_SIZE)) for number in model}
            assert shown(moment[0]) == moment[2]
        store._check()
        assert store.resident == len(model)
        if step % 50 == 0:
            assert shown(store) == model
            phys._check()
    assert shown(store) == model
    assert store.pages() == sorted(model)
    frames = store.frames()
    assert len(set(frames)) == len(frames) == len(model)
    assert all(phys.refcount(frame) == 1 for frame in frames)
    del store, moment
    gc.collect()
    assert phys.frames_in_use == 0


@pytest.mark.parametrize("seed", range(2))
def test_a_file_agrees_with_its_bytes(phys: PhysMemory, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    path = tmp_path / "file"
    path.write_bytes(rng.randbytes(20 * PAGE_SIZE + 100))
    fd = os.open(path, os.O_RDWR)
    store = FrameStore(phys, fd, "file")
    store.writable_through(fd)
    model: Pages = {}
    try:
        for _ in range(800):
            page, what = rng.randrange(24), rng.randrange(8)
            whole = path.read_bytes()
            if what < 3:
                there = page * PAGE_SIZE < len(whole)
                if there or page in model:
                    store.fill(page)
                    model.setdefault(page, whole[page * PAGE_SIZE :][:PAGE_SIZE].ljust(PAGE_SIZE, b"\0"))
                else:
                    with pytest.raises(LinuxError):
                        store.fill(page)
            elif what < 5:
                with path.open("r+b") as file:
                    file.seek(rng.randrange(len(whole)))
                    file.write(rng.randbytes(rng.randrange(1, 2 * PAGE_SIZE))[: len(whole) - file.tell()])
            elif what == 5:
                store.reload()
                whole = path.read_bytes()
                model = {
                    number: whole[number * PAGE_SIZE :][:PAGE_SIZE].ljust(PAGE_SIZE, b"\0")
                    for number in model
                    if number * PAGE_SIZE < len(whole)
                }
            elif what == 6:
                os.truncate(fd, rng.randrange(1, 22 * PAGE_SIZE))
            else:
                store.forget(page, page + 2)
                model = {number: data for number, data in model.items() if not page <= number <= page + 2}
            store._check()
            assert shown(store) == model
    finally:
        os.close(fd)
    del store
    gc.collect()
    assert phys.frames_in_use == 0


def test_a_frame_that_the_store_has_lost_is_found(phys: PhysMemory) -> None:
    store = FrameStore(phys, None, "memory", 8)
    store.fill(3)
    store._check()
    (frame,) = store.frames()
    phys.free(frame)
    with pytest.raises(AssertionError, match="is not the store's to show"):
        store._check()
    other = phys.alloc()
    assert other == frame  # back to the store, so that its end gives up what is its own
    store._check()
