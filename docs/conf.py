"""Sphinx's settings: the pages of this directory and the docstrings of the public names, as a site.

sphinx-build -W -b html docs build/site
"""

import re
import sys
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(Path(__file__).parent / "ext"))
_project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

project = "axptr"
author = "the axptr authors"
release = version = _project["version"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "fields", "stubs", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown"}
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
suppress_warnings = ["ref.python"]  # two rooms have a class of one name: a link may lead to either

html_theme = "furo"
html_title = f"axptr {release}"
html_theme_options = {
    "source_repository": _project["urls"]["Source"],
    "source_branch": "main",
    "source_directory": "docs/",
}

autodoc_default_options = {"members": True, "member-order": "bysource", "show-inheritance": True}
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
default_role = "code"


def setup(app: Sphinx) -> None:
    app.connect("source-read", _links_within_the_site)


def _links_within_the_site(app: Sphinx, page: str, source: list[str]) -> None:
    """What lies outside of `docs` is linked as the repository has it: here it is a page, or stands at its home."""
    text = source[0].replace("](../CONTRIBUTING.md)", "](contributing.md)")
    source[0] = re.sub(r"\]\((?:\.\./)+(examples/[^)]*)\)", rf"]({_project['urls']['Source']}/blob/main/\1)", text)
