"""What a program has read and written, as /proc/self/io tells (proc_pid_io(5))."""

from __future__ import annotations

from ..._core.kernel.accounts import IoTally


class IoCount(IoTally):
    """Of a process; the machine's thread alone uses it. Exec keeps it, a fork begins with none, a snapshot has it.

    rchar, wchar: bytes that calls have read and written; syscr, syscw: how many such calls.
    """

    __slots__ = ()
