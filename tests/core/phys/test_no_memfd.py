"""A host without memory files: everything works on anonymous memory, but views of scattered frames say why not."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from axptr import PAGE_SIZE, AddrSpace, LinuxError, MappingFlags, PhysMemory, SharedObject, UserConstPtr, UserPtr

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x100000
char, u32, u64 = ctypes.c_char, ctypes.c_uint32, ctypes.c_uint64
MakePhys = Callable[..., PhysMemory]


def refusing(number: int) -> Callable[..., int]:
    def memfd_create(name: str, flags: int = 0) -> int:
        raise OSError(number, os.strerror(number))

    return memfd_create


@pytest.fixture
def anonymous(monkeypatch: pytest.MonkeyPatch, make_phys: MakePhys) -> PhysMemory:
    monkeypatch.setattr(os, "memfd_create", refusing(errno.ENOSYS))
    return make_phys(256 << 20)


@pytest.fixture
def bare(anonymous: PhysMemory, request: pytest.FixtureRequest) -> Iterator[AddrSpace]:
    """A space over memory that has no file, eight pages mapped."""
    space = AddrSpace(0x1000, 1 << 40, anonymous)
    space.map_alloc(BASE, 8 * PAGE_SIZE, R | W)
    yield space
    space._check()
    request.node.funcargs.clear()  # pytest would keep it beyond the count of frames


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM, errno.EACCES], ids=os.strerror)
def test_a_host_that_refuses_memory_files_gives_anonymous_memory(
    number: int, monkeypatch: pytest.MonkeyPatch, make_phys: MakePhys
) -> None:
    monkeypatch.setattr(os, "memfd_create", refusing(number))
    phys = make_phys(64 << 30)
    assert phys.fd == -1
    frame = phys.alloc()
    phys.write(frame, b"there")
    assert phys.read(frame, 6) == b"there\0"
    phys.free(frame)


def test_a_python_without_the_call_gives_anonymous_memory(monkeypatch: pytest.MonkeyPatch, make_phys: MakePhys) -> None:
    monkeypatch.delattr(os, "memfd_create")
    assert make_phys().fd == -1


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM], ids=os.strerror)
def test_a_host_that_only_has_no_room_now_is_enomem(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "memfd_create", refusing(number))
    with pytest.raises(LinuxError) as caught:
        PhysMemory(1 << 30)
    assert caught.value.errno == errno.ENOMEM


def scatter(space: AddrSpace) -> None:
    for n in (1, 3, 5, 7, 0, 2, 4, 6):
        space.write(BASE + n * PAGE_SIZE, b"%d" % n)


def test_a_view_of_scattered_frames_is_a_buffer_error_that_says_why(bare: AddrSpace) -> None:
    scatter(bare)
    big = u32 * 2048
    for verb in (
        lambda: UserPtr[char](BASE + 10).get_as_slice(bare, 2 * PAGE_SIZE),
        lambda: UserConstPtr[u64](BASE).get_as_slice(bare, 1024),
        lambda: UserConstPtr[char](BASE + PAGE_SIZE).get_as_slice(bare, PAGE_SIZE + 1),
        lambda: UserPtr[big](BASE).get(bare),
        lambda: UserPtr[u32 * 4](BASE + PAGE_SIZE - 16).get_as_slice(bare, 2),
    ):
        with pytest.raises(BufferError, match=r"side by side.*memfd_create.*copying verbs"):
            verb()
    bare.write(BASE + PAGE_SIZE - 2, b"xy")
    bare.write(BASE + PAGE_SIZE, b"z\0")
    with pytest.raises(BufferError, match="memfd_create"):
        UserPtr[char](BASE + PAGE_SIZE - 2).get_as_null_terminated(bare)
    assert bare.phys.pinned_frames == 0
    assert UserConstPtr[char](BASE + PAGE_SIZE - 2).read_slice(bare, 3) == b"xyz"  # the copying verbs do it
    bare._check()


def test_views_of_one_page_and_of_frames_side_by_side_are_live(bare: AddrSpace) -> None:
    for n in range(8):  # the first brings tables in too; the frames of the rest lie side by side
        bare.write(BASE + n * PAGE_SIZE, b"%d" % n)
    view = UserPtr[char](BASE + PAGE_SIZE).get_as_slice(bare, 7 * PAGE_SIZE)
    view[PAGE_SIZE - 2 : PAGE_SIZE + 2] = b"live"
    assert bare.read(BASE + 2 * PAGE_SIZE - 2, 4) == b"live"
    bare.write(BASE + 7 * PAGE_SIZE, b"after")
    assert bytes(view[6 * PAGE_SIZE : 6 * PAGE_SIZE + 5]) == b"after"
    scalar = UserPtr[u32](BASE + 8).get(bare)
    scalar.value = 7
    assert UserPtr[u32](BASE + 8).read(bare) == 7
    bare.unmap(BASE, 8 * PAGE_SIZE)
    assert bytes(view[PAGE_SIZE - 2 : PAGE_SIZE + 2]) == b"live"
    assert bare.phys.data_frames == 8


def test_clones_snapshots_and_shared_memory_are_as_ever(bare: AddrSpace) -> None:
    shared = SharedObject(bare.phys, 2 * PAGE_SIZE)
    bare.map_shared(2 * BASE, 2 * PAGE_SIZE, R | W, shared)
    scatter(bare)
    snap = bare.snapshot()
    clone = bare.try_clone()
    clone.write(BASE, b"clone")
    clone.write(2 * BASE, b"both")
    assert bare.read(BASE, 5) == b"0\0\0\0\0"
    assert bare.read(2 * BASE, 4) == b"both"
    bare.write(BASE, b"later")
    bare.unmap(BASE + PAGE_SIZE, PAGE_SIZE)
    bare.restore(snap)
    assert bare.read(BASE, 5) == b"0\0\0\0\0"
    assert [bare.read(BASE + n * PAGE_SIZE, 1) for n in range(8)] == [b"%d" % n for n in range(8)]
    assert bare.read(2 * BASE, 4) == bytes(4)
    bare._check()
    clone._check()


def resident(address: int) -> int:
    """KiB of this process's memory in the mapping around a host address."""
    with open("/proc/self/smaps") as file:
        inside = False
        for line in file:
            if found := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
                inside = int(found[1], 16) <= address < int(found[2], 16)
            elif inside and line.startswith("Rss:"):
                return int(line.split()[1])
    raise AssertionError(f"{address:#x} is in no mapping")


def test_freed_frames_go_back_to_the_host_and_come_again_as_zeros(anonymous: PhysMemory) -> None:
    pages = 20000  # more than a memory keeps to use again
    space = AddrSpace(0x1000, 1 << 40, anonymous)
    space.map_alloc(BASE, pages * PAGE_SIZE, R | W)
    space.populate_area(BASE, pages * PAGE_SIZE, W)
    place = ctypes.addressof(UserPtr[u32](BASE).get(space))
    full = resident(place)
    assert full >= pages * 4
    space.unmap(BASE, pages * PAGE_SIZE)
    assert resident(place) < full - 30000
    space.map_alloc(BASE, pages * PAGE_SIZE, R | W)
    for n in range(pages):
        assert space.read(BASE + n * PAGE_SIZE, PAGE_SIZE) == bytes(PAGE_SIZE)


FORBID = """
import ctypes, os, platform, struct, sys
# A filter of seccomp(2) as a sandbox has it: EPERM for memfd_create, all else as ever.
number = {"x86_64": 319, "aarch64": 279}[platform.machine()]
code = b"".join(
    struct.pack("HBBI", *one)
    for one in ((0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x50000 | 1), (0x06, 0, 0, 0x7FFF0000))
)
buffer = ctypes.create_string_buffer(code, len(code))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 4, ctypes.addressof(buffer)))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
    sys.exit(77)
try:
    os.memfd_create("no")
except PermissionError:
    pass
else:
    sys.exit(77)
"""


def sandboxed(script: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", FORBID + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode == 77:
        pytest.skip("this host has no seccomp(2)")
    return done


def test_in_a_sandbox_that_forbids_the_call_spaces_work() -> None:
    done = sandboxed("""
        from axptr import *
        R, W = MappingFlags.READ, MappingFlags.WRITE
        space = AddrSpace(0x1000, 1 << 40)
        space.map_alloc(0x10000, 0x4000, R | W)
        space.write(0x12000, b"second")
        UserPtr[ctypes.c_uint32](0x10000).write(space, 7)
        print(space.phys.fd, UserPtr[ctypes.c_uint32](0x10000).read(space))
        try:
            UserPtr[ctypes.c_char](0x10000).get_as_slice(space, 0x4000)
        except BufferError as error:
            print(error)
    """)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("-1 7\n")
    assert "memfd_create" in done.stdout


def test_in_a_sandbox_that_forbids_the_call_programs_run() -> None:
    pytest.importorskip("unicorn", reason="programs need the Unicorn library")
    done = sandboxed("""
        from axptr.cli.main import main
        sys.argv = ["axptr", "run", "--", "/bin/sh", "-c", "echo $((6 * 7)); exec /bin/echo child"]
        sys.exit(main())
    """)
    assert (done.returncode, done.stdout) == (0, "42\nchild\n"), done.stderr


def test_without_the_fallback_there_would_be_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    # What the tests above rely on: the call that they forbid is the one that memories are made with.
    asked: list[Any] = []
    real = os.memfd_create

    def memfd_create(*args: Any) -> int:
        asked.append(args)
        return real(*args)

    monkeypatch.setattr(os, "memfd_create", memfd_create)
    assert PhysMemory(1 << 30).fd >= 0
    assert len(asked) == 1
