"""`/sys` of the machine: what programs open of it, and that nothing of the host's is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from axptr.linux import HostDir
from axptr.linux.host import HostView

from ..conftest import Outcome, run_guest, run_host


def shell(text: str, **options: object) -> Outcome:
    return run_guest("/bin/sh", "-c", text, **options)


def test_there_are_as_many_cpus_as_the_machine_has() -> None:
    found = shell("cd /sys/devices/system/cpu; cat online possible present kernel_max; ls; nproc --all; nproc")
    assert found.lines[:3] == ["0", "0", "0"]
    assert found.lines[-2:] == ["1", "1"]
    assert [name for name in found.lines if name.startswith("cpu")] == ["cpu0"]


def test_more_cpus_are_told_in_ranges_and_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HostView, "cpu_count", 40)
    found = shell(
        "cd /sys/devices/system/cpu; cat online cpu33/topology/core_id cpu33/topology/thread_siblings cpu39/online; "
        "cat cpu1/topology/core_siblings cpu1/topology/core_siblings_list; ls -d cpu? cpu?? | wc -l; cat cpu40/online; "
        "grep Cpus_allowed /proc/self/status; grep -c ^cpu /proc/stat"
    )
    assert found.lines == [
        "0-39", "33", "2,00000000", "1", "ff,ffffffff", "0-39", "40",
        "Cpus_allowed:\tffffffffff", "Cpus_allowed_list:\t0-39", "41",
    ]  # fmt: skip


def test_programs_that_look_there_find_what_they_look_for() -> None:
    assert shell("python3 -c 'import os; print(os.cpu_count())'").lines == ["1"]
    found = shell("lscpu")
    assert found.status == 0
    assert any(line.split() == ["CPU(s):", "1"] for line in found.lines)
    assert shell("ls /sys/class/net").lines == ["lo"]
    assert shell("cd /sys/class/net/lo; cat mtu type ifindex flags operstate; pwd -P").lines == [
        "65536", "772", "1", "0x9", "unknown", "/sys/devices/virtual/net/lo"
    ]  # fmt: skip


def test_the_control_group_has_the_machines_limits() -> None:
    script = (
        "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max /sys/fs/cgroup/cpu.max; stat -f -c %T /sys/fs/cgroup"
    )
    found = shell(script, memory_limit=100 << 20, max_procs=77)
    assert found.lines == [str(100 << 20), "77", "max 100000", "cgroup2fs"]
    assert shell("cat /sys/fs/cgroup/memory.max").lines == ["max"]


@pytest.mark.skipif(not os.path.exists("/sys/class/net/lo/mtu"), reason="the host has no /sys")
def test_files_are_what_they_are_on_the_host() -> None:
    words = "stat", "-c", "%n %A %U %s %F", "/sys", "/sys/class", "/sys/class/net/lo", "/sys/devices/system/cpu/online"
    assert run_guest(*words).lines == run_host(*words).lines


def test_nothing_there_can_be_changed() -> None:
    for script in ("echo 1 > /sys/class/net/lo/mtu", "mkdir /sys/x", "rm /sys/class/net/lo", "chmod 777 /sys"):
        assert shell(script).status != 0


def test_what_the_host_has_is_not_there(tmp_path: Path) -> None:
    there = shell("find /sys -name 'eth*' -o -name 'dmi' -o -name 'loop*' -o -name 'sd*' -o -name 'virtio*'")
    assert there.lines == []
    assert there.status == 0
    (tmp_path / "mine").write_text("x")
    found = shell("cat /sys/mine", mounts={"/sys": HostDir(tmp_path)})  # a mount of the user's takes its place
    assert found.stdout == b"x"
