"""axptr's sandboxes for inspect_ai: a task with `sandbox="axptr"` gives each sample a machine of its own.

    $ pip install inspect_ai
    $ python examples/inspect_sandbox.py
    hello from a sample

Import this file where your tasks are: that registers the name. Samples are branches of one sandbox, made at the first.
"""

import asyncio
import errno
from typing import Any

from axptr import AsyncSandbox, Sandbox
from axptr.linux import MachineSnapshot, ProgramError

try:
    from inspect_ai.util import (
        ExecResult,
        OutputLimitExceededError,
        SandboxEnvironment,
        SandboxEnvironmentLimits,
        sandboxenv,
    )
except ImportError:
    raise SystemExit("inspect_ai is not installed: pip install inspect_ai") from None


@sandboxenv(name="axptr")
class AxptrSandbox(SandboxEnvironment):  # type: ignore[misc]
    """One machine. Relative paths are meant from the home directory of its user."""

    snapshot: MachineSnapshot | None = None

    def __init__(self, box: AsyncSandbox) -> None:
        super().__init__()
        self.box = box

    @classmethod
    async def sample_init(cls, task_name: str, config: Any, metadata: Any) -> dict[str, Any]:
        if AxptrSandbox.snapshot is None:
            AxptrSandbox.snapshot = await asyncio.to_thread(Sandbox().snapshot)
        return {"default": cls(await AsyncSandbox.from_snapshot(AxptrSandbox.snapshot))}

    @classmethod
    async def sample_cleanup(cls, task_name: str, config: Any, environments: dict[str, Any], interrupted: bool) -> None:
        for environment in environments.values():
            await environment.box.close()

    async def exec(
        self,
        cmd: list[str],
        input: str | bytes | None = None,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        user: str | None = None,
        timeout: int | None = None,
        timeout_retry: bool = True,
        concurrency: bool = True,
    ) -> Any:
        where = f"{self.box.sandbox.home}/{cwd}" if cwd is not None and not cwd.startswith("/") else cwd
        try:
            result = await self.box.run(cmd, input=input or b"", cwd=where, env=env, user=user, timeout=timeout)
        except ProgramError as error:
            if error.errno == errno.EACCES:
                raise PermissionError(error.errno, str(error)) from None
            return ExecResult(False, error.exit_status, "", f"{error}\n")
        if result.timed_out:
            raise TimeoutError(f"{cmd[0]} has not ended")
        if result.limit == "output":
            raise OutputLimitExceededError("16 MiB", result.text)
        errors = result.stderr.decode(errors="replace")
        return ExecResult(result.ok, result.exit_status, result.text, errors)

    async def write_file(self, file: str, contents: str | bytes) -> None:
        await self.box.files.write(file, contents)

    async def read_file(self, file: str, text: bool = True) -> str | bytes:
        limits = SandboxEnvironmentLimits
        try:
            data = await self.box.files.read(file, limit=limits.MAX_READ_FILE_SIZE)
        except OSError as error:
            if error.errno == errno.EFBIG:
                raise OutputLimitExceededError(limits.MAX_READ_FILE_SIZE_STR, None) from None
            raise
        return data.decode() if text else data


async def main() -> None:
    environments = await AxptrSandbox.sample_init("demo", None, {})
    sandbox = environments["default"]
    await sandbox.write_file("notes/hello.py", "print('hello from a sample')")
    result = await sandbox.exec(["python3", "hello.py"], cwd="notes")
    print(result.stdout, end="")
    await AxptrSandbox.sample_cleanup("demo", None, environments, False)


if __name__ == "__main__":
    asyncio.run(main())
