"""/proc of a machine of many processes: what one reads about another is what the host's says of the same."""

from __future__ import annotations

import pytest

from ..conftest import run_guest, run_host

SCRIPTS = {
    "names and relatives": """
        sleep 60 & c=$!
        while [ "$(cat /proc/$c/comm)" != sleep ]; do :; done
        tr '\\0' ' ' </proc/$c/cmdline; readlink /proc/$c/exe
        [ "$(readlink /proc/$c/cwd)" = "$PWD" ] && echo here; readlink /proc/$c/root
        read pid name state ppid pgrp session rest </proc/$c/stat
        [ $pid = $c ] && [ $ppid = $$ ] && echo related $name
        grep -E '^(Name|Threads|NSpid)' /proc/$c/status | sed s/$c/C/
        set -- $rest; echo ${14} ${31}
        ls /proc/$c/task | sed s/$c/C/; ls /proc/$c/fd; kill $c; wait $c; ls /proc/$c 2>&1 | sed s/$c/C/
        case " $(echo /proc/[0-9]*) " in *" /proc/$$ "*) echo listed;; esac""",
    "another's memory and descriptors": """
        (exec 7<<<"read through proc"; exec sleep 60) & c=$!
        until [ "$(cat /proc/$c/comm)" = sleep ]; do :; done
        cat /proc/$c/fd/7; cut -d: -f1 /proc/$c/fdinfo/7; grep -c stack /proc/$c/maps
        tr '\\0' '\\n' </proc/$c/environ | grep -c '^PATH='; grep -c . /proc/$c/limits
        echo renamed >/proc/$c/comm 2>/dev/null || echo not the comm of another; echo 5 >/proc/$c/oom_score_adj
        cat /proc/$c/oom_score_adj; kill $c""",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_proc_says_of_other_processes_is_what_the_host_says(name):
    command = ["/bin/bash", "-c", SCRIPTS[name]]
    host, ours = run_host(*command), run_guest(*command)
    assert host.lines
    assert ours.lines == host.lines


STATES = """
    import os, signal
    def said(name, key):
        return [line for line in open(f"/proc/{c}/{name}") if line.startswith(key)]
    def wait_for(letter):
        while said("status", "State")[0].split()[1] != letter: pass
        print(said("status", "State"), open(f"/proc/{c}/stat").read().split()[2])
    c = os.fork()
    if not c:
        while True: signal.pause()
    wait_for("S"); os.kill(c, signal.SIGSTOP); wait_for("T"); os.kill(c, signal.SIGCONT); wait_for("S")
    me, c = c, "self"; print(said("status", "State")); c = me
    kept = open(f"/proc/{c}/status"); memory = open(f"/proc/{c}/mem", "rb", 0)
    os.kill(c, signal.SIGKILL); wait_for("Z")
    for name in "cmdline", "maps", "environ":
        try: print(name, open(f"/proc/{c}/{name}").read())
        except OSError as error: print(name, error.errno)
    for link in "exe", "cwd":
        try: print(os.readlink(f"/proc/{c}/{link}"))
        except OSError as error: print(error.errno)
    try: print(os.listdir(f"/proc/{c}/fd"))
    except OSError as error: print(error.errno)
    print(said("status", "VmSize"), said("status", "Threads"), os.listdir(f"/proc/{c}/task") == [str(c)])
    print(memory.read(1))
    print(os.waitpid(c, 0)[1], os.path.exists(f"/proc/{c}"))
    try: print(kept.read())
    except OSError as error: print(error.errno)
"""

THREADS = """
    import os, threading
    e = threading.Event(); ts = [threading.Thread(target=e.wait) for _ in range(3)]; [t.start() for t in ts]
    ids = sorted(int(t) for t in os.listdir("/proc/self/task"))
    print(ids == sorted([os.getpid(), *(t.native_id for t in ts)]), os.path.isdir(f"/proc/{ts[0].native_id}"))
    me = os.getpid()
    print(str(ts[0].native_id) in os.listdir("/proc"), os.readlink("/proc/thread-self") == f"{me}/task/{me}")
    print([l for l in open("/proc/self/status") if l.startswith("Threads")])
    f = open(f"/proc/self/task/{ts[0].native_id}/stat").read().split()
    print(int(f[0]) == ts[0].native_id, f[2], f[19], f[37]); g = open(f"/proc/self/task/{ts[0].native_id}/comm")
    e.set(); [t.join() for t in ts]
    while len(os.listdir("/proc/self/task")) > 1: pass
    try: print(g.read())
    except OSError as error: print(error)
"""


def test_states_and_what_is_left_of_one_that_has_ended():
    from textwrap import dedent

    command = ["/usr/bin/python3", "-c", dedent(STATES)]
    host, ours = run_host(*command), run_guest(*command)
    assert len(host.lines) > 10
    assert ours.lines == host.lines


BY_DIRECTORY = """
    import os, signal
    p = os.fork()
    if not p: signal.pause()
    d = os.open(f"/proc/{p}", os.O_DIRECTORY)
    signal.pidfd_send_signal(d, 0); signal.pidfd_send_signal(d, 9); print(os.waitpid(p, 0)[1])
    for fd in d, os.open("/proc", os.O_DIRECTORY):
        try: signal.pidfd_send_signal(fd, 9)
        except OSError as error: print(error)
"""


def test_a_directory_of_proc_stands_for_its_process_to_be_signalled():
    from textwrap import dedent

    command = ["/usr/bin/python3", "-c", dedent(BY_DIRECTORY)]
    host, ours = run_host(*command), run_guest(*command)
    assert len(host.lines) == 3
    assert ours.lines == host.lines


def test_threads_stand_in_task_and_in_no_list():
    from textwrap import dedent

    command = ["/usr/bin/python3", "-c", dedent(THREADS)]
    host, ours = run_host(*command), run_guest(*command)
    assert len(host.lines) == 5
    assert ours.lines == host.lines


def test_nothing_of_the_hosts_processes_is_there():
    import os

    script = f"ls -d /proc/[0-9]* | wc -l; ls /proc/{os.getppid()} /proc/{os.getpid()} 2>&1 | grep -c cannot"
    assert run_guest("/bin/sh", "-c", script).lines[-1] == "2"
