"""The texts of /proc/self: what programs read of themselves (ps, top, psutil), and the few things they may set there.

Formats are those of Linux 6.18 (fs/proc/array.c, fs/proc/base.c), field for field; what is not modelled says what the
kernel says of a process without it. Areas and pages are `proc.maps`.
"""

from __future__ import annotations

import errno
import os

from ...errors import LinuxError
from ...flags import WRITE
from ..fs.openfile import O_PATH
from ..mem.vma import PAGE
from ..uaccess import USER_END
from .maps import count_all
from .nodes import living, present_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..fs.node import Node
    from ..fs.openfile import OpenFile
    from ..task.task import LinuxTask

_NO_LIMIT = (1 << 64) - 1
_PF_RANDOMIZE = 0x0040_0000
_TASK_COMM = 15
_TICKS = 10_000_000
"""Nanoseconds of a clock tick (AT_CLKTCK is 100)."""


def cmdline(task: LinuxTask) -> bytes:
    """The arguments as they stand in memory now: programs write their state over them (get_mm_cmdline)."""
    start, end = task.mm.args
    text = present_bytes(task, start, end - start)
    if len(text) == end - start and text[-1:] not in (b"\0", b""):
        # The last terminator was written over: one string, which may go on over the environment.
        title, nul, _ = present_bytes(task, start, PAGE).partition(b"\0")
        text = title + nul
    return text


def auxv(task: LinuxTask) -> bytes:
    """ESRCH for who has no memory any more."""
    return living(task).mm.auxv


def environ(task: LinuxTask) -> bytes:
    """ESRCH for who has no memory any more."""
    start, end = living(task).mm.env
    return present_bytes(task, start, end - start)


def exe(task: LinuxTask) -> Node:
    """The program's file. ENOENT for who has no memory."""
    if not has_memory(task):
        raise LinuxError(errno.ENOENT)
    return task.mm.exe


def vm_size(task: LinuxTask) -> int:
    """Bytes in all areas."""
    return sum(area.size for area in task.space.areas())


def stat(task: LinuxTask, whole: bool = True, *, shown: bool = True) -> bytes:
    """One line of 52 fields (proc_pid_stat(5)). whole: of the process, with what all its threads used.

    shown: to one who may look into it, addresses too.
    """
    mm, signals, group = task.mm, task.signals, task.group
    cpu = group.timers.cpu if whole else task.cpu
    fields = [0] * 53  # by their number in the manual, from 1
    fields[4:9] = [group.ppid, group.pgid, group.sid, *group.terminal]
    fields[9] = _PF_RANDOMIZE
    stats = task.space.stats()
    fields[10] = sum(int(stats[kind]) for kind in ("faults_read", "faults_write", "faults_fetch"))
    fields[14], fields[15] = cpu.user // _TICKS, cpu.system // _TICKS
    fields[16], fields[17] = group.waited.user // _TICKS, group.waited.system // _TICKS
    fields[18], fields[19], fields[20] = 20 + task.nice, task.nice, max(group.live, 1)
    fields[22] = group.started // _TICKS
    fields[23], fields[24], fields[25] = vm_size(task), count_all(task).resident, _NO_LIMIT
    fields[26], fields[27], fields[28] = *mm.code, mm.start_stack
    low = (1 << 31) - 1
    masks = (signals.pending.own.mask, signals.blocked, task.actions.ignored_mask, task.actions.caught_mask)
    fields[31:35] = [mask & low for mask in masks]
    fields[38] = group.exit_signal if task is group.leader else -1
    fields[39] = task.cpu_number
    fields[45:52] = [*mm.data, mm.start_brk, *mm.args, *mm.env]
    if not shown:
        fields[26:29] = [int(mm.code[0] != 0), int(mm.code[1] != 0), 0]
        fields[45:52] = [0] * 7
    head = b"%d (%s) %s " % (task.tid, task.comm, _state(task)[:1])
    return head + b" ".join(b"%d" % f for f in fields[4:]) + b"\n"


def has_memory(task: LinuxTask) -> bool:
    """Whether it has any: who has ended has none, and init never had."""
    return not task.dead and task.mm is not task.machine.nothing


def _state(task: LinuxTask) -> bytes:
    """What a task is doing, as fs/proc/array.c has it."""
    if task.dead:
        return b"Z (zombie)"
    if task.trace is not None and task.trace.stopped:
        return b"t (tracing stop)"
    if task.halted:
        return b"T (stopped)"
    if task.blocked is None:
        return b"R (running)" if task.loop is not None else b"S (sleeping)"
    return b"D (disk sleep)" if task.blocked.deaf else b"S (sleeping)"


def _tracer(task: LinuxTask) -> int:
    """The number of who traces it, 0 for nobody."""
    tracer = task.trace.tracer if task.trace is not None else None
    return tracer.tid if tracer is not None else 0


def children(task: LinuxTask) -> bytes:
    """The children of a thread, the oldest first."""
    return b"".join(b"%d " % child.tgid for child in task.group.children if child.born_of is task)


def _exe_pages(task: LinuxTask) -> int:
    start, end = task.mm.code
    return -(-end // PAGE) - start // PAGE if start < end <= USER_END else 0


def statm(task: LinuxTask) -> bytes:
    pages = count_all(task)
    data, stack, _ = _vm_kinds(task)
    size = vm_size(task) // PAGE
    shared = pages.file + pages.shared
    row = (size, pages.resident, shared, _exe_pages(task), (data + stack) // PAGE)
    return b"%d %d %d %d 0 %d 0\n" % row


def _vm_kinds(task: LinuxTask) -> tuple[int, int, int]:
    """Bytes of private writable memory, of stacks, of code: VmData, VmStk, VmExe and VmLib together."""
    data = stack = code = 0
    for area in task.space.areas():
        private = not area.backend.shared
        if area.grows_down:
            stack += area.size
        elif private and area.flags & WRITE:
            data += area.size
        elif area.flags & 4 and area.backend.store is not None:
            code += area.size
    return data, stack, code


def _kilobytes(task: LinuxTask) -> list[str]:
    pages, size = count_all(task), vm_size(task)
    data, stack, code = _vm_kinds(task)
    exe = _exe_pages(task) * PAGE
    locked = sum(area.size for area in task.space.areas() if area.locked)
    phys = task.space.phys
    task.mm.peak_size = max(task.mm.peak_size, size)
    rows = [
        ("VmPeak", task.mm.peak_size), ("VmSize", size), ("VmLck", locked), ("VmPin", 0),
        ("VmHWM", max(min(task.machine.account.peak, size), pages.resident * PAGE)), ("VmRSS", pages.resident * PAGE),
        ("RssAnon", pages.own * PAGE), ("RssFile", pages.file * PAGE), ("RssShmem", pages.shared * PAGE),
        ("VmData", data), ("VmStk", stack), ("VmExe", exe), ("VmLib", max(code - exe, 0)),
        ("VmPTE", phys.table_frames * PAGE), ("VmSwap", 0), ("HugetlbPages", 0),
    ]  # fmt: skip
    return [f"{name}:\t{value >> 10:8} kB" for name, value in rows]


def _numbers(bits: int) -> str:
    """As `%*pbl` prints them."""
    rows: list[list[int]] = []
    for number in range(bits.bit_length()):
        if bits >> number & 1:
            if rows and rows[-1][1] == number - 1:
                rows[-1][1] = number
            else:
                rows.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in rows)


def status(task: LinuxTask, viewer: LinuxTask) -> bytes:
    """viewer: by whose name space of users it is told who that is."""
    from ..task.limits import RLIMIT_SIGPENDING, get_limit
    from ..task.userspace import shown_gid, shown_uid

    group, creds, limits = task.group, task.creds, task.seccomp
    by = viewer.creds.space
    uid = [shown_uid(by, one) for one in (*creds.uids, creds.fs_uid)]
    gid = [shown_gid(by, one) for one in (*creds.gids, creds.fs_gid)]
    signals, cpus = task.signals, task.cpus & (1 << task.machine.host.cpu_count) - 1
    name = task.comm.decode(errors="surrogateescape").replace("\\", "\\\\").replace("\n", "\\n")
    open_files = max(256, -(-(task.files.descriptors() or [0])[-1] // 64) * 64)
    lines = [
        f"Name:\t{name}", f"Umask:\t{task.fs.umask:04o}", f"State:\t{_state(task).decode()}",
        f"Tgid:\t{task.pid}", "Ngid:\t0",
        f"Pid:\t{task.tid}", f"PPid:\t{group.ppid}", f"TracerPid:\t{_tracer(task)}",
        "Uid:\t" + "\t".join(map(str, uid)), "Gid:\t" + "\t".join(map(str, gid)),
        f"FDSize:\t{open_files}", "Groups:\t" + " ".join(f"{shown_gid(by, one)}" for one in creds.groups) + " ",
        f"NStgid:\t{task.pid}", f"NSpid:\t{task.tid}", f"NSpgid:\t{group.pgid}", f"NSsid:\t{group.sid}",
        "Kthread:\t0", *([] if not has_memory(task) else _kilobytes(task)), "CoreDumping:\t0", "THP_enabled:\t0",
        "untag_mask:\t0xffffffffffffffff",
        f"Threads:\t{max(group.live, 1)}", f"SigQ:\t{signals.pending.count}/{get_limit(task, RLIMIT_SIGPENDING)[0]}",
        f"SigPnd:\t{signals.pending.own.mask:016x}", f"ShdPnd:\t{signals.pending.shared.mask:016x}",
        f"SigBlk:\t{signals.blocked:016x}",
        f"SigIgn:\t{task.actions.ignored_mask:016x}", f"SigCgt:\t{task.actions.caught_mask:016x}",
        f"CapInh:\t{creds.inheritable:016x}", f"CapPrm:\t{creds.permitted:016x}",
        f"CapEff:\t{creds.effective:016x}", f"CapBnd:\t{creds.bounding:016x}",
        f"CapAmb:\t{creds.ambient:016x}",
        f"NoNewPrivs:\t{task.kept.no_new_privs or 0}", f"Seccomp:\t{limits.mode if limits else 0}",
        f"Seccomp_filters:\t{len(limits.filters) if limits else 0}",
        "Speculation_Store_Bypass:\tnot vulnerable",
        "SpeculationIndirectBranch:\tnot affected", f"Cpus_allowed:\t{cpus:x}",
        f"Cpus_allowed_list:\t{_numbers(cpus)}", "Mems_allowed:\t1",
        "Mems_allowed_list:\t0", f"voluntary_ctxt_switches:\t{task.voluntary}",
        f"nonvoluntary_ctxt_switches:\t{task.involuntary}",
    ]  # fmt: skip
    return ("\n".join(lines) + "\n").encode(errors="surrogateescape")


def limits(task: LinuxTask) -> bytes:
    from ..task.limits import NAMES, get_limit

    rows = [f"{'Limit':<25} {'Soft Limit':<20} {'Hard Limit':<20} {'Units':<10}"]
    for number, (name, unit) in enumerate(NAMES):
        soft, hard = get_limit(task, number)
        words = ["unlimited" if v == _NO_LIMIT else str(v) for v in (soft, hard)]
        rows.append(f"{name:<25} {words[0]:<20} {words[1]:<20} " + (f"{unit:<10}" if unit else ""))
    return ("\n".join(rows) + "\n").encode()


def io(task: LinuxTask) -> bytes:
    """What goes to a disk and comes from one is the host's business: 0."""
    count = task.group.io
    rows = [("rchar", count.rchar), ("wchar", count.wchar), ("syscr", count.syscr), ("syscw", count.syscw)]
    rows += [("read_bytes", 0), ("write_bytes", 0), ("cancelled_write_bytes", 0)]
    return "".join(f"{name}: {value}\n" for name, value in rows).encode()


def fdinfo(task: LinuxTask, fd: int, file: OpenFile) -> bytes:
    """Position, flags and inode of a descriptor (proc_pid_fdinfo(5))."""
    flags = file.flags & ~(os.O_CREAT | os.O_EXCL | os.O_TRUNC | os.O_NOCTTY)
    if not flags & O_PATH:
        flags |= file.large
    if task.files.cloexec(fd):
        flags |= os.O_CLOEXEC
    try:
        inode = file.stat(task).st_ino
    except LinuxError:
        inode = 0
    flags = task.layouts.open_flags(flags)
    node = file.node()
    mount = node.mount.number if node is not None and node.mount is not None else 0
    return b"pos:\t%d\nflags:\t0%o\nmnt_id:\t%d\nino:\t%d\n" % (file.position, flags, mount, inode) + file.info()


# -- what may be set


def _number(data: bytes, base: int = 10) -> int:
    """One number, white space around it, as the kernel's kstrtoint reads it. EINVAL."""
    text = data.rstrip(b"\0").strip()
    try:
        if b"_" in text:
            raise ValueError
        if base == 0 and len(text) > 1 and text[:1] == b"0" and text[1:2].isdigit():
            base = 8
        return int(text, base)
    except ValueError:
        raise LinuxError(errno.EINVAL) from None


def set_comm(task: LinuxTask, data: bytes) -> None:
    task.comm = data[:_TASK_COMM].split(b"\0")[0]


def set_oom_score_adj(task: LinuxTask, data: bytes) -> None:
    value = _number(data)
    if not -1000 <= value <= 1000:
        raise LinuxError(errno.EINVAL)
    if value < 0:  # below what it began with: only with CAP_SYS_RESOURCE
        raise LinuxError(errno.EACCES)
    task.group.oom_score_adj = value


def oom_adj(task: LinuxTask) -> bytes:
    """The old scale, -17 to 15."""
    value = task.group.oom_score_adj
    return b"%d\n" % (15 if value == 1000 else int(value * 17 / 1000))


def set_oom_adj(task: LinuxTask, data: bytes) -> None:
    value = _number(data)
    if value != -17 and not -16 <= value <= 15:
        raise LinuxError(errno.EINVAL)
    score = 1000 if value == 15 else int(value * 1000 / 17)
    if score < task.group.oom_score_adj:  # by the old scale, also what it was raised to itself
        raise LinuxError(errno.EACCES)
    set_oom_score_adj(task, b"%d" % score)


def oom_score(task: LinuxTask) -> bytes:
    """proc_oom_score: two thirds of the scale stand for the adjustment, the rest for memory in use."""
    total = max(task.space.phys.size // PAGE, 1)
    points = count_all(task).resident + task.space.phys.table_frames + task.group.oom_score_adj * total // 1000
    return b"%d\n" % max(0, (1000 + points * 1000 // total) * 2 // 3)


def set_coredump_filter(task: LinuxTask, data: bytes) -> None:
    task.group.coredump_filter = _number(data, 0) & 0x1FF


def set_timer_slack(task: LinuxTask, data: bytes) -> None:
    """As PR_SET_TIMERSLACK does it (timerslack_ns_write)."""
    value = _number(data)
    if not 0 <= value < 1 << 64:
        raise LinuxError(errno.EINVAL)
    task.kept.timer_slack = value or task.kept.default_slack


def clear_refs(task: LinuxTask, data: bytes) -> None:
    """Only the marks of what was touched: nothing here looks at them. EINVAL for what is no such request."""
    if not 1 <= _number(data) <= 5:
        raise LinuxError(errno.EINVAL)
