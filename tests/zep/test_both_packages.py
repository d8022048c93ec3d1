"""The same program with zep-python 1.5.0 and with `userkeep.zep`, and what they print."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import serving

SCRIPT = Path(__file__).with_name("script.py")

DIFFERENCES = {
    "a message of nothing": "a role and content that were not given are empty; zep-python stores "
    "a sentence that says they are required, as if somebody had said it",
    "a summary of nothing": "the same",
    "named by uuid": "zep-python cannot send the uuid that its own request has",
    "a blank id added": "blank ids are refused before anything is sent, here as everywhere",
    "not a number in metadata": "what is no JSON is refused before it is sent",
    "collections": "said without asking the server, which would answer 501",
    "annotated bare": "zep-python sends the metadata where the server does not look for it",
    "a slash": "ids are encoded whole, so that any can be reached",
    "a slash that the program has encoded": "the same: an id is taken as it is",
    "None for an id": "zep-python asks for the user of the name `None`",
    "the sentence of NotFoundError": "ours says what there is none of",
    "the sentence of ValueError": "ours are our own",
}
"""What the two print otherwise, and why."""


@pytest.fixture(scope="module")
def printed(tmp_path_factory, old_python):
    """What each package makes the program print, by line: (old, new)."""
    ours = SCRIPT.read_text()
    theirs = ours.replace("userkeep.zep", "zep_python")
    return (
        run(old_python, theirs, tmp_path_factory.mktemp("old")),
        run(sys.executable, ours, tmp_path_factory.mktemp("new")),
    )


def run(python, text, folder):
    script = folder / "script.py"
    script.write_text(text)
    with serving(folder) as server:
        ran = subprocess.run(
            [python, script, server.url], capture_output=True, text=True, timeout=60, check=False
        )
    assert ran.returncode == 0, ran.stderr
    pairs = [line.split(": ", 1) for line in compared(ran.stdout, server.url).splitlines()]
    lines = dict(pairs)
    assert len(lines) == len(pairs), "a name is used twice"
    return lines


def compared(text, url):
    """A text without what differs between any two runs: uuids, by order; times; the address."""
    uuids: dict[str, str] = {}

    def numbered(match):
        return uuids.setdefault(match[0], f"<uuid {len(uuids) + 1}>")

    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", numbered, text)
    text = re.sub(
        r"datetime\.datetime\(2\d{3}(, \d+){4,6}, tz", "datetime.datetime(<time>, tz", text
    )
    return re.sub(r"2\d{3}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", "<time>", text).replace(url, "<url>")


def test_both_do_the_same_things(printed):
    old, new = printed
    assert list(old) == list(new)


def test_both_print_the_same_but_for_what_is_listed_here(printed):
    old, new = printed
    differing = {what for what in old if old[what] != new[what]}
    told = "\n".join(
        f"{what}\n  {old[what]}\n  {new[what]}" for what in differing - set(DIFFERENCES)
    )
    assert differing == set(DIFFERENCES), told
