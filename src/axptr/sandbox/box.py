"""`Sandbox`: a machine of its own for programs that nobody trusts, or that are to leave no traces.

    with Sandbox() as s:
        s.files.write("hello.py", "print(6 * 7)")
        print(s.run("python3 hello.py").text)

By default its programs see the host's system directories under an overlay of their own, an empty home, and nothing else
of the host: no other file, no variable, no process, no name, no network. What they may use is limited (`limits`). No
privilege and no descriptor of the host is needed.

Any thread may use a sandbox, and several may have commands in it at once: see `driver`. Functions that the machine
itself calls (of a policy) may use `files` of it, and nothing else.
"""

from __future__ import annotations

import os

from ..linux import arguments
from ..linux.ownview import own_view
from ..linux.system import Linux
from .driver import Driver
from .limits import Limits, seconds
from .spawned import Spawned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, Self

    from ..linux.arguments import Text
    from ..linux.fs.overlay import Change, Overlay
    from ..linux.policy.policy import Policy
    from ..linux.snapshots.snapshot import MachineSnapshot
    from ..linux.system import User
    from .files import Files
    from .result import Result

    Command = str | bytes | Sequence[Text]

SYSTEM = "system"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HOMES = {"root": "/root", 0: "/root", "user": "/home/user", 1000: "/home/user"}
_SHELL = "/bin/sh"


def _words(command: Any) -> list[Text]:
    """Arguments, as they were given."""
    if not hasattr(type(command), "__iter__") or isinstance(command, (bytearray, memoryview)):
        raise TypeError(f"a command is a list of arguments, or a line for the shell, not {type(command).__name__}")
    return list(command)


class Sandbox:
    """root: what its programs see as `/`: "system" (see above), "host" for all of the host's files, a directory of the
    host, or a tree of Python's (`axptr.linux.Tree`).
    overlay: where changes are kept: True for memory, an `axptr.linux.Overlay`, or False for nowhere: the tree is
    read-only then, but for mounts.
    mounts: what they see besides, by place: a directory of the host (which they may change; `axptr.linux.HostDir` with
    `readonly=True`), `axptr.linux.Tmpfs()`, a tree of Python's.
    limits: see `Limits`. net, allow_net: "none", "loopback" (one of the sandbox's own), "host"; what may be reached
    besides, as `HOST[:PORT]`.
    policy: rules and functions that say what its programs may do besides (`axptr.linux.Policy`).
    seed: makes all that happens repeat. engine: "auto", "native", "unicorn".
    env: variables besides PATH, HOME, LANG and USER. hostname: what the machine is called.
    user: who its programs are: "root", "user", or as of `Linux.spawn`; whatever it is, no right of yours is theirs.

    limits, env, hostname, user, policy: as given. commands: those that run, by their number, which is how a branch has
    them. linux: the machine below, for who knows what they do.
    """

    def __init__(
        self,
        *,
        root: object = SYSTEM,
        overlay: Overlay | bool = True,
        mounts: Mapping[Text, object] | None = None,
        limits: Limits | None = None,
        net: str = "loopback",
        allow_net: Iterable[Text] = (),
        seed: int | None = None,
        engine: str = "auto",
        env: Mapping[str, str] | None = None,
        hostname: str = "sandbox",
        user: User = "root",
        policy: Policy | None = None,
    ) -> None:
        self.limits = limits if limits is not None else Limits()
        if not isinstance(self.limits, Limits):
            raise TypeError(f"limits is a Limits, not {type(limits).__name__}")
        number = arguments.seed(seed)
        if env is not None and not hasattr(env, "items"):
            raise TypeError(f"env is a mapping of names to values, not {type(env).__name__}")
        if policy is None:
            from ..linux.policy.policy import Policy

            policy = Policy()
        self.policy = policy
        self.hostname = hostname = arguments.hostname(hostname)
        self.user = user
        self.home = _HOMES.get(user, "/") if isinstance(user, (str, int)) else _HOMES.get(user[0], "/")
        name = user if isinstance(user, str) else "user"
        self.env = {"PATH": _PATH, "HOME": self.home, "LANG": "C.UTF-8", "USER": name, "LOGNAME": name, **(env or {})}
        if isinstance(root, str) and root in (SYSTEM, "host"):
            if root == SYSTEM:
                from ..linux.fs.system import SystemTree

                root = SystemTree(hostname)
            else:
                root = "/"
        self.linux = Linux(
            env=self.env, memory_limit=self.limits.memory, root=root, mounts=mounts, overlay=overlay, seed=seed,
            engine=engine, max_procs=self.limits.processes, net=net, allow_net=allow_net, limits=self.limits.rlimits(),
            disk_limit=self.limits.disk, view=own_view(number, hostname, self.limits.rlimits(), self.limits.memory),
            policy=self.policy,
        )  # fmt: skip
        self._driver = Driver(self.linux)
        self._files: Files | None = None
        self.commands: dict[int, Spawned] = {}

    # -- commands

    def run(
        self,
        command: Command,
        *,
        input: bytes | str = b"",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        user: User | None = None,
        check: bool = False,
    ) -> Result:
        """Run a command and wait for it: a list of arguments, or a line for the shell.

        input: its standard input. env: variables besides those of the sandbox. cwd: where, from the home directory,
        which it is by default. timeout: seconds, by default those of the limits. user: who it is, by default as the
        sandbox's. check: whether to raise `CommandFailed` unless it exits with 0.

        It ends with the program itself: what that left in the background goes on when the sandbox next runs something;
        its output is dropped from then on. Of a command that a limit ends, everything that came of it is ended.
        `axptr.linux.ProgramError` if it cannot be started.
        """
        data = arguments.content("input", input)
        spawned = self.begin(command, data, env=env, cwd=cwd, timeout=timeout, user=user)
        try:
            result = spawned.wait()
        except BaseException:
            if not self.linux.closed:
                spawned.close()
            raise
        spawned.close()
        return result.check() if check else result

    def spawn(
        self,
        command: Command,
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        user: User | None = None,
    ) -> Spawned:
        """Start a command, and talk to it while it runs. As `run`; a thread of the sandbox runs the machine until what
        was spawned has ended."""
        spawned = self.begin(command, None, env=env, cwd=cwd, timeout=timeout, user=user)
        self._driver.keep_running()
        return spawned

    def begin(
        self,
        command: Command,
        input: bytes | None,
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        user: User | None = None,
    ) -> Spawned:
        """Start a command, that the machine does not run yet. input: None for one that is talked to."""
        from ..linux.streams import PIPE

        argv: list[Text] = [_SHELL, "-c", command] if isinstance(command, (str, bytes)) else _words(command)
        allowed = seconds("timeout", timeout) if timeout is not None else self.limits.time
        variables = {**self.env, **(env or {})}
        where: Text = self.home
        if cwd is not None:
            where = os.path.join(os.fsencode(self.home), arguments.text("cwd", cwd))

        def start() -> Spawned:
            if self.linux.closed:
                raise RuntimeError("this sandbox is closed")
            process = self.linux.spawn(
                argv,
                stdin=PIPE if input is None else input,
                stdout=PIPE,
                stderr=PIPE,
                env=variables,
                cwd=where,
                user=user if user is not None else self.user,
            )
            words = [os.fsdecode(word) for word in argv]
            spawned = Spawned(self._driver, process, words, self.limits, allowed, self.policy, eager=input is None)
            self.commands = {pid: command for pid, command in self.commands.items() if not command.ended}
            self.commands[spawned.pid] = spawned
            return spawned

        return self._driver.call(start)

    # -- files

    @property
    def files(self) -> Files:
        """The files that its programs see: `read`, `write`, `list`, `upload`, `download` and so on."""
        if self._files is None:
            from .files import Files

            self._files = Files(self._driver, self.linux, self.home)
        return self._files

    def changes(self) -> list[Change]:
        """What its programs changed in the tree: `kind` ("added", "changed", "removed"), `path`, `type`. Mounts are not
        looked at. `RuntimeError` without an overlay. More than 256 MiB of paths are an `OSError`; see
        `axptr.linux.Overlay.changes`."""
        overlay = self.linux.overlay
        if overlay is None:
            raise RuntimeError("this sandbox has no overlay: nothing could be changed but in mounts")
        return self._driver.call(overlay.changes)

    # -- snapshots

    def snapshot(self, *, drop: Iterable[str] = ()) -> MachineSnapshot:
        """All of it as it is now: processes, memory, files, what is in pipes, the clock. Commands go on. What
        cannot go along, such as a connection to the host's network, is an `axptr.SnapshotError` that names it.

        drop: what to leave out instead, "connections" or "files" or both: see `axptr.linux.Linux.snapshot`."""
        from . import branches

        if not self.linux.engine_why:
            self.run([_SHELL, "-c", ":"], check=True)  # a machine begins with its first program
        return self._driver.call(lambda: branches.take(self, drop))

    def restore(self, snap: MachineSnapshot) -> None:
        """Be what it was: its own snapshot, or that of one it shares memory with. Costs what has changed since.

        Commands that were running then run again, and are the same objects; those begun since are gone."""
        from . import branches

        self._driver.call(lambda: branches.restore(self, snap))
        self._go_on()

    def branch(self, count: int = 1, *, drop: Iterable[str] = ()) -> list[Sandbox]:
        """Sandboxes in the state of this one, which go their own ways. Memory is shared until somebody writes it; the
        mounts of host directories, the functions of the policy and trees of Python's are the same ones."""
        snap = self.snapshot(drop=drop)
        made: list[Sandbox] = []
        try:
            for _ in range(count):
                made.append(self.from_snapshot(snap))
        except BaseException:
            for box in made:
                box.close()
            raise
        return made

    @classmethod
    def from_snapshot(cls, snap: MachineSnapshot, *, engine: str | None = None, policy: Policy | None = None) -> Self:
        """A sandbox in the state of a snapshot; its `commands` are those that ran then, and go on.

        engine: its CPU, by default as it was. policy: in place of what held: a file keeps a policy's rules, but no
        functions, and to give none is a `SnapshotError` then.
        `ValueError` for a snapshot of a machine that was in no sandbox.
        """
        from . import branches

        box = branches.from_snapshot(cls, snap, engine, policy)
        box._go_on()
        return box

    def _go_on(self) -> None:
        if any(spawned.eager for spawned in self.commands.values()):
            self._driver.keep_running()

    # -- the end

    @property
    def processes(self) -> list[int]:
        """The numbers of the processes that there are."""
        return self._driver.call(lambda: self.linux.processes)

    def end_all(self) -> None:
        """End every process, also what commands left in the background."""
        self._driver.call(self.linux.end_all)

    @property
    def closed(self) -> bool:
        return self.linux.closed

    def close(self) -> None:
        """End everything, and give all back. Idempotent."""
        self._driver.close()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.linux.closed else f"{len(self.linux.machine.pids.groups) - 1} processes"
        return f"<Sandbox {self.hostname}, {state}>"
