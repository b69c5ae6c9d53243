"""Sockets under calls that make no sense: nothing but errors comes of them, and nothing is left."""

from __future__ import annotations

import pytest

from axptr.linux import create_process


@pytest.mark.parametrize("seed", range(4))
def test_calls_at_random_give_results_and_leave_nothing(compile_guest, tmp_path, seed: int) -> None:
    program = compile_guest("net/hostile", "-w")
    with open("/dev/null", "r+b") as null, open(tmp_path / "out", "wb") as out:
        streams = null.fileno(), out.fileno(), null.fileno()
        with create_process(program, ["hostile", str(seed), "6000"], {}, cwd=tmp_path, stdio=streams) as process:
            result = process.run(timeout=60)
            assert result.exit_code == 0, result
            machine = process.task.machine
            assert machine.network.endpoints == {}
            assert machine.socket_bytes == 0
            assert machine.network.unix.abstract == {}
            assert machine.network.tcp.bound == machine.network.udp.bound == {}
            assert not machine.network.flight._files
    assert (tmp_path / "out").read_text() == "6000 calls\n"


SOAK = """
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
int main() {
    int f[900], p[2], l = socket(AF_INET, SOCK_STREAM, 0), bad = 0;
    struct sockaddr_in a = {AF_INET, 0, {htonl(0x7f000001)}};
    socklen_t n = sizeof a;
    bind(l, (void *)&a, n); listen(l, 1000); getsockname(l, (void *)&a, &n);
    for (int round = 0; round < 12; round++) {
        for (int i = 0; i < 900; i++) {
            bad += (f[i] = socket(i % 3 ? AF_INET : AF_UNIX, i & 1 ? SOCK_STREAM : SOCK_DGRAM, 0)) < 0;
            if (i % 6 == 1) bad += connect(f[i], (void *)&a, n) != 0;
        }
        for (int i = 0; i < 900; i += 6) { int c = accept(l, 0, 0); bad += c < 0; write(c, "x", 1); close(c); }
        for (int i = 0; i < 900; i++) close(f[i]);
    }
    for (int i = 0; i < 50; i++) {
        socketpair(AF_UNIX, SOCK_STREAM, 0, p);
        if (!fork()) { write(p[1], "from a child", 12); _exit(0); }
        char b[20];
        bad += read(p[0], b, 20) != 12;
        close(p[0]); close(p[1]); wait(0);
    }
    printf("%d\\n", bad);
}
"""


def test_ten_thousand_sockets_come_and_go(compile_guest, tmp_path) -> None:
    program = compile_guest("soak", "-w", source=SOAK)
    with open("/dev/null", "r+b") as null, open(tmp_path / "out", "wb") as out:
        with create_process(program, stdio=(null.fileno(), out.fileno(), null.fileno())) as process:
            assert process.run(timeout=60).exit_code == 0
            machine = process.task.machine
            assert machine.network.endpoints == {}
            assert machine.socket_bytes == 0
            assert machine.network.tcp.bound == {}
    assert (tmp_path / "out").read_text() == "0\n"
