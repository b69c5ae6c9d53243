"""Memory for tests, and the rule for all of them: no test may leave a frame behind.

`phys` and `make_phys` give memories that are empty again at the end, `space` a space over `phys`. Freed frames are
poisoned. Spaces over the process-wide memory are counted too. The count is skipped where the test failed anyway: its
traceback keeps what it used alive.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

import engines
from axptr import SV39, X86_64, AddrSpace, PagingFormat, PhysMemory, default_memory
from formats import FORMATS

USER_START = 0x1000
USER_SIZE = (1 << 47) - 0x2000
_failed = pytest.StashKey[bool]()


def _hosts_own() -> tuple[object, ...]:
    """What a program that runs natively, as root, might change of the host by mistake."""
    root = os.stat("/")
    names = (os.uname().nodename, Path("/proc/sys/kernel/domainname").read_text())
    return names, (root.st_mode, root.st_uid, root.st_gid), os.getpriority(os.PRIO_PROCESS, 1)


@pytest.fixture(autouse=True)
def _host_untouched() -> Iterator[None]:
    """Tests run on a machine that lives on: nothing that they run natively changes what is not theirs."""
    before = _hosts_own()
    yield
    assert _hosts_own() == before, "the host itself was changed"


def pytest_configure() -> None:
    """Signals do what they do for who logs in, for the programs that tests start too: who was started in the background
    by a shell, or by something that ignores them, hands that on. (Python ignores SIGPIPE and SIGXFSZ itself, and starts
    programs without that.)"""
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    with contextlib.suppress(ImportError):  # what users try of an installed package goes without
        from hypothesis import settings

        settings.register_profile("ours", deadline=None)  # how long an example takes is the machine's affair
        settings.load_profile("ours")


def pytest_addoption(parser: pytest.Parser) -> None:
    choices = ("unicorn", "native", "both")
    parser.addoption("--engine", choices=choices, help="the engines of tests that run guests (tests/engines.py)")
    text = "where the seeds of tests that draw at random begin (tests/linux/snapshots/test_points.py)"
    parser.addoption("--first-seed", type=int, default=0, metavar="N", help=text)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_failed] = True
    return report


def pytest_collection_finish() -> None:
    """What collecting the tests made stays to the end: no collection of garbage shall walk through it again.

    There is one in most tests, for the count of frames, and it took longer than the rest of the test.
    """
    gc.collect()
    gc.freeze()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The tests of a module that says `EVERY_FORMAT = True` run once over each page-table format; those with a guest
    over the engines that were asked for.

    Those are where an entry is written or read: what an access resolves to (`test_pointer`), areas, clones, dirty pages
    and snapshots. What stands above asks the same few functions whatever the format; walks and encodings have
    `core/paging`, and random histories of each format `mm/test_model` and `mm/test_histories`.
    """
    if "fmt" in metafunc.fixturenames and getattr(metafunc.module, "EVERY_FORMAT", False):
        metafunc.parametrize("fmt", FORMATS, ids=str)
    if "engine_name" in metafunc.fixturenames:
        own = getattr(metafunc.module, "ENGINES", None)
        names = engines.chosen(metafunc.config.getoption("engine"), own, _of_suite(metafunc.module.__name__))
        metafunc.parametrize("engine_name", names, indirect=True)


def _of_suite(module: str) -> tuple[str, ...]:
    """The engines of a test whose module says nothing."""
    if module.split(".")[-2] in ("engine", "kernel"):
        return engines.BOTH
    return ("unicorn",) if engines.missing("native") else ("native",)


@pytest.fixture
def engine_name(request: pytest.FixtureRequest) -> str:
    """The engine of this test; skipped where the host has none, and marked with what is documented to differ."""
    name: str = request.param
    lack = engines.missing(name)
    if lack is not None:
        pytest.skip(lack)
    known = engines.difference(name, f"{request.node.path.name}::{request.node.name}")
    if known is not None:
        request.applymarker(pytest.mark.xfail(reason=known.reason, strict=True))
    return name


def assert_no_frames(memory: PhysMemory, data: int = 0, tables: int = 0) -> None:
    """Fail unless exactly so many frames are in use; what only cycles keep alive is collected first."""
    if (memory.data_frames, memory.table_frames) != (data, tables):
        gc.collect()
    assert (memory.data_frames, memory.table_frames) == (data, tables), "frames leaked (data, tables)"
    memory._check()


@pytest.fixture(autouse=True)
def no_frame_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test gives back the frames of the process-wide memory that it took."""
    memory = default_memory()
    before = memory.data_frames, memory.table_frames
    yield
    if not request.node.stash.get(_failed, False):
        assert_no_frames(memory, *before)


@pytest.fixture
def make_phys(request: pytest.FixtureRequest) -> Iterator[Callable[..., PhysMemory]]:
    """Makes memories (1 GiB unless told) that must be empty again when the test is over."""
    made: list[PhysMemory] = []

    def make(size: int = 1 << 30, **options: object) -> PhysMemory:
        memory = PhysMemory(size, poison=True, **options)
        made.append(memory)
        return memory

    yield make
    if not request.node.stash.get(_failed, False):
        for memory in made:
            assert_no_frames(memory)


@pytest.fixture
def phys(make_phys: Callable[..., PhysMemory]) -> PhysMemory:
    """A memory of 1 GiB that must be empty again when the test is over."""
    return make_phys()


@pytest.fixture
def fmt() -> PagingFormat:
    """The page-table format of `space`: x86-64, or each in turn (`pytest_generate_tests`)."""
    return X86_64


@pytest.fixture
def space(phys: PhysMemory, fmt: PagingFormat, request: pytest.FixtureRequest) -> Iterator[AddrSpace]:
    """A space like a Linux program's, [0x1000, 2**47 - 0x1000), or as far as `fmt` goes; checked at the end."""
    made = AddrSpace(USER_START, min(USER_SIZE, (1 << 38) - 0x2000) if fmt is SV39 else USER_SIZE, phys, fmt)
    yield made
    made._check()
    request.node.funcargs.clear()  # pytest would keep it beyond the count of frames
