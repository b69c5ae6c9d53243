"""What a program has read and written, as /proc/self/io tells (proc_pid_io(5))."""

from __future__ import annotations


class IoCount:
    """Of a process; the machine's thread alone uses it. Exec keeps it, a fork begins with none, a snapshot has it.

    rchar, wchar: bytes that calls have read and written; syscr, syscw: how many such calls.
    """

    __slots__ = ("rchar", "syscr", "syscw", "wchar")

    def __init__(self) -> None:
        self.rchar = self.wchar = self.syscr = self.syscw = 0

    def read(self, count: int) -> int:
        """Note that a call has read `count` bytes; gives them back."""
        self.syscr += 1
        self.rchar += count
        return count

    def wrote(self, count: int) -> int:
        self.syscw += 1
        self.wchar += count
        return count
