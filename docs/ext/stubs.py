"""Signatures of compiled functions and classes for the API reference: from the stub beside each compiled module.

A compiled function knows its arguments' names and not their types; the stub, which type checkers read, knows both. Of
overloads the last is shown, which is the widest.
"""

from __future__ import annotations

import ast
import functools
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

Signature = tuple[str, str | None]


def setup(app: Sphinx) -> dict[str, bool]:
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-signature", _from_stub)
    return {"parallel_read_safe": True}


def _from_stub(
    app: Sphinx, what: str, name: str, obj: Any, options: object, signature: str | None, returns: str | None
) -> Signature | None:
    owner = getattr(obj, "__objclass__", None)
    if what == "class":
        module, path = obj.__module__, f"{obj.__qualname__}.__init__"
    elif owner is not None:
        module, path = owner.__module__, f"{owner.__qualname__}.{obj.__name__}"
    else:  # a static or class method, or a function: its qualified name is the path
        home = getattr(obj, "__self__", None)
        module = getattr(obj, "__module__", None) or getattr(home, "__module__", "")
        path = getattr(obj, "__qualname__", "")
    return _signatures(module).get(path) if module else None


@functools.cache
def _signatures(module: str) -> dict[str, Signature]:
    """What the stub of a module says, by qualified name; nothing where there is no stub."""
    spec = find_spec(module.rpartition(".")[0]) if module.startswith("axptr._core.") else None
    if spec is None or not spec.submodule_search_locations:
        return {}
    stub = Path(spec.submodule_search_locations[0], module.rpartition(".")[2] + ".pyi")
    if not stub.exists():
        return {}
    found: dict[str, Signature] = {}
    _collect(ast.parse(stub.read_text()).body, "", found)
    return found


def _collect(body: list[ast.stmt], prefix: str, found: dict[str, Signature]) -> None:
    for node in body:
        if isinstance(node, ast.ClassDef):
            _collect(node.body, f"{prefix}{node.name}.", found)
        elif isinstance(node, ast.FunctionDef):
            static = any(isinstance(mark, ast.Name) and mark.id == "staticmethod" for mark in node.decorator_list)
            if prefix and not static:
                _drop_first(node.args)
            returns = None if node.name == "__init__" or node.returns is None else ast.unparse(node.returns)
            found[prefix + node.name] = f"({ast.unparse(node.args)})", returns


def _drop_first(arguments: ast.arguments) -> None:
    """Without `self`, which the caller does not write."""
    del (arguments.posonlyargs or arguments.args)[0]
