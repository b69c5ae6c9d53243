# python subprocess
import os
import signal
import subprocess

print(subprocess.run(["echo", "hi"], capture_output=True))
print(subprocess.run("echo a; echo b >&2; exit 3", shell=True, capture_output=True))
p = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
print(len(p.communicate(b"x" * 1000000)[0]), p.returncode)
p = subprocess.Popen(["sleep", "100"])
p.terminate()
print(p.wait())
try:
    subprocess.run(["sleep", "100"], timeout=0.05)
except subprocess.TimeoutExpired as error:
    print(type(error).__name__)
try:
    subprocess.run(["/nowhere"])
except OSError as error:
    print(error)
pid = os.fork()
if not pid:
    os._exit(9)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
r, w = os.pipe()
if not os.fork():
    os.close(r)
    os.write(w, b"from the child")
    os._exit(0)
os.close(w)
print(os.read(r, 100), os.read(r, 1))
os.wait()
print(os.spawnvp(os.P_WAIT, "sh", ["sh", "-c", "exit 6"]), os.system("exit 2") >> 8)
with os.popen("echo popen") as p:
    print(p.read(), end="")
signal.signal(signal.SIGCHLD, lambda *a: print("SIGCHLD"))
subprocess.run(["true"])
