"""The view that a number makes: clocks that pass as they are told, random bytes, ids; the same each time."""

from __future__ import annotations

import os
import stat

import pytest

from axptr.errors import LinuxError
from axptr.linux import create_process
from axptr.linux.host import HostView
from axptr.linux.seeded import CALL, SeededView

GIVEN = {"uids", "gids", "uid", "gid", "euid", "egid", "groups", "limit", "prctl", "require_alarm", "umask"}
GIVEN |= {"cpu_count", "cpuinfo", "hardware"}
"""What a run is given: the host's. One CPU is the engine's; the host's own is shown where programs run on it."""
FOLLOWS = {"pgid", "sid", "shown_group", "shown_sender", "terminal"}
"""What is made of `pid` and `leads`."""


def test_nothing_else_is_the_hosts() -> None:
    names = {name for name in vars(HostView) if not name.startswith("_")}
    assert names - set(vars(SeededView)) == GIVEN | FOLLOWS


def test_two_of_a_seed_are_alike_and_others_are_not() -> None:
    one, same, other = SeededView(7), SeededView(7), SeededView(8)
    for view in (one, same, other):
        view.tick()
        view.slept(view.monotonic() + 2.5)
    facts = [
        (v.monotonic_ns(), v.realtime_ns(), v.boottime_ns(), v.cpu_ns(), v.pid, v.pgid, v.sid, v.uname, v.random(9))
        for v in (one, same, other)
    ]
    assert facts[0] == facts[1]
    assert facts[0] != facts[2]
    assert len({SeededView(seed).random(8) for seed in range(-50, 50)}) == 100


def test_random_bytes_are_one_stream_however_they_are_cut() -> None:
    whole = SeededView(1).random(1000)
    view = SeededView(1)
    assert b"".join(view.random(n) for n in (0, 1, 63, 64, 65, 128, 200, 479)) == whole
    assert len(set(whole)) > 200


def test_time_passes_by_calls_sleeps_and_work_alone() -> None:
    view = SeededView(3)
    start, real = view.monotonic_ns(), view.realtime_ns()
    assert view.monotonic_ns() == start
    view.tick()
    assert (view.monotonic_ns() - start, view.realtime_ns() - real, view.cpu_ns()) == (CALL, CALL, (CALL, 0))
    when = view.monotonic() + 10.0
    view.slept(when)
    assert when <= view.monotonic() < when + 1e-6
    assert view.cpu_ns() == (CALL, 0)
    now = view.monotonic_ns()
    view.slept(when - 5)
    view.slept(None)
    assert view.monotonic_ns() == now


def test_the_work_of_its_cpu_is_the_user_time() -> None:
    with create_process("/bin/true", seed=2) as process:
        view, engine = process.task.machine.host, process.engine
        start = view.monotonic_ns()
        assert process.run(timeout=100).exit_code == 0
        total, user = view.cpu_ns()
        assert user == engine.work > 10_000
        assert total > user
        assert view.monotonic_ns() - start == total
        assert engine.clock_base + engine.work == view.boottime_ns()


def test_who_waits_for_nothing_outside_does_not_wait() -> None:
    view = SeededView(3)
    when = view.monotonic() + 10.0
    assert view.seconds_until(when, outside=False) == 0.0
    assert 9.9 < view.seconds_until(when, outside=True) <= 10.0  # type: ignore[operator]
    assert view.seconds_until(None, outside=False) is None
    assert view.seconds_until(when - 20, outside=True) == 0.0


def test_clocks_agree_with_each_other_and_with_linux_on_which_there_are() -> None:
    view = SeededView(5)
    view.slept(view.monotonic() + 1.2345)
    for clock in (*range(14), 50, -100):
        if clock in (2, 3, 8, 9):
            continue  # CPU times are not the view's; those with an alarm are there if the host has a device for it
        ours, theirs = _clock(view, clock), _clock(HostView(), clock)
        assert (ours is None) == (theirs is None), clock
        if ours is not None:
            base = view.realtime_ns() if clock in (0, 5, 8, 11) else view.monotonic_ns()
            resolution = view.resolution_ns(clock)
            assert 0 <= base - ours < resolution
            assert ours % resolution == 0


def _clock(view: HostView, clock: int) -> int | None:
    try:
        return view.clock_ns(clock)
    except LinuxError:
        return None


def test_pipes_and_sockets_are_numbered_as_they_are_seen() -> None:
    view = SeededView(1)
    reader, writer = os.pipe()
    try:
        status, name = os.fstat(reader), os.fsencode(os.readlink(f"/proc/self/fd/{reader}"))
        shown = view.shown_status(status)
        assert (shown.st_ino, stat.S_ISFIFO(shown.st_mode), shown.st_dev) == (2000, True, status.st_dev)
        assert view.shown_name(name) == b"pipe:[2000]"
        assert view.shown_name(b"socket:[5]") == b"socket:[2001]"
        assert view.shown_name(b"/a/pipe:[3]") == b"/a/pipe:[3]"
    finally:
        os.close(reader)
        os.close(writer)
    file = os.stat(__file__)
    assert view.shown_status(file) is file
    null = view.shown_status(os.stat("/dev/null"))
    assert (null.st_rdev, null.st_ino) == (os.stat("/dev/null").st_rdev, os.stat("/dev/null").st_ino)
    assert null.st_mtime_ns == null.st_atime_ns != os.stat("/dev/null").st_mtime_ns


@pytest.mark.parametrize("seed", ["1", 1.5, b"1", object()])
def test_a_seed_is_a_number(seed: object) -> None:
    with pytest.raises(TypeError, match="seed is a number"):
        create_process("/bin/true", seed=seed)  # type: ignore[arg-type]


def test_a_process_has_the_view_of_its_seed() -> None:
    with create_process("/bin/true", seed=-4) as one, create_process("/bin/true", seed=-4) as other:
        assert one.task.pid == other.task.pid
        group = one.task.group
        assert (group.ppid, group.pgid, group.sid) == (1, one.task.pid, 1)
        assert one.task.machine.host is not other.task.machine.host
        assert one.run(timeout=60).exit_code == 0
