"""The pages of the documentation, and the examples in them.

Every fenced block of a page is run, top to bottom, in a folder of the page's own. What else a page
has to say about that is in HTML comments, which readers do not see:

    <!-- page: with a server -->        a fresh `userkeep serve` runs while the page does
    <!-- page: with PostgreSQL -->      a fresh database is under the URL that the page names

and above a block:

    <!-- file: app.py -->               the block is a file of that name, and not run
    <!-- run: in the background -->     it goes on until the page ends; the next waits for its port
    <!-- run: with zep-python -->       Python code for the environment of the old client
    <!-- run: fails -->                 its exit code says that it was refused
    <!-- not run: why -->               it is skipped, for a reason

Python blocks share one interpreter. A `text` or `json` block is what the block before it prints;
`…` in it stands for anything, and uuids, times and the ports 8000 and 8001 may differ. After a line
with `curl`, a comment that begins with a number (`# 404`) is the status that it must get; else it
must get a success.
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
    """What a comment says: `kind` is before the colon."""

    kind: str
    text: str


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        line: where its code begins in the page, from 1.
        language: after the backticks.
        code: without the indentation of its fence.
        marks: of the comments above it.
    """

    page: Path
    line: int
    language: str
    code: str
    marks: tuple[Mark, ...]

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def marked(self, kind: str) -> str | None:
        """What a comment of this kind says; None without one."""
        return next((mark.text for mark in self.marks if mark.kind == kind), None)

    @property
    def is_run(self) -> bool:
        """Whether it is an example that runs."""
        is_apart = self.marked("not run") is not None or self.marked("file") is not None
        return self.language in RUN and not is_apart


def all_pages() -> list[Path]:
    """README.md and every page below docs/, but not what is built there."""
    pages = [path for path in DOCS.rglob("*.md") if "_build" not in path.parts]
    return [ROOT / "README.md", *sorted(pages)]


def page_marks(page: Path) -> list[str]:
    """What a page needs while it runs."""
    found = _COMMENT.finditer(page.read_text())
    return [match[2] for match in found if match[1] == "page"]


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page in their order; directives of the site's generator are none."""
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
    """The marks in force after a line: prose ends them, empty lines do not."""
    found = [Mark(*match.groups()) for match in _COMMENT.finditer(line)]
    if found:
        return marks + [mark for mark in found if mark.kind != "page"]
    return [] if line.strip() else marks
