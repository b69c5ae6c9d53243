"""signalfd: signals that are read instead of delivered. Source: signalfd(2), fs/signalfd.c.

Whoever reads gets his own signals, and those of his process. Of an epoll, and of nothing else, it is the one who made
the descriptor or read from it last whose signals are looked for.
"""

from __future__ import annotations

import errno
from struct import pack, unpack_from

from ...errors import LinuxError
from ...flags import WRITE
from ...kernel.wait import WaitQueue
from ..abi.signals import SI_KERNEL, SI_TIMER, SI_USER, SIGBUS, SIGCHLD, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP, bit
from ..fs.openfile import WouldBlock
from .anon import AnonFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..abi.signals import Info
    from ..task.task import LinuxTask
    from ..uaccess import UserIter

_SIZE = 128
_POLLIN = 1
_INT = 0xFFFF_FFFF
_SIGPOLL, _SI_SIGIO = 29, -5
_FAULTS = (SIGILL, SIGFPE, SIGSEGV, SIGBUS, SIGTRAP)


class SignalFile(AnonFile):
    """The descriptor.

    | field | guarded by | exec, fork | a snapshot |
    | --- | --- | --- | --- |
    | mask: the signals that are read | the machine's thread | the open file's, so shared | the number |
    | reader: who asked last | the machine's thread | as it was | the task |
    | queue | the machine's thread | - | nothing: who waits says so |
    """

    what = b"signalfd"

    def __init__(self, task: LinuxTask, mask: int, flags: int) -> None:
        super().__init__(flags)
        self.mask = mask
        self.reader = task
        self._queue = WaitQueue()
        task.machine.signal_files.add(self)

    @property
    def queue(self) -> WaitQueue:
        return self._queue

    def set_mask(self, mask: int) -> None:
        self.mask = mask
        self._queue.wake(_POLLIN)

    def notify(self, signal: int) -> None:
        """A signal has come in for somebody: who waits looks whether it is for him."""
        if self.mask & bit(signal):
            self._queue.wake(_POLLIN)

    def ready(self, mask: int) -> int:
        return mask & _POLLIN if self.reader.signals.pending.mask & self.mask else 0

    def ready_to(self, task: LinuxTask, mask: int) -> int:
        self.reader = task
        return self.ready(mask)

    def info(self) -> bytes:
        return b"sigmask:\t%016x\n" % self.mask

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        self.reader = task
        room, done = to.count // _SIZE, 0
        if not room:
            raise LinuxError(errno.EINVAL)
        while room:
            info = task.signals.take(self.mask)
            if info is None:
                break
            if to.copy_out(shown(info)) < _SIZE:
                if done:
                    break
                raise to.fault(WRITE)
            done, room = done + _SIZE, room - 1
        if not done:
            raise WouldBlock(0, to.rest) if self.blocks else LinuxError(errno.EAGAIN)
        return done

    def write(self, task: LinuxTask, data: UserIter, pos: int | None) -> int:
        raise LinuxError(errno.EINVAL)

    def close(self) -> None:
        self.reader.machine.signal_files.discard(self)


def shown(info: Info) -> bytes:
    """struct signalfd_siginfo (signalfd_copyinfo): which fields are filled depends on signal and code."""
    raw = info.pack()
    signal, code = info.signal, info.code
    pid = uid = fd = tid = band = overrun = status = number = 0
    pointer = user = system = address = 0
    first, second, value = unpack_from("<iIQ", raw, 16)
    if SI_USER < code < SI_KERNEL and signal in (*_FAULTS, SIGCHLD, _SIGPOLL, SIGSYS):
        if signal == SIGCHLD:
            pid, uid, status = unpack_from("<iIi", raw, 16)
            user, system = unpack_from("<qq", raw, 32)
        elif signal == _SIGPOLL:
            band, fd = unpack_from("<i4xi", raw, 16)
        elif signal != SIGSYS:
            (address,) = unpack_from("<Q", raw, 16)
    elif code == SI_TIMER:
        tid, overrun, pointer, number = first, second, value, value & _INT
    elif code == _SI_SIGIO:
        band, fd = unpack_from("<i4xi", raw, 16)
    elif code < 0:
        pid, uid, pointer, number = first, second, value, value & _INT
    else:
        pid, uid = first, second
    errno_ = unpack_from("<i", raw, 4)[0]
    words = signal, errno_, code, pid & _INT, uid, fd, tid & _INT, band & _INT, overrun, 0, status, number
    data = pack("<IiiIIiIIIIiI", *words) + pack("<QqqQ", pointer, user, system, address)
    return data.ljust(_SIZE, b"\0")
