"""Open files on their way in messages (SCM_RIGHTS), and those that nobody can receive any more.

A file in a message is held by it. Sockets in messages can hold each other: two that are closed and lie in each other's
queues are out of everybody's reach, and nobody would ever close them. `collect` finds them, as Linux does
(net/unix/garbage.c): whatever is referred to from outside messages, and what lies in the queues of such, is in use; the
queues of the rest are emptied.

| field | guarded by | exec, fork | a snapshot |
| --- | --- | --- | --- |
| files in messages, with their counts; whose they are | the machine's thread | the machine's | made anew of the \
messages |
"""

from __future__ import annotations

import errno

from ...errors import LinuxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..files.locks import LockTable
    from ..fs.openfile import OpenFile
    from .unix import UnixEndpoint

MOST_FILES = 253
"""In one message (SCM_MAX_FD)."""


class Flight:
    """All files in messages of a machine."""

    def __init__(self) -> None:
        self._files: dict[OpenFile, int] = {}
        self._of_users: dict[int, int] = {}
        self._closed = 0  # sockets closed since the last look

    def require(self, user: int, limit: int, privileged: bool) -> None:
        """ETOOMANYREFS for a user who has more on their way than a process may have open (too_many_unix_fds)."""
        if self._of_users.get(user, 0) > limit and not privileged:
            raise LinuxError(errno.ETOOMANYREFS)

    def depart(self, files: Iterable[OpenFile], user: int) -> None:
        """They are in a message from now on."""
        for file in files:
            file.hold()
            self._files[file] = self._files.get(file, 0) + 1
            self._of_users[user] = self._of_users.get(user, 0) + 1

    def files(self) -> list[OpenFile]:
        """All that are on their way."""
        return list(self._files)

    def arrive(self, files: Iterable[OpenFile], user: int) -> None:
        """They are in it no more; who took them out has what it held."""
        for file in files:
            left = self._files[file] - 1
            if left:
                self._files[file] = left
            else:
                del self._files[file]
            self._of_users[user] -= 1

    def collect(self, lying_in: Callable[[OpenFile], UnixEndpoint | None], locks: LockTable) -> None:
        """A socket was closed: empty the queues of those that only messages out of reach refer to.

        lying_in: the endpoint of a socket of AF_UNIX, None for other files. Not at each call where many are on their
        way.
        """
        self._closed += 1
        if not self._files or 8 * self._closed < len(self._files):
            return
        self._closed = 0
        sockets = {file: end for file in self._files if (end := lying_in(file)) is not None}
        lost = {file for file in sockets if file.refs == self._files[file]}
        if not lost:
            return
        # One that lies in a queue of any but these is in use, and so is what lies in its own.
        inner: dict[OpenFile, set[OpenFile]] = {file: set() for file in lost}
        counts: dict[OpenFile, int] = {}
        for file in lost:
            for other in sockets[file].queued_files():
                if other in lost:
                    inner[file].add(other)
                    counts[other] = counts.get(other, 0) + 1
        reached = [file for file in lost if counts.get(file, 0) < self._files[file]]
        while reached:
            file = reached.pop()
            if file in lost:
                lost.discard(file)
                reached.extend(inner[file])
        for file in lost:
            file.hold()
        for file in lost:
            sockets[file].discard_queue()
        for file in lost:
            file.release(locks)
