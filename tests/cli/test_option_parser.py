"""The parser of command lines: as `argparse` where both know an option, and one line where there is no sense in it."""

from __future__ import annotations

import argparse
from types import SimpleNamespace

import pytest

from axptr.cli import run
from axptr.cli.options import EXIT_USAGE, Parser


@pytest.fixture
def parser() -> Parser:
    made = Parser("axptr run", run.USAGE, run.DESCRIPTION)
    run.add_arguments(made)
    return made


@pytest.mark.parametrize(
    ("arguments", "own", "command"),
    [
        (["--", "a", "-b"], [], ["a", "-b"]),
        (["--strace", "--", "a"], ["--strace"], ["a"]),
        (["--timeout", "5", "a", "--", "b"], ["--timeout", "5"], ["a", "--", "b"]),
        (["--timeout=5", "a"], ["--timeout=5"], ["a"]),
        (["--timeout", "-1", "a"], ["--timeout", "-1"], ["a"]),
        (["--output=", "a"], ["--output="], ["a"]),
        (["-o", "file", "-"], ["-o", "file"], ["-"]),
        (["-ofile", "a"], ["-ofile"], ["a"]),
        (["--env", "A=1", "--env=B=2", "a"], ["--env", "A=1", "--env=B=2"], ["a"]),
        (["--stats", "--timeout", "1", "--timeout", "2", "a"], ["--stats", "--timeout", "1", "--timeout", "2"], ["a"]),
        (["--", "--", "a"], [], ["--", "a"]),
        ([], [], []),
    ],
)
def test_options_are_read_as_argparse_does_and_end_where_the_guests_command_begins(
    parser: Parser, arguments: list[str], own: list[str], command: list[str]
) -> None:
    theirs = argparse.ArgumentParser(allow_abbrev=False)
    run.add_arguments(theirs)  # type: ignore[arg-type]
    said = vars(parser.parse(arguments))
    assert said.pop("command") == command
    assert said.pop("help") is False
    assert said == vars(theirs.parse_args(own))


def test_an_option_may_have_a_value_that_looks_like_one(parser: Parser) -> None:
    assert parser.parse(["-o", "--", "--", "a"]) == parser.parse(["-o--", "a"])
    assert parser.parse(["-o", "--", "--", "a"]).output == "--"


def test_a_list_that_options_add_to_is_new_for_each_command_line(parser: Parser) -> None:
    parser.parse(["--env", "A=1", "x"])
    assert parser.parse(["x"]).env == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--nonsense", "a"], "unknown option --nonsense"),
        (["--stat", "a"], "unknown option --stat"),
        (["-x"], "unknown option -x"),
        (["--stats=yes", "a"], "--stats takes no value"),
        (["--timeout"], "--timeout needs TIME"),
        (["-o"], "-o needs FILE"),
    ],
)
def test_a_command_line_without_sense_is_one_line_that_names_the_option(
    parser: Parser, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    with pytest.raises(SystemExit) as end:
        parser.parse(arguments)
    assert end.value.code == EXIT_USAGE
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"axptr run: {says} (see axptr run --help)\n")


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_names_each_option_with_its_value_and_ends(
    parser: Parser, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    with pytest.raises(SystemExit) as end:
        parser.parse(["--stats", word, "--nonsense"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: axptr run [OPTIONS] -- PROGRAM [ARGS...]\n\nRun a Linux program")
    for option in parser.options:
        assert any(line.startswith("  " + option.names[0]) and option.names[-1] in line for line in text.splitlines())
        assert option.help in text
    assert max(map(len, text.splitlines())) <= 110


def test_an_option_is_an_attribute_by_its_longest_name(parser: Parser) -> None:
    said = parser.parse(["--memory-limit", "1M", "a"])
    assert isinstance(said, SimpleNamespace)
    assert (said.memory_limit, said.strace, said.allow_write, said.output) == ("1M", False, [], None)


def test_an_action_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="count"):
        Parser("p", "u", "d").add_argument("-v", action="count")
