"""`userkeep search`: on a file and on a server, as JSON and on a terminal."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.running import is_sentence
from tests.cli.terminals import on_terminal
from tests.cli.test_data_commands import Run, on, printed_json, rejected
from tests.serving import serving
from userkeep import NewMessage, Userkeep
from userkeep.api.search import Hits

QUESTION = "What shoes does Jane want?"
TEXT = "The blue ones fit!\nCould I get the same shoe for hiking?"


def fill(client: Userkeep) -> None:
    """Add two users and three sessions."""
    talk = [
        NewMessage(role="user", content="I run. " * 60, name="Jane"),
        NewMessage(role="assistant", content="Which shoes do you wear?", name="shop"),
    ]
    old = NewMessage(role="norole", content="Size 9.", created_at=datetime(2020, 5, 5, tzinfo=UTC))
    client.message.add("chat-1", [*talk, old], user_id="jane")
    said_last = NewMessage(role="user", content=TEXT, name="Jane")
    client.message.add("chat-2", said_last, user_id="jane")
    nasty = NewMessage(
        role="user", content="red \x1b[31m boots\x07 \u202e 靴 \tend", name="\x1b]0;\x9bx"
    )
    client.message.add("chat \u202e3", nasty, user_id="tom")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Create a folder with a database."""
    with Userkeep.open(tmp_path / "userkeep-data" / "userkeep.db") as client:
        fill(client)
    return tmp_path


@pytest.fixture(scope="module", params=["file", "server"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Run commands on an instance of each kind; the tests only search."""
    folder = tmp_path_factory.mktemp("search")
    with ExitStack() as stack:
        if request.param == "file":
            with Userkeep.open(folder / "m.db") as client:
                fill(client)
            yield on(folder, "--database", "m.db")
        else:
            url = stack.enter_context(serving(folder)).url
            with Userkeep(url) as client:
                fill(client)
            yield on(folder, "--url", url)


def test_hits_are_printed_as_in_the_schema(run: Run) -> None:
    hits = printed_json(run("search", QUESTION, "--user-id", "jane", "--json"), Hits)
    first = hits["items"][0]
    assert (first["message"]["session_id"], first["message"]["seq"]) == ("chat-2", 1)
    assert first["explanation"] is None
    words = ("search", QUESTION, "--user-id", "jane", "--json", "--explain", "--limit", "1")
    [explained] = printed_json(run(*words), Hits)["items"]
    assert explained == first | {"explanation": explained["explanation"]}
    assert explained["explanation"]["participant"] == "Jane"


def test_every_option_narrows_the_hits(run: Run) -> None:
    def found(*words: str) -> list[str]:
        hits = printed_json(run("search", *words, "--json"), Hits)["items"]
        return [f"{hit['message']['session_id']} #{hit['message']['seq']}" for hit in hits]

    assert found("boots") == ["chat \u202e3 #1"]
    assert found("boots", "--user-id", "jane") == []
    assert found("shoes", "--session-id", "chat-2") == ["chat-2 #1"]
    assert found("--session-id", "chat-1", "--before", "2020-06-01") == ["chat-1 #3"]
    assert found("--user-id", "jane", "--after", "2020-05-06T00:00:00Z", "--limit", "1") == [
        "chat-2 #1"
    ]
    assert found("shoes", "--user-id", "jane", "--session-id", "chat-2") == ["chat-2 #1"]
    assert found("shoes", "--user-id", "jane", "--role", "assistant") == ["chat-1 #2"]
    first, second, *_ = found("shoes", "--user-id", "jane")
    assert found("shoes", "--user-id", "jane", "--offset", "1", "--limit", "1") == [second]
    assert set(found("shoes", "--user-id", "jane", "--no-context")) == {"chat-1 #2", "chat-2 #1"}
    assert found("shoes", "--user-id", "jane", "--min-score", "100") == []
    assert first == "chat-2 #1"
    assert found('"blue ones" -boots hik*', "--syntax", "web") == ["chat-2 #1"]
    both = ("--role", "assistant", "--role", "user")
    assert set(found("shoes", "--user-id", "jane", *both)) == {
        "chat-1 #1",
        "chat-1 #2",
        "chat-2 #1",
    }


def test_a_search_without_hits_says_so_and_succeeds(run: Run) -> None:
    nothing = run("search", "bicycle")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert is_sentence(nothing.stderr)
    assert printed_json(run("search", "bicycle", "--json"), Hits) == {"items": []}
    assert "No word is left" in run("search", "?!", "--explain").stderr
    explained = printed_json(run("search", "?!", "--explain", "--json"), Hits)
    assert explained["query"]["words"] == []


def test_a_rejected_search_prints_a_sentence_and_has_an_exit_code(run: Run) -> None:
    assert "no user" in rejected(run("search", "x", "--user-id", "nobody"), 4)
    assert "no session" in rejected(run("search", "x", "--session-id", "none"), 4)
    both = ("--user-id", "tom", "--session-id", "chat-1")
    assert "no session" in rejected(run("search", "x", *both), 4)
    assert "together" in rejected(run("search", "x", "--offset", "1000"), 1)
    assert "10,000" in rejected(run("search", "x" * 10_001), 1)
    for words in (
        ("--limit", "0"),
        ("--offset", "-1"),
        ("--min-score", "-1"),
        ("--role", "human"),
        ("--after", "yesterday"),
    ):
        assert run("search", "x", *words).returncode == 2


def test_without_a_terminal_lines_are_plain(folder: Path) -> None:
    out = on(folder)("search", QUESTION, "--user-id", "jane").stdout
    lines = [line.rstrip() for line in out.splitlines()]
    assert re.fullmatch(r"\d\.\d\d  Jane \(user\)  ·  chat-2 #1  ·  (just now|.* ago)", lines[0])
    assert lines[1] == f"      {TEXT}".replace("\n", " ")
    assert "\x1b" not in out


def test_the_newest_messages_have_no_score(folder: Path) -> None:
    out = on(folder)("search", "--session-id", "chat-2").stdout
    assert out.startswith("Jane (user)  ·  chat-2 #1")


def test_an_explanation_has_words_messages_and_weights(folder: Path) -> None:
    out = on(folder)("search", QUESTION, "--user-id", "jane", "--explain").stdout
    lines = [line.strip() for line in out.splitlines()]
    assert re.fullmatch(r"shoes \d\.\d\d times 2 for Jane times 1.5 for the role", lines[2])
    assert any(re.match(r"shoes \d\.\d\d in #2 times 2", line) for line in lines)
    two = on(folder)("search", "size shoes", "--session-id", "chat-1", "--explain").stdout
    assert re.search(r"\((size|shoes) \d\.\d\d.* \+ (size|shoes) \d\.\d\d.*\)", two)


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_shows_matched_words_in_color(folder: Path, columns: int) -> None:
    terminal = on_terminal("search", QUESTION, "--user-id", "jane", folder=folder, columns=columns)
    assert terminal.code == 0
    assert "\x1b[1;33mshoe\x1b[0m" in terminal.seen
    assert max(len(line) for line in terminal.text.splitlines()) <= columns
    plain = on_terminal("search", "shoes", folder=folder, environment={"NO_COLOR": "1"})
    assert "\x1b[" not in plain.seen


def test_control_characters_of_messages_are_escaped(folder: Path) -> None:
    seen = on_terminal("search", "boots 靴", folder=folder, columns=120).seen
    assert "\x1b[31m" not in seen
    assert not re.search("[\x07\x9b\u202e]|\x1b]", seen)
    # The marks are where the words are, although what is before them is written out.
    assert "\x1b[1;33mboots\x1b[0m\\u0007 \\u202e \x1b[1;33m靴\x1b[0m  end" in seen


def test_json_is_complete_on_a_terminal(folder: Path) -> None:
    text = on_terminal("search", "shoes", "--json", folder=folder).text
    assert len(json.loads(text)["items"]) > 1
