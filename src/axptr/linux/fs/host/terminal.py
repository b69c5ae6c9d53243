"""Terminals of the host that a program changes: as they were when the run is over, whatever ended it.

A program gets the modes it sets (`stty`, editors, pagers work), and loses them whenever it does not run: at its end, at
the end of `run`, at Ctrl-C. Run on, it has them again. A terminal that belongs to another job by then is left alone.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # not `signal`: every start would pay for its enums
import os
import stat

from ...._core.host.places import name_of
from ...host import own_group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...task.task import LinuxTask
    from .file import HostFile

TCGETS2, TCSETS2 = 0x802C542A, 0x402C542B
TIOCGWINSZ, TIOCSWINSZ = 0x5413, 0x5414
_MODES, _SIZE = 44, 8  # struct termios2, struct winsize


def terminals(task: LinuxTask) -> Iterator[tuple[bytes, HostFile]]:
    """Every terminal that a descriptor refers to, with its name."""
    for fd in task.files.descriptors():
        file = task.files.get(fd)
        if file.host_fd is not None and file.kind == stat.S_IFCHR and os.isatty(file.host_fd):
            yield name_of(file.host_fd), file  # type: ignore[misc]


class Terminals:
    """The terminals of a run that the program has changed, each held by a descriptor of our own."""

    def __init__(self) -> None:
        self._held: dict[int, int] = {}  # device -> descriptor
        self._before: dict[int, tuple[bytes, bytes]] = {}
        self._during: dict[int, tuple[bytes, bytes]] = {}

    def about_to_change(self, fd: int) -> None:
        """Note how the terminal is, unless it was noted before. Raises `OSError` for what is no terminal."""
        device = os.fstat(fd).st_rdev
        if device not in self._held:
            state = _state(fd)
            self._held[device] = os.dup(fd)
            self._before[device] = state

    def leave(self) -> None:
        """The program does not run any more: give the terminals back as they were."""
        for device, fd in reversed(self._held.items()):
            try:
                if _is_ours(fd):
                    self._during[device] = _state(fd)
                    _set_state(fd, self._before[device])
            except OSError:
                pass

    def enter(self) -> None:
        """The program runs on: it finds the terminals as it left them."""
        for device, state in self._during.items():
            try:
                if _is_ours(self._held[device]):
                    self._before[device] = _state(self._held[device])
                    _set_state(self._held[device], state)
            except OSError:
                pass
        self._during.clear()

    def __del__(self) -> None:
        for fd in getattr(self, "_held", {}).values():
            os.close(fd)


def _state(fd: int) -> tuple[bytes, bytes]:
    from fcntl import ioctl  # a library of its own, which few runs need

    return ioctl(fd, TCGETS2, bytes(_MODES)), ioctl(fd, TIOCGWINSZ, bytes(_SIZE))


def _set_state(fd: int, state: tuple[bytes, bytes]) -> None:
    if _state(fd) == state:
        return
    from fcntl import ioctl

    # Should we be in the background after all, this would stop us; it is then refused with EIO or done.
    masked = _signal.pthread_sigmask(_signal.SIG_BLOCK, {_signal.SIGTTOU})
    try:
        ioctl(fd, TCSETS2, state[0])
        if ioctl(fd, TIOCGWINSZ, bytes(_SIZE)) != state[1]:
            ioctl(fd, TIOCSWINSZ, state[1])
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, masked)


def _is_ours(fd: int) -> bool:
    """Whether no other job has the terminal now."""
    try:
        return os.tcgetpgrp(fd) == own_group()
    except OSError:
        return True  # not our controlling terminal: there are no jobs
