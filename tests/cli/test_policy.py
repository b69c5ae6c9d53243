"""`axptr run --policy`, `--audit` and `--learn`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from .conftest import axptr, run_axptr


def run(*arguments: str | Path) -> tuple[str, str, int]:
    done = run_axptr("run", *arguments)
    return done.stdout.decode(), done.stderr.decode(), done.returncode


def test_a_policy_refuses_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    rules = tmp_path / "rules.toml"
    rules.write_text(f'[paths]\ndeny = ["{tmp_path}/secret"]\n')
    out, err, status = run("--policy", rules, "--", "/bin/cat", tmp_path / "secret")
    assert (out, status) == ("", 1)
    assert "refused: cat[" in err
    assert f'openat: read {tmp_path}/secret: EACCES by paths.deny "{tmp_path}/secret"' in err


def test_what_was_learned_is_a_policy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "other").write_text("other")
    rules = tmp_path / "rules.toml"
    assert run("--learn", rules, "--", "/bin/cat", tmp_path / "file") == ("text", "", 0)
    assert run("--policy", rules, "--", "/bin/cat", tmp_path / "file") == ("text", "", 0)
    out, err, status = run("--policy", rules, "--", "/bin/cat", tmp_path / "other")
    assert (out, status) == ("", 1)
    assert "paths.default" in err


def test_a_record(tmp_path: Path) -> None:
    audit = tmp_path / "audit"
    assert run("--audit", audit, "--", "/bin/cat", "/etc/hostname")[2] == 0
    records = [json.loads(line) for line in audit.read_text().splitlines()]
    assert any(r["call"] == "openat" and r["args"]["path"] == "/etc/hostname" for r in records)


def test_a_record_is_no_standard_stream_where_one_is_closed(tmp_path: Path) -> None:
    program = ["/bin/sh", "-c", "readlink /proc/self/fd/0 || echo closed"]
    command = ["sh", "-c", 'exec "$@" <&-', "sh", *axptr("run", "--audit", tmp_path / "audit", "--", *program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("closed\n", 0)
    assert (tmp_path / "audit").stat().st_size


def test_what_makes_no_sense(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[nothing]\n")
    for words in (("--policy", tmp_path / "none"), ("--policy", tmp_path / "bad.toml"), ("--audit", "/nonesuch/x")):
        out, err, status = run(*words, "--", "/bin/true")
        assert (out, status) == ("", 125)
        assert len(err.splitlines()) == 1
