"""Grades programs of students: each runs in a sandbox of its own, with little time and memory, and a seed, by which a
program that guesses or looks at the clock gets the same verdict each time.
"""

from axptr import Sandbox
from axptr.sandbox import Limits

TASK = [("3 4\n", "7\n"), ("-1 1\n", "0\n")]
HANDED_IN = {
    "ann": "a, b = map(int, input().split())\nprint(a + b)",
    "bob": "a, b = input().split()\nprint(a + b)",
    "cy": "while True: print('x' * 100)",
    "dee": "x = [0]\nwhile True: x *= 2",
    "eve": "print(open('/home/teacher/solution').read())",
    "flo": "import random\nprint(random.choice([7, 0]))",
}
LIMITS = Limits(time=300, cpu=10, memory=64 << 20, processes=4, output=10_000)


def grade(program: str, seed: int = 1) -> str:
    for number, (given, expected) in enumerate(TASK, 1):
        with Sandbox(seed=seed, limits=LIMITS) as box:
            box.files.write("program.py", program)
            result = box.run(["python3", "program.py"], input=given)
        if result.limit is not None:
            return f"test {number}: more {result.limit} than allowed"
        if not result.ok:
            return f"test {number}: {result.stderr.decode().splitlines()[-1]}"
        if result.text != expected:
            return f"test {number}: {result.text.strip()!r} is not {expected.strip()!r}"
    return "passed"


for name, program in HANDED_IN.items():
    verdict = grade(program)
    assert name not in ("ann", "flo") or verdict == grade(program), "the same seed gives the same verdict"
    print(f"{name}: {verdict}")
