# asyncio with children, signals, pipes, datagrams, files
import asyncio, os, signal, sys, socket, tempfile


async def main():
    p = await asyncio.create_subprocess_exec("sort", stdin=-1, stdout=-1)
    o, _ = await p.communicate(b"b\na\n")
    print(o, p.returncode)
    srv = await asyncio.start_unix_server(lambda r, w: asyncio.ensure_future(h(r, w)), "s")
    r, w = await asyncio.open_unix_connection("s")
    w.write(b"x\n")
    print(await r.readline())
    w.close()
    loop = asyncio.get_running_loop()
    e = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, e.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await e.wait()
    print("sig")
    try:
        await asyncio.wait_for(asyncio.sleep(5), 0.05)
    except asyncio.TimeoutError:
        print("to")
    print(await loop.run_in_executor(None, sum, [1, 2]))
    r, w = os.pipe()
    rd = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(rd), os.fdopen(r, "rb"))
    os.write(w, b"pp")
    os.close(w)
    print(await rd.read())

    class D(asyncio.DatagramProtocol):
        def connection_made(s, t):
            s.t = t

        def datagram_received(s, d, a):
            s.t.sendto(d[::-1], a)

    t, _ = await loop.create_datagram_endpoint(D, local_addr=("127.0.0.1", 0))
    c = socket.socket(type=2)
    c.setblocking(0)
    await loop.sock_connect(c, t.get_extra_info("sockname"))
    await loop.sock_sendall(c, b"abc")
    print(await loop.sock_recv(c, 9))
    async with asyncio.TaskGroup() as g:
        ts = [g.create_task(asyncio.sleep(0.01, i)) for i in range(3)]
    print([t.result() for t in ts])
    p = await asyncio.create_subprocess_shell("kill -9 $$")
    print(await p.wait())
    f = tempfile.TemporaryFile()
    f.write(b"z" * 100000)
    f.seek(0)
    a, b = socket.socketpair()
    a.setblocking(0)
    n = loop.create_task(loop.sock_sendfile(a, f))
    b.setblocking(0)
    g = 0
    while g < 100000:
        g += len(await loop.sock_recv(b, 65536))
    print(await n, g)


async def h(r, w):
    w.write((await r.readline()).upper())
    await w.drain()
    w.close()


asyncio.run(main())
