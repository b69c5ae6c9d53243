"""AF_INET and AF_INET6 over the machine's loopback: what programs see, line by line with the host."""

from __future__ import annotations


def test_tcp_gives_what_the_host_gives(same):
    lines = same("tcp")
    assert len(lines) > 300
    for word in ("ECONNREFUSED", "ECONNRESET", "EINPROGRESS", "EADDRINUSE", "ENETUNREACH", "EPIPE"):
        assert any(word in line for line in lines), word


def test_udp_options_and_interfaces_give_what_the_host_gives(same):
    lines = same("udp")
    assert len(lines) > 5000
    for word in ("ECONNREFUSED", "EMSGSIZE", "EDESTADDRREQ", "ENETUNREACH", "ENODEV"):
        assert any(word in line for line in lines), word
