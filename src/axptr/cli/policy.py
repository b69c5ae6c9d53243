"""`--policy`, `--audit` and `--learn` of `axptr run`."""

from __future__ import annotations

from ..linux.policy import Policy, Rules
from ..linux.policy.audit import Audit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

_TOLD = 20
"""How many refusals are told at the end."""


def policy_option(options: SimpleNamespace) -> Policy:
    """What was said of what the program may do. `ValueError` for what makes no sense."""
    try:
        rules = Rules.load(options.policy) if options.policy is not None else None
    except OSError as error:
        raise ValueError(f"--policy: {options.policy}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"--policy: {error}") from None
    policy = Policy(rules, ask=_ask)
    if options.learn is not None:
        policy.learn()
    return policy


def audit_in(fd: int) -> Audit:
    """A record that goes to an open file, line by line; the file stays its owner's."""
    return Audit(open(fd, "w", encoding="utf-8", buffering=1, closefd=False).write)


def _ask(question: str) -> bool:
    """The user, at the terminal; nobody there means no."""
    try:
        with open("/dev/tty", "r+", buffering=1, encoding="utf-8", errors="replace") as terminal:
            terminal.write(f"axptr: may {question!r}? [y/N] ")
            return terminal.readline().strip().lower() in ("y", "yes")
    except OSError:
        return False


def finish_policy(policy: Policy, options: SimpleNamespace, say: Callable[[str], None]) -> str | None:
    """At the end: say what was refused, write what was learned. What failed, if anything did."""
    for denied in policy.denied[:_TOLD]:
        say(f"axptr: refused: {denied}")
    if len(policy.denied) > _TOLD:
        say(f"axptr: refused: {len(policy.denied) - _TOLD} more")
    if policy.learned is not None:
        try:
            policy.learned.save(options.learn)
        except OSError as error:
            return f"--learn: {options.learn}: {error.strerror}"
    return None
