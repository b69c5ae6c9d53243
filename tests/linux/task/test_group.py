"""A process and its thread: who owns what, and what an exec does to it."""

from __future__ import annotations

import os
import resource

from axptr.linux import create_process
from axptr.linux.abi.signals import SIG_IGN
from axptr.linux.host import HostView
from axptr.linux.signals.actions import Action, SigActions
from axptr.linux.task.creds import Credentials
from axptr.linux.task.limits import RLIM_INFINITY, RLIMIT_CORE, RLIMIT_NOFILE, Limits


def test_the_first_process_stands_where_the_hosts_does_under_a_number_of_its_own() -> None:
    with create_process("/bin/true") as process:
        task, group = process.task, process.task.group
        pid = task.pid
        assert 300 <= pid < 40_000
        assert task.machine.tasks == {pid: task}
        assert (task.tid, group.tgid) == (pid, pid)
        assert (group.ppid, group.parent) == (1, task.machine.init)
        assert group.pgid == (pid if os.getpgrp() == os.getpid() else 1)
        assert group.sid == (pid if os.getsid(0) == os.getpid() else 1)
        task.machine.pids._check()
        assert task.creds.uids == os.getresuid()
        assert list(task.creds.groups) == os.getgroups()


def test_what_is_pending_for_the_process_is_seen_by_its_thread() -> None:
    with create_process("/bin/true") as process:
        task = process.task
        assert task.signals.pending.shared is task.group.pending
        assert task.actions is task.signals.actions


def test_an_exec_makes_the_saved_ids_the_effective_ones() -> None:
    before = Credentials((1, 2, 3), (4, 5, 6), (7,))
    after = before.after_exec()
    assert (after.uids, after.gids, after.groups) == ((1, 2, 2), (4, 5, 5), (7,))
    assert (after.uid, after.euid, after.gid, after.egid) == (1, 2, 4, 5)
    assert before.uids == (1, 2, 3)


def test_an_exec_forgets_handlers_and_keeps_what_is_ignored() -> None:
    actions = SigActions()
    actions.set(10, Action(0x1000, 7, 8, 9))
    actions.set(12, Action(SIG_IGN, 7, 8, 9))
    after = actions.after_exec()
    assert (after.caught_mask, after.ignored_mask) == (0, 1 << 11)
    assert (after.get(12).flags, after.get(12).mask) == (0, 0)
    assert (actions.caught_mask, actions.ignored_mask) == (1 << 9, 1 << 11)
    after.set(10, Action(SIG_IGN))
    assert actions.get(10).handler == 0x1000


def test_limits_are_the_hosts_until_they_are_set() -> None:
    limits, other = Limits(HostView()), Limits(HostView())
    soft, hard = (value & RLIM_INFINITY for value in resource.getrlimit(resource.RLIMIT_NOFILE))
    assert limits.get(RLIMIT_NOFILE) == (soft, hard)
    assert limits.get(RLIMIT_CORE) == (0, RLIM_INFINITY)
    limits.set(RLIMIT_NOFILE, 5, 6)
    assert (limits.get(RLIMIT_NOFILE), other.get(RLIMIT_NOFILE)) == ((5, 6), (soft, hard))
