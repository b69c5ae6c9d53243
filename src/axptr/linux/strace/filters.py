"""`-e` expressions: which calls, signals and outcomes are told of. Source: strace(1), "Filtering".

    -e trace=%file,!read   -e 'trace=!%memory'   -e openat,close   -e signal=none   -e status=failed

Of a qualifier that is given twice the last one counts. Not here: `inject`, `fault`, `read`, `write`, `decode-fds`.
Failure: `ValueError` that says what is not understood.
"""

from __future__ import annotations

import re

from ..abi.numbers import NAMES
from ..abi.signals import FIRST_REAL_TIME
from . import constants
from .sets import SETS

STATUSES = frozenset({"successful", "failed", "unfinished", "unavailable", "detached"})
"""How a call can end; `unavailable` where nobody knows, as of one that does not return."""
_SIGNALS = {name.removeprefix("SIG"): number for number, name in constants.SIGNALS.items()}
_QUALIFIERS = {
    "trace": "trace", "t": "trace", "signal": "signal", "signals": "signal", "s": "signal", "status": "status",
}  # fmt: skip


class Filter:
    """What is wanted. Nothing said: everything."""

    def __init__(self, expressions: list[str] | tuple[str, ...] = ()) -> None:
        self._calls: tuple[frozenset[str], bool] | None = None
        self._signals: frozenset[int] | None = None
        self._statuses: frozenset[str] | None = None
        self._decided: dict[str, bool] = {}
        for expression in expressions:
            self._add(expression)

    def _add(self, expression: str) -> None:
        name, equals, text = expression.partition("=")
        if not equals:
            name, text = "trace", expression
        qualifier = _QUALIFIERS.get(name)
        if qualifier is None:
            raise ValueError(f"there is no {name!r} to choose by: trace, signal, status")
        wanted = not text.startswith("!")
        text = text.removeprefix("!")
        words = [word.strip() for word in text.split(",")]
        if words == ["all"]:
            words, wanted = [], not wanted
        elif words == ["none"]:
            words = []
        if qualifier == "trace":
            self._calls = frozenset().union(*map(_calls, words)), wanted
            self._decided = {}
        elif qualifier == "signal":
            named = frozenset(map(_signal, words))
            self._signals = named if wanted else frozenset(range(1, 65)) - named
        else:
            unknown = next((word for word in words if word not in STATUSES), None)
            if unknown is not None:
                raise ValueError(f"there is no status {unknown!r}: {', '.join(sorted(STATUSES))}")
            self._statuses = frozenset(words) if wanted else STATUSES - set(words)

    def call(self, name: str) -> bool:
        """Whether a call of this name is told of."""
        if self._calls is None:
            return True
        decided = self._decided.get(name)
        if decided is None:
            named, wanted = self._calls
            decided = self._decided[name] = (name in named) is wanted
        return decided

    def signal(self, number: int) -> bool:
        return self._signals is None or number in self._signals

    def status(self, name: str) -> bool:
        return self._statuses is None or name in self._statuses

    @property
    def by_status(self) -> bool:
        """Whether it is known only at its end whether a call is told of."""
        return self._statuses is not None


def _calls(word: str) -> frozenset[str]:
    """The names that a word stands for: a call, `%class` or a bare class, `/regular expression`; `?` in front lets it
    stand for none."""
    optional = word.startswith("?")
    word = word.removeprefix("?")
    known = NAMES.values()
    if word.startswith("/"):
        try:
            pattern = re.compile(word[1:])
        except re.error as error:
            raise ValueError(f"{word!r} is no regular expression: {error}") from None
        found = frozenset(name for name in known if pattern.search(name))
    elif word.startswith("%"):
        found = SETS.get(word[1:], frozenset())
    elif word in known:
        return frozenset({word})
    else:
        found = SETS.get(word, frozenset()) if word != "stat" else frozenset({"stat"})
        if word.isdecimal() and int(word) in NAMES:
            found = frozenset({NAMES[int(word)]})
    if not found and not optional:
        raise ValueError(f"there is no system call {word!r}")
    return found


def _signal(word: str) -> int:
    name = word.upper().removeprefix("SIG")
    number = int(name) if name.isdecimal() else _SIGNALS.get(name, 0)
    if name.startswith("RT") and name.removeprefix("RT").lstrip("_").isdecimal():
        number = FIRST_REAL_TIME + int(name.removeprefix("RT").lstrip("_"))
    if not 1 <= number <= 64:
        raise ValueError(f"there is no signal {word!r}")
    return number
