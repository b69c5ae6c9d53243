"""One Linux program in a machine of its own, and how it ends: what `axptr run` and tests use.

    process = create_process("/bin/echo", ["echo", "hello"])
    result = process.run(timeout=10)
    result.exit_code        # 0

Not here: a machine for many programs (`system`), how an ELF file is loaded (`load.loader`), what the calls do
(`calls`), how a death is printed (`axptr.cli`).
"""

from __future__ import annotations

import errno
import os

from . import arguments
from .ends import Death, ProgramError, Result
from .fs.host.tree import standard_stream
from .process import Process
from .system import Linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .arguments import Text
    from .fs.overlay import Overlay
    from .policy.policy import Policy
    from .system import User

__all__ = ["Death", "Linux", "Process", "ProgramError", "Result", "create_process"]


def create_process(  # long: what its arguments mean
    program: Text,
    argv: Sequence[Text] | None = None,
    env: Mapping[Text, Text] | Iterable[Text] | None = None,
    *,
    cwd: Text | None = None,
    memory_limit: int | None = None,
    allow_write: Iterable[Text] = (),
    root: object = None,
    mounts: Mapping[Text, object] | None = None,
    overlay: Overlay | bool = False,
    stdio: tuple[int, int, int] = (0, 1, 2),
    host_signals: bool = False,
    seed: int | None = None,
    engine: str = "auto",
    engine_jobs: int | str = 1,
    max_procs: int | None = None,
    net: str = "loopback",
    allow_net: Iterable[Text] = (),
    user: User | None = None,
    policy: Policy | None = None,
) -> Process:
    """Load `program` and give back a process that is about to run its first instruction.

    program: a path; a name without a slash is looked up in the environment's PATH as `execvp` does.
    argv: all arguments, argv[0] included; by default the program's name alone.
    env: a mapping, or `NAME=value` strings; by default the host's environment.
    cwd: where the program starts; by default where the host process is.
    memory_limit: bytes of frames (data and page tables) the program may hold; beyond it calls give ENOMEM.
    allow_write: directories under which files may be created, written and removed; everywhere else EROFS.
    root: what the program sees as `/`, with our own /proc and /dev in it; by default the host's files. A directory of
    the host, or what `mounts` takes. `cwd` is then a directory in it, by default `/`.
    mounts: what else it sees, by place: a directory of the host (a path: it may be changed; `HostDir(path,
    readonly=True)`), `Tmpfs()`, or a tree of Python's (`Tree`).
    overlay: keep all changes in memory: True, or an `Overlay`, which lists, saves and commits them. What `allow_write`
    names is changed on the host all the same.
    stdio: the host descriptors the program gets as 0, 1, 2; they are used as they are and never closed.
    host_signals: whether signals sent to this process while it runs are the program's, as `axptr run` has it: it starts
    with those ignored and blocked that this process ignores and blocks, and one that stops it stops this process. It
    can be run in the main thread only then, and other threads should block what is to reach it.
    seed: a number by which the run repeats: clocks, random bytes, the process's number and the names of the machine are
    made of it, and a sleep takes no time. None: all of that is the host's.

    max_procs: how many processes and threads there may be at once; beyond it fork gives EAGAIN. Some thousands by
    default.
    engine: the CPU: "native", the host's own in a confined process; "unicorn", which emulates it; or "auto", the first
    where the host allows it and no seed is given, else the other. `process.engine.name` tells which it is,
    `process.engine_why` why.
    engine_jobs: how many processes and threads may run at once, each on a core of the host's, under the native engine;
    "auto" for as many as there are. By default they take turns.
    net: "loopback", one of the machine's own; "none", not even that; "host", the host's network.
    user: who the program is, a user of its own tree: `NAME|UID[:GROUP|GID]`, a number, or two; by default who the
    host's process is. It may do with files what Linux lets that user do; HOME, USER and LOGNAME are that user's.
    allow_net: `HOST[:PORT]` that may be reached besides, a name, an address or a range of them (`10.0.0.0/8`).
    policy: rules and functions that say what it may do (`Policy`).

    Raises `ProgramError` with one clear line if the program cannot be started; nothing is left behind then. `TypeError`
    and `ValueError` for arguments that make no sense.
    """
    name = arguments.text("program", program)
    argv_bytes, environ = arguments.argv(name, argv), arguments.environment(env)
    if user is not None and env is None:
        environ = arguments.without_user(environ)
    where = arguments.text("cwd", cwd) if cwd is not None else None
    # Looked at before anything else is opened: a closed stream's number is given out again.
    streams = tuple(standard_stream(fd) for fd in arguments.streams(stdio))
    linux = None
    try:
        linux = Linux(
            env=environ, memory_limit=memory_limit, allow_write=allow_write, root=root, mounts=mounts, overlay=overlay,
            seed=seed, engine=engine, engine_jobs=engine_jobs, max_procs=max_procs, net=net, allow_net=allow_net,
            policy=policy,
        )  # fmt: skip
        signals = bool(host_signals)
        return linux.start(
            name, argv_bytes or [name], environ, streams=streams, cwd=where, user=user, host_signals=signals, owner=True
        )  # fmt: skip
    except BaseException as error:
        if linux is not None:
            linux.close()
        failed = _why(error, name, made=linux is not None)
        if failed is None:
            raise
    raise failed


def _why(error: BaseException, name: bytes, *, made: bool) -> ProgramError | None:
    """What to tell of a program that could not be started, if the error itself does not. made: the machine was."""
    if isinstance(error, ProgramError) or not isinstance(error, (MemoryError, OSError)):
        return None
    if not made and isinstance(error, OSError) and error.errno != errno.ENOMEM:  # of the tree
        return ProgramError(error.errno or errno.EINVAL, f"{os.fsdecode(name)}: {error}")
    reason = getattr(error, "strerror", None) or str(error) or "out of memory"
    code = getattr(error, "errno", None) or errno.ENOMEM
    return ProgramError(code, f"the host has no room for a machine: {reason}", own=True)
