"""Programs nobody here wrote print under `axptr run` what they print on the host, and end in the same way."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ENVIRONMENT, axptr, run_axptr, run_host, status_of_shell

COMMANDS = [
    "/bin/echo hello",
    "/bin/echo -n",
    "/bin/true",
    "/bin/false",
    "/bin/cat {tree}/words",
    "/bin/cat {tree}/words {tree}/nowhere {tree}/binary",
    "/bin/ls -l {tree}",
    "/bin/ls -la {tree}/sub",
    "/bin/ls {tree}/nowhere",
    "/bin/ls -ln {tree} {tree}/sub",
    "/usr/bin/sha256sum {tree}/binary",
    "/usr/bin/sort {tree}/words",
    "/usr/bin/sort -ru {tree}/words",
    "/usr/bin/wc {tree}/words {tree}/binary",
    "/usr/bin/env",
    "/usr/bin/env NAME=value /bin/echo through-exec",
    "/usr/bin/printf %s-%05d\\n word 42",
    "/usr/bin/stat -c %n:%s:%a:%F:%u:%g:%h:%i {tree}/words {tree}/link {tree}/sub",
    "/usr/bin/stat {tree}/private",
    "/usr/bin/head -n 2 {tree}/words",
    "/usr/bin/tail -n 2 {tree}/words",
    "/usr/bin/tac {tree}/words",
    "/usr/bin/uniq -c {tree}/words",
    "/usr/bin/cut -c 1-3 {tree}/words",
    "/usr/bin/tr a-z A-Z",
    "/usr/bin/od -A x -t x1 {tree}/words",
    "/usr/bin/md5sum {tree}/binary {tree}/empty",
    "/usr/bin/readlink {tree}/link",
    "/usr/bin/realpath {tree}/link",
    "/usr/bin/basename {tree}/words",
    "/usr/bin/seq 1 7 100",
    "/usr/bin/expr 6 * 7",
    "/usr/bin/test -d {tree}/sub",
    "/usr/bin/test -f {tree}/sub",
    "/usr/bin/id -u",
    "/usr/bin/pwd",
    "/usr/bin/uname -s",
    "/usr/bin/date -u -d @0",
    "/usr/bin/cksum {tree}/binary",
    "/usr/bin/base64 {tree}/binary",
    "/usr/bin/comm {tree}/words {tree}/words",
    "/usr/bin/du --apparent-size -b {tree}/binary",
    "/usr/bin/dd if={tree}/binary bs=1000 count=3 status=none",
    "/bin/grep -n apple {tree}/words",
    "/bin/sed s/a/A/ {tree}/words",
    "/usr/bin/find {tree} -name wor*",
    "/bin/sh -c exit\\x2037",
    "/bin/sh -c read\\x20line;echo\\x20got:$line",
    "{tree}/sub/script with words",
]
INPUT = b"first line\nsecond line\nthird line\n" * 50


def words(command: str, tree: Path) -> list[str]:
    """Blanks separate; `\\x20` is a blank within a word, other escapes belong to the program."""
    return [word.replace("\\x20", " ").format(tree=tree) for word in command.split(" ")]


def assert_same(command: list[str], **options: object) -> None:
    host = run_host(*command, **options)
    ours = run_axptr("run", "--", *command, **options)
    assert (ours.stdout, ours.returncode) == (host.stdout, status_of_shell(host.returncode)), ours.stderr.decode()


@pytest.mark.parametrize("command", COMMANDS)
def test_command_prints_and_exits_as_on_the_host(command: str, tree: Path) -> None:
    arguments = words(command, tree)
    if "/" in arguments[0] and not Path(arguments[0]).exists():
        pytest.skip(f"{arguments[0]} is not on this host")
    assert_same(arguments, input=INPUT, cwd=tree)


@pytest.mark.parametrize(
    "command",
    [
        *("echo hello", "cat {tree}/words", "ls -l {tree}", "sha256sum {tree}/binary", "sort {tree}/words"),
        *("wc {tree}/words", "env", "printf %s-%05d\\n word 42", "stat {tree}/words", "head -n 2"),
        *("md5sum {tree}/binary", "uname -s", "true", "false", "nothing-of-that-name"),
    ],
)
def test_busybox_prints_and_exits_as_on_the_host(command: str, tree: Path) -> None:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("needs busybox-static")
    assert_same([busybox, *words(command, tree)], input=INPUT, cwd=tree)


@pytest.mark.parametrize("command", ["/usr/bin/head -n 2", "/usr/bin/head -c 1000", "/usr/bin/wc -l", "/bin/cat"])
def test_input_from_a_pipe(command: str) -> None:
    assert_same(command.split(), input=b"line\n" * 100_000)


@pytest.mark.parametrize("command", ["/bin/cat", "/usr/bin/sha256sum", "/usr/bin/head -n 1"])
def test_input_from_a_file_leaves_the_same_position(command: str, tree: Path) -> None:
    positions, outputs = [], []
    for runner in (run_host, lambda *words, **options: run_axptr("run", "--", *words, **options)):
        with (tree / "words").open("rb") as file:
            outputs.append(runner(*command.split(), stdin=file).stdout)
            positions.append(file.seek(0, 1))
    assert outputs[0] == outputs[1]
    assert positions[0] == positions[1]


@pytest.mark.parametrize("compiler", ["gcc", "musl-gcc"])
@pytest.mark.parametrize("linking", ["-static", "-static-pie", "-no-pie", "-pie"])
def test_program_compiled_here(compile_c: Callable[..., Path], compiler: str, linking: str) -> None:
    if compiler == "musl-gcc" and linking in ("-static-pie", "-pie", "-no-pie"):
        pytest.skip("musl programs are linked statically here")
    program = compile_c(SHOWS_ITS_START, linking, compiler=compiler)
    assert_same([str(program), "one", "two words", ""])


SHOWS_ITS_START = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <errno.h>
#include <sys/auxv.h>
extern char **environ;
int main(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        printf("argv[%d]=%s\n", i, argv[i]);
    for (char **e = environ; *e; e++)
        printf("env %s\n", *e);
    printf("page %lu uid %lu secure %lu clk %lu\n", getauxval(AT_PAGESZ), getauxval(AT_UID),
           getauxval(AT_SECURE), getauxval(AT_CLKTCK));
    printf("execfn %s platform %s\n", (char *)getauxval(AT_EXECFN), (char *)getauxval(AT_PLATFORM));
    char *big = malloc(8 << 20);
    memset(big, 7, 8 << 20);
    unsigned long sum = 0;
    for (int i = 0; i < 8 << 20; i += 997)
        sum += big[i];
    char deep[1 << 20];
    memset(deep, 3, sizeof deep);
    printf("sum %lu %d\n", sum, deep[12345]);
    errno = 0;
    int result = close(77);
    printf("close %d %s\n", result, strerror(errno));
    double x = 1;
    for (int i = 1; i < 30; i++)
        x = x / 3 + i * 0.5;
    printf("float %.17g %a\n", x, x);
    return argc;
}
"""


def test_environment_is_passed_as_it_is() -> None:
    environment = {"ONE": "1", "EMPTY": "", "UMLAUT": "ü", "PATH": "/usr/bin"}
    assert_same(["/usr/bin/env"], env=environment)


def test_environment_without_a_locale_has_no_variable_of_pythons(tmp_path: Path) -> None:
    assert_same(["/usr/bin/env"], env={"PATH": "/usr/bin"})


def test_a_name_without_a_slash_is_looked_up_in_the_path() -> None:
    done = run_axptr("run", "--", "echo", "found")
    assert (done.stdout, done.returncode) == (b"found\n", 0)


def test_the_script_of_the_package_does_the_same_as_the_module() -> None:
    script = Path(sys.executable).parent / "axptr"
    if not script.exists():
        pytest.skip("the package is not installed as a command")
    done = subprocess.run([script, "run", "--", "/bin/echo", "hello"], capture_output=True, env=ENVIRONMENT)
    assert (done.stdout, done.stderr, done.returncode) == (b"hello\n", b"", 0)


def test_a_pipe_that_nobody_reads_any_more_ends_the_program_with_sigpipe() -> None:
    process = subprocess.Popen(
        axptr("run", "--", "/usr/bin/yes"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        assert process.stdout.readline() == b"y\n"
        process.stdout.close()
        process.stderr.read()
        assert process.wait(20) == 128 + 13
