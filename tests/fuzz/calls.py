"""python -m tests.fuzz.calls: fuzz the system calls of the Linux personality.

A case is one call of any number that is served, with hostile arguments: descriptors of all kinds, paths inside and
outside of what may be written, structures of garbage. Processes and threads that come of them run nothing, and end
before long. Held for each: it gives a number or an errno and raises nothing
else; it comes back in time; the space's books are whole, memory stays within its limit; and for each batch, that
nothing outside the directory that may be written has changed, nor anything of the process that the guest runs in, and
that every descriptor and frame was given back. It runs confined (`sandbox`). The status is 0 only if all held.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import resource
import signal
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from axptr.cli.strace import Tracer
from axptr.errors import LinuxError
from axptr.kernel.kernel import Syscall
from axptr.linux import Process, create_process

from .callargs import Memory, registers_of
from .campaign import campaign, options_of

BATCH = 250
"""Calls to one process, about."""
SLOW = 5
"""Seconds of CPU time, about, after which a call has hung."""
PATIENCE = 20
"""So many times as long by the clock, which goes on while others have the machine."""
MEMORY_LIMIT = 64 << 20
RARELY = frozenset({59, 322, 60, 231, 282, 15})
"""exec, exit, sigreturn: one in fifty of those that come up, for they end the process or take it elsewhere."""
STOPPING = (19, 20, 21, 22)


class Hung(BaseException):
    """A call did not come back in time."""


class Broken(AssertionError):
    """Something does not hold."""


def main() -> int:
    parser = options_of("calls", __doc__, "calls", 20_000)
    parser.add_argument("--only", help="names of calls, with commas between")
    parser.add_argument("--verbose", action="store_true", help="print each call before it is made")
    options = parser.parse_args()

    def batch(number: int, directory: Path) -> int:
        return one_batch(options.seed, number, directory, options.only, options.verbose)

    return campaign(options, "calls", BATCH, batch)


def one_batch(seed: int, batch: int, root: Path, only: str | None = None, verbose: bool = False) -> int:
    """Some calls to one process; how many. Raises what is wrong, with the call in a note."""
    rng = random.Random(f"{seed} {batch}")
    directory = root / f"batch-{batch}"
    build_tree(directory)
    before = state_of_host(directory)
    opened = descriptors()
    reader, writer = os.pipe()
    file = os.open(directory / "in" / "a", os.O_RDWR)
    streams = (file, writer, reader)
    try:
        process = create_process(
            "/bin/true",
            stdio=streams,
            memory_limit=MEMORY_LIMIT,
            allow_write=[directory / "in"],
            cwd=directory / "in",
            env=["A=1"],
        )
        with process:
            count = Session(rng, process, directory, only, verbose).run(batch)
        phys = process.phys
        del process
    finally:
        for fd in (reader, writer, file):
            os.close(fd)
    gc.collect()
    frames = phys.data_frames
    del phys
    if frames:
        raise Broken(f"{frames} frames were not given back")
    still = {fd: what for fd, what in descriptors().items() if opened.get(fd) != what}
    if still:
        raise Broken(f"descriptors were not given back: {still}")
    after = state_of_host(directory)
    for name, was in before.items():
        if after[name] != was:
            raise Broken(f"the host's {name} was {was}, and is {after[name]}")
    remove(directory)
    return count


class Session:
    """The calls to one process."""

    def __init__(self, rng: random.Random, process: Process, directory: Path, only: str | None, verbose: bool) -> None:
        self.rng = rng
        self.process = process
        self.task = process.task
        self.task.kernel = self.kernel = process.kernel
        self.directory = os.fsencode(directory)
        self.verbose = verbose
        self.calls = sorted(self.kernel.syscalls)
        if only is not None:
            self.calls = [nr for nr in self.calls if self.kernel.name_of(nr) in only.split(",")]
        self.text = ""
        self.trace: list[str] = []

    def run(self, batch: int) -> int:
        if batch % 2:
            Tracer(self.trace.append).trace(self.kernel)
        self.dispatch = self.kernel.dispatcher(self.task)
        memory = Memory(self.rng, self.task, self.directory)
        self.open_all(memory)
        for i in range(BATCH):
            if self.task.over:
                return i
            if i % 50 == 49 or self.task.space.find_area(memory.strings[0]) is None:
                memory = Memory(self.rng, self.task, self.directory)
                self.task.space._check()
            nr = self.rng.choice(self.calls)
            if nr in RARELY and self.rng.random() > 0.02 and len(self.calls) > len(RARELY):
                continue
            self.call(nr, registers_of(self.rng, self.kernel.syscalls[nr], memory))
            if self.rng.random() < 0.05:
                self.deliver()
            if len(self.task.machine.tasks) > 1 and self.rng.random() < 0.1:
                self.end_children()
        self.task.space._check()
        return BATCH

    def open_all(self, memory: Memory) -> None:
        """Descriptors of all kinds, by the guest's own calls."""
        at = memory.structures[0]
        inside = self.directory + b"/in/"
        for path, flags in (
            (inside + b"a", 0o2), (inside + b"b", 0o1), (b"/etc/passwd", 0), (inside, 0o200000), (b"/etc", 0o200000),
            (b"/proc/self", 0o200000), (b"/dev", 0o200000), (b"/dev/null", 2), (b"/dev/zero", 2),
            (b"/proc/self/maps", 0),
            (inside + b"a", 0o10000000), (b"/etc/passwd", 0o10000000), (inside + b"link", 0o10400000),
            (inside + b"fifo", 0o4002), (inside, 0o20200002), (b"/proc/self/fd", 0o200000),
        ):  # fmt: skip
            self.task.space.write(at, path + b"\0")
            self.call(257, (-100 % (1 << 64), at, flags, 0, 0, 0))
        self.call(293, (at, 0o4000, 0, 0, 0, 0))  # pipe2
        self.open_anonymous(at)

    def open_anonymous(self, at: int) -> None:
        """Those that have no name, non-blocking for the most part, and one of each kind of System V's."""
        space = self.task.space
        space.write(at, b"queue\0")
        for nr, registers in (
            (290, (3, 0o4000)), (290, (0, 0o4001)), (283, (1, 0o4000)), (283, (0, 0)), (291, (0,)), (294, (0o4000,)),
            (53, (1, 0o4001, 0, at)), (53, (1, 0o4002, 0, at)), (53, (1, 0o4005, 0, at)), (41, (1, 0o4001, 0)),
            (41, (2, 0o4001, 0)),
            (41, (2, 0o4002, 0)), (41, (10, 0o4001, 0)), (41, (10, 0o4002, 0)), (41, (16, 3, 0)),
            (434, (self.task.pid, 0)), (29, (0, 9000, 0o1600)), (64, (0, 3, 0o1600)), (68, (0, 0o1600)),
        ):  # fmt: skip
            self.call(nr, (*registers, *(0,) * (6 - len(registers))))
        for text, nr, registers in (
            (b"queue\0", 240, (at, 0o4102, 0o600, 0, 0, 0)), (b"mem\0", 319, (at, 3, 0, 0, 0, 0)),
            (b"/dev/ptmx\0", 257, (-100 % (1 << 64), at, 0o404402, 0, 0, 0)),
            (b"\xff" * 8, 289, (-1 % (1 << 64), at, 8, 0o4000, 0, 0)),
        ):  # fmt: skip
            space.write(at, text)
            result = self.call(nr, registers)
            if text.startswith(b"/dev") and result is not None and result >= 0:
                space.write(at, bytes(8))
                for command, argument in ((0x40045431, at), (0x5441, 0o404402)):  # unlocked; the other end
                    self.call(16, (result, command, argument, 0, 0, 0))

    def end_children(self) -> None:
        """What the calls have made of processes and threads goes on for an instant, and most of it ends."""
        machine = self.task.machine
        for child in [task for task in machine.tasks.values() if task is not self.task]:
            if child.dead or self.rng.random() < 0.2:
                continue
            self.text = f"end of {child.tid}"
            try:
                with limited(SLOW):
                    if not child.leaving and child.blocked is None and self.rng.random() < 0.5:
                        child.enter()
                    (child.exit_thread if self.rng.random() < 0.5 else child.exit)(self.rng.randrange(256))
                    machine.loop.remove(child)
                    child.ended()
            except BaseException as error:
                error.add_note(f"in {self.text}")
                raise

    def call(self, nr: int, registers: tuple[int, ...]) -> int | None:
        """Make a call, which must give a number; it."""
        task, kernel = self.task, self.kernel
        self.text = f"{kernel.name_of(nr)}({', '.join(map(hex, registers))})"
        if self.verbose:
            print(self.text, flush=True)
        task.engine.regs.rax = nr
        task.loop.current = task  # as if it had the CPU: forks take its registers
        task.loop.deadline = time.monotonic()  # what works for long gives up at once
        began = time.monotonic()
        try:
            with limited(SLOW):
                result = self.dispatch(nr, *registers)
        except BaseException as error:
            error.add_note(
                f"in {self.text}" + (f" after {time.monotonic() - began:.1f} s" if isinstance(error, Hung) else "")
            )
            raise
        if task.blocked is not None:
            self.leave()
        if result is not None and not -4096 < result < 1 << 64:
            raise Broken(f"{self.text} gave {result}")
        if task.space.phys.frames_in_use * 4096 > MEMORY_LIMIT:
            raise Broken(f"{self.text}: {task.space.phys.frames_in_use} frames are more than the limit")
        self.trace.clear()
        return result

    def leave(self) -> None:
        """What waits goes on once, as if its time were over, and is then given up."""
        task, record = self.task, self.task.blocked
        task.loop._check()
        task.loop.remove(task)
        task.blocked, task.woken, task.calling = None, 0, None
        if record.again is not None:
            function, data = record.again
            with contextlib.suppress(LinuxError), limited(SLOW):
                function(task, *data)
        if task.blocked is not None:
            task.loop._check()
            task.loop.remove(task)
            record, task.blocked = task.blocked, None
        if record.interrupted is not None:
            with contextlib.suppress(LinuxError):
                record.interrupted(task, *record.data)
        task.signals.restore_mask(task)

    def deliver(self) -> None:
        """Deliver what is pending, as when the program goes on; but not what would stop this process."""
        from axptr.engine import Exit

        task = self.task
        waiting = task.signals.pending_mask if hasattr(task.signals, "pending_mask") else task.signals.pending.mask
        if any(waiting >> (number - 1) & 1 for number in STOPPING):
            return
        self.text = f"delivery of the signals {waiting:#x}"
        try:
            with limited(SLOW):
                task.on_exit(Exit("stopped", task.engine.regs.rip))
        except BaseException as error:
            error.add_note(f"in {self.text}")
            raise


class limited:
    """`Hung` if the block takes longer than so many seconds (`SLOW`, `PATIENCE`)."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __enter__(self) -> None:
        self.old = signal.signal(signal.SIGALRM, self._hung)
        self.used, self.ends = time.process_time(), time.monotonic() + PATIENCE * self.seconds
        signal.setitimer(signal.ITIMER_REAL, self.seconds, self.seconds)

    def _hung(self, number: int, frame: Any) -> None:
        if time.process_time() - self.used > self.seconds / 2 or time.monotonic() >= self.ends:
            raise Hung

    def __exit__(self, *exc: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.old)


# -- the host ------------------------------------------------------------------------------------------------------


def build_tree(directory: Path) -> None:
    """in: what may be written. out: what may not, and beside it nothing."""
    for name in ("in/d", "in/e", "out/d"):
        (directory / name).mkdir(parents=True)
    for name, size in (("in/a", 9000), ("in/b", 0), ("in/d/x", 100), ("out/kept", 5000), ("out/d/kept", 1)):
        (directory / name).write_bytes(b"k" * size)
    (directory / "in" / "link").symlink_to("a")
    (directory / "in" / "loop").symlink_to("loop")
    (directory / "in" / "out").symlink_to("../out")
    (directory / "in" / "d" / "up").symlink_to("../../out/kept")
    os.mkfifo(directory / "in" / "fifo")


def state_of_host(directory: Path) -> dict[str, Any]:
    """What no call of a guest may change."""
    facts: dict[str, Callable[[], Any]] = {
        "working directory": os.getcwd,
        "umask": lambda: _umask(),
        "priority": lambda: os.getpriority(os.PRIO_PROCESS, 0),
        "user and group": lambda: (os.getresuid(), os.getresgid(), os.getgroups()),
        "process group and session": lambda: (os.getpgrp(), os.getsid(0)),
        "limits": lambda: [resource.getrlimit(number) for number in range(16)],
        "handlers": lambda: [signal.getsignal(number) for number in range(1, 65) if number not in (32, 33)],
        "blocked signals": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "timers": lambda: [signal.getitimer(which)[1] for which in range(3)],
        "name": lambda: os.uname().nodename,
        "affinity": lambda: os.sched_getaffinity(0),
        "other files": lambda: _files(directory / "out"),
    }
    return {name: fact() for name, fact in facts.items()}


def descriptors() -> dict[int, str]:
    """Those open; not the one that the core holds for good (`places`), nor that of the list itself."""
    found, held = {}, os.path.realpath("/proc/self/fd")
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
    return {fd: what for fd, what in found.items() if what != held}


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _files(root: Path) -> list[tuple[Any, ...]]:
    found = []
    for path in sorted([root, *root.rglob("*")]):
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        names = os.listxattr(path, follow_symlinks=False)
        found.append((str(path), status.st_mode, status.st_uid, status.st_nlink, status.st_mtime_ns, content, names))
    return found


def remove(directory: Path) -> None:
    from .sandbox import _remove

    _remove(directory)


def served() -> list[Syscall]:
    from axptr.linux import personality  # noqa: F401 - enters the handlers
    from axptr.linux.registry import table

    return list(table("x86_64").values())


if __name__ == "__main__":
    sys.exit(main())
