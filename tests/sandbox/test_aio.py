"""`AsyncSandbox`: the same verbs, awaited; a cancellation ends what ran."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from axptr import AsyncSandbox, Sandbox
from axptr.sandbox import CommandFailed

Body = Callable[[AsyncSandbox], Coroutine[Any, Any, None]]


@pytest.fixture
def within(engine: str) -> Callable[[Body], None]:
    """Runs a coroutine with a sandbox."""

    def run(body: Body) -> None:
        async def whole() -> None:
            async with AsyncSandbox(engine=engine) as box:
                await body(box)

        asyncio.run(whole())

    return run


def test_commands_side_by_side(within: Callable[[Body], None]) -> None:
    async def body(box: AsyncSandbox) -> None:
        waits = "touch /tmp/{0}; while ! test -e /tmp/{1}; do sleep 0.01; done; echo {0}"
        one, two = await asyncio.gather(box.run(waits.format("a", "b")), box.run(waits.format("b", "a")))
        assert (one.text, two.text) == ("a\n", "b\n")
        with pytest.raises(CommandFailed):
            await box.run("exit 1", check=True)
        assert (await box.run(["cat"], input="in")).text == "in"

    within(body)


def test_a_cancelled_run_is_ended_and_the_sandbox_goes_on(within: Callable[[Body], None]) -> None:
    async def body(box: AsyncSandbox) -> None:
        task = asyncio.create_task(box.run("touch /tmp/began; sleep 1000 & sleep 1000"))
        while not await box.files.exists("/tmp/began"):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert box.sandbox.processes == []
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(box.run("while :; do :; done"), 0.3)
        assert box.sandbox.processes == []
        assert (await box.run("echo fine")).text == "fine\n"

    within(body)


def test_streams(within: Callable[[Body], None]) -> None:
    async def body(box: AsyncSandbox) -> None:
        async with await box.spawn("while read x; do echo got $x; done") as process:
            assert process.stdin is not None
            assert process.stdout is not None
            await process.stdin.write(b"one\n")
            assert await process.stdout.readline() == b"got one\n"
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(process.stdout.readline(), 0.1)
            await process.stdin.write(b"two\nthree\n")
            await process.stdin.close()
            assert [line async for line in process.stdout] == [b"got two\n", b"got three\n"]
            assert (await process.wait()).ok

    within(body)


def test_files(within: Callable[[Body], None], tmp_path: Path) -> None:
    async def body(box: AsyncSandbox) -> None:
        await box.files.write("dir/x", "text")
        assert await box.files.read_text("dir/x") == "text"
        assert [entry.name for entry in await box.files.list("dir")] == ["x"]
        await box.files.download("dir", tmp_path / "dir")
        assert (tmp_path / "dir" / "x").read_text() == "text"
        await box.files.remove("dir", recursive=True)
        assert not await box.files.exists("dir")
        assert await box.changes() == []

    within(body)


def test_snapshots_and_branches() -> None:
    async def main() -> None:
        async with AsyncSandbox() as s:
            cat = await s.spawn("cat")
            await s.files.write("note", "one")
            snap = await s.snapshot()
            await s.files.write("note", "two")
            branches = await s.branch(2)
            later = await AsyncSandbox.from_snapshot(snap)
            await s.restore(snap)
            found = [await box.files.read_text("note") for box in (s, *branches, later)]
            assert found == ["one", "two", "two", "one"]
            for box in (*branches, later):
                command = box.commands[cat.pid]
                await command.stdin.write(b"x\n")
                assert await command.stdout.readline() == b"x\n"
                await box.close()

    asyncio.run(main())


@pytest.mark.parametrize("verb", ["branch", "spawn", "run"])
def test_what_comes_after_a_cancellation_is_ended(
    within: Callable[[Body], None], monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    made: list[Any] = []
    name = "begin" if verb == "run" else verb
    real = getattr(Sandbox, name)

    def slow(box: Sandbox, *arguments: Any, **options: Any) -> Any:
        result = real(box, *arguments, **options)
        made.extend(result if isinstance(result, list) else [result])
        time.sleep(0.1)
        return result

    async def body(box: AsyncSandbox) -> None:
        async with await box.spawn(["cat"]):
            monkeypatch.setattr(Sandbox, name, slow)
            task = asyncio.create_task(getattr(box, verb)(2 if verb == "branch" else ["sleep", "60"]))
            while not made:
                await asyncio.sleep(0.01)
            for _ in range(2):  # the second while the first is on its way
                task.cancel()
                await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await task
            ends = time.monotonic() + 20
            while not all(one.closed if verb == "branch" else one.ended for one in made):
                assert time.monotonic() < ends
                await asyncio.sleep(0.01)

    within(body)
