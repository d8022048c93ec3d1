"""Secrets that a command is given: from files and the environment, with a warning for flags."""

from pathlib import Path

import pytest

from tests.cli.running import all_commands, userkeep
from tests.sdk.fake_server import fake_server


def sent_key(folder: Path, *words: str, environment: dict[str, str] | None = None) -> str | None:
    """Return the Authorization header of a command."""
    with fake_server() as server:
        words = ("users", "show", "jane", "--url", server.url, *words)
        result = userkeep(*words, folder=folder, environment=environment)
        assert result.returncode == 0, result.stderr
        assert "open sesame" not in result.stderr + result.stdout
        return server.requests[0].headers.get("Authorization")


def test_an_api_key_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("of-file\n")
    assert sent_key(tmp_path) is None
    assert sent_key(tmp_path, "--api-key-file", "key") == "Bearer of-file"
    (tmp_path / "marked").write_text("\ufeffof-file\r\n")
    assert sent_key(tmp_path, "--api-key-file", "marked") == "Bearer of-file"
    environment = {"USERKEEP_API_KEY_FILE": "key"}
    assert sent_key(tmp_path, environment=environment) == "Bearer of-file"
    environment = {"USERKEEP_API_KEY": "of-environment"}
    assert sent_key(tmp_path, environment=environment) == "Bearer of-environment"
    words = ("--api-key-file", "key")
    assert sent_key(tmp_path, *words, environment=environment) == "Bearer of-file"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"", "is empty"),
        (b"\xff", "not UTF-8"),
        ("ü".encode(), "not ASCII"),
        ("k".encode("utf-16"), "it is UTF-16"),
        (b"x" * 99_999, "large"),
    ],
)
def test_a_key_file_that_has_no_key_is_an_error(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    words = ("users", "list", "--url", "http://127.0.0.1:1", "--api-key-file", "key")
    result = userkeep(*words, folder=tmp_path)
    assert result.returncode == 2
    assert "The file key of the API key" in result.stderr
    assert reason in result.stderr


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (("users", "list", "--api-key", "s3cret"), "--api-key-file or USERKEEP_API_KEY"),
        (("doctor", "--api-key", "s3cret of a test"), "--api-key-file or USERKEEP_API_KEY"),
        (("keys", "list", "--api-key", "s3cret"), "--api-key-file or USERKEEP_API_KEY"),
        (("migrate", "--secret", "s3cret of a test"), "--secret-file or USERKEEP_SECRET"),
        (("users", "list", "--database", "postgresql://u:s3cret@127.0.0.1:1/x"), "~/.pgpass"),
        (("doctor", "--database", "postgresql://127.0.0.1:1/x?password=s3cret"), "PGPASSWORD"),
        (("copy", "postgresql://u:s3cret@127.0.0.1:1/x", "sqlite:///a.db"), "PGPASSWORD"),
    ],
)
def test_a_secret_in_an_argument_is_warned_about(
    tmp_path: Path, words: tuple[str, ...], advice: str
) -> None:
    result = userkeep(*words, folder=tmp_path)
    assert "list of processes" in result.stderr
    assert advice in result.stderr
    assert "s3cret" not in result.stdout + result.stderr


def test_the_help_names_no_flag_for_a_secret(tmp_path: Path) -> None:
    for words, _ in all_commands():
        text = userkeep(*words, "--help", folder=tmp_path).stdout
        assert "--api-key " not in text
        assert "--secret " not in text
