"""What a program wants done about signals: `SigActions`, Linux' struct sighand_struct. Source: sigaction(2), fork(2).

Not here: which signals are blocked or pending, and delivery (`signals.state`).
"""

from __future__ import annotations

from ..abi.signals import SIG_DFL, SIG_IGN, SIGCHLD, SIGCONT, SIGURG, SIGWINCH, bit

SA_IMMUTABLE = 0x80_0000
"""That a signal ends the program and nobody may keep it from that, no tracer either (the kernel's own)."""
_IGNORED_BY_DEFAULT = sum(map(bit, (SIGCHLD, SIGCONT, SIGURG, SIGWINCH)))


class Action:
    """A disposition: struct kernel_sigaction. Never changed, so that tables may share it."""

    __slots__ = ("flags", "handler", "mask", "restorer")

    def __init__(self, handler: int = SIG_DFL, flags: int = 0, restorer: int = 0, mask: int = 0) -> None:
        self.handler = handler
        self.flags = flags
        self.restorer = restorer
        self.mask = mask


_DEFAULT = Action()


class SigActions:
    """The disposition of each signal, the default for those that nothing was said of.

    | guarded by | exec | fork | a snapshot |
    | --- | --- | --- | --- |
    | the machine's thread; that of the host's signals reads it | `after_exec` takes its place | a copy, with \
CLONE_SIGHAND the same | numbers |
    """

    def __init__(self) -> None:
        self._actions: dict[int, Action] = {}

    def get(self, signal: int) -> Action:
        return self._actions.get(signal, _DEFAULT)

    def set(self, signal: int, action: Action) -> None:
        self._actions[signal] = action

    def reset(self, signal: int) -> None:
        """Back to the default."""
        self._actions.pop(signal, None)

    def let_kill(self, signal: int) -> None:
        """Nothing keeps the signal from ending the program now (HANDLER_EXIT)."""
        self._actions[signal] = Action(SIG_DFL, SA_IMMUTABLE)

    def copy(self) -> SigActions:
        other = SigActions()
        other._actions = dict(self._actions)
        return other

    def after_exec(self) -> SigActions:
        """What a new program finds: nothing of the old one's handlers, but what was ignored still is."""
        fresh = SigActions()
        fresh._actions = {s: Action(SIG_IGN) for s, a in self._actions.items() if a.handler == SIG_IGN}
        return fresh

    def ignores(self, signal: int) -> bool:
        handler = self.get(signal).handler
        return handler == SIG_IGN or (handler == SIG_DFL and bool(bit(signal) & _IGNORED_BY_DEFAULT))

    def fatal(self, signal: int) -> bool:
        """Whether it ends the program, or stops it: nothing was said of it, and it is none that is ignored then."""
        return self.get(signal).handler == SIG_DFL and not bit(signal) & _IGNORED_BY_DEFAULT

    @property
    def ignored_mask(self) -> int:
        return sum(bit(s) for s, a in self._actions.items() if a.handler == SIG_IGN)

    @property
    def caught_mask(self) -> int:
        return sum(bit(s) for s, a in self._actions.items() if a.handler not in (SIG_DFL, SIG_IGN))
