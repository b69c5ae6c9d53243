"""What a task has asked of the scheduler (`calls.sched`), kept for it to read back; its policy gives it its weight
(`LinuxTask.weight`)."""

from __future__ import annotations

SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE, SCHED_DEADLINE, SCHED_EXT = 0, 1, 2, 3, 5, 6, 7
LEAST_WEIGHT, MOST_WEIGHT = 1 / 16, 4.0
"""Of a turn, in slices."""


class Scheduling:
    """policy: SCHED_OTHER, BATCH or IDLE. ioprio: as ioprio_set(2) has it. cpus: those on which it may run, as bits.
    cpu: the one that it has, or had last.

    All are the task's alone; an exec keeps them, a fork inherits them but for `reset_on_fork` (which ends
    policies of real time alone: there are none).
    """

    __slots__ = ("cpu", "cpus", "ioprio", "policy", "reset_on_fork")

    def __init__(self) -> None:
        self.policy = 0
        self.reset_on_fork = False
        self.ioprio = 0
        self.cpus = -1
        self.cpu = 0

    def fork(self) -> Scheduling:
        """What a new task begins with."""
        child = Scheduling()
        child.policy = self.policy
        child.ioprio = self.ioprio
        child.cpus, child.cpu = self.cpus, self.cpu
        return child
