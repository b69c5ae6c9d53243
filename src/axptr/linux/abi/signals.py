"""Numbers of signals, flags of sigaction, and siginfo_t, as programs see them. Source: asm-generic/signal.h,
asm/signal.h of x86, asm-generic/siginfo.h.

Not here: what is pending, blocked or handled (`signals`).
"""

from __future__ import annotations

from struct import pack, unpack_from

from ...errors import LinuxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..signals.posixtimers import PosixTimer

SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGSEGV, SIGPIPE, SIGALRM = 4, 5, 6, 7, 8, 9, 11, 13, 14
SIGCHLD, SIGCONT, SIGSTOP, SIGURG, SIGWINCH, SIGSYS = 17, 18, 19, 23, 28, 31
FIRST_REAL_TIME = 32
SI_USER, SI_KERNEL, SI_QUEUE, SI_TIMER, SI_TKILL = 0, 0x80, -1, -2, -6
SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGXFSZ = 1, 2, 3, 20, 21, 22, 25
DUMPING = frozenset((SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, SIGXFSZ, 24))
"""Signals that leave a core (signal(7)); 24 is SIGXCPU."""
SIG_DFL, SIG_IGN = 0, 1
CLD_EXITED, CLD_KILLED, CLD_DUMPED, CLD_TRAPPED, CLD_STOPPED, CLD_CONTINUED = range(1, 7)

SA_SIGINFO, SA_RESTORER, SA_ONSTACK, SA_RESTART = 0x4, 0x0400_0000, 0x0800_0000, 0x1000_0000
SA_NODEFER, SA_RESETHAND = 0x4000_0000, 0x8000_0000
SA_NOCLDSTOP, SA_NOCLDWAIT = 0x1, 0x2
SA_KNOWN = (
    SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | 0x800 | SA_RESTORER | SA_ONSTACK | SA_RESTART | SA_NODEFER | SA_RESETHAND
)
"""The flags that sigaction keeps (UAPI_SA_FLAGS); a program finds out about others by their being gone."""

_SIGINFO = 128
_KNOWN = 48
"""Bytes of siginfo_t that the kernel keeps (kernel_siginfo)."""


def bit(signal: int) -> int:
    return 1 << (signal - 1)


class Info:
    """A signal on its way: siginfo. cpu: of a fault what the CPU said, for the frame of its architecture; of x86-64
    trap number, error code and cr2.

    raw: siginfo as somebody else filled it, who may know more of it than the fields here say. timer, set: of what a
    timer sends, which it is, and how often that had been set (`signals.posixtimers`).
    """

    __slots__ = ("address", "code", "cpu", "fault", "pid", "raw", "set", "signal", "timer", "uid", "value")

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
        cpu: tuple[int, int, int] = (0, 0, 0),
        raw: bytes | None = None,
        timer: PosixTimer | None = None,
    ) -> None:
        self.signal = signal
        self.code = code
        self.address = address
        self.fault = fault
        self.pid = pid
        self.uid = uid
        self.value = value
        self.cpu = cpu
        self.raw = raw
        self.timer = timer
        self.set = 0

    @classmethod
    def of(cls, signal: int, raw: bytes) -> Info:
        """What a siginfo_t of somebody else says, for `signal` whatever number stands in it."""
        code, pid, uid, value = unpack_from("<8xi4xiIQ", raw)
        return cls(signal, code, pid=pid, uid=uid, value=value, raw=raw[:_KNOWN])

    def from_user(self, uid: int) -> Info:
        """The same as one is told of it to whom the sender is called otherwise."""
        other = Info.__new__(Info)
        for name in self.__slots__:
            setattr(other, name, getattr(self, name))
        other.uid = uid
        if self.raw is not None:
            other.raw = self.raw[:20] + uid.to_bytes(4, "little") + self.raw[24:]
        return other

    def sent_by(self, pid: int) -> None:
        """Another is to be told as the sender."""
        self.pid = pid
        if self.raw is not None:
            self.raw = self.raw[:16] + pack("<i", pid) + self.raw[20:]

    def pack(self) -> bytes:
        """siginfo_t, 128 bytes."""
        if self.raw is not None:
            return (pack("<i", self.signal) + self.raw[4:]).ljust(_SIGINFO, b"\0")
        head = pack("<iii4x", self.signal, 0, self.code)
        by_fault = self.address is not None
        body = pack("<Q", self.address) if by_fault else pack("<iIQ", self.pid, self.uid, self.value)
        return (head + body).ljust(_SIGINFO, b"\0")


def ended_as(status: int) -> tuple[int, int]:
    """si_code and si_status of an end that wait4 tells by this status."""
    if not status & 0x7F:
        return CLD_EXITED, status >> 8
    return CLD_DUMPED if status & 0x80 else CLD_KILLED, status & 0x7F
