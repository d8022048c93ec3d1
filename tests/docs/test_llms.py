"""docs/llms.txt has the format that llmstxt.org specifies, and lists every page."""

import re

from tests.docs.pages import DOCS

TEXT = (DOCS / "llms.txt").read_text()
LINK = re.compile(r"^- \[(?P<title>[^\]]+)\]\((?P<to>[^)]+)\): .+$", re.MULTILINE)


def test_it_starts_with_a_title_and_a_summary() -> None:
    assert re.match(r"# Userkeep\n\n(> .+\n)+\n", TEXT)


def test_each_section_is_a_list_of_links_with_descriptions() -> None:
    for section in TEXT.split("\n## ")[1:]:
        lines = section.splitlines()[1:]
        assert all(LINK.fullmatch(line) for line in lines if line), section


def test_it_links_to_every_page_and_to_no_other() -> None:
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    named = [match["to"] for match in LINK.finditer(TEXT)]
    assert sorted(named) == sorted(page for page in pages if not page.startswith("_build"))
