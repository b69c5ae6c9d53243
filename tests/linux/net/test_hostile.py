"""Sockets under calls that make no sense: nothing but errors comes of them, and nothing is left."""

from __future__ import annotations

import pytest

from axptr.linux import create_process


@pytest.mark.parametrize("seed", range(4))
def test_calls_at_random_give_results_and_leave_nothing(compile_guest, tmp_path, seed: int) -> None:
    program = compile_guest("net/hostile", "-w")
    with open("/dev/null", "r+b") as null, open(tmp_path / "out", "wb") as out:
        streams = null.fileno(), out.fileno(), null.fileno()
        with create_process(program, ["hostile", str(seed), "6000"], {}, cwd=tmp_path, stdio=streams) as process:
            result = process.run(timeout=60)
            assert result.exit_code == 0, result
            machine = process.task.machine
            assert machine.network.endpoints == {}
            assert machine.socket_bytes == 0
            assert machine.network.unix.abstract == {}
            assert machine.network.tcp.bound == machine.network.udp.bound == {}
            assert not machine.network.flight._files
    assert (tmp_path / "out").read_text() == "6000 calls\n"
