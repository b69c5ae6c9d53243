"""`/sys` of the machine, as far as programs ask it: CPUs, memory nodes, network devices, limits of its control group.

Nothing of the host's shows through, and nothing can be changed. CPUs are as many as the machine has
(`HostView.cpu_count`), each a core of one package; there is one node, one network device (the loopback), no disk.
The control group is the root of a hierarchy of the second version, with the machine's limits as a container's group
has them. Source: sysfs(5), sysfs-devices-system-cpu and sysfs-class-net of Documentation/ABI, cgroup-v2.rst.
"""

from __future__ import annotations

import errno

from ..fs.node import DirNode, Node, Stat, TextLink
from ..mem.limits import memory_size
from .nodes import StaticDir, TextNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask
    from .nodes import Render

_MAGIC, _CGROUP_MAGIC = 0x6265_6572, 0x6367_7270
_DEV = 0x16
_PAGE = 4096
_MOST_CPUS = 255
_NET = b"/sys/devices/virtual/net/lo"


class SysFile(TextNode):
    """A file of /sys: a page long, whatever is in it."""

    immutable = errno.EROFS
    dev = _DEV
    magic = _MAGIC

    def stat(self, task: LinuxTask) -> Stat:
        return self.own_stat(task, size=_PAGE)


class SysDir(StaticDir):
    immutable = errno.EROFS
    dev = _DEV
    magic = _MAGIC

    def __init__(self, path: bytes, nodes: dict[bytes, Node], mode: int = 0o755) -> None:
        super().__init__(path, nodes, mode)

    def directory(self, name: bytes) -> SysDir:
        node = self.lookup(None, name)  # type: ignore[arg-type]
        if not isinstance(node, SysDir):
            node = SysDir(self.path + b"/" + name, {})
            self.add(name, node)
        return node


class SysLink(TextLink):
    immutable = errno.EROFS
    dev = _DEV
    magic = _MAGIC


def _numbers(task: LinuxTask) -> bytes:
    """All CPUs, as a list of ranges."""
    last = task.machine.host.cpu_count - 1
    return b"0-%d\n" % last if last else b"0\n"


def _mask(task: LinuxTask) -> bytes:
    """All CPUs, as a mask: words of 32 bits, the highest first."""
    bits = (1 << task.machine.host.cpu_count) - 1
    words: list[bytes] = []
    while bits or not words:
        words.append(b"%x" % (bits & 0xFFFF_FFFF) if bits >> 32 == 0 else b"%08x" % (bits & 0xFFFF_FFFF))
        bits >>= 32
    return b",".join(reversed(words)) + b"\n"


def _said(text: bytes) -> Render:
    return lambda task: text + b"\n"


class CpusDir(SysDir):
    """/sys/devices/system/cpu: a directory for each CPU, and what is told of all."""

    def __init__(self) -> None:
        super().__init__(b"/sys/devices/system/cpu", {})
        told: dict[bytes, Render] = {
            b"online": _numbers, b"possible": _numbers, b"present": _numbers, b"offline": _said(b""),
            b"isolated": _said(b""), b"kernel_max": _said(b"%d" % _MOST_CPUS),
        }  # fmt: skip
        for name, render in told.items():
            self.add(name, SysFile(self.path + b"/" + name, render))
        smt = self.directory(b"smt")
        smt.add(b"active", SysFile(smt.path + b"/active", _said(b"0")))
        smt.add(b"control", SysFile(smt.path + b"/control", _said(b"notsupported"), 0o644))

    def lookup(self, task: LinuxTask, name: bytes) -> Node | None:
        found = super().lookup(task, name)
        if found is None and name.startswith(b"cpu") and name[3:].isdigit() and len(name) < 8:
            number = int(name[3:])
            if name == b"cpu%d" % number and number < task.machine.host.cpu_count:
                found = _cpu(self.path + b"/" + name, number)
                self.add(name, found)
        return found

    def names(self, task: LinuxTask) -> list[bytes]:
        fixed = {*super().names(task), *(b"cpu%d" % number for number in range(task.machine.host.cpu_count))}
        return sorted(fixed)


def _cpu(path: bytes, number: int) -> SysDir:
    made = SysDir(path, {b"node0": SysLink(path + b"/node0", b"../../node/node0")})
    if number:  # the first cannot be taken away
        made.add(b"online", SysFile(path + b"/online", _said(b"1"), 0o644))
    topology = made.directory(b"topology")
    alone, own = _said(b"%d" % number), _said(_one_bit(number))
    told: dict[bytes, Render] = {
        b"core_id": alone, b"physical_package_id": _said(b"0"), b"die_id": _said(b"0"), b"cluster_id": _said(b"65535"),
        b"thread_siblings": own, b"thread_siblings_list": alone, b"core_cpus": own, b"core_cpus_list": alone,
        b"core_siblings": _mask, b"core_siblings_list": _numbers, b"package_cpus": _mask,
        b"package_cpus_list": _numbers, b"die_cpus": _mask, b"die_cpus_list": _numbers,
    }  # fmt: skip
    for name, render in told.items():
        topology.add(name, SysFile(topology.path + b"/" + name, render))
    return made


def _one_bit(number: int) -> bytes:
    return b"%x" % (1 << number % 32) + b",00000000" * (number // 32)


def _node_memory(task: LinuxTask) -> bytes:
    total, free = memory_size(task)
    rows = (b"MemTotal", total), (b"MemFree", free), (b"MemUsed", total - free)
    return b"".join(b"Node 0 %-15s %8d kB\n" % (name + b":", size >> 10) for name, size in rows)


def _loopback() -> SysDir:
    """The loopback's directory, as /sys/class/net/lo leads to it."""
    from ..net.interfaces import ARPHRD_LOOPBACK, LOOPBACK_NUMBER, MTU, QUEUE, flags

    made = SysDir(_NET, {b"subsystem": SysLink(_NET + b"/subsystem", b"../../../../class/net")})
    told: dict[bytes, Render] = {
        b"address": _said(b"00:00:00:00:00:00"), b"broadcast": _said(b"00:00:00:00:00:00"), b"addr_len": _said(b"6"),
        b"mtu": _said(b"%d" % MTU), b"tx_queue_len": _said(b"%d" % QUEUE), b"type": _said(b"%d" % ARPHRD_LOOPBACK),
        b"ifindex": _said(b"%d" % LOOPBACK_NUMBER), b"iflink": _said(b"%d" % LOOPBACK_NUMBER),
        b"flags": lambda task: b"%#x\n" % (flags(task) & ~0x40), b"carrier": _said(b"1"), b"dormant": _said(b"0"),
        b"operstate": lambda task: b"unknown\n" if flags(task) & 1 else b"down\n", b"link_mode": _said(b"0"),
        b"dev_id": _said(b"0x0"), b"group": _said(b"0"), b"uevent": _said(b"INTERFACE=lo\nIFINDEX=1"),
    }  # fmt: skip
    for name, render in told.items():
        made.add(name, SysFile(made.path + b"/" + name, render))
    statistics = made.directory(b"statistics")
    for name in (b"rx", b"tx"):
        for what in (b"_bytes", b"_packets", b"_errors", b"_dropped"):
            statistics.add(name + what, SysFile(statistics.path + b"/" + name + what, _said(b"0")))
    return made


class GroupFile(SysFile):
    """A file of the control group."""

    magic = _CGROUP_MAGIC

    def stat(self, task: LinuxTask) -> Stat:
        return self.own_stat(task)


class GroupDir(SysDir):
    magic = _CGROUP_MAGIC


def _control_group() -> GroupDir:
    """/sys/fs/cgroup: what the machine may use."""

    def memory_most(task: LinuxTask) -> bytes:
        limit = task.machine.memory_limit
        return b"max\n" if limit is None else b"%d\n" % (limit & -_PAGE)

    def memory_used(task: LinuxTask) -> bytes:
        return b"%d\n" % (task.machine.account.used)

    def processes(task: LinuxTask) -> bytes:
        return b"".join(b"%d\n" % number for number in sorted(task.machine.pids.groups))

    path = b"/sys/fs/cgroup"
    told: dict[bytes, Render] = {
        b"cgroup.controllers": _said(b"cpu memory pids"), b"cgroup.subtree_control": _said(b""),
        b"cgroup.type": _said(b"domain"), b"cgroup.procs": processes, b"cpu.max": _said(b"max 100000"),
        b"memory.max": memory_most, b"memory.high": _said(b"max"), b"memory.current": memory_used,
        b"memory.swap.max": _said(b"0"), b"memory.swap.current": _said(b"0"),
        b"pids.max": lambda task: b"%d\n" % task.machine.pids.most if task.machine.pids.most else b"max\n",
        b"pids.current": lambda task: b"%d\n" % len(task.machine.pids.tasks),
    }  # fmt: skip
    return GroupDir(path, {name: GroupFile(path + b"/" + name, render) for name, render in told.items()})


def make_sys() -> DirNode:
    """The whole tree."""
    root = SysDir(b"/sys", {}, 0o555)
    system = root.directory(b"devices").directory(b"system")
    system.add(b"cpu", CpusDir())
    node = system.directory(b"node")
    for name in (b"online", b"possible", b"has_cpu", b"has_memory", b"has_normal_memory"):
        node.add(name, SysFile(node.path + b"/" + name, _said(b"0")))
    first = node.directory(b"node0")
    told: dict[bytes, Render] = {
        b"cpulist": _numbers, b"cpumap": _mask, b"distance": _said(b"10"), b"meminfo": _node_memory,
    }  # fmt: skip
    for name, render in told.items():
        first.add(name, SysFile(first.path + b"/" + name, render))
    root.directory(b"devices").directory(b"virtual").directory(b"net").add(b"lo", _loopback())
    net = root.directory(b"class").directory(b"net")
    net.add(b"lo", SysLink(net.path + b"/lo", b"../../devices/virtual/net/lo"))
    for name in (b"block", b"bus", b"dev", b"firmware", b"module", b"power"):
        root.directory(name)
    root.directory(b"class").directory(b"block")
    for name in (b"block", b"char"):
        root.directory(b"dev").directory(name)
    root.directory(b"fs").add(b"cgroup", _control_group())
    huge = root.directory(b"kernel").directory(b"mm").directory(b"transparent_hugepage")
    huge.add(b"enabled", SysFile(huge.path + b"/enabled", _said(b"always madvise [never]"), 0o644))
    huge.add(b"defrag", SysFile(huge.path + b"/defrag", _said(b"always defer defer+madvise madvise [never]"), 0o644))
    huge.add(b"hpage_pmd_size", SysFile(huge.path + b"/hpage_pmd_size", _said(b"2097152")))
    root.directory(b"kernel").directory(b"mm").directory(b"hugepages")
    return root
