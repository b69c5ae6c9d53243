"""What a task may still call: seccomp's strict mode and its filters, programs of the classic BPF that judge each call
by its number and words. Source: seccomp(2), kernel/seccomp.c, net/core/filter.c (bpf_check_classic, ___bpf_prog_run) of
Linux 6.18.

Filters are only ever added; fork, clone and exec keep them. Where none is, nothing of this is loaded or asked.

Not here: the call (`calls.seccomp`), who answers calls in the place of the kernel (`files.usernotif`).
"""

from __future__ import annotations

import errno
from struct import Struct, pack

from ...errors import LinuxError
from ...named import NamedTuple
from ..abi.numbers import NUMBERS
from ..abi.signals import SI_KERNEL, SIGKILL, SIGSYS, Info, bit
from .trace import PASSED, SUSPEND_SECCOMP, filtered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...kernel.kernel import Dispatch
    from ..files.usernotif import ListenerFile
    from .task import LinuxTask

    Instruction = tuple[int, int, int, int]
    """code, jump if true, jump if false, k."""

STRICT, FILTER = 1, 2
MOST_INSTRUCTIONS, MOST_OF_A_PATH, _COST_OF_EACH = 4096, 32_768, 4
KILL_PROCESS, KILL_THREAD, TRAP, ERRNO, USER_NOTIF, TRACE, LOG, ALLOW = (
    0x8000_0000, 0, 0x3_0000, 0x5_0000, 0x7FC0_0000, 0x7FF0_0000, 0x7FFC_0000, 0x7FFF_0000,
)  # fmt: skip
ACTIONS = (KILL_PROCESS, KILL_THREAD, TRAP, ERRNO, LOG, ALLOW, USER_NOTIF, TRACE)
_ACTION, _DATA = 0xFFFF_0000, 0xFFFF
_DATA_SIZE = 64
_DATA_OF = Struct("<iIQ6Q")
_SYS_SECCOMP = 1
_WORD = 0xFFFF_FFFF
_MAX_ERRNO = 4095
_SCRATCH = 16

# classes and parts of codes (linux/bpf_common.h)
_LD, _LDX, _ST, _STX, _ALU, _JMP, _RET, _MISC = range(8)
_ABS, _IMM, _MEM, _LEN = 0x20, 0x00, 0x60, 0x80
_ADD, _SUB, _MUL, _DIV, _OR, _AND, _LSH, _RSH, _NEG, _XOR = 0, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x80, 0xA0
_JA, _JEQ, _JGT, _JGE, _JSET = 0, 0x10, 0x20, 0x30, 0x40
_X, _A, _TXA = 0x08, 0x10, 0x80
_LOADS = {_LD | _ABS, _LD | _LEN, _LDX | _LEN, _LD | _IMM, _LDX | _IMM, _LD | _MEM, _LDX | _MEM, _ST, _STX}
_KNOWN = (
    _LOADS
    | {_RET, _RET | _A, _MISC, _MISC | _TXA, _ALU | _NEG, _JMP | _JA}
    | {_ALU | op | source for op in (_ADD, _SUB, _MUL, _DIV, _OR, _AND, _LSH, _RSH, _XOR) for source in (0, _X)}
    | {_JMP | op | source for op in (_JEQ, _JGT, _JGE, _JSET) for source in (0, _X)}
)


class Filter:
    """One program. plain: what it gave by the number alone, for those calls where it looked at nothing else. users: how
    many tasks it judges. listener: who answers where it says so, None for nobody."""

    __slots__ = ("code", "listener", "plain", "users")

    def __init__(self, code: tuple[Instruction, ...]) -> None:
        self.code = code
        self.plain: dict[int, int] = {}
        self.users = 0
        self.listener: ListenerFile | None = None


class Seccomp(NamedTuple):
    """How a task is restricted; never changed, so that tasks may share one. filters: in the order they were set in."""

    mode: int
    filters: tuple[Filter, ...] = ()


def check(code: tuple[Instruction, ...]) -> None:
    """EINVAL unless it ends, and reads nothing but the call (bpf_check_classic, seccomp_check_filter)."""
    size = len(code)
    for at, (op, true, false, k) in enumerate(code):
        good = op in _KNOWN
        kind = op & 7
        if op == _LD | _ABS:
            good = k < _DATA_SIZE and not k & 3
        elif op == _ALU | _DIV:
            good = k != 0
        elif op in (_ALU | _LSH, _ALU | _RSH):
            good = k < 32
        elif (kind in (_LD, _LDX) and op & 0xE0 == _MEM) or kind in (_ST, _STX):
            good = good and k < _SCRATCH
        elif op == _JMP | _JA:
            good = k < size - at - 1
        elif kind == _JMP:
            good = good and at + true + 1 < size and at + false + 1 < size
        if not good:
            raise LinuxError(errno.EINVAL)
    if not code or code[-1][0] not in (_RET, _RET | _A) or not _stores_first(code):
        raise LinuxError(errno.EINVAL)


def _stores_first(code: tuple[Instruction, ...]) -> bool:
    """Whether every way to a load from the scratch memory has stored there before (check_load_and_stores)."""
    every = (1 << _SCRATCH) - 1
    masks = [every] * len(code)
    valid = 0
    for at, (op, true, false, k) in enumerate(code):
        valid &= masks[at]
        kind = op & 7
        if kind in (_ST, _STX):
            valid |= 1 << k
        elif kind in (_LD, _LDX) and op & 0xE0 == _MEM:
            if not valid >> k & 1:
                return False
        elif op == _JMP | _JA:
            masks[at + 1 + k] &= valid
            valid = every
        elif kind == _JMP:
            masks[at + 1 + true] &= valid
            masks[at + 1 + false] &= valid
            valid = every
    return True


def run(code: tuple[Instruction, ...], data: bytes) -> tuple[int, bool]:
    """What a program that was checked gives for a call, and whether it looked at more than its number."""
    a = x = at = 0
    memory = [0] * _SCRATCH
    deep = False
    while True:
        op, true, false, k = code[at]
        at += 1
        kind = op & 7
        if kind == _RET:
            return (a if op & _A else k), deep
        if kind == _JMP:
            if op == _JMP:
                at += k
            else:
                at += true if _holds(op & 0xF0, a, x if op & _X else k) else false
        elif op == _LD | _ABS:
            a = int.from_bytes(data[k : k + 4], "little")
            deep = deep or k >= 8
        elif kind == _ALU:
            if op & 0xF0 == _DIV and op & _X and not x:
                return 0, True
            a = _computed(op & 0xF0, a, x if op & _X else k)
        elif kind == _LD:
            a = k if op == _LD | _IMM else _DATA_SIZE if op == _LD | _LEN else memory[k]
        elif kind == _LDX:
            x = k if op == _LDX | _IMM else _DATA_SIZE if op == _LDX | _LEN else memory[k]
        elif kind == _ST:
            memory[k] = a
        elif kind == _STX:
            memory[k] = x
        elif op & _TXA:
            a = x
        else:
            x = a


def _holds(op: int, a: int, b: int) -> bool:
    if op == _JEQ:
        return a == b
    if op == _JGT:
        return a > b
    if op == _JGE:
        return a >= b
    return bool(a & b)


def _computed(op: int, a: int, b: int) -> int:
    if op == _ADD:
        a += b
    elif op == _SUB:
        a -= b
    elif op == _MUL:
        a *= b
    elif op == _DIV:
        a //= b
    elif op == _OR:
        a |= b
    elif op == _AND:
        a &= b
    elif op == _LSH:
        a <<= b & 31
    elif op == _RSH:
        a >>= b & 31
    elif op == _XOR:
        a ^= b
    else:
        a = -a
    return a & _WORD


def verdict(
    filters: tuple[Filter, ...], audit: int, number: int, pc: int, words: tuple[int, ...]
) -> tuple[int, Filter | None]:
    """What all of them together say: the strictest, of equals the one that was set last; and which one said it."""
    found, data = ALLOW, b""
    match: Filter | None = None
    for one in reversed(filters):
        given = one.plain.get(number)
        if given is None:
            if not data:
                data = data_of(audit, number, pc, words)
            given, deep = run(one.code, data)
            if not deep and len(one.plain) < MOST_INSTRUCTIONS:
                one.plain[number] = given
        if _strictness(given) < _strictness(found):
            found, match = given, one
    return found, match


def data_of(audit: int, number: int, pc: int, words: tuple[int, ...]) -> bytes:
    """struct seccomp_data."""
    return _DATA_OF.pack((number & _WORD ^ 1 << 31) - (1 << 31), audit, pc, *words)


def keep(limits: Seccomp | None) -> Seccomp | None:
    """A task has these from now on."""
    for one in limits.filters if limits is not None else ():
        one.users += 1
    return limits


def let_go(task: LinuxTask) -> None:
    """A task has none any more: it has others, or is no more."""
    limits = task.seccomp
    for one in limits.filters if limits is not None else ():
        one.users -= 1
        if not one.users and one.listener is not None:
            one.listener.left()


def _strictness(given: int) -> int:
    action = given & _ACTION
    return action - (1 << 32) if action >> 31 else action


def judged(task: LinuxTask, inner: Dispatch) -> Dispatch:
    """The function that answers a restricted task's calls."""
    audit = task.layouts.audit
    allowed = {NUMBERS[task.engine.arch.name][name] for name in ("read", "write", "exit", "rt_sigreturn")}

    def dispatch(nr: int, a0: int, a1: int, a2: int, a3: int, a4: int, a5: int) -> int | None:
        limits = task.seccomp
        passed, task.passed = task.passed, None
        if passed is not None and task.signals.alert:
            task.engine.stop()  # for what waits until the call has been made
        if limits is None or suspended(task):
            return inner(nr, a0, a1, a2, a3, a4, a5)
        if limits.mode == STRICT:
            if nr in allowed:
                return inner(nr, a0, a1, a2, a3, a4, a5)
            end_by(task, Info(SIGKILL, SI_KERNEL), whole=False)
            return nr
        words = (a0, a1, a2, a3, a4, a5)
        if passed is not None and passed == data_of(audit, nr, task.engine.regs.pc, words):
            return inner(nr, a0, a1, a2, a3, a4, a5)
        given, match = verdict(limits.filters, audit, nr, task.engine.regs.pc, words)
        action = given & _ACTION
        if action in (ALLOW, LOG) or (action == TRACE and task.trace is not None and task.trace.phase == PASSED):
            return inner(nr, a0, a1, a2, a3, a4, a5)
        if action == USER_NOTIF and match is not None and match.listener is not None:
            return match.listener.ask(task, data_of(audit, nr, task.engine.regs.pc, words))
        return _refused(task, nr, given)

    return dispatch


def suspended(task: LinuxTask) -> bool:
    """Whether a tracer has its filters set aside (PTRACE_O_SUSPEND_SECCOMP)."""
    return task.trace is not None and bool(task.trace.options & SUSPEND_SECCOMP)


def _refused(task: LinuxTask, nr: int, given: int) -> int | None:
    action, data = given & _ACTION, given & _DATA
    if action == ERRNO:
        return -min(data, _MAX_ERRNO)
    if action == TRACE and filtered(task, data):
        return None
    if action in (USER_NOTIF, TRACE):
        return -errno.ENOSYS
    raw = pack("<iii4xQiI", SIGSYS, data, _SYS_SECCOMP, task.engine.regs.pc, nr & 0x7FFF_FFFF, task.layouts.audit)
    info = Info(SIGSYS, _SYS_SECCOMP, raw=raw.ljust(48, b"\0"))
    if action == TRAP:
        task.signals.force(task, info)
        task.engine.stop()
    else:
        end_by(task, info, whole=action != KILL_THREAD)
    return nr


def end_by(task: LinuxTask, info: Info, *, whole: bool) -> None:
    """End the thread, and its process by the signal if it is the last, or if that is meant."""
    if not whole and task.group.live > 1:
        task.exit_thread(0)
        return
    task.signals.force(task, info)
    if info.signal != SIGKILL:
        task.signals.blocked &= ~bit(info.signal)
        task.actions.let_kill(info.signal)
    task.engine.stop()
