"""What `create_process` is called with: mistakes are told before anything is opened, right spellings arrive."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from axptr.linux import create_process

from .conftest import run_guest

TYPE_ERRORS = {
    "a str as argv": {"argv": "echo hi"},
    "bytes as argv": {"argv": b"echo hi"},
    "a path as argv": {"argv": Path("/bin/echo")},
    "a number as argv": {"argv": 7},
    "a number in argv": {"argv": ["echo", 7]},
    "None in argv": {"argv": ["echo", None]},
    "a str as env": {"env": "A=1"},
    "a number as env": {"env": 7},
    "a number in env": {"env": ["A=1", 7]},
    "a number as a value": {"env": {"A": 1}},
    "None as a value": {"env": {"A": None}},
    "a number as a name": {"env": {1: "A"}},
    "a number as cwd": {"cwd": 7},
    "a list as cwd": {"cwd": ["/"]},
    "a str as allow_write": {"allow_write": "/tmp"},
    "a path as allow_write": {"allow_write": Path("/tmp")},
    "a number in allow_write": {"allow_write": [7]},
    "two streams": {"stdio": (0, 1)},
    "four streams": {"stdio": (0, 1, 2, 3)},
    "a str as stdio": {"stdio": "012"},
    "None as a stream": {"stdio": (None, 1, 2)},
    "a file as a stream": {"stdio": (0, 1.0, 2)},
    "a number as stdio": {"stdio": 1},
    "a str as limit": {"memory_limit": "64M"},
    "a float as limit": {"memory_limit": 1e6},
}
VALUE_ERRORS = {
    "a NUL in argv": {"argv": ["echo", "a\0b"]},
    "a NUL in env": {"env": ["A=\0"]},
    "a NUL in a value": {"env": {"A": "\0"}},
    "a name with =": {"env": {"A=B": "1"}},
    "a name that is empty": {"env": {"": "1"}},
    "a NUL in cwd": {"cwd": "/\0"},
    "a descriptor that cannot be": {"stdio": (0, 1 << 40, 2)},
    "a negative limit": {"memory_limit": -1},
    "a directory that is not there": {"allow_write": ["/nowhere/at/all"]},
    "a file to write beneath": {"allow_write": ["/etc/passwd"]},
}


@pytest.mark.parametrize("options", TYPE_ERRORS.values(), ids=TYPE_ERRORS)
def test_what_is_of_the_wrong_kind_is_a_type_error_that_names_the_argument(options):
    (name,) = options
    with pytest.raises(TypeError, match=name):
        create_process("/bin/echo", **options)


@pytest.mark.parametrize("options", VALUE_ERRORS.values(), ids=VALUE_ERRORS)
def test_what_no_program_can_be_given_is_a_value_error_that_names_the_argument(options):
    (name,) = options
    with pytest.raises(ValueError, match=name):
        create_process("/bin/echo", **options)


@pytest.mark.parametrize("program", [7, None, ["/bin/echo"]])
def test_a_program_that_is_no_name_is_a_type_error(program):
    with pytest.raises(TypeError, match="program"):
        create_process(program)


def test_wrong_arguments_leave_no_descriptor_open():
    before = os.listdir("/proc/self/fd")
    for options in (TYPE_ERRORS | VALUE_ERRORS).values():
        with pytest.raises((TypeError, ValueError)):
            create_process("/bin/echo", **options)
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(
    "env",
    [{"A": "1", "B": "b"}, {b"A": b"1", "B": b"b"}, ["A=1", b"B=b"], (entry for entry in ("A=1", "B=b"))],
    ids=["text", "bytes", "a list", "a generator"],
)
def test_an_environment_arrives_however_it_is_spelt(env):
    assert run_guest("/usr/bin/env", env=env).lines == ["A=1", "B=b"]


def test_paths_are_taken_where_names_are():
    with create_process(Path("/bin/true"), [Path("/bin/true")], cwd=Path("/")) as process:
        assert process.run(20).exit_code == 0
