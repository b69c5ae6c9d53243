"""Arguments of system calls that programs would not pass, and those that get further: by a handler's parameters.

Seeded: the same random numbers give the same arguments.
"""

from __future__ import annotations

import random
from typing import Any

from axptr.flags import MappingFlags as F
from axptr.kernel.kernel import Syscall

from .structures import CLONE_FLAGS, OF_PARAM, Structures

SCRATCH = 0x1000_0000
PAGES = 12
HOLE = SCRATCH + 11 * 4096
EDGES = (0, 1 << 12, 1 << 31, 1 << 32, 1 << 47, 0x7FFF_FFFF_F000, 1 << 48, 1 << 62, 1 << 63, 1 << 64)
SMALL = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 16, 17, 24, 32, 64, 77, 100, 128, 144, 256, 511, 512, 4095, 4096, 8192)
MOST_FDS = 44
"""About as many descriptors are open."""
FDS = (-1, -100, 0, 1, 2, 64, 1023, 1024, 1 << 20, (1 << 31) - 1, 0xFFFF_FFFF)
NAMES = (
    b"a",
    b"b",
    b"d",
    b"d/x",
    b"link",
    b"fifo",
    b"loop",
    b"d/..",
    b"d/../a",
    b"./a",
    b"d/",
    b"a/",
    b"out",
    b"d/up",
    b"e",
    b"new",
)
PATHS = (
    *(b"/", b"/etc/passwd", b"/etc", b"/etc/", b"/dev/null", b"/dev/zero", b"/dev/full", b"/dev/urandom", b"/dev/tty"),
    *(b"/dev", b"/dev/fd/0", b"/dev/fd/1", b"/dev/stdin", b"/dev/stdout", b"/proc", b"/proc/self", b"/proc/self/fd"),
    *(b"/proc/self/fd/3", b"/proc/self/fd/5", b"/proc/self/maps", b"/proc/self/status", b"/proc/self/exe"),
    *(b"/proc/self/cwd", b"/proc/self/root", b"/proc/self/mem", b"/proc/self/environ", b"/proc/self/auxv"),
    *(b"/proc/self/smaps", b"/proc/self/fdinfo/3", b"/proc/meminfo", b"/proc/1", b"/proc/1/mem", b"/proc/sys/kernel"),
    *(b"", b".", b"..", b"../..", b"x", b"/nope/x", b"\xff\xfe", b"a" * 255, b"a" * 256, b"a/" * 2000, b"/" * 4095),
    *(b"/bin/true", b"/tmp", b"/dev/shm", b"/sys", b"user.a", b"security.b", b"system.posix_acl_access"),
    *(
        b"queue",
        b"sock",
        b"d/sock",
        b"/dev/ptmx",
        b"/dev/pts/0",
        b"/dev/pts",
        b"/proc/self/task",
        b"/proc/self/ns",
        b"/proc/net/tcp",
    ),
    *(b"/proc/sysvipc/shm", b"/dev/mqueue", b"/proc/self/limits", b"/proc/self/stat", b"/proc/self/task/1/stat"),
)
COMMANDS = (
    *range(48),
    *(1024, 1025, 1026, 1027, 1028, 1029, 1030, 1031, 1032, 1033, 1034, 1035, 1036, 1037, 1038, 1039, 0x53564D41),
    *(0x5401, 0x5402, 0x5403, 0x540F, 0x5410, 0x5413, 0x5414, 0x541B, 0x5421, 0x5450, 0x5451, 0x40049409, 0x80086601),
    *(0x40086602, 0xC020660B, 2, 0x1001, 0x1002, 0x1003, 0x1004, 0x3001, 0x4000_0001),
)
COMMANDS += (
    *(0x5404, 0x5409, 0x540A, 0x540B, 0x540C, 0x540E, 0x5411, 0x5412, 0x5415, 0x5420, 0x5422, 0x5423, 0x5424, 0x5429),
    *(0x5441, 0x80045430, 0x40045431, 0x80045438, 0x80045439, 0x5452, 0x5460, 0x8905, 0x8910, 0x8912, 0x8913, 0x8915),
    *(0x8927, 0x8933, 0x40085400, 0xC0189436),
)
FLAGS = (0, 1, 2, 3, 4, 8, 0x10, 0x22, 0x32, 0x40, 0x42, 0x80, 0x100, 0x200, 0x400, 0x800, 0x1000, 0x4000, 0x8022)
FLAGS += (0x10000, 0x20000, 0x80000, 0x200000, 0x410002, 0x100032, 0xFFFF_FFFF)
SIGNALS = (*range(66), 128, -1)
AREAS = (SCRATCH + 64 * 4096, SCRATCH + 80 * 4096, SCRATCH + 6 * 4096, SCRATCH + 6 * 4096, 0, 0, HOLE, 0x5000_0000_0000)
CHOICES: dict[tuple[str, ...], tuple[int, ...]] = {
    ("signal", "sig"): SIGNALS,
    (
        "cmd",
        "command",
        "option",
        "advice",
        "which",
        "how",
        "resource",
        "whence",
        "kind",
        "who",
        "clock",
    ): COMMANDS,
    ("addr", "old_addr", "new_addr"): AREAS,
    ("length", "old_len", "new_len"): (4096, 4096, 8192, 5 * 4096, 100, 0, 1 << 30, 1 << 47, (1 << 64) - 4096),
    ("offset", "pos"): (0, 0, 1, 4096, 8192, 10_000, -1, (1 << 63) - 1, 1 << 40),
    ("size", "vlen", "nfds", "n", "count"): (*SMALL, 8, 8, 8, 8, 4, 4, 3, 3, 2, 1 << 31, 1 << 40, (1 << 64) - 1),
    ("uid", "gid", "real", "effective", "saved", "pgid"): (0, 0, -1, 1000, 65534, 1 << 31, (1 << 32) - 2),
    ("options",): (0, 1, 2, 4, 5, 8, 0x4000_0000, 0x8000_0000, 0x100_0000, 6),
    ("timeout", "seconds", "nice", "value", "value3", "backlog", "persona", "policy"): (
        0,
        0,
        1,
        -1,
        5,
        1 << 31,
        (1 << 64) - 1,
    ),
    ("family",): (0, 1, 1, 2, 2, 10, 16, 17),
    ("protocol",): (0, 0, 0, 0, 4, 6, 17, 58, 255),
    ("level",): (0, 1, 1, 1, 6, 17, 41, 270, -1),
    ("key",): (0, 0, 5, 6, -1, 1 << 31),
    ("number",): (0, 0, 1, 2, 3, 32768, 32769, -1, 1 << 31),
    ("flag",): (0, 0o1000, 0o1600, 0o3600, 0o4000, 0o10000, 0o20000, 0o60000, 0o100000),
    ("index", "wd"): (0, 1, 2, 249, 250, -1),
    ("most",): (1, 1, 4, 64, 0, -1, 1 << 28, 1 << 31),
    ("priority",): (0, 1, 31, 32767, 32768, -1),
    ("lcount", "rcount", "address_size"): (0, 1, 2, 4, 16, 110, 1024, 1025, -1),
    ("page",): (0, 1, 5, 1 << 40, -1),
    ("rights", "pkey"): (0, 1, 2, 3, 15, 16, -1),
    ("code",): (0, 7, 255, 256),
}
"""By a parameter's name."""
FILES_OF = {
    **dict.fromkeys(("accept", "listen", "bind", "connect", "sendm", "sendto", "recv", "shutdown"), "Socket"),
    **dict.fromkeys(("getso", "setso"), "Socket"),
    **dict.fromkeys(("tee", "splice", "vmsplice"), "Pipe"),
    "getpeer": "Socket", "epoll": "Epoll", "timerfd": "Timer", "inotify": "Inotify", "mq_": "Mq", "pidfd": "Pid",
    "getdents": "Dir",
}  # fmt: skip
"""How a call's name begins -> what the classes of the open files are called that it is made for."""
FUTEX = (*(op | flag for op in range(14) for flag in (0, 128, 256, 384)), 14, 64)
OF_CALL: dict[tuple[str, str], tuple[int, ...]] = {
    ("futex", "op"): FUTEX,
    ("futex", "value"): (0, 1, 1, 2, -1, 1 << 31, 1 << 30),
    ("futex", "timeout"): (0, 0, 1, 2, 1 << 31),
    ("epoll_ctl", "op"): (1, 1, 1, 2, 3, 3, 0, 4),
    ("socket", "kind"): (1, 1, 2, 2, 3, 5, 0x801, 0x80802, 4, 10, 0x1000),
    ("socketpair", "kind"): (1, 1, 2, 2, 3, 5, 0x801, 0x80802, 4, 10, 0x1000),
    ("setsockopt", "name"): (*range(1, 80), -1),
    ("getsockopt", "name"): (*range(1, 80), -1),
    ("shmctl", "command"): (0, 1, 2, 2, 3, 11, 12, 13, 14, 15, 99),
    ("semctl", "command"): (0, 1, 2, 3, *range(11, 21), 99),
    ("msgctl", "command"): (0, 1, 2, 3, 11, 12, 13, 99),
    ("semget", "count"): (0, 1, 3, 250, 32000, 32001, -1),
    ("msgrcv", "kind"): (0, 0, 1, 2, -1, -5, 1 << 63),
    ("get_mempolicy", "flags"): (0, 1, 2, 3, 4, 5, 7),
    ("get_mempolicy", "mode"): (0,),
    ("prlimit64", "resource"): (*range(17), -1),
    ("sched_setscheduler", "policy"): (0, 1, 2, 3, 5, 6, 7, 0x4000_0000),
    ("setpriority", "which"): (0, 0, 1, 2, 3),
    ("getpriority", "which"): (0, 0, 1, 2, 3),
    ("ioprio_get", "which"): (1, 1, 2, 3, 0),
    ("ioprio_set", "which"): (1, 1, 2, 3, 0),
    ("ioprio_set", "ioprio"): (0, 0x4004, 0x6000, 0x2007, -1),
    ("waitid", "which"): (0, 1, 1, 2, 3, 3, 4),
    ("waitid", "options"): (4, 5, 5, 0xF, 0x0100_0005, 2, 8, 0, 0x4000_0005),
    ("wait4", "options"): (1, 1, 1, 0xB, 0x4000_0001, 0x8000_0001, 0, 16),
    ("getrusage", "who"): (0, -1, 1, 2),
    ("setitimer", "which"): (0, 1, 2, 3),
    ("getitimer", "which"): (0, 1, 2, 3),
    ("pkey_alloc", "flags"): (0, 0, 0, 1),
    ("pidfd_send_signal", "signal"): (0, 0, 10, 17, 65),
    ("shutdown", "how"): (0, 1, 2, 3),
    ("rt_sigprocmask", "how"): (0, 1, 2, 3),
    ("connect", "size"): (16, 16, 28, 110, 12, 2, 0, 128, 129, -1),
    ("bind", "size"): (16, 16, 28, 110, 12, 2, 0, 128, 129, -1),
    ("get_mempolicy", "most"): (0, 1, 64, 1024, 1025, -1),
    ("eventfd", "count"): (0, 1, 5, -1),
    ("eventfd2", "count"): (0, 1, 5, -1),
    ("timerfd_create", "clock"): (0, 1, 7, 8, 9, 2, -1),
    ("timer_create", "clock"): (0, 1, 2, 3, 7, 9, 11, -6, -2),
    ("clock_gettime", "clock"): (*range(13), -1, -2, -6, -7, -8),
    ("inotify_add_watch", "mask"): (0xFFF, 1, 2, 0x100, 0x2000_0000, 0x3000_0000, 0x8000_0FFF, 0x0100_0000, 0),
}
"""By a call's name and a parameter's, before the table above."""


class Memory:
    """User memory that arguments point at; made anew now and then, for calls write there."""

    def __init__(self, rng: random.Random, task: Any, directory: bytes) -> None:
        space, at = task.space, SCRATCH
        self._machine, self._files = task.machine, task.files
        space.map_alloc(at, PAGES * 4096, F.READ | F.WRITE, replace=True)
        space.write(at + 4096, b"\xff" * 4096)
        space.write(at + 2 * 4096, rng.randbytes(4096))
        self.structures = [at, at + 4096, at + 2 * 4096, at + 2 * 4096 + 3]
        self.strings: list[int] = []
        self.of_kind: dict[str, list[int]] = {}
        self._texts(space, rng, directory)
        self._structures(space, rng)
        space.protect(at + 9 * 4096, 4096, F.READ)
        space.protect(at + 10 * 4096, 4096, F(0))
        space.unmap(HOLE, 4096)
        bad = [at + 9 * 4096, at + 10 * 4096, at + 10 * 4096 - 5, HOLE, HOLE - 4096 - 8, 0, 1, 0xFFFF_8000_0000_0000]
        self.bad = [*bad, (1 << 64) - 1, (1 << 64) - 8, 0x7FFF_FFFF_EFFF, 0x7FFF_FFFF_F000]

    def numbers(self) -> list[int]:
        """Of processes and threads, that of the first among them; a few."""
        pids = self._machine.pids
        return [self._machine.first.tgid, self._machine.first.pgid, *list(pids.tasks)[-3:], *list(pids.groups)[-2:]]

    def descriptors_for(self, call: str) -> list[int]:
        """Those open that a call is made for; none for calls that take all kinds."""
        wanted = next((kind for begin, kind in FILES_OF.items() if call.startswith(begin)), "")
        if not wanted:
            return []
        return [fd for fd in self._files.descriptors() if wanted in type(self._files.get(fd)).__name__]

    def _texts(self, space: Any, rng: random.Random, directory: bytes) -> None:
        at = SCRATCH + 3 * 4096
        inside = [directory + b"/in/" + name for name in NAMES] + [directory + b"/out/kept", directory + b"/in"]
        long = [text for text in PATHS if len(text) > 1000]
        texts = [*NAMES, *inside, *(text for text in PATHS if len(text) <= 1000)]
        rng.shuffle(texts)
        for text in texts:
            if at + len(text) + 1 > SCRATCH + 5 * 4096:
                break
            space.write(at, text + b"\0")
            self.strings.append(at)
            at += len(text) + 1 + rng.randrange(2)
        at = SCRATCH + 5 * 4096
        space.write(at, rng.choice(long) + b"\0")
        self.strings.append(at)

    def _structures(self, space: Any, rng: random.Random) -> None:
        """A page of them, a few out of joint."""
        at, end = SCRATCH + 7 * 4096, SCRATCH + 9 * 4096
        made = Structures(rng, self.strings + self.structures)
        for _ in range(48):
            kind, data = made.one()
            if at + len(data) > end:
                break
            space.write(at, data)
            self.structures.append(at)
            self.of_kind.setdefault(kind, []).append(at)
            at += -(-len(data) // 8) * 8 + rng.choice((0, 0, 0, 0, 0, 0, 0, 1))


def registers_of(rng: random.Random, call: Syscall, memory: Memory) -> tuple[int, ...]:
    """Six registers: mostly what the handler's parameters ask for, else anything."""
    if rng.random() < 0.1:
        return tuple(anything(rng, memory) for _ in range(6))
    values = [_value(rng, call.name, param, memory) for param in call.params]
    values += [anything(rng, memory) for _ in range(6 - len(values))]
    return tuple(value % (1 << 64) for value in values)


def _clone_flags(rng: random.Random) -> int:
    if rng.random() < 0.3:
        return 0x3D0F00  # as threads are made
    flags = rng.choice((0, 17, 17, 10, 64, 65))
    for _ in range(rng.choice((0, 1, 2, 3))):
        flags |= rng.choice(CLONE_FLAGS) & 0xFFFF_FFFF
    return flags


def anything(rng: random.Random, memory: Memory) -> int:
    choice = rng.random()
    if choice < 0.3:
        return rng.choice(memory.structures + memory.strings) + rng.choice((0, 0, 0, 1, 7))
    if choice < 0.7:
        return rng.choice(SMALL)
    if choice < 0.9:
        return (rng.choice(EDGES) + rng.randint(-9, 9)) % (1 << 64)
    return rng.getrandbits(rng.choice((8, 16, 32, 64)))


def _value(rng: random.Random, call: str, param: Any, memory: Memory) -> int:
    if rng.random() < 0.1:
        return anything(rng, memory)
    name = param.name
    if (call, name) in OF_CALL and rng.random() < 0.9:
        return rng.choice(OF_CALL[call, name])
    if call == "clone" and name == "flags":
        return _clone_flags(rng)
    if param.kind == "pointer":
        if rng.random() < 0.25:
            return rng.choice(memory.bad) if rng.random() < 0.5 else 0
        if param.type.const and (
            name.endswith(("path", "name", "target", "old", "new", "argv", "envp")) or rng.random() < 0.2
        ):
            return rng.choice(memory.strings)
        if name in OF_PARAM and rng.random() < 0.7:
            known = [at for kind in OF_PARAM[name].split() for at in memory.of_kind.get(kind, ())]
            if known:
                return rng.choice(known)
        return rng.choice(memory.structures + memory.strings[:2])
    for names, choices in CHOICES.items():
        if name in names:
            return rng.choice(choices)
    if name in ("fd", "epfd", "pidfd", "fd_in", "fd_out") and rng.random() < 0.5:
        known = memory.descriptors_for(call)
        if known:
            return rng.choice(known)
    if "fd" in name or name.endswith("dir"):
        if name.endswith("dir") or name == "dirfd":
            return -100 if rng.random() < 0.5 else rng.randrange(24)
        return rng.choice(FDS) if rng.random() < 0.15 else rng.randrange(MOST_FDS)
    if name in ("pid", "tid", "tgid"):
        return rng.choice((0, 1, -1, 1 << 22, *memory.numbers(), *(-number for number in memory.numbers())))
    if name == "who":
        return rng.choice((0, 0, 1, -1, *memory.numbers()))
    if name in ("flags", "prot", "mode", "mask", "operation"):
        if rng.random() < 0.3:
            return 0
        return rng.choice(FLAGS) | (rng.choice(FLAGS) if rng.random() < 0.3 else 0)
    return anything(rng, memory)
