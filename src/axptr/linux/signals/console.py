"""The user's own terminal, where the host has one for us: jobs of the machine take turns in it, which the host is told
nothing of: to it all of them are one job. Source: tty_ioctl(4).

While the host has us in the foreground, it is the machine's foreground group that gets what is typed, and what is sent.
"""

from __future__ import annotations

import fcntl
import stat
from contextlib import suppress
from weakref import WeakKeyDictionary

from ..abi.signals import SIGTTIN, SIGTTOU
from ..host import INIT
from .jobs import Terminal, check_change

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..fs.openfile import OpenFile
    from ..machine import Machine
    from ..task.task import LinuxTask

_TIOCGDEV, _TCGETS, _TOSTOP = 0x80045432, 0x5401, 0x100


class Console(Terminal):
    """The host's terminal, as the machine's sessions see it. A snapshot keeps the numbers; see `Terminal`."""

    def __init__(self, machine: Machine, device: int) -> None:
        super().__init__(machine)
        self.device = device
        self._known: WeakKeyDictionary[OpenFile, bool] = WeakKeyDictionary()

    @property
    def shown_pgrp(self) -> int:
        """Somebody else's group while the host has us in the background."""
        host = self.machine.host
        group = host.terminal[1]
        return self.pgrp if group == host.pgid else INIT if group > 0 else group

    def foregrounded(self) -> None:
        leader = self.machine.first.leader
        if leader.host_signals is not None:
            leader.host_signals.follow(leader.signals)

    def is_it(self, file: OpenFile) -> bool:
        """Whether an open file is this terminal."""
        if file.kind != stat.S_IFCHR or file.host_fd is None:
            return False
        known = self._known.get(file)
        if known is None:
            answer = bytearray(4)
            with suppress(OSError):
                fcntl.ioctl(file.host_fd, _TIOCGDEV, answer, True)
            known = self._known[file] = int.from_bytes(answer, "little") == self.device
        return known

    def job_control(self, task: LinuxTask, file: OpenFile, *, write: bool) -> None:
        """Who is in the background does not read, nor write if that was asked for (TOSTOP)."""
        if task.group.pgid == self.pgrp or not self.is_it(file):
            return
        if not write:
            check_change(task, self, SIGTTIN)
            return
        modes = fcntl.ioctl(file.host_fd or 0, _TCGETS, bytes(36))
        if int.from_bytes(modes[12:16], "little") & _TOSTOP:
            check_change(task, self, SIGTTOU)
