"""Canaries: texts of somebody who was deleted, by which one looks whether they are still there.

A canary is never stored and never logged: whoever speaks of one says its place in the list.
"""

from collections.abc import Sequence

from userkeep.domain.errors import InvalidField
from userkeep.domain.values.text import check_characters

MAX_CANARIES = 100
MAX_CANARY_LENGTH = 1024

MIN_CANARY_BYTES = 6
"""In UTF-8: six letters of English, two of Chinese.

What is shorter is found by chance. In a gigabyte of letters at random, five of them stand somewhere
in a given order ninety times, six three or four times, seven hardly ever. What people have that is
their own (an address, the number of a telephone or of an account, a name in full) is longer.
"""

MIN_DIFFERENT_BYTES = 3
"""So that spaces, a ruler of hyphens or a run of zeros, which every file has, are no canary."""


def check_canaries(canaries: Sequence[str], field: str) -> tuple[str, ...]:
    """The canaries, if each of them can be looked for.

    Raises:
        InvalidField: there are too many, or one is too long, or too short to be told from chance;
            it names the place, as `canaries[3]`, and says nothing of the text.
    """
    if len(canaries) > MAX_CANARIES:
        raise InvalidField(f"{field} has more than {MAX_CANARIES} texts.", field)
    for place, canary in enumerate(canaries):
        _check(canary, f"{field}[{place}]")
    return tuple(canaries)


def is_telling(text: str) -> bool:
    """Whether a text is long enough, and varied enough, not to be found by chance."""
    encoded = text.encode()
    return len(encoded) >= MIN_CANARY_BYTES and len(set(encoded)) >= MIN_DIFFERENT_BYTES


def _check(canary: str, field: str) -> None:
    check_characters(canary, field)
    if len(canary) > MAX_CANARY_LENGTH:
        raise InvalidField(f"{field} is longer than {MAX_CANARY_LENGTH:,} characters.", field)
    if not is_telling(canary):
        raise InvalidField(
            f"{field} would be found by chance: it needs {MIN_CANARY_BYTES} bytes in UTF-8, and "
            f"{MIN_DIFFERENT_BYTES} different ones among them.",
            field,
        )
