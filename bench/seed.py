"""What a database to measure on holds. How it is made is in `engines`, once for each.

Rows are made inside the database from a counter, in one statement a table, by the product's own
migrations: a million users take seconds. Ids, texts and times are the same on every engine. So is
the index: it is made with the rows, or whoever opened the database first would have to make it.
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.words import indexed

FOLDER = Path(tempfile.gettempdir()) / "userkeep-bench"
MESSAGES_OF_SESSION = 50

BEGAN_AT = 1_735_689_600_000_000
"""When the first row was made, in microseconds since 1970; then one each millisecond."""

WORDS = (
    "She said that the blue running shoes from last spring were the best she ever had, and asked "
    "whether they still come in size nine, or whether there is something like them for longer "
    "distances on wet ground. He answered that he would look, and that she might like the new ones "
    "with the wider sole, which many people buy who run in the woods when it has rained. "
)

_LETTERS = 300
_BYTES_OF_USER = 500
_BYTES_OF_MESSAGE = 1_200
_SPARE_BYTES = 2 << 30


@dataclass(frozen=True)
class Seeded:
    """How much a database holds: users, and sessions of 50 messages of 300 characters."""

    users: int
    sessions: int

    @property
    def messages(self) -> int:
        """All messages."""
        return self.sessions * MESSAGES_OF_SESSION

    @property
    def bytes(self) -> int:
        """About how large the database is."""
        return self.users * _BYTES_OF_USER + self.messages * _BYTES_OF_MESSAGE

    def __str__(self) -> str:
        return f"{self.users:,} users and {self.messages:,} messages"


class Text(NamedTuple):
    """What one message of every session says: that with this `seq`."""

    seq: int
    role: str
    content: str
    words: str
    word_count: int
    length: int


def texts() -> list[Text]:
    """What is said in a session: the same in each of them."""
    return [_text(place) for place in range(MESSAGES_OF_SESSION)]


def _text(place: int) -> Text:
    role = "assistant" if place % 2 else "user"
    content = WORDS[place : place + _LETTERS]
    known = indexed(role, role, content)
    return Text(place + 1, role, content, known.terms, known.word_count, known.length)


def check_space(needed: int) -> None:
    """See that the disk has room.

    Raises:
        SystemExit: it has not.
    """
    free = shutil.disk_usage(FOLDER).free
    if free < needed + _SPARE_BYTES:
        raise SystemExit(
            f"{FOLDER} has {free >> 20:,} MiB free, and {(needed + _SPARE_BYTES) >> 20:,} are "
            "needed. Name another folder in TMPDIR, or fewer --users."
        )
