"""Every example in README.md and docs/ runs and prints what the page shows; see pages.py."""

from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, RUN, SHOWN, Block, all_pages, blocks_of, page_marks
from tests.docs.stage import Stage, default_server, differences, free_ports, staged

COLUMN = 90

# What a newcomer reads first, one after the other, with one server running.
FIRST_PAGES = [
    ROOT / "README.md",
    DOCS / "index.md",
    DOCS / "quickstart.md",
    DOCS / "guides" / "migrating-from-zep.md",
]

# The other pages run alone, and the quickstart, which then starts the server itself.
PAGES_ALONE = [page for page in all_pages() if page not in FIRST_PAGES]
PAGES_ALONE.append(DOCS / "quickstart.md")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES_ALONE, ids=name_of)
def test_the_examples_of_a_page_run_as_documented(page: Path, tmp_path: Path) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    with staged(folder, page_marks(page)) as stage:
        run_all(blocks_of(page), stage)


def test_the_first_pages_run_twice_in_one_folder_against_one_server(tmp_path: Path) -> None:
    ports = free_ports()
    with default_server(tmp_path, ports):
        for page in FIRST_PAGES * 2:
            with Stage(tmp_path, ports, reuses_servers=True) as stage:
                run_all(blocks_of(page), stage)


def run_all(blocks: list[Block], stage: Stage) -> None:
    printed: tuple[Block, str] | None = None
    for block in blocks:
        if block.marked("not run") is not None:
            continue
        if block.marked("file") is not None:
            stage.save(block)
        elif block.language in RUN:
            printed = (block, stage.run(block))
            if block.language == "console":
                check(block, output_in(block.code), printed[1], "text")
        else:
            assert block.language in SHOWN, f"{block.place}: {block.language} cannot be run"
            assert printed is not None, f"{block.place}: no block before it prints this"
            check(block, block.code, printed[1], block.language)
            printed = None


def output_in(console: str) -> str:
    return "\n".join(line for line in console.splitlines() if not line.startswith("$ "))


def check(block: Block, shown: str, printed: str, language: str) -> None:
    difference = differences(shown, printed, language)
    assert difference is None, f"{block.place}: {difference}"


@pytest.mark.parametrize("page", all_pages(), ids=name_of)
def test_each_page_has_examples_that_run(page: Path) -> None:
    assert any(block.is_run for block in blocks_of(page))


@pytest.mark.parametrize("page", all_pages(), ids=name_of)
def test_a_block_that_is_not_run_has_a_reason(page: Path) -> None:
    for block in blocks_of(page):
        reason = block.marked("not run")
        assert reason is None or len(reason.split()) >= 4, f"{block.place}: why is it not run?"


@pytest.mark.parametrize("page", all_pages()[1:], ids=name_of)
def test_an_example_fits_the_column_of_a_page(page: Path) -> None:
    for block in blocks_of(page):
        if block.language in RUN and block.marked("not run") is None:
            wide = [line for line in block.code.splitlines() if len(line) > COLUMN]
            assert wide == [], block.place


def test_a_different_output_is_detected() -> None:
    assert differences("size 9\n", "size 9\n", "text") is None
    assert differences("size 9\n", "size 8\n", "text") is not None
    assert differences("a … c\n", "a b c\n", "text") is None
    assert differences('{"a": 1, "b": [2]}', '{"b":[2],"a":1}', "json") is None
    assert differences('{"a": 1}', '{"a": 1, "b": 2}', "json") is not None
    one, other = "019ab2c4-7a6e-7f3e-8a55-0f7a5a1f3c11", "019ab2c4-7a6e-7f3e-8a55-0f7a5a1f3c12"
    assert differences(f'{{"uuid": "{one}"}}', f'{{"uuid": "{other}"}}', "json") is None
