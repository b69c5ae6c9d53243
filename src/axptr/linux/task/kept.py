"""`KeptState`: what prctl(2), set_mempolicy(2) and personality(2) set, kept for whoever reads it back.

Not here: the options (`calls.prctl`), policies (`calls.numa`).
"""

from __future__ import annotations

PR_TSC_ENABLE = 1
MCE_DEFAULT = 2


class KeptState:
    """What a process has set about itself. A value of None is what the host's own process has: it is inherited.

    An exec keeps it all; the name belongs to the task, whether it is dumpable to its memory, what becomes of its
    capabilities to its credentials.
    """

    def __init__(self) -> None:
        self.pdeath_signal = 0
        self.tsc = PR_TSC_ENABLE
        self.mce = MCE_DEFAULT
        self.timer_slack: int | None = None
        self.default_slack: int | None = None
        """What PR_SET_TIMERSLACK sets for 0: what the parent had (struct task_struct's default_timer_slack_ns)."""
        self.no_new_privs: int | None = None
        self.thp_disabled: int | None = None
        self.memory_policy = 0, 0
        self.personality = 0

    def copy(self) -> KeptState:
        """The same, for a child."""
        other = KeptState()
        other.__dict__.update(self.__dict__)
        other.default_slack = self.timer_slack
        return other
