"""`AsyncSandbox`: `Sandbox` for asyncio, with the same verbs.

    async with AsyncSandbox() as s:
        results = await asyncio.gather(s.run("sleep 1; echo a"), s.run("sleep 1; echo b"))

What waits does so in threads; the event loop stands still for none of it. A command whose `run` is cancelled is ended,
with all that came of it, before the cancellation goes on. One sandbox is for one event loop.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Generic, TypeVar

from ..linux import arguments
from .box import Sandbox
from .limits import DOWNLOADED, READ_AT_ONCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Any, Self

    from ..linux.fs.overlay import Change
    from ..linux.snapshots.snapshot import MachineSnapshot
    from .box import Command
    from .files import Entry, Files, Path
    from .result import Result
    from .spawned import Reader, Spawned, Writer


T = TypeVar("T")
_THREADS = 64
"""Commands and reads that may wait at once; more take turns."""


class _Asked(Generic[T]):
    """A call whose result somebody may not want any more. Whoever comes second, its end or that, has it given back."""

    def __init__(self, function: Callable[[], T], lost: Callable[[T], object] | None) -> None:
        self._function, self._lost = function, lost
        self._lock = Lock()
        self._made: list[T] = []
        self._unwanted = False

    def make(self) -> T:
        result = self._function()
        with self._lock:
            self._made.append(result)
            unwanted = self._unwanted
        if unwanted:
            self.lose()
        return result

    def is_unwanted(self) -> bool:
        """Whether there is a result already, for `lose`."""
        with self._lock:
            self._unwanted = True
            return bool(self._made)

    def lose(self) -> None:
        if self._lost is not None:
            self._lost(self._made[0])


class _Threads:
    """Where calls that wait are made."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="axptr sandbox")

    async def do(self, function: Callable[[], T], lost: Callable[[T], object] | None = None) -> T:
        """Call it in a thread. What it does is done when a cancellation goes on, too; lost: what is then done, in a
        thread, with what it gave."""
        return await self.do_or(function, None, lost)

    async def do_or(
        self, function: Callable[[], T], stop: Callable[[], object] | None, lost: Callable[[T], object] | None = None
    ) -> T:
        """The same. stop: has it come back soon, for a cancellation."""
        loop = asyncio.get_running_loop()
        asked = _Asked(function, lost)
        future = loop.run_in_executor(self._pool, asked.make)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if asked.is_unwanted():
                loop.run_in_executor(None, asked.lose)
            if stop is not None:
                await asyncio.shield(loop.run_in_executor(None, stop))
            await asyncio.wait([future])
            if not future.cancelled():
                future.exception()  # it is of no interest any more
            raise

    def close(self) -> None:
        self._pool.shutdown(wait=False)


def _close(made: Sandbox | Spawned) -> None:
    """What nobody waits for any more is ended; not if its sandbox is closed, which ended it."""
    try:
        made.close()
    except Exception:
        if isinstance(made, Sandbox) or not made._driver.closed:
            raise


def _close_all(boxes: list[Sandbox]) -> None:
    for box in boxes:
        box.close()


class AsyncSandbox:
    """Its options, and those of its verbs, are those of `Sandbox`. sandbox: the one below."""

    def __init__(self, **options: Any) -> None:
        self._adopt(Sandbox(**options))

    def _adopt(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._threads = _Threads()
        self.files = AsyncFiles(self._threads, sandbox)

    async def run(self, command: Command, **options: Any) -> Result:
        """`Sandbox.run`; cancelling it ends the command."""
        check = options.pop("check", False)
        data = options.pop("input", b"")
        content = arguments.content("input", data)
        spawned = await self._threads.do(lambda: self.sandbox.begin(command, content, **options), _close)
        try:
            result = await self._threads.do_or(spawned.wait, spawned.kill)
        finally:
            if not self.sandbox.closed:
                await self._threads.do(spawned.close)
        return result.check() if check else result

    async def spawn(self, command: Command, **options: Any) -> AsyncSpawned:
        """`Sandbox.spawn`."""
        spawned = await self._threads.do(lambda: self.sandbox.spawn(command, **options), _close)
        return AsyncSpawned(self._threads, spawned)

    async def changes(self) -> list[Change]:
        return await self._threads.do(self.sandbox.changes)

    async def snapshot(self, **options: Any) -> MachineSnapshot:
        """`Sandbox.snapshot`."""
        return await self._threads.do(lambda: self.sandbox.snapshot(**options))

    async def restore(self, snap: MachineSnapshot) -> None:
        """`Sandbox.restore`."""
        await self._threads.do(lambda: self.sandbox.restore(snap))

    async def branch(self, count: int = 1, **options: Any) -> list[AsyncSandbox]:
        """`Sandbox.branch`."""
        boxes = await self._threads.do(lambda: self.sandbox.branch(count, **options), _close_all)
        return [AsyncSandbox.of(box) for box in boxes]

    @classmethod
    async def from_snapshot(cls, snap: MachineSnapshot, **options: Any) -> Self:
        """`Sandbox.from_snapshot`."""
        threads = _Threads()
        try:
            return cls.of(await threads.do(lambda: Sandbox.from_snapshot(snap, **options), _close))
        finally:
            threads.close()

    @classmethod
    def of(cls, sandbox: Sandbox) -> Self:
        """The same sandbox, for an event loop."""
        asynchronous = cls.__new__(cls)
        asynchronous._adopt(sandbox)
        return asynchronous

    @property
    def commands(self) -> dict[int, AsyncSpawned]:
        """Those that run, by their number, which is how a branch has them."""
        return {pid: AsyncSpawned(self._threads, spawned) for pid, spawned in self.sandbox.commands.items()}

    async def end_all(self) -> None:
        await self._threads.do(self.sandbox.end_all)

    async def close(self) -> None:
        """End everything, and give all back. Idempotent."""
        if not self.sandbox.closed:
            await self._threads.do(self.sandbox.close)
        self._threads.close()

    async def __aenter__(self) -> AsyncSandbox:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


class AsyncFiles:
    """`Files`, awaited."""

    def __init__(self, threads: _Threads, sandbox: Sandbox) -> None:
        self._threads = threads
        self._sandbox = sandbox

    async def _do(self, function: Callable[[Files], T]) -> T:
        return await self._threads.do(lambda: function(self._sandbox.files))

    async def read(self, path: Path, *, limit: int | None = READ_AT_ONCE) -> bytes:
        return await self._do(lambda files: files.read(path, limit=limit))

    async def read_text(self, path: Path, *, limit: int | None = READ_AT_ONCE) -> str:
        return await self._do(lambda files: files.read_text(path, limit=limit))

    async def write(self, path: Path, data: bytes | str, *, mode: int = 0o644, parents: bool = True) -> None:
        await self._do(lambda files: files.write(path, data, mode=mode, parents=parents))

    async def list(self, path: Path = "") -> list[Entry]:
        return await self._do(lambda files: files.list(path))

    async def stat(self, path: Path, *, follow: bool = True) -> Entry:
        return await self._do(lambda files: files.stat(path, follow=follow))

    async def exists(self, path: Path) -> bool:
        return await self._do(lambda files: files.exists(path))

    async def mkdir(self, path: Path, *, mode: int = 0o755, parents: bool = False) -> None:
        await self._do(lambda files: files.mkdir(path, mode=mode, parents=parents))

    async def remove(self, path: Path, *, recursive: bool = False) -> None:
        await self._do(lambda files: files.remove(path, recursive=recursive))

    async def upload(self, source: Path, path: Path) -> None:
        await self._do(lambda files: files.upload(source, path))

    async def download(self, path: Path, goal: Path, *, limit: int | None = DOWNLOADED) -> None:
        await self._do(lambda files: files.download(path, goal, limit=limit))


class AsyncSpawned:
    """`Spawned`, awaited. spawned: the one below."""

    def __init__(self, threads: _Threads, spawned: Spawned) -> None:
        self._threads = threads
        self.spawned = spawned
        self.pid, self.args = spawned.pid, spawned.args
        self.stdin = None if spawned.stdin is None else AsyncWriter(threads, spawned.stdin)
        self.stdout = None if spawned.stdout is None else AsyncReader(threads, spawned.stdout)
        self.stderr = None if spawned.stderr is None else AsyncReader(threads, spawned.stderr)

    @property
    def ended(self) -> bool:
        return self.spawned.ended

    async def wait(self, timeout: float | None = None) -> Result:
        """Cancelling it ends the command."""
        return await self._threads.do_or(lambda: self.spawned.wait(timeout), self.spawned.kill)

    async def signal(self, number: int) -> None:
        await self._threads.do(lambda: self.spawned.signal(number))

    async def kill(self) -> None:
        await self._threads.do(self.spawned.kill)

    async def close(self) -> None:
        await self._threads.do(self.spawned.close)

    async def __aenter__(self) -> AsyncSpawned:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


class AsyncReader:
    """`Reader`, awaited. Cancelling a read loses nothing: what it would have read is read next."""

    def __init__(self, threads: _Threads, reader: Reader) -> None:
        self._threads = threads
        self._reader = reader

    async def read(self, size: int = -1, timeout: float | None = None) -> bytes:
        return await self._patiently(lambda: self._reader.read(size, timeout))

    async def readline(self, timeout: float | None = None) -> bytes:
        return await self._patiently(lambda: self._reader.readline(timeout))

    async def _patiently(self, read: Callable[[], bytes]) -> bytes:
        def note() -> bytes:
            data = read()
            if self._reader.unwanted:
                self._reader.unread(data)
            return data

        self._reader.unwanted = False
        return await self._threads.do_or(note, self._reader.give_up)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while line := await self.readline():
            yield line


class AsyncWriter:
    """`Writer`, awaited."""

    def __init__(self, threads: _Threads, writer: Writer) -> None:
        self._threads = threads
        self._writer = writer

    async def write(self, data: bytes) -> int:
        return await self._threads.do(lambda: self._writer.write(data))

    async def close(self) -> None:
        await self._threads.do(self._writer.close)
