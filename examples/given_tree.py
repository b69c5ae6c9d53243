"""Trees that Python gives, mounted: a zip file, and whatever fsspec reaches (here its file system in memory).

    python examples/given_tree.py

A class with three methods is a tree: `list`, `stat`, `read`. The program that reads it knows nothing of that.
"""

import io
import os
import stat
import sys
import zipfile

from axptr.linux import TreeStat, create_process


class ZipTree:
    """The files of a zip archive."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = zipfile.Path(archive)

    def list(self, path: str) -> list[str]:
        return [entry.name for entry in self.archive.joinpath(path).iterdir()]

    def stat(self, path: str) -> TreeStat:
        entry = self.archive.joinpath(path) if path else self.archive
        if entry.is_dir():
            return TreeStat(stat.S_IFDIR | 0o755)
        if not entry.exists():
            raise FileNotFoundError(path)
        return TreeStat(stat.S_IFREG | 0o644, self.archive.root.getinfo(path).file_size)

    def read(self, path: str, offset: int, size: int) -> bytes:
        return self.archive.joinpath(path).read_bytes()[offset : offset + size]


class FsspecTree:
    """A directory of any fsspec file system: s3, http, github, memory, ..."""

    def __init__(self, fs: object, top: str) -> None:
        self.fs, self.top = fs, top.rstrip("/") + "/"

    def list(self, path: str) -> list[str]:
        return [name.rsplit("/", 1)[-1] for name in self.fs.ls(self.top + path, detail=False)]  # type: ignore[attr-defined]

    def stat(self, path: str) -> TreeStat:
        info = self.fs.info((self.top + path).rstrip("/"))  # type: ignore[attr-defined]
        kind = stat.S_IFDIR | 0o755 if info["type"] == "directory" else stat.S_IFREG | 0o644
        return TreeStat(kind, info["size"] or 0)

    def read(self, path: str, offset: int, size: int) -> bytes:
        return self.fs.cat_file(self.top + path, start=offset, end=offset + size)  # type: ignore[attr-defined,no-any-return]


def run(tree: object, *command: str) -> None:
    sys.stdout.flush()
    with create_process(command[0], command, mounts={"/data": tree}, cwd="/") as process:
        if process.run(timeout=60).exit_code != 0:
            sys.exit(f"{command[0]} failed")


packed = io.BytesIO()
with zipfile.ZipFile(packed, "w") as archive:
    archive.writestr("notes/hello", "hello from a zip file\n")
    run(ZipTree(archive), "/bin/cat", "/data/notes/hello")
    run(ZipTree(archive), "/bin/ls", "/data/notes")

try:
    import fsspec  # type: ignore[import-not-found,import-untyped,unused-ignore]
except ImportError:
    print("fsspec is not installed: no file system of its")
else:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/top/hello", b"hello from fsspec\n")
    run(FsspecTree(memory, "/top"), "/bin/cat", os.path.join("/data", "hello"))
