"""Users, sessions, messages and memory: on a file, on PostgreSQL and on a server."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cli.running import is_sentence, userkeep
from tests.cli.terminals import on_terminal
from tests.http.schemas import faults
from tests.long.counts import IS_FULL
from tests.postgres import migrated_database, postgres_server
from tests.serving import serving
from userkeep import NewMessage, Userkeep
from userkeep.api.common import Page
from userkeep.api.erasures import Erasure
from userkeep.api.memory import Memory
from userkeep.api.messages import Message
from userkeep.api.projects import Project
from userkeep.api.sessions import Session
from userkeep.api.users import User

Run = Callable[..., "subprocess.CompletedProcess[str]"]

KINDS = ("file", "postgres", "server")

# A command knows no engine: it calls the client of a database or of a server. So a usual run has
# most tests on a file and on a server, and on PostgreSQL those that use every command.
USUAL_KINDS = KINDS if IS_FULL else ("file", "server")
on_each_kind = pytest.mark.parametrize("run", KINDS, indirect=True)


def on(folder: Path, *place: str) -> Run:
    """Return a function that runs commands in a folder, with these options at their end."""

    def run(*words: object, given: str | None = None) -> "subprocess.CompletedProcess[str]":
        return userkeep(*words, *place, folder=folder, given=given)

    return run


@pytest.fixture(params=USUAL_KINDS)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """Run commands on an instance of each kind."""
    with ExitStack() as stack:
        if request.param == "file":
            yield on(tmp_path, "--database", str(tmp_path / "new" / "memory.db"))
        elif request.param == "postgres":
            yield on(tmp_path, "--database", migrated_database())
        else:
            yield on(tmp_path, "--url", stack.enter_context(serving(tmp_path)).url)


@pytest.fixture
def here(tmp_path: Path) -> Run:
    """Run commands in a folder, without naming the database."""
    return on(tmp_path)


def printed_json(result: "subprocess.CompletedProcess[str]", kind: Any) -> Any:
    """Return the JSON document that was printed, which matches the schema of a type."""
    assert (result.returncode, result.stderr) == (0, "")
    value = json.loads(result.stdout)
    (schema,), parts = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    assert list(faults(value, schema, {"$defs": parts})) == []
    return value


def rejected(result: "subprocess.CompletedProcess[str]", code: int) -> str:
    """Return the error message of a command that failed, with nothing on stdout."""
    assert (result.returncode, result.stdout) == (code, "")
    assert is_sentence(result.stderr)
    return result.stderr


def test_what_is_not_to_be_embedded_is_set_by_a_flag(run: Run) -> None:
    def is_left_out(kind: Any, *words: object) -> bool:
        left_out: bool = printed_json(run(*words, "--json"), kind)["do_not_embed"]
        return left_out

    assert is_left_out(User, "users", "add", "jane", "--do-not-embed")
    assert not is_left_out(User, "users", "add", "john")
    assert not is_left_out(User, "users", "update", "jane", "--embed")
    chat = ("sessions", "update", "chat")
    assert is_left_out(Session, "sessions", "add", "chat", "--user-id", "jane", "--do-not-embed")
    assert not is_left_out(Session, *chat, "--embed")
    shown = run("users", "update", "john", "--do-not-embed").stdout
    assert re.search(r"^embedded +no\b", shown, re.MULTILINE)
    project = ("projects", "update", "default")
    assert is_left_out(Project, *project, "--do-not-embed")
    assert not is_left_out(Project, *project, "--embed")


@on_each_kind
def test_objects_are_added_shown_listed_updated_and_deleted_as_in_the_schemas(run: Run) -> None:
    fields = (
        "--email",
        "jane@example.com",
        "--last-name",
        "Smith",
        "--metadata",
        '{"a": {"b": 1}}',
    )
    jane = printed_json(run("users", "add", "jane", *fields, "--json"), User)
    assert (jane["email"], jane["metadata"], jane["revision"]) == (
        "jane@example.com",
        {"a": {"b": 1}},
        1,
    )
    assert printed_json(run("users", "show", "jane", "--json"), User) == jane
    change = ("--metadata", '{"a": {"b": null}, "c": 2}', "--remove", "last_name")
    changed = printed_json(run("users", "update", "jane", *change, "--json"), User)
    assert (changed["last_name"], changed["metadata"]) == (None, {"a": {}, "c": 2})
    assert changed["email"] == "jane@example.com"

    opened = printed_json(run("sessions", "add", "chat-1", "--user-id", "jane", "--json"), Session)
    assert opened["user_id"] == "jane"
    words = ("messages", "add", "chat-1", "-", "--name", "Jane", "--json")
    message = printed_json(run(*words, given="In blue?\nOr green?\n"), Message)
    assert message["content"] == "In blue?\nOr green?"
    assert (message["name"], message["role"]) == ("Jane", "user")
    changed = ("messages", "update", "chat-1", message["id"], "--content", "-", "--json")
    marked = printed_json(run(*changed, given="\ufeffIn red?\r\nOr not?\r\n"), Message)
    assert marked["content"] == "In red?\r\nOr not?"
    message = printed_json(run(*changed, given="In blue?\nOr green?\n"), Message)
    memory = printed_json(run("memory", "show", "chat-1", "--last", "3", "--json"), Memory)
    assert memory.pop("messages") == [message]
    assert memory == {"summary": None, "facts": [], "token_count": 5, "truncated": False}
    page = printed_json(run("messages", "list", "chat-1", "--json"), Page[Message])
    assert page == {"items": [message], "next": None}
    printed_json(run("messages", "add", "chat-1", "In no colour.", "--json"), Message)
    newest = printed_json(run("memory", "show", "chat-1", "--last", "1", "--json"), Memory)
    id_ = newest["messages"][0]["id"]
    delete = ("messages", "delete", "chat-1", id_, "--yes", "--purge", "now", "--json")
    erasure = printed_json(run(*delete), Erasure)
    assert (erasure["subject"], erasure["state"]) == ("message", "purged")
    assert "no message" in rejected(run(*delete), 4)

    ended = printed_json(run("sessions", "end", "chat-1", "--json"), Session)
    assert ended["ended_at"] is not None
    assert printed_json(run("sessions", "show", "chat-1", "--json"), Session) == ended
    page = printed_json(run("sessions", "list", "--user-id", "jane", "--json"), Page[Session])
    assert page == {"items": [ended], "next": None}

    leave = ("users", "delete", "jane", "--yes", "--purge", "now", "--json")
    erasure = printed_json(run(*leave), Erasure)
    assert erasure["state"] == "purged"
    assert erasure["counts"] == {"users": 1, "sessions": 1, "messages": 1, "documents": 0}
    assert "no user" in rejected(run("users", "show", "jane", "--json"), 4)
    assert "no session" in rejected(run("messages", "list", "chat-1", "--json"), 4)


def test_a_session_is_updated_listed_by_activity_and_found_by_its_title(run: Run) -> None:
    for name in ("old", "new"):
        run("messages", "add", name, "Hello", "--user-id", "jane")
    change = ("--title", "Blue shoes", "--metadata", '{"topic": "shoes"}', "--if-revision", "1")
    changed = printed_json(run("sessions", "update", "old", *change, "--json"), Session)
    assert (changed["title"], changed["metadata"]) == ("Blue shoes", {"topic": "shoes"})
    assert "revision" in rejected(run("sessions", "update", "old", *change), 1)
    run("messages", "add", "old", "In blue?")

    def listed(*words: str) -> list[str]:
        page = printed_json(run("sessions", "list", *words, "--json"), Page[Session])
        return [each["session_id"] for each in page["items"]]

    assert listed("--order=-active") == ["old", "new"]
    assert listed("--order", "active", "--user-id", "jane") == ["new", "old"]
    assert listed("--q", "blu sh") == ["old"]
    [last, _] = printed_json(
        run("sessions", "list", "--order=-active", "--last-message", "--json"), Page[Session]
    )["items"]
    assert listed("--active-after", "2020-01-01", "--active-before", last["active_at"]) == ["new"]
    assert last["last_message"]["content"] == "In blue?"
    removed = run("sessions", "update", "old", "--remove", "title", "--json")
    assert printed_json(removed, Session)["title"] is None
    run("sessions", "add", "unowned")
    owned = run("sessions", "update", "unowned", "--user-id", "jane", "--json")
    assert printed_json(owned, Session)["user_id"] == "jane"


def test_a_message_is_shown_and_updated(run: Run) -> None:
    added = run("messages", "add", "chat-1", "In green", "--user-id", "jane", "--json")
    message = printed_json(added, Message)
    place = ("chat-1", message["id"])
    assert printed_json(run("messages", "show", *place, "--json"), Message) == message
    change = ("--role", "ai", "--name", "Ada", "--token-count", "3", "--metadata", '{"a": 1}')
    update = ("messages", "update", *place)
    answer = run(*update, "--content", "-", *change, "--json", given="In blue.\n")
    changed = printed_json(answer, Message)
    assert (changed["role"], changed["name"], changed["content"]) == (
        "assistant",
        "Ada",
        "In blue.",
    )
    assert (changed["token_count"], changed["metadata"], changed["revision"]) == (3, {"a": 1}, 2)
    call = ("--data", '{"call":  1}', "--remove", "content", "--if-revision", "2")
    changed = printed_json(run(*update, *call, "--json"), Message)
    assert (changed["content"], changed["data"]) == ("", {"call": 1})
    assert "revision" in rejected(run(*update, *call), 1)
    assert "content" in rejected(run(*update, "--remove", "data"), 1)


def test_the_messages_after_one_or_all_are_deleted(run: Run) -> None:
    for text in ("one", "two", "three"):
        run("messages", "add", "chat-1", text, "--user-id", "jane")
    words = ("messages", "delete", "chat-1", "--after", "1", "--yes", "--purge", "now", "--json")
    erasure = printed_json(run(*words), Erasure)
    assert (erasure["state"], erasure["counts"]["messages"]) == ("purged", 2)
    page = printed_json(run("messages", "list", "chat-1", "--json"), Page[Message])
    assert [each["content"] for each in page["items"]] == ["one"]
    erasure = printed_json(run("messages", "clear", "chat-1", "--yes", "--json"), Erasure)
    assert erasure["counts"]["messages"] == 1
    session = printed_json(run("sessions", "show", "chat-1", "--json"), Session)
    assert (session["user_id"], session["message_count"]) == ("jane", 0)


@pytest.mark.parametrize(
    "words",
    [
        ("sessions", "show", "chat-1"),
        ("sessions", "update", "chat-1", "--title", "Shoes"),
        ("sessions", "end", "chat-1"),
        ("sessions", "reopen", "chat-1"),
        ("sessions", "delete", "chat-1", "--yes"),
        ("messages", "list", "chat-1"),
        ("messages", "show", "chat-1", "m-1"),
        ("messages", "update", "chat-1", "m-1", "--name", "Jane"),
        ("messages", "delete", "chat-1", "m-1", "--yes"),
        ("messages", "delete", "chat-1", "--after", "0", "--yes"),
        ("messages", "clear", "chat-1", "--yes"),
        ("memory", "show", "chat-1"),
    ],
    ids=" ".join,
)
def test_the_session_of_another_user_is_not_found(tmp_path: Path, words: tuple[str, ...]) -> None:
    with Userkeep.open(str(tmp_path / "m.db")) as client:
        for user_id in ("jane", "bill"):
            client.user.add(user_id=user_id)
        client.session.add(session_id="chat-1", user_id="jane")
        client.message.add("chat-1", NewMessage(role="user", content="Hello", id="m-1"))
    here = on(tmp_path, "--database", "m.db")
    assert "no session" in rejected(here(*words, "--user-id", "bill"), 4)
    assert here(*words, "--user-id", "jane").returncode == 0


def test_a_rejected_command_prints_a_sentence_and_has_an_exit_code(here: Run) -> None:
    assert here("users", "add", "jane").returncode == 0
    assert "already" in rejected(here("users", "add", "jane", "--json"), 1)
    assert "no user" in rejected(here("sessions", "add", "--user-id", "nobody"), 4)
    assert "no session" in rejected(here("messages", "add", "nowhere", "Hello"), 4)
    assert "cursor is not valid" in rejected(here("users", "list", "--cursor", "x"), 1)
    assert "user_id" in rejected(here("users", "show", ".."), 1)


def test_a_list_is_filtered_ordered_and_paged(tmp_path: Path, here: Run) -> None:
    with Userkeep.open(str(tmp_path / "m.db")) as client:
        for name, plan in (("ann", "pro"), ("bob", "free"), ("cem", "pro"), ("dea", "5")):
            client.user.add(user_id=name, email=f"{name}@example.com", metadata={"plan": plan})
        ann = client.user.get("ann")

    def listed(*words: str) -> tuple[list[str], str | None]:
        page = json.loads(here("users", "list", "--database", "m.db", "--json", *words).stdout)
        return [each["user_id"] for each in page["items"]], page["next"]

    names, cursor = listed("--limit", "3")
    assert names == ["ann", "bob", "cem"]
    assert listed("--limit", "3", "--cursor", str(cursor)) == (["dea"], None)
    assert listed("--limit", "1", "--all") == (["ann", "bob", "cem", "dea"], None)
    assert listed("--order", "-created", "--limit", "2")[0] == ["dea", "cem"]
    assert listed("--email", "BOB@example.com") == (["bob"], None)
    assert listed("--metadata", "plan=pro") == (["ann", "cem"], None)
    assert listed("--metadata", 'plan="5"') == (["dea"], None)
    assert listed("--metadata", "plan=5") == (["dea"], None)
    assert listed("--metadata", "plan=5", "--metadata", "plan=5.0") == ([], None)
    assert listed("--metadata", "plan=pro", "--metadata", 'plan="pro"') == (["ann", "cem"], None)
    assert listed("--metadata", '"a.b=c".d=5') == ([], None)
    not_pro = '{"not": {"field": "metadata.plan", "op": "eq", "value": "pro"}}'
    assert listed("--filter", not_pro) == (["bob", "dea"], None)
    assert listed("--filter", not_pro, "--metadata", "plan=free") == (["bob"], None)
    assert listed("--created-after", ann.created_at.isoformat())[0] == ["bob", "cem", "dea"]
    assert listed("--created-before", ann.created_at.isoformat())[0] == []
    assert listed("--q", "cem@ex") == (["cem"], None)
    counted = here("users", "list", "--database", "m.db", "--count", "--limit", "1", "--json")
    assert json.loads(counted.stdout)["count"] == 4
    for words in (("--limit", "1"), ("--all",)):
        shown = here("users", "list", "--database", "m.db", "--count", *words).stdout
        assert "4 in all." in shown.splitlines()


def test_long_texts_are_cut_in_tables_alone(tmp_path: Path, here: Run) -> None:
    long, lines = "many words " * 10_000, "line\n" * 400
    with Userkeep.open(str(tmp_path / "m.db")) as client:
        client.session.add(session_id="chat", title="title " * 80)
        for content in ("short", long, lines):
            client.message.add("chat", [{"role": "user", "content": content}])
        [message_id] = [each.id for each in client.message.list("chat", 1, after_seq=1)]
    at = ("--database", "m.db")
    for words in (
        ("messages", "list", "chat"),
        ("memory", "show", "chat"),
        ("sessions", "list", "--last-message"),
    ):
        shown = here(*words, *at).stdout
        assert len(re.sub(" +", " ", shown)) < 3000, words
        assert "…" in shown, words
    whole = json.loads(here("messages", "list", "chat", *at, "--json").stdout)
    assert [each["content"] for each in whole["items"]] == ["short", long, lines]
    assert len(here("messages", "show", "chat", message_id, *at).stdout) > len(long)


def test_messages_are_filtered(here: Run) -> None:
    for text, metadata in (("Hello", "{}"), ("Shoes?", '{"topic": "shoes"}')):
        words = ("messages", "add", "chat", text, "--user-id", "jane", "--metadata", metadata)
        assert here(*words).returncode == 0
    about_shoes = '{"field": "metadata.topic", "op": "in", "value": ["shoes", "boots"]}'
    shown = here("messages", "list", "chat", "--filter", about_shoes, "--json").stdout
    assert [each["content"] for each in json.loads(shown)["items"]] == ["Shoes?"]

    def listed(*words: str) -> list[int]:
        shown = here("messages", "list", "chat", *words, "--json").stdout
        return [each["seq"] for each in json.loads(shown)["items"]]

    here("messages", "add", "chat", "In blue?", "--role", "ai", "--name", "Ada")
    assert listed("--after-seq", "1") == [2, 3]
    assert listed("--before-seq", "3", "--order=-created", "--limit", "1") == [2]
    assert listed("--role", "assistant") == [3]
    assert listed("--created-before", "2020-01-01") == []
    table = here("messages", "list", "chat").stdout
    assert re.search(r"3 +assistant +Ada +In blue\?", table)
    assert "name" not in here("messages", "list", "chat", "--before-seq", "3").stdout
    unknown = '{"field": "metadata.topic", "op": "is", "value": 1}'
    assert "filter.op" in rejected(here("messages", "list", "chat", "--filter", unknown), 1)


def test_a_printed_list_says_if_it_is_empty_and_how_to_see_more(here: Run) -> None:
    here("users", "add", "jane")
    here("users", "add", "名前")
    assert here("sessions", "list").stdout == "No sessions.\n"
    first = here("users", "list", "--limit", "1").stdout
    assert "jane" in first
    assert "名前" not in first
    found = re.search(r"There are more\. Add --cursor (\S+) .*--all", first)
    assert found
    second = here("users", "list", "--limit", "1", "--cursor", found[1]).stdout
    assert "名前" in second
    assert "There are more" not in second


def head_of(result: "subprocess.CompletedProcess[str]") -> list[str]:
    """Return the names of the columns of a printed list."""
    return re.split(r" {2,}", result.stdout.splitlines()[0].strip())


def row_of(result: "subprocess.CompletedProcess[str]") -> list[str]:
    """Return the cells of the first row of a printed list."""
    return re.split(r" {2,}", result.stdout.splitlines()[2].strip())


def test_a_printed_list_has_columns_for_what_there_is(here: Run) -> None:
    here("users", "add", "jane", "--first-name", "Jane", "--email", "jane@example.com")
    here("sessions", "add", "chat-1", "--user-id", "jane", "--title", "Blue shoes")
    listed = here("sessions", "list")
    assert head_of(listed) == ["session_id", "user_id", "title", "messages", "active"]
    assert row_of(listed) == ["chat-1", "jane", "Blue shoes", "0", "just now"]
    here("messages", "add", "chat-1", f"In blue?\n{'x' * 100}")
    here("sessions", "end", "chat-1")
    listed = here("sessions", "list", "--last-message")
    assert head_of(listed)[-2:] == ["ended", "last message"]
    assert row_of(listed)[-2:] == ["yes", rf"user: In blue?\n{'x' * 100}"]
    assert head_of(here("users", "list")) == ["user_id", "name", "email", "created"]
    assert head_of(here("messages", "list", "chat-1")) == ["seq", "role", "content", "created"]
    head = head_of(here("messages", "list", "chat-1", "--ids"))
    assert head == ["seq", "id", "role", "content", "created"]


def test_a_message_without_content_is_listed_with_its_data(tmp_path: Path) -> None:
    with Userkeep.open(str(tmp_path / "m.db")) as client:
        client.session.add(session_id="chat-1")
        call = NewMessage(role="assistant", data={"tool": "x" * 300})
        client.message.add("chat-1", call)
    listed = on(tmp_path, "--database", "m.db")("messages", "list", "chat-1")
    assert row_of(listed)[2] == f'{{"tool":"{"x" * 191}…'


def test_times_are_printed_relative_to_now_and_as_dates(here: Run) -> None:
    shown = here("users", "add", "jane").stdout
    assert re.search(
        r"^created +just now \(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC\) *$", shown, re.M
    )


def test_control_characters_of_users_are_escaped(here: Run) -> None:
    here("users", "add", "jane", "--email", "\x1b[31mred\x07", "--first-name", "[bold]J\u202e")
    for words in (("users", "list"), ("users", "show", "jane")):
        shown = here(*words).stdout
        assert "\\u001b[31mred\\u0007" in shown
        assert "[bold]J\\u202e" in shown
        assert not re.search("[\x07\x1b\u202e]", shown)


@pytest.mark.parametrize(
    "words",
    [
        ("users", "add", "jane", "--metadata", "[1]"),
        ("users", "add", "jane", "--metadata", "{"),
        ("users", "update", "jane"),
        ("users", "update", "jane", "--email", "x", "--remove", "email"),
        ("users", "update", "jane", "--remove", "created_at"),
        ("users", "update", "jane", "--email", "x", "--if-revision", "0"),
        ("messages", "update", "s", "m", "--data", "{"),
        ("messages", "list", "s", "--role", "king"),
        ("sessions", "list", "--order", "title"),
        ("users", "list", "--created-after", "yesterday"),
        ("users", "list", "--metadata", "plan"),
        ("users", "list", "--metadata", "a..b=1"),
        ("users", "list", "--metadata", '"a=1'),
        ("sessions", "list", "--metadata", "plan=[1]"),
        ("sessions", "list", "--filter", "plan=pro"),
        ("messages", "list", "s", "--filter", "[]"),
        ("users", "list", "--limit", "1001"),
        ("users", "list", "--url", "127.0.0.1:8000"),
        ("users", "list", "--url", "http://127.0.0.1:port"),
        ("users", "list", "--url", "http://127.0.0.1:8000", "--database", "m.db"),
        ("users", "list", "--database", ":memory:"),
        ("import", "missing.jsonl"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_reported_before_anything_is_opened_or_created(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    here = on(tmp_path)
    if words[1] == "update":
        with Userkeep.open(str(tmp_path / "m.db")) as client:
            client.user.add(user_id="jane")
        words = (*words, "--database", "m.db")
    result = here(*words)
    assert (result.returncode, result.stdout) == (2, "")
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "userkeep-data").exists()


# Which instance it uses.


def test_the_environment_names_the_instance_and_a_flag_overrides_it(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        there = {"USERKEEP_URL": server.url, "USERKEEP_API_KEY": "key-of-some-server"}
        there["USERKEEP_DATABASE_URL"] = f"sqlite:///{tmp_path}/nothing.db"
        added = userkeep("users", "add", "jane", folder=tmp_path, environment=there)
        assert added.returncode == 0
        assert added.stderr == (
            f"userkeep: warning: The server at {server.url} has no keys and does not check yours.\n"
        )
        shown = userkeep("users", "show", "jane", "--url", server.url, folder=tmp_path)
        assert shown.returncode == 0
        words = ("users", "list", "--database", "other.db")
        other = userkeep(*words, folder=tmp_path, environment=there)
        assert "Database other.db does not exist" in rejected(other, 1)


def test_a_server_that_has_the_file_open_is_called(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        added = userkeep("users", "add", "jane", "--database", "userkeep.db", folder=tmp_path)
        assert added.returncode == 0
        assert added.stderr == ""  # the note is for people: only a terminal gets it
        shown = on_terminal("users", "list", "--database", "userkeep.db", folder=tmp_path)
        assert f"the server at {server.url} has userkeep.db open" in shown.text
        with Userkeep(server.url) as client:
            assert client.user.get("jane").user_id == "jane"


@pytest.mark.parametrize(
    "words",
    [("users", "list"), ("users", "delete", "jane", "--yes"), ("memory", "show", "s"), ("export",)],
    ids=" ".join,
)
def test_only_commands_that_add_create_a_database(tmp_path: Path, words: tuple[str, ...]) -> None:
    here = on(tmp_path)
    sentence = rejected(here(*words), 1)
    assert "Database userkeep-data/userkeep.db does not exist" in sentence
    assert list(tmp_path.iterdir()) == []
    empty = postgres_server().new_database()
    assert "Userkeep database" in rejected(here(*words, "--database", empty), 1)
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_server_has_its_own_exit_code(here: Run) -> None:
    sentence = rejected(here("users", "list", "--url", "http://127.0.0.1:1", "--json"), 5)
    assert "Cannot connect to http://127.0.0.1:1" in sentence


# Deleting.


def test_one_message_or_those_after_one_are_named_to_delete(here: Run) -> None:
    here("messages", "add", "chat-1", "Hello", "--user-id", "jane")
    for words in ((), ("m-1", "--after", "0")):
        result = here("messages", "delete", "chat-1", *words, "--yes")
        assert result.returncode == 2
        assert "Give either ID or --after SEQ." in result.stderr
    assert "Hello" in here("messages", "list", "chat-1").stdout


def test_a_deletion_of_no_messages_shows_that_nothing_was_deleted(here: Run) -> None:
    here("messages", "add", "chat-1", "Hello", "--user-id", "jane")
    deleted = here("messages", "delete", "chat-1", "--after", "1", "--yes")
    assert re.search(r"^counts +nothing *$", deleted.stdout, re.M)


@pytest.mark.parametrize("words", [("delete", "chat-1", "--after", "0"), ("clear", "chat-1")])
def test_deleting_messages_needs_yes_without_a_terminal(here: Run, words: tuple[str, ...]) -> None:
    here("messages", "add", "chat-1", "Hello", "--user-id", "jane")
    assert "--yes" in rejected(here("messages", *words, given="y\n"), 2)
    assert "Hello" in here("messages", "list", "chat-1").stdout
    assert here("messages", *words, "--yes").returncode == 0
    assert here("messages", "list", "chat-1").stdout == "No messages in this session.\n"


@pytest.mark.parametrize("words", [("users", "delete", "jane"), ("sessions", "delete", "chat-1")])
def test_without_a_terminal_a_deletion_needs_yes(here: Run, words: tuple[str, ...]) -> None:
    here("messages", "add", "chat-1", "Hello", "--user-id", "jane")
    assert "--yes" in rejected(here(*words, given="y\n"), 2)
    assert here("memory", "show", "chat-1").returncode == 0
    gone = here(*words, "--yes")
    assert gone.returncode == 0
    assert re.search(r"^state +deleted", gone.stdout, re.M)
    assert here("sessions", "show", "chat-1").returncode == 4


def test_sessions_without_a_user_are_listed_and_mentioned_by_a_deletion(run: Run) -> None:
    run("sessions", "add", "unowned")
    run("users", "add", "jane")
    run("sessions", "add", "owned", "--user-id", "jane")
    for option, session_id in (("--without-user", "unowned"), ("--owned", "owned")):
        listed = json.loads(run("sessions", "list", option, "--json").stdout)
        assert [each["session_id"] for each in listed["items"]] == [session_id]
    deleted = run("users", "delete", "jane", "--yes")
    assert deleted.returncode == 0
    assert "1 session without a user may have data of the user, and is not deleted." in (
        deleted.stderr
    )
