"""Hosts that allow less: an ordinary user, a container with the usual filter of system calls, memory files that may not
be executed. The native engine works there, or says in one line what is missing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import ctypes, os, struct, sys
from axptr._core.phys.phys import PhysMemory
from axptr.engine.native import NativeEngine
from axptr.flags import MappingFlags
from axptr.mm.space import AddrSpace
R, W, X = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
libc = ctypes.CDLL(None, use_errno=True)
EPERM, EACCES = 1, 13

def confine(denied, errno=EPERM, flags=None):
    # The filter of a container: `denied` fail. flags: memfd_create (319) without one of these bits fails, too.
    code = [(0x20, 0, 0, 4), (0x15, 1, 0, 0xC000003E), (0x06, 0, 0, 0x7FFF0000), (0x20, 0, 0, 0)]
    for number in denied:
        code += [(0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | errno)]
    if flags is not None:
        code += [(0x15, 0, 3, 319), (0x20, 0, 0, 24), (0x45, 1, 0, flags), (0x06, 0, 0, 0x00050000 | EACCES)]
    code += [(0x06, 0, 0, 0x7FFF0000)]
    raw = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *one) for one in code))
    program = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(code), ctypes.addressof(raw)))
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, program, 0, 0) == 0, ctypes.get_errno()

def become_nobody():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)

def run():
    phys = PhysMemory(1 << 26)
    space = AddrSpace(4096, (1 << 47) - 8192, phys)
    space.map_alloc(0x400000, 4096, R | W | X)
    space.write(0x400000, bytes.fromhex("b807000000 0f05 89c3 b83c000000 0f05"))  # a call, its result to ebx, the end
    engine = NativeEngine(phys)
    engine.attach(space)
    seen = []

    def serve(nr, *args):
        seen.append(nr)
        if nr == 60:
            engine.stop()
        return 99

    engine.on_syscall(serve)
    engine.regs.rip = 0x400000
    assert engine.run(10).kind == "stopped"
    assert (seen, engine.regs.rbx) == ([7, 60], 99)
    engine.close()
    print("works")

exec(sys.argv[1])
try:
    run()
except OSError as error:
    print(error.strerror)
"""
# What the default profile of containers forbids without capabilities: unshare, setns, mount, bpf, ptrace, keyctl, ...
CONTAINER = [101, 155, 161, 165, 166, 167, 169, 246, 248, 250, 272, 298, 304, 308, 310, 311, 312, 313, 321, 323]


def said(what: str) -> str:
    done = subprocess.run([sys.executable, "-c", SCRIPT, what], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_needs_no_privilege() -> None:
    assert said("become_nobody()") == "works\n"


def test_the_usual_filter_of_a_container_leaves_what_is_needed() -> None:
    assert said(f"confine({[*CONTAINER, 425, 438]})") == "works\n"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_both_at_once() -> None:
    assert said(f"become_nobody(); confine({[*CONTAINER, 425, 438]})") == "works\n"


@pytest.mark.parametrize("flags", [0x8, 0x8 | 0x10], ids=["forbidden", "to be told"])
def test_memory_files_that_may_not_be_executed(flags: int) -> None:
    """vm.memfd_noexec 2: only those made with MFD_NOEXEC_SEAL; 1: what is to be executed says so."""
    assert said(f"confine([], flags={flags})") == "works\n"


@pytest.mark.parametrize(
    ("denied", "missing"),
    [
        (317, "a seccomp filter with notifications"),
        (436, "to execute it"),
        (322, "to execute it"),
        (56, "another process"),
    ],
    ids=["seccomp", "close_range", "execveat", "clone"],
)
def test_what_is_missing_is_one_line(denied: int, missing: str) -> None:
    line = said(f"confine([{denied}])")
    assert line.startswith("the host does not let the native engine have ")
    assert missing in line
    assert line.endswith("Operation not permitted\n")
    assert line.count("\n") == 1
