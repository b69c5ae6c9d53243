"""Docstrings as the API reference shows them: lines of the form `name: what it is` become a list of definitions.

    limit: at most so many bytes of frames may be in use; past it
        `alloc` raises.

A continuation is indented. A docstring is text to be read in an editor first; this makes reStructuredText of it.
"""

from __future__ import annotations

import re

from sphinx.application import Sphinx

FIELD = re.compile(r"(\*{0,2}[a-z_]\w*(?:, \*{0,2}[a-z_]\w*)*): (?=\S)")


def setup(app: Sphinx) -> dict[str, bool]:
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", _process)
    return {"parallel_read_safe": True}


def _process(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    lines[:] = as_definitions(lines)


def as_definitions(lines: list[str]) -> list[str]:
    shown: list[str] = []
    within = False  # a field
    for line in lines:
        found = FIELD.match(line)
        if found and (within or not shown or not shown[-1].strip()):
            terms = ", ".join(f"``{term}``" for term in found[1].split(", "))
            shown += ["", terms, "   " + line[found.end() :]]
            within = True
        elif within and line.startswith(" "):
            shown.append("   " + line.strip())
        else:
            if within and line.strip():
                shown.append("")
            within = False
            shown.append(line)
    return shown
