"""Pipes of the machine's own: slots of a page each, as Linux has them. Source: pipe(7), fcntl(2), fs/pipe.c of 6.18.

A write of up to a page either fits into what is left of the last slot or takes a new one, so that it is never cut in
two; a longer one takes slots as there are. What splice and tee put in stands in slots of its own that nothing is added
to. With O_DIRECT each page is a packet, which one read takes whole.

Not here: the names of FIFOs (`files.fifo`), transfers between files (`calls.splice`), waiting itself. A file without a
reader raises `BrokenPipe`; the call sends the signal.
"""

from __future__ import annotations

import errno
import os
import stat
from struct import pack

from ..._core.kernel.fields import learn_pipe
from ...errors import LinuxError
from ...flags import READ, WRITE
from ...kernel.wait import EVERY, WaitQueue
from ...light import deque
from ..fs.node import Node, Stat
from ..fs.openfile import O_DIRECT, O_NONBLOCK, BrokenPipe, OpenFile, WouldBlock
from ..mem.limits import charge
from ..uaccess import CHUNK, put_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from ..fs.node import AnyStat
    from ..machine import Machine
    from ..task.task import LinuxTask
    from ..uaccess import UserIter
    from .sigio import Notice

PAGE = 4096
SLOTS = 16
PIPE_SIZE = SLOTS * PAGE
MOST = 1 << 20
"""What a pipe may be made to hold by who has no right to more (fs.pipe-max-size)."""
_LARGEST = 1 << 31
_ST_DEV = 0x0F
_FIONREAD = 0x541B
_RWF_NOWAIT = 8
POLLIN, POLLOUT, POLLERR, POLLHUP, POLLRDNORM, POLLWRNORM = 1, 4, 8, 16, 0x40, 0x100
_READABLE, _WRITABLE = POLLIN | POLLRDNORM, POLLOUT | POLLWRNORM


class Slot:
    """Bytes of one page. start: where in the page they begin; open: whether a write may add to them; packet: a read
    takes them alone and whole."""

    __slots__ = ("data", "open", "packet", "start")

    def __init__(self, data: bytes | memoryview, start: int = 0, *, open: bool = False, packet: bool = False) -> None:
        self.data = data
        self.start = start
        self.open = open
        self.packet = packet

    def __len__(self) -> int:
        return len(self.data)

    def part(self, count: int) -> Slot:
        """The first bytes of it, for another pipe: nothing is added to them there."""
        return Slot(self.data[:count], self.start, packet=self.packet and count == len(self.data))


class Partners:
    """The other end of a FIFO, which somebody may open."""

    def __init__(self) -> None:
        self.queue = WaitQueue()

    def ready(self, mask: int) -> int:
        """Nobody knows before looking."""
        return 0


class Pipe:
    """What two ends share.

    | field | guarded by | exec, fork | a snapshot |
    | --- | --- | --- | --- |
    | slots: what is in it, oldest first | the machine's thread | shared | the bytes |
    | most: slots that there may be | the machine's thread | shared | the number |
    | readers, writers: open files at each end | the machine's thread | shared | the numbers |
    | readers_seen, writers_seen: that there ever were | the machine's thread | shared | the numbers |
    | to_read, to_write, to_both: who waits, by the end that it has | the machine's thread | - | nothing |
    | notices: who hears by a signal that something was taken out | the machine's thread | shared | of its open files |
    | partners: who waits in open(2) for somebody at the other end | the machine's thread | - | nothing |
    """

    __slots__ = (
        "__weakref__", "_machine", "most", "notices", "partners", "readers", "readers_seen",
        "slots", "to_both", "to_read", "to_write", "writers", "writers_seen",
    )  # fmt: skip

    def __init__(self, task: LinuxTask) -> None:
        """ENFILE where the run's memory has no room for it."""
        try:
            charge(task, pipes=PIPE_SIZE)
        except LinuxError:
            raise LinuxError(errno.ENFILE) from None
        self._machine: Machine = task.machine
        self.slots: deque[Slot] = deque()
        self.most = SLOTS
        self.readers = self.writers = 0
        self.readers_seen = self.writers_seen = 0
        self.to_read, self.to_write, self.to_both = WaitQueue(), WaitQueue(), WaitQueue()
        self.partners = Partners()
        self.notices: tuple[Notice, ...] = ()
        self._machine.pipe_bytes += PIPE_SIZE
        charge(task)

    @property
    def full(self) -> bool:
        return len(self.slots) >= self.most

    @property
    def room(self) -> int:
        """Slots that are free."""
        return max(self.most - len(self.slots), 0)

    @property
    def count(self) -> int:
        """Bytes in it."""
        return sum(map(len, self.slots))

    # -- ends

    def opened(self, file: PipeFile) -> None:
        if file.readable:
            self.readers += 1
            self.readers_seen += 1
        if file.writable:
            self.writers += 1
            self.writers_seen += 1
        self.partners.queue.wake()

    def closed(self, file: PipeFile) -> None:
        self.readers -= file.readable
        self.writers -= file.writable
        if not self.readers and not self.writers:
            self.slots.clear()
            self._machine.pipe_bytes -= self.most * PAGE
        elif not self.readers or not self.writers:
            for queue in (self.to_read, self.to_write, self.to_both):
                queue.wake(EVERY)

    def wake_readers(self) -> None:
        self.to_read.wake(_READABLE)
        self.to_both.wake(_READABLE)

    def wake_writers(self) -> None:
        self.to_write.wake(_WRITABLE)
        self.to_both.wake(_WRITABLE)

    # -- bytes

    def drop(self, count: int) -> None:
        """Take `count` bytes of the first slot away, or all of a packet."""
        slot = self.slots[0]
        if slot.packet or count >= len(slot):
            full = self.full
            self.slots.popleft()
            if full:
                self.wake_writers()
        else:
            slot.data, slot.start = slot.data[count:], slot.start + count

    def put(self, slots: Iterable[Slot]) -> int:
        """Put in what there is room for; how many bytes."""
        done = 0
        for slot in slots:
            if self.full:
                break
            if len(slot):
                self.slots.append(slot)
                done += len(slot)
        if done:
            self.wake_readers()
        return done

    def resize(self, task: LinuxTask, size: int) -> int:
        """F_SETPIPE_SZ: EBUSY for less than is in it, EPERM for more than users may have, ENOMEM at the run's limit."""
        if size > _LARGEST:
            raise LinuxError(errno.EINVAL)
        most = 1 << max(0, -(-size // PAGE) - 1).bit_length()
        if most > self.most and most * PAGE > MOST:
            raise LinuxError(errno.EPERM)
        if most < len(self.slots):
            raise LinuxError(errno.EBUSY)
        extra = (most - self.most) * PAGE
        if extra > 0:
            charge(task, pipes=extra)
        full, self.most = self.full, most
        self._machine.pipe_bytes += extra
        charge(task)
        if full and not self.full:
            self.wake_writers()
        return most * PAGE

    def _check(self) -> None:
        """Raise `AssertionError` unless the slots are in order."""
        if len(self.slots) > self.most or self.readers < 0 or self.writers < 0:
            raise AssertionError(
                f"{len(self.slots)} slots of {self.most}, {self.readers} readers, {self.writers} writers"
            )
        if any(not 0 < len(slot) <= PAGE - slot.start for slot in self.slots):
            raise AssertionError("a slot is empty or more than a page")


class PipeNode(Node):
    """What a descriptor of a pipe leads to: attributes, and the pipe to be opened once more. accessed, modified: when,
    in nanoseconds."""

    __slots__ = ("accessed", "modified")

    magic = 0x5049_5045
    dev = _ST_DEV
    immutable = errno.EPERM

    def __init__(self, pipe: Pipe, task: LinuxTask) -> None:
        super().__init__(b"")
        self.pipe = pipe
        self.mode = stat.S_IFIFO | 0o600
        self._ino = task.machine.next_inode()
        self._stat = Stat(self.mode, self._ino, _ST_DEV, task.machine.host.realtime_ns())
        self._stat.st_uid, self._stat.st_gid = task.creds.euid, task.creds.egid
        self._stat.st_blksize = PAGE
        self.accessed = self.modified = task.machine.host.realtime_ns()

    @property
    def ino(self) -> int:
        return self._ino

    def stat(self, task: LinuxTask) -> Stat:
        stat = self._stat
        stat.st_atime_ns = self.accessed
        stat.st_mtime_ns = stat.st_ctime_ns = self.modified
        return stat

    def where(self) -> bytes:
        return b"pipe:[%d]" % self._ino

    def used(self, task: LinuxTask, *, written: bool) -> None:
        now = task.machine.host.realtime_ns()
        if written:
            self.modified = now
        else:
            self.accessed = now

    def open(self, task: LinuxTask, flags: int) -> OpenFile:
        if flags & O_DIRECT:
            raise LinuxError(errno.EINVAL)
        return PipeFile(self.pipe, self, flags & ~(os.O_CLOEXEC | os.O_NOCTTY | os.O_TRUNC | os.O_CREAT))

    def changeable(self) -> Node:
        return self

    def set_mode(self, mode: int) -> None:
        self.mode = self._stat.st_mode = stat.S_IFIFO | mode & 0o7777

    def set_owner(self, uid: int, gid: int) -> None:
        keep = -1, 0xFFFF_FFFF
        self._stat.st_uid = self._stat.st_uid if uid in keep else uid
        self._stat.st_gid = self._stat.st_gid if gid in keep else gid

    def set_times(self, times: bytes | None) -> None:
        """The times of a pipe are those of its use."""


class PipeFile(OpenFile):
    """One end of a pipe, or both of a FIFO that was opened so.

    hung_up_at: how many writers there had been when it was opened: a hang-up is told of only after others came.
    """

    __slots__ = ("_node", "pipe")

    kind = stat.S_IFIFO
    asynchronous = True
    may_wait = True
    rwf = 0x3F
    pipe: Pipe

    def __init__(self, pipe: Pipe, node: Node, flags: int, hung_up_at: int = 0, *, opened: bool = True) -> None:
        """opened: by open(2), not by pipe(2)."""
        super().__init__(flags)
        self._opened = opened
        self.pipe = pipe
        self._node = node
        self.hung_up_at = hung_up_at
        self._closed = False
        pipe.opened(self)

    @property
    def large(self) -> int:
        return super().large if self._opened else 0

    @property
    def queue(self) -> WaitQueue:
        pipe = self.pipe
        if not self.readable:
            return pipe.to_write
        return pipe.to_both if self.writable else pipe.to_read

    def ready(self, mask: int) -> int:
        pipe, events = self.pipe, 0
        if self.readable:
            if pipe.slots:
                events |= _READABLE
            if not pipe.writers and self.hung_up_at != pipe.writers_seen:
                events |= POLLHUP
        if self.writable:
            if not pipe.full:
                events |= _WRITABLE
            if not pipe.readers:
                events |= POLLERR
        return events & mask

    # -- transfers

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        if not to.count:
            return 0
        pipe, done = self.pipe, 0
        slots = pipe.slots
        while slots:
            slot = slots[0]
            want = min(len(slot), to.count)
            if to.copy_out(slot.data[:want]) < want:
                if not done:
                    raise to.fault(WRITE)
                break
            done += want
            packet = slot.packet
            pipe.drop(want)
            if packet or not to.count:
                break
        if done:
            self._node.used(task, written=False)
            for notice in pipe.notices:
                notice.room()
        elif pipe.writers:
            raise WouldBlock(0, to.rest) if self.blocks else LinuxError(errno.EAGAIN)
        return done

    def write(self, task: LinuxTask, data: UserIter, pos: int | None) -> int:
        if not data.count:
            return 0
        pipe = self.pipe
        try:
            if not pipe.readers:
                raise BrokenPipe
            done = self._add(task, data)
            while data.count and not pipe.full:
                n, whole = self._fill(task, data, done)
                done += n
                if not whole:
                    break
            else:
                if data.count and self.blocks:
                    raise WouldBlock(done, data.rest)
                if not done:
                    raise LinuxError(errno.EAGAIN)
        finally:
            pipe.wake_readers()
        self._node.used(task, written=True)
        return done

    def _add(self, task: LinuxTask, data: UserIter) -> int:
        """What does not fill a page is added to the last slot, if it fits there."""
        pipe, odd = self.pipe, data.count % PAGE
        if not odd or not pipe.slots:
            return 0
        last = pipe.slots[-1]
        if not last.open or last.start + len(last) + odd > PAGE:
            return 0
        view = task.machine.bounce[:odd]
        if data.copy_in(view) < odd:
            raise data.fault(READ)
        last.data = b"".join((last.data, view))
        return odd

    def _fill(self, task: LinuxTask, data: UserIter, done: int) -> tuple[int, bool]:
        """New slots, as there is room: bytes done, and whether all of the user's memory was there. A page that could
        be copied in part only is left out."""
        pipe = self.pipe
        want = min(data.count, pipe.room * PAGE, CHUNK)
        got = data.copy_in(task.machine.bounce[:want])
        good = got if got == want else got // PAGE * PAGE
        if not good:
            if done:
                return 0, False
            raise data.fault(READ)
        packet = bool(self.flags & O_DIRECT)
        raw = bytes(task.machine.bounce[:good])
        if good <= PAGE:
            pipe.slots.append(Slot(raw, open=not packet, packet=packet))
        else:
            view = memoryview(raw)
            for at in range(0, good, PAGE):
                pipe.slots.append(Slot(view[at : at + PAGE], open=not packet, packet=packet))
        return good, got == want

    def read_host(self, task: LinuxTask, view: memoryview, pos: int | None) -> int:
        pipe, done = self.pipe, 0
        while pipe.slots and done < len(view):
            slot = pipe.slots[0]
            n = min(len(slot), len(view) - done)
            view[done : done + n] = slot.data[:n]
            done += n
            pipe.drop(n)
        if not done and pipe.writers:
            raise LinuxError(errno.EAGAIN)
        return done

    def write_host(self, task: LinuxTask, data: memoryview, pos: int | None) -> int:
        pipe = self.pipe
        if not pipe.readers:
            raise BrokenPipe
        raw = memoryview(bytes(data[: pipe.room * PAGE]))
        if not raw and data:
            raise LinuxError(errno.EAGAIN)
        return pipe.put(Slot(raw[at : at + PAGE]) for at in range(0, len(raw), PAGE))

    # -- the rest

    def stat(self, task: LinuxTask) -> AnyStat:
        return self._node.stat(task)

    def node(self) -> Node:
        return self._node

    def set_flags(self, flags: int) -> None:
        self.flags = flags

    def under_rwf(self, task: LinuxTask, flags: int) -> AbstractContextManager[None]:
        """RWF_NOWAIT is O_NONBLOCK for once."""
        from contextlib import contextmanager  # which few runs need

        return contextmanager(self._under_rwf)(task, flags)

    def _under_rwf(self, task: LinuxTask, flags: int) -> Iterator[None]:
        with super().under_rwf(task, flags):
            before = self.flags
            if flags & _RWF_NOWAIT:
                self.flags |= O_NONBLOCK
            try:
                yield
            finally:
                self.flags = before

    def fallocate(self, task: LinuxTask, mode: int, offset: int, size: int) -> None:
        try:
            super().fallocate(task, mode, offset, size)
        except LinuxError as error:
            raise LinuxError(errno.ESPIPE) if error.errno == errno.ENODEV else error from None

    def fadvise(self, size: int, advice: int) -> None:
        raise LinuxError(errno.ESPIPE)

    def ioctl(self, task: LinuxTask, command: int, argument: int) -> int | None:
        if command != _FIONREAD:
            return super().ioctl(task, command, argument)
        put_bytes(task, argument, pack("<i", self.pipe.count))
        return 0

    def pipe_size(self, task: LinuxTask, size: int | None) -> int:
        return self.pipe.most * PAGE if size is None else self.pipe.resize(task, size)

    def no_exec(self) -> bool:
        return True

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.pipe.closed(self)


learn_pipe(PipeFile, PipeNode, Pipe, Slot)


def make_pipe(task: LinuxTask, flags: int) -> tuple[PipeFile, PipeFile]:
    """The two ends of a new pipe; O_NONBLOCK and O_DIRECT of the flags are theirs. ENFILE."""
    pipe = Pipe(task)
    node = PipeNode(pipe, task)
    reader = PipeFile(pipe, node, os.O_RDONLY | flags & O_NONBLOCK, opened=False)
    return reader, PipeFile(pipe, node, os.O_WRONLY | flags & (O_NONBLOCK | O_DIRECT), opened=False)
