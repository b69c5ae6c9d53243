"""The personality's own /proc: what programs read about themselves, and a few facts about the machine.

Nothing of the host's /proc shows through. Contents are made when a file is opened. Source: proc(5).
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import LinuxError, UserFault
from ..flags import rwx
from .memory import ZERO_NAME
from .nodes import DirNode, LinkNode, Node, Stat, TextLink
from .openfile import BytesFile, OpenFile

if TYPE_CHECKING:
    from .._core.frames import FrameStore
    from ..mm.area import MemoryArea
    from ..mm.space import AddrSpace
    from .task import LinuxTask

Render = Callable[["LinuxTask"], bytes]


class TextNode(Node):
    """A file whose contents a function gives."""

    def __init__(self, path: bytes, render: Render, mode: int = 0o444) -> None:
        super().__init__(path)
        self.mode = stat.S_IFREG | mode
        self._render = render

    def open(self, task: LinuxTask, flags: int) -> OpenFile:
        return BytesFile(self, flags, self._render(task))


class StaticDir(DirNode):
    """A directory that always has the same entries."""

    def __init__(self, path: bytes, nodes: dict[bytes, Node]) -> None:
        super().__init__(path)
        self._nodes = nodes

    def lookup(self, task: LinuxTask, name: bytes) -> Node | None:
        return self._nodes.get(name)

    def names(self, task: LinuxTask) -> list[bytes]:
        return list(self._nodes)


class PlaceLink(LinkNode):
    """cwd, exe, root: a magic link to a node that the task holds, whatever its name is now."""

    def __init__(self, path: bytes, node: Callable[[LinuxTask], Node]) -> None:
        super().__init__(path)
        self._node = node

    def target(self, task: LinuxTask) -> bytes:
        return self._node(task).where()

    def follow(self, task: LinuxTask) -> Node:
        return self._node(task)


class NumberLink(LinkNode):
    """self and thread-self: a link whose target the task knows."""

    def __init__(self, path: bytes, target: Render) -> None:
        super().__init__(path)
        self._render = target

    def target(self, task: LinuxTask) -> bytes:
        return self._render(task)


class FdLink(LinkNode):
    """An entry of /proc/self/fd: a magic link to what is open, name or not. Its mode tells how it is open."""

    def __init__(self, path: bytes, file: OpenFile) -> None:
        super().__init__(path)
        self.mode = stat.S_IFLNK | (0o500 if file.readable else 0) | (0o300 if file.writable else 0)
        self._file = file

    def stat(self, task: LinuxTask) -> Stat:
        return Stat(self.mode, self.ino, self.dev, size=64)

    def target(self, task: LinuxTask) -> bytes:
        return self._file.name()

    def follow(self, task: LinuxTask) -> Node:
        node = self._file.node()
        if node is None:
            raise LinuxError(errno.ENXIO)
        return node


class FdDir(DirNode):
    """/proc/self/fd."""

    mode = stat.S_IFDIR | 0o500

    def lookup(self, task: LinuxTask, name: bytes) -> Node | None:
        try:
            file = task.files.get(int(name))
        except (ValueError, LinuxError):
            return None
        return FdLink(self.path + b"/" + name, file)

    def names(self, task: LinuxTask) -> list[bytes]:
        return [b"%d" % fd for fd in task.files.descriptors()]


class Proc(DirNode):
    """The directory /proc: one process, and the machine."""

    def __init__(self) -> None:
        super().__init__(b"/proc")
        self.twin = b"/proc"
        text = {
            b"cpuinfo": _cpuinfo,
            b"filesystems": lambda t: b"nodev\tproc\nnodev\tdevtmpfs\nnodev\ttmpfs\n\text4\n",
            b"loadavg": lambda t: b"0.00 0.00 0.00 1/1 %d\n" % t.pid,
            b"meminfo": _meminfo,
            b"stat": _machine_stat,
            b"uptime": _uptime,
            b"version": _version,
        }
        self._nodes: dict[bytes, Node] = {name: TextNode(b"/proc/" + name, render) for name, render in text.items()}
        self._nodes[b"mounts"] = TextLink(b"/proc/mounts", b"self/mounts")
        self._nodes[b"thread-self"] = NumberLink(b"/proc/thread-self", lambda t: b"%d/task/%d" % (t.pid, t.pid))
        self._nodes[b"self"] = NumberLink(b"/proc/self", lambda t: b"%d" % t.pid)
        self._nodes[b"sys"] = _sys_tree()
        self._process: DirNode | None = None

    def lookup(self, task: LinuxTask, name: bytes) -> Node | None:
        node = self._nodes.get(name)
        if node is None and name == b"%d" % task.pid:
            if self._process is None:
                self._process = _process_dir(b"/proc/" + name, True)
            node = self._process
        return node

    def names(self, task: LinuxTask) -> list[bytes]:
        return [*self._nodes, b"%d" % task.pid]


def _process_dir(path: bytes, leader: bool) -> StaticDir:
    renders: dict[bytes, Render] = {
        b"auxv": lambda t: t.mm.auxv,
        b"cmdline": _cmdline,
        b"comm": lambda t: t.comm + b"\n",
        b"environ": _environ,
        b"limits": _limits,
        b"maps": lambda t: format_maps(t, t.space).encode(),
        b"mounts": _mounts,
        b"mountinfo": _mountinfo,
        b"oom_score_adj": lambda t: b"0\n",
        b"stat": _stat,
        b"statm": _statm,
        b"status": _status,
    }
    nodes: dict[bytes, Node] = {name: TextNode(path + b"/" + name, fn) for name, fn in renders.items()}
    nodes[b"cwd"] = PlaceLink(path + b"/cwd", lambda t: t.fs.cwd)
    nodes[b"exe"] = PlaceLink(path + b"/exe", lambda t: t.mm.exe)
    nodes[b"root"] = PlaceLink(path + b"/root", lambda t: t.fs.root)
    nodes[b"fd"] = FdDir(path + b"/fd")
    if leader:
        own = path.rpartition(b"/")[2]
        thread = _process_dir(path + b"/task/" + own, False)
        nodes[b"task"] = StaticDir(path + b"/task", {own: thread})
    return StaticDir(path, nodes)


def _sys_tree() -> StaticDir:
    uname = os.uname()

    def directory(path: bytes, **files: Render) -> StaticDir:
        return StaticDir(path, {k.encode(): TextNode(path + b"/" + k.encode(), v) for k, v in files.items()})

    kernel = directory(
        b"/proc/sys/kernel",
        hostname=lambda t: uname.nodename.encode() + b"\n",
        ngroups_max=lambda t: b"65536\n",
        osrelease=lambda t: uname.release.encode() + b"\n",
        ostype=lambda t: b"Linux\n",
        pid_max=lambda t: b"4194304\n",
        cap_last_cap=lambda t: b"40\n",
        randomize_va_space=lambda t: b"0\n",
    )
    vm = directory(
        b"/proc/sys/vm",
        max_map_count=lambda t: b"65530\n",
        mmap_min_addr=lambda t: b"65536\n",
        overcommit_memory=lambda t: b"0\n",
    )
    fs = directory(b"/proc/sys/fs", nr_open=lambda t: b"1048576\n")
    return StaticDir(b"/proc/sys", {b"kernel": kernel, b"vm": vm, b"fs": fs})


# -- one process


def format_maps(task: LinuxTask, space: AddrSpace) -> str:
    """/proc/self/maps (proc_pid_maps(5)). `space`: the task's, or what is to become a child's.

    Heap and stack are what lies there now, whoever mapped it; a file has the name that it has now.
    """
    names: dict[int, str] = {}
    lines = []
    for area in space.areas():
        store = area.backend.store
        major, minor, inode, offset, name = 0, 0, 0, 0, area.name
        if store is not None:
            if id(store) not in names:
                names[id(store)] = _file_name(store)
            major, minor, inode, offset = os.major(store.device), os.minor(store.device), store.inode, area.offset
            name = names[id(store)]
        elif name == ZERO_NAME:
            status = os.stat(name)
            major, minor, inode = os.major(status.st_dev), os.minor(status.st_dev), status.st_ino
        else:
            name = area_name(task, area)
        kind = "s" if area.backend.shared else "p"
        head = f"{area.start:08x}-{area.end:08x} {rwx(area.flags)}{kind} {offset:08x} {major:02x}:{minor:02x} {inode} "
        lines.append(f"{head:<73}{name}" if name else head)
    return "".join(line + "\n" for line in lines)


def area_name(task: LinuxTask, area: MemoryArea) -> str:
    """What an area is called: its file, `[heap]` and `[stack]` where they are now, "" for any other."""
    if area.backend.store is None and area.name != ZERO_NAME:
        if area.start < task.mm.brk and area.end > task.mm.start_brk:
            return "[heap]"
        if area.start <= task.mm.start_stack < area.end:
            return "[stack]"
        if area.name in ("[heap]", "[stack]"):
            return ""
    return area.name


def _file_name(store: FrameStore) -> str:
    reader, _ = store.descriptors
    if reader < 0:
        return store.label
    try:
        return os.readlink(f"/proc/self/fd/{reader}").replace("\n", "\\012")
    except OSError:
        return store.label


def _cmdline(task: LinuxTask) -> bytes:
    """The arguments as they stand in memory now: programs write their state over them (get_mm_cmdline)."""
    start, end = task.mm.args
    text = _memory(task, start, end)
    if len(text) == end - start and text[-1:] not in (b"\0", b""):
        # The last terminator was written over: one string, which may go on over the environment.
        title, nul, _ = _memory(task, start, start + 4096).partition(b"\0")
        text = title + nul
    return text


def _environ(task: LinuxTask) -> bytes:
    return _memory(task, *task.mm.env)


def _memory(task: LinuxTask, start: int, end: int) -> bytes:
    """The program's bytes in a range, up to the first that is not there."""
    try:
        return task.space.read(start, end - start)
    except UserFault as fault:
        return task.space.read(start, fault.completed)


def vm_size(task: LinuxTask) -> int:
    """Bytes in all areas."""
    return sum(area.size for area in task.space.areas())


def _sizes(task: LinuxTask) -> tuple[int, int]:
    """Bytes mapped, bytes in data frames."""
    return vm_size(task), task.space.phys.data_frames * 4096


def _stat(task: LinuxTask) -> bytes:
    size, resident = _sizes(task)
    ticks = int(time.process_time() * 100)
    fields = [0] * 52
    fields[3], fields[4], fields[5] = os.getppid(), os.getpgrp(), os.getsid(0)
    fields[7] = -1
    fields[13] = ticks
    fields[17], fields[18], fields[19] = 20, 0, 1
    fields[21] = int(task.started * 100)
    fields[22], fields[23], fields[24] = size, resident >> 12, (1 << 64) - 1
    mm = task.mm
    fields[25], fields[26], fields[27] = *mm.code, mm.start_stack
    fields[37] = 17
    fields[44:51] = [*mm.data, mm.start_brk, *mm.args, *mm.env]
    head = b"%d (%s) R " % (task.pid, task.comm)
    return head + b" ".join(b"%d" % f for f in fields[3:]) + b"\n"


def _statm(task: LinuxTask) -> bytes:
    size, resident = _sizes(task)
    return b"%d %d 0 1 0 %d 0\n" % (size >> 12, resident >> 12, size >> 12)


def _status(task: LinuxTask) -> bytes:
    size, resident = _sizes(task)
    uid, gid = os.getresuid(), os.getresgid()
    signals = task.signals
    lines = [
        f"Name:\t{task.comm.decode(errors='replace')}",
        f"Umask:\t{task.fs.umask:04o}",
        "State:\tR (running)",
        f"Tgid:\t{task.pid}",
        "Ngid:\t0",
        f"Pid:\t{task.pid}",
        f"PPid:\t{os.getppid()}",
        "TracerPid:\t0",
        f"Uid:\t{uid[0]}\t{uid[1]}\t{uid[2]}\t{uid[1]}",
        f"Gid:\t{gid[0]}\t{gid[1]}\t{gid[2]}\t{gid[1]}",
        "FDSize:\t256",
        "Groups:\t" + " ".join(map(str, os.getgroups())) + " ",
        f"VmPeak:\t{size >> 10:8} kB",
        f"VmSize:\t{size >> 10:8} kB",
        f"VmHWM:\t{resident >> 10:8} kB",
        f"VmRSS:\t{resident >> 10:8} kB",
        "Threads:\t1",
        f"SigPnd:\t{signals.pending.mask:016x}",
        f"SigBlk:\t{signals.blocked:016x}",
        f"SigIgn:\t{signals.ignored_mask:016x}",
        f"SigCgt:\t{signals.caught_mask:016x}",
        "Cpus_allowed:\t1",
        "Cpus_allowed_list:\t0",
    ]
    return ("\n".join(lines) + "\n").encode()


def _limits(task: LinuxTask) -> bytes:
    from .limits import NAMES, get_limit

    rows = [f"{'Limit':<25} {'Soft Limit':<20} {'Hard Limit':<20} {'Units':<10}"]
    for number, (name, unit) in enumerate(NAMES):
        soft, hard = get_limit(task, number)
        words = ["unlimited" if v == (1 << 64) - 1 else str(v) for v in (soft, hard)]
        rows.append(f"{name:<25} {words[0]:<20} {words[1]:<20} {unit:<10}")
    return ("\n".join(rows) + "\n").encode()


def _root_mount() -> tuple[bytes, bytes]:
    """Device and type of the host's root file system, which is the guest's."""
    device, kind = b"/dev/root", b"ext4"
    try:
        with open("/proc/self/mounts", "rb") as file:
            for line in file:
                words = line.split(b" ")
                if words[1] == b"/":
                    device, kind = words[0], words[2]
    except (OSError, IndexError):
        pass
    return device, kind


def _mounts(task: LinuxTask) -> bytes:
    access = b"rw" if task.fs.writable.everywhere() else b"ro"
    return (
        b"%s / %s %s,relatime 0 0\n" % (*_root_mount(), access)
        + b"devtmpfs /dev devtmpfs rw,nosuid 0 0\nproc /proc proc rw,nosuid,nodev,noexec,relatime 0 0\n"
    )


def _mountinfo(task: LinuxTask) -> bytes:
    device, kind = _root_mount()
    return (
        b"1 0 8:1 / / ro,relatime - " + kind + b" " + device + b" ro\n"
        b"2 1 0:5 / /dev rw,nosuid - devtmpfs devtmpfs rw\n"
        b"3 1 0:23 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw\n"
    )


# -- the machine


def memory_size(task: LinuxTask) -> tuple[int, int]:
    """Bytes of memory that the machine shows, and how many are free."""
    phys = task.space.phys
    total = task.memory_limit if task.memory_limit is not None else min(phys.size, _host_memory())
    return total, max(0, total - phys.frames_in_use * 4096)


def _host_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _meminfo(task: LinuxTask) -> bytes:
    total, free = memory_size(task)
    rows = [("MemTotal", total), ("MemFree", free), ("MemAvailable", free), ("Buffers", 0), ("Cached", 0)]
    rows += [("SwapCached", 0), ("Shmem", 0), ("SReclaimable", 0), ("SwapTotal", 0), ("SwapFree", 0)]
    rows += [("CommitLimit", total), ("Committed_AS", total - free)]
    return "".join(f"{name + ':':<16}{value >> 10:8} kB\n" for name, value in rows).encode()


def _cpuinfo(task: LinuxTask) -> bytes:
    flags = "fpu tsc cx8 cmov mmx fxsr sse sse2 syscall nx lm pni ssse3 cx16 sse4_1 sse4_2 popcnt aes"
    rows = [
        ("processor\t", "0"),
        ("vendor_id\t", "AuthenticAMD"),
        ("cpu family\t", "15"),
        ("model\t\t", "107"),
        ("model name\t", "axptr virtual CPU"),
        ("stepping\t", "1"),
        ("cpu MHz\t\t", "1000.000"),
        ("cpu cores\t", "1"),
        ("fpu\t\t", "yes"),
        ("flags\t\t", flags),
        ("bogomips\t", "2000.00"),
        ("address sizes\t", "40 bits physical, 48 bits virtual"),
    ]
    return ("".join(f"{name}: {value}\n" for name, value in rows) + "\n").encode()


def _uptime(task: LinuxTask) -> bytes:
    up = time.clock_gettime(time.CLOCK_BOOTTIME)
    return f"{up:.2f} 0.00\n".encode()


def _machine_stat(task: LinuxTask) -> bytes:
    ticks = int(time.process_time() * 100)
    boot = int(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME))
    return (
        b"cpu  %d 0 0 0 0 0 0 0 0 0\ncpu0 %d 0 0 0 0 0 0 0 0 0\nintr 0\nctxt 0\nbtime %d\nprocesses 1\n"
        b"procs_running 1\nprocs_blocked 0\n" % (ticks, ticks, boot)
    )


def _version(task: LinuxTask) -> bytes:
    u = os.uname()
    return f"Linux version {u.release} (axptr) {u.version}\n".encode()
