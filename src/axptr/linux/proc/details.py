"""Texts of /proc/PID that few programs read: what the scheduler knows of a task, its call, its timers, how its memory
lies on the nodes, what is mounted. Source: kernel/sched/debug.c, fs/proc/base.c, fs/proc/task_mmu.c,
fs/proc_namespace.c of Linux 6.18.
"""

from __future__ import annotations

import errno
import os

from ...errors import LinuxError
from ..fs.mounts import escaped
from ..mem.vma import ZERO_NAME
from .maps import area_name, count_pages
from .nodes import StaticDir, TextNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from ..fs.node import Node
    from ..task.task import LinuxTask
    from .nodes import Who

_NICE_0 = 1 << 20
_MS = 1_000_000


def schedstat(task: LinuxTask) -> bytes:
    """Nanoseconds on a CPU; waiting for one nobody counts; how often it had one."""
    return b"%d 0 %d\n" % (task.cpu.user + task.cpu.system, task.voluntary + task.involuntary + 1)


def ksm_merging_pages(task: LinuxTask) -> bytes:
    """Equal pages never become one here."""
    return b"" if task.dead else b"0\n"


def ksm_stat(task: LinuxTask) -> bytes:
    """That it was asked for (prctl) is kept and told."""
    if task.dead:
        return b""
    counts = (b"ksm_rmap_items", b"ksm_zero_pages", b"ksm_merging_pages", b"ksm_process_profit")
    asked = b"yes" if task.mm.merges else b"no"
    return b"".join(b"%s 0\n" % name for name in counts) + b"ksm_merge_any: %s\nksm_mergeable: %s\n" % (asked, asked)


def sched(task: LinuxTask) -> bytes:
    used = task.cpu.user + task.cpu.system
    at = task.machine.host.monotonic_ns()
    head = b"%s (%d, #threads: %d)\n" % (task.comm, task.tid, max(task.group.live, 1))
    shown: list[tuple[str, str]] = [
        (name, f"{value // _MS}.{value % _MS:06}")
        for name, value in (("se.exec_start", at), ("se.vruntime", used), ("se.sum_exec_runtime", used))
    ]
    counts = [
        ("se.nr_migrations", 0), ("nr_switches", task.voluntary + task.involuntary),
        ("nr_voluntary_switches", task.voluntary), ("nr_involuntary_switches", task.involuntary),
        ("se.load.weight", _NICE_0), ("policy", task.sched.policy), ("prio", 120 + task.nice),
    ]  # fmt: skip
    shown += [(name, str(value)) for name, value in counts]
    rows = "".join(f"{name:<45}:{value:>21}\n" for name, value in shown)
    return head + b"-" * 67 + b"\n" + rows.encode()


def mountstats(task: LinuxTask) -> bytes:
    text = b""
    for mount in task.fs.mounts.mounts:
        source, kind, _ = mount.device()
        text += b"device %s mounted on %s with fstype %s\n" % (escaped(source), escaped(mount.place()), kind)
    return text


def numa_maps(task: LinuxTask) -> bytes:
    """All on the one node, by its default policy."""
    text = b""
    for area in task.space.areas():
        found, store = count_pages(task, area), area.backend.store
        name = area_name(task, area)
        text += b"%08x default" % area.start
        if store is not None or area.name == ZERO_NAME:
            named = getattr(area.backend, "named", None)
            text += b" file=" + (named() if named is not None else os.fsencode(name or (store.label if store else "")))
        elif name in ("[heap]", "[stack]"):
            text += b" " + name[1:-1].encode()
        if found.own:
            text += b" anon=%d dirty=%d" % (found.own, found.own)
        if found.file + found.shared:
            text += b" mapped=%d" % (found.file + found.shared)
        if found.resident:
            text += b" N0=%d kernelpagesize_kB=4" % found.resident
        text += b"\n"
    return text


def syscall(task: LinuxTask) -> bytes:
    """Which call it is in, six arguments, stack pointer and place; `running` if in none. Who reads its own is in that
    very call."""
    if task.dead:
        raise LinuxError(errno.ESRCH)
    record, loop = task.blocked, task.loop
    context = loop.registers(task) if loop is not None else None
    if loop is None or context is None or (record is None and loop.current is not task):
        return b"running\n"
    number = record.call[0] if record is not None else task.call_in_hand[0]
    read = context.read
    arguments = b" ".join(b"0x%x" % read(name) for name in ("rdi", "rsi", "rdx", "r10", "r8", "r9"))
    return b"%d %s 0x%x 0x%x\n" % (number, arguments, read("rsp"), read("rip"))


def timers(task: LinuxTask) -> bytes:
    """show_timer."""
    text = b""
    for timer in task.group.timers.posix.all():
        how = "none" if timer.how == 1 else "signal"
        whose = f"tid.{timer.thread.tid}" if timer.thread is not None else f"pid.{task.pid}"
        text += (
            f"ID: {timer.number}\nsignal: {timer.signal}/{timer.value & (1 << 64) - 1:016x}\nnotify: {how}/{whose}\n"
            f"ClockID: {timer.clock}\n"
        ).encode()
    return text


def _no_module(task: LinuxTask, data: bytes = b"") -> NoReturn:
    """No security module is there to say anything, or to be told."""
    raise LinuxError(errno.EINVAL)


def attributes(path: bytes, who: Who) -> StaticDir:
    """/proc/PID/attr."""
    nodes: dict[bytes, Node] = {}
    for name in (b"current", b"exec", b"fscreate", b"keycreate", b"prev", b"sockcreate"):
        taken = None if name == b"prev" else _no_module
        nodes[name] = TextNode(path + b"/" + name, _no_module, 0o444 if name == b"prev" else 0o666, taken)
        nodes[name].whose = who
    made = StaticDir(path, nodes)
    made.whose = who
    return made
