"""`Policy`: what the programs of a machine may do, and what of it was refused.

    policy = Policy(Rules({"paths": {"deny": ["/etc/shadow"]}}))

    @policy.before("openat")
    def look(call):
        if call["path"].endswith(b".key"):
            return Refuse("EACCES", "keys are not for programs")

    with Sandbox(policy=policy) as s:
        result = s.run("cat /etc/shadow")
        print(*result.denied, sep="\\n")

Functions are asked where a call is made; rules of places, commands and the network where the machine decides what a
call leads to, so that no link and no other name leads past them. A machine without a policy pays nothing for it,
one with functions only for the calls that they look at.

Owner: the machine's thread, from the first run on. A policy may be given to several machines, one after the other. A
branch of a machine has a view of its own (`of_branch`): the same rules, functions and record, but what was refused in
it, and what was answered, are its alone. A snapshot's file keeps rules; functions it cannot keep, and who loads it has
to say by which policy the machine goes on (`missing`).
"""

from __future__ import annotations

import errno
import os
from itertools import count

from ..._core.words.watched import finish
from ...errors import LinuxError, SnapshotError
from ..abi.numbers import NUMBERS
from .judged import call_of, guard
from .rules import TO_READ, TO_RUN, TO_WRITE, Rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from ...kernel.convert import Wrapper
    from ...kernel.kernel import Syscall
    from ..machine import Machine
    from ..personality import LinuxKernel
    from ..task.task import LinuxTask
    from .audit import Audit
    from .judged import After, Before
    from .learned import Learned

    B = TypeVar("B", bound=Before)
    A = TypeVar("A", bound=After)

MOST = 1000
"""How many refusals are kept."""
_SUBJECT = 4096
"""How much is kept of what was refused: a call's arguments may be megabytes."""
_QUESTIONS = 10_000
"""Places that are asked about, at most: a program makes up as many as it likes. Beyond them the answer is no."""
_ALL = "*"


class Denied:
    """A call that was refused. call: its name. subject: the place, address or arguments; access: "read", "write",
    "run", "connect" or "call". rule: which rule, or why. errno: what the program got. pid, comm: who. origin: the
    number of the process that was started from outside and it came of. branch: see `Policy`."""

    __slots__ = ("access", "branch", "call", "comm", "errno", "origin", "pid", "rule", "subject")

    def __init__(
        self, task: LinuxTask | None, call: str, subject: str, access: str, rule: str, code: int, branch: str = ""
    ) -> None:
        self.branch = branch
        self.call = call
        self.subject = subject if len(subject) <= _SUBJECT else subject[:_SUBJECT] + "..."
        self.access = access
        self.rule = rule
        self.errno = code
        self.pid = task.pid if task is not None else 0
        self.comm = os.fsdecode(task.comm) if task is not None else ""
        origin = task.group.origin if task is not None else None
        self.origin = origin.tgid if origin is not None else 0

    def __str__(self) -> str:
        what = self.subject if self.access == "call" else f"{self.call}: {self.access} {self.subject}"
        return printable(
            f"{self.comm}[{self.pid}] {what}: {errno.errorcode.get(self.errno, self.errno)} by {self.rule}"
        )

    def __repr__(self) -> str:
        return f"<Denied {self}>"


class Policy:
    """rules: of a file, or none. ask: called with a question for a place of kind "ask"; whether it is allowed. An
    answer holds for the run. Without it nothing is. audit: where the record goes. learned: what the run needs, if that
    is to be learned; nothing is refused by rules then.
    denied: what was refused, the first thousand. missing: what a snapshot's file could not keep of it. branch: which of
    the machines that were one so far it holds for: "" for the first, "2" for its second branch, "2.1" for a branch of
    that."""

    def __init__(
        self, rules: Rules | None = None, *, ask: Callable[[str], bool] | None = None, audit: Audit | None = None
    ) -> None:
        self.rules = rules
        self.audit = audit
        self.learned: Learned | None = None
        self.denied: list[Denied] = []
        self._ask = ask
        self._answers: dict[tuple[str, str], bool] = {}
        self._before: dict[str, list[Before]] = {}
        self._after: dict[str, list[After]] = {}
        self._machine: Machine | None = None
        self.missing: tuple[str, ...] = ()
        self.branch = ""
        self._branches = count(1)

    # -- branches and files

    def of_branch(self) -> Policy:
        """The same for another machine that was this one's so far."""
        view = Policy(self.rules, ask=self._ask, audit=self.audit)
        view.learned, view.missing = self.learned, self.missing
        view.branch = f"{self.branch}.{next(self._branches)}".removeprefix(".")
        view._answers = dict(self._answers)
        view._before, view._after = self._before, self._after
        return view

    def kept(self) -> tuple[str, tuple[str, ...]]:
        """What a file can keep: the rules as JSON, and the names of what it cannot."""
        missing = [*self.missing]
        for table, when in ((self._before, "before"), (self._after, "after")):
            missing += [f"a function {when} {'any call' if name == _ALL else name}" for name in sorted(table)]
        for what, there in (("who is asked", self._ask), ("an audit", self.audit), ("what is learned", self.learned)):
            if there is not None:
                missing.append(what)
        if self.rules is None:
            return "", tuple(missing)
        from json import dumps  # which a start would pay for

        return dumps(self.rules.text), tuple(missing)

    @classmethod
    def of_kept(cls, text: str, missing: tuple[str, ...]) -> Policy:
        """`ValueError` for no rules."""
        policy = cls(None)
        if text:
            from json import loads

            policy = cls(Rules(loads(text)))
        policy.missing = missing
        return policy

    # -- saying

    def before(self, *names: str) -> Callable[[B], B]:
        """Decorator: have a function look at calls before they are made; all of them without a name.

        It is given a `Call`, and gives None to let it go on, a `Refuse`, or a `Fake` (or a number) for the result.
        """
        return self._entered(self._before, names)

    def after(self, *names: str) -> Callable[[A], A]:
        """Decorator: have a function look at calls after they were made, and at those refused or faked; `call.result`
        is what the program gets, and may be set."""
        return self._entered(self._after, names)

    def _entered(self, table: dict[str, list[Any]], names: tuple[str, ...]) -> Callable[[Any], Any]:
        for name in names:
            if name not in NUMBERS["x86_64"]:
                raise ValueError(f"there is no system call {name!r}")

        def enter(function: Any) -> Any:
            for name in names or (_ALL,):
                table.setdefault(name, []).append(function)
            return function

        return enter

    def learn(self) -> Learned:
        """Note what the run needs, and refuse nothing by rules."""
        from .learned import Learned

        self.learned = Learned()
        return self.learned

    def explain(self, place: str, access: str = TO_READ) -> str:
        """What the rules say of a place ("read", "write", "run"), and which of them."""
        if self.rules is None:
            return f"{access} {place}: allowed, there are no rules"
        verdict = self.rules.of_place(os.fsencode(place), access)
        refused = verdict.kind == "deny" or (verdict.kind == "readonly" and access == TO_WRITE)
        word = "asked about" if verdict.kind == "ask" else "refused" if refused else "allowed"
        return f"{access} {place}: {word} by {verdict.rule}"

    # -- the machine's

    def attach(self, machine: Machine, kernel: LinuxKernel) -> None:
        """Have a machine keep to it, and to no other, before it runs. `SnapshotError` for one of which a file did not
        keep all."""
        if self.missing:
            raise SnapshotError(
                f"the machine's policy had {', '.join(self.missing)}, which no file keeps: say by which it goes on, "
                "`from_snapshot(snapshot, policy=...)`"
            )
        self._machine = machine
        kernel.policy = self
        rules = self.rules
        looked_at = self._before or self._after or self.audit is not None or (rules is not None and rules.denied_calls)
        kernel.guard = self._guarded if looked_at else None
        machine.rules = self if self.learned is not None or (rules is not None and rules.of_places) else None
        if machine.net_policy is None and self.learned is None:
            from ..net.policy import Policy as Network

            machine.net_policy = Network()
        if machine.net_policy is not None:
            machine.net_policy.judge = self._may_reach
            machine.net_policy.refused = self._not_reached

    def _guarded(self, syscall: Syscall, plain: Wrapper) -> Wrapper:
        """The wrapper of a call: the plain one, if nobody looks at it."""
        name = syscall.name
        rules = self.rules
        if rules is not None and name in rules.denied_calls and self.learned is None:

            def refused(task: Any, *registers: int) -> int:
                self.refused(task, name, "call", f'calls.deny "{name}"', errno.EPERM)
                raise LinuxError(errno.EPERM)

            return refused
        befores = (*self._before.get(name, ()), *self._before.get(_ALL, ()))
        afters = self._afters(name)
        return guard(self, syscall, plain, befores, afters) if befores or afters else plain

    def _afters(self, name: str) -> tuple[After, ...]:
        afters = (*self._after.get(name, ()), *self._after.get(_ALL, ()))
        return (*afters, self.audit.called) if self.audit is not None and self.audit.wants(name) else afters

    def completed(self, task: LinuxTask, outcome: int | LinuxError | None) -> int | LinuxError | None:
        """A call that waited has its result; what it is to be."""
        judged, task.judged = task.judged, None
        if judged is None:
            return outcome
        number = NUMBERS["x86_64"][judged[0]]
        call = call_of(task, task.kernel.syscalls[number], judged)
        result = -outcome.errno if isinstance(outcome, LinuxError) else outcome
        told = finish(call, self._afters(judged[0]), result, None)
        if told == result:
            return outcome
        task.result = told
        return told

    def judge(self, task: LinuxTask, place: bytes, access: str, *, made_in: int = 0) -> None:
        """EACCES for a place that the rules refuse, EROFS for one that may only be read. made_in: the mode of the
        directory in which it is to be made."""
        if getattr(task, "outside", False):
            return
        if self.learned is not None:
            self.learned.place(place, access, made_in)
            return
        assert self.rules is not None
        verdict = self.rules.of_place(place, access)
        kind = verdict.kind
        if kind == "allow" or (kind == "readonly" and access != TO_WRITE):
            return
        shown = os.fsdecode(place)
        if kind == "ask" and self._asked(f"{os.fsdecode(task.comm)}[{task.pid}]: {access} {shown}", access, shown):
            return
        code = errno.EROFS if kind == "readonly" else errno.EACCES
        self.refused(task, shown, access, verdict.rule, code)
        raise LinuxError(code)

    def judge_move(self, task: LinuxTask, directory: bytes) -> None:
        """EACCES for a directory that is to be moved, or to make way, if a rule tells of something beneath it."""
        if getattr(task, "outside", False) or self.learned is not None or self.rules is None:
            return
        rule = self.rules.beneath(directory)
        if rule is not None:
            self.refused(task, os.fsdecode(directory), TO_WRITE, rule, errno.EACCES)
            raise LinuxError(errno.EACCES)

    def _asked(self, question: str, access: str, subject: str) -> bool:
        key = access, subject
        if key not in self._answers:
            if self._ask is None or len(self._answers) >= _QUESTIONS:
                return False
            self._answers[key] = bool(self._ask(printable(question)))
        return self._answers[key]

    # -- the network

    def _may_reach(self, ip: bytes, port: int) -> bool:
        if self.learned is not None:
            self.learned.address(_spelled(ip, port))
            return True
        if self.rules is None or not self.rules.of_network:
            return True
        verdict = self.rules.of_address(ip, port)
        if verdict.kind == "allow":
            return True
        shown = _spelled(ip, port)
        if verdict.kind == "ask" and self._asked(f"connect to {shown}", "connect", shown):
            return True
        self.refused(self._current(), shown, "connect", verdict.rule, errno.ENETUNREACH)
        return False

    def _not_reached(self, ip: bytes, port: int) -> None:
        """The machine's own network has no way there."""
        self.refused(self._current(), _spelled(ip, port), "connect", "the machine's network", errno.ENETUNREACH)

    def _current(self) -> LinuxTask | None:
        machine = self._machine
        return machine.loop.current if machine is not None else None  # type: ignore[return-value]

    def refused(self, task: LinuxTask | None, subject: str, access: str, rule: str, code: int) -> None:
        """Note a refusal."""
        name = ""
        if task is not None and hasattr(task, "engine"):  # it runs already
            name = task.kernel.name_of(task.engine.regs.number)
        denied = Denied(task, name, subject, access, rule, code, self.branch)
        if len(self.denied) < MOST:
            self.denied.append(denied)
        if self.audit is not None:
            self.audit.refused(denied)


def printable(text: str) -> str:
    """A text of which a program made up a part, for people: nothing in it moves a terminal's cursor or ends a line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def _spelled(ip: bytes, port: int) -> str:
    from ipaddress import ip_address

    host = str(ip_address(ip))
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


__all__ = ["TO_READ", "TO_RUN", "TO_WRITE", "Denied", "Policy"]
