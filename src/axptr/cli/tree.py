"""The options of `axptr run` about the tree that the program sees: --root, --mount, --tmpfs and those of overlays.

Imported only when one of them is given.
"""

from __future__ import annotations

import os
from types import SimpleNamespace

from ..linux.fs.overlay import Overlay
from ..linux.fs.shape import HostDir, Tmpfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_LETTERS = {"added": "A", "changed": "C", "removed": "D"}


def wants_overlay(options: SimpleNamespace) -> bool:
    """Any option of overlays asks for one."""
    asked = options.overlay, options.overlay_load, options.overlay_save, options.overlay_diff, options.overlay_commit
    return any(asked)


def tree_options(options: SimpleNamespace) -> dict[str, Any]:
    """What `create_process` is called with. `ValueError` for what makes no sense."""
    said: dict[str, Any] = {}
    if options.root is not None:
        if not os.path.isdir(options.root):
            raise ValueError(f"--root: {options.root} is not a directory")
        said["root"] = options.root
    mounts: dict[str, object] = {}
    for text in options.mount:
        source, place, readonly = parse_mount(text)
        if not os.path.exists(source):
            raise ValueError(f"--mount: {source} does not exist")
        mounts[place] = HostDir(source, readonly=readonly)
    for place in options.tmpfs:
        if not place.startswith("/"):
            raise ValueError(f"--tmpfs: {place} is not an absolute path")
        mounts[place] = Tmpfs()
    if mounts:
        said["mounts"] = mounts
    if wants_overlay(options):
        if options.overlay_save is not None and not os.path.isdir(os.path.dirname(options.overlay_save) or "."):
            raise ValueError(f"--overlay-save: {os.path.dirname(options.overlay_save)} is not a directory")
        if options.overlay_load is not None and not os.path.isfile(options.overlay_load):
            raise ValueError(f"--overlay-load: {options.overlay_load} is not a file")
        said["overlay"] = Overlay() if options.overlay_load is None else Overlay.load(options.overlay_load)
    return said


def parse_mount(text: str) -> tuple[str, str, bool]:
    """`SRC:DST`, `SRC:DST:ro`, `SRC:DST:rw`; the last colon before an absolute DST parts them."""
    rest, readonly = text, False
    for word in (":ro", ":rw"):
        if rest.endswith(word):
            rest, readonly = rest[:-3], word == ":ro"
            break
    source, colon, place = rest.rpartition(":/")
    if not source or not colon:
        raise ValueError(f"--mount: {text!r} is not SRC:DST or SRC:DST:ro with an absolute DST")
    return source, "/" + place, readonly


def finish(overlay: Overlay, options: SimpleNamespace, write: Callable[[str], None]) -> str | None:
    """List, save, commit, as was asked for; one line of what failed, None if nothing did."""
    if options.overlay_diff:
        write("".join(f"{_LETTERS[change.kind]} {change.path}\n" for change in overlay.changes()))
    if options.overlay_save is not None:
        try:
            overlay.save(options.overlay_save)
        except OSError as error:
            return f"--overlay-save: {options.overlay_save}: {error.strerror}"
    if options.overlay_commit:
        try:
            overlay.commit()
        except (OSError, RuntimeError) as error:
            return f"--overlay-commit: {error}"
    return None
