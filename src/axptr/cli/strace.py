"""`--strace`, its options, `--trace-json`: the listeners that a command line asks for.

What the options mean is strace's affair; each of its own (`-e`, `-t`, `-c` ...) means `--strace` too. What a trace
looks like is `linux/strace/`.
"""

from __future__ import annotations

import os

from ..linux.strace.counts import Counts
from ..linux.strace.decode import STRING_LIMIT, Style
from ..linux.strace.filters import Filter
from ..linux.strace.lines import Form, Lines, no_colour, program_path
from ..linux.strace.records import Records
from ..linux.strace.watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

    from ..kernel.kernel import Kernel
    from ..linux.api import Process
    from ..linux.strace.watch import Listener

_AT_EXECFN = 31


def parse(options: SimpleNamespace) -> Filter:
    """What is wanted; `ValueError` for what is not understood, with the option's name."""
    if options.s is not None and not options.s.isdecimal():
        raise ValueError(f"-s: {options.s!r} is no number of bytes")
    try:
        return Filter(options.e)
    except ValueError as error:
        raise ValueError(f"-e: {error}") from None


class Trace:
    """A run's trace: `attach` before it, `begin` with its process, then `end` however it ended."""

    def __init__(self, options: SimpleNamespace, write: Callable[[str], object], *, terminal: bool = False) -> None:
        """write: where lines go, which may be a terminal. What `--trace-json` stands for is where its lines go."""
        self._counts: Counts | None = None
        listeners: list[Listener] = []
        strings = STRING_LIMIT if options.s is None else int(options.s)
        style = Style(strings, descriptors=options.y)
        if options.c:
            self._counts = Counts(write)
            listeners.append(self._counts)
        elif options.lines:
            times = "ttt" if options.ttt else "tt" if options.tt else "t" if options.t else ""
            colour = terminal and not no_colour()
            form = Form(times, relative=options.r, spent=options.T, colour=colour, style=style)
            listeners.append(Lines(write, form))
        if options.trace_json is not None:
            listeners.append(Records(options.trace_json, style))
        self.watch = Watch(parse(options), listeners)

    def begin(self, process: Process, argv: list[str], variables: int) -> None:
        """Watch its calls; the first thing to tell is what began it."""
        self.watch.attach(process.kernel)
        task = process.task
        path = program_path(task, _AT_EXECFN)
        self.watch.executed(task, [os.fsencode(word) for word in argv], variables, path)

    def stopped(self, how: str) -> None:
        """The run was ended from outside."""
        self.watch.stopped(how)

    def close(self) -> None:
        """No more comes."""
        if self._counts is not None:
            self._counts.finish()


class Tracer(Watch):
    """Lines and nothing else, of everything, for whoever has a kernel of their own: `Tracer(write).trace(kernel)`."""

    def __init__(self, write: Callable[[str], object]) -> None:
        super().__init__(Filter(), [Lines(write)])

    def trace(self, kernel: Kernel) -> None:
        self.attach(kernel)
