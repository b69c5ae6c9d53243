"""Restores in loops, of several snapshots in turn and of branches of branches: each time the walk over the machine
finds the very graph that it found when the snapshot was taken, whatever the programs did meanwhile."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from axptr._core.words.graph import LEAF, MAPPING, SET, Graph, Node, Place
from axptr.linux import PIPE, Linux
from axptr.linux.snapshots.snapshot import MachineSnapshot

GUEST = """
import gc, os, select, socket, sys, threading, time
gc.disable()
big = bytearray(64 << 10)
kept = []
print("ready", flush=True)
while True:
    line = sys.stdin.readline()
    if not line:
        break
    exec(line)
    with open("/proc/self/maps") as maps:
        areas = hash(maps.read())
    print("done", hash(bytes(big)), len(kept), os.getcwd(), os.umask(os.umask(18)), areas, flush=True)
"""
DEEDS = (
    "big[::4096] = os.urandom(1) * len(big[::4096])",
    "kept.append(bytearray(1 << 20))",
    "kept.append(open('/tmp/file%d' % len(kept), 'w+')); kept[-1].write('x' * 10000); kept[-1].flush()",
    "kept and kept.pop()",
    "kept += socket.socketpair(); kept[-1].send(b'on its way')",
    "s = socket.socket(socket.AF_UNIX); s.bind('/tmp/s%d' % time.monotonic_ns()); s.listen(); kept.append(s)",
    "kept += os.pipe(); os.write(kept[-1], b'in a pipe')",
    "kept.append(select.epoll()); kept[-1].register(0)",
    "os.chdir('/usr'); os.umask(7)",
    "os.mkdir('/tmp/d%d' % time.monotonic_ns()); os.rename('/tmp', '/var/other'); os.mkdir('/tmp')",
    "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    "kept.append(os.fork() or time.sleep(60) or os._exit(0))",
    "os.fork() or os.execv('/bin/sleep', ['sleep', '60'])",
    "import subprocess; subprocess.run(['sh', '-c', 'ls -l /etc | head -3 >/tmp/listed; umask 0'])",
    "import mmap; kept.append(mmap.mmap(-1, 1 << 16)); kept[-1][:5] = b'shown'",
    "import ctypes; print(ctypes.CDLL(None).mount(b'x', b'/mnt', b'tmpfs', 0, None))",
    "import signal; signal.signal(signal.SIGALRM, lambda *a: 0); signal.setitimer(signal.ITIMER_REAL, 50)",
    "os.execv(sys.executable, [sys.executable, '-S', '-c', \"print('other', flush=True); input()\"])",
    "os._exit(3)",
    "os.kill(0, 9)",
)
FREE = {"Vdso": ("_clock_at",)}
"""What tells where a copy lies, which is another each time."""
NUMBERED = ("held", "store", "fd", "space", "object", "cache")
"""Leaves that are numbers, in the order of the walk."""


def spawn() -> Linux:
    linux = Linux(overlay=True, env={"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0"})
    linux.spawn([sys.executable, "-S", "-c", GUEST], stdin=PIPE, stdout=PIPE, stderr=2)
    settle(linux)
    return linux


def settle(linux: Linux) -> bytes:
    """Let it run until all of its processes wait; what the first one has printed."""
    process = linux.process()

    def idle() -> bool:
        tasks = linux.machine.tasks.values()
        return all(task.blocked is not None and task.blocked.woken is None for task in tasks)

    linux.run_until(lambda: process.stdout.total > 0 and idle(), 60)
    return process.stdout.take()


def tell(linux: Linux, line: str) -> bytes:
    process = linux.process()
    process.stdin.feed(line.encode() + b"\n")
    before = process.stdout.total
    linux.run_until(lambda: process.stdout.total > before or process.ended, 60)
    settle(linux)
    return bytes(process.stdout.take())


def differences(one: Graph, two: Graph) -> list[object]:
    """In what two graphs are not the same, walked from their roots; objects pair one to one."""
    found: list[object] = []
    pairs: dict[int, int] = {}
    back: dict[int, int] = {}
    numbers: dict[tuple[object, object], object] = {}
    todo: list[tuple[int, int, str]] = []

    def meet(a: object, b: object, way: str) -> None:
        if isinstance(a, Place) and isinstance(b, Place):
            if pairs.setdefault(a.index, b.index) != b.index or back.setdefault(b.index, a.index) != a.index:
                found.append((way, "another object", one.nodes[a.index], two.nodes[b.index]))
            elif a.index not in seen:
                seen.add(a.index)
                todo.append((a.index, b.index, way))
        elif type(a) is not type(b) or not (a is b or a == b):
            found.append((way, a, b))

    seen: set[int] = set()
    for number in (4, 5, 6):  # the machine, its loop, its face; names of areas are in what the guest prints
        meet(one.roots[number], two.roots[number], str(number))
    while todo:
        i, j, way = todo.pop()
        a, b = one.nodes[i], two.nodes[j]
        if (a.kind, a.cls, a.names) != (b.kind, b.cls, b.names):
            found.append((way, a, b))
        elif a.kind == LEAF and a.values[0] in NUMBERED:
            if numbers.setdefault((a.values[0], a.values[1:]), b.values) != b.values or a.values[0] != b.values[0]:
                found.append((way, a, b))
        elif a.kind == MAPPING:  # what nobody else holds may be gone
            held = dict(zip(b.values[::2], b.values[1::2], strict=True))
            for key, value in zip(a.values[::2], a.values[1::2], strict=True):
                if not isinstance(key, Place) and key in held:
                    meet(value, held.pop(key), f"{way}[{key!r}]")
        elif len(a.values) != len(b.values):
            found.append((way, a, b))
        elif a.kind != SET or len(a.values) < 2:
            for name, value, other in zip(_names(a), a.values, b.values, strict=True):
                if name not in FREE.get(getattr(a.cls, "__name__", ""), ()):
                    meet(value, other, f"{way}.{name}")
    return found


def _names(node: Node) -> tuple[object, ...]:
    return node.names if node.names is not None else tuple(range(len(node.values)))


@pytest.mark.parametrize("seed", range(3))
def test_a_machine_is_what_it_was_however_often_it_is_put_back(seed: int) -> None:
    dice = random.Random(seed)
    linux = spawn()
    try:
        snaps: list[tuple[MachineSnapshot, Graph, bytes]] = []

        def keep() -> None:
            taken = linux.snapshot()
            linux.restore(taken)
            answer = tell(linux, "pass")
            linux.restore(taken)
            snaps.append((taken, linux.snapshot().graph, answer))

        keep()
        for _ in range(30):
            for _ in range(dice.randrange(1, 4)):
                if not linux.process().ended:
                    tell(linux, dice.choice(DEEDS))
            if len(snaps) < 4:
                keep()
            taken, graph, answer = dice.choice(snaps)
            if dice.random() < 0.2:
                linux, before = Linux.from_snapshot(taken), linux
                before.close()
            linux.restore(taken)
            assert differences(graph, linux.snapshot().graph) == []
            if dice.random() < 0.5:
                assert tell(linux, "pass") == answer
                linux.restore(taken)
    finally:
        linux.close()


SHARER = r"""
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>
int main(void) {
    char *segment = shmat(shmget(IPC_PRIVATE, 65536, 0600), 0, 0), c;
    char *shared = mmap(0, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0), own[] = "-";
    strcpy(segment, "-"), strcpy(shared, "-");
    while (read(0, &c, 1) == 1) {
        printf("%s%s%s\n", segment, shared, own), fflush(stdout);
        segment[0] = shared[0] = own[0] = c;
    }
    return 0;
}
"""


def test_shared_memory_is_put_back_whichever_snapshot_was_taken_last(compile_guest: Callable[..., Path]) -> None:
    program = compile_guest("sharer", source=SHARER)

    def said(machine: Linux, char: bytes) -> bytes:
        process = machine.process()
        before = process.stdout.total
        process.stdin.feed(char)
        assert machine.run_until(lambda: process.stdout.total > before and process.task.blocked is not None)
        return process.stdout.take()

    with Linux() as machine:
        process = machine.spawn([program], stdin=PIPE, stdout=PIPE)
        assert machine.run_until(lambda: process.task.blocked is not None)
        snaps = []
        for char in (b"a", b"b", b"c"):
            said(machine, char)
            snaps.append((char * 3 + b"\n", machine.snapshot()))
        for place in (0, 2, 1, 1, 0, 0, 2):
            told, snap = snaps[place]
            machine.restore(snap)
            assert said(machine, b"x") == told
            assert said(machine, b"y") == b"xxx\n"
        with Linux.from_snapshot(snaps[1][1]) as branch:
            for told, snap in (snaps[1], *snaps):
                branch.restore(snap)
                assert said(branch, b"x") == told
