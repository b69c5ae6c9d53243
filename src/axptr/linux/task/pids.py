"""The numbers of a machine's processes and threads, and who has them: a pid namespace of its own. Source: pid(7) in
pid_namespaces(7), kernel/pid.c.

A number is taken as long as a thread, a process, a process group or a session has it. They are given out one after the
other and begin anew at RESERVED when the last is reached (alloc_pid).

Not here: what a process is (`group`), a thread (`task`).
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from ...weak import WeakSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .group import ThreadGroup
    from .task import LinuxTask

PID_MAX = 1 << 22
RESERVED = 300
"""Numbers below it are not given out a second time."""


class PidTable:
    """Who has which number. The machine's thread alone uses it. A fork adds to it, exec may give a thread its process's
    number; a snapshot keeps the numbers.

    tasks: threads by their number, also one that has ended and whose process has not. groups: processes, until they
    are waited for. most: how many threads there may be.
    """

    def __init__(self, first: int, most: int | None = None) -> None:
        """first: the number that is given out next."""
        self._next = first
        self.most = most
        self.made = 0  # how many were given out
        self.tasks: dict[int, LinuxTask] = {}
        self.groups: dict[int, ThreadGroup] = {}
        self._members: dict[int, dict[ThreadGroup, None]] = {}  # process groups
        self._sessions: dict[int, dict[ThreadGroup, None]] = {}
        self._left = WeakSet()  # processes that were waited for, and that somebody still names

    def allocate(self, *, outside: bool = False) -> int:
        """A number that nobody has. EAGAIN if there are as many tasks as there may be, which whoever has the machine is
        not told (outside)."""
        if not outside and self.most is not None and len(self.tasks) >= self.most:
            raise LinuxError(errno.EAGAIN)
        while True:
            number = self._next
            self._next = number + 1 if number + 1 < PID_MAX else RESERVED
            if not self._taken(number):
                self.made += 1
                return number

    def claim(self, number: int) -> int:
        """A number that the program chose (CLONE_SET_TID). EEXIST if somebody has it; EAGAIN as `allocate`."""
        if self.most is not None and len(self.tasks) >= self.most:
            raise LinuxError(errno.EAGAIN)
        if number == 1 or self._taken(number):
            raise LinuxError(errno.EEXIST)
        self.made += 1
        return number

    def _taken(self, number: int) -> bool:
        return number in self.tasks or number in self.groups or number in self._members or number in self._sessions

    @property
    def last(self) -> int:
        """What was given out last (/proc/loadavg)."""
        return self._next - 1

    # -- processes

    def enter(self, group: ThreadGroup) -> None:
        """A new process, with the process group and session that it says."""
        self.groups[group.tgid] = group
        self._members.setdefault(group.pgid, {})[group] = None
        self._sessions.setdefault(group.sid, {})[group] = None

    def leave(self, group: ThreadGroup) -> None:
        """It was waited for."""
        self._left.add(group)
        del self.groups[group.tgid]
        self._quit(self._members, group.pgid, group)
        self._quit(self._sessions, group.sid, group)

    def all_groups(self) -> list[ThreadGroup]:
        """Processes, those too that were waited for and that somebody still names."""
        return [*self.groups.values(), *self._left]

    def leave_behind(self, groups: list[ThreadGroup]) -> None:
        """The machine was put back: those of before that it does not have now are as those that were waited for."""
        for group in groups:
            if self.groups.get(group.tgid) is not group:
                self._left.add(group)

    def set_group(self, group: ThreadGroup, pgid: int) -> None:
        """Move a process to another process group."""
        self._quit(self._members, group.pgid, group)
        group.pgid = pgid
        self._members.setdefault(pgid, {})[group] = None

    def set_session(self, group: ThreadGroup) -> None:
        """Let a process lead a session of its own, and a process group."""
        self._quit(self._sessions, group.sid, group)
        group.sid, group.tty = group.tgid, None
        self._sessions.setdefault(group.sid, {})[group] = None
        self.set_group(group, group.tgid)

    @staticmethod
    def _quit(table: dict[int, dict[ThreadGroup, None]], number: int, group: ThreadGroup) -> None:
        members = table[number]
        del members[group]
        if not members:
            del table[number]

    def members(self, pgid: int) -> list[ThreadGroup]:
        """The processes of a process group, in the order in which they came; none if there is no such."""
        return list(self._members.get(pgid, ()))

    def session(self, sid: int) -> list[ThreadGroup]:
        return list(self._sessions.get(sid, ()))

    def dissolve(self) -> None:
        """The machine is closed: nobody has a number any more, and who had one leads nowhere."""
        for group in self.all_groups():
            group.dissolve()
        for table in (self.tasks, self.groups, self._members, self._sessions, self._left):
            table.clear()

    def _check(self) -> None:
        """Raise `AssertionError` unless the tables agree."""
        for tid, task in self.tasks.items():
            if task.tid != tid or task.group.threads.get(tid) is not task:
                raise AssertionError(f"thread {tid} is {task.tid} of {task.group.tgid}")
        for table, name in ((self._members, "pgid"), (self._sessions, "sid")):
            for number, members in table.items():
                if not members or any(getattr(group, name) != number for group in members):
                    raise AssertionError(f"{name} {number}: {[group.tgid for group in members]}")
        for tgid, group in self.groups.items():
            if group.tgid != tgid or group not in self._members[group.pgid] or group not in self._sessions[group.sid]:
                raise AssertionError(f"process {tgid} is {group.tgid}, of {group.pgid} and {group.sid}")
            if group.parent is not None and group not in group.parent.children:
                raise AssertionError(f"{tgid} is no child of its parent {group.parent.tgid}")
