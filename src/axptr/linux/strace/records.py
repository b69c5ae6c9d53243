"""A trace as JSON lines, for other programs to read. One object a line; the schema is in docs/running-programs.md.

    {"time": 1767225600.123456789, "pid": 7, "tid": 7, "event": "call", "name": "close", "number": 3,
     "arguments": [{"name": "fd", "value": 3, "text": "3"}], "result": 0, "errno": null, "error": null,
     "duration": 0.000002}

Numbers are exact; text is ASCII, bytes beyond it as strace writes them.
"""

from __future__ import annotations

import json

from .decode import ARRAY_LIMIT, PATH_LIMIT, Style, quoted
from .signaltext import fields, signal_name
from .watch import Listener, now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..abi.signals import Info
    from ..task.task import LinuxTask
    from .watch import Made

_BILLION = 1_000_000_000


class Records(Listener):
    """Writes them. `write` gets one line at a time."""

    def __init__(self, write: Callable[[str], object], style: Style | None = None) -> None:
        self._write = write
        self.style = style if style is not None else Style()

    def _record(self, task: Any, event: str, when: int | None = None, **more: object) -> None:
        when = now(task)[0] if when is None else when
        group = getattr(task, "group", None)
        who = {"pid": getattr(group, "tgid", None), "tid": getattr(task, "tid", None)}
        head = f'{{"time": {when // _BILLION}.{when % _BILLION:09}, '
        self._write(head + json.dumps({**who, "event": event, **more})[1:] + "\n")

    def executed(self, task: LinuxTask, argv: list[bytes], variables: int, path: bytes) -> None:
        words = [quoted(word, PATH_LIMIT)[1:-1] for word in argv[:ARRAY_LIMIT]]
        self._record(task, "begin", program=quoted(path, PATH_LIMIT)[1:-1], argv=words, variables=variables)

    def ended(self, made: Made) -> None:
        error = made.error
        self._record(
            made.task,
            "call",
            made.began,
            **self._call(made),
            result=made.result,
            errno=None if error is None else error.name,
            error=None if error is None else error.strerror,
            duration=round(made.seconds, 9),
        )

    def _call(self, made: Made) -> dict[str, object]:
        registered = made.syscall.nr in made.task.kernel.syscalls
        names = [param.name for param in made.syscall.params] if registered else []
        texts = made.texts(self.style)
        if made.name == "clone":  # whose text names its arguments, in an order of its own
            texts = []
        arguments = [
            {
                "name": names[place] if place < len(names) else f"a{place}",
                "value": value,
                "text": texts[place] if place < len(texts) else f"{value:#x}",
            }
            for place, value in enumerate(made.arguments)
        ]
        return {"name": made.name, "number": made.syscall.nr, "arguments": arguments}

    def _left(self, made: Made) -> None:
        self._record(made.task, "unfinished", made.began, **self._call(made))

    def signalled(self, task: LinuxTask, info: Info, what: str) -> None:
        more = {"ignored": what == "dropped"} if what != "stopped" else {}
        told = fields(info)
        event = "stopped" if what == "stopped" else "signal"
        self._record(task, event, signal=signal_name(info.signal), code=told["si_code"], info=told, **more)

    def finished(self, task: LinuxTask, made: Made | None) -> None:
        if made is not None:
            self._left(made)
        death = task.group.death
        if death is None:
            code = task.code if task.group.exit_code is None else task.group.exit_code
            self._record(task, "exit", status=code)
        else:
            self._record(task, "killed", signal=signal_name(death.signal))

    def stopped(self, made: list[Made], how: str) -> None:
        for each in made:
            self._left(each)
        self._write(json.dumps({"event": "end", "how": how}) + "\n")
