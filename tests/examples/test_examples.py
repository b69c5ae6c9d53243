"""Every example runs with one command, without an error, and says what it promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
OUTPUT = {
    "tiny_kernel.py": ["hello from ring 3", "the guest ended with 14"],
    "given_tree.py": ["hello from a zip file", "hello"],
    "two_tasks.py": ["read 'two task'", "read 'etween\\n'"],
    "grader.py": ["ann: passed", "bob: test 1: '34' is not '7'", "cy: test 1: more output than allowed"],
    "inspect_sandbox.py": ["hello from a sample"],
    "malware_log.py": [
        "connects to 203.0.113.9:4444",
        "sends b'HELLO sandbox'",
        "opens /root/diary.txt",
        "sends b'dear diary'",
        "added /etc/cron.d/again",
        "exited with 0 ",
    ],
    "tool_server.py": [
        '{"exit_status": 0, "stdout": "55\\n", "stderr": "", "how": "exited with 0"}',
        '{"files": ["fib.py"]}',
    ],
    "two_programs.py": ["same count: True 3", "same lines: True", "same order: False"],
    "warm_python.py": ["3628800", "ZeroDivisionError('division by zero')", "warm"],
    "snapshot_fuzzer.py": ["7 of 8: b'fuzzer!'", "8 of 8: b'fuzzer!?'"],
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_example_runs(script: Path) -> None:
    pytest.importorskip("unicorn")
    if script.name == "inspect_sandbox.py":
        pytest.importorskip("inspect_ai", reason="inspect_ai is not installed: pip install inspect_ai")
    done = subprocess.run(
        [sys.executable, script], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for line in OUTPUT.get(script.name, []):
        assert line in done.stdout.splitlines()
