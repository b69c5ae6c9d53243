"""AF_UNIX: what programs see, line by line with the host; names as files; what a machine may hold."""

from __future__ import annotations

import socket

from axptr.linux import create_process

from ..conftest import run_guest


def test_streams_datagrams_and_names_give_what_the_host_gives(same):
    lines = same("unix")
    assert len(lines) > 300
    assert any("EADDRINUSE" in line for line in lines)
    assert any("ECONNRESET" in line for line in lines)


def test_control_messages_and_options_give_what_the_host_gives(same):
    lines = same("unixcontrol")
    assert len(lines) > 1300
    assert any("[1 1 len 24 fd" in line for line in lines)
    assert lines[-1].endswith("EINVAL")


def test_urgent_bytes_of_both_kinds_of_streams_give_what_the_host_gives(same):
    lines = same("urgent")
    assert len(lines) > 9000
    assert sum("atmark 0 1" in line for line in lines) > 100


CONNECT = """
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
int main(int n, char **v) {
    struct sockaddr_un a = {AF_UNIX};
    int s = socket(AF_UNIX, SOCK_STREAM, 0), skip = v[1][0] == '@';
    strcpy(a.sun_path + skip, v[1] + skip);
    printf("%s\\n", connect(s, (void *)&a, 3 + strlen(v[1])) ? strerrorname_np(errno) : "connected");
    printf("%s\\n", bind(s, (void *)&a, 3 + strlen(v[1])) ? strerrorname_np(errno) : "bound");
}
"""


def test_a_socket_of_the_hosts_cannot_be_reached_by_path(compile_guest, tmp_path):
    program = compile_guest("connect", source=CONNECT)
    path = str(tmp_path / "host.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        assert run_guest(program, path).lines == ["ECONNREFUSED", "EADDRINUSE"]
        assert run_guest(program, path, allow_write=[tmp_path]).lines == ["ECONNREFUSED", "EADDRINUSE"]
        server.settimeout(0)
        try:
            server.accept()
            raise AssertionError("somebody came")
        except BlockingIOError:
            pass


def test_an_abstract_name_of_the_hosts_is_another_one(compile_guest, tmp_path):
    program = compile_guest("connect", source=CONNECT)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(b"\0axptr-test-%d" % id(server))
        server.listen()
        name = "@" + server.getsockname()[1:].decode()
        assert run_guest(program, name).lines == ["ECONNREFUSED", "bound"]


def test_binding_needs_a_tree_that_may_be_changed(compile_guest, tmp_path):
    program = compile_guest("connect", source=CONNECT)
    path = str(tmp_path / "new.sock")
    assert run_guest(program, path).lines == ["ENOENT", "EROFS"]
    assert run_guest(program, path, overlay=True).lines == ["ENOENT", "bound"]
    assert not (tmp_path / "new.sock").exists()
    assert run_guest(program, path, allow_write=[tmp_path]).lines == ["ENOENT", "bound"]
    assert (tmp_path / "new.sock").is_socket()
    assert run_guest(program, path).lines == ["ECONNREFUSED", "EADDRINUSE"]


HOARD = """
#include <stdio.h>
#include <sys/socket.h>
static char buffer[65536];
int main() {
    int s[2], count = 0;
    while (count < 900 && !socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s)) {
        while (send(s[0], buffer, sizeof buffer, 0) > 0) {}
        count += 2;
    }
    perror("last");
    printf("%d\\n", count);
}
"""


def test_what_sockets_hold_counts_against_the_memory_of_a_run(compile_guest):
    program = compile_guest("hoard", "-static", source=HOARD)
    few = run_guest(program, memory_limit=32 << 20)
    assert "No buffer space" in few.stderr.decode()
    assert 10 < int(few.lines[0]) < 200


def test_nothing_is_held_once_all_is_closed(compile_guest, tmp_path):
    program = compile_guest("net/unixcontrol", "-w")
    with open("/dev/null", "wb") as null:
        process = create_process(program, cwd=tmp_path, stdio=(null.fileno(), null.fileno(), 2), env={})
        process.run(timeout=60)
        network = process.task.machine.network
        assert network.endpoints == {}
        assert process.task.machine.socket_bytes == 0
        assert not network.flight._files
        process.close()


def test_files_and_pipes_are_sent_without_user_memory_as_on_the_host(same):
    lines = same("sending")
    assert "child" in " ".join(lines)
    assert any("= 300000" in line for line in lines)
