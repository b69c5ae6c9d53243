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
    "snapshot_fuzzer.py": ["7 of 8: b'fuzzer!'", "8 of 8: b'fuzzer!?'"],
}


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_example_runs(script: Path) -> None:
    pytest.importorskip("unicorn")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for line in OUTPUT.get(script.name, []):
        assert line in done.stdout.splitlines()
