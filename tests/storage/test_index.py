"""The full-text index matches the messages, whatever happens to them."""

import random
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import userkeep
from tests.conftest import database_url
from userkeep import NewMessage, Userkeep, UserkeepError
from userkeep.config import Settings
from userkeep.domain.errors import StorageError
from userkeep.domain.search.entries import IndexEntry, make_entry
from userkeep.domain.transaction import Transaction, scoped
from userkeep.instance import Instance, open_instance
from userkeep.jobs.index import compare_index, rebuild_index
from userkeep.services import erasures, reindexing

SECRET = "a secret for tests of the index"
_TEXT = "shoe red cat Café dog running 京都の夜 😀 it's a-b Jane हिन्दी"
WORDS = _TEXT.split()


@pytest.fixture(params=["sqlite file", "sqlite memory", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without messages."""
    return database_url(request.param, tmp_path)


@pytest.fixture
def client(url: str) -> Iterator[Userkeep]:
    """A client of an open database."""
    with closing(Userkeep.open(url, secret=SECRET)) as client:
        yield client


def instance_of(client: Userkeep) -> Instance:
    opened: Instance = client._transport.opened  # type: ignore[attr-defined]
    return opened


def random_text(rng: random.Random) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randrange(60)))


def messages(rng: random.Random) -> list[NewMessage]:
    roles = [("Jane", "user"), ("user", "user"), ("Bob Ray", "norole"), ("ai", "assistant")]
    return [
        NewMessage(role=role, content=random_text(rng) or "x", name=name)  # type: ignore[arg-type]
        for name, role in (rng.choice(roles) for _ in range(rng.randrange(1, 6)))
    ]


def change_something(client: Userkeep, rng: random.Random) -> None:
    session_id, user_id = f"s{rng.randrange(12)}", f"u{rng.randrange(4)}"
    owner = user_id if rng.random() < 0.5 else None
    change: list[Callable[[], Any]] = [
        lambda: client.message.add(session_id, messages(rng), user_id=owner),
        lambda: client.message.add(session_id, messages(rng), user_id=user_id),
        lambda: client.session.add(session_id=session_id),
        lambda: client.session.update(session_id=session_id, user_id=user_id),
        lambda: client.message.update(
            session_id, first_message_of(client, session_id), content=random_text(rng) or "x"
        ),
        lambda: client.message.update(
            session_id, first_message_of(client, session_id), name="Jane"
        ),
        lambda: client.message.update(
            session_id, first_message_of(client, session_id), metadata={"a": 1}
        ),
        lambda: client.message.delete(session_id, first_message_of(client, session_id)),
        lambda: client.message.delete_after(session_id, rng.randrange(9)),
        lambda: hide_messages_after(client, session_id, rng.randrange(9)),
        lambda: client.session.delete(session_id),
        lambda: client.user.delete(user_id),
    ]
    weights = [8, 8, 3, 3, 4, 2, 1, 3, 2, 2, 1, 1]
    with suppress(UserkeepError, IndexError):  # the user, session or message may not exist
        rng.choices(change, weights)[0]()


def hide_messages_after(client: Userkeep, session_id: str, seq: int) -> None:
    """Begin the deletion of messages, as a process does that ends then."""
    opened = instance_of(client)
    begin = scoped(opened.scope, erasures.begin_messages, session_id, after_seq=seq)
    opened.engine.write(begin)


def first_message_of(client: Userkeep, session_id: str) -> str:
    return client.message.list(session_id)[0].id


@pytest.mark.parametrize("seed", range(4))
def test_the_index_matches_the_messages_after_random_changes(client: Userkeep, seed: int) -> None:
    rng = random.Random(seed)
    opened = instance_of(client)
    compared = 0
    for _ in range(4):
        for _ in range(60):
            change_something(client, rng)
        report = compare_index(opened.engine, opened.scope.rules)
        assert report.is_correct, report
        compared += report.messages
    assert compared


def test_a_rebuilt_index_equals_the_maintained_one(client: Userkeep) -> None:
    rng = random.Random(7)
    for _ in range(120):
        change_something(client, rng)
    opened = instance_of(client)
    before = compare_index(opened.engine, opened.scope.rules)
    rebuild_index(opened.engine, opened.scope.rules)
    assert compare_index(opened.engine, opened.scope.rules) == before
    assert before.messages


@pytest.mark.parametrize("terms", ["i wear size 9", "i wear size 9 shoe boot"])
def test_a_missing_or_extra_word_is_detected_and_repaired(client: Userkeep, terms: str) -> None:
    content = "I wear size 9 shoes"
    client.message.add("s1", [NewMessage(role="user", content=content)], user_id="jane")
    opened = instance_of(client)
    rules = opened.scope.rules
    entry = make_entry(rules.analyzer, "", "norole", content)
    assert entry == IndexEntry("i wear size 9 shoe", 5)

    def spoil(tx: Transaction) -> None:
        tx.search_index.change("s1", 1, entry, IndexEntry(terms, 5))

    opened.engine.write(scoped(opened.scope, spoil))
    assert not compare_index(opened.engine, rules).is_correct
    rebuild_index(opened.engine, rules)
    assert compare_index(opened.engine, rules).is_correct


def test_an_interrupted_index_build_continues_on_the_next_open(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/userkeep.db"
    with closing(Userkeep.open(url, secret=SECRET)) as client:
        for place in range(130):
            client.message.add(
                f"s{place}", [NewMessage(role="user", content="shoes")], user_id="jane"
            )
        opened = instance_of(client)
        rules = opened.scope.rules
        opened.engine.write(reindexing.discard)
        build = opened.engine.write(partial(reindexing.begin, rules=rules))
        done = opened.engine.write(partial(reindexing.advance, rules=rules, build=build))
        assert 0 < done.messages < 130
    reported: list[int] = []
    settings = Settings(database_url=url, secret=SECRET)
    with closing(open_instance(settings, progress=reported.append)) as opened:
        assert sum(reported) == 130 - done.messages
        assert compare_index(opened.engine, opened.scope.rules).is_correct


def test_another_language_is_rejected_until_the_index_is_rebuilt_for_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/userkeep.db"
    with closing(Userkeep.open(url, secret=SECRET)) as client:
        client.message.add(
            "s1", [NewMessage(role="user", content="Die Schuhe passten gut")], user_id="jane"
        )
    with pytest.raises(StorageError, match=r"indexed as english.*userkeep doctor --deep"):
        Userkeep.open(url, secret=SECRET, search_language="german")
    german = {"USERKEEP_SEARCH_LANGUAGE": "german", "USERKEEP_SECRET": SECRET}
    doctor = userkeep("doctor", "--deep", "--database", url, folder=tmp_path, environment=german)
    assert (doctor.returncode, doctor.stdout.splitlines()[-1]) == (
        0,
        "ok     index        matches the messages (1 compared)",
    )
    with closing(Userkeep.open(url, secret=SECRET, search_language="german")) as client:
        opened = instance_of(client)
        assert compare_index(opened.engine, opened.scope.rules).is_correct


def test_doctor_rebuilds_an_index_that_does_not_match(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/userkeep.db"
    with closing(Userkeep.open(url, secret=SECRET)) as client:
        client.message.add(
            "s1", [NewMessage(role="user", content="I wear size 9 shoes")], user_id="jane"
        )
        instance_of(client).engine.write(lambda tx: tx.search_index.clear())
    arguments = ("doctor", "--deep", "--database", url)
    for finding in (
        "did not match (sessions: 0, entries: -5) and was rebuilt",
        "matches the messages (1 compared)",
    ):
        environment = {"USERKEEP_SECRET": SECRET}
        result = userkeep(*arguments, folder=tmp_path, environment=environment)
        assert result.stdout.splitlines()[-1] == f"ok     index        {finding}"
        assert result.returncode == 0


def test_the_messages_of_each_speaker_are_counted_up_to_a_limit(client: Userkeep) -> None:
    counts = {"anna": 2, "bert": 13, "cleo": 1, "dora": 21, "ella": 9}
    client.user.add(user_id="jane")
    for name, count in counts.items():
        spoken = [NewMessage(role="user", content="hello", name=name)] * count
        client.message.add(f"of {name}", spoken, user_id="jane")
    opened = instance_of(client)
    for limit in (1, 2, 5, 10, 40, 50):
        for terms in (list(counts), sorted(counts, reverse=True), ["frank", "dora"], ["frank"]):

            def read(
                tx: Transaction, terms: list[str] = terms, limit: int = limit
            ) -> dict[str, int]:
                return tx.search_index.speaker_counts(terms, None, None, limit=limit)

            expected = {term: min(counts[term], limit) for term in terms if term in counts}
            assert opened.engine.read(scoped(opened.scope, read)) == expected
