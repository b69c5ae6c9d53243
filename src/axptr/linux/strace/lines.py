"""A trace as strace writes it: one line for each call.

    openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3
    read(3, 0x10, 4096)                     = -1 EFAULT (write of 4096 bytes at 0x10: not mapped)

A line is written when its call is over, so that it shows what the call stored; if another task has something to tell
before that, the call is `<unfinished ...>` first and `resumed` later, as with strace. One that never returns has `?` as
its result. Once there are several tasks each line has the number of its own in front. The text after an error is the
error's own; for `EFAULT` it says what was touched and why that failed.
"""

from __future__ import annotations

import errno
import os

from ..host import time_of_day
from .arguments import Call, Style
from .decode import ARRAY_LIMIT, PATH_LIMIT, is_stored, quoted
from .multiplexed import CLONE, RESULTS
from .signaltext import info_text, signal_name
from .watch import Listener, now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..abi.signals import Info
    from ..task.task import LinuxTask
    from .watch import Made

RESULT_COLUMN = 40
_NAMES = {errno.EOPNOTSUPP: "EOPNOTSUPP", errno.EDEADLK: "EDEADLK", errno.EAGAIN: "EAGAIN"}
"""Of numbers that have two."""
_BILLION = 1_000_000_000
_RED, _YELLOW, _CYAN, _FAINT, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[36m", "\x1b[2m", "\x1b[m"


RESTARTS = {
    512: "ERESTARTSYS (To be restarted if SA_RESTART is set)",
    513: "ERESTARTNOINTR (To be restarted)",
    514: "ERESTARTNOHAND (To be restarted if no handler)",
    516: "ERESTART_RESTARTBLOCK (Interrupted by signal)",
}
"""What the kernel has in hand of a call that a signal ends, which a program never sees."""


class Form:
    """How lines look. times: "" for none, "t", "tt" or "ttt" as strace's options; relative: since the line before (-r);
    spent: how long each call took (-T); colour: for a terminal."""

    __slots__ = ("colour", "relative", "spent", "style", "times")

    def __init__(
        self,
        times: str = "",
        *,
        relative: bool = False,
        spent: bool = False,
        colour: bool = False,
        style: Style | None = None,
    ) -> None:
        self.times = times
        self.relative = relative
        self.spent = spent
        self.colour = colour
        self.style = style if style is not None else Style()


class Lines(Listener):
    """Writes them. `write` gets one line at a time."""

    def __init__(self, write: Callable[[str], object], form: Form | None = None) -> None:
        self._write = write
        self.form = form if form is not None else Form()
        self.style = self.form.style
        self._open: dict[LinuxTask, Made] = {}  # calls that have begun, of which nothing was written
        self._first: LinuxTask | None = None
        self._many = False
        self._last: int | None = None  # when the line before was, for times between lines

    # -- lines

    def _line(
        self,
        task: LinuxTask,
        text: str,
        when: int | None = None,
        tone: str = "",
        *,
        result: str | None = None,
        close: bool = True,
    ) -> None:
        self._meet(task)
        if close:
            self._close_others(task)
        tid = getattr(task, "tid", None) if self._many else None
        head = ("" if tid is None else f"[pid {tid:5}] ") + self._time(task, when)
        if result is not None:
            text = f"{text:<{max(RESULT_COLUMN - 1 - len(head), 0)}} = {result}"
        if self.form.colour:
            head = f"{_FAINT}{head}{_PLAIN}" if head else ""
            text = f"{tone}{text}{_PLAIN}" if tone else text
        self._write(f"{head}{text}\n")

    def _meet(self, task: LinuxTask) -> None:
        """Whose line it is has to be said once there is a second one."""
        if task is not self._first:
            self._many = self._many or self._first is not None
            self._first = self._first or task

    def _time(self, task: LinuxTask, when: int | None) -> str:
        form, text = self.form, ""
        if not form.times and not form.relative:
            return ""
        if when is None:
            when = now(task)[0]
        if form.relative:
            gap = when - self._last if self._last is not None else 0
            self._last = when
            text = f"{gap // _BILLION:6}.{gap % _BILLION // 1000:06} "
        if form.times:
            seconds, rest = divmod(when, _BILLION)
            whole = str(seconds) if form.times == "ttt" else time_of_day(seconds)
            text = f"{whole}{'' if form.times == 't' else f'.{rest // 1000:06}'} {text}"
        return text

    def _close_others(self, task: LinuxTask) -> None:
        """Another task has something to tell: the calls that are under way get lines of their own."""
        for other in [each for each in self._open if each is not task]:
            self._unfinished(self._open.pop(other))

    # -- what is told

    def executed(self, task: LinuxTask, argv: list[bytes], variables: int, path: bytes) -> None:
        texts = ", ".join(quoted(word, PATH_LIMIT) for word in argv[:ARRAY_LIMIT])
        more = ", ..." if len(argv) > ARRAY_LIMIT else ""
        start = f"{task.mm.env[0]:#x}" if task.mm.env[0] else "NULL"
        call = f"execve({quoted(path, PATH_LIMIT)}, [{texts}{more}], {start} /* {variables} vars */)"
        self._line(task, call, result="0")

    def began(self, made: Made) -> None:
        self._meet(made.task)
        self._close_others(made.task)
        self._open[made.task] = made

    def ended(self, made: Made) -> None:
        self._open.pop(made.task, None)
        texts = made.texts(self.style)
        when: int | None = made.began
        if made.announced is None:
            call = f"{made.name}({_joined(texts)})"
        else:
            rest = _joined(texts[made.announced :])
            call, when = f"<... {made.name} resumed>{rest})", None
        spent = f" <{made.seconds:.6f}>" if self.form.spent else ""
        outcome = _outcome(made, self.style)
        if self.form.colour and made.error is not None:
            outcome = f"{_RED}{outcome}{_PLAIN}"
        self._line(made.task, call, when, result=f"{outcome}{spent}")

    def _unfinished(self, made: Made) -> None:
        """A line for a call that is not over: the arguments that are known by now."""
        texts = made.texts(self.style)
        made.announced = len(texts) if made.before is not None else _known(made)
        shown = texts[: made.announced]
        text = _joined(shown) + (", " if shown and any(texts[made.announced :]) else "")
        self._line(made.task, f"{made.name}({text} <unfinished ...>", made.began, close=False)

    def signalled(self, task: LinuxTask, info: Info, what: str) -> None:
        name = signal_name(info.signal)
        text = f"stopped by {name}" if what == "stopped" else f"{name} {info_text(info)}"
        if task in self._open:
            self._unfinished(self._open.pop(task))
        self._line(task, f"--- {text} ---", tone=_YELLOW)

    def finished(self, task: LinuxTask, made: Made | None) -> None:
        self._open.pop(task, None)
        if made is not None and made.announced is None:
            self._left(made)
        death = task.group.death
        if death is None:
            code = task.code if task.group.exit_code is None else task.group.exit_code
            self._line(task, f"+++ exited with {code} +++", tone=_CYAN)
            return
        dumped = " (core dumped)" if getattr(task.group, "dumped", False) else ""
        self._line(task, f"+++ killed by {signal_name(death.signal)}{dumped} +++", tone=_RED)

    def _left(self, made: Made) -> None:
        """A call that its task never comes out of: all that there is."""
        self._line(made.task, f"{made.name}({_joined(made.texts(self.style))} <unfinished ...>", made.began)

    def stopped(self, made: list[Made], how: str) -> None:
        self._open.clear()
        for each in made:
            if each.announced is None:
                self._left(each)
        self._write(f"+++ {how} +++\n")


def _joined(texts: list[str]) -> str:
    """Without those that do not count, such as open's mode without O_CREAT."""
    return ", ".join(text for text in texts if text)


def _known(made: Made) -> int:
    """How many of the arguments are known before the call is over, as they stand in the line."""
    decoders = made.decoders
    if made.name == "clone" and len(decoders) == len(CLONE):
        decoders = tuple(decoder for _, decoder in CLONE)
    return next((place for place, decoder in enumerate(decoders) if is_stored(decoder)), len(decoders))


def _outcome(made: Made, style: Style) -> str:
    if made.outcome is None:
        return "?"
    error = made.error
    if error is not None:
        if error.errno == errno.EINTR:
            signals = getattr(made.task, "signals", None)
            restart = RESTARTS.get(signals.shown_restart) if signals is not None else None
            if restart is not None:
                return f"? {restart}"
        name = _NAMES.get(error.errno, error.name)
        return f"-1 {name} ({error.strerror})"
    shown = RESULTS.get(made.name)
    result = made.result or 0
    return shown(Call(made.task, made.arguments, result, style), result) if shown is not None else str(result)


def program_path(task: LinuxTask, entry: int) -> bytes:
    """What the auxiliary vector says that the program's file was called."""
    from ctypes import c_char
    from struct import iter_unpack

    from ..._core.pointers.pointer import UserConstPtr

    words = dict(iter_unpack("<QQ", task.mm.auxv))
    return UserConstPtr[c_char](words.get(entry, 0)).read_cstr(task, PATH_LIMIT)


def no_colour() -> bool:
    """Whether the user's environment asks for none (no-color.org)."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "dumb") == "dumb"
