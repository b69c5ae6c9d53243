# python sockets
import os
import select
import selectors
import socket

a, b = socket.socketpair()
a.sendall(b"x" * 10)
print(b.recv(100))
a.close()
print(b.recv(1))
b.close()
s = socket.socket(socket.AF_UNIX)
s.bind("sock")
s.listen()
c = socket.socket(socket.AF_UNIX)
c.connect("sock")
d, who = s.accept()
print(repr(who), c.getpeername())
r, w = os.pipe()
socket.send_fds(c, [b"take"], [w])
m, fds, f, _ = socket.recv_fds(d, 10, 2)
os.write(fds[0], b"passed")
print(m, os.read(r, 10))
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("127.0.0.1", 0))
v = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
v.sendto(b"datagram", u.getsockname())
print(u.recvfrom(4)[0])
t = socket.create_server(("::1", 0), family=socket.AF_INET6)
e = socket.create_connection(t.getsockname()[:2])
g, _ = t.accept()
sel = selectors.DefaultSelector()
sel.register(g, selectors.EVENT_READ)
print(sel.select(0))
e.send(b"1")
print(len(sel.select(1)), g.recv(5))
e.shutdown(socket.SHUT_WR)
print(g.recv(1), select.select([g], [g], [], 0)[1] == [g])
try:
    socket.create_connection(("127.0.0.1", 1), 1)
except OSError as error:
    print(error)
print(socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM), socket.gethostbyname("localhost"))
