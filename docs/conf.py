"""Sphinx configuration for `make docs`. Neither the build nor the built pages use the network."""

import shutil
from pathlib import Path

from sphinx.application import Sphinx

from userkeep.version import __version__

project = "Userkeep"
author = "The Userkeep authors"
version = release = __version__

extensions = ["myst_parser"]
myst_heading_anchors = 4
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"Userkeep {release}"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_extra_path = ["llms.txt"]
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_permalinks_icon = "#"
# No font settings: the system's fonts need no download.
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#1c5f55",
        "color-brand-content": "#1c5f55",
    },
    "dark_css_variables": {
        "color-brand-primary": "#86c9bb",
        "color-brand-content": "#86c9bb",
    },
}


def copy_markdown(app: Sphinx, failure: Exception | None) -> None:
    """Copy the Markdown of each page, with its pictures, to the address that llms.txt names."""
    if failure is not None or app.builder.name != "html":
        return
    pages = [Path(app.env.doc2path(name)) for name in app.env.found_docs]
    pictures = [Path(app.srcdir, name) for name in app.env.images]
    for source in (*pages, *pictures):
        shutil.copyfile(source, Path(app.outdir, source.relative_to(app.srcdir)))


def setup(app: Sphinx) -> None:
    """Register the hooks."""
    app.connect("build-finished", copy_markdown)
