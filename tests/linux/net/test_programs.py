"""Servers and clients that people run, each pair in one machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ..conftest import run_guest


def script(text: str, place: Path, **options: object) -> list[str]:
    outcome = run_guest("/bin/bash", "-c", text, cwd=place, allow_write=[place], timeout=120, **options)  # type: ignore[arg-type]
    assert outcome.status == 0, outcome
    return outcome.lines


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [name for name in programs if shutil.which(name) is None and not Path(f"/usr/sbin/{name}").exists()]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {missing}")


PYTHON = """
import asyncio, http.server, os, socket, socketserver, threading, urllib.request
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "5"); self.end_headers(); self.wfile.write(b"hello")
    def log_message(self, *a): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(urllib.request.urlopen("http://127.0.0.1:%d/" % server.server_address[1]).read())
server.shutdown()
one, other = socket.socketpair()
if os.fork() == 0:
    other.sendall(b"x" * 1000000); other.close(); os._exit(0)
other.close(); count = 0
while data := one.recv(65536): count += len(data)
print(count, os.wait()[1])
async def main():
    async def serve(reader, writer):
        writer.write((await reader.readline()).upper()); await writer.drain(); writer.close()
    for start, path in ((asyncio.start_server, ("127.0.0.1", 0)), (asyncio.start_unix_server, ("sock",))):
        listening = await start(serve, *path)
        name = listening.sockets[0].getsockname()
        open_ = asyncio.open_unix_connection(name) if isinstance(name, str) else asyncio.open_connection(*name[:2])
        reader, writer = await open_
        writer.write(b"abc\\n"); print(await reader.readline()); writer.close(); listening.close()
asyncio.run(main())
a, b = socket.socketpair()
socket.send_fds(a, [b"f"], [os.open("note", os.O_CREAT | os.O_RDWR)])
message, fds, flags, _ = socket.recv_fds(b, 10, 4); os.write(fds[0], b"passed"); print(message, open("note").read())
with socketserver.UnixDatagramServer("dgram", socketserver.DatagramRequestHandler) as s: print(s.server_address)
"""


@needs("python3")
def test_python_serves_and_asks(tmp_path):
    (tmp_path / "program.py").write_text(PYTHON)
    lines = script("/usr/bin/python3 program.py", tmp_path)
    assert lines == ["b'hello'", "1000000 0", "b'ABC\\n'", "b'ABC\\n'", "b'f' passed", "dgram"]


@needs("redis-server", "redis-cli")
def test_redis_answers(tmp_path):
    lines = script(
        "redis-server --port 7777 --unixsocket r.sock --save '' --logfile log &"
        "for i in $(seq 50); do [ -S r.sock ] && break; sleep 0.1; done;"
        "redis-cli -p 7777 set a hello; redis-cli -s r.sock get a; redis-cli -p 7777 shutdown nosave; wait",
        tmp_path,
    )
    assert lines == ["OK", "hello"]


@needs("nginx", "curl")
def test_nginx_gives_curl_a_page_and_a_large_file(tmp_path):
    (tmp_path / "index.html").write_text("a page\n")
    (tmp_path / "large").write_bytes(bytes(300_000))
    temporary = "".join(
        f"{kind}_temp_path {tmp_path}/t;" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {tmp_path}/pid; error_log {tmp_path}/log; events {{ }} "
        f"http {{ {temporary} "
        f"access_log off; sendfile on; server {{ listen 127.0.0.1:8088; root {tmp_path}; }} }}"
    )
    lines = script(
        f"PATH=$PATH:/usr/sbin; nginx -c {tmp_path}/nginx.conf &"
        "for i in $(seq 50); do [ -s pid ] && break; sleep 0.1; done;"
        "curl -s http://127.0.0.1:8088/; curl -s http://127.0.0.1:8088/large | wc -c; kill %1; wait",
        tmp_path,
    )
    assert lines == ["a page", "300000"]


@needs("openssl")
def test_openssl_serves_a_client(tmp_path):
    lines = script(
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout k -out c -subj /CN=x 2>/dev/null;"
        "openssl s_server -accept 127.0.0.1:4433 -cert c -key k -www -quiet 2>/dev/null & sleep 1.5;"
        "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | openssl s_client -connect 127.0.0.1:4433 -quiet 2>/dev/null | head -1;"
        "kill %1",
        tmp_path,
    )
    assert [line.strip() for line in lines] == ["HTTP/1.0 200 ok"]


@needs("socat")
def test_socat_pairs(tmp_path):
    lines = script(
        "socat TCP-LISTEN:5566,bind=127.0.0.1 EXEC:'tr a-z A-Z' & sleep 1; echo shout | socat -t2 - TCP:127.0.0.1:5566;"
        "socat UNIX-LISTEN:s EXEC:rev & sleep 1; echo back | socat -t2 - UNIX-CONNECT:s; wait",
        tmp_path,
    )
    assert lines == ["SHOUT", "kcab"]
