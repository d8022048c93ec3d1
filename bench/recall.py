"""How much of what a question is about a search finds: `make recall DATA=locomo10.json`.

The data is LoCoMo (Maharana et al. 2024): ten long conversations between two people, and questions
with the messages that answer them. It is for non-commercial use (CC BY-NC 4.0) and not in this
repository: the reader brings a copy, and nothing of it is kept here but figures. Two shapes are
read: the one file `locomo10.json`, and a folder with a file for each conversation.

A conversation is a user, and its sessions are sessions; the texts alone are told (`--captions` adds
those of pictures), with the date and the time of their session. Each question is a search within
that user. Evidence that names no message is left out, and so is a question without any other.
"""

import argparse
import hashlib
import json
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from bench import seed
from bench.engines import Engine
from bench.engines.postgres import PostgresBench
from bench.engines.sqlite import SqliteBench
from bench.report import Cells, Table, goal
from bench.servers import Ground
from tests.recall.judging import (
    FIGURES,
    Answered,
    Conversation,
    Question,
    Session,
    Turn,
    ask,
    figures,
    tell,
)
from tests.ways import HttpWay

RESULTS = Path(__file__).with_name("RECALL.md")
WHERE = "https://github.com/snap-research/LoCoMo"

CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}

_NO_DATA = f"""\
make recall needs your own copy of LoCoMo, which is not in this repository (CC BY-NC 4.0).
It is in data/ of {WHERE}:

    make recall DATA=locomo10.json

DATA is that file, or the folder with a file for each conversation that is in its place in some
versions, unpacked.
"""
_ABOUT = (
    "In percent, SQLite / PostgreSQL. A figure is the mean over questions, of which each counts as "
    "much as any other: recall@k is the share of a question's evidence (the messages that answer "
    "it) among the first k messages found, hit@10 whether any is among the first ten, nDCG@10 how "
    "far up it stands there."
)
_GOALS = {"recall@10": 72.0, "nDCG@10": 57.0}
_APART = 1.0

_SESSION = re.compile(r"session_(\d+)")
_EVIDENCE = re.compile(r"\bD(\d+):(\d+)\b")
_ADVERSARIAL = CATEGORIES[5]
_ANSWER_S = 60.0


class Measured(NamedTuple):
    """What came of one engine: its versions, and the answers to all questions."""

    facts: Mapping[str, str]
    answers: Sequence[Answered]


def conversations_of(data: Path, *, captions: bool) -> list[Conversation]:
    """The conversations of a copy of LoCoMo.

    Raises:
        SystemExit: this is none.
    """
    entries = [entry for file in _files(data) for entry in _entries(file)]
    try:
        return [
            _conversation(f"conversation-{number}", entry, captions=captions)
            for number, entry in enumerate(entries, 1)
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SystemExit(f"{data} is not LoCoMo as we know it ({error!r}).\n\n{_NO_DATA}") from None


def _files(data: Path) -> list[Path]:
    files = sorted(data.glob("*.json")) if data.is_dir() else [data]
    if not all(file.is_file() for file in files) or not files:
        raise SystemExit(f"There is no such file, and no folder with any: {data}.\n\n{_NO_DATA}")
    return files


def _entries(file: Path) -> list[Any]:
    try:
        value = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise SystemExit(f"{file} is no JSON: {error}") from None
    return value if isinstance(value, list) else [value]


def _conversation(name: str, entry: Any, *, captions: bool) -> Conversation:
    # The one file has the sessions under `conversation`; in a folder, they are beside `qa`.
    talk = entry.get("conversation", entry)
    numbers = sorted(
        int(match[1])
        for key, value in talk.items()
        if (match := _SESSION.fullmatch(key)) and isinstance(value, list) and value
    )
    sessions = [
        Session(
            _moment(talk[f"session_{number}_date_time"]),
            [_turn(turn, captions=captions) for turn in talk[f"session_{number}"]],
        )
        for number in numbers
    ]
    known = {turn.key for session in sessions for turn in session.turns}
    questions = [question for qa in entry["qa"] if (question := _question(qa, known)).evidence]
    return Conversation(name, sessions, questions)


def _turn(turn: Any, *, captions: bool) -> Turn:
    text = turn["text"]
    if captions and turn.get("blip_caption"):
        text = f"{text} {turn['blip_caption']}"
    return Turn(_keys(turn["dia_id"])[0], turn["speaker"], "norole", text)


def _question(qa: Any, known: set[str]) -> Question:
    # A string may name several; some lead nowhere, or have a nought too much, as D30:05.
    evidence = {key for text in qa.get("evidence", ()) for key in _keys(text)}
    return Question(qa["question"], CATEGORIES[qa["category"]], frozenset(evidence & known))


def _keys(text: str) -> list[str]:
    return [f"D{int(session)}:{int(turn)}" for session, turn in _EVIDENCE.findall(text)]


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)


def measure(
    name: str, engine: Engine, ground: Ground, conversations: Sequence[Conversation]
) -> Measured:
    """Tell a server on an engine all conversations, and ask it all questions."""
    answers: list[Answered] = []
    with (
        ground.product(engine.empty("recall")) as server,
        httpx2.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=_ANSWER_S) as client,
    ):
        way = HttpWay(name, client.request)
        places = []
        for number, each in enumerate(conversations, 1):
            places.append(tell(way, each, each.name))
            print(f"{name}: told {number} of {len(conversations)}: {each.messages} messages")
        for number, (each, known) in enumerate(zip(conversations, places, strict=True), 1):
            answers += ask(way, each.questions, each.name, known)
            print(
                f"{name}: asked {number} of {len(conversations)}: {len(each.questions)} questions, "
                f"recall@10 so far {figures(answers)['recall@10']:.1f}",
                flush=True,
            )
    return Measured(engine.facts(), answers)


def table(title: str, of: Mapping[str, Sequence[Answered]]) -> Table:
    """Each category and all of them; the engines beside each other in a cell."""
    columns = ("", "questions", *FIGURES)
    return Table(title, _ABOUT, columns, [_row(name, sides) for name, sides in _groups(of)])


def _groups(
    of: Mapping[str, Sequence[Answered]],
) -> Iterator[tuple[str, list[list[Answered]]]]:
    groups = {category: {category} for category in CATEGORIES.values()}
    groups[f"all but {_ADVERSARIAL}"] = set(CATEGORIES.values()) - {_ADVERSARIAL}
    groups["**all**"] = set(CATEGORIES.values())
    for name, kinds in groups.items():
        sides = [[each for each in side if each.question.kind in kinds] for side in of.values()]
        if all(sides):
            yield name, sides


def _row(name: str, sides: Sequence[Sequence[Answered]]) -> Cells:
    of_sides = [figures(side) for side in sides]
    cells = (" / ".join(f"{side[figure]:.1f}" for side in of_sides) for figure in FIGURES)
    return (name, f"{len(sides[0]):,}", *cells)


def goals(of: Mapping[str, Sequence[Answered]]) -> list[str]:
    """What was to be reached, and whether it was."""
    measured = {name: figures(answers) for name, answers in of.items()}
    lines = [
        f"{figure} of all on {name}: {of_engine[figure]:.1f}, "
        + goal(f"≥ {least:.0f}", is_met=of_engine[figure] >= least)
        for figure, least in _GOALS.items()
        for name, of_engine in measured.items()
    ]
    for figure in _GOALS:
        values = [of_engine[figure] for of_engine in measured.values()]
        apart = max(values) - min(values)
        met = goal(f"≤ {_APART:.0f}", is_met=apart <= _APART)
        lines.append(f"{figure} of the two engines apart: {apart:.2f}, {met}")
    one, other = of.values()
    alike = sum(a.ranked[:10] == b.ranked[:10] for a, b in zip(one, other, strict=True))
    lines.append(f"the first ten are the same on both for {alike:,} of {len(one):,} questions")
    return lines


def text_of(
    given: argparse.Namespace,
    conversations: Sequence[Conversation],
    measured: Mapping[str, Measured],
) -> str:
    """All of it as Markdown."""
    of = {name: each.answers for name, each in measured.items()}
    questions = sum(len(each.questions) for each in conversations)
    facts = {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "command": f"`make recall DATA={given.data.name}`"
        + (", with the captions of pictures" if given.captions else ""),
        "data": f"LoCoMo, {len(conversations)} conversations, "
        f"{sum(each.messages for each in conversations):,} messages, {questions:,} questions with "
        f"evidence; SHA-256 {_fingerprint(given.data)}. CC BY-NC 4.0: not in this repository; "
        f"get it at {WHERE}",
        "told": "the texts of messages"
        + (" and the captions of their pictures" if given.captions else " alone")
        + ", one user for each conversation; asked: each question in its own words, within its "
        "user, no model",
        "Userkeep": version("userkeep"),
        "Python": platform.python_version(),
        **{fact: each.facts[fact] for each in measured.values() for fact in _versions(each.facts)},
    }
    parts = [
        "# How much a search finds",
        "Made by `make recall`; see `bench/recall.py`. The constants of the ranking are round on "
        "purpose and not to be tuned on this set.",
        "\n".join(f"- {name}: {value}" for name, value in facts.items()),
        str(table("Evidence among what was found", of)),
        "## Goals",
        "\n".join(f"- {line}" for line in goals(of)),
    ]
    return "\n\n".join(parts) + "\n"


def _versions(facts: Mapping[str, str]) -> list[str]:
    return [fact for fact in facts if fact in {"SQLite", "PostgreSQL"}]


def _fingerprint(data: Path) -> str:
    digest = hashlib.sha256()
    for file in _files(data):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def main() -> None:
    """Read, tell, ask, print, and keep the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.recall", description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", help="locomo10.json, or a folder of files")
    parser.add_argument(
        "--captions", action="store_true", help="also tell captions of pictures; keep nothing"
    )
    parser.add_argument(
        "--results", type=Path, help="where to keep the figures (default: bench/RECALL.md)"
    )
    given = parser.parse_args()
    if given.data is None:
        sys.exit(_NO_DATA)
    given.data = given.data.expanduser()
    conversations = conversations_of(given.data, captions=given.captions)
    seed.FOLDER.mkdir(exist_ok=True)
    measured: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory(dir=seed.FOLDER, prefix="run-") as folder:
        # Opened one after the other: PostgreSQL's server runs from when it is made.
        engines: dict[str, Callable[[], AbstractContextManager[Engine]]] = {
            "SQLite": lambda: nullcontext(SqliteBench(Path(folder))),
            "PostgreSQL": PostgresBench,
        }
        for name, opened in engines.items():
            with opened() as engine, Ground(Path(folder), is_pinned=False) as ground:
                measured[name] = measure(name, engine, ground, conversations)
    text = text_of(given, conversations, measured)
    print(f"\n{text}")
    file = given.results or (None if given.captions else RESULTS)
    if file is not None:
        file.write_text(text)


if __name__ == "__main__":
    main()
