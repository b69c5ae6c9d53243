"""What `create_process` is called with, checked and turned into the bytes that a program gets.

Failure: `TypeError` for what is of the wrong kind (a `str` where a list of them is meant), `ValueError` for what no
program can be given: text with a NUL in it, a variable without a name. Each names the argument.
"""

from __future__ import annotations

import os
from _operator import index

from ..engine.auto import ENGINES
from .host import core_count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from .fs.overlay import Overlay
    from .net.policy import Policy

Text = str | bytes

MOST_JOBS = 32
"""Tasks that run at once at most: more cores than that have no use for us, whose calls one thread serves."""


def text(what: str, value: object) -> bytes:
    """One string, as the program sees it."""
    if not isinstance(value, (str, bytes, os.PathLike)):
        raise TypeError(f"{what} is a str, bytes or a path, not {type(value).__name__}")
    encoded = os.fsencode(value)
    if b"\0" in encoded:
        raise ValueError(f"{what} has a NUL in it: {value!r}")
    return encoded


def content(what: str, value: Any) -> bytes:
    """Bytes of a file or a stream: text (in UTF-8), or whatever has bytes."""
    if isinstance(value, str):
        return value.encode()
    try:
        with memoryview(value) as view:
            return view.tobytes()
    except TypeError:
        raise TypeError(f"{what} is text or bytes, not {type(value).__name__}") from None


def hostname(value: object) -> str:
    """What a machine is called: as many bytes as Linux allows (sethostname)."""
    from .task.uts import NAME_MAX

    name = text("hostname", value)
    if len(name) > NAME_MAX:
        raise ValueError(f"hostname has {len(name)} bytes, more than {NAME_MAX}")
    return os.fsdecode(name)


def overlay(value: Any) -> Overlay | None:
    """Where changes are kept: True for memory, False (or None) for nowhere."""
    if value is None or value is False:
        return None
    from .fs.overlay import Overlay

    if value is True:
        return Overlay()
    if not isinstance(value, Overlay):
        raise TypeError(f"overlay is an Overlay, True or False, not {type(value).__name__}")
    return value


def policy(value: Any) -> Any:
    """What programs may do."""
    from .policy.policy import Policy

    if not isinstance(value, Policy):
        raise TypeError(f"policy is a Policy, not {type(value).__name__}")
    return value


def texts(what: str, values: Any) -> list[bytes]:
    """Several; one string is not several of one character each."""
    if isinstance(values, (str, bytes, bytearray, os.PathLike)):
        raise TypeError(f"{what} is a list of strings, not one: [{values!r}]?")
    if not hasattr(type(values), "__iter__"):
        raise TypeError(f"{what} is a list of strings, not {type(values).__name__}")
    return [text(f"{what}[{i}]", value) for i, value in enumerate(values)]


def directories(what: str, values: Any) -> list[bytes]:
    """Several directories of the host, which must be there."""
    found = texts(what, values)
    for path in found:
        if not os.path.isdir(path):
            raise ValueError(f"{what}: {os.fsdecode(path)} is not a directory")
    return found


def argv(program: bytes, values: Sequence[Text] | None) -> list[bytes]:
    """All arguments of a program; its name alone if none are given."""
    return [program] if values is None else texts("argv", values)


def environment(env: Mapping[Text, Text] | Iterable[Text] | None) -> list[bytes]:
    """`NAME=value` for each variable; the host's if none are given."""
    if env is None:
        return [name + b"=" + value for name, value in os.environb.items()]
    if not hasattr(env, "items"):
        return texts("env", env)
    entries = []
    for key, value in env.items():
        name = text("a name in env", key)
        if not name or b"=" in name:
            raise ValueError(f"{key!r} in env is no name of a variable")
        entries.append(name + b"=" + text(f"env[{key!r}]", value))
    return entries


def streams(stdio: object) -> tuple[int, int, int]:
    """Three descriptors; a negative one is closed in the program."""
    if not isinstance(stdio, (tuple, list)) or len(stdio) != 3:
        raise TypeError(f"stdio is three descriptors, for 0, 1 and 2, not {stdio!r}")
    numbers = []
    for fd in stdio:
        try:
            number = index(fd)
        except TypeError:
            raise TypeError(f"stdio is made of descriptors, which are numbers, not of {type(fd).__name__}") from None
        if number >= 1 << 31:
            raise ValueError(f"{number} in stdio is no descriptor")
        numbers.append(max(number, -1))
    return numbers[0], numbers[1], numbers[2]


def whole(what: str, value: object) -> int:
    """An integer, or what is one by `__index__`. what: what is said of it, if it is none."""
    try:
        return index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{what}, not {type(value).__name__}") from None


def times(what: str, number: object, least: int = 1) -> int:
    """How many of something. what: of what, as "retries"."""
    if not isinstance(number, int) or isinstance(number, bool) or number < least:
        raise ValueError(f"want a number of {what} from {least} on, not {number!r}")
    return number


def without_user(environ: list[bytes]) -> list[bytes]:
    """Variables without those that say whose they are, which are another's."""
    return [entry for entry in environ if entry.partition(b"=")[0] not in (b"HOME", b"USER", b"LOGNAME")]


def limit(most: object, what: str = "memory_limit") -> int | None:
    """Bytes, or None for as much as there is."""
    if most is None:
        return None
    size = whole(f"{what} is a number of bytes", most)
    if size < 0:
        raise ValueError(f"{what} is {size}: fewer than no bytes")
    return size


def count(name: str, number: object, default: int) -> int:
    """One at least; None for the default."""
    if number is None:
        return default
    wanted = whole(f"{name} is a number", number)
    if wanted < 1:
        raise ValueError(f"{name} is {wanted}: there is one at least")
    return wanted


def jobs(wanted: object, seed: object) -> int:
    """How many tasks may run at once; "auto" for as many as the host has cores for us."""
    if wanted == "auto":
        return 1 if seed is not None else core_count()
    number = count("engine_jobs", wanted, 1)
    if number > 1 and seed is not None:
        raise ValueError(f"engine_jobs is {number}: a run that repeats has one task run at a time")
    return min(number, MOST_JOBS)


def seed(number: object) -> int | None:
    """Any number, or None for a run that does not repeat."""
    if number is None:
        return None
    return whole("seed is a number", number)


def network(net: object, allowed: Any, seed: object) -> Policy | None:
    """What of the outside may be reached; None for nothing, and a loopback of the machine's own."""
    rules = [os.fsdecode(rule) for rule in texts("allow_net", allowed)]
    if net == "loopback" and not rules:
        return None
    from .net.policy import parse

    if (net == "host" or rules) and seed is not None:
        raise ValueError("a run that reaches the outside does not repeat: seed is for net loopback or none")

    def resolve(name: str) -> list[bytes]:
        from .net.outside import resolve

        return resolve(name)

    return parse(net, rules, resolve)


def engine(name: object, seed: object) -> str:
    """Which CPU."""
    if not isinstance(name, str):
        raise TypeError(f"engine is a name, not {type(name).__name__}")
    if name not in ENGINES:
        raise ValueError(f"there is no engine {name!r}: {', '.join(ENGINES)}")
    if name == "native" and seed is not None:
        raise ValueError(
            "only a run on the engine 'unicorn' repeats: the host's CPU has a clock and numbers of its own"
        )
    return name


def stream(what: str, given: object) -> int | bytes | None:
    """A stream as `spawn` is given it."""
    from .streams import DEVNULL, PIPE, STDOUT

    if given is None:
        return DEVNULL
    if isinstance(given, int) and not isinstance(given, bool):
        if given >= 0 or given in (PIPE, DEVNULL) or (given == STDOUT and what == "stderr"):
            return given
        raise ValueError(f"{what} is {given}, which is no descriptor")
    if what == "stdin" and isinstance(given, (bytes, bytearray, memoryview)):
        return bytes(given)
    raise TypeError(f"{what} is PIPE, DEVNULL or a descriptor, not {type(given).__name__}")
