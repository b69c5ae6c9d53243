"""The personality's own /proc: what programs read about themselves, and a few facts about the machine.

Nothing of the host's /proc shows through. Here are the tree, what is mounted, and the machine; `proc.process` and
`proc.maps` have the texts about the process, `proc.nodes` the kinds of files. Source: proc(5).
"""

from __future__ import annotations

import errno
import os
import stat

from ...errors import LinuxError
from ...light import cached_property
from ..fs.mounts import escaped
from ..fs.node import (
    DirNode,
    LinkNode,
    Node,
    TextLink,
)
from ..fs.openfile import OpenFile
from ..mem.limits import memory_size
from ..task.looking import may_look, seen_by
from . import process as procself
from .maps import format_maps, format_rollup, format_smaps
from .nodes import MemNode, NumberLink, PagemapNode, PlaceLink, StaticDir, TextNode, name_spaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..fs.node import Stat
    from ..task.creds import Credentials
    from ..task.task import LinuxTask
    from .nodes import Render, Take, Who


class FdLink(LinkNode):
    """An entry of /proc/self/fd: a magic link to what is open, name or not. Its mode tells how it is open."""

    def __init__(self, path: bytes, file: OpenFile, who: Who) -> None:
        """who: whose it is, for who may look into that one (proc_fd_access_allowed)."""
        super().__init__(path)
        self._who = who
        self.mode = stat.S_IFLNK | (0o500 if file.readable else 0) | (0o300 if file.writable else 0)
        self._file = file

    def stat(self, task: LinuxTask) -> Stat:
        return self.own_stat(task, size=64)

    def target(self, task: LinuxTask) -> bytes:
        seen_by(task, self._who(task))
        return task.fs.shown(task.machine.host.shown_name(self._file.name()))

    def follow(self, task: LinuxTask) -> Node:
        seen_by(task, self._who(task))
        node = self._file.node()
        if node is None:
            raise LinuxError(errno.ENXIO)
        return node


class FdDir(DirNode):
    """/proc/PID/fd: a link for each descriptor of a thread."""

    mode = stat.S_IFDIR | 0o500

    def __init__(self, path: bytes, who: Who) -> None:
        super().__init__(path)
        self._who = who

    def permits(self, task: LinuxTask, creds: Credentials, wanted: int) -> bool:
        """Of its own a thread sees all (proc_fd_permission)."""
        return super().permits(task, creds, wanted) or (self.whose is not None and self.whose(task).group is task.group)

    def lookup(self, task: LinuxTask, name: bytes) -> Node | None:
        whose = self._who(task)
        fd = _descriptor(whose, name)
        if fd is None:
            return None
        entry = self.entry(fd, whose.files.get(fd))
        entry.whose = self.whose
        return entry

    def entry(self, fd: int, file: OpenFile) -> Node:
        return FdLink(self.path + b"/%d" % fd, file, self._who)

    def names(self, task: LinuxTask) -> list[bytes]:
        return [b"%d" % fd for fd in self._who(task).files.descriptors()]


class FdInfoDir(FdDir):
    """/proc/self/fdinfo: a text for each descriptor."""

    mode = stat.S_IFDIR | 0o555

    def permits(self, task: LinuxTask, creds: Credentials, wanted: int) -> bool:
        """Nobody else's but of who may be looked into (proc_fdinfo_permission)."""
        if self.whose is not None and not may_look(task, self.whose(task), by_files=True):
            return False
        return super().permits(task, creds, wanted)

    def entry(self, fd: int, file: OpenFile) -> Node:
        return TextNode(self.path + b"/%d" % fd, lambda t: procself.fdinfo(self._who(t), fd, file))


def _descriptor(task: LinuxTask, name: bytes) -> int | None:
    """The open descriptor with this very name, None if there is none."""
    if not name.isdigit() or len(name) > 10 or name != b"%d" % int(name):
        return None
    return int(name) if int(name) in task.files.descriptors() else None


KERNEL_FILES = frozenset(
    b"""
    buddyinfo cgroups cmdline config.gz consoles crypto devices diskstats dma execdomains interrupts key-users keys
    locks misc modules partitions pressure slabinfo softirqs swaps sysvipc tty vmstat zoneinfo
    """.split()
)
"""What `proc.kernelfiles` has."""


class Proc(DirNode):
    """The directory /proc: the processes, and the machine."""

    def __init__(self) -> None:
        super().__init__(b"/proc")
        self.twin = b"/proc"
        text = {
            b"cpuinfo": _cpuinfo,
            b"filesystems": lambda t: b"".join(
                (b"" if on_device else b"nodev") + b"\t%b\n" % name for name, on_device in FILE_SYSTEMS.items()
            ),
            b"loadavg": _loadavg,
            b"meminfo": _meminfo,
            b"stat": _machine_stat,
            b"uptime": _uptime,
            b"version": _version,
        }
        self._nodes: dict[bytes, Node] = {
            name: TextNode(b"/proc/" + name, render, splices=True) for name, render in text.items()
        }
        self._nodes[b"mounts"] = TextLink(b"/proc/mounts", b"self/mounts")
        self._nodes[b"net"] = TextLink(b"/proc/net", b"self/net")
        self._nodes[b"thread-self"] = NumberLink(b"/proc/thread-self", lambda t: b"%d/task/%d" % (t.pid, t.tid))
        self._nodes[b"self"] = NumberLink(b"/proc/self", lambda t: b"%d" % t.pid)
        self._processes: dict[int, DirNode] = {}

    @cached_property
    def _kernel(self) -> StaticDir:
        """What few look at, made when somebody does."""
        from .kernelfiles import fill

        made = StaticDir(b"/proc", {})
        fill(made)
        return made

    def lookup(self, task: LinuxTask, name: bytes) -> Node | None:
        node = self._nodes.get(name)
        if node is None and name in KERNEL_FILES:
            node = self._kernel.lookup(task, name)
        if node is None and name == b"sys":
            from .settings import sys_tree

            node = self._nodes[name] = sys_tree(task.machine.host)
        number = _number(name) if node is None else None
        return node if number is None else self._process(task, number)

    def _process(self, task: LinuxTask, number: int) -> Node | None:
        """That of a process, or by a thread's number of the one that it belongs to (which is listed nowhere)."""
        pids = task.machine.pids
        if number not in pids.tasks and number not in pids.groups:
            self._processes.pop(number, None)
            return None
        found = self._processes.get(number)
        if found is None:
            for gone in [n for n in self._processes if n not in pids.tasks and n not in pids.groups]:
                del self._processes[gone]
            if len(self._processes) >= _KEPT:  # made again when asked for
                self._processes.clear()
            found = self._processes[number] = _process_dir(b"/proc/%d" % number, number, leader=True)
        return found

    def names(self, task: LinuxTask) -> list[bytes]:
        return [
            *sorted({*self._nodes, *KERNEL_FILES, b"sys"}),
            *(b"%d" % number for number in sorted(task.machine.pids.groups)),
        ]


class CommNode(TextNode):
    """/proc/PID/comm, which every thread of the process may write to (proc_tid_comm_permission)."""

    def permits(self, task: LinuxTask, creds: Credentials, wanted: int) -> bool:
        own = self.whose is not None and self.whose(task).group is task.group and not wanted & 1
        return own or super().permits(task, creds, wanted)


_KEPT = 64
"""Directories of processes that are kept for the next look."""


def _number(name: bytes) -> int | None:
    """The number of a process that a name is."""
    return int(name) if name.isdigit() and len(name) < 10 and name[:1] != b"0" else None


class TaskDir(DirNode):
    """/proc/PID/task: a directory for each thread."""

    def __init__(self, path: bytes, who: Who) -> None:
        super().__init__(path)
        self._who = who

    def lookup(self, task: LinuxTask, name: bytes) -> Node | None:
        number = _number(name)
        if number is None or number not in self._numbers(task):
            return None
        return _process_dir(self.path + b"/" + name, number, leader=False)

    def names(self, task: LinuxTask) -> list[bytes]:
        return [b"%d" % number for number in sorted(self._numbers(task))]

    def _numbers(self, task: LinuxTask) -> Iterable[int]:
        about = self._who(task)
        return about.group.threads or (about.tid,)  # init's one is in no table


_WITH_END = frozenset(
    (b"auxv", b"cmdline", b"coredump_filter", b"environ", b"loginuid", b"oom_adj", b"oom_score_adj", b"sessionid")
)
"""Texts that are no seq_file of the kernel's."""
FILE_SYSTEMS = {b"proc": False, b"devtmpfs": False, b"tmpfs": False, b"devpts": False, b"ext4": True}
"""Those that there are, by name, and whether one lies on a device."""
_SECRET = frozenset((b"io", b"personality", b"stack", b"syscall", b"timers"))
"""Texts that tell of what is a process's own, to who may look into it when it is read."""
_SHUT = frozenset((b"auxv", b"environ", b"maps", b"smaps", b"smaps_rollup"))
"""Those that only who may look into it can open."""


_DETAILS = {
    b"ksm_merging_pages": 0o400, b"ksm_stat": 0o400, b"mountstats": 0o400, b"numa_maps": 0o444, b"sched": 0o644,
    b"schedstat": 0o444, b"syscall": 0o400, b"timers": 0o444,
}  # fmt: skip
"""Texts of `proc.details`, and their modes."""


class AttributesDir(DirNode):
    """/proc/PID/attr, made when it is first looked at."""

    def __init__(self, path: bytes, who: Who) -> None:
        super().__init__(path)
        self._who = who

    @cached_property
    def _made(self) -> StaticDir:
        from .details import attributes

        return attributes(self.path, self._who)

    def lookup(self, task: LinuxTask, name: bytes) -> Node | None:
        return self._made.lookup(task, name)

    def names(self, task: LinuxTask) -> list[bytes]:
        return self._made.names(task)


class NetDir(DirNode):
    """/proc/PID/net, made when it is first looked at."""

    @cached_property
    def _made(self) -> StaticDir:
        from .net import net_directory

        return net_directory(self.path)

    def lookup(self, task: LinuxTask, name: bytes) -> Node | None:
        return self._made.lookup(task, name)

    def names(self, task: LinuxTask) -> list[bytes]:
        return self._made.names(task)


def _process_dir(path: bytes, number: int, *, leader: bool) -> StaticDir:
    """/proc/PID, or of a thread (not `leader`) /proc/PID/task/TID, which lacks some of it. Whoever reads there."""
    nodes: dict[bytes, Node] = {}

    def who(task: LinuxTask) -> LinuxTask:
        found = task.machine.thread(number)
        if found is None:  # it is no more
            raise LinuxError(errno.ESRCH)
        return found

    def seen(task: LinuxTask) -> LinuxTask:
        return seen_by(task, who(task))

    def running(task: LinuxTask) -> LinuxTask:
        about = seen(task)
        if about.dead:
            raise LinuxError(errno.ENOENT)
        return about

    def text(name: bytes, render: Render, mode: int = 0o444, accept: Take | None = None) -> None:
        taken = None if accept is None else lambda t, data: accept(seen(t), data)
        of, opening = seen if name in _SECRET else who, seen if name in _SHUT else None
        nodes[name] = TextNode(
            path + b"/" + name, lambda t: render(of(t)), mode, taken, has_end=name in _WITH_END, opening=opening
        )

    text(b"auxv", procself.auxv, 0o400)
    text(b"cgroup", lambda t: b"0::/\n")
    text(b"clear_refs", lambda t: b"", 0o200, procself.clear_refs)
    text(b"cmdline", procself.cmdline)
    nodes[b"comm"] = CommNode(
        path + b"/comm", lambda t: who(t).comm + b"\n", 0o644, lambda t, data: _rename(t, who(t), data)
    )
    text(b"cpuset", lambda t: b"/\n")
    text(b"environ", procself.environ, 0o400)
    text(b"io", procself.io, 0o400)
    text(b"limits", procself.limits)
    text(b"loginuid", lambda t: b"4294967295", 0o644)
    text(b"maps", lambda t: format_maps(t, t.space).encode())
    text(b"mountinfo", _mountinfo)
    text(b"mounts", _mounts)
    for name in (b"mounts", b"mountinfo"):
        nodes[name].splices = True  # type: ignore[attr-defined]
        nodes[name].always_ready = 0x41  # type: ignore[attr-defined]  # POLLIN, POLLRDNORM: mounts_poll
    text(b"oom_adj", procself.oom_adj, 0o644, procself.set_oom_adj)
    text(b"oom_score", procself.oom_score)
    text(b"oom_score_adj", lambda t: b"%d\n" % t.group.oom_score_adj, 0o644, procself.set_oom_score_adj)
    text(b"personality", lambda t: b"%08x\n" % t.kept.personality, 0o400)
    text(b"sessionid", lambda t: b"4294967295")
    text(b"smaps", lambda t: format_smaps(t).encode())
    text(b"smaps_rollup", lambda t: format_rollup(t).encode())
    nodes[b"stat"] = TextNode(
        path + b"/stat", lambda t: procself.stat(who(t), leader, shown=may_look(t, who(t), by_files=True))
    )
    text(b"statm", procself.statm)
    nodes[b"status"] = TextNode(path + b"/status", lambda t: procself.status(who(t), t))
    text(b"wchan", lambda t: b"0")
    for name, (render, mode) in _details(leader).items():
        text(name, render, mode)
    nodes[b"attr"] = AttributesDir(path + b"/attr", who)
    from .userfiles import id_files

    nodes |= id_files(path, who)
    nodes |= _places(path, who, seen, running)
    if leader:
        nodes[b"map_files"] = LaterDir(path + b"/map_files", lambda: _map_files(path, seen))
        text(b"coredump_filter", lambda t: b"%08x\n" % t.group.coredump_filter, 0o644, procself.set_coredump_filter)
        text(b"timerslack_ns", lambda t: b"%d\n" % (t.kept.timer_slack or 50000), 0o666, procself.set_timer_slack)
        nodes[b"task"] = TaskDir(path + b"/task", who)
    else:
        text(b"children", procself.children)
    made = StaticDir(path, nodes)
    made.process = number if leader else None
    for name, node in nodes.items():
        node.whose = who if name != b"net" else None
    made.whose = who
    return made


def _places(path: bytes, who: Who, seen: Who, running: Who) -> dict[bytes, Node]:
    """What of /proc/PID leads elsewhere: to files, to memory, to other directories."""
    return {
        b"cwd": PlaceLink(path + b"/cwd", lambda t: running(t).fs.cwd),
        b"exe": PlaceLink(path + b"/exe", lambda t: procself.exe(running(t))),
        b"root": PlaceLink(path + b"/root", lambda t: running(t).fs.root),
        b"fd": FdDir(path + b"/fd", who),
        b"fdinfo": FdInfoDir(path + b"/fdinfo", seen),
        b"mem": MemNode(path + b"/mem", seen),
        b"net": NetDir(path + b"/net"),
        b"ns": name_spaces(path + b"/ns", seen),
        b"pagemap": PagemapNode(path + b"/pagemap", seen),
    }


class LaterDir(DirNode):
    """A directory that is made when it is first looked into, as this or that of a process seldom is."""

    mode = stat.S_IFDIR | 0o500

    def __init__(self, path: bytes, make: Callable[[], DirNode]) -> None:
        super().__init__(path)
        self._make = make

    @cached_property
    def _made(self) -> DirNode:
        made = self._make()
        made.whose = self.whose
        return made

    def lookup(self, task: LinuxTask, name: bytes) -> Node | None:
        return self._made.lookup(task, name)

    def names(self, task: LinuxTask) -> list[bytes]:
        return self._made.names(task)


def _map_files(path: bytes, who: Who) -> DirNode:
    from .mapfiles import MapFilesDir

    return MapFilesDir(path + b"/map_files", who)


def _details(leader: bool) -> dict[bytes, tuple[Render, int]]:
    """Texts that few programs read, and their modes; those of `proc.details`, and what never changes."""
    found: dict[bytes, tuple[Render, int]] = {b"arch_status": (lambda t: b"", 0o444), b"stack": (lambda t: b"", 0o400)}
    for name, mode in _DETAILS.items():
        if leader or name not in (b"mountstats", b"timers"):
            found[name] = (lambda t, name=name: _detail(name, t)), mode  # type: ignore[misc]
    if leader:
        offsets = b"monotonic           0         0\nboottime            0         0\n"
        found[b"autogroup"] = (lambda t: b"/autogroup-%d nice 0\n" % t.group.sid), 0o644  # one a session
        found[b"timens_offsets"] = (lambda t: offsets), 0o644
    return found


def _detail(name: bytes, task: LinuxTask) -> bytes:
    from . import details

    told: Render = getattr(details, name.decode())
    return told(task)


def _rename(task: LinuxTask, about: LinuxTask, name: bytes) -> None:
    """EINVAL for who is of another process (comm_write)."""
    if about.group is not task.group:
        raise LinuxError(errno.EINVAL)
    procself.set_comm(about, name)


# -- what is mounted


def _mounts(task: LinuxTask) -> bytes:
    """show_vfsmnt of fs/proc_namespace.c."""
    text = b""
    for mount in task.fs.mounts.mounts:
        source, kind, options = mount.device()
        told = b",".join(filter(None, (mount.access(), options)))
        text += b"%s %s %s %s 0 0\n" % (escaped(source), escaped(mount.place()), kind, told + mount.details())
    return text


def _mountinfo(task: LinuxTask) -> bytes:
    """show_mountinfo; what of the host's is mounted is shown as a whole."""
    text = b""
    for mount in task.fs.mounts.mounts:
        source, kind, options = mount.device()
        above = mount.above.mount if mount.above is not None else None
        device, access = mount.root.stat(task).st_dev, mount.access()
        text += b"%d %d %d:%d %s %s %s - %s %s %s\n" % (
            mount.number,
            above.number if above is not None else 0,
            os.major(device),
            os.minor(device),
            escaped(mount.part),
            escaped(mount.place()),
            b",".join(filter(None, (b"rw" if mount.by_tree else access, options))),
            kind,
            escaped(source),
            access + mount.details(),
        )
    return text


# -- the machine


def _running(task: LinuxTask) -> int:
    return sum(other.blocked is None and not other.dead for other in task.machine.tasks.values())


def _loadavg(task: LinuxTask) -> bytes:
    """How many tasks can run, how many there are, the last number that was given out. Averages nobody keeps."""
    pids = task.machine.pids
    return b"0.00 0.00 0.00 %d/%d %d\n" % (_running(task), len(pids.tasks), pids.last)


_MEMORY = """
MemTotal MemFree MemAvailable Buffers Cached SwapCached Active Inactive Active(anon) Inactive(anon) Active(file)
Inactive(file) Unevictable Mlocked SwapTotal SwapFree Dirty Writeback AnonPages Mapped Shmem KReclaimable Slab
SReclaimable SUnreclaim KernelStack PageTables SecPageTables NFS_Unstable Bounce WritebackTmp CommitLimit Committed_AS
VmallocTotal VmallocUsed VmallocChunk Percpu AnonHugePages ShmemHugePages ShmemPmdMapped FileHugePages FilePmdMapped
HugePages_Total HugePages_Free HugePages_Rsvd HugePages_Surp Hugepagesize Hugetlb DirectMap4k DirectMap2M DirectMap1G
"""
"""The rows of meminfo, in their order."""


def _meminfo(task: LinuxTask) -> bytes:
    total, free = memory_size(task)
    used = {"MemTotal": total, "MemFree": free, "MemAvailable": free, "CommitLimit": total}
    used |= dict.fromkeys(("Active", "Active(anon)", "AnonPages", "Committed_AS"), total - free)
    used |= {"VmallocTotal": (1 << 45) - 1024, "Hugepagesize": 2 << 20}
    rows = (f"{name + ':':<16}{used.get(name, 0) >> 10:8} kB\n" for name in _MEMORY.split())
    return "".join(row.replace(" kB", "") if row.startswith("HugePages_") else row for row in rows).encode()


def _cpuinfo(task: LinuxTask) -> bytes:
    return task.machine.cpu.text(task.machine.host.cpu_count)


def _uptime(task: LinuxTask) -> bytes:
    return b"%d.%02d 0.00\n" % divmod(task.machine.host.boottime_ns() // 10_000_000, 100)


def _machine_stat(task: LinuxTask) -> bytes:
    host = task.machine.host
    ticks = host.machine_cpu_ns() // 10_000_000
    boot = (host.realtime_ns() - host.boottime_ns()) // 10**9
    each = b"".join(b"cpu%d %d 0 0 0 0 0 0 0 0 0\n" % (n, ticks // host.cpu_count) for n in range(host.cpu_count))
    return (
        b"cpu  %d 0 0 0 0 0 0 0 0 0\n%sintr 0\nctxt 0\nbtime %d\nprocesses %d\nprocs_running %d\nprocs_blocked 0\n"
        % (ticks, each, boot, task.machine.pids.made, _running(task))
    )


def _version(task: LinuxTask) -> bytes:
    u = task.machine.host.uname
    return f"Linux version {u.release} (axptr) {u.version}\n".encode()
