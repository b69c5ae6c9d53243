"""A python3 that waits for work in its sandbox: it is started once, and each snippet then takes milliseconds."""

import json
import time

from axptr import Sandbox

WORKER = """
import contextlib, io, json, sys
for line in sys.stdin:
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            exec(compile(json.loads(line), "snippet", "exec"), {})
        error = None
    except BaseException as failed:
        error = repr(failed)
    print(json.dumps([out.getvalue(), error]), flush=True)
"""

with Sandbox() as box:
    box.files.write("worker.py", WORKER)
    with box.spawn(["python3", "-u", "worker.py"], timeout=600) as python:

        def run(snippet: str) -> list[str]:
            assert python.stdin is not None
            assert python.stdout is not None
            python.stdin.write(json.dumps(snippet).encode() + b"\n")
            answer: list[str] = json.loads(python.stdout.readline())
            return answer

        run("import math, re, random")  # what snippets will want is there then
        began = time.perf_counter()
        answers = [run(f"import math; print(math.factorial({n}))") for n in range(20)]
        each = (time.perf_counter() - began) / 20
        print(answers[10][0].strip())
        print(run("1 / 0")[1])
        print("warm" if each < 5 else "cold")
