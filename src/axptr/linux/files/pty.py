"""Pseudo-terminals of the machine's own: a pair of ends, the slave's with a line discipline. Source: pty(7),
ioctl_tty(2), drivers/tty/pty.c, n_tty.c (n_tty_read, n_tty_poll), tty_io.c.

    master: write -> receive -> [line discipline] -> slave: read
            read  <- shown   <-  output, echo     <-        write

Not here: the line discipline (`linedisc`), sessions (`signals.jobs`), ioctls (`ptyioctl`), names (`fs.ptsnodes`).
"""

from __future__ import annotations

import errno
import os
import stat

from ...errors import LinuxError
from ...flags import READ, WRITE
from ...kernel.wait import EVERY, WaitQueue
from ..abi.signals import SIGTTIN, SIGTTOU
from ..fs.openfile import OpenFile, WouldBlock
from ..signals import jobs
from .linedisc import LineDiscipline
from .sigio import F_OWNER_PGRP, F_OWNER_PID
from .termios import EXTPROC, IXON, TOSTOP, VMIN, VSTART, VSTOP, VTIME, Termios

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..fs.node import AnyStat, Node
    from ..machine import Machine
    from ..task.task import LinuxTask
    from ..uaccess import UserIter

POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP, POLLRDNORM, POLLWRNORM = 1, 2, 4, 8, 16, 0x40, 0x100
PKT_FLUSHREAD, PKT_FLUSHWRITE, PKT_STOP, PKT_START, PKT_NOSTOP, PKT_DOSTOP, PKT_IOCTL = 1, 2, 4, 8, 16, 32, 64
_CHUNK = 2048
_BUFFER = 4095
"""What an end takes in, beyond which what comes waits."""
_WAITING = 8192
"""How much of it waits (tty_buffer_set_limit of pty.c)."""
_MAJOR = 136
_GROUP = 5
"""The group of terminals, whose they are at first."""


class Pty(jobs.Terminal):
    """A pair of ends. The slave's is what a session can have.

    | field | guarded by | exec, fork | a snapshot |
    | --- | --- | --- | --- |
    | number | set once | the same | as it is |
    | mode, uid, gid: what the slave's name is judged by | the machine's thread | shared | as they are |
    | session, pgrp (of `Terminal`) | the machine's thread | shared | numbers |
    | discipline: modes, what was typed | the machine's thread | shared | its fields |
    | typed_ahead: of the master, not taken in; shown: not read by it | the machine's thread | shared | bytes |
    | locked, packet, status, stopped, winsize, exclusive | the machine's thread | shared | as they are |
    | slaves: open files; master: whether it is open; left: whether the last slave was closed | the same | shared | - |
    | to_slave, to_master: who waits at the slave, and at the master | the machine's thread | - | nothing |
    """

    def __init__(self, machine: Machine, number: int, owner: int) -> None:
        super().__init__(machine)
        self.number = number
        self.mode = stat.S_IFCHR | 0o620
        self.uid, self.gid = owner, _GROUP
        self.device = os.makedev(_MAJOR, number)
        self.discipline = LineDiscipline(self, Termios.of_slave())
        self.typed_ahead = bytearray()
        self.shown = bytearray()
        self.locked = True
        self.packet = False
        self.status = 0
        self.stopped = self.held = self.exclusive = False
        self.winsize = bytes(8)
        self.slaves = 0
        self.master = True
        self.left = False
        self.to_slave = WaitQueue()
        self.to_master = WaitQueue()

    # -- as the line discipline sees the device

    def room(self) -> int:
        return 0 if self.stopped else max(_BUFFER + _WAITING - len(self.shown), 0)

    def show(self, data: bytes) -> int:
        n = min(len(data), self.room())
        if n:
            self.shown += data[:n]
            self.to_master.wake(POLLIN | POLLRDNORM)
        return n

    def typed(self) -> None:
        self.to_slave.wake(POLLIN | POLLRDNORM)

    def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            self.tell(PKT_STOP, PKT_START)

    def start(self) -> None:
        if self.stopped and not self.held:
            self.stopped = False
            self.tell(PKT_START, PKT_STOP)
            self.discipline.process_echoes()
            self.to_slave.wake(POLLOUT | POLLWRNORM)

    def signal(self, signal: int, flush: bool = False) -> None:
        super().signal(signal)
        if flush:
            self.drop_shown()
            self.typed_ahead.clear()
            self.tell(PKT_FLUSHREAD, 0)

    # -- what the master is told in packets

    def tell(self, bits: int, gone: int) -> None:
        if self.packet:
            self.status = self.status & ~gone | bits
            self.to_master.wake(POLLPRI | POLLIN | POLLRDNORM)

    def drop_shown(self) -> None:
        """What the master has not taken in yet is dropped (pty_flush_buffer)."""
        del self.shown[_BUFFER:]
        self.tell(PKT_FLUSHWRITE, 0)

    # -- modes

    def set_termios(self, termios: Termios) -> None:
        old = self.discipline.termios
        self.discipline.set_termios(termios)
        _tell_of_modes(self, old, termios)
        self.to_slave.wake(EVERY)

    def flush_typed(self) -> None:
        self.discipline.flush()
        self.typed_ahead.clear()
        self.tell(PKT_FLUSHREAD, 0)
        self.to_master.wake(POLLOUT | POLLWRNORM)

    # -- the master's side

    def type(self, data: bytes) -> int:
        """What the master writes; how much of it."""
        done = 0
        if not self.typed_ahead:
            done = self.discipline.receive(memoryview(data))
        more = data[done : done + max(_WAITING - len(self.typed_ahead), 0)]
        self.typed_ahead += more
        return done + len(more)

    def take_in(self) -> None:
        """The slave has read: what waited is taken in."""
        if self.typed_ahead:
            done = self.discipline.receive(memoryview(bytes(self.typed_ahead)))
            del self.typed_ahead[:done]
            if done:
                self.to_master.wake(POLLOUT | POLLWRNORM)

    def taken(self, count: int) -> bytes:
        """What was shown, as the master reads it."""
        data = bytes(self.shown[:count])
        del self.shown[: len(data)]
        self.discipline.process_echoes()
        self.to_slave.wake(POLLOUT | POLLWRNORM)
        return data

    def close_master(self) -> None:
        """The terminal is no more."""
        self.master = False
        del self.machine.ptys[self.number]
        jobs.hang_up(self)
        self.to_slave.wake(EVERY)
        self._leave()

    def close_slave(self) -> None:
        self.slaves -= 1
        if not self.slaves:
            self.left = True
            self.packet = False
            self.to_master.wake(EVERY)
            self._leave()

    def _leave(self) -> None:
        if not self.master and not self.slaves:
            self.discipline.leave()


def _tell_of_modes(pty: Pty, old: Termios, new: Termios) -> None:
    """A master in packet mode hears whether it is to stop and start output itself (pty_set_termios)."""
    if not pty.packet:
        return
    before, after = _flow(old), _flow(new)
    external = (old.lflag | new.lflag) & EXTPROC
    if before != after:
        pty.tell(PKT_DOSTOP if after else PKT_NOSTOP, PKT_DOSTOP | PKT_NOSTOP)
    if external:
        pty.tell(PKT_IOCTL, 0)


def _flow(termios: Termios) -> bool:
    return bool(termios.iflag & IXON) and termios.cc[VSTART] == 0x11 and termios.cc[VSTOP] == 0x13


class PtyFile(OpenFile):
    """An open end."""

    kind = stat.S_IFCHR
    moves = False
    asynchronous = True
    may_wait = True
    is_master = False
    hung_up = False

    def __init__(self, pty: Pty, node: Node, flags: int) -> None:
        super().__init__(flags)
        self.pty = pty
        self._node = node

    def node(self) -> Node:
        return self._node

    def default_owner(self, task: LinuxTask) -> tuple[int, int]:
        """__tty_fasync: those in the foreground, or who asked."""
        pgrp = self.pty.pgrp
        return (F_OWNER_PGRP, pgrp) if pgrp else (F_OWNER_PID, task.pid)

    def stat(self, task: LinuxTask) -> AnyStat:
        return self._node.stat(task)

    def fsync(self) -> None:
        raise LinuxError(errno.EINVAL)

    def ioctl(self, task: LinuxTask, command: int, argument: int) -> int | None:
        from .ptyioctl import pty_ioctl

        return pty_ioctl(task, self, command, argument)

    def _put(self, data: bytes) -> int:
        """Write, as much as there is room for."""
        raise NotImplementedError

    def _require_other(self) -> None:
        """EIO if there is nobody any more to write to."""

    def write(self, task: LinuxTask, data: UserIter, pos: int | None) -> int:
        done = 0
        while data.count:
            self._require_other()
            rest, want = data.again(), min(data.count, _CHUNK)
            buffer = task.machine.bounce[:want]
            copied = data.copy_in(buffer)
            put = self._put(bytes(buffer[:copied]))
            done += put
            if put < copied:
                rest.skip(put)
                if self.blocks:
                    raise WouldBlock(done, rest.rest)
                if not done:
                    raise LinuxError(errno.EAGAIN)
                break
            if copied < want:
                if not done:
                    raise data.fault(READ)
                break
        return done

    def _nothing(self, to: UserIter, until: float | None = None) -> LinuxError:
        """There is nothing to read yet."""
        if not self.blocks:
            return LinuxError(errno.EAGAIN)
        waits = WouldBlock(0, to.rest)
        waits.until = until
        return waits


class MasterFile(PtyFile):
    """The end of who shows the terminal: what is written to it was typed, what it reads is to be shown. peer: opens the
    other end."""

    is_master = True

    def __init__(self, pty: Pty, node: Node, flags: int, peer: Callable[[LinuxTask, int], SlaveFile]) -> None:
        super().__init__(pty, node, flags)
        self.peer = peer

    @property
    def queue(self) -> WaitQueue:
        return self.pty.to_master

    def ready(self, mask: int) -> int:
        pty, events = self.pty, 0
        if pty.shown or (pty.packet and pty.status):
            events |= POLLIN | POLLRDNORM
        if pty.packet and pty.status:
            events |= POLLPRI
        if pty.left:
            events |= POLLHUP
        if len(pty.typed_ahead) < _WAITING:
            events |= POLLOUT | POLLWRNORM
        return events & (mask | POLLHUP | POLLERR)

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        pty, count = self.pty, to.count
        if not count:
            return 0
        if pty.packet and pty.status:
            data, pty.status = bytes((pty.status,)), 0
        elif pty.shown:
            data = b"\0" + pty.taken(count - 1) if pty.packet else pty.taken(count)
        elif pty.left:
            raise LinuxError(errno.EIO)
        else:
            raise self._nothing(to)
        return _give(to, data)

    def _put(self, data: bytes) -> int:
        return self.pty.type(data)

    def close(self) -> None:
        self.pty.close_master()


class SlaveFile(PtyFile):
    """The end that programs take for a terminal."""

    def __init__(self, pty: Pty, node: Node, flags: int) -> None:
        super().__init__(pty, node, flags)
        pty.slaves += 1
        pty.left = False
        self._waits: dict[LinuxTask, tuple[int, float | None]] = {}  # who reads: what there was, when it is enough

    @property
    def queue(self) -> WaitQueue:
        return self.pty.to_slave

    @property
    def hung_up(self) -> bool:  # type: ignore[override]
        return not self.pty.master

    def ready(self, mask: int) -> int:
        if self.hung_up:
            return (POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDNORM | POLLWRNORM) & (mask | POLLERR | POLLHUP)
        events = 0
        if self.pty.discipline.available(poll=True):
            events |= POLLIN | POLLRDNORM
        if self.pty.room():
            events |= POLLOUT | POLLWRNORM
        return events & mask

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        pty, discipline = self.pty, self.pty.discipline
        if self.hung_up:
            return 0
        again = self._waits.pop(task, None)
        if not to.count:
            return 0
        if discipline.canonical:
            if not discipline.available():
                self._waits[task] = (0, None)
                raise self._wait(task, to, None)
        elif not self._enough(task, to, again):
            return 0
        data = discipline.take(to.count)
        pty.take_in()
        return _give(to, data)

    def _wait(self, task: LinuxTask, to: UserIter, until: float | None) -> LinuxError:
        error = self._nothing(to, until)
        if not isinstance(error, WouldBlock):
            self._waits.pop(task, None)
        return error

    def _enough(self, task: LinuxTask, to: UserIter, again: tuple[int, float | None] | None) -> bool:
        """As VMIN and VTIME have it: so many bytes, or so long after the last one, or after the beginning. False if the
        time is over, with nothing."""
        discipline, now = self.pty.discipline, task.machine.host.monotonic()
        cc, there = discipline.termios.cc, len(discipline.buffer)
        least, time = cc[VMIN], cc[VTIME] / 10
        if there >= min(max(least, 1), to.count):
            return True
        before, until = again if again is not None else (0, None)
        if not least:
            if not time:
                return False
            until = now + time if until is None else until
        elif time and there > before:
            until = now + time
        if until is not None and now >= until:
            return there > 0
        if there and not self.blocks:
            return True
        self._waits[task] = there, until
        raise self._wait(task, to, until)

    def partial(self, task: LinuxTask, rest: tuple[tuple[int, int], ...]) -> int | None:
        """A signal ends a read: it gives what it has, of what is no line."""
        from ..uaccess import UserIter

        self._waits.pop(task, None)
        discipline = self.pty.discipline
        if self.hung_up or discipline.canonical or not discipline.buffer:
            return None
        to = UserIter.over(task, rest)
        return _give(to, discipline.take(to.count))

    def write(self, task: LinuxTask, data: UserIter, pos: int | None) -> int:
        if self.hung_up:
            raise LinuxError(errno.EIO)
        return super().write(task, data, pos)

    def job_control(self, task: LinuxTask, *, write: bool) -> None:
        if self.hung_up:
            return
        if not write:
            jobs.check_change(task, self.pty, SIGTTIN)
        elif self.pty.discipline.termios.lflag & TOSTOP:
            jobs.check_change(task, self.pty, SIGTTOU)

    def _put(self, data: bytes) -> int:
        return self.pty.discipline.write(data)

    def _require_other(self) -> None:
        if self.hung_up:
            raise LinuxError(errno.EIO)

    def close(self) -> None:
        self.pty.close_slave()


def _give(to: UserIter, data: bytes) -> int:
    if to.copy_out(data) < len(data):
        raise to.fault(WRITE)
    return len(data)
