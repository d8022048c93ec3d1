"""Control and bidirectional characters, in data, arguments and responses, never reach a terminal.

Whatever they are part of, they are printed as escape sequences such as `\\u001b`.
"""

import json
import re
from pathlib import Path

import pytest

from tests.cli.running import userkeep
from tests.cli.terminals import on_terminal
from tests.sdk.fake_server import Response, fake_server
from userkeep import NewMessage, Userkeep

HOSTILE = "\x07\x1b]0;owned\x07\x7f\x85\x9b31m\u202eevil\u2066\u200f"
"""A bell, a new title of the window, DEL, C1 characters and bidirectional ones."""

FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_OURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def assert_harmless(text: str) -> None:
    assert not FORBIDDEN.search(_OURS.sub("", text)), repr(text)
    assert "\x1b[31m" not in text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Create a folder with a database that has such characters in every field."""
    (tmp_path / "userkeep-data").mkdir()
    with Userkeep.open(tmp_path / "userkeep-data" / "userkeep.db") as client:
        client.user.add(
            user_id="jane\u202e",
            email=HOSTILE,
            first_name=HOSTILE,
            last_name=HOSTILE,
            metadata={HOSTILE: HOSTILE},
        )
        client.session.add(
            session_id="chat\u202e", user_id="jane\u202e", title=HOSTILE, metadata={"a": HOSTILE}
        )
        message = NewMessage(
            role="user",
            content=f"shoes {HOSTILE}",
            name=HOSTILE,
            metadata={"a": HOSTILE},
            data=[HOSTILE],
        )
        answer = NewMessage(role="assistant", data={HOSTILE: HOSTILE}, id="answer\u202e")
        client.message.add("chat\u202e", [message, answer])
        client.key.add(scope="admin", name=HOSTILE)
        client.key.add(user_id="jane\u202e")
    return tmp_path


COMMANDS = [
    ("users", "list"),
    ("users", "show", "jane\u202e"),
    ("users", "list", "--json"),
    ("users", "show", "jane\u202e", "--json"),
    ("sessions", "list"),
    ("sessions", "show", "chat\u202e"),
    ("sessions", "list", "--json"),
    ("sessions", "list", "--last-message"),
    ("sessions", "list", "--last-message", "--json"),
    ("messages", "list", "chat\u202e"),
    ("messages", "list", "chat\u202e", "--json"),
    ("messages", "list", "chat\u202e", "--ids"),
    ("messages", "show", "chat\u202e", "answer\u202e"),
    ("messages", "delete", "chat\u202e", "answer\u202e", "--yes"),
    ("messages", "clear", "chat\u202e", "--yes"),
    ("memory", "show", "chat\u202e"),
    ("memory", "show", "chat\u202e", "--json"),
    ("search", "shoes"),
    ("search", "shoes", "--json", "--explain"),
    ("keys", "list"),
    ("keys", "list", "--json"),
    ("export", "--output", f"{HOSTILE}.jsonl"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_stored_texts_are_escaped(folder: Path, words: tuple[str, ...]) -> None:
    result = userkeep(*words, folder=folder)
    assert result.returncode == 0, result.stderr
    assert_harmless(result.stdout + result.stderr)


@pytest.mark.parametrize("words", [("export",), ("users", "list")], ids=" ".join)
def test_stored_texts_are_escaped_on_a_terminal(folder: Path, words: tuple[str, ...]) -> None:
    shown = on_terminal(*words, folder=folder, columns=200)
    assert shown.code == 0
    assert_harmless(shown.seen)
    assert r"\u202eevil" in shown.text


@pytest.mark.parametrize(
    "words",
    [
        (HOSTILE,),
        ("users", HOSTILE),
        ("--database", HOSTILE, "users", "list"),
        ("users", "--url", HOSTILE, "list"),
        ("--database", HOSTILE, "copy", "a", "b"),
        (f"--{HOSTILE}",),
        ("users", "list", f"--{HOSTILE}"),
        ("users", "list", "--limit", HOSTILE),
        ("users", "list", "--filter", HOSTILE),
        ("users", "list", "--created-after", HOSTILE),
        ("users", "show", HOSTILE),
        ("users", "show", "jane", "extra", HOSTILE),
        ("users", "list", "--url", f"http://{HOSTILE}"),
        ("users", "list", "--database", HOSTILE),
        ("users", "list", "--cursor", HOSTILE),
        ("doctor", "--database", f"sqlite:///{HOSTILE}"),
        ("doctor", "--json", "--secret-file", HOSTILE),
        ("import", HOSTILE),
        ("export", "--output", f"{HOSTILE}/x"),
        ("export", HOSTILE),
        ("copy", f"sqlite:///{HOSTILE}", "sqlite:///b.db"),
        ("migrate", "--database", f"mysql://{HOSTILE}"),
        ("serve", "--host", HOSTILE),
        ("completion", HOSTILE),
        ("sessions", "delete", HOSTILE),
        ("sessions", "update", "chat\u202e", "--remove", HOSTILE),
        ("messages", "clear", HOSTILE, "--yes"),
        ("messages", "update", "chat\u202e", "answer\u202e", "--data", HOSTILE),
        ("erasures", "verify", HOSTILE),
    ],
    ids=" ".join,
)
def test_arguments_in_errors_are_escaped(folder: Path, words: tuple[str, ...]) -> None:
    result = userkeep(*words, folder=folder)
    assert_harmless(result.stdout + result.stderr)


@pytest.mark.parametrize("as_json", [(), ("--json",)])
@pytest.mark.parametrize("status", [200, 400, 404, 500])
def test_what_a_server_sends_is_escaped(
    tmp_path: Path, status: int, as_json: tuple[str, ...]
) -> None:
    problem = {"status": status, "code": HOSTILE, "detail": HOSTILE + "\nmore", "fields": [HOSTILE]}
    user = {
        "user_id": HOSTILE, "uuid": HOSTILE, "email": HOSTILE, "first_name": HOSTILE,
        "last_name": HOSTILE, "metadata": {HOSTILE: HOSTILE}, "revision": 1,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    page = {"items": [user], "next": HOSTILE}
    for body, command in ((user, ("users", "show", "jane")), (page, ("users", "list"))):
        document = json.dumps(body if status == 200 else problem).encode()
        with fake_server(Response(status, document)) as server:
            result = userkeep(*command, "--url", server.url, *as_json, folder=tmp_path)
        assert_harmless(result.stdout + result.stderr)
        assert (result.returncode == 0) == (status == 200), result.stderr


def test_escaped_json_is_the_same_document(folder: Path) -> None:
    result = userkeep("users", "show", "jane\u202e", "--json", folder=folder)
    user = json.loads(result.stdout)
    assert (user["email"], user["metadata"]) == (HOSTILE, {HOSTILE: HOSTILE})


def test_an_export_to_a_file_has_the_bytes_that_are_stored(folder: Path) -> None:
    assert userkeep("export", "--output", "x.jsonl", folder=folder).returncode == 0
    assert "\u202eevil" in (folder / "x.jsonl").read_text()
