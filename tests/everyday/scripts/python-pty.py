# python pty
import os
import pty

pid, fd = pty.fork()
if not pid:
    os.execvp("sh", ["sh", "-c", "tty >/dev/null && echo a terminal; stty -a | head -1; read x; echo got $x"])
os.write(fd, b"typed\n")
out = b""
try:
    while d := os.read(fd, 1000):
        out += d
except OSError:
    pass
print(out, os.waitpid(pid, 0)[1])
