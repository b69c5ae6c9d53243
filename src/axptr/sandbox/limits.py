"""What the programs of a sandbox may use: `Limits`. The defaults are such that a laptop does not notice.

| limit | of what | what a program sees of it |
| --- | --- | --- |
| memory | frames of its own (below), files in memory and books included | ENOMEM; ENOSPC for files; death by a page |
| disk | bytes of files that were written, in the overlay and in trees in memory | ENOSPC |
| processes | processes and threads at once | EAGAIN |
| open_files | descriptors of one process | EMFILE |
| file_size | one file | SIGXFSZ, EFBIG |
| cpu | seconds of the CPU that one process uses, whole ones | SIGXCPU, a second later SIGKILL |
| time | seconds that one command takes | all that it started is ended |
| output | bytes of standard output and error of one command, each | the same |

Frames that a branch shares with the snapshot that it came of are none of its own until it writes them.
"""

from __future__ import annotations

from ..linux.arguments import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_UNLIMITED = (1 << 64) - 1
_CPU, _FSIZE, _STACK, _CORE, _NPROC, _NOFILE, _MEMLOCK, _AS, _DATA = 0, 1, 3, 4, 6, 7, 8, 9, 2
_SIGPENDING, _MSGQUEUE = 11, 12
READ_AT_ONCE = 256 << 20
DOWNLOADED = 1 << 30
"""Bytes that `Files.read` and `Files.download` give at most where nobody says otherwise: a sparse file may be of any
size, and have any number of names."""


class Limits:
    """None for no limit of that kind. Not to be changed once a sandbox has it."""

    __slots__ = ("cpu", "disk", "file_size", "memory", "open_files", "output", "processes", "time")

    def __init__(
        self,
        *,
        memory: int | None = 1 << 30,
        disk: int | None = 512 << 20,
        processes: int | None = 256,
        open_files: int | None = 1024,
        file_size: int | None = None,
        cpu: float | None = 60.0,
        time: float | None = 60.0,
        output: int | None = 16 << 20,
    ) -> None:
        self.memory = _whole("memory", memory)
        self.disk = _whole("disk", disk)
        self.processes = _whole("processes", processes)
        self.open_files = _whole("open_files", open_files)
        self.file_size = _whole("file_size", file_size)
        self.cpu = seconds("cpu", cpu)
        self.time = seconds("time", time)
        self.output = _whole("output", output)

    def but(self, **changes: Any) -> Limits:
        """The same with some changed."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return Limits(**{**values, **changes})

    def rlimits(self) -> dict[int, tuple[int, int]]:
        """Resource limits that a process begins with, by number: none of them is the host's."""
        cpu = 0.0 if self.cpu is None else max(-(-self.cpu // 1), 1)
        files = _UNLIMITED >> 44 if self.open_files is None else self.open_files
        size = _UNLIMITED if self.file_size is None else self.file_size
        known = dict.fromkeys(range(16), (_UNLIMITED, _UNLIMITED))
        known[_CPU] = (int(cpu), int(cpu) + 1) if self.cpu is not None else (_UNLIMITED, _UNLIMITED)
        known[_FSIZE] = size, size
        known[_NOFILE] = files, files
        known[_STACK] = 8 << 20, _UNLIMITED
        known[_CORE] = 0, _UNLIMITED
        known[_MEMLOCK] = 8 << 20, 8 << 20
        known[_SIGPENDING] = 8192, 8192
        known[_MSGQUEUE] = 819_200, 819_200
        known[13] = known[14] = 0, 0
        return known

    def __repr__(self) -> str:
        return f"Limits({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


def _whole(name: str, value: object) -> int | None:
    if value is None:
        return None
    number = whole(f"the limit {name} is a whole number", value)
    if number < 1:
        raise ValueError(f"the limit {name} is {number}: that allows nothing")
    return number


def seconds(name: str, value: Any) -> float | None:
    """A number of seconds, or None for any."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is a number of seconds, not {type(value).__name__}")
    if not value > 0:
        raise ValueError(f"{name} is {value}: that is no time")
    return float(value)
