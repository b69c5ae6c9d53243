"""Files of /proc about the machine, settings, and details of processes: of the form of the host's; locks and System V
objects are told there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ..conftest import run_guest, run_host
from .test_proc import both, form

HEADS = ["cgroups", "execdomains", "partitions", "swaps", "slabinfo", "sysvipc/msg", "sysvipc/sem", "sysvipc/shm"]
SHAPES = ["self/schedstat", "self/syscall", "self/timens_offsets", "pressure/memory"]
_VARIED = re.compile("congestion_control|reserved_ports|/actions_|core_pattern|modprobe|/version|usermodehelper")


@pytest.mark.parametrize("name", HEADS)
def test_a_table_begins_as_the_hosts(name):
    if not Path("/proc", name).exists():
        pytest.skip("the host has none")
    host, ours = both(None, "/bin/cat", f"/proc/{name}")
    assert ours.splitlines()[0] == host.splitlines()[0]


@pytest.mark.parametrize("name", SHAPES)
def test_a_text_has_the_form_of_the_hosts(name):
    if not Path("/proc", name).exists():
        pytest.skip("the host has none")
    host, ours = map(form, both(None, "/bin/cat", f"/proc/{name}"))
    assert ours == host


def test_a_session_has_an_autogroup_of_its_own():
    """That of the host's first session has none, and a test may run in it: so in a session of one's own."""
    if not Path("/proc/self/autogroup").exists():
        pytest.skip("the host has none")
    host, ours = both(None, "/usr/bin/setsid", "-w", "/bin/cat", "/proc/self/autogroup")
    assert re.fullmatch(rb"/autogroup-\d+ nice 0\n", host)
    assert re.fullmatch(rb"/autogroup-\d+ nice 0\n", ours)


def test_the_configuration_says_what_is_there_and_what_is_not():
    told = run_guest("/bin/sh", "-c", "zcat /proc/config.gz && unshare -n true; grep -c . /proc/swaps")
    assert {"CONFIG_NET_NS=y", "CONFIG_SYSVIPC=y", "# CONFIG_SWAP is not set"} <= set(told.lines)
    options = [line for line in told.lines if "CONFIG_" in line]
    assert len(options) == len(set(options)) > 60
    assert all(re.fullmatch(r"CONFIG_\w+=y|# CONFIG_\w+ is not set", line) for line in options)


def test_a_timer_slack_that_is_written_is_what_prctl_tells():
    program = """
import ctypes
libc = ctypes.CDLL(None)
def put(text):
    try:
        with open("/proc/self/timerslack_ns", "w") as file: file.write(text)
    except OSError as error: print(error.errno)
    print(libc.prctl(30), open("/proc/self/timerslack_ns").read())
for text in "5000", "0", "-1", "x": put(text)
"""
    host, ours = both(None, "/usr/bin/python3", "-c", program)
    assert ours == host


def test_everything_in_proc_can_be_read_to_its_end():
    """Of the machine, of a process and of a thread; the host's attributes cannot without a security module either."""
    program = """
import os
for top in "/proc", "/proc/self", "/proc/thread-self":
    for at, directories, names in os.walk(top):
        if top == "/proc":
            directories[:] = [name for name in directories if not name.isdigit()]
        directories[:] = [name for name in directories if name not in ("attr", "fdinfo", "task")]
        for name in names:
            path = os.path.join(at, name)
            if name not in ("mem", "clear_refs", "pagemap") and not os.path.islink(path):
                open(path, "rb").read()
                print(path)
"""
    told = run_guest("/usr/bin/python3", "-c", program)
    assert told.stderr == b""
    assert len(told.stdout.splitlines()) > 300


def test_settings_are_of_the_hosts_kinds():
    program = """
import os
for at, _, names in os.walk("/proc/sys"):
    for name in names:
        path = os.path.join(at, name)
        try:
            print(path, oct(os.stat(path).st_mode), len(open(path, "rb").read().split()))
        except OSError:
            pass
"""
    told = []
    for run in run_host, run_guest:
        rows = (line.split() for line in run("/usr/bin/python3", "-c", program).stdout.decode().splitlines())
        told.append({row[0]: row[1:] for row in rows})
    host, ours = told
    common = {name for name in host.keys() & ours.keys() if not _VARIED.search(name)}
    assert len(common) > 100
    assert {name: ours[name] for name in common} == {name: host[name] for name in common}


def test_locks_and_system_v_objects_are_told(tmp_path):
    program = """
import fcntl, os, re, subprocess
first, second = open("first", "w+"), open("second", "w+")
fcntl.lockf(first, fcntl.LOCK_EX, 10, 5)
fcntl.lockf(first, fcntl.LOCK_SH, 0, 100)
fcntl.flock(second, fcntl.LOCK_SH)
numbers = {str(os.fstat(f.fileno()).st_ino): f.name for f in (first, second)}
for line in sorted(open("/proc/locks"), key=lambda line: line.split()[1:]):
    words = line.split()
    number = words[5].rpartition(":")[2]
    if number in numbers:
        print(words[1:4], words[4] == str(os.getpid()), numbers[number], words[6:])
for kind, command in (("shm", ["-M", "4000"]), ("sem", ["-S", "3"]), ("msg", ["-Q"])):
    made = subprocess.run(["ipcmk", *command, "-p", "600"], stdout=subprocess.PIPE, text=True).stdout.split()[-1]
    for line in open(f"/proc/sysvipc/{kind}").readlines()[1:]:
        words = line.split()
        if words[1] == made:
            print(kind, words[2:4], len(words))
    subprocess.run(["ipcrm", {"shm": "-m", "sem": "-s", "msg": "-q"}[kind], made])
"""
    runs = []
    for name, run in ("host", run_host), ("ours", run_guest):
        directory = tmp_path / name
        directory.mkdir()
        more = {} if run is run_host else {"allow_write": [directory]}
        runs.append(run("/usr/bin/python3", "-c", program, cwd=directory, **more))
    assert runs[1].stdout == runs[0].stdout
    assert len(runs[0].stdout.splitlines()) == 6
