"""python -m tests.fuzz.build: the compiled core once more, with clang, so that libFuzzer sees where it goes.

Makes build/fuzz (or, with AddressSanitizer, build/fuzz-asan) with the package in `lib`, libFuzzer as a library, and
`preload`: the libraries that `python -m tests.fuzz --core` loads first. The installed core is left alone.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.build", description=__doc__)
    parser.add_argument("--asan", action="store_true", help="with AddressSanitizer, for accesses out of bounds")
    options = parser.parse_args()
    if shutil.which("clang") is None:
        print("clang is missing: apt-get install clang", file=sys.stderr)
        return 2
    goal = ROOT / "build" / ("fuzz-asan" if options.asan else "fuzz")
    sanitizers = "fuzzer-no-link,address" if options.asan else "fuzzer-no-link"
    environment = dict(
        os.environ,
        CC="clang",
        LDSHARED="clang -shared" + (" -fsanitize=address -shared-libasan" if options.asan else ""),
        CFLAGS=f"-O2 -g -fsanitize={sanitizers}",
    )
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build", "--build-base", str(goal), "--build-lib", str(goal / "lib")],
        cwd=ROOT, env=environment, check=True,
    )  # fmt: skip
    whole = runtime("libclang_rt.fuzzer_no_main-x86_64.a")
    fuzzer = goal / "libfuzzer.so"
    subprocess.run(
        [
            "clang",
            "-shared",
            "-o",
            str(fuzzer),
            "-Wl,--whole-archive",
            whole,
            "-Wl,--no-whole-archive",
            "-lstdc++",
            "-lm",
        ],
        check=True,
    )
    libraries = [runtime("libclang_rt.asan-x86_64.so")] if options.asan else []
    (goal / "preload").write_text(" ".join([*libraries, str(fuzzer)]))
    print(f"python -m tests.fuzz --core {goal.relative_to(ROOT)}")
    return 0


def runtime(name: str) -> str:
    found = subprocess.run(["clang", f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    return found.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
