"""Pools over processes, Ray and Dask: the same function, the same results, also when workers are killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from axptr import Pool, Sandbox
from axptr.pool import WorkerLost

PROMPT = "import sys\nfor line in sys.stdin:\n    exec(line)\n    sys.stdout.flush()\n"


def snippet(sandbox: Sandbox, number: int) -> str:
    """Has the python3 that stands at its prompt in every branch do something."""
    [command] = sandbox.commands.values()
    assert command.stdin is not None
    assert command.stdout is not None
    command.stdin.write(f"a += {number}; print(a, open('note').read())\n".encode())
    return command.stdout.readline(100).decode()


def killing(sandbox: Sandbox, marker: str) -> str:
    """Kills its own worker the first time that it is here, for each item that ends so."""
    if marker.endswith("kill") and not os.path.exists(marker):
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return sandbox.run("cat note").text + os.path.basename(marker)


def deadly(sandbox: Sandbox, item: int) -> int:
    if item == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def failing(sandbox: Sandbox, item: int) -> int:
    if item == 2:
        raise KeyError("no such thing")
    return item


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pool") / "snapshot"
    with Sandbox() as box:
        box.files.write("note", "warm")
        python = box.spawn(["python3", "-c", PROMPT])
        assert python.stdin is not None
        assert python.stdout is not None
        python.stdin.write(b"a = 100; print('ready')\n")
        assert python.stdout.readline(100) == b"ready\n"
        box.snapshot().save(path)
    return path


@pytest.fixture
def over(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Where the workers are: processes of this host, a local Ray, a local Dask."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent.parent.parent), *sys.path]))
    if request.param is None:
        yield None
    elif request.param == "ray":
        ray = pytest.importorskip("ray", reason="needs Ray: pip install 'axptr[ray]'")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
        yield "ray"
        ray.shutdown()
    else:
        distributed = pytest.importorskip("distributed", reason="needs Dask: pip install 'axptr[dask]'")
        with (
            distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client


EVERYWHERE = pytest.mark.parametrize("over", [None, "ray", "dask"], indirect=True)
LONG = [pytest.mark.timeout(280), pytest.mark.filterwarnings("ignore")]
"""Ray and Dask warn of what is theirs."""
pytestmark = LONG


@EVERYWHERE
def test_every_item_has_a_branch_of_its_own(snapshot: Path, over: Any) -> None:
    with Pool(snapshot, 2, over=over) as pool:
        assert list(pool.map(snippet, range(12))) == [f"{100 + number} warm\n" for number in range(12)]


@EVERYWHERE
def test_nothing_of_a_pool_is_left_on_its_host(snapshot: Path, over: Any) -> None:
    from axptr.pool import worker

    directory = os.path.dirname(worker.place_of("x"))
    before = set(os.listdir(directory))
    with Pool(snapshot, 2, over=over) as first, Pool(snapshot, 1, over=over) as second:
        assert list(second.map(snippet, range(1))) == ["100 warm\n"]
        second.close()
        assert list(first.map(snippet, range(4))) == [f"{100 + number} warm\n" for number in range(4)]
    for _ in range(100):
        left = {name for name in set(os.listdir(directory)) - before if name.startswith(f"axptr-{os.getuid()}-")}
        if not left:
            break
        sleep(0.1)
    assert not left


@EVERYWHERE
def test_a_killed_worker_loses_no_result(snapshot: Path, over: Any, tmp_path: Path) -> None:
    items = [str(tmp_path / f"{number}{'kill' if number % 3 == 0 else ''}") for number in range(7)]
    with Pool(snapshot, 2, over=over) as pool:
        assert list(pool.map(killing, items)) == [f"warm{os.path.basename(item)}" for item in items]


def test_an_item_that_takes_every_worker_with_it_is_given_up(snapshot: Path) -> None:
    with Pool(snapshot, 2, retries=1) as pool:
        outcomes = {outcome.item: outcome for outcome in pool.outcomes(deadly, range(4))}
        assert [outcomes[item].ok for item in range(4)] == [True, False, True, True]
        assert isinstance(outcomes[1].error, WorkerLost)
        assert outcomes[1].tries == 2


def test_what_a_function_raises_is_its_outcome_and_comes_out_of_map(snapshot: Path) -> None:
    with Pool(snapshot, 1) as pool:
        found = pool.map(failing, range(4))
        assert [next(found), next(found)] == [0, 1]
        with pytest.raises(KeyError, match="no such thing"):
            next(found)
    with pytest.raises(RuntimeError, match="closed"):
        next(pool.outcomes(failing, [1]))


def test_a_snapshot_in_memory_is_kept_in_a_file_as_long_as_the_pool_is(tmp_path: Path) -> None:
    with Sandbox() as box:
        box.files.write("note", "cold")
        with Pool(box.snapshot(), 1) as pool:
            assert list(pool.map(killing, [str(tmp_path / "item")])) == ["colditem"]
            directory = pool._directory
            assert directory is not None
            assert os.path.exists(directory)
        assert not os.path.exists(directory)
