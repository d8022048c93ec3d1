"""The built site has no warnings, needs no other server, and includes each page as Markdown."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.browser.conftest import launched
from tests.docs.pages import DOCS, ROOT

# Attributes that make a browser fetch something when it opens a page; links do not.
FETCHING = {"src", "srcset", "poster", "data"}


class Fetched(HTMLParser):
    """The addresses that a browser fetches when it opens a page."""

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
    # The build must not use the network: this proxy does not exist.
    offline = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        [*command, "-d", str(folder / "doctrees"), str(DOCS), str(folder / "html")],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), **offline},
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


def test_a_page_fetches_nothing_from_other_servers(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 10
    for page in pages:
        fetched = Fetched()
        fetched.feed(page.read_text())
        foreign = [each for each in fetched.addresses if re.match(r"(https?:)?//", each)]
        assert foreign == [], page.name


def test_styles_and_scripts_fetch_nothing_from_other_servers(site: Path) -> None:
    for path in (*site.rglob("*.css"), *site.rglob("*.js")):
        text = path.read_text()
        assert not re.search(r"@import|url\(\s*['\"]?(https?:)?//", text), path.name
        assert not re.search(r"(fetch|importScripts|\.open)\(\s*['\"`]", text), path.name


def test_a_picture_is_beside_the_markdown_that_shows_it(site: Path) -> None:
    picture = Path("concepts", "architecture.svg")
    assert (site / picture).read_bytes() == (DOCS / picture).read_bytes()


def test_llms_txt_is_served(site: Path) -> None:
    assert (site / "llms.txt").read_bytes() == (DOCS / "llms.txt").read_bytes()


def test_no_table_is_cut_off(site: Path) -> None:
    tables = "[...document.querySelectorAll('.table-wrapper')]"
    are_cut = f"{tables}.filter(table => table.scrollWidth > table.clientWidth)"
    with launched() as browser:
        for width in (390, 1600):
            page = browser.new_page(viewport={"width": width, "height": 900})
            for name in ("settings", "commands", "http", "errors"):
                page.goto((site / "reference" / f"{name}.html").as_uri())
                assert page.evaluate(f"{tables}.length") > 0
                assert page.evaluate(f"{are_cut}.length") == 0, (name, width)
