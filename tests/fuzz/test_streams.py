"""Random streams of instructions leave natively what they leave on the bare host: a short run."""

from __future__ import annotations

import re

import pytest

import engines

from .test_calls import command


@pytest.mark.skipif(bool(engines.missing("native")), reason="the host has no native engine")
def test_random_streams_leave_what_they_leave_on_the_host() -> None:
    done = command("streams", "--cases", "1500", "--seed", "20")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    ends = dict(re.findall(r"(\d+): (\d+)", done.stdout.splitlines()[-2]))
    assert {"0", "4", "5", "7", "8", "11"} <= set(ends)  # else the comparison would be of nothing much
    assert int(ends["0"]) > 200


def test_random_pieces_leave_what_they_leave_on_the_host_emulated() -> None:
    done = command("streams", "--cases", "2000", "--seed", "3", "--engine", "unicorn")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
