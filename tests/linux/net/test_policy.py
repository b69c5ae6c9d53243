"""What of the outside a program may reach: rules, and that nothing else gets out."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from axptr.linux import PIPE, Linux, create_process
from axptr.linux.net.address import mapped
from axptr.linux.net.policy import Policy, parse

from ..conftest import run_guest


def ip(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def no_names(name: str) -> list[bytes]:
    return {"example.org": [ip("93.184.216.34"), ip("2606:2800::1")]}.get(name, [])


@pytest.mark.parametrize(
    ("rule", "reached", "refused"),
    [
        ("10.1.2.3", ["10.1.2.3 1", "10.1.2.3 65535"], ["10.1.2.4 1", "::1 1"]),
        ("10.1.2.3:80", ["10.1.2.3 80"], ["10.1.2.3 81"]),
        ("10.0.0.0/8:*", ["10.255.0.1 9"], ["11.0.0.1 9"]),
        ("0.0.0.0/0", ["8.8.8.8 53"], ["127.0.0.1 53", "127.9.9.9 1", "2001:db8::1 53"]),
        ("example.org:443", ["93.184.216.34 443", "2606:2800::1 443"], ["93.184.216.34 80", "93.184.216.35 443"]),
        ("[2001:db8::]/32:22", ["2001:db8:ffff::1 22"], ["2001:db9::1 22", "2001:db8::1 23"]),
        ("2001:db8::7", ["2001:db8::7 5"], ["2001:db8::8 5"]),
    ],
)
def test_a_rule_reaches_what_it_says_and_nothing_else(rule: str, reached: list[str], refused: list[str]) -> None:
    policy = parse("loopback", [rule], no_names)
    for places, allowed in ((reached, True), (refused, False)):
        for place in places:
            address, port = place.split()
            assert policy.allows(ip(address), int(port)) is allowed, place
            assert policy.allows(mapped(ip(address)), int(port)) is allowed, place


@pytest.mark.parametrize(
    ("kind", "rule", "match"),
    [
        ("net", "", "there is no net"),
        ("none", "10.0.0.1", "no network"),
        ("loopback", "127.0.0.1:80", "own"),
        ("loopback", "[::1]", "own"),
        ("loopback", "10.0.0.1:0", "no port"),
        ("loopback", "10.0.0.1:http", "no port"),
        ("loopback", "10.0.0.0/33", "bits"),
        ("loopback", "[::1", "missing"),
        ("loopback", "nobody.invalid", "no address"),
        ("loopback", "a:b:c", "no address"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(kind: str, rule: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        parse(kind, [rule] if rule else [], no_names)


def test_the_host_is_all_or_what_is_named() -> None:
    assert Policy("host").allows(ip("127.0.0.1"), 1)
    named = parse("host", ["127.0.0.1:7"], no_names)
    assert named.allows(ip("127.0.0.1"), 7)
    assert not named.allows(ip("127.0.0.1"), 8)
    assert not Policy().allows(ip("8.8.8.8"), 53)


def test_a_run_that_repeats_reaches_no_outside() -> None:
    for options in ({"net": "host"}, {"allow_net": ["10.0.0.1"]}):
        with pytest.raises(ValueError, match="repeat"):
            create_process("/bin/true", seed=1, **options)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="list"):
        create_process("/bin/true", allow_net="10.0.0.1")


CLIENT = """
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
static char b[300000];
int main(int n, char **v) {
    struct sockaddr_in a = {AF_INET, htons(atoi(v[2]))};
    inet_pton(AF_INET, v[1], &a.sin_addr);
    int s = socket(AF_INET, SOCK_STREAM, 0), u = socket(AF_INET, SOCK_DGRAM, 0), got = 0, r;
    if (connect(s, (void *)&a, sizeof a)) printf("%s\\n", strerrorname_np(errno));
    else {
        for (int left = sizeof b; left > 0 && (r = write(s, b, left)) > 0; left -= r) {}
        shutdown(s, SHUT_WR);
        while ((r = recv(s, b, sizeof b, 0)) > 0) got += r;
        printf("%d %d\\n", got, r);
    }
    a.sin_port = htons(atoi(v[3]));
    if (sendto(u, "ping", 4, 0, (void *)&a, sizeof a) < 0) printf("%s\\n", strerrorname_np(errno));
    else {
        struct timeval t = {0, 300000};
        setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
        r = recv(u, b, 100, 0);
        printf("%s\\n", r < 0 ? strerrorname_np(errno) : "answered");
    }
    int l = socket(AF_INET, SOCK_STREAM, 0);
    a.sin_port = 0;
    inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
    r = bind(l, (void *)&a, sizeof a) || listen(l, 1);
    printf("%s\\n", r ? strerrorname_np(errno) : "listens");
}
"""


@pytest.fixture
def servers() -> Iterator[tuple[str, str]]:
    """Ports of the host's loopback: one echoes what connects, the other datagrams."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))

        def connections() -> None:
            try:
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        while data := connection.recv(65536):
                            connection.sendall(data)
            except OSError:
                pass

        def answers() -> None:
            try:
                while True:
                    _, source = datagrams.recvfrom(100)
                    if not source[1]:
                        return
                    datagrams.sendto(b"pong", source)
            except OSError:
                pass

        threads = [threading.Thread(target=f, daemon=True) for f in (connections, answers)]
        for thread in threads:
            thread.start()
        yield str(listener.getsockname()[1]), str(datagrams.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


def test_the_hosts_loopback_is_reached_by_net_host_alone(compile_guest, servers) -> None:
    program = compile_guest("client", source=CLIENT)
    arguments = ("127.0.0.1", *servers)
    assert run_guest(program, *arguments).lines == ["ECONNREFUSED", "EAGAIN", "listens"]
    assert run_guest(program, *arguments, net="none").lines == ["ENETUNREACH", "ENETUNREACH", "EADDRNOTAVAIL"]
    assert run_guest(program, *arguments, net="host").lines == ["300000 0", "answered", "listens"]
    only = {"net": "host", "allow_net": [f"127.0.0.1:{servers[0]}"]}
    assert run_guest(program, *arguments, **only).lines == ["300000 0", "ENETUNREACH", "listens"]


EPOLLS = """
import select, socket, sys
port = int(sys.argv[1])
one, watch = socket.create_connection(("127.0.0.1", port)), select.epoll()
watch.register(one, select.EPOLLIN)
one.sendall(b"ping")
print(watch.poll(60) == [(one.fileno(), select.EPOLLIN)], one.recv(9))
one.close()
two, early = socket.socket(), select.epoll()
two.setblocking(False)
early.register(two, select.EPOLLOUT)
print(two.connect_ex(("127.0.0.1", port)) in (0, 115))
while not early.poll(60)[0][1] & select.EPOLLOUT:
    pass
early.modify(two, select.EPOLLIN)
two.sendall(b"more")
print(early.poll(60) == [(two.fileno(), select.EPOLLIN)], two.recv(9))
two.close()
print(early.poll(0))
"""


def test_sockets_of_the_hosts_are_watched_by_an_epoll(servers) -> None:
    """Also one that was watched before it turned out to communicate with the outside."""
    with Linux(overlay=True, net="host", env={"PATH": "/usr/bin:/bin"}) as linux:
        process = linux.spawn(["python3", "-S", "-c", EPOLLS, servers[0]], stdin=b"", stdout=PIPE, stderr=2)
        assert process.wait().exit_code == 0
        assert process.stdout is not None
        assert process.stdout.take() == b"True b'ping'\nTrue\nTrue b'more'\n[]\n"


def test_what_is_not_allowed_is_unreachable(compile_guest) -> None:
    program = compile_guest("client", source=CLIENT)
    for options in ({}, {"allow_net": ["192.0.2.2"]}, {"allow_net": ["192.0.2.1:9"]}, {"net": "none"}):
        lines = run_guest(program, "192.0.2.1", "80", "53", **options).lines
        assert lines[:2] == ["ENETUNREACH", "ENETUNREACH"], options
