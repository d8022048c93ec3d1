"""`userkeep export` and `userkeep import`: nothing is lost, and an import can be continued."""

import gzip
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.cli.running import environment_of, is_sentence, userkeep
from tests.conftest import database_url
from tests.embedding_server import DIMENSIONS, MODEL, EmbeddingServer, failing
from tests.postgres import migrated_database
from tests.serving import USERKEEP, serving
from userkeep import NewMessage, Userkeep

DATA = '{"b":1e2,"a": [ 1.0, 12345678901234567890123 ],"é":"\\u00e9"}'
NUMBERS = {"10": 1e2, "9": [0.1, 1e16, 1e22, 1e-9, -0.0, 2**63 - 1, -(2**63)], "": {"ß": True}}
BATCH = 1000


def line(**fields: Any) -> str:
    return json.dumps(fields) + "\n"


def message(number: int, content: str = "Hello") -> str:
    return line(message={"id": str(UUID(int=number)), "role": "user", "content": content})


def begun(*user_ids: str) -> str:
    """Return the lines of users with a session each, which has the same id."""
    return "".join(
        line(user={"user_id": each}) + line(session={"session_id": each}) for each in user_ids
    )


def fill(database: str) -> None:
    """Add a user with two sessions, one without, and a session without a user."""
    with Userkeep.open(database) as client:
        client.user.add(user_id="a/b", email="J@x.org", metadata={"n": {"x": [1.5, None]}})
        past = datetime(2020, 2, 3, tzinfo=UTC)
        client.session.add(
            session_id="one", user_id="a/b", metadata={}, title="Ä title", created_at=past
        )
        messages = [NewMessage(role="tool", name="R", content=f"number {n}") for n in range(1203)]
        messages[0].metadata, messages[0].token_count = {"k": "名"}, 7
        messages[1].created_at = datetime(2020, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
        client.message.add_bulk("one", messages)
        stored = client.message.list("one")
        client.message.delete("one", stored[2].id)
        client.message.update("one", stored[3].id, content="edited", metadata=NUMBERS)
        client.session.end("one")
        client.session.add(session_id="two", user_id="a/b")
        client.user.add(user_id="empty")
        client.user.update(user_id="empty", first_name="Émpty", metadata={})
        client.session.add(session_id="unowned", title="")
        client.message.add("unowned", [NewMessage(role="user", data={"a": 1})])


def fill_collections(database: str) -> None:
    """Add a collection with documents of a user and of none, and an empty one."""
    with Userkeep.open(database) as client:
        client.collection.add(name="notes", dimensions=8, metadata=NUMBERS)
        client.collection.add(name="empty", dimensions=9, description="Nothing yet: ß")
        client.collection.update(name="empty", description="Nothing")
        owned: dict[str, Any] = {"user_id": "a/b", "content": "名", "metadata": NUMBERS}
        numbers = [-0.0, 0.1, 1e-9, 3.4e38, -1 / 3, 16777217, 1, 0]
        new: list[dict[str, Any]] = [
            owned | {"embedding": numbers},
            {"document_id": "of none", "embedding": [1] * 8},
            owned | {"document_id": "d/é", "embedding": numbers[::-1]},
        ]
        client.document.add("notes", new)
        client.document.update("notes", "d/é", content="edited")
        client.document.delete("notes", "of none")
        client.document.add("notes", [new[1]])


def lines_of(text: str) -> list[Any]:
    """Return the lines of an export."""
    return [json.loads(each) for each in text.splitlines()]


def export(folder: Path, *words: object) -> str:
    result = userkeep("export", *words, folder=folder)
    assert result.returncode == 0, result.stderr
    return result.stdout


def importing(folder: Path, text: str, *words: object) -> "subprocess.CompletedProcess[str]":
    return userkeep("import", "-", *words, folder=folder, given=text)


def all_of(database: Path) -> Any:
    """Return all users, sessions and messages, with revisions and times."""
    with Userkeep.open(str(database)) as client:
        users = list(client.user.list())
        sessions = list(client.session.list())
        return users, sessions, [list(client.message.list(s.session_id)) for s in sessions]


@pytest.mark.parametrize("target", ["file", "postgres", "server"])
def test_an_export_is_imported_completely_and_a_second_import_changes_nothing(
    tmp_path: Path, target: str
) -> None:
    fill(str(tmp_path / "source.db"))
    fill_collections(str(tmp_path / "source.db"))
    exported = export(tmp_path, "--database", "source.db")
    (tmp_path / "users.jsonl").write_text(exported)
    counts = {"users": 2, "sessions": 3, "messages": 1203, "collections": 2, "documents": 3}
    none = dict.fromkeys(counts, 0)

    def twice(*place: str) -> None:
        for added, present in ((counts, none), (none, counts)):
            words = ("import", "users.jsonl", "--json", *place)
            result = userkeep(*words, folder=tmp_path)
            assert (result.returncode, result.stderr) == (0, "")
            report = json.loads(result.stdout)
            assert (report["added"], report["present"]) == (added, present)
        assert export(tmp_path, *place) == exported

    if target == "server":
        with serving(tmp_path) as server:
            twice("--url", server.url)
    else:
        there = str(tmp_path / "t.db") if target == "file" else migrated_database()
        twice("--database", there)


def test_a_file_of_format_1_is_imported(tmp_path: Path) -> None:
    uuids = [str(UUID(int=number)).replace("0001", "000a") for number in range(1, 5)]
    former: list[dict[str, Any]] = [
        {"uuid": uuids[0].upper(), "role": "Jane", "role_type": "user", "content": "Hello"},
        {"uuid": uuids[1], "role": "R", "content": "no type", "data": [1], "token_count": 5},
        {"uuid": uuids[2], "role_type": "assistant", "content": "no name"},
        {"uuid": uuids[3], "role": "", "role_type": "user", "content": ""},
    ]
    header = line(userkeep={"format": 1, "version": "0.1.0"})
    text = header + begun("jane") + "".join(line(message=each) for each in former)
    for ended in (False, True):
        text += line(session={"session_id": str(ended), "metadata": None, "ended": ended})
    for added, present in ((4, 0), (0, 4)):
        result = importing(tmp_path, text, "--database", "m.db", "--json")
        assert result.returncode == 0, result.stderr
        report = json.loads(result.stdout)
        counts = (report["added"]["messages"], report["present"]["messages"])
        assert counts == (added, present)
    with Userkeep.open(str(tmp_path / "m.db")) as client:
        messages = client.message.list("jane")
        ends = {each.session_id: each.ended_at is not None for each in client.session.list()}
    assert ends == {"jane": False, "False": False, "True": True}
    assert [(each.id, each.name, each.role) for each in messages] == [
        (uuids[0], "Jane", "user"),
        (uuids[1], "R", "norole"),
        (uuids[2], None, "assistant"),
        (uuids[3], None, "user"),
    ]
    assert [(each.content, each.data) for each in messages[1::2]] == [("no type", [1]), ("", None)]


def test_data_is_exported_and_imported_byte_for_byte(tmp_path: Path) -> None:
    text = begun("jane") + message(1)[:-3] + f', "data": {DATA}}}}}\n'
    assert importing(tmp_path, text, "--database", "a.db").returncode == 0
    exported = export(tmp_path, "--database", "a.db")
    assert f'"data":{DATA},' in exported
    assert importing(tmp_path, exported, "--database", "b.db").returncode == 0
    assert f'"data":{DATA},' in export(tmp_path, "--database", "b.db")


def test_only_named_users_are_exported(tmp_path: Path) -> None:
    fill(str(tmp_path / "source.db"))
    place = ("--database", "source.db")
    lines = lines_of(export(tmp_path, "empty", *place))
    assert [next(iter(each)) for each in lines] == ["userkeep", "user", "end"]
    words = ("export", "empty", "nobody", "--output", "x.jsonl", *place)
    result = userkeep(*words, folder=tmp_path)
    assert (result.returncode, result.stdout) == (4, "")
    assert "There is no user 'nobody'; nothing was exported." in result.stderr
    assert not (tmp_path / "x.jsonl").exists()


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    fill(str(tmp_path / "source.db"))
    place = ("--output", "users.jsonl", "--database", "source.db")
    assert "2 users, 3 sessions, 1,203 messages to users.jsonl" in export(tmp_path, *place)
    assert json.loads(export(tmp_path, "--json", *place))["messages"] == 1203
    assert len((tmp_path / "users.jsonl").read_text().splitlines()) == 1 + 2 + 3 + 1203 + 1
    assert not list(tmp_path.glob(".*"))


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    fill(str(tmp_path / "source.db"))
    run = subprocess.run(
        ["/bin/sh", "-c", f"{USERKEEP} export --database source.db | head -n 1"],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        env=environment_of(),
        check=False,
    )
    assert run.stdout.startswith('{"userkeep": ')
    assert "Traceback" not in run.stderr


def test_a_named_pipe_is_written_and_stays_one(tmp_path: Path) -> None:
    with Userkeep.open(str(tmp_path / "m.db")) as client:
        client.user.add(user_id="jane")
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as reader:
        text = reader.submit((tmp_path / "pipe").read_text)
        export(tmp_path, "--output", "pipe", "--database", "m.db")
        assert len(text.result(timeout=30).splitlines()) == 3
    assert (tmp_path / "pipe").is_fifo()


def test_an_export_of_a_user_who_is_deleted_before_its_end_is_not_complete(tmp_path: Path) -> None:
    with serving(tmp_path) as server, Userkeep(server.url) as client:
        new = [NewMessage(role="user", content="x" * 2_000)] * 500
        client.message.add("s1", new, user_id="jane")
        process = subprocess.Popen(
            [str(USERKEEP), "export", "jane", "--url", server.url],
            cwd=tmp_path,
            env=environment_of(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        # The export waits for its reader: a pipe has room for 64 KiB.
        process.stdout.read(10)
        client.user.delete("jane")
        text, error = process.communicate(timeout=30)
    assert "The user 'jane' was deleted during the export, which is not complete" in error
    assert (process.returncode, '"end"' in text) == (4, False)


@pytest.mark.parametrize("target", ["there.jsonl", "missing.jsonl", "folder"])
def test_an_export_follows_no_symbolic_link(tmp_path: Path, target: str) -> None:
    with Userkeep.open(str(tmp_path / "m.db")) as client:
        client.user.add(user_id="jane")
    (tmp_path / "there.jsonl").write_text("former")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.jsonl").symlink_to(target)
    result = userkeep("export", "--output", "link.jsonl", "--database", "m.db", folder=tmp_path)
    assert result.returncode == 1
    assert "link.jsonl is a symbolic link" in result.stderr
    assert (tmp_path / "there.jsonl").read_text() == "former"
    assert not (tmp_path / "missing.jsonl").exists()
    assert (tmp_path / "link.jsonl").is_symlink()


def test_a_link_in_the_place_of_a_draft_is_not_followed(tmp_path: Path) -> None:
    with Userkeep.open(str(tmp_path / "m.db")) as client:
        client.user.add(user_id="jane")
    (tmp_path / "letter").write_text("Dear Jane")
    (tmp_path / f".users.jsonl.{os.getpid()}.part").symlink_to("letter")
    export(tmp_path, "--output", "users.jsonl", "--database", "m.db")
    assert (tmp_path / "letter").read_text() == "Dear Jane"


def test_pipes_that_nobody_uses_are_errors(tmp_path: Path) -> None:
    with Userkeep.open(str(tmp_path / "m.db")) as client:
        client.user.add(user_id="jane")
    os.mkfifo(tmp_path / "pipe")
    for words, reason in (
        (("export", "--output", "pipe"), "no process reads the pipe"),
        (("import", "pipe"), "is a named pipe"),
        (("import", "/dev/zero"), "is a device"),
        (("export", "--output", "."), "is a folder"),
        (("users", "list", "--url", "http://127.0.0.1:1", "--api-key-file", "pipe"), "named pipe"),
    ):
        database = () if "--url" in words else ("--database", "m.db")
        result = userkeep(*words, *database, folder=tmp_path)
        assert result.returncode != 0
        assert reason in result.stderr


@pytest.mark.parametrize("before", [None, 0o600, 0o644])
def test_an_export_is_readable_by_its_user_alone(tmp_path: Path, before: int | None) -> None:
    with Userkeep.open(str(tmp_path / "m.db")) as client:
        client.user.add(user_id="jane")
    path = tmp_path / "users.jsonl"
    if before is not None:
        path.touch()
        path.chmod(before)
    export(tmp_path, "--output", "users.jsonl", "--database", "m.db")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("output", ["m.db", "other.db", "m.db.secret"])
def test_an_export_never_overwrites_a_database_or_a_secret(tmp_path: Path, output: str) -> None:
    for name in ("m.db", "other.db"):
        with Userkeep.open(str(tmp_path / name)) as client:
            client.user.add(user_id="jane")
    before = (tmp_path / output).read_bytes()
    result = userkeep("export", "--output", output, "--database", "m.db", folder=tmp_path)
    assert result.returncode == 1
    assert "It was not overwritten; name another file." in result.stderr
    assert (tmp_path / output).read_bytes() == before


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        ("other.db-wal", "log of a SQLite database"),
        ("other.db-shm", "file of the database other.db"),
        ("other.db.lock", "lock file"),
        ("copy-of-wal", "log of a SQLite database"),
        ("m.db-wal", "file of the database m.db"),
        ("m.db-journal", "file of the database m.db"),
        ("hard-link", "SQLite database"),
        ("hard-link-of-secret", "secret"),
        ("copy-of-secret", "secret"),
        ("folder/../m.db", "SQLite database"),
        ("key", "secret"),
    ],
)
def test_an_export_never_overwrites_what_belongs_to_an_instance(
    tmp_path: Path, output: str, kind: str
) -> None:
    with Userkeep.open(str(tmp_path / "m.db")) as client:
        client.user.add(user_id="jane")
    with Userkeep.open(str(tmp_path / "other.db")) as client:
        client.user.add(user_id="john")
        (tmp_path / "folder").mkdir()
        (tmp_path / "key").write_text("open sesame")
        (tmp_path / "hard-link").hardlink_to(tmp_path / "m.db")
        (tmp_path / "hard-link-of-secret").hardlink_to(tmp_path / "m.db.secret")
        for name, copy in (("other.db-wal", "copy-of-wal"), ("m.db.secret", "copy-of-secret")):
            (tmp_path / copy).write_bytes((tmp_path / name).read_bytes())
        path = tmp_path / output
        before = path.read_bytes() if path.exists() else None
        result = userkeep(
            *("export", "--output", output, "--database", "m.db"),
            folder=tmp_path,
            environment={"USERKEEP_API_KEY_FILE": "key"},
        )
        assert result.returncode == 1
        assert f"{output} is a {kind}. It was not overwritten" in result.stderr
        assert (path.read_bytes() if path.exists() else None) == before


# Invalid lines.


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{\n", "Line 1 is not JSON"),
        ("[]\n", "Line 1: "),
        ("{}\n", "Line 1: it must have one of userkeep, user, session, message"),
        (line(userkeep={"format": 5}), "Line 1: userkeep.format is 5"),
        (line(user={"user_id": "j", "mail": 1}), "Line 1: user.mail is not a known field"),
        (line(user={"user_id": ""}), "Line 1: user_id cannot be empty"),
        (line(session={"session_id": "s"}), "Line 1: a session must come after the user"),
        (line(user={"user_id": "j"}) + message(1), "Line 2: a message must come after its session"),
        (begun("j") + "x" * 9_000_000, "Line 3 is longer than 8 MiB"),
        (begun("j") + "\0" * 9_000_000, "Line 3 is longer than 8 MiB"),
        (
            begun("j") + '{"user": {"user_id": "k", "metadata": {"a": [' + "0," * 300_000 + "0]}}}",
            "Line 3 has more JSON values than a user or message can",
        ),
        (
            begun("j") + line(message={"role": "user", "content": "x"}),
            "Line 3: message.id is missing",
        ),
        (begun("j") + message(1) + message(2)[:30], "Line 4 is not JSON"),
        (
            begun("j") + message(1) + line(message={"uuid": "2", "content": "x"}),
            "Line 4: message.uuid must be a uuid",
        ),
        (
            begun("j") + line(message={"id": "1", "role": "Ann", "content": "x"}),
            "Line 3: message.role must be one of system",
        ),
        (
            begun("j") + line(message={"id": "1", "role_type": "user", "content": "x"}),
            "Line 3: message.id does not exist in format 1",
        ),
    ],
    ids=lambda text: text[:24].strip(),
)
def test_an_invalid_line_is_reported_with_its_field(
    tmp_path: Path, text: str, sentence: str
) -> None:
    result = importing(tmp_path, text)
    assert (result.returncode, result.stdout) == (1, "")
    assert is_sentence(result.stderr)
    assert sentence in result.stderr
    stopped = "The import stopped " + ("in user 'j'" if "Line 1" not in sentence else "before")
    assert stopped in result.stderr


def test_a_value_that_the_instance_rejects_has_to_be_corrected_in_the_file(tmp_path: Path) -> None:
    text = line(user={"user_id": "j", "created_at": "2999-01-01T00:00:00Z"})
    result = importing(tmp_path, text)
    assert result.returncode == 1
    assert "created_at is in the future" in result.stderr
    assert "after line 1. To continue, correct the file and run it again" in result.stderr


def test_an_incomplete_export_is_reported(tmp_path: Path) -> None:
    fill(str(tmp_path / "source.db"))
    exported = export(tmp_path, "--database", "source.db").splitlines(keepends=True)
    result = importing(tmp_path, "".join(exported[:-2]))
    assert result.returncode == 1
    assert "The file is incomplete" in result.stderr
    assert importing(tmp_path, "".join(exported)).returncode == 0


def test_lines_that_an_export_has_lost_are_reported(tmp_path: Path) -> None:
    fill(str(tmp_path / "source.db"))
    exported = export(tmp_path, "--database", "source.db").splitlines(keepends=True)
    lost = next(number for number, line in enumerate(exported) if line.startswith('{"message"'))
    result = importing(tmp_path, "".join(exported[:lost] + exported[lost + 1 :]))
    assert result.returncode == 1
    assert "lines of the file were lost or added" in result.stderr
    assert "messages: " in result.stderr
    assert "users: " not in result.stderr
    assert importing(tmp_path, "".join(exported) * 2).returncode == 0


# Imports that stop and are continued.


@contextmanager
def begun_import(folder: Path, url: str, *user_ids: str) -> Iterator["subprocess.Popen[str]"]:
    """Start an import from a pipe, and wait for these users and two batches of messages."""
    process = subprocess.Popen(
        [str(USERKEEP), "import", "-", "--url", url],
        cwd=folder,
        env=environment_of(),
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin
    process.stdin.write(begun(*user_ids) + "".join(map(message, range(2 * BATCH + 1))))
    process.stdin.flush()
    with Userkeep(url) as client:
        ends = time.monotonic() + 60
        while not _has_messages(client, user_ids[-1], 2 * BATCH):
            assert time.monotonic() < ends
            time.sleep(0.05)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def _has_messages(client: Userkeep, user_id: str, count: int) -> bool:
    sessions = list(client.session.list(user_id=user_id))
    return bool(sessions) and sessions[0].message_count == count


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"]
)
def test_an_interrupted_import_names_its_user_and_continues_when_run_again(
    tmp_path: Path, number: int, code: int
) -> None:
    whole = begun("ann", "bob") + "".join(map(message, range(2500))) + begun("cem")
    database = tmp_path / "userkeep.db"
    with serving(tmp_path) as server, begun_import(tmp_path, server.url, "ann", "bob") as process:
        process.send_signal(number)
        out, error = process.communicate(timeout=30)
        assert (process.returncode, out) == (code, "")
        assert is_sentence(error)
        assert "Interrupted. The import stopped in user 'bob'" in error
        assert "run it again" in error
    before = all_of(database)
    result = importing(tmp_path, whole, "--database", str(database), "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    added = report["added"]
    assert (added["users"], added["sessions"], added["messages"]) == (1, 1, 500)
    after = all_of(database)
    assert after[0][:2] == before[0]  # no revision and no time has changed
    assert after[1][0] == before[1][0]
    assert [each.id for each in after[2][1]] == [str(UUID(int=n)) for n in range(2500)]
    importing(tmp_path, whole, "--database", str(database))
    assert all_of(database) == after


def test_an_import_whose_server_dies_names_its_user(tmp_path: Path) -> None:
    with serving(tmp_path) as server, begun_import(tmp_path, server.url, "ann") as process:
        server.kill()
        _, error = process.communicate("".join(map(message, range(3000, 5000))), timeout=60)
    assert process.returncode == 5
    assert is_sentence(error)
    assert "The import stopped in user 'ann'" in error


def test_a_signal_that_nohup_ignores_does_not_stop_a_command(tmp_path: Path) -> None:
    with serving(tmp_path) as server, Userkeep(server.url) as client:
        process = subprocess.Popen(
            ["nohup", str(USERKEEP), "import", "-", "--url", server.url],
            cwd=tmp_path,
            env=environment_of(),
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdin
        process.stdin.write(begun("ann") + "".join(map(message, range(BATCH + 1))))
        process.stdin.flush()
        ends = time.monotonic() + 60
        while not _has_messages(client, "ann", BATCH):
            assert time.monotonic() < ends
            time.sleep(0.05)
        process.send_signal(signal.SIGHUP)
        out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "Added 1 user, 1 session, 1,001 messages.\n")


def test_differing_users_and_sessions_are_skipped_and_named(tmp_path: Path) -> None:
    with Userkeep.open(str(tmp_path / "m.db")) as client:
        client.user.add(user_id="ann", metadata={"plan": True})
        client.user.add(user_id="bob")
        client.session.add(session_id="cem", user_id="bob")
        client.session.add(session_id="bob", user_id="bob")
        client.session.end("bob")
    before = all_of(tmp_path / "m.db")
    text = line(user={"user_id": "ann", "metadata": {"plan": 1}}) + line(
        session={"session_id": "x"}
    )
    text += message(1) + begun("bob") + message(2) + begun("cem") + message(3) + begun("dea")
    result = importing(tmp_path, text, "--database", "m.db", "--json")
    assert result.returncode == 1
    assert "user 'ann' exists and differs from the file in metadata" in result.stderr
    assert "session 'bob' exists and differs from the file in ended_at" in result.stderr
    assert "session 'cem' exists and belongs to another user" in result.stderr
    report = json.loads(result.stdout)
    assert report["differing_users"] == ["ann"]
    assert report["differing_sessions"] == ["bob", "cem"]
    added = report["added"]
    assert (added["users"], added["sessions"], added["messages"]) == (2, 1, 0)
    after = all_of(tmp_path / "m.db")
    assert after[0][:2] == before[0]
    assert after[1][:2] == before[1]


def test_repeated_and_deleted_messages_are_identified_by_their_uuid(
    tmp_path: Path,
) -> None:
    text = begun("ann") + "".join(map(message, range(1500)))
    repeated = text + message(3) + message(1499)
    result = importing(tmp_path, repeated, "--database", "m.db", "--json")
    assert json.loads(result.stdout)["added"]["messages"] == 1500
    with Userkeep.open(str(tmp_path / "m.db")) as client:
        client.message.delete("ann", str(UUID(int=5)))
    result = importing(tmp_path, repeated, "--database", "m.db", "--json")
    report = json.loads(result.stdout)
    assert (report["added"]["messages"], report["present"]["messages"]) == (1, 1501)


def test_an_interrupted_export_keeps_the_previous_file_and_says_so(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        with Userkeep(server.url) as client:
            for number in range(3):
                messages = (NewMessage(role="user", content="x" * 2000) for _ in range(4000))
                client.message.add_bulk(f"s{number}", messages, user_id="jane")
        (tmp_path / "users.jsonl").write_text("former")
        process = subprocess.Popen(
            [str(USERKEEP), "export", "--output", "users.jsonl", "--url", server.url],
            cwd=tmp_path,
            env=environment_of(),
            text=True,
            stderr=subprocess.PIPE,
        )
        ends = time.monotonic() + 60
        while not any(each.stat().st_size > 100_000 for each in tmp_path.glob(".users*")):
            assert time.monotonic() < ends
            time.sleep(0.002)
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=30)
    assert process.returncode == 143
    assert is_sentence(error)
    assert "stopped in user 'jane'" in error
    assert "users.jsonl was not written. Run it again." in error
    assert (tmp_path / "users.jsonl").read_text() == "former"
    assert not list(tmp_path.glob(".users*"))


def test_a_byte_order_mark_before_the_lines_is_ignored(tmp_path: Path) -> None:
    text = begun("ann").replace("\n", "\r\n")
    assert importing(tmp_path, f"\ufeff{text}").stdout.startswith("Added 1 user, 1 session")
    (tmp_path / "utf-16.jsonl").write_bytes(text.encode("utf-16"))
    rejected = userkeep("import", "utf-16.jsonl", folder=tmp_path)
    assert (rejected.returncode, rejected.stdout) == (1, "")
    assert "The file is UTF-16, not UTF-8. Save it as UTF-8." in rejected.stderr


# What exists in another way.

AT = "2020-02-03T04:05:06Z"
WHOLE: dict[str, Any] = {
    "id": "m",
    "role": "user",
    "name": "Ann",
    "content": "Hello",
    "metadata": {"a": 1},
    "data": {"b": 1},
    "token_count": 1,
    "created_at": AT,
}
OTHER_VALUES: dict[str, Any] = {
    "role": "assistant",
    "name": None,
    "content": "hello",
    "metadata": {"a": True},
    "data": {"b": True},
    "token_count": None,
    "created_at": "2020-02-03T04:05:06.000001Z",
}


@pytest.fixture(params=["sqlite file", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh database."""
    return database_url(request.param, tmp_path)


@contextmanager
def opened(folder: Path, database: str) -> Iterator[Userkeep]:
    """Open a database whose secret is where commands in this folder find it."""
    with chdir(folder), Userkeep.open(database) as client:
        yield client


def test_a_changed_message_is_reported_by_line_and_field_and_stays_as_it_is(
    tmp_path: Path, database: str
) -> None:
    place = ("--database", database)
    fields = list(OTHER_VALUES)
    begin = begun("ann")
    text = begin + "".join(line(message=WHOLE | {"id": each}) for each in fields)
    assert importing(tmp_path, text, *place).returncode == 0
    before = export(tmp_path, *place)
    changed = begin + "".join(
        line(message=WHOLE | {"id": each, each: OTHER_VALUES[each]}) for each in fields
    )
    result = importing(tmp_path, changed + line(message=WHOLE | {"id": "new"}), *place, "--json")
    assert result.returncode == 1
    for number, each in enumerate(fields, 3):
        assert (
            f"line {number}: message '{each}' of session 'ann' exists and differs from the file in "
            f"{each}: not changed." in result.stderr
        )
    report = json.loads(result.stdout)
    assert report["differing_messages"] == [{"session_id": "ann", "id": each} for each in fields]
    assert report["added"]["messages"] == 1
    with_new = [each for each in lines_of(export(tmp_path, *place)) if "message" in each]
    assert with_new[:-1] == [each for each in lines_of(before) if "message" in each]


def test_a_message_that_is_twice_in_a_file_is_compared_with_itself(tmp_path: Path) -> None:
    text = begun("ann") + message(1) + message(1) + message(1, "Hello?")
    result = importing(tmp_path, text, "--database", "m.db", "--json")
    assert result.returncode == 1
    assert "line 5" in result.stderr
    report = json.loads(result.stdout)
    assert (report["added"]["messages"], report["present"]["messages"]) == (1, 1)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("user", "email", "x@example.com"),
        ("user", "last_name", "X"),
        ("user", "uuid", str(UUID(int=7))),
        ("user", "created_at", AT),
        ("session", "title", "X"),
        ("session", "metadata", {}),
        ("session", "uuid", str(UUID(int=7))),
        ("session", "created_at", AT),
        ("session", "ended_at", AT),
        ("session", "user_id", None),
    ],
)
def test_a_user_or_session_that_differs_is_named_with_the_field(
    tmp_path: Path, kind: str, field: str, value: Any
) -> None:
    importing(tmp_path, begun("ann") + message(1), "--database", "m.db")
    exported = export(tmp_path, "--database", "m.db")
    lines = lines_of(exported)
    next(each for each in lines if kind in each)[kind][field] = value
    text = "".join(line(**each) for each in lines)
    result = importing(tmp_path, text, "--database", "m.db", "--json")
    assert result.returncode == 1
    reason = (
        "belongs to another user" if field == "user_id" else f"differs from the file in {field}"
    )
    assert f"{kind} 'ann' exists and {reason}" in result.stderr
    assert json.loads(result.stdout)[f"differing_{kind}s"] == ["ann"]
    assert export(tmp_path, "--database", "m.db") == exported


def test_what_changes_without_a_new_value_is_no_difference(tmp_path: Path) -> None:
    importing(tmp_path, begun("ann") + message(1), "--database", "m.db")
    exported = export(tmp_path, "--database", "m.db")
    with Userkeep.open(str(tmp_path / "m.db")) as client:
        client.user.update(user_id="ann", first_name="Ann")
        client.user.update(user_id="ann", first_name=None)
        client.message.add("ann", [NewMessage(role="user", content="later")])
    assert importing(tmp_path, exported, "--database", "m.db").returncode == 0


# Where messages are restored.


def test_deleted_messages_return_to_where_they_were(tmp_path: Path, database: str) -> None:
    place = ("--database", database)
    text = begun("ann") + "".join(message(n, f"number {n}") for n in range(1, 7))
    importing(tmp_path, text, *place)
    exported = export(tmp_path, *place)
    with opened(tmp_path, database) as client:
        for number in (1, 3, 4):
            client.message.delete("ann", str(UUID(int=number)))
        client.message.delete_after("ann", 5)
        client.message.add("ann", [NewMessage(role="user", content="later")])
    for file in (exported, text):
        result = importing(tmp_path, file, *place, "--json")
        assert result.returncode == 0, result.stderr
    with opened(tmp_path, database) as client:
        messages = list(client.message.list("ann"))
        assert [each.seq for each in messages] == [*range(1, 8)]
        assert [each.content for each in messages[:-1]] == [f"number {n}" for n in range(1, 7)]
        newest = client.memory.get("ann", last=2)
        assert [each.content for each in newest.messages] == ["number 6", "later"]
        hits = client.search("number", user_id="ann")
        assert {f"number {n}" for n in range(1, 7)} <= {each.message.content for each in hits}
        session = client.session.get("ann")
        assert (session.message_count, session.active_at) == (7, messages[-1].created_at)
        client.message.add("ann", [NewMessage(role="user", content="last")])
        assert client.message.list("ann")[-1].seq == 8


def test_a_file_without_positions_restores_the_order_of_its_lines(tmp_path: Path) -> None:
    text = begun("ann") + "".join(message(n) for n in range(2 * BATCH + 5))
    importing(tmp_path, text, "--database", "m.db")
    deleted = {0, 1, BATCH - 1, BATCH, BATCH + 1, 2 * BATCH + 3}
    with Userkeep.open(str(tmp_path / "m.db")) as client:
        for number in deleted:
            client.message.delete("ann", str(UUID(int=number)))
    result = importing(tmp_path, text, "--database", "m.db", "--json")
    assert json.loads(result.stdout)["added"]["messages"] == len(deleted)
    with Userkeep.open(str(tmp_path / "m.db")) as client:
        ids = [each.id for each in client.message.list("ann")]
    assert ids == [str(UUID(int=number)) for number in range(2 * BATCH + 5)]


def test_a_message_whose_place_is_taken_is_not_moved_to_another_one(tmp_path: Path) -> None:
    importing(tmp_path, begun("ann") + message(1) + message(2), "--database", "m.db")
    exported = export(tmp_path, "--database", "m.db")
    between = begun("ann") + message(1) + message(3) + message(2)
    taken = begun("ann") + line(message=WHOLE | {"seq": 2})
    for text in (between, taken):
        result = importing(tmp_path, text, "--database", "m.db")
        assert result.returncode == 1
        assert "was not added: another message has its place" in result.stderr
        assert export(tmp_path, "--database", "m.db") == exported


# What was deleted, and whose uuid it is.


@pytest.mark.parametrize("is_exported", [True, False], ids=["with uuid", "without"])
@pytest.mark.parametrize("kind", ["user", "session"])
def test_an_import_does_not_restore_what_was_deleted_unless_as_new(
    tmp_path: Path, database: str, kind: str, is_exported: bool
) -> None:
    place = ("--database", database)
    text = begun("ann") + message(1)
    importing(tmp_path, text, *place)
    text = export(tmp_path, *place) if is_exported else text
    with opened(tmp_path, database) as client:
        uuid = client.user.get("ann").uuid
        client.user.delete("ann") if kind == "user" else client.session.delete("ann")
    result = importing(tmp_path, text, *place, "--json")
    assert result.returncode == 1
    assert f"{kind} 'ann' was skipped" in result.stderr
    assert f"This {kind} was deleted, and an import does not restore it" in result.stderr
    assert f"because they were deleted or their uuid is in use (see --as-new): 1 {kind}" in (
        result.stderr
    )
    report = json.loads(result.stdout)
    assert (report[f"rejected_{kind}s"], report["added"]["messages"]) == (["ann"], 0)
    for added in (1, 0):
        result = importing(tmp_path, text, *place, "--as-new", "--json")
        assert (result.returncode, result.stderr) == (0, "")
        assert json.loads(result.stdout)["added"]["messages"] == added
    with opened(tmp_path, database) as client:
        assert (client.user.get("ann").uuid != uuid) == (kind == "user")


def test_an_import_does_not_restore_a_session_that_got_its_deleted_user_after_the_export(
    tmp_path: Path, database: str
) -> None:
    place = ("--database", database)
    with opened(tmp_path, database) as client:
        client.session.add(session_id="s1")
        client.message.add("s1", NewMessage(role="user", content="Hello"))
    text = export(tmp_path, *place)
    with chdir(tmp_path), Userkeep.open(database, tombstone_hours=0) as client:
        client.project.add(name="shop")
        client.user.add(user_id="jane")
        uuid = client.session.update(session_id="s1", user_id="jane").uuid
        client.user.delete("jane")
    result = importing(tmp_path, text, *place, "--json")
    assert result.returncode == 1
    assert "session 's1' was skipped" in result.stderr
    assert "This session was deleted, and an import does not restore it" in result.stderr
    assert json.loads(result.stdout)["rejected_sessions"] == ["s1"]
    with opened(tmp_path, database) as client:
        assert list(client.session.list()) == []
    # In another project it is a copy.
    assert importing(tmp_path, text, *place, "--project", "shop").returncode == 0
    with chdir(tmp_path), Userkeep.open(database, project="shop") as client:
        [copied] = client.session.list()
        assert (copied.session_id, copied.message_count) == ("s1", 1)
        assert copied.uuid != uuid


def test_a_uuid_that_another_one_has_is_rejected(tmp_path: Path, database: str) -> None:
    place = ("--database", database)
    importing(tmp_path, begun("ann") + message(1), *place)
    before = export(tmp_path, *place)
    user, session = (
        before.replace('"ann","uuid"', '"bob","uuid"'),
        before.replace('{"session": {"session_id":"ann"', '{"session": {"session_id":"bob"'),
    )
    for kind, text in (("user", user), ("session", session)):
        result = importing(tmp_path, text, *place)
        assert result.returncode == 1
        assert f"{kind} 'bob' was skipped" in result.stderr
        assert f"is that of another {kind}." in result.stderr
        assert export(tmp_path, *place) == before


def test_the_uuid_of_another_project_is_replaced_by_a_new_one(
    tmp_path: Path, database: str
) -> None:
    place = ("--database", database)
    importing(tmp_path, begun("ann") + message(1), *place)
    exported = export(tmp_path, *place)
    userkeep("projects", "create", "store", *place, folder=tmp_path)
    in_store = (*place, "--project", "store")
    for text, added in ((exported, 1), (exported.replace('"ann"', '"bob"'), 1), (exported, 0)):
        result = importing(tmp_path, text, *in_store, "--json")
        assert (result.returncode, result.stderr) == (0, "")
        assert json.loads(result.stdout)["added"]["users"] == added
    of_store = lines_of(export(tmp_path, *in_store))
    [*uuids] = {each["user"]["uuid"] for each in of_store if "user" in each}
    assert len(uuids) == 2
    assert not any(each in exported for each in uuids)
    assert export(tmp_path, *place) == exported


# Sessions without a user.


def test_sessions_without_a_user_are_exported_and_imported(tmp_path: Path, database: str) -> None:
    text = line(session={"session_id": "x", "user_id": None}) + message(1) + begun("ann")
    assert importing(tmp_path, text, "--database", database).returncode == 0
    lines = lines_of(export(tmp_path, "--database", database))
    assert [next(iter(each)) for each in lines] == [
        *("userkeep", "user", "session", "session", "message", "end")
    ]
    assert lines[3]["session"]["user_id"] is None
    result = userkeep("export", "ann", "--database", database, folder=tmp_path)
    assert "1 session without a user may have more of theirs" in result.stderr
    assert '"x"' not in result.stdout


# Collections and documents.

VECTOR = [1.0] * 8


def with_documents(folder: Path, database: str) -> str:
    """Add users ann and bob with a document each, and one of none; return an export."""
    with opened(folder, database) as client:
        client.user.add(user_id="ann")
        client.user.add(user_id="bob")
        client.collection.add(name="notes", dimensions=8)
        client.collection.add(name="other", dimensions=8)
        of_users = [{"document_id": each, "user_id": each} for each in ("ann", "bob")]
        new = [{"embedding": VECTOR, "content": "Hello"} | each for each in of_users]
        client.document.add("notes", [*new, {"document_id": "free", "embedding": VECTOR}])
    return export(folder, "--database", database)


def test_an_export_of_a_user_has_their_documents_after_the_collection(tmp_path: Path) -> None:
    with_documents(tmp_path, "m.db")
    text = export(tmp_path, "ann", "--database", "m.db")
    lines = lines_of(text)
    assert [next(iter(each)) for each in lines] == [
        *("userkeep", "user", "collection", "document", "end")
    ]
    assert (lines[3]["document"]["document_id"], lines[3]["document"]["user_id"]) == ("ann", "ann")
    both = lines_of(export(tmp_path, "bob", "ann", "--database", "m.db"))
    ids = [each["document"]["document_id"] for each in both if "document" in each]
    assert (ids, both[-1]["end"]["collections"]) == (["bob", "ann"], 1)
    assert importing(tmp_path, text, "--database", "n.db").stdout == (
        "Added 1 user, 0 sessions, 0 messages, 1 collection, 1 document.\n"
    )
    assert export(tmp_path, "--database", "n.db") == text


def test_a_key_that_cannot_list_collections_exports_without_documents_and_says_so(
    tmp_path: Path,
) -> None:
    admin = "a-key-of-the-operator"
    with (
        serving(tmp_path, settings={"USERKEEP_API_KEY": admin}) as server,
        Userkeep(server.url, api_key=admin) as client,
    ):
        client.user.add(user_id="ann")
        client.collection.add(name="notes", dimensions=8)
        client.document.add("notes", {"user_id": "ann", "embedding": VECTOR})
        key = client.key.add(name="ann", scope="read", user_id="ann").key
        words = ("export", "ann", "--url", server.url)
        result = userkeep(*words, folder=tmp_path, environment={"USERKEEP_API_KEY": key})
    assert result.returncode == 0
    assert "Documents are not in the file: the API key may not list collections." in result.stderr
    assert lines_of(result.stdout)[-1]["end"]["users"] == 1


def test_a_restored_document_is_found_by_its_embedding(tmp_path: Path, database: str) -> None:
    text = with_documents(tmp_path, str(tmp_path / "source.db"))
    assert importing(tmp_path, text, "--database", database).returncode == 0
    with opened(tmp_path, database) as client:
        client.document.delete("notes", "ann")
        assert client.collection.get("notes").embedded_count == 2
    result = importing(tmp_path, text, "--database", database, "--json")
    assert (result.returncode, json.loads(result.stdout)["added"]["documents"]) == (0, 1)
    with opened(tmp_path, database) as client:
        hits = client.document.search("notes", embedding=VECTOR, user_id="ann")
        assert [each.document.content for each in hits] == ["Hello"]
        collection = client.collection.get("notes")
        assert (collection.document_count, collection.embedded_count) == (3, 3)
        # It comes after those that were there.
        assert [each.document_id for each in client.document.list("notes")] == [
            *("bob", "free", "ann")
        ]
        client.user.delete("ann")
        assert client.collection.get("notes").document_count == 2


def test_documents_of_a_deleted_user_are_not_restored(tmp_path: Path) -> None:
    database = "m.db"
    text = with_documents(tmp_path, database)
    with opened(tmp_path, database) as client:
        client.user.delete("ann")
        client.document.delete("notes", "bob")
    result = importing(tmp_path, text, "--database", database, "--json")
    assert result.returncode == 1
    assert "user 'ann' was skipped, with its sessions, messages and documents" in result.stderr
    report = json.loads(result.stdout)
    assert (report["rejected_users"], report["added"]["documents"]) == (["ann"], 1)
    # Nor from a file that does not have the user.
    lines = [each for each in text.splitlines(keepends=True) if '{"user"' not in each][1:-1]
    result = importing(tmp_path, "".join(lines), "--database", database, "--json")
    assert result.returncode == 1
    assert "document 'ann' of collection 'notes' was skipped: there is no user 'ann'" in (
        result.stderr
    )
    assert "because their users do not exist: 1 document" in result.stderr
    assert json.loads(result.stdout)["rejected_documents"] == [
        {"collection": "notes", "document_id": "ann"}
    ]


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("document", {"content": "Other"}),
        ("document", {"embedding": [2.0] * 8}),
        ("document", {"uuid": str(UUID(int=7))}),
        ("document", {"created_at": AT, "updated_at": AT}),
        ("collection", {"dimensions": 9}),
        ("collection", {"uuid": str(UUID(int=7))}),
    ],
    ids=str,
)
def test_a_collection_or_document_that_differs_is_named_with_the_field(
    tmp_path: Path, kind: str, changed: dict[str, Any]
) -> None:
    text = with_documents(tmp_path, "m.db")
    lines = lines_of(text)
    next(each for each in lines if kind in each)[kind] |= changed
    changed_text = "".join(line(**each) for each in lines)
    result = importing(tmp_path, changed_text, "--database", "m.db", "--json")
    assert result.returncode == 1
    assert f"exists and differs from the file in {next(iter(changed))}" in result.stderr
    report = json.loads(result.stdout)
    assert len(report[f"differing_{kind}s"]) == 1
    assert report["present"]["documents"] == (2 if kind == "document" else 0)
    assert export(tmp_path, "--database", "m.db") == text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (line(document={"document_id": "d", "content": "x"}), "must come after its collection"),
        (line(collection={"name": "c"}), "dimensions is missing"),
        (line(collection={"name": "c", "dimensions": 8, "model": "m"}), "embedded_by=model"),
        (line(document={"content": "x"}), "document.document_id is missing"),
        (
            line(collection={"name": "c", "dimensions": 8})
            + line(document={"document_id": "d", "embedding": [1.0]}),
            "embedding has 1 dimensions",
        ),
    ],
    ids=range(5),
)
def test_an_invalid_collection_or_document_is_an_error(
    tmp_path: Path, text: str, sentence: str
) -> None:
    result = importing(tmp_path, text, "--database", "m.db")
    assert (result.returncode, result.stdout) == (1, "")
    assert sentence in result.stderr


def test_embeddings_of_the_same_model_are_kept_and_others_wait_for_the_model(
    tmp_path: Path, database: str, embedding_server: EmbeddingServer
) -> None:
    model: Any = {"embeddings_url": embedding_server.url, "embeddings_model": MODEL}
    with Userkeep.open(tmp_path / "source.db", **model) as client:
        client.user.add(user_id="ann", do_not_embed=True)
        client.collection.add(name="notes", embedded_by="model", dimensions=DIMENSIONS)
        client.document.add("notes", {"document_id": "embedded", "content": "Shoes"})
        client.document.add(
            "notes", {"document_id": "rejected", "content": "Shoes", "user_id": "ann"}
        )
        embedding_server.plan(failing(500))
        client.document.add("notes", {"document_id": "waiting", "content": "Shoes"})
    text = export(tmp_path, "--database", "source.db")
    assert states_of(text) == {each: each for each in ("embedded", "rejected", "waiting")}
    place = ("--database", database)
    for _ in range(2):
        assert importing(tmp_path, text, *place).returncode == 0
        assert export(tmp_path, *place) == text
    with opened(tmp_path, database) as client:
        before = client.collection.get("notes")
        assert (before.embedded_count, before.waiting_count) == (1, 1)
        client.document.delete("notes", "embedded")
        client.document.delete("notes", "rejected")
    other = text.replace(str(before.model), "another")
    assert importing(tmp_path, other, *place).returncode == 0
    restored = export(tmp_path, *place)
    assert set(states_of(restored).values()) == {"waiting"}
    with opened(tmp_path, database) as client:
        after = client.collection.get("notes")
        assert (after.document_count, after.embedded_count, after.waiting_count) == (3, 0, 3)


def states_of(text: str) -> dict[str, str]:
    """Return the embedding states of the documents of an export; those embedded have one."""
    documents = [each["document"] for each in lines_of(text) if "document" in each]
    for each in documents:
        assert (each["embedding"] is not None) == (each["embedding_state"] == "embedded")
    return {each["document_id"]: each["embedding_state"] for each in documents}


def test_what_is_not_to_be_embedded_is_exported_and_imported(tmp_path: Path, database: str) -> None:
    with Userkeep.open(tmp_path / "source.db") as client:
        client.user.add(user_id="ann", do_not_embed=True)
        client.user.add(user_id="bob")
        for session_id, user_id in (("of ann", "ann"), ("of bob", "bob"), ("private", "bob")):
            is_private = session_id == "private"
            client.session.add(session_id=session_id, user_id=user_id, do_not_embed=is_private)
            client.message.add(session_id, {"role": "user", "content": "hello"})
        client.session.add(session_id="unowned", do_not_embed=True)
    text = export(tmp_path, "--database", "source.db")
    place = ("--database", database)
    for _ in range(2):
        assert importing(tmp_path, text, *place).returncode == 0
        assert export(tmp_path, *place) == text
    with opened(tmp_path, database) as client:
        assert {each.user_id for each in client.user.list() if each.do_not_embed} == {"ann"}
        left_out = {each.session_id for each in client.session.list() if each.do_not_embed}
        assert left_out == {"private", "unowned"}


def test_imported_messages_are_embedded_as_they_are_after_their_edits(
    tmp_path: Path, database: str, embedding_server: EmbeddingServer
) -> None:
    with Userkeep.open(tmp_path / "source.db") as client:
        client.user.add(user_id="ann", do_not_embed=True)
        for user_id in ("ann", "bob"):
            texts = ("a journey by ship", "hats", "gloves", "the price of shoes")
            messages = [{"role": "user", "content": each} for each in texts]
            added = client.message.add(f"of {user_id}", messages, user_id=user_id)
            client.message.update(f"of {user_id}", added[1].id, content="a voyage at sea")
            client.message.delete(f"of {user_id}", added[2].id)
    text = export(tmp_path, "--database", "source.db")
    model = {
        "USERKEEP_EMBEDDINGS_URL": embedding_server.url,
        "USERKEEP_EMBEDDINGS_MODEL": MODEL,
    }
    given: dict[str, Any] = {"folder": tmp_path, "environment": model}
    place = ("--database", database)
    assert userkeep("import", "-", *place, given=text, **given).returncode == 0
    embedded = userkeep("embed", *place, "--json", **given)
    assert json.loads(embedded.stdout)["messages"] == 3
    assert sorted(embedding_server.texts) == sorted(
        ["a journey by ship", "a voyage at sea", "the price of shoes"]
    )
    search = ("search", "footwear", "--mode", "meaning", "--json", "--limit", 1)
    [hit] = json.loads(userkeep(*search, *place, **given).stdout)["items"]
    found = hit["message"]
    assert (found["session_id"], found["seq"], found["content"]) == (
        "of bob",
        4,
        "the price of shoes",
    )
    assert export(tmp_path, *place) == text


# Compressed files and pipes.


def test_an_export_is_compressed_by_its_name_and_read_by_its_content(tmp_path: Path) -> None:
    importing(tmp_path, begun("ann") + message(1), "--database", "m.db")
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        export(tmp_path, "--output", name, "--database", "m.db")
    packed = (tmp_path / "a.jsonl.gz").read_bytes()
    assert packed == (tmp_path / "b.jsonl.gz").read_bytes()
    exported = export(tmp_path, "--database", "m.db")
    assert gzip.decompress(packed).decode() == exported
    (tmp_path / "without a suffix").write_bytes(packed)
    (tmp_path / "two members").write_bytes(gzip.compress(b"") + packed)
    for name in ("a.jsonl.gz", "without a suffix", "two members"):
        result = userkeep("import", name, "--database", f"{name}.db", folder=tmp_path)
        assert result.stdout == "Added 1 user, 1 session, 1 message.\n"
        assert export(tmp_path, "--database", f"{name}.db") == exported


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda packed: packed[:-1], "The gzip file is incomplete: it ends too early."),
        (lambda packed: packed[:12], "The gzip file is incomplete: it ends too early."),
        (lambda packed: packed[:-8] + bytes(8), "The gzip file is damaged."),
        (lambda packed: packed[:12] + b"\xff" * 9, "The gzip file is damaged."),
        (lambda _: gzip.compress(bytes(50_000_000)), "Line 1 is longer than 8 MiB."),
    ],
    ids=["no last byte", "only a header", "wrong checksum", "other bytes", "bomb"],
)
def test_a_damaged_gzip_file_is_an_error(tmp_path: Path, change: Any, reason: str) -> None:
    text = begun("ann") + "".join(message(number, f"{number:x}" * 9) for number in range(50))
    (tmp_path / "file").write_bytes(change(gzip.compress(text.encode())))
    result = userkeep("import", "file", "--database", "m.db", folder=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert is_sentence(result.stderr)
    assert reason in result.stderr


def test_exports_and_imports_work_in_pipes(tmp_path: Path) -> None:
    importing(tmp_path, begun("ann") + message(1), "--database", "m.db")
    exported = export(tmp_path, "--database", "m.db")
    command = f"{USERKEEP} export --database m.db | gzip | {USERKEEP} import - --database n.db"
    run = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        env=environment_of(),
        check=False,
    )
    assert run.stdout == "Added 1 user, 1 session, 1 message.\n"
    assert run.stderr == "userkeep: Exported 1 user, 1 session, 1 message.\n"
    assert export(tmp_path, "--database", "n.db") == exported
