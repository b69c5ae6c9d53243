"""Signals on their way: `Info`, what one of them tells, and `Pending`, the queue of them. Source: sigaction(2),
`siginfo_t`; kernel/signal.c (`__send_signal_locked`, `next_signal`).

Standard signals are pending at most once, real-time ones queue; adding and taking one cost O(1). Not here: whether one
is ignored, blocked or handled (`signals`).
"""

from __future__ import annotations

from collections import deque
from struct import pack, unpack_from

from ...errors import LinuxError

SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGSEGV, SIGPIPE, SIGALRM = 4, 5, 6, 7, 8, 9, 11, 13, 14
SIGCHLD, SIGCONT, SIGSTOP, SIGURG, SIGWINCH, SIGSYS = 17, 18, 19, 23, 28, 31
FIRST_REAL_TIME = 32
SI_USER, SI_KERNEL, SI_TKILL = 0, 0x80, -6
_SIGINFO = 128
_KNOWN = 48
"""Bytes of siginfo_t that the kernel keeps (kernel_siginfo)."""


def bit(signal: int) -> int:
    return 1 << (signal - 1)


_FIRST = sum(map(bit, (SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS)))
"""What a fault sends, which is delivered before all others (SYNCHRONOUS_MASK)."""


class Info:
    """A signal on its way: siginfo, and for a fault what the CPU said (trap number, error code, cr2).

    raw: siginfo as somebody else filled it, who may know more of it than the fields here say.
    """

    __slots__ = ("address", "code", "cr2", "error", "fault", "pid", "raw", "signal", "trap", "uid", "value")

    def __init__(
        self,
        signal: int,
        code: int,
        *,
        address: int | None = None,
        fault: LinuxError | None = None,
        pid: int = 0,
        uid: int = 0,
        value: int = 0,
        trap: int = 0,
        error: int = 0,
        cr2: int = 0,
        raw: bytes | None = None,
    ) -> None:
        self.signal = signal
        self.code = code
        self.address = address
        self.fault = fault
        self.pid = pid
        self.uid = uid
        self.value = value
        self.trap = trap
        self.error = error
        self.cr2 = cr2
        self.raw = raw

    @classmethod
    def of(cls, signal: int, raw: bytes) -> Info:
        """What a siginfo_t of somebody else says, for `signal` whatever number stands in it."""
        code, pid, uid, value = unpack_from("<8xi4xiIQ", raw)
        return cls(signal, code, pid=pid, uid=uid, value=value, raw=raw[:_KNOWN])

    def pack(self) -> bytes:
        """siginfo_t, 128 bytes."""
        if self.raw is not None:
            return (pack("<i", self.signal) + self.raw[4:]).ljust(_SIGINFO, b"\0")
        head = pack("<iii4x", self.signal, 0, self.code)
        by_fault = self.address is not None
        body = pack("<Q", self.address) if by_fault else pack("<iIQ", self.pid, self.uid, self.value)
        return (head + body).ljust(_SIGINFO, b"\0")


class Pending:
    """The pending signals. mask: bit n-1 for signal n. count: how many, queued real-time ones each for itself."""

    def __init__(self) -> None:
        self._queues: dict[int, deque[Info]] = {}
        self.mask = 0
        self.count = 0

    def add(self, info: Info, *, first: bool = False) -> bool:
        """Note a signal; False if it is a standard one that is pending already. `first`: before those of its number."""
        queue = self._queues.get(info.signal)
        if queue is None:
            queue = self._queues[info.signal] = deque()
        elif queue and info.signal < FIRST_REAL_TIME and not first:
            return False
        if first:
            queue.appendleft(info)
        else:
            queue.append(info)
        self.mask |= bit(info.signal)
        self.count += 1
        return True

    def take(self, wanted: int) -> Info | None:
        """The next signal of the mask `wanted`, taken off: SIGKILL, then those of faults, then the lowest number."""
        ready = self.mask & wanted
        if not ready:
            return None
        ready = ready & bit(SIGKILL) or ready & _FIRST or ready
        signal = (ready & -ready).bit_length()
        queue = self._queues[signal]
        info = queue.popleft()
        self.count -= 1
        if not queue:
            self.mask &= ~bit(signal)
        return info

    def discard(self, mask: int) -> None:
        """Forget all pending signals of a mask."""
        gone = self.mask & mask
        while gone:
            signal = (gone & -gone).bit_length()
            gone &= gone - 1
            self.count -= len(self._queues.pop(signal))
        self.mask &= ~mask

    def _check(self) -> None:
        """Raise `AssertionError` unless the mask and the count are those of the queues."""
        mask = sum(bit(signal) for signal, queue in self._queues.items() if queue)
        count = sum(map(len, self._queues.values()))
        if (mask, count) != (self.mask, self.count):
            raise AssertionError(f"mask {self.mask:#x} for {mask:#x}, count {self.count} for {count}")
