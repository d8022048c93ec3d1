"""Embeddings while statements fail: none is wrong, and all are there once the failure is over."""

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import pytest

from tests.documents import write
from tests.embedders import DIMENSIONS, MadeUpEmbedder, encode
from tests.jobs.test_embedding import Store, opened
from tests.long.counts import IS_FULL
from tests.long.failing import FailingSqlite, FarEnd, FullPostgres
from tests.postgres import migrated_database
from userkeep.domain.collection import NewCollection
from userkeep.domain.document import NewDocument
from userkeep.domain.errors import UserkeepError
from userkeep.domain.values.paging import PageRequest
from userkeep.domain.vectors.encoding import encode_embedding
from userkeep.jobs.document_embedding import DocumentEmbeddingJob
from userkeep.services import collections, documents

STEP = 1 if IS_FULL else 11
MESSAGES = 12


class Failing(NamedTuple):
    """An instance with messages and documents to embed, whose far end can fail."""

    far_end: FarEnd
    store: Store


@pytest.fixture(params=["full disk", "disk error", "full server", "full server at commit"])
def failing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Failing]:
    is_sqlite = "disk" in request.param
    url = f"sqlite:///{tmp_path / 'userkeep.db'}" if is_sqlite else migrated_database()
    far_end: Any
    if is_sqlite:
        far_end = FailingSqlite(apsw.FullError if "full" in request.param else apsw.IOError)
    else:
        far_end = FullPostgres(url, at_commit="commit" in request.param)
    with closing(far_end), opened(url) as store:
        new = NewCollection(name="notes", embedded_by="model", dimensions=DIMENSIONS)
        write(store.instance, collections.add, new, MadeUpEmbedder().model)
        yield Failing(far_end, store)


def test_embeddings_are_complete_and_right_once_a_failure_is_over(failing: Failing) -> None:
    far_end, store = failing
    of_messages = store.job()
    of_documents = DocumentEmbeddingJob(store.instance.scope.rules, store.embedder)
    runner = store.runner(of_messages)
    at, has_failed = 0, True
    while has_failed:
        add(store, at)
        far_end.fail(at, lasts=False)
        with suppress(UserkeepError):
            runner.run(of_messages.steps())
        with suppress(UserkeepError):
            runner.run(of_documents.steps())
        has_failed = far_end.heal()
        check(store, at, is_complete=False)
        runner.run(of_messages.steps())
        runner.run(of_documents.steps())
        check(store, at, is_complete=True)
        at += STEP
    assert at > STEP


def add(store: Store, at: int) -> None:
    texts = [f"{at} {number}" for number in range(MESSAGES)]
    store.add(f"s{at}", *texts)
    new = documents.prepare([NewDocument(content=each) for each in texts])
    write(store.instance, documents.add, "notes", new)


def check(store: Store, at: int, *, is_complete: bool) -> None:
    """Check the embeddings that were made last: those that are there are right."""
    vectors = store.vectors(f"s{at}")
    for seq, vector in vectors.items():
        assert vector == pytest.approx(encode(f"{at} {seq - 1}"), abs=0.005)
    page = PageRequest(limit=MESSAGES, order="-created")
    read = write(store.instance, documents.page, "notes", page, has_embedding=True)
    embedded = [each for each in read.items if each.embedding is not None]
    for each in embedded:
        assert each.embedding == encode_embedding(list(encode(each.content)), "x")
    collection = write(store.instance, collections.get, "notes")
    assert collection.embedded_count + collection.waiting_count == collection.document_count
    if is_complete:
        assert (len(vectors), len(embedded)) == (MESSAGES, MESSAGES)
        assert collection.waiting_count == 0
