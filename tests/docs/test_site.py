"""The built site: no warning, nothing from elsewhere, each page's Markdown beside it."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT

# What makes a browser fetch something when it opens a page; a link that one may follow does not.
FETCHING = {"src", "srcset", "poster", "data"}


class Fetched(HTMLParser):
    """What a browser that opens a page asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        names = FETCHING | ({"href"} if tag == "link" else set())
        self.addresses += [value for name, value in attributes if name in names and value]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going"]
    # Nobody is to be reached: a proxy that refuses everything stands before the rest of the world.
    elsewhere = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        [*command, "-d", str(folder / "doctrees"), str(DOCS), str(folder / "html")],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), **elsewhere},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "html"


def test_every_page_is_built_and_has_its_markdown_beside_it(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        if "_build" in page.parts:
            continue
        name = page.relative_to(DOCS)
        assert (site / name.with_suffix(".html")).is_file()
        assert (site / name).read_bytes() == page.read_bytes()


def test_a_page_asks_nobody_else_for_anything(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 10
    for page in pages:
        fetched = Fetched()
        fetched.feed(page.read_text())
        foreign = [each for each in fetched.addresses if re.match(r"(https?:)?//", each)]
        assert foreign == [], page.name


def test_nor_do_its_styles_and_scripts(site: Path) -> None:
    for path in (*site.rglob("*.css"), *site.rglob("*.js")):
        text = path.read_text()
        assert not re.search(r"@import|url\(\s*['\"]?(https?:)?//", text), path.name
        assert not re.search(r"(fetch|importScripts|\.open)\(\s*['\"`]", text), path.name


def test_llms_txt_is_served(site: Path) -> None:
    assert (site / "llms.txt").read_bytes() == (DOCS / "llms.txt").read_bytes()
