"""How Sphinx builds the pages: `make docs`. It needs no network, and the pages ask for none."""

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
html_permalinks_icon = "#"
# The reader's own fonts: nothing is fetched from elsewhere.
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
    """Put each page's Markdown beside it, where llms.txt says that it is."""
    if failure is not None or app.builder.name != "html":
        return
    for name in app.env.found_docs:
        source, target = Path(app.env.doc2path(name)), Path(app.outdir, f"{name}.md")
        shutil.copyfile(source, target)


def setup(app: Sphinx) -> None:
    """What Sphinx calls."""
    app.connect("build-finished", copy_markdown)
