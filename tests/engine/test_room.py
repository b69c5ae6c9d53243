"""An engine on a host with little room is an exception, never the end of the process, as the library would have it."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import os, resource, sys
from axptr import *
import axptr.engine.unicorn

def ran(room):
    memory = PhysMemory(1 << 24)
    space = AddrSpace(0x1000, 1 << 40, memory)
    space.map_alloc(0x10000, 0x1000, MappingFlags.READ | MappingFlags.EXECUTE)
    space.map_alloc(0x20000, 0x1000, MappingFlags.READ | MappingFlags.WRITE)
    space.write(0x10000, bytes.fromhex("48ff0425000002000f05"))  # inc qword [0x20000]; syscall
    with open("/proc/self/statm") as statm:
        taken = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (taken + room, taken + room))
    try:
        engine = UnicornEngine(memory)
    except (MemoryError, OSError, RuntimeError) as error:
        return type(error).__name__
    engine.attach(space)
    engine.on_syscall(lambda *_: engine.stop())
    engine.regs.rip = 0x10000
    assert engine.run().kind == "stopped"
    assert space.read(0x20000, 1) == b"\\1"
    return "ran"

for room in [int(each) << 20 for each in sys.argv[1:]]:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, ran(room).encode())
        os._exit(0)
    os.close(write)
    status = os.waitpid(child, 0)[1]
    print(room >> 20, status, os.read(read, 100).decode())
    os.close(read)
"""


def test_an_engine_that_has_no_room_is_a_memory_error_and_the_process_lives() -> None:
    sizes = [0, 1, 8, 20, 28, 32, 40, 64, 256, 700, *range(1000, 1100, 4), 1200, 1500]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *map(str, sizes)], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [int(line[0]) for line in lines] == sizes
    assert {line[1] for line in lines} == {"0"}, done.stdout
    assert lines[-1][2] == "ran"
    assert ["700", "0", "MemoryError"] in lines
