"""Messages get embeddings, on both engines; and what is deleted or edited has none."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from devtools.embedding_rows import StoredVector, stored_vectors
from tests.embedders import DIMENSIONS, MadeUpEmbedder, encode, failing
from tests.postgres import migrated_database
from userkeep.config import Settings
from userkeep.domain.embedding import EmbeddingFailed, TextRejected, quantize, restore
from userkeep.domain.errors import AlreadyExists
from userkeep.domain.transaction import Transaction, scoped
from userkeep.embedded import EmbeddedTransport
from userkeep.instance import Instance, open_instance
from userkeep.jobs.embedding import Embedded, EmbeddingJob
from userkeep.jobs.steps import Runner, Sleep, Steps
from userkeep.sdk._sync.client import Client
from userkeep.services import embeddings

SECRET = "a secret of the tests"


class Store:
    """An instance with an embedder, and what it has stored."""

    def __init__(self, url: str, *, has_embedder: bool = True) -> None:
        settings = Settings(
            database_url=url,
            secret=SECRET,
            embeddings_url="http://127.0.0.1:9/v1" if has_embedder else "",
            embeddings_model="made-up" if has_embedder else "",
        )
        self.instance: Instance = open_instance(settings)
        self.client = Client(EmbeddedTransport(self.instance))
        self.embedder = MadeUpEmbedder()
        self.pauses: list[float] = []

    def job(self, embedder: MadeUpEmbedder | None = None, **options: Any) -> EmbeddingJob:
        options = {"is_shared": True, **options}
        return EmbeddingJob(self.instance.scope.rules, embedder or self.embedder, **options)

    def run(self, job: EmbeddingJob | None = None) -> bool:
        """Embed all there is, without waiting where it waits, in a process that then ends."""
        if job is not None:
            return self.runner(job).run(self._without_pauses(job.steps()))
        job = self.job()
        is_done = self.run(job)
        self.runner(job).run(job.release())
        return is_done

    def client_with(self, **rules: Any) -> Client:
        """Return a client of the instance with other rules, and with its embedder."""
        scope = self.instance.scope
        scope = msgspec.structs.replace(scope, rules=msgspec.structs.replace(scope.rules, **rules))
        opened = msgspec.structs.replace(self.instance, scope=scope, embedder=self.embedder)
        return Client(EmbeddedTransport(opened))

    def runner(self, job: EmbeddingJob) -> Runner:
        ledger = self.instance.ledger.file
        return Runner(self.instance.engine, lambda: None, ledger, job._embedder)

    def _without_pauses(self, steps: Steps[bool]) -> Steps[bool]:
        resume, value = steps.send, None
        while True:
            try:
                step = resume(value)
            except StopIteration as end:
                return bool(end.value)
            if isinstance(step, Sleep):
                self.pauses += [step.seconds] if step.seconds else []
                resume, value = steps.send, None
                continue
            try:
                resume, value = steps.send, (yield step)
            except Exception as error:
                resume, value = steps.throw, error

    def vectors(self, session_id: str, model_id: int | None = None) -> dict[int, list[float]]:
        """Return the vectors of a session by seq, of the searched model."""

        def read(tx: Transaction) -> list[StoredVector]:
            model = embeddings.searched_model(tx)
            return stored_vectors(tx, model_id or (model.model_id if model else 0))

        found = self.instance.engine.read(scoped(self.instance.scope, read))
        return {
            each.seq: restore(each.quantized) for each in found if each.session_id == session_id
        }

    def add(self, session_id: str, *contents: str, user_id: str | None = None) -> None:
        """Append messages; a session without a user is created first."""
        messages = [{"role": "user", "content": each} for each in contents]
        if user_id is None:
            with suppress(AlreadyExists):
                self.client.session.add(session_id=session_id)
        self.client.message.add(session_id, messages, user_id=user_id)


@contextmanager
def opened(url: str, **options: Any) -> Iterator[Store]:
    store = Store(url, **options)
    try:
        yield store
    finally:
        store.instance.close()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return migrated_database()
    return f"sqlite:///{tmp_path / 'userkeep.db'}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with opened(url) as store:
        yield store


def assert_embedded(store: Store, session_id: str, *texts: str | None, name: str = "one") -> None:
    """Assert that the messages of a session have the vectors of these texts; None: no vector."""
    expected = {seq: encode(text, name) for seq, text in enumerate(texts, 1) if text is not None}
    found = store.vectors(session_id)
    assert found.keys() == expected.keys()
    for seq, vector in expected.items():
        assert found[seq] == pytest.approx(vector, abs=0.005)


def test_a_vector_is_stored_in_a_byte_for_each_dimension() -> None:
    vector = encode("any text", dimensions=384)
    stored = quantize(vector)
    assert len(stored.data) == 384
    assert restore(stored) == pytest.approx(vector, abs=0.001)
    assert restore(quantize([0.0, 0.0])) == [0.0, 0.0]


def test_messages_get_vectors_and_those_without_text_do_not(store: Store) -> None:
    store.add("s1", "one", "two", user_id="jane")
    store.client.message.add("s1", {"role": "tool", "data": {"x": 1}})
    store.add("s2", *(f"text {number}" for number in range(20)))
    assert store.run()
    assert_embedded(store, "s1", "one", "two", None)
    assert_embedded(store, "s2", *(f"text {number}" for number in range(20)))
    store.add("s1", "four")
    assert store.run()
    assert_embedded(store, "s1", "one", "two", None, "four")
    assert len(store.embedder.texts) == 23
    lag = store.instance.engine.read(embeddings.lag)
    assert lag == (0, None)


def test_a_long_text_is_cut(store: Store) -> None:
    store.add("s1", "é" * 5_000)
    store.run()
    assert store.embedder.texts == ["é" * 2_000]


def test_an_edit_of_the_text_embeds_that_message_again(store: Store) -> None:
    store.add("s1", "one", "two", "three")
    store.run()
    [first, *_] = list(store.client.message.list("s1"))
    store.client.message.update("s1", first.id, metadata={"a": 1})
    store.client.message.update("s1", first.id, content="ONE")
    assert 1 not in store.vectors("s1")
    store.run()
    assert_embedded(store, "s1", "ONE", "two", "three")
    assert store.embedder.texts[3:] == ["ONE"]


def test_vectors_go_with_their_messages(store: Store) -> None:
    store.add("s1", "one", "two", "three", "four", user_id="jane")
    store.add("s2", "five")
    store.run()
    [_, second, *_] = list(store.client.message.list("s1"))
    store.client.message.delete("s1", second.id)
    assert_embedded(store, "s1", "one", None, "three", "four")
    store.client.message.delete_after("s1", 2)
    assert_embedded(store, "s1", "one")
    store.client.session.delete("s2")
    store.client.user.delete("jane")
    assert rows_of(store) == 0


def rows_of(store: Store) -> int:
    """Return how many vectors there are in all."""

    def count(tx: Transaction) -> int:
        return len(stored_vectors(tx))

    return store.instance.engine.read(scoped(store.instance.scope, count))


# What happens while a batch is being embedded.


def interfere(store: Store, change: str, id: str) -> None:
    """Change the first message, or what it belongs to."""
    match change:
        case "delete":
            store.client.message.delete("s1", id)
        case "edit":
            store.client.message.update("s1", id, content="ONE")
        case "rewind":
            store.client.message.delete_after("s1", 0)
        case "user":
            store.client.user.delete("jane")
        case _:
            store.client.session.delete("s1")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("delete", {2: "two"}),
        ("edit", {1: "ONE", 2: "two"}),
        ("rewind", {}),
        ("session", {}),
        ("user", {}),
        ("another session", {1: "other"}),
    ],
)
def test_nothing_is_stored_of_what_changes_while_it_is_embedded(
    store: Store, change: str, expected: dict[int, str]
) -> None:
    store.add("s1", "one", "two", user_id="jane")
    [first, _] = list(store.client.message.list("s1"))

    def change_now(_: Sequence[str]) -> None:
        store.embedder.before = lambda _: None
        interfere(store, change, first.id)
        if change == "another session":
            store.client.session.add(session_id="s1")
            store.add("s1", "other")

    store.embedder.before = change_now
    assert store.run()
    found = store.vectors("s1")
    assert found.keys() == expected.keys()
    assert all(
        found[seq] == pytest.approx(encode(text), abs=0.005) for seq, text in expected.items()
    )
    assert rows_of(store) == len(expected)


# A model that fails.


def test_a_text_that_the_model_rejects_is_skipped_for_good(store: Store) -> None:
    store.add("s1", *(f"text {number}" for number in range(7)))

    def reject(texts: Sequence[str]) -> None:
        if "text 3" in texts:
            raise TextRejected("too strange")

    store.embedder.before = reject
    job = store.job()
    assert store.run(job)
    assert_embedded(store, "s1", *(f"text {n}" if n != 3 else None for n in range(7)))
    assert job.done == Embedded(6, 1, None)
    store.add("s1", "text 7")
    store.run(job)
    assert job.done == Embedded(7, 1, None)


def test_a_model_that_rejects_everything_skips_nothing(store: Store) -> None:
    store.add("s1", "one", "two")
    rejections = [TextRejected("wrong model")] * 3
    store.embedder.before = failing(*rejections)
    assert store.run()
    assert_embedded(store, "s1", "one", "two")
    assert store.pauses == [1.0]


def test_failures_are_followed_by_growing_pauses(store: Store) -> None:
    store.add("s1", "one")
    slow_down = EmbeddingFailed("Too many requests.")
    slow_down.retry_after_s = 20.0
    errors = [EmbeddingFailed("It is away.")] * 7
    store.embedder.before = failing(*errors, slow_down)
    assert store.run()
    assert store.pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert_embedded(store, "s1", "one")


@pytest.mark.parametrize("fault", ["few", "short", "infinite"])
def test_vectors_that_cannot_be_right_are_not_stored(store: Store, fault: str) -> None:
    store.add("s1", "one")
    store.run()
    store.add("s1", "two", "three")
    change = {
        "few": lambda vectors: vectors[:1],
        "short": lambda vectors: [each[:-1] for each in vectors],
        "infinite": lambda vectors: [[float("nan"), *each[1:]] for each in vectors],
    }
    problems: list[str | None] = []

    def progress(done: Embedded) -> None:
        problems.append(done.problem)
        store.embedder.change = lambda vectors: vectors

    store.embedder.change = change[fault]
    assert store.run(store.job(progress=progress))
    assert problems[0] is not None
    assert problems[0].startswith("The embedding model returned ")
    assert problems[-1] is None
    assert_embedded(store, "s1", "one", "two", "three")


# One process at a time.


def test_another_process_waits_until_the_lease_is_released(store: Store) -> None:
    store.add("s1", "one")
    first, second = store.job(), store.job()
    assert store.run(first)
    store.add("s1", "two")
    assert not store.run(second)
    assert store.run(first)
    store.runner(first).run(first.release())
    store.add("s1", "three")
    assert store.run(second)
    assert_embedded(store, "s1", "one", "two", "three")


def test_a_process_that_alone_uses_the_database_waits_for_no_lease(store: Store) -> None:
    store.add("s1", "one")
    assert store.run()
    store.add("s1", "two")
    assert store.run(store.job(is_shared=False))


# Another model.


def test_searches_use_the_former_model_until_the_next_one_is_complete(store: Store) -> None:
    store.add("s1", *(f"text {number}" for number in range(10)))
    store.run()
    seen: list[int] = []
    other = MadeUpEmbedder("two")
    other.before = lambda _: seen.append(len(store.vectors("s1")))
    job = store.job(other)
    assert store.run(job)
    assert seen == [10, 10]
    assert_embedded(store, "s1", *(f"text {number}" for number in range(10)), name="two")
    assert store.vectors("s1", 1) == {}
    [model] = store.instance.engine.read(embeddings.models)
    assert (model.model_id, model.name, model.state, model.dimensions) == (2, "two", "current", 48)


def test_a_model_that_is_given_up_before_it_is_complete_leaves_nothing(store: Store) -> None:
    store.add("s1", *(f"text {number}" for number in range(10)))
    store.run()
    other = MadeUpEmbedder("two")
    job = store.job(other)

    def interrupt(_: Sequence[str]) -> None:
        if other.texts:
            raise KeyboardInterrupt

    other.before = interrupt
    with pytest.raises(KeyboardInterrupt):
        store.run(job)
    assert 0 < len(store.vectors("s1", 2)) < 10
    store.add("s1", "text 10")
    assert store.run()
    assert not store.run(job)
    assert_embedded(store, "s1", *(f"text {number}" for number in range(11)))
    assert store.vectors("s1", 2) == {}
    assert [each.model_id for each in store.instance.engine.read(embeddings.models)] == [3]


def test_messages_from_before_the_first_model_get_vectors(url: str) -> None:
    with opened(url, has_embedder=False) as store:
        store.add("old", "one", "two")
        assert store.instance.engine.read(embeddings.lag) == (0, None)
    with opened(url) as store:
        store.run()
        assert_embedded(store, "old", "one", "two")


# Do not embed.


def set_flag(store: Store, of: str, *, is_set: bool) -> None:
    match of:
        case "project":
            changed: Any = store.client.project.update(project="default", do_not_embed=is_set)
        case "user":
            changed = store.client.user.update(user_id="jane", do_not_embed=is_set)
        case _:
            changed = store.client.session.update(session_id="s1", do_not_embed=is_set)
    assert changed.do_not_embed is is_set


def may_embed_query(store: Store, user_id: str | None, session_id: str | None) -> bool:
    asked = scoped(store.instance.scope, embeddings.may_embed_query, user_id, session_id)
    return store.instance.engine.read(asked)


@pytest.mark.parametrize("of", ["project", "user", "session"])
def test_what_is_not_to_be_embedded_is_not_sent_and_its_vectors_are_deleted(
    store: Store, of: str
) -> None:
    store.add("s1", *(f"text {number}" for number in range(12)), user_id="jane")
    store.run()
    assert may_embed_query(store, "jane", "s1")
    set_flag(store, of, is_set=True)
    store.add("s1", "secret")
    store.run()
    assert "secret" not in store.embedder.texts
    assert rows_of(store) == 0
    assert not may_embed_query(store, "jane", "s1")
    assert not may_embed_query(store, None, "s1")
    assert store.instance.engine.read(embeddings.lag) == (0, None)
    set_flag(store, of, is_set=False)
    store.run()
    assert len(store.vectors("s1")) == 13
    assert may_embed_query(store, "jane", "s1")


def test_a_flag_that_is_set_while_a_text_is_sent_drops_the_answer(store: Store) -> None:
    store.add("s1", "one", user_id="jane")

    def change_now(_: Sequence[str]) -> None:
        store.embedder.before = lambda _: None
        set_flag(store, "user", is_set=True)

    store.embedder.before = change_now
    store.run()
    assert rows_of(store) == 0


@pytest.mark.parametrize("change", ["left out", "deleted"])
def test_rejected_texts_are_not_sent_again_once_their_user_is_left_out_or_deleted(
    store: Store, change: str
) -> None:
    store.add("s1", *(f"text {number}" for number in range(4)), user_id="jane")
    sent: list[str] = []

    def reject(texts: Sequence[str]) -> None:
        sent.extend(texts)
        if len(sent) == 4 and change == "left out":
            set_flag(store, "user", is_set=True)
        elif len(sent) == 4:
            store.client.user.delete("jane")
        raise TextRejected("too strange")

    store.embedder.before = reject
    assert store.run()
    assert len(sent) == 4


def test_a_session_can_be_left_out_from_the_start(store: Store) -> None:
    store.client.session.add(session_id="s1", do_not_embed=True)
    store.client.user.add(user_id="jane", do_not_embed=True)
    store.add("s1", "one")
    store.add("s2", "two", user_id="jane")
    store.add("s3", "three")
    store.run()
    assert store.embedder.texts == ["three"]
    assert [each.do_not_embed for each in store.client.session.list()] == [True, False, False]
    replaced = store.client.user.put(user_id="jane", email="jane@example.com")
    assert replaced.do_not_embed


def test_a_session_that_is_assigned_to_a_user_who_is_left_out_loses_its_vectors(
    store: Store,
) -> None:
    for session in ("by an update", "by an append"):
        store.add(session, "one")
    store.run()
    assert rows_of(store) == 2
    store.client.user.add(user_id="jane", do_not_embed=True)
    store.client.session.update(session_id="by an update", user_id="jane")
    store.client.message.add("by an append", {"role": "user", "content": "x"}, user_id="jane")
    store.run()
    assert rows_of(store) == 0
    assert store.embedder.texts == ["one", "one"]


def test_vectors_are_deleted_where_no_model_is_configured_any_more(url: str) -> None:
    with opened(url) as store:
        store.add("s1", "one", user_id="jane")
        store.add("s2", "two")
        store.run()
    with opened(url, has_embedder=False) as store:
        set_flag(store, "user", is_set=True)
        job = EmbeddingJob(store.instance.scope.rules, None, is_shared=True)
        assert store.run(job)
        assert rows_of(store) == 1


# Verification.


@pytest.mark.parametrize("is_local", [True, False], ids=["local", "endpoint"])
@pytest.mark.parametrize("is_left", [True, False], ids=["left", "deleted"])
def test_a_verification_looks_for_embeddings_where_no_text_is_sent(
    store: Store, is_local: bool, is_left: bool
) -> None:
    text = "the papers are in the locker nine ten"
    store.add("s1", text, user_id="jane")
    store.add("s2", "another one")
    store.run()
    left = quantize(encode(text))
    erasure = store.client.user.delete("jane", purge="now")
    if is_left:
        row = {"session_id": "s2", "seq": 9, "model_id": 1}
        row |= {"scale": left.scale, "vector": left.data}
        scope = store.instance.scope
        store.instance.engine.write(scoped(scope, lambda tx: tx.defer_many("add_embedding", [row])))
    client = store.client_with(is_embedder_local=is_local)
    sent = len(store.embedder.texts)
    done = client.erasure.verify(erasure.id, search_terms=[text])
    found = {each.where.partition(" at ")[0] for each in done.hits if each.encoding == "embedding"}
    assert ("table embeddings.vector" in found) == (is_local and is_left)
    assert store.embedder.texts[sent:] == ([text] if is_local else [])
    skipped = [each.name for each in done.skipped]
    assert ("embeddings of search_terms" in skipped) == (not is_local)


def test_embeddings_of_documents_are_found_in_rows_and_until_a_purge_in_files(
    store: Store,
) -> None:
    client = store.client_with(is_embedder_local=True)
    text = "the papers are in the locker nine ten"
    client.collection.add(name="notes", embedded_by="model", dimensions=DIMENSIONS)
    client.user.add(user_id="jane")
    of_jane = {"content": text, "user_id": "jane"}
    client.document.add("notes", [of_jane, {"content": text, "document_id": "copy"}])
    erasure = client.user.delete("jane")

    def found() -> set[str]:
        done = client.erasure.verify(erasure.id, search_terms=[text])
        hits = [each.where for each in done.hits if each.encoding == "embedding"]
        return {"a file" if each.startswith("file ") else each for each in hits}

    assert found() == {"table documents.embedding", "table document_vectors.vector"}
    client.document.delete("notes", "copy")
    assert found() == {"a file"}
    client.erasure.purge(erasure.id)
    assert found() == set()


def test_a_verification_names_embeddings_of_documents_that_it_does_not_know(store: Store) -> None:
    client = store.client_with(has_embedder=True)
    client.user.add(user_id="jane")
    erasure = client.user.delete("jane")

    def skipped() -> list[str]:
        done = client.erasure.verify(erasure.id, search_terms=["the papers"])
        return [each.name for each in done.skipped if each.name.startswith("embeddings")]

    assert skipped() == []
    client.collection.add(name="notes", embedded_by="model", dimensions=DIMENSIONS)
    assert skipped() == ["embeddings of search_terms"]
