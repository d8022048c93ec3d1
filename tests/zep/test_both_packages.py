"""The same program with zep-python 1.5.0 and with `userkeep.zep` prints the same."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import serving

PROGRAM = Path(__file__).with_name("program.py")

DIFFERENCES = {
    "an empty message": "a role and content that were not given are empty; zep-python stores "
    "a sentence that they are required, as if it were the content",
    "an empty summary": "the same",
    "named by uuid": "zep-python cannot send the uuid that its own request has",
    "a blank id added": "blank ids are rejected before anything is sent, as in all methods",
    "not a number in metadata": "values that are not JSON are rejected before anything is sent",
    "annotated bare": "zep-python sends the metadata in a field that the server ignores",
    "a slash": "ids are percent-encoded with their slashes, so that any id works",
    "a slash that the program has encoded": "the same: an id is never decoded",
    "None for an id": "zep-python requests the user with the id `None`",
    "the sentence of NotFoundError": "our message names what does not exist",
    "the sentence of ValueError": "our messages are different",
}
"""Where the output differs, and why."""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory, old_python):
    """The output of the program with each package, by line: (old, new)."""
    ours = PROGRAM.read_text()
    theirs = ours.replace("userkeep.zep", "zep_python")
    return (
        run(old_python, theirs, tmp_path_factory.mktemp("old")),
        run(sys.executable, ours, tmp_path_factory.mktemp("new")),
    )


def run(python, text, folder):
    program = folder / "program.py"
    program.write_text(text)
    with serving(folder) as server:
        ran = subprocess.run(
            [python, program, server.url], capture_output=True, text=True, timeout=60, check=False
        )
    assert ran.returncode == 0, ran.stderr
    pairs = [line.split(": ", 1) for line in normalized(ran.stdout, server.url).splitlines()]
    lines = dict(pairs)
    assert len(lines) == len(pairs), "a name is used twice"
    return lines


def normalized(text, url):
    """Replace what differs between two runs: uuids, by order; ids of requests; times; the URL."""
    uuids: dict[str, str] = {}

    def numbered(match):
        return uuids.setdefault(match[0], f"<uuid {len(uuids) + 1}>")

    text = re.sub(r'"request_id":"[0-9a-f]{16}"', '"request_id":"<id>"', text)
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", numbered, text)
    text = re.sub(
        r"datetime\.datetime\(2\d{3}(, \d+){4,6}, tz", "datetime.datetime(<time>, tz", text
    )
    return re.sub(r"2\d{3}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", "<time>", text).replace(url, "<url>")


def test_both_packages_take_the_same_steps(outputs):
    old, new = outputs
    assert list(old) == list(new)


def test_both_packages_print_the_same_except_listed_differences(outputs):
    old, new = outputs
    differing = {what for what in old if old[what] != new[what]}
    details = "\n".join(
        f"{what}\n  {old[what]}\n  {new[what]}" for what in differing - set(DIFFERENCES)
    )
    assert differing == set(DIFFERENCES), details
