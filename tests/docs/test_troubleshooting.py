"""The troubleshooting page has every error, and how each failure was tried."""

import re

import pytest

from tests.docs.pages import DOCS, ROOT
from userkeep.domain.errors import UserkeepError
from userkeep.http.errors import STATUS_OF_CODE
from userkeep.sdk.errors import ConnectionFailed, TimedOut, UnexpectedAnswer

PAGE = (DOCS / "operations" / "troubleshoot.md").read_text()
OF_SDK = (UserkeepError, ConnectionFailed, TimedOut, UnexpectedAnswer)
"""Errors without a status of their own in the table of the server."""


def part(title: str) -> str:
    """Return the text below a heading of the second level."""
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def sections(title: str) -> dict[str, str]:
    """Return the sections of a part by their headings."""
    parts = part(title).split("\n### ")[1:]
    return {heading: text for heading, _, text in (each.partition("\n") for each in parts)}


ALERTS, FAILURES = sections("Alerts"), sections("Failures")


def test_it_has_every_error_with_its_status() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| .+ \| .+ \|$", part("Errors"), re.MULTILINE)
    documented = dict(rows)
    assert len(documented) == len(rows)
    assert documented.keys() == {*STATUS_OF_CODE, *(each.code for each in OF_SDK)}
    for code, status in STATUS_OF_CODE.items():
        assert documented[code].startswith(str(status)), code


@pytest.mark.parametrize("title", ALERTS)
def test_an_alert_says_first_what_to_do_then_what_it_means_and_whether_data_is_safe(
    title: str,
) -> None:
    places = [ALERTS[title].index(each) for each in ("**Do**: ", "**Means**: ", "**Data**: ")]
    assert places == sorted(places)


@pytest.mark.parametrize("title", FAILURES)
def test_a_failure_says_what_to_do_what_is_safe_and_how_it_was_tried(title: str) -> None:
    text = FAILURES[title]
    assert "**Do**" in text or "| do |" in text
    assert "**Safe**" in text or "**Answer to the user**" in text
    tried = text.split("\n**Tried**: ")[1]
    tests = re.findall(r"`(tests/[\w/]+\.py)`", tried)
    assert tests
    assert all((ROOT / each).is_file() for each in tests)
