"""A Python without the global interpreter lock, which guards the core, is refused at import; `setup.py` refuses too."""

from __future__ import annotations

import subprocess
import sys


def test_a_free_threaded_interpreter_is_refused_in_one_line() -> None:
    script = "import sys; sys.abiflags += 't'\ntry:\n    import axptr\nexcept ImportError as error:\n    print(error)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    assert "free-threaded" in done.stdout
