"""The compiled core: only what must be fast, each behaviour once. Private; the public names stand in `axptr`.

All its modules are in one shared library: forty would take a start twice as long to load. Each has its `PyInit_` there,
by the last part of its name, and the finder below leads every import of a module here to that one.
"""

from __future__ import annotations

import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import ExtensionFileLoader
from _imp import extension_suffixes
from os.path import exists

# `importlib`, which has all of these, costs a start as much as three modules of ours.

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

LIBRARY = f"{__path__[0]}/library{extension_suffixes()[0]}"
"""Made by setup.py."""


class CoreFinder:
    """Finds the modules of the core by their sources, and packages not at all: those are as everywhere."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        package, _, last = name.rpartition(".")
        if package.startswith(__name__) and path is not None and exists(f"{path[0]}/{last}.py"):
            spec = ModuleSpec(name, ExtensionFileLoader(name, LIBRARY), origin=LIBRARY)
            spec.has_location = True
            return spec
        return None


sys.meta_path.insert(0, CoreFinder)
