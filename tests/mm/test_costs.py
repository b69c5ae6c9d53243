"""What things may cost in memory: reserved addresses are almost free, snapshots and clones cost page tables."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from axptr import PAGE_SIZE, AddrSpace, MappingFlags, PhysMemory

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x100000


def test_128_tib_in_one_area_cost_less_than_a_mebibyte() -> None:
    # [the whole lower half of x86-64], as the host sees this process: resident and private memory, before and after
    script = """
        from axptr import AddrSpace, MappingFlags, PhysMemory

        def resident():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * 4096

        flags = MappingFlags.READ | MappingFlags.WRITE
        phys = PhysMemory()
        warm = AddrSpace(0, 1 << 47, phys)
        warm.map_alloc(0, 4096, flags)
        str(warm), warm._repr_html_(), warm.try_clone(), warm.restore(warm.snapshot())
        before, frames = resident(), phys.frames_in_use
        space = AddrSpace(0, 1 << 47, phys)
        space.map_alloc(0, 1 << 47, flags)
        assert space.areas()[0].size == 128 << 40
        space.check_region_access(space.areas()[0].range, flags)
        twin, snap = space.try_clone(), space.snapshot()
        space.restore(snap)
        str(space), space._repr_html_()
        print(resident() - before, phys.frames_in_use - frames)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    memory, frames = map(int, done.stdout.split())
    assert memory < 1 << 20
    assert frames <= 3  # a root table each


def test_pages_at_the_ends_of_128_tib_cost_their_tables(phys: PhysMemory) -> None:
    space = AddrSpace(0, 1 << 47, phys)
    space.map_alloc(0, 1 << 47, R | W)
    space.write(0, b"x")
    space.write((1 << 47) - 1, b"x")
    assert (phys.data_frames, phys.table_frames) == (2, 1 + 2 * 3)


def test_a_clone_and_a_snapshot_cost_page_tables_and_what_is_written_later(phys: PhysMemory) -> None:
    space = AddrSpace(0x1000, 1 << 40, phys)
    space.map_alloc(BASE, 1024 * PAGE_SIZE, R | W, populate=True)
    data, tables = phys.data_frames, phys.table_frames
    twin, snap = space.try_clone(), space.snapshot()
    assert (phys.data_frames, phys.table_frames) == (data, 3 * tables)
    space.write(BASE, b"x")
    twin.write(BASE + PAGE_SIZE, b"x")
    assert phys.data_frames == data + 2
    space.restore(snap)
    assert phys.data_frames == data + 1
