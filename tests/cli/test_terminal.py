"""On a terminal: tables that fit, colour where it is wanted, questions, progress."""

import re
import unicodedata
from pathlib import Path
from uuid import UUID

import pytest

from tests.cli.running import userkeep
from tests.cli.terminals import Terminal, on_terminal
from tests.long.counts import IS_FULL
from userkeep import NewMessage, Userkeep

# What fits the narrowest and the widest fits those between.
WIDTHS = (80, 100, 120) if IS_FULL else (80, 120)
LONG = "somebody-with-an-id-of-a-length-that-no-terminal-of-eighty-columns-has-room-for-in-a-table"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Create a folder with a database whose values have various widths."""
    (tmp_path / "userkeep-data").mkdir()
    with Userkeep.open(str(tmp_path / "userkeep-data" / "userkeep.db")) as client:
        client.user.add(user_id="jane", email="jane@example.com", first_name="Jane")
        client.user.add(user_id="名前" * 30, last_name="Ångström" * 9, email="名@例え.jp")
        client.user.add(user_id=LONG, email=f"{LONG}@example.com", first_name="é" * 90)
        client.session.add(session_id=LONG, user_id=LONG)
        client.session.add(session_id="chat-1", user_id="jane", title="Shoes in blue or green " * 5)
        messages = [NewMessage(role="user", content="名前 is a name. " * 40, name="jane")]
        client.message.add("chat-1", [*messages, NewMessage(role="user", content="A\nB")])
    return tmp_path


def columns_of(text: str) -> int:
    """Return the number of terminal columns of a text."""
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1
        for each in text
    )


@pytest.mark.parametrize("columns", WIDTHS)
def test_tables_fit_the_terminal_and_no_id_is_cut(folder: Path, columns: int) -> None:
    for words in (
        ("users", "list"),
        ("sessions", "list"),
        ("sessions", "list", "--last-message"),
        ("messages", "list", "chat-1"),
        ("messages", "list", "chat-1", "--ids"),
    ):
        text = on_terminal(*words, folder=folder, columns=columns).text
        assert max(columns_of(line) for line in text.splitlines()) <= columns
        if words[0] != "messages":
            column = "".join(re.split(r" {2,}", line)[0] for line in text.splitlines())
            assert LONG in column


@pytest.mark.parametrize(("columns", "beginning"), [(80, 20), (100, 25)])
def test_a_last_message_is_cut_to_a_quarter_of_the_terminal(
    folder: Path, columns: int, beginning: int
) -> None:
    database = folder / "last.db"
    with Userkeep.open(database) as client:
        client.message.add("c", NewMessage(role="user", content="x" * 100), user_id="jane")
    words = ("sessions", "list", "--last-message", "--database", database)
    text = on_terminal(*words, folder=folder, columns=columns).text
    head = text.splitlines()[0]
    assert re.split(r" {2,}", head.strip()) == [
        *("session_id", "user_id", "title", "messages", "active", "last message")
    ]
    assert text.count("x") == beginning
    assert "…" in text


def test_without_a_terminal_rows_are_whole(folder: Path) -> None:
    text = userkeep("users", "list", folder=folder).stdout
    assert len(text.splitlines()) == 2 + 3
    assert f"{LONG}@example.com" in text


def test_only_a_terminal_without_no_color_gets_colors(folder: Path) -> None:
    words = ("users", "list")
    assert "\x1b[" in on_terminal(*words, folder=folder).seen
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        plain = on_terminal(*words, folder=folder, environment=environment)
        assert "\x1b[" not in plain.seen
        assert "jane@example.com" in plain.text
    assert "\x1b" not in userkeep(*words, folder=folder, environment={"FORCE_COLOR": "1"}).stdout


def test_a_deletion_asks_and_says_what_will_be_deleted(folder: Path) -> None:
    for answer in ("n\n", "\n", "\x04", None):
        with Terminal("users", "delete", "jane", folder=folder) as terminal:
            terminal.read_until("[y/N]")
            assert "Delete user 'jane' with 1 session and 2 messages?" in terminal.text
            terminal.type(answer) if answer else terminal.interrupt()
            terminal.read_to_end()
        assert terminal.code == 1
        assert "userkeep: Nothing was deleted." in terminal.text
    assert userkeep("users", "show", "jane", folder=folder).returncode == 0
    with Terminal("users", "delete", "jane", folder=folder) as terminal:
        terminal.read_until("[y/N]")
        terminal.type("y\n")
        terminal.read_to_end()
    assert terminal.code == 0
    assert re.search(r"^state +deleted", terminal.text, re.MULTILINE)
    assert re.search(r"^counts +1 user, 1 session, 2 messages", terminal.text, re.MULTILINE)
    assert userkeep("users", "show", "jane", folder=folder).returncode == 4


def test_deleting_a_session_names_its_owner_and_messages(folder: Path) -> None:
    with Terminal("sessions", "delete", "chat-1", folder=folder) as terminal:
        terminal.read_until("Delete session 'chat-1' of user 'jane' with 2 messages?")
        terminal.type("y\n")
        assert terminal.read_to_end().code == 0


@pytest.mark.parametrize(
    ("words", "question"),
    [
        (("clear", "chat-1"), "Delete all messages of session 'chat-1', 2 messages?"),
        (
            ("delete", "chat-1", "--after", "1"),
            "Delete all messages after 1 of session 'chat-1', 1 message?",
        ),
    ],
    ids=lambda each: each[0],
)
def test_deleting_messages_asks_first(folder: Path, words: tuple[str, ...], question: str) -> None:
    with Terminal("messages", *words, folder=folder, columns=120) as terminal:
        terminal.read_until(question)
        terminal.type("n\n")
        assert terminal.read_to_end().code == 1
    session = userkeep("sessions", "show", "chat-1", folder=folder).stdout
    assert re.search(r"^messages +2", session, re.MULTILINE)


def test_a_missing_user_needs_no_confirmation(folder: Path) -> None:
    terminal = on_terminal("users", "delete", "nobody", folder=folder)
    assert terminal.code == 4
    assert "[y/N]" not in terminal.text


def test_export_and_import_show_progress(folder: Path) -> None:
    with Userkeep.open(str(folder / "userkeep-data" / "userkeep.db")) as client:
        messages = (
            NewMessage(role="user", content="x" * 500, id=str(UUID(int=n))) for n in range(40_000)
        )
        client.message.add_bulk("chat-1", messages)
    out = on_terminal("export", "--output", "users.jsonl", folder=folder)
    assert out.code == 0
    assert re.search(r"Exporting .*\d users?, [\d,]+ messages", out.text)
    assert "Exported 3 users, 2 sessions, 40,002 messages to users.jsonl." in out.text
    back = on_terminal("import", "users.jsonl", "--database", "b.db", folder=folder, columns=120)
    assert back.code == 0
    assert re.search(r"Importing .*\d users?, [\d,]+ messages", back.text)
    assert "Added 3 users, 2 sessions, 40,002 messages." in back.text
