"""`--json`: stdout has one JSON document and nothing else, or nothing after an error."""

import json
from pathlib import Path

import pytest

from tests.cli.running import all_commands, is_sentence, userkeep

STEPS = [
    "migrate",
    "doctor",
    "users add jane",
    "users list --count",
    "users show jane",
    "users update jane --email jane@example.com",
    "sessions add chat-1 --user-id jane",
    "sessions list --last-message",
    "sessions show chat-1",
    "sessions update chat-1 --title Shoes",
    "sessions end chat-1",
    "sessions reopen chat-1",
    "messages add chat-1 Hello",
    "messages list chat-1",
    "messages update chat-1 {message} --name Jane",
    "messages show chat-1 {message}",
    "memory show chat-1",
    "search hello",
    "search nothing",
    "export --output users.jsonl",
    "import users.jsonl",
    "messages delete chat-1 --after 0 --yes",
    "messages clear chat-1 --yes",
    "erasures list",
    "erasures show {erasure}",
    "erasures purge {erasure}",
    "erasures verify {erasure}",
    "sessions delete chat-1 --yes --purge now",
    "users delete jane --yes",
    "collections add papers --dimensions 8",
    "collections list",
    "collections show papers",
    "documents add papers hats --document-id a --embedding [1,1,1,1,1,1,1,1]",
    "documents list papers",
    "documents show papers a",
    "documents search papers",
    "documents delete papers a --yes",
    "collections delete papers --yes",
    "projects create shop",
    "projects list",
    "projects show shop",
    "projects rename shop store",
    "projects update store --max-messages-per-user 10",
    "projects delete store --yes",
    "keys create --scope admin",
    "keys list",
    "keys show {key}",
    "keys rotate {key} --output new.key",
    "keys revoke {key} --yes",
    "replay-erasures --dry-run",
    "secret rotate --yes",
    "backup backup.tar --without-secret",
    "restore backup.tar --force",
    "copy userkeep-data/userkeep.db copy.db",
]


def test_every_command_prints_one_document_whatever_it_notes(tmp_path: Path) -> None:
    ids: dict[str, str] = {}
    for step in STEPS:
        result = userkeep(*step.format(**ids).split(), "--json", folder=tmp_path)
        # Without search terms there is nothing to look for in files: inconclusive.
        expected = 7 if step.startswith("erasures verify") else 0
        assert result.returncode == expected, (step, result.stderr)
        document = json.loads(result.stdout)
        if step == "messages list chat-1":
            ids["message"] = document["items"][0]["id"]
        elif step == "erasures list":
            ids["erasure"] = document["items"][0]["id"]
        elif step.startswith("keys create"):
            ids["key"] = document["id"]


def test_every_command_with_the_option_is_tried_here() -> None:
    having = {
        " ".join(words)
        for words, command in all_commands()
        if any("--json" in each.opts for each in command.params)
    }
    tried = {name for name in having for step in STEPS if f"{step} ".startswith(f"{name} ")}
    # It needs a model: tests/embeddings/test_background.py.
    assert having - {"embed"} == tried


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("users show unknown", 4),
        ("users list --url http://127.0.0.1:1", 5),
        ("users delete jane", 2),
        ("users list --database mysql://h/d", 2),
    ],
)
def test_an_error_leaves_stdout_empty(tmp_path: Path, command: str, code: int) -> None:
    assert userkeep("users", "add", "jane", folder=tmp_path).returncode == 0
    result = userkeep(*command.split(), "--json", folder=tmp_path)
    assert (result.returncode, result.stdout) == (code, "")
    assert is_sentence(result.stderr)
