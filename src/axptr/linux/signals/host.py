"""Signals sent to this process while it runs a program: they are the program's. Source: sigwaitinfo(2), signal(7).

What the command asks for, and `create_process(host_signals=True)`: the program starts with the signals ignored and
blocked that this process was started with; what `kill`, a terminal or a timer sends us becomes pending there with the
siginfo it came with; a signal that stops the program stops this process, as a shell expects.

While the program runs, the signals are blocked in the thread that runs it, and a thread of our own takes them
(`sigwaitinfo`); dispositions are not touched, and the mask is put back after the run. Left to the host as they are:
SIGINT and the terminal's stop signals while the program neither handles nor blocks them (Ctrl-C is a
`KeyboardInterrupt`, Ctrl-Z stops us), what faults of our own send, and SIGPIPE and SIGXFSZ, which Python ignores.

A signal that kills, and that the run does not look at within GRACE seconds (a call of the host that does not come
back), kills this process as if nobody had been there.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # not `signal`: every start would pay for its enums
import _thread
import os

from ..._core.host import hostcalls
from ...light import deque
from ..abi.signals import (
    SI_KERNEL,
    SI_TKILL,
    SIG_IGN,
    SIGBUS,
    SIGCHLD,
    SIGCONT,
    SIGFPE,
    SIGILL,
    SIGINT,
    SIGKILL,
    SIGPIPE,
    SIGQUIT,
    SIGSEGV,
    SIGSTOP,
    SIGSYS,
    SIGTRAP,
    SIGTSTP,
    SIGTTIN,
    SIGTTOU,
    SIGURG,
    SIGWINCH,
    Info,
    bit,
)
from ..host import nap, own_pid, wall
from .actions import Action
from .sending import send_group, send_process
from .state import SignalState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..task.task import LinuxTask

GRACE = 2.0
_SIGXFSZ = 25
_NPTL = {32, 33}  # the C library's own
_OURS = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGPIPE, _SIGXFSZ, *_NPTL}
FORWARDED = frozenset(range(1, 65)) - _OURS
_TYPED = (SIGINT, SIGQUIT, SIGTSTP, SIGWINCH)
"""What a terminal sends to those in its foreground."""
_KEPT = (SIGINT, SIGTSTP, SIGTTIN, SIGTTOU)
"""Those that the host may act on while the program leaves them alone."""


def inherited() -> tuple[list[int], int]:
    """The signals that this process ignores, and the mask of those that this thread blocks."""
    ignored = [n for n in sorted(FORWARDED) if _signal.getsignal(n) == _signal.SIG_IGN]
    blocked = sum(bit(n) for n in _signal.pthread_sigmask(_signal.SIG_BLOCK, []) if n in FORWARDED)
    return ignored, blocked


class HostSignals:
    """What is sent to this process during a run.

    The inbox is filled by the thread that waits and emptied by the one that runs the program, whose loop is told.
    on_quit: called at a SIGQUIT, which is then not the program's.
    """

    def __init__(self, task: LinuxTask) -> None:
        self._task = task
        self._inbox: deque[Info] = deque()
        self._before: set[int] | None = None
        self._native: list[int] | None = None
        self._over = False
        self._ended = _thread.allocate_lock()
        self._taker = 0
        self.on_quit: Callable[[], object] | None = None

    def adopt(self, signals: SignalState) -> None:
        """Start the program with the dispositions and the mask that it would inherit."""
        ignored, blocked = inherited()
        for number in ignored:
            signals.actions.set(number, Action(SIG_IGN))
        signals.blocked |= blocked

    # -- the thread that runs the program

    def start(self) -> None:
        """Take the process's signals from now on. `RuntimeError` in a thread that is not the main one."""
        if _thread.get_native_id() != own_pid():  # the main thread, which Python gives signals to
            raise RuntimeError("the host's signals reach a program that runs in the main thread only")
        self._before = set(map(int, _signal.pthread_sigmask(_signal.SIG_BLOCK, FORWARDED)))
        self._native = None
        self._over = False
        self._ended.acquire()
        try:
            self._taker = _thread.start_new_thread(self._take, ())
        except BaseException:
            self._ended.release()
            self.stop()
            raise
        self.follow(self._task.signals)

    def stop(self) -> None:
        """Leave the signals to the host again; those that the program has not been told of reach this process."""
        self._over = True
        while not self._ended.acquire(False):
            _signal.pthread_kill(self._taker, SIGURG)
            if self._ended.acquire(timeout=0.05):
                break
        self._ended.release()
        assert self._before is not None
        _signal.pthread_sigmask(_signal.SIG_SETMASK, self._before)
        self._before = None
        while self._inbox:
            number = self._inbox.popleft().signal
            if not self._task.over:  # else they came too late, as for a process that is no more
                os.kill(own_pid(), number)

    followed = sum(map(bit, _KEPT))
    """The signals of which `follow` is to know whether the program blocks them."""

    def follow(self, signals: SignalState) -> None:
        """After a change of the program's mask or dispositions: block here what is the program's alone."""
        if self._before is None:
            return
        console = self._task.machine.console
        away = console is not None and console.pgrp != self._task.group.pgid
        native = [] if away else [n for n in _KEPT if signals.left_to_host(n)]
        if native != self._native:
            self._native = native
            _signal.pthread_sigmask(_signal.SIG_SETMASK, (self._before | FORWARDED).difference(native))

    def collect(self) -> None:
        """Make pending in the program what came in. `KeyboardInterrupt` for a Ctrl-C that it leaves to us.

        What a terminal sends is its foreground group's; what lets us go on lets all of the program's job.
        """
        task, signals = self._task, self._task.signals
        console, group = task.machine.console, task.group
        while self._inbox:
            info = self._inbox.popleft()
            if info.signal == SIGQUIT and self.on_quit is not None:
                self.on_quit()
                continue
            if info.code <= 0:  # of a process
                info.sent_by(task.machine.host.shown_sender(info.pid))
            typed = console is not None and info.code == SI_KERNEL and info.signal in _TYPED
            if typed and console is not None and console.pgrp != group.pgid:
                send_group(task.machine, console.pgrp, info)
                continue
            if info.signal == SIGINT and signals.left_to_host(SIGINT):
                raise KeyboardInterrupt
            if typed or info.signal == SIGCONT:
                for other in task.machine.pids.members(group.pgid):
                    if other is not group:
                        send_process(other, info)
            if not group.over:
                signals.send(task, info, own=info.code == SI_TKILL)  # to our main thread, which is the program's

    def stop_process(self, signal: int) -> None:
        """Stop this process as the signal stops a program; comes back when it goes on. The terminal is left as it was
        found, for whoever has it meanwhile."""
        terminals = self._task.machine.terminals
        terminals.leave()
        native = self._native is not None and signal in self._native
        _signal.raise_signal(signal if native else SIGSTOP)
        terminals.enter()

    # -- the thread that waits

    def _take(self) -> None:
        _signal.pthread_sigmask(_signal.SIG_BLOCK, FORWARDED)
        wanted, loop = sum(map(bit, FORWARDED)), self._task.loop
        assert loop is not None
        try:
            while not self._over:
                number, siginfo = hostcalls.sigwaitinfo(wanted)
                if not number:
                    continue
                info = Info.of(number, siginfo)
                if self._over and number == SIGURG and info.code == SI_TKILL and info.pid == own_pid():
                    break  # `stop` asked us to end
                if number == SIGCHLD and info.code > 0:  # a child of ours, that runs guests: none of the program's
                    continue
                self._inbox.append(info)
                loop.post(self.collect)
                self._mind(number)
        finally:
            self._ended.release()

    def _mind(self, number: int) -> None:
        """See that a signal that kills does so, whatever the run is doing."""
        signals, until = self._task.signals, wall() + GRACE
        if number == SIGQUIT and self.on_quit is not None:
            return
        if not signals.left_to_host(number) or signals.actions.ignores(number):
            return
        while self._inbox and not self._over:
            if wall() >= until:
                _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [number])
                _signal.raise_signal(number)
                return
            nap(0.01)
