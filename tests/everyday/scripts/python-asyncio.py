# python asyncio
import asyncio


async def handle(reader, writer):
    writer.write((await reader.readline()).upper())
    await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def ask(n):
        r, w = await asyncio.open_connection("127.0.0.1", port)
        w.write(b"hello %d\n" % n)
        line = await r.readline()
        w.close()
        return line

    print(await asyncio.gather(*(ask(n) for n in range(10))))
    server.close()
    p = await asyncio.create_subprocess_exec("tr", "a-z", "A-Z", stdin=-1, stdout=-1)
    print(await p.communicate(b"through a pipe"), p.returncode)
    print(await asyncio.to_thread(sum, range(100)))
    try:
        await asyncio.wait_for(asyncio.sleep(10), 0.01)
    except TimeoutError:
        print("timed out")
    print(await (await asyncio.create_subprocess_shell("exit 4")).wait())


asyncio.run(main())
