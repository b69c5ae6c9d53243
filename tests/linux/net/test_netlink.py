# ruff: noqa: E501 - programs of one line
"""What `ip`, `ss`, the C library and /proc/net tell of the machine's network: as a host's that has a loopback alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ..conftest import run_guest, run_host

NEEDS_IP = pytest.mark.skipif(shutil.which("ip") is None, reason="iproute2 is not installed")


@NEEDS_IP
@pytest.mark.parametrize(
    "arguments",
    [
        "link",
        "-d link show lo",
        "addr",
        "-4 addr",
        "-6 -o addr",
        "route",
        "route show table local",
        "-6 route",
        "neigh",
        "rule",
        "-6 rule",
    ],
)
def test_ip_tells_what_it_tells_on_the_host(both, arguments: str) -> None:
    host, ours = both(Path(shutil.which("ip") or ""), *arguments.split())
    wanted = [line for line in host.lines if "numtxqueues" not in line]
    found = [line for line in ours.lines if "numtxqueues" not in line]
    if "-6" in arguments.split() or arguments == "neigh":
        assert ours.status == host.status
        assert all(word in " ".join(wanted) for word in " ".join(found).split()[:4])
    else:
        assert (found, ours.status) == (wanted, host.status)


@NEEDS_IP
def test_nothing_of_a_device_can_be_changed() -> None:
    outcome = run_guest(shutil.which("ip") or "", "link", "set", "lo", "down")
    assert outcome.status == 2
    assert b"not permitted" in outcome.stderr
    assert run_guest(shutil.which("ip") or "", "link", "show", "eth0").status == 1


LISTED = """
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
static void show(const char *name) {
    char line[300], *mask;
    FILE *f = fopen(name, "r");
    printf("%s\\n", name);
    while (f && fgets(line, sizeof line, f)) {
        for (char *p = line; (p = strchr(p, ':')); p++)       /* ports: those below 32768 alone */
            if (strtol(p + 1, 0, 16) >= 32768) memcpy(p + 1, "PORT", 4);
        if (!strstr(line, "sl ") && (mask = strstr(line, "     0        0 ")) ) strcpy(mask, "\\n");
        fputs(line[4] == ':' ? line + 5 : line, stdout);
    }
    if (f) fclose(f);
}
int main() {
    struct sockaddr_in a = {AF_INET}; struct sockaddr_in6 b = {AF_INET6}; socklen_t n = sizeof a;
    inet_pton(AF_INET, "127.0.0.1", &a.sin_addr); b.sin6_addr = in6addr_loopback;
    int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), c = socket(AF_INET, SOCK_STREAM, 0);
    int u = socket(AF_INET, SOCK_DGRAM, 0);
    bind(l, (void *)&a, sizeof a); listen(l, 7); getsockname(l, (void *)&a, &n);
    connect(c, (void *)&a, sizeof a); int s = accept(l, 0, 0); send(c, "abc", 3, MSG_NOSIGNAL);
    a.sin_port = 0; bind(u, (void *)&a, sizeof a);
    int l6 = socket(AF_INET6, SOCK_STREAM, 0); bind(l6, (void *)&b, sizeof b); listen(l6, 3);
    struct sockaddr_un x = {AF_UNIX, "\\0abs"}; int p[2], ul = socket(AF_UNIX, SOCK_STREAM, 0);
    bind(ul, (void *)&x, 6); listen(ul, 2); socketpair(AF_UNIX, SOCK_DGRAM, 0, p);
    show("/proc/net/tcp"); show("/proc/net/tcp6"); show("/proc/net/if_inet6"); show("/proc/net/route");
    struct ifaddrs *all; getifaddrs(&all);
    for (struct ifaddrs *i = all; i; i = i->ifa_next) {
        char t[99] = "";
        if (i->ifa_addr && i->ifa_addr->sa_family != 17)
            getnameinfo(i->ifa_addr, i->ifa_addr->sa_family == AF_INET ? 16 : 28, t, 99, 0, 0, NI_NUMERICHOST);
        printf("%s %x %d %s\\n", i->ifa_name, i->ifa_flags, i->ifa_addr ? i->ifa_addr->sa_family : -1, t);
    }
    printf("%u %s\\n", if_nametoindex("lo"), if_indextoname(1, (char[IF_NAMESIZE]){0}));
    struct addrinfo h = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *r;
    printf("%d\\n", getaddrinfo("127.0.0.1", "80", &h, &r));
    (void)s;
}
"""


def test_lists_of_sockets_and_addresses_are_those_of_the_host(compile_guest, both) -> None:
    host, ours = both(compile_guest("listed", "-w", source=LISTED))
    assert sorted(ours.lines) == sorted(host.lines)  # the host lists them by a hash
    assert sum(":PORT" in line for line in ours.lines) >= 4
    assert "lo 10049 2 127.0.0.1" in ours.lines


def test_without_a_network_there_is_no_address(compile_guest) -> None:
    lines = run_guest(compile_guest("listed", "-w", source=LISTED), net="none").lines
    assert "lo 8 17 " in lines
    assert not any("127.0.0.1" in line or "::1" in line for line in lines)


@pytest.mark.skipif(shutil.which("ss") is None, reason="ss is not installed")
def test_ss_sees_sockets() -> None:
    outcome = run_guest("/bin/sh", "-c", "ss -Htlna; ss -s")
    assert outcome.status == 0
    assert any(line.startswith("Total:") for line in outcome.lines)


GENERIC = r"""
import socket, struct
s=socket.socket(16, socket.SOCK_RAW, 16); s.bind((0,0)); s.settimeout(0.2); port=s.getsockname()[0]
def ask(body, typ=16, flags=1):
    s.send(struct.pack('<IHHII',16+len(body),typ,flags,7,0)+body)
    out=[]
    while True:
        try: r=bytearray(s.recv(65536))
        except TimeoutError: break
        at=0
        while at+16<=len(r):
            n,t,f,q,p=struct.unpack_from('<IHHII',r,at)
            out.append((n,t,f,q,p==port,bytes(r[at+16:at+n]).hex())); at+=(n+3)&~3
    return out
g=struct.pack('<BBH',3,1,0)
name=struct.pack('<HH',11,2)+b'nlctrl\0\0'; ident=struct.pack('<HHH2x',6,1,16); other=struct.pack('<HHH2x',6,1,999)
for b in (g+name, g+ident, g+other+name, struct.pack('<BBH',3,0,0)+name, g, struct.pack('<BBH',99,1,0), g+other, g+struct.pack('<HH',11,2)+b'nosuch\0\0', b'', b'\3'):
    for fl in (1,5): print(b.hex(), fl, ask(b,16,fl))
print(ask(g,99,5), ask(struct.pack('<BBH',10,1,0),16,1))
print([x for x in ask(g,16,0x301) if 'nlctrl'.encode().hex() in x[5] or x[1]==3])
"""


@pytest.mark.skipif(shutil.which("python3", path="/usr/bin") is None, reason="needs python3")
def test_the_one_generic_family_is_that_which_tells_of_them() -> None:
    command = ["/usr/bin/python3", "-S", "-c", GENERIC]
    host = run_host(*command)
    if host.status:
        pytest.skip("the host has no NETLINK_GENERIC")
    assert run_guest(*command).stdout == host.stdout
