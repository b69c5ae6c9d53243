"""Control messages: what of a msghdr's msg_control becomes of `Outgoing`, and `Received` of it. Source: cmsg(3),
unix(7), net/core/scm.c of Linux 6.18.

The buffer is copied in once and judged as that copy. What does not fit on the way back is cut, and MSG_CTRUNC says so.
"""

from __future__ import annotations

import errno
from struct import Struct, pack, unpack_from

from ...errors import LinuxError
from ..fs.openfile import OpenFile
from ..task.creds import CAP_SETGID, CAP_SETUID
from ..task.limits import RLIMIT_NOFILE, get_limit
from ..task.userspace import NONE, called, gid_of, uid_of
from ..uaccess import get_bytes, put_bytes
from .endpoint import AF_UNIX, MSG_CMSG_CLOEXEC, MSG_CTRUNC, Endpoint, Outgoing, Received
from .flight import MOST_FILES
from .options import SOL_SOCKET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..task.task import LinuxTask
    from .endpoint import Cred

SCM_RIGHTS, SCM_CREDENTIALS, SCM_PIDFD = 1, 2, 4
_HEADER = Struct("<Qii")
HEADER = 16
MOST_CONTROL = 131_072
"""Bytes that may be sent (net.core.optmem_max)."""
_NOBODY = (0, 65_534, 65_534)


def aligned(size: int) -> int:
    return (size + 7) & ~7


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(level, type, data) of each control message; EINVAL for a length that cannot be (CMSG_OK), once it is reached."""
    at = 0
    while at + HEADER <= len(data):
        size, level, kind = _HEADER.unpack_from(data, at)
        if size < HEADER or size > len(data) - at:
            raise LinuxError(errno.EINVAL)
        yield level, kind, data[at + HEADER : at + size]
        at += aligned(size)


def read_control(task: LinuxTask, end: Endpoint, message: Outgoing, address: int, size: int) -> None:
    """Take over what msg_control says. EINVAL, EBADF, EPERM, ESRCH, EFAULT; ENOBUFS for too much of it."""
    if size > MOST_CONTROL:
        raise LinuxError(errno.ENOBUFS)
    data = get_bytes(task, address, size) if size else b""
    if end.family == AF_UNIX or end.family == 16:
        files: list[OpenFile] = []
        for level, kind, body in messages(data):
            if level != SOL_SOCKET:
                continue
            if kind == SCM_RIGHTS and end.family == AF_UNIX:
                _take_files(task, body, files)
            elif kind == SCM_CREDENTIALS:
                message.cred = _take_cred(task, body)
            else:
                raise LinuxError(errno.EINVAL)
        message.files = tuple(files)
        if files:
            privileged = task.creds.reigns
            end.network.flight.require(task.creds.uid, get_limit(task, RLIMIT_NOFILE)[0], privileged)
    else:
        message.ancillary = tuple(messages(data))


def _take_files(task: LinuxTask, body: bytes, files: list[OpenFile]) -> None:
    count = len(body) // 4
    if count > MOST_FILES or len(files) + count > MOST_FILES:
        raise LinuxError(errno.EINVAL)
    for fd in unpack_from(f"<{count}i", body):
        if fd < 0:
            raise LinuxError(errno.EBADF)
        files.append(task.files.get(fd))


def _take_cred(task: LinuxTask, body: bytes) -> Cred:
    """Who the sender says it is: itself, unless it may be anybody."""
    if len(body) != 12:
        raise LinuxError(errno.EINVAL)
    pid, uid, gid = unpack_from("<iII", body)
    creds = task.creds
    uid, gid, root = uid_of(creds.space, uid), gid_of(creds.space, gid), creds.reigns
    if NONE in (uid, gid):
        raise LinuxError(errno.EINVAL)
    if not (
        (pid == task.pid or root)
        and (uid in creds.uids or creds.has_here(CAP_SETUID))
        and (gid in creds.gids or creds.has_here(CAP_SETGID))
    ):
        raise LinuxError(errno.EPERM)
    if pid != task.pid and task.machine.thread(pid) is None:
        raise LinuxError(errno.ESRCH)
    return pid, uid, gid


class ControlWriter:
    """msg_control on the way back. flags: of the message, MSG_CTRUNC where something did not fit. at: how far."""

    def __init__(self, task: LinuxTask, address: int, size: int, flags: int) -> None:
        self._task = task
        self._start = self._at = address
        self._left = size if address else 0
        self.flags = flags

    @property
    def used(self) -> int:
        return self._at - self._start

    def put(self, level: int, kind: int, data: bytes) -> None:
        """One message (put_cmsg); nothing is said of an address that cannot be written."""
        if self._left < HEADER:
            self.flags |= MSG_CTRUNC
            return
        size = HEADER + len(data)
        if self._left < size:
            self.flags |= MSG_CTRUNC
            size = self._left
        try:
            put_bytes(self._task, self._at, (_HEADER.pack(size, level, kind) + data)[:size])
        except LinuxError:
            return
        self._moved(size - HEADER)

    def _moved(self, size: int) -> None:
        step = min(aligned(HEADER + size), self._left)
        self._at += step
        self._left -= step

    def put_files(self, files: list[OpenFile], cloexec: bool) -> None:
        """Install as many as there is room for, and tell their numbers (scm_detach_fds)."""
        task = self._task
        most = max(0, self._left - HEADER) // 4 if self._left > HEADER else 0
        done = 0
        for file in files[:most]:
            try:
                fd = task.files.add(file, cloexec=cloexec)
            except LinuxError:
                break
            try:
                put_bytes(task, self._at + HEADER + 4 * done, pack("<i", fd))
            except LinuxError:
                task.files.close(fd)
                break
            done += 1
        if done:
            try:
                put_bytes(task, self._at, _HEADER.pack(HEADER + 4 * done, SOL_SOCKET, SCM_RIGHTS))
                self._moved(4 * done)
            except LinuxError:
                pass
        if done < len(files):
            self.flags |= MSG_CTRUNC

    def put_process(self, pid: int) -> None:
        """A descriptor of who sent it; nothing of one that is no more (scm_pidfd_recv)."""
        task = self._task
        sender = task.machine.thread(pid)
        if self._left < HEADER + 4:
            self.flags |= MSG_CTRUNC
        elif sender is not None:
            from ..files.pidfd import add_pidfd

            self.put(SOL_SOCKET, SCM_PIDFD, pack("<i", add_pidfd(task, sender)))


def write_control(
    task: LinuxTask, end: Endpoint, got: Received, address: int, size: int, flags: int
) -> tuple[int, int]:
    """Tell what came along: bytes of msg_control that were used, and the message's flags. Files are let go of."""
    writer = ControlWriter(task, address, size, got.flags)
    for level, kind, data in got.ancillary:
        writer.put(level, kind, data)
    if end.options.pass_cred and end.family in (AF_UNIX, 16):
        writer.put(
            SOL_SOCKET,
            SCM_CREDENTIALS,
            pack("<iII", *(_NOBODY if not got.cred else called(task.creds.space, got.cred))),
        )
    try:
        if got.files:
            writer.put_files(got.files, bool(flags & MSG_CMSG_CLOEXEC))
    finally:
        let_go(task, got)
    if end.options.pass_pidfd and end.family == AF_UNIX and got.cred is not None:
        writer.put_process(got.cred[0])
    return writer.used, writer.flags


def let_go(task: LinuxTask, got: Received) -> None:
    """The files that came along are the message's no more."""
    files, got.files = got.files, []
    for file in files:
        file.release(task.machine.locks)
