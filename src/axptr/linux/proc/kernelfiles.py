"""Files of /proc about the machine that few programs open: devices, locks, System V objects, counters of the kernel.

A machine has no disk, no interrupts and no kernel threads: what counts those has its heads and nothing below them, or
zeros. Formats are those of Linux 6.18: fs/locks.c, ipc/util.c, fs/proc, mm/vmstat.c, kernel/sched/psi.c.
"""

from __future__ import annotations

import os

from ..mem.limits import memory_size
from .nodes import StaticDir, TextNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask
    from .nodes import Render

_PAGE = 4096
_FIXED = {
    b"cgroups": b"#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t0\t1\t1\nmemory\t0\t1\t1\npids\t0\t1\t1\n",
    b"cmdline": b"ro\n",
    b"consoles": b"",
    b"crypto": b"",
    b"devices": b"Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n"
    b" 10 misc\n128 ptm\n136 pts\n\nBlock devices:\n",
    b"diskstats": b"",
    b"dma": b" 4: cascade\n",
    b"execdomains": b"0-0\tLinux           \t[kernel]\n",
    b"key-users": b"",
    b"keys": b"",
    b"misc": b"",
    b"modules": b"",
    b"partitions": b"major minor  #blocks  name\n\n",
    b"swaps": b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n",
}
_SLABS = (
    b"slabinfo - version: 2.1\n# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> "
    b": tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>\n"
)
_DRIVERS = (
    b"/dev/tty             /dev/tty        5       0 system:/dev/tty\n"
    b"/dev/console         /dev/console    5       1 system:console\n"
    b"/dev/ptmx            /dev/ptmx       5       2 system\n"
    b"pty_slave            /dev/pts      136 0-1048575 pty:slave\n"
    b"pty_master           /dev/ptm      128 0-1048575 pty:master\n"
)
_BUILT = b"""
64BIT X86_64 X86 MMU SMP SYSVIPC SYSVIPC_SYSCTL POSIX_MQUEUE POSIX_MQUEUE_SYSCTL CROSS_MEMORY_ATTACH
HIGH_RES_TIMERS NAMESPACES UTS_NS IPC_NS NET_NS USER_NS MULTIUSER SYSFS_SYSCALL POSIX_TIMERS FUTEX FUTEX_PI EPOLL
SIGNALFD TIMERFD EVENTFD SHMEM AIO ADVISE_SYSCALLS MEMBARRIER KCMP RSEQ SECCOMP SECCOMP_FILTER BINFMT_ELF
BINFMT_SCRIPT ELF_CORE COREDUMP NET UNIX INET IPV6 FILE_LOCKING FSNOTIFY DNOTIFY INOTIFY_USER PROC_FS PROC_SYSCTL
PROC_PAGE_MONITOR SYSFS TMPFS TMPFS_POSIX_ACL TMPFS_XATTR MEMFD_CREATE TTY UNIX98_PTYS NUMA
""".split()
_NOT_BUILT = b"""
PID_NS TIME_NS BSD_PROCESS_ACCT SWAP HUGETLBFS TRANSPARENT_HUGEPAGE KSM MEMCG MODULES IO_URING USERFAULTFD
BPF_SYSCALL KEYS PERF_EVENTS MODIFY_LDT_SYSCALL QUOTA OVERLAY_FS FUSE_FS BLK_DEV_LOOP CHECKPOINT_RESTORE PRINTK
AUDIT LOCKDEP KASAN
""".split()
"""What a kernel's configuration says of this one: what is there, and what programs ask for and is not."""
_SOFT = b"HI TIMER NET_TX NET_RX BLOCK IRQ_POLL TASKLET SCHED HRTIMER RCU".split()
_COUNTED = b"""
nr_zone_inactive_anon nr_zone_active_anon nr_zone_inactive_file nr_zone_active_file nr_zone_unevictable nr_mlock
nr_inactive_anon nr_active_anon nr_inactive_file nr_active_file nr_unevictable nr_slab_reclaimable
nr_slab_unreclaimable nr_anon_pages nr_mapped nr_file_pages nr_dirty nr_writeback nr_shmem nr_dirtied nr_written
nr_kernel_stack nr_page_table_pages pgpgin pgpgout pswpin pswpout pgalloc_dma pgalloc_dma32 pgalloc_normal
pgalloc_movable allocstall_normal pgfree pgactivate pgdeactivate pgfault pgmajfault pgrefill pgsteal_kswapd
pgsteal_direct pgscan_kswapd pgscan_direct pageoutrun oom_kill
""".split()
_CALM = b"avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"


def _config(task: LinuxTask) -> bytes:
    """The configuration, compressed as gzip does it (kernel/configs.c)."""
    import zlib  # which nothing else of a start needs

    text = b"#\n# Linux/x86 %s Kernel Configuration\n#\n" % task.machine.host.uname[2].encode()
    text += b"".join(b"CONFIG_%b=y\n" % name for name in _BUILT)
    text += b"".join(b"# CONFIG_%b is not set\n" % name for name in _NOT_BUILT)
    packer = zlib.compressobj(wbits=31)
    return packer.compress(text) + packer.flush()


def _interrupts(task: LinuxTask) -> bytes:
    return b"          " + b"".join(b" CPU%-7d" % n for n in range(task.machine.host.cpu_count)) + b"\n"


def _softirqs(task: LinuxTask) -> bytes:
    count = task.machine.host.cpu_count
    head = b"                    " + b"".join(b"CPU%-8d" % n for n in range(count)) + b"\n"
    return head + b"".join(b"%12s:" % name + b" %10d" % 0 * count + b"\n" for name in _SOFT)


def _vmstat(task: LinuxTask) -> bytes:
    free = memory_size(task)[1] // _PAGE
    return b"nr_free_pages %d\n" % free + b"".join(b"%s 0\n" % name for name in _COUNTED)


def _buddyinfo(task: LinuxTask) -> bytes:
    """All free memory in blocks of the largest order."""
    return b"Node 0, zone   Normal " + b"%6d " % 0 * 10 + b"%6d \n" % (memory_size(task)[1] // (_PAGE << 10))


def _zoneinfo(task: LinuxTask) -> bytes:
    total, free = (size // _PAGE for size in memory_size(task))
    return (
        b"Node 0, zone   Normal\n  pages free     %d\n        min      0\n        low      0\n        high     0\n"
        % free
        + (b"        spanned  %d\n        present  %d\n        managed  %d\n" % (total, total, total))
    )


def _locks(task: LinuxTask) -> bytes:
    """lock_get_status of fs/locks.c. Whose a flock is: the first process that has the file open."""
    from ..files.locks import F_WRLCK, OFFSET_MAX
    from ..fs.openfile import OpenFile

    def line(kind: str, mode: int, pid: int, where: str) -> str:
        how = "WRITE" if mode == F_WRLCK else "READ"
        return f"{kind:<6} ADVISORY  {how} {pid} {os.major(key[0]):02x}:{os.minor(key[0]):02x}:{key[1]} {where}\n"

    rows: list[str] = []
    for key, locks in task.machine.locks.files():  # noqa: B007
        for owner, held in locks.held.items():
            of_file = isinstance(owner, OpenFile)
            for start, last, mode in held.ranges:
                where = f"{start} EOF" if last == OFFSET_MAX else f"{start} {last}"
                rows.append(line("OFDLCK" if of_file else "POSIX", mode, -1 if of_file else held.pid, where))
        rows += [line("FLOCK", mode, _holder(task, file), "0 EOF") for file, mode in locks.flocks.items()]
    return "".join(f"{number}: {row}" for number, row in enumerate(rows, 1)).encode()


def _holder(task: LinuxTask, file: object) -> int:
    for other in task.machine.tasks.values():
        if not other.dead and any(other.files.get(fd) is file for fd in other.files.descriptors()):
            return other.pid
    return 0


# -- System V objects, as sysvipc_*_proc_show has them


def _shm(task: LinuxTask) -> bytes:
    text = (
        b"       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime"
        b"      dtime      ctime                   rss                  swap\n"
    )
    for one in task.ipc.segments.all():
        text += b"%10d %10d  %4o %21d %5d %5d  %5d %5d %5d %5d %5d %10d %10d %10d %21d %21d\n" % (
            one.key, one.id, one.mode, one.size, one.cpid, one.lpid, one.attached, *one.owners(task),
            one.atime, one.dtime, one.ctime, 0, 0,
        )  # fmt: skip
    return text


def _sem(task: LinuxTask) -> bytes:
    text = b"       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n"
    for one in task.ipc.semaphores.all():
        text += b"%10d %10d  %4o %10d %5d %5d %5d %5d %10d %10d\n" % (
            one.key, one.id, one.mode, len(one.values), *one.owners(task), one.otime, one.ctime,
        )  # fmt: skip
    return text


def _msg(task: LinuxTask) -> bytes:
    text = (
        b"       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime"
        b"      ctime\n"
    )
    for one in task.ipc.messages.all():
        text += b"%10d %10d  %4o  %10d %10d %5d %5d %5d %5d %5d %5d %10d %10d %10d\n" % (
            one.key, one.id, one.mode, one.held, len(one.messages), one.lspid, one.lrpid, *one.owners(task),
            one.stime, one.rtime, one.ctime,
        )  # fmt: skip
    return text


_TOLD: dict[bytes, Render] = {
    b"buddyinfo": _buddyinfo, b"interrupts": _interrupts, b"locks": _locks, b"softirqs": _softirqs, b"vmstat": _vmstat,
    b"zoneinfo": _zoneinfo, b"config.gz": _config,
    b"pressure/cpu": lambda task: b"some " + _CALM + b"full " + _CALM,
    b"pressure/io": lambda task: b"some " + _CALM + b"full " + _CALM,
    b"pressure/memory": lambda task: b"some " + _CALM + b"full " + _CALM,
    b"sysvipc/msg": _msg, b"sysvipc/sem": _sem, b"sysvipc/shm": _shm,
    b"tty/drivers": lambda task: _DRIVERS,
}  # fmt: skip
NAMES = frozenset((*_FIXED, *(name.partition(b"/")[0] for name in _TOLD), b"slabinfo"))
"""Those that stand in /proc itself."""


def fill(root: StaticDir) -> None:
    """Enter them all in a directory."""
    for name, text in _FIXED.items():
        root.add(name, TextNode(b"/proc/" + name, lambda task, text=text: text, splices=True))  # type: ignore[misc]
    for path, render in _TOLD.items():
        above, _, name = path.rpartition(b"/")
        where = root.directory(above) if above else root
        where.add(name, TextNode(b"/proc/" + path, render, splices=True))
    root.add(b"slabinfo", TextNode(b"/proc/slabinfo", lambda task: _SLABS, 0o400, splices=True))
