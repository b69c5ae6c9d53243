"""eventfd: a counter that is read and written like a file, and waited for. Source: eventfd(2), fs/eventfd.c."""

from __future__ import annotations

import errno

from ...errors import LinuxError
from ...flags import READ, WRITE
from ...kernel.wait import WaitQueue
from ..fs.openfile import WouldBlock
from .anon import AnonFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask
    from ..uaccess import UserIter

EFD_SEMAPHORE = 1
_MOST = (1 << 64) - 1
_POLLIN, _POLLOUT, _POLLERR = 1, 4, 8


class EventFile(AnonFile):
    """The counter.

    | field | guarded by | exec, fork | a snapshot |
    | --- | --- | --- | --- |
    | count | the machine's thread | the open file's, so shared | the number |
    | semaphore | set once | the same | as it is |
    | queue | the machine's thread | - | nothing: who waits says so |
    """

    what = b"eventfd"

    def __init__(self, count: int, flags: int, semaphore: bool) -> None:
        super().__init__(flags)
        self.count = count
        self.semaphore = semaphore
        self._queue = WaitQueue()

    @property
    def queue(self) -> WaitQueue:
        return self._queue

    def ready(self, mask: int) -> int:
        events = _POLLIN if self.count else 0
        if self.count == _MOST:
            events |= _POLLERR
        if self.count < _MOST - 1:
            events |= _POLLOUT
        return events & mask

    def info(self) -> bytes:
        """The number that Linux gives each of them is not kept: nothing takes it."""
        return b"eventfd-count: %16x\neventfd-id: 0\neventfd-semaphore: %d\n" % (self.count, self.semaphore)

    def add(self, amount: int = 1) -> None:
        """Add to the counter from inside the kernel, which stops at the most there is."""
        self.count = min(self.count + amount, _MOST)
        self._queue.wake(_POLLIN)

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        if to.count < 8:
            raise LinuxError(errno.EINVAL)
        if not self.count:
            raise WouldBlock(0, to.rest) if self.blocks else LinuxError(errno.EAGAIN)
        value = 1 if self.semaphore else self.count
        self.count -= value
        self._queue.wake(_POLLOUT)
        if to.copy_out(value.to_bytes(8, "little")) < 8:
            raise to.fault(WRITE)
        return 8

    def write(self, task: LinuxTask, data: UserIter, pos: int | None) -> int:
        """Each part by itself, as Linux does where a file has no other way (do_loop_readv_writev): what an error in a
        later one leaves is told."""
        parts, done = list(data.iov), 0
        if len(parts) == 1:
            return self._add(data)
        for at, part in enumerate(parts):
            if at and not part[1]:  # iov_iter_advance
                continue
            try:
                done += self._add(type(data).over(task, (part,)))
            except WouldBlock:
                raise WouldBlock(done, tuple(parts[at:])) from None
            except LinuxError:
                if done:
                    return done
                raise
        return done

    def _add(self, data: UserIter) -> int:
        if data.count != 8:
            raise LinuxError(errno.EINVAL)
        rest, buffer = data.rest, memoryview(bytearray(8))
        if data.copy_in(buffer) < 8:
            raise data.fault(READ)
        amount = int.from_bytes(buffer, "little")
        if amount == _MOST:
            raise LinuxError(errno.EINVAL)
        if amount >= _MOST - self.count:
            raise WouldBlock(0, rest) if self.blocks else LinuxError(errno.EAGAIN)
        self.count += amount
        self._queue.wake(_POLLIN)
        return 8
