"""`Held`: a name space that goes with the last task and the last open file that has it. Source: namespaces(7),
kernel/nsproxy.c (put_nsproxy), fs/nsfs.c of Linux 6.18.
"""

from __future__ import annotations

import errno

from ...errors import LinuxError

DYNAMIC_FIRST = 0xF000_0000
"""The lowest number of one that a program made (PROC_DYNAMIC_FIRST); the machine's own are below, and stay."""


class Held:
    """holders: tasks that have not ended, and open files of /proc/PID/ns. over: it is gone, and nobody enters it.

    | guarded by | exec | fork | a snapshot |
    | --- | --- | --- | --- |
    | the machine's thread | keeps it | one holder more, if it is shared | both numbers |
    """

    number = 0
    holders = 0
    over = False

    def enter(self) -> None:
        """One more has it. ENOENT for one that is gone."""
        if self.over:
            raise LinuxError(errno.ENOENT)
        self.holders += 1

    def leave(self) -> None:
        """One has it no more; after the last one what is in it is given back."""
        self.holders -= 1
        if not self.holders and self.number >= DYNAMIC_FIRST and not self.over:
            self.unheld()

    def unheld(self) -> None:
        """Nobody has it any more."""
        self.over = True
