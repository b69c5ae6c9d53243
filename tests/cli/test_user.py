"""`--user`: a run as another user than the host's process, by the tree that the program sees.

The host's own run as that user is the judge.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from .conftest import ENVIRONMENT, run_axptr

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
NOBODY = 65534
SCRIPT = """
id -u; id -g; id -G
echo "$HOME $USER $LOGNAME"
cat private; ls locked; cat locked/inner; cat shown; ls -ln --time-style=+ .
echo text > shown; echo text > made; mkdir -m 2755 dir; ln -s shown link; mkfifo pipe; cp /bin/true run; chmod 4711 run
ls -ln --time-style=+ made dir link pipe run
chmod 777 shown; chown 0 made; chown 5 made; chgrp 100 made
touch shown; touch -d @5 made; rm -f others/theirs; mv others/theirs x
echo more >> run; ls -ln --time-style=+ run
cat /etc/shadow; cat /proc/self/environ > /dev/null && echo mine
test -w shown; echo $?; test -r private; echo $?; test -x locked; echo $?
sh unreadable; ./noexec; /bin/sh -c 'cd locked'
umask 077; echo x > hidden; ls -ln --time-style=+ hidden
rm -rf made dir link pipe run hidden
ls -ln --time-style=+ .
"""


def lay(place: Path) -> Path:
    place.mkdir()
    place.chmod(0o777)
    for name, mode in (("private", 0o600), ("shown", 0o644), ("unreadable", 0o700), ("noexec", 0o644)):
        (place / name).write_text("echo something\n")
        (place / name).chmod(mode)
    (place / "locked").mkdir()
    (place / "locked" / "inner").write_text("inner")
    (place / "locked").chmod(0o700)
    (place / "others").mkdir()
    (place / "others" / "theirs").write_text("theirs")
    (place / "others").chmod(0o1777)
    return place


@pytest.mark.parametrize("overlay", [False, True])
def test_another_user_may_do_what_it_may_on_the_host(tmp_path: Path, overlay: bool) -> None:
    native, ours = lay(tmp_path / "native"), lay(tmp_path / "ours")
    env = {**ENVIRONMENT, "HOME": "/nonexistent", "USER": "nobody", "LOGNAME": "nobody"}
    host = subprocess.run(
        ["sh", "-c", SCRIPT], cwd=native, env=env, user=NOBODY, group=NOBODY, extra_groups=[NOBODY], timeout=60,
        capture_output=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    where = ["--overlay"] if overlay else ["--allow-write", ours]
    here = run_axptr("run", "--user", "nobody", *where, "--", "sh", "-c", SCRIPT, cwd=ours)
    hide = (b"native", b"X"), (b"ours", b"X")
    for out, of_host in ((here.stdout, host.stdout), (here.stderr, host.stderr)):
        for word, instead in hide:
            out, of_host = out.replace(word, instead), of_host.replace(word, instead)
        told, expected = ([line for line in text.splitlines() if b"total" not in line] for text in (out, of_host))
        assert told == expected
    assert b"Permission denied" in here.stderr
    assert here.returncode == host.returncode


def test_users_and_groups_are_those_of_the_programs_own_tree(tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "passwd").write_text("root:x:0:0::/root:/bin/sh\nann:x:1234:99:Ann:/home/ann:/bin/sh\n")
    (etc / "group").write_text("staff:x:99:\nfriends:x:77:bob,ann\nothers:x:78:bob\n")
    tmp_path.chmod(0o755)

    def told(user: str) -> list[str]:
        done = run_axptr(
            "run", "--mount", f"{etc}:/etc:ro", "--user", user, "--",
            "sh", "-c", "id -u; id -g; id -G; echo $HOME:$USER:$LOGNAME",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().split("\n")[:-1]

    assert told("ann") == ["1234", "99", "99 77", "/home/ann:ann:ann"]
    assert told("1234") == told("ann")
    assert told("ann:friends") == ["1234", "77", "77", "/home/ann:ann:ann"]
    assert told("ann:5000") == ["1234", "5000", "5000", "/home/ann:ann:ann"]
    assert told("4321") == ["4321", "4321", "4321", "/:4321:4321"]
    assert told("0") == ["0", "0", "0", "/root:root:root"]


@pytest.mark.parametrize("user", ["nobody that there is", "nobody:no such group", "", ":5", "-1", str(2**32 - 1)])
def test_a_user_that_there_is_not_is_one_line(user: str) -> None:
    done = run_axptr("run", f"--user={user}", "--", "true")
    assert done.returncode == 126
    assert b"no such" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_what_is_said_of_the_environment_stands() -> None:
    done = run_axptr("run", "--user", "nobody", "--env", "HOME=/else", "--", "sh", "-c", "echo $HOME $USER")
    assert done.stdout == b"/else nobody\n"


def test_a_set_user_id_program_gives_nobody_rights(tmp_path: Path) -> None:
    """The contract: as if every file system were mounted nosuid."""
    tmp_path.chmod(0o755)
    program = tmp_path / "id"
    program.write_bytes(Path("/usr/bin/id").read_bytes())
    program.chmod(0o6755)
    done = run_axptr("run", "--user", "nobody", "--mount", f"{tmp_path}:/mnt", "--", "/mnt/id", "-u")
    assert done.stdout == b"65534\n"
