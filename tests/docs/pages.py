"""The pages of the documentation, and the examples in them.

Every fenced block of a page is run, from top to bottom, in a folder of the page's own. HTML
comments, which readers do not see, say what a page or a block needs:

    <!-- page: with a server -->        `userkeep serve` runs in the page's folder
    <!-- page: with PostgreSQL -->      an empty database is at the URL that the page names
    <!-- page: with PostgreSQL of a role -->  the same, of a role that is not a superuser

and above a block:

    <!-- file: app.py -->               save the block as this file, do not run it
    <!-- run: in the background -->     start a server; the next block waits for its port
    <!-- run: with zep-python -->       run Python code in the environment of zep-python
    <!-- run: fails -->                 expect a nonzero exit code
    <!-- not run: why -->               skip the block, and why

Python blocks share one interpreter. A `text` or `json` block is what the block before it prints;
`…` in it stands for any text, and uuids, times and the ports 8000 and 8001 may differ. After a line
with `curl`, a comment that begins with a number (`# 404`) is the expected status; without one, any
2xx is expected.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
RUN = ("python", "sh", "console", "js")
SHOWN = ("text", "json")

_COMMENT = re.compile(r"<!--\s*(page|file|run|not run):\s*(.*?)\s*-->", re.DOTALL)
_FENCE = re.compile(r"(?P<indent> *)(?P<ticks>`{3,})(?P<language>[^`\n]*)")


class Mark(NamedTuple):
    """A comment: `kind` is before the colon, `text` after it."""

    kind: str
    text: str


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        line: the line of the page where the code begins, from 1.
        language: the word after the backticks.
        code: the text, without the indentation of its fence.
        marks: the comments above it.
    """

    page: Path
    line: int
    language: str
    code: str
    marks: tuple[Mark, ...]

    @property
    def place(self) -> str:
        """Return the page and the line, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def marked(self, kind: str) -> str | None:
        """Return the text of the comment of this kind, or None."""
        return next((mark.text for mark in self.marks if mark.kind == kind), None)

    @property
    def is_run(self) -> bool:
        """Return whether the block is run."""
        is_apart = self.marked("not run") is not None or self.marked("file") is not None
        return self.language in RUN and not is_apart


def all_pages() -> list[Path]:
    """Return README.md and every page of docs/, without the built site."""
    pages = [path for path in DOCS.rglob("*.md") if "_build" not in path.parts]
    return [ROOT / "README.md", *sorted(pages)]


def page_marks(page: Path) -> list[str]:
    """Return what a page needs while it runs."""
    found = _COMMENT.finditer(page.read_text())
    return [match[2] for match in found if match[1] == "page"]


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page in order, without Sphinx directives."""
    return [block for block in _fenced(page) if not block.language.startswith("{")]


def _fenced(page: Path) -> Iterator[Block]:
    lines = page.read_text().splitlines()
    marks: list[Mark] = []
    number = 0
    while number < len(lines):
        fence = _FENCE.fullmatch(lines[number])
        if fence is None:
            marks = _marks_after(lines[number], marks)
            number += 1
            continue
        end = lines.index(fence["indent"] + fence["ticks"], number + 1)
        code = [line.removeprefix(fence["indent"]) for line in lines[number + 1 : end]]
        text = "\n".join(code) + "\n"
        yield Block(page, number + 2, fence["language"].strip(), text, tuple(marks))
        marks = []
        number = end + 1


def _marks_after(line: str, marks: list[Mark]) -> list[Mark]:
    """Return the marks that apply after a line: prose ends them, empty lines do not."""
    found = [Mark(*match.groups()) for match in _COMMENT.finditer(line)]
    if found:
        return marks + [mark for mark in found if mark.kind != "page"]
    return [] if line.strip() else marks
