"""The table of calls as a whole, and the way the personality reaches user memory."""

from __future__ import annotations

import errno
import importlib
import os
import pkgutil
import re
import shutil
import subprocess
import sys

import pytest

import axptr.linux
from axptr._core.phys.phys import PhysMemory
from axptr._core.pointers.iovec import IoVec
from axptr.addr import PAGE_SIZE
from axptr.errors import LinuxError, UserFault
from axptr.flags import MappingFlags
from axptr.kernel.abi import c_ulong
from axptr.linux import registry
from axptr.linux.abi import numbers
from axptr.linux.abi.numbers import name_of
from axptr.linux.personality import LinuxKernel
from axptr.linux.registry import HANDLERS, HOMES, call, table
from axptr.linux.uaccess import MAX_RW_COUNT, USER_END, ConstBytes, UserIter, access_ok, import_iovec
from axptr.mm.space import AddrSpace

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x10_0000


@pytest.fixture
def space():
    made = AddrSpace(0, 1 << 47, PhysMemory(1 << 26))
    made.map_alloc(BASE, 2 * PAGE_SIZE, R | W)
    made.map_alloc(BASE + 2 * PAGE_SIZE, PAGE_SIZE, R)
    yield made
    made.clear()


def test_every_handler_can_be_filled_from_registers():
    for entry in table("x86_64").values():
        assert entry.params is not None
        assert callable(entry.call)


def test_kernels_share_the_table_but_not_their_changes():
    one, two = LinuxKernel(), LinuxKernel()

    @one.syscall(0, "read")
    def sys_read(task) -> int:
        return 0

    assert one.syscalls[0] is not two.syscalls[0]
    assert two.syscalls[0] is table("x86_64")[0]


def test_a_call_is_entered_once_and_by_a_name_that_has_a_number():
    assert table("x86_64")[0].handler.__name__ == "sys_read"
    with pytest.raises(ValueError, match="twice"):
        call("read")(lambda task: 0)
    with pytest.raises(ValueError, match="no architecture"):
        call("reed")


def test_the_table_says_in_which_file_each_call_is():
    for module in pkgutil.walk_packages(axptr.linux.__path__, "axptr.linux."):
        importlib.import_module(module.name)
    assert {name: handler.__module__ for name, handler in HANDLERS.items()} == HOMES
    assert {entry.name for entry in table("x86_64").values()} == set(HOMES)
    with pytest.raises(ValueError, match="FAMILIES"):
        call("vserver")(lambda task: 0)


def test_a_handler_is_loaded_when_its_call_is_made_or_looked_at():
    script = """
import sys
from axptr.linux.personality import LinuxKernel
kernel = LinuxKernel()
assert "axptr.linux.calls.network" not in sys.modules
assert kernel.syscalls[41].name == "socket" and "axptr.linux.calls.network" not in sys.modules
assert [p.name for p in kernel.syscalls[41].params] == ["family", "kind", "protocol"]
assert "axptr.linux.calls.network" in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_calls_have_their_names_whether_they_are_served_or_not():
    kernel = LinuxKernel()
    assert [kernel.name_of(nr) for nr in (0, 56, 57, 435, 1000)] == ["read", "clone", "fork", "clone3", "syscall_1000"]
    for nr, entry in table("x86_64").items():
        assert kernel.name_of(nr) == entry.name == name_of(nr)

    @kernel.syscall(56, "mine")
    def sys_mine(task) -> int:
        return 0

    assert kernel.name_of(56) == "mine"


@pytest.mark.parametrize(
    ("address", "size", "ok"),
    [
        (0, 0, True),
        (0, USER_END, True),
        (0, USER_END + 1, False),
        (USER_END, 0, True),
        (USER_END, 1, False),
        (USER_END - 1, 1, True),
        (1, (1 << 64) - 1, False),
        ((1 << 64) - 1, 0, False),
        ((1 << 64) - 1, 1, False),
    ],
)
def test_access_ok_looks_at_the_end_only_and_never_wraps(address, size, ok):
    assert access_ok(address, size) is ok


class _Provider:
    def __init__(self, space: AddrSpace) -> None:
        self.space = space

    def with_addr_space(self, f):
        return f(self.space)


def iter_over(space, *segments):
    return UserIter(_Provider(space), IoVec(segments))


def test_a_transfer_stops_at_the_first_bad_byte_and_stays_there(space):
    it = iter_over(space, (BASE + 2 * PAGE_SIZE - 3, 10))
    assert it.copy_out(b"abcdefghij") == 3
    assert it.count == 7
    assert it.copy_out(b"defghij") == 0
    fault = it.fault(W)
    assert isinstance(fault, UserFault)
    assert (fault.address, fault.completed) == (BASE + 2 * PAGE_SIZE, 3)
    assert space.read(BASE + 2 * PAGE_SIZE - 3, 3) == b"abc"


def test_segments_are_one_stream_and_empty_ones_are_skipped(space):
    it = iter_over(space, (BASE, 2), (0, 0), (BASE + 100, 3), (BASE + 200, 4))
    assert it.count == 9
    assert it.copy_out(b"abcd") == 4
    assert it.copy_out(b"efghi") == 5
    assert it.count == 0
    assert (space.read(BASE, 2), space.read(BASE + 100, 3), space.read(BASE + 200, 4)) == (b"ab", b"cde", b"fghi")
    back = iter_over(space, (BASE, 2), (BASE + 100, 3), (BASE + 200, 4))
    buffer = bytearray(9)
    assert back.copy_in(buffer) == 9
    assert buffer == b"abcdefghi"


def test_good_counts_over_segments_up_to_the_first_hole(space):
    it = iter_over(space, (BASE, 10), (BASE + 2 * PAGE_SIZE - 5, 10), (BASE, 10))
    assert it.good(W, 100) == 15
    assert it.good(R, 100) == 30
    assert it.good(W, 12) == 12


def test_an_iovec_is_checked_as_linux_does(space):
    provider = _Provider(space)

    def vector(*entries: tuple[int, int]) -> ConstBytes:
        words = b"".join(base.to_bytes(8, "little") + size.to_bytes(8, "little") for base, size in entries)
        space.write(BASE, words)
        return ConstBytes(BASE)

    def imported(*entries):
        return import_iovec(provider, vector(*entries), len(entries), R)

    assert list(imported((1, 2), (3, 4))) == [(1, 2), (3, 4)]
    assert list(imported((0, MAX_RW_COUNT), (0, 10))) == [(0, MAX_RW_COUNT), (0, 0)]
    assert list(imported((0, 1 << 40))) == [(0, MAX_RW_COUNT)]
    for entries, code in [
        (((0, 1 << 63),), errno.EINVAL),
        (((0, 1), (0, (1 << 64) - 1)), errno.EINVAL),
        (((USER_END, 1),), errno.EFAULT),
        (((0, 1), ((1 << 64) - 1, 1)), errno.EFAULT),
    ]:
        with pytest.raises(LinuxError) as caught:
            imported(*entries)
        assert caught.value.errno == code
    with pytest.raises(LinuxError) as caught:
        import_iovec(provider, ConstBytes(BASE), 1025, R)
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(UserFault):
        import_iovec(provider, ConstBytes(BASE + 3 * PAGE_SIZE - 8), 1, R)
    assert list(import_iovec(provider, ConstBytes(0), 0, R)) == []


# -- other architectures


@pytest.fixture
def toy(monkeypatch):
    """An architecture with three calls: what differs is entered for it alone, in this file."""
    here = f"{__name__}"
    monkeypatch.setitem(numbers.NUMBERS, "toy", {"getpid": 1, "clone": 2, "arch_toy": 3})
    for key in ("clone", "clone@toy", "arch_toy@toy"):
        monkeypatch.setitem(HOMES, key, here)
    for key in ("clone", "clone@toy", "arch_toy@toy"):
        monkeypatch.setitem(HANDLERS, key, None)
        del HANDLERS[key]
    monkeypatch.setattr(registry, "_tables", {})
    return "toy"


def test_an_architecture_has_its_own_handler_where_the_order_of_arguments_differs(toy):
    @call("clone")
    def sys_clone(task, flags: c_ulong, stack: c_ulong, parent: c_ulong, child: c_ulong, tls: c_ulong) -> int:
        return tls

    @call("clone", arch=toy)
    def sys_clone_backwards(task, flags: c_ulong, stack: c_ulong, parent: c_ulong, tls: c_ulong, child: c_ulong) -> int:
        return tls

    @call("arch_toy", arch=toy)
    def sys_arch_toy(task) -> int:
        return 7

    own = table(toy)
    assert {nr: entry.name for nr, entry in own.items()} == {1: "getpid", 2: "clone", 3: "arch_toy"}  # no open, no fork
    assert own[2].call(None, 0, 1, 2, 3, 4, 5) == 3
    assert table("x86_64")[56].call(None, 0, 1, 2, 3, 4, 5) == 4
    assert own[3].call(None, 0, 0, 0, 0, 0, 0) == 7
    assert own[1].handler is table("x86_64")[39].handler
    with pytest.raises(ValueError, match="twice"):
        call("clone", arch=toy)(sys_clone)
    with pytest.raises(ValueError, match="toy has no"):
        call("open", arch=toy)


def test_calls_that_came_late_have_one_number_and_old_ones_are_not_entered_where_they_are_not():
    for arch in ("aarch64", "riscv64"):
        own = numbers.NUMBERS[arch]
        assert {name: own[name] for name in numbers.LATE.values()} == {n: nr for nr, n in numbers.LATE.items()}
        served = {entry.name for entry in table(arch).values()}
        assert "openat" in served
        assert not served & {"open", "fork", "stat", "poll", "arch_prctl", "pipe", "access", "select"}
        assert len(set(own.values())) == len(own)
    assert numbers.name_of(220, "aarch64") == "clone"
    assert numbers.name_of(38, "riscv64") == "syscall_38"  # no renameat
    with pytest.raises(KeyError):
        numbers.NUMBERS["m68k"]


WANTED = {
    "aarch64": "RENAMEAT NEW_STAT SET_GET_RLIMIT SYS_CLONE3 MEMFD_SECRET",
    "riscv64": "NEW_STAT SET_GET_RLIMIT SYS_CLONE3 MEMFD_SECRET",
}  # what the unistd.h of each asks of the generic one


@pytest.mark.parametrize("arch", WANTED)
def test_numbers_are_those_of_the_hosts_headers(arch):
    if shutil.which("gcc") is None or not os.path.exists("/usr/include/asm-generic/unistd.h"):
        pytest.skip("no headers to hold them against")
    source = "#define __BITS_PER_LONG 64\n"
    source += "".join(f"#define __ARCH_WANT_{want}\n" for want in WANTED[arch].split())
    source += "#include <asm-generic/unistd.h>\n"
    done = subprocess.run(["gcc", "-E", "-dM", "-"], input=source, capture_output=True, text=True, check=True)
    defined = dict(re.findall(r"#define (__NR\w+) (\w+)", done.stdout))
    theirs = {}
    for name, value in defined.items():
        while not value.isdigit():
            value = defined[value]
        if name.startswith("__NR_") and name not in ("__NR_syscalls", "__NR_arch_specific_syscall"):
            theirs[name.removeprefix("__NR_")] = int(value)
    end = int(defined["__NR_syscalls"])  # headers may be older than we are, or newer
    ours = {name: nr for name, nr in numbers.NUMBERS[arch].items() if nr < end and not 244 <= nr < 260}
    assert {name: nr for name, nr in theirs.items() if nr < 467} == ours
    assert len(ours) > 290


def test_the_other_tables_are_not_loaded_by_a_run():
    script = (
        "import sys, axptr.linux.personality as p; p.LinuxKernel(); assert 'axptr.linux.abi.generic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
