"""System V shared memory, semaphores and message queues, as on the host; numbers, and what a run's end leaves."""

from __future__ import annotations

from axptr.linux.ipc.ids import IdTable

from ..conftest import run_guest, run_host


def test_a_program_that_uses_all_of_system_v_gets_the_hosts_answers(compile_guest):
    program = compile_guest("sysv")
    ours, host = run_guest(program), run_host(program)
    assert ours.lines == host.lines
    assert (ours.status, host.status) == (0, 0)
    assert len(host.lines) > 150


def test_what_a_run_leaves_is_gone_with_it(compile_guest):
    """Segments, sets and queues that nobody removed: no frame leaks, and the next run has none of them."""
    source = """
        #include <stdio.h>
        #include <string.h>
        #include <sys/msg.h>
        #include <sys/sem.h>
        #include <sys/shm.h>
        int main(void) {
            printf("%d\\n", shmget(77, 1 << 20, 0));
            char *m = shmat(shmget(77, 1 << 20, IPC_CREAT | 0600), 0, 0);
            memset(m, 1, 1 << 20);
            struct { long t; char c[100]; } b = {1};
            msgsnd(msgget(77, IPC_CREAT | 0600), &b, 100, 0);
            printf("%d\\n", semget(77, 10, IPC_CREAT | 0600));
        }"""
    program = compile_guest("leavesipc", source=source)
    for _ in range(2):
        assert run_guest(program).lines == ["-1", "0"]


class Thing:
    id = -1
    seq = 0
    gone = False
    key = 0


def test_a_number_is_not_used_again_at_once():
    table: IdTable = IdTable(10)
    things = [Thing() for _ in range(3)]
    assert [table.add(thing) for thing in things] == [0, 1, 2]
    table.remove(things[1])
    assert things[1].gone
    assert table.add(things[1]) == 3
    table.remove(things[1])
    for index in range(4, 64):
        thing = Thing()
        assert table.add(thing) == index
        table.remove(thing)
    assert table.add(Thing()) == 1 << 15 | 1
