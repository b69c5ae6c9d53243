"""An engine and its space that the collector takes together: neither is told of the other before it goes."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import gc
from axptr import AddrSpace, MappingFlags, PhysMemory
from axptr.engine import NativeEngine

def one():
    phys = PhysMemory(1 << 26)
    space = AddrSpace(4096, (1 << 47) - 8192, phys)
    space.map_alloc(0x400000, 4096, MappingFlags.READ | MappingFlags.WRITE | MappingFlags.EXECUTE)
    space.write(0x400000, bytes.fromhex("b83c000000 0f05"))
    engine = NativeEngine(phys)
    engine.attach(space)
    engine.on_syscall(lambda *call: engine.stop())
    engine.regs.rip = 0x400000
    assert engine.run(60).kind == "stopped"
    engine.circle = space.circle = [engine, space]
    return space

gc.disable()
left = [one() for _ in range(8)]
one()
one()
gc.collect()
print("there")
"""


def test_a_space_and_an_engine_that_go_as_garbage_or_with_the_interpreter() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "there\n", "")


BRANCHES = """
import gc
from axptr.linux import PIPE, Linux

gc.disable()
with Linux(engine="native", overlay=True, env={"PATH": "/usr/bin:/bin"}) as machine:
    loop = 'while read -r line; do eval "$line"; done'
    process = machine.spawn(["sh", "-c", loop], stdin=PIPE, stdout=PIPE, stderr=2)
    process.stdin.feed(b"echo ready\\n")
    machine.run_until(lambda: process.stdout.total > 0, 60)
    snap = machine.snapshot()

def one():
    branch = Linux.from_snapshot(snap)
    there = branch.process()
    there.stdin.feed(b"i=0; while [ $i -lt 300 ]; do i=$((i+1)); done; echo $i\\n")
    branch.run_until(lambda: there.stdout.total > 6, 60)
    branch.circle = [branch, there]
    return branch

for _ in range(3):
    one()
    one()
    gc.collect()
left = [one() for _ in range(3)]
del snap, machine, process, left
gc.collect()
print("there")
"""


def test_branches_that_go_as_garbage_with_what_they_came_from() -> None:
    """What their stubs had is learned while the collector ends them, of an origin that goes with them."""
    done = subprocess.run([sys.executable, "-c", BRANCHES], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "there\n", "")
