"""HNSW indexes of large collections: built beside requests, used by searches, gone with a purge."""

import asyncio
import json
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import sqrt
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from tests.cli.running import userkeep
from tests.http.clients import InProcessClient, serve_in_process
from tests.postgres import migrated_database, postgres_server, row_secured_database, superuser_url
from userkeep.config import Settings
from userkeep.domain.transaction import Transaction, scoped
from userkeep.domain.vectors.encoding import encode_embedding
from userkeep.jobs.verify.patterns import vector_patterns_of
from userkeep.services import collections
from userkeep.storage.postgres.files import files_of
from userkeep.storage.postgres.hnsw_builder import BUILD_LOCK
from userkeep.worker.timers import SERVER_TIMERS

DIMENSIONS = 16
LEAST = 1_000
CLUSTERS = 25
IMPATIENT = SERVER_TIMERS._replace(index_s=0.05, check_purge_s=0.05)
NAME = "articles"
DOCUMENTS = f"/v1/collections/{NAME}/documents"
_CENTERS = [[Random(n).gauss(0, 1) for _ in range(DIMENSIONS)] for n in range(CLUSTERS)]


@contextmanager
def serving(url: str, **settings: Any) -> Iterator[InProcessClient]:
    """Serve a database, with indexes from 1,000 documents on."""
    settings = {"hnsw_min_documents": LEAST, "ledger_file": "off", **settings}
    given = Settings(database_url=url, secret="a secret of the tests", **settings)
    with serve_in_process(given, IMPATIENT) as client:
        yield client


@pytest.fixture(scope="module")
def url() -> str:
    """A database with the extension."""
    url = migrated_database()
    execute(url, "CREATE EXTENSION vector")
    return url


@pytest.fixture(scope="module")
def indexed(url: str) -> Iterator[InProcessClient]:
    """A client of a server with a large collection."""
    with serving(url) as client:
        fill(client)
        yield client


@pytest.fixture
def client(indexed: InProcessClient, url: str) -> InProcessClient:
    """The same, when the collection has its index; tests add and delete some documents of it."""
    wait_for(indexed, lambda: indexes(url) == 1)
    return indexed


def execute(
    url: str, statement: LiteralString | sql.Composed, *values: Any
) -> list[tuple[Any, ...]]:
    with psycopg.connect(superuser_url(url), autocommit=True) as connection:
        found = connection.execute(statement, values or None)
        return found.fetchall() if found.description else []


def embedding(random: Random) -> list[float]:
    """Return one that is near others, as embeddings of texts are."""
    return [value + random.gauss(0, 0.5) for value in random.choice(_CENTERS)]


def fill(client: InProcessClient, name: str = NAME, count: int = LEAST + 100) -> None:
    client.send("POST", "/v1/users", {"user_id": "jane"})
    collection = {"name": name, "dimensions": DIMENSIONS}
    assert client.send("POST", "/v1/collections", collection).status == 201
    random = Random(count)
    new = [
        {"content": f"text {n}", "document_id": str(n), "embedding": embedding(random)}
        for n in range(count)
    ]
    add(client, *new, name=name)


def add(client: InProcessClient, *new: dict[str, Any], name: str = NAME) -> None:
    path = f"/v1/collections/{name}/documents"
    for first in range(0, len(new), 500):
        added = client.send("POST", path, {"documents": new[first : first + 500]})
        assert added.status == 201, added.text


def delete(client: InProcessClient, name: str, ids: list[str]) -> None:
    path = f"/v1/collections/{name}/delete-documents"
    assert client.send("POST", path, {"document_ids": ids}).status == 200


def found(
    client: InProcessClient, embedding: list[float], name: str = NAME, **search: Any
) -> list[str]:
    path = f"/v1/collections/{name}/search"
    reply = client.send("POST", path, {"embedding": embedding, **search})
    assert reply.status == 200, reply.text
    return [hit["document"]["document_id"] for hit in reply.json["items"]]


def indexes(url: str) -> int:
    """Return how many complete indexes there are."""
    [(count,)] = execute(url, _INDEXES)
    return int(count)


_INDEXES: LiteralString = (
    "SELECT count(*) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
    "WHERE starts_with(relname, 'document_vectors_hnsw_') AND indisvalid"
)
_SCANS: LiteralString = (
    "SELECT coalesce(sum(idx_scan), 0) FROM pg_stat_user_indexes "
    "WHERE starts_with(indexrelname, 'document_vectors_hnsw_')"
)


def wait_for(client: InProcessClient, is_so: Callable[[], bool], within_s: float = 60) -> None:
    """Wait until something is so, while the server runs."""
    ends = monotonic() + within_s
    while not is_so():
        assert monotonic() < ends
        client.run(asyncio.sleep(0.05))


def purge_user(client: InProcessClient, user_id: str) -> None:
    """Delete a user and wait for the purge, which begins later if the one before took long."""
    erasure = client.send("DELETE", f"/v1/users/{user_id}?purge=now").json["id"]
    path = f"/v1/erasures/{erasure}"
    wait_for(client, lambda: client.send("GET", path).json["state"] == "purged", within_s=120)


def test_a_search_of_a_large_collection_reads_its_index(client: InProcessClient, url: str) -> None:
    query = embedding(Random(1))

    def is_read() -> bool:
        found(client, query)  # PostgreSQL counts the reads of a connection once a second
        return execute(url, _SCANS) > [(0,)]

    wait_for(client, is_read)


def test_a_search_by_the_index_finds_what_an_exact_one_finds(client: InProcessClient) -> None:
    random, shared = Random(2), 0
    for _ in range(20):
        query = embedding(random)
        shared += len({*found(client, query)} & {*found(client, query, exact=True)})
    assert shared >= 195  # of 200


def test_changes_are_found_and_deleted_documents_are_not(client: InProcessClient) -> None:
    query = embedding(Random(3))
    add(client, {"content": "new", "document_id": "new", "embedding": query})
    before = found(client, query, limit=5)
    assert before[0] == "new"
    client.send("DELETE", f"{DOCUMENTS}/{before[1]}")
    opposite = [-value for value in query]
    client.send("PATCH", f"{DOCUMENTS}/new", {"content": "x", "embedding": opposite})
    assert found(client, query, limit=3) == before[2:5]
    assert found(client, opposite, limit=1) == ["new"]


def test_conditions_users_and_many_results_are_exact(client: InProcessClient) -> None:
    query = embedding(Random(4))
    far = [-value for value in query]
    of_jane = {"user_id": "jane", "metadata": {"a": 1}, "embedding": far}
    add(client, {"content": "far", "document_id": "far", **of_jane})
    condition = {"field": "metadata.a", "op": "eq", "value": 1}
    assert found(client, query, filter=condition) == ["far"]
    assert found(client, query, user_id="jane") == ["far"]
    every = found(client, query, limit=1_000)
    assert len(every) == 1_000
    assert len(found(client, query, limit=1_000, min_score=-1)) == 1_000


def test_where_the_index_finds_too_few_all_are_compared(client: InProcessClient, url: str) -> None:
    query = embedding(Random(5))
    fill(client, "further")
    wait_for(client, lambda: indexes(url) == 2)
    near = found(client, query, "further", limit=400, exact=True)
    delete(client, "further", near[:395])
    assert found(client, query, "further", limit=5) == near[395:]
    client.send("DELETE", "/v1/collections/further")


def test_a_collection_that_is_small_again_has_no_index(client: InProcessClient, url: str) -> None:
    fill(client, "further")
    wait_for(client, lambda: indexes(url) == 2)
    delete(client, "further", [str(n) for n in range(LEAST)])
    wait_for(client, lambda: indexes(url) == 1)
    client.send("DELETE", "/v1/collections/further")


def test_the_index_of_a_deleted_collection_is_dropped(client: InProcessClient, url: str) -> None:
    fill(client, "further")
    wait_for(client, lambda: indexes(url) == 2)
    client.send("DELETE", "/v1/collections/further")
    wait_for(client, lambda: indexes(url) == 1)


def test_a_purge_removes_what_the_index_had_and_it_is_built_again(
    client: InProcessClient, url: str
) -> None:
    secret = embedding(Random(6))
    add(client, {"content": "x", "user_id": "jane", "embedding": secret})
    stored = _in_index(url, found(client, secret, limit=1)[0])
    assert _is_in_files(url, stored)
    purge_user(client, "jane")
    assert not _is_in_files(url, stored)
    wait_for(client, lambda: indexes(url) == 1)
    assert not _is_in_files(url, stored)
    assert len(found(client, secret)) == 10


def test_a_verification_knows_what_the_index_has(client: InProcessClient, url: str) -> None:
    given = embedding(Random(9))
    add(client, {"content": "x", "embedding": given})
    stored = _in_index(url, found(client, given, limit=1)[0])
    length = sqrt(sum(value * value for value in given))
    patterns = vector_patterns_of([[value / length for value in given]])
    assert any(each.data in stored for each in patterns)


def _in_index(url: str, document_id: str) -> bytes:
    """Return the embedding of a document as the index has it: half floats of unit length."""
    [(sent,)] = execute(
        url,
        "SELECT halfvec_send(l2_normalize(userkeep_halfvec(vector))) FROM document_vectors "
        "JOIN documents USING (project_id, collection, seq) WHERE uuid = CAST(%s AS uuid)",
        document_id,
    )
    count = (len(sent) - 4) // 2
    return struct.pack(f"<{count}H", *struct.unpack(f">{count}H", sent[4:]))


def _is_in_files(url: str, stored: bytes) -> bool:
    execute(url, "CHECKPOINT")
    for each in files_of(url).raw:
        with suppress(FileNotFoundError), each.open() as file:
            if stored in file.read(0, file.size):
                return True
    return False


def test_an_index_is_built_after_open_transactions_whatever_the_time_limit_of_locks(
    client: InProcessClient, url: str
) -> None:
    [(name,)] = execute(url, _INDEX_NAMES)
    with psycopg.connect(superuser_url(url)) as connection:
        connection.execute(_limit_of_locks(connection, "'10ms'"))
        connection.commit()
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT count(*) FROM users")
        execute(url, sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
        wait_for(client, lambda: execute(url, _WAITS) == [(1,)])
        client.run(asyncio.sleep(0.1))
        connection.rollback()
        wait_for(client, lambda: indexes(url) == 1)
        connection.execute(_limit_of_locks(connection, "DEFAULT"))


def _limit_of_locks(connection: psycopg.Connection[Any], limit: LiteralString) -> sql.Composed:
    statement = sql.SQL("ALTER DATABASE {} SET lock_timeout = {}")
    database = sql.Identifier(connection.info.dbname)
    return statement.format(database, sql.SQL(limit))


_WAITS: LiteralString = (
    "SELECT count(*) FROM pg_stat_progress_create_index WHERE starts_with(phase, 'waiting for')"
)


def test_no_samples_are_taken_of_an_index_also_if_its_server_was_killed(
    client: InProcessClient, url: str
) -> None:
    execute(url, "ANALYZE document_vectors")
    assert execute(url, _SAMPLES) == [(0,)]
    before = execute(url, _INDEXES_BY_OID)
    _take_samples(url)
    wait_for(client, lambda: execute(url, _TARGETS) == [(0,)])
    assert execute(url, _INDEXES_BY_OID) == before


def test_samples_of_an_index_are_not_in_the_files_after_a_purge(
    client: InProcessClient, url: str
) -> None:
    client.send("POST", "/v1/users", {"user_id": "john"})
    with psycopg.connect(superuser_url(url), autocommit=True) as connection:
        # As another server that builds an index; otherwise this one would build it again.
        connection.execute("SELECT pg_advisory_lock(%s)", [BUILD_LOCK])
        _take_samples(url)
        connection.execute("ANALYZE document_vectors")
        assert execute(url, _SAMPLES) == [(1,)]
        before = execute(url, _FILE_OF_SAMPLES)
        purge_user(client, "john")
    assert execute(url, _FILE_OF_SAMPLES) != before
    wait_for(client, lambda: indexes(url) == 1)


def _take_samples(url: str) -> None:
    """Let ANALYZE take samples of the index, as of one that is new."""
    [(name,)] = execute(url, _INDEX_NAMES)
    alter = sql.SQL("ALTER INDEX {} ALTER COLUMN 1 SET STATISTICS -1")
    execute(url, alter.format(sql.Identifier(name)))


_TARGETS: LiteralString = (
    "SELECT attstattarget FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
    "WHERE starts_with(relname, 'document_vectors_hnsw_')"
)
_SAMPLES: LiteralString = (
    "SELECT count(*) FROM pg_stats WHERE starts_with(tablename, 'document_vectors_hnsw_')"
)
_FILE_OF_SAMPLES: LiteralString = "SELECT pg_relation_filenode('pg_statistic')"
_INDEXES_BY_OID: LiteralString = (
    "SELECT oid FROM pg_class WHERE starts_with(relname, 'document_vectors_hnsw_')"
)
_INDEX_NAMES: LiteralString = (
    "SELECT relname FROM pg_class WHERE starts_with(relname, 'document_vectors_hnsw_')"
)


def test_an_index_that_was_dropped_since_a_search_began_is_not_read(
    client: InProcessClient, url: str
) -> None:
    def search(tx: Transaction) -> list[int] | None:
        collections.find(tx, "further")  # a read of two statements has a snapshot
        number = collections.get(tx, NAME).number
        execute(url, drop)
        return tx.vector_index.nearest(number, query, 100)

    query = encode_embedding(embedding(Random(9)), "embedding")
    [(name,)] = execute(url, _INDEX_NAMES)
    drop = sql.SQL("DROP INDEX {}").format(sql.Identifier(name))
    instance = client.instance
    assert instance.engine.read(scoped(instance.scope, search)) is None
    wait_for(client, lambda: indexes(url) == 1)


def test_an_index_that_was_interrupted_is_built_again(client: InProcessClient, url: str) -> None:
    execute(
        url,
        "UPDATE pg_index SET indisvalid = false FROM pg_class WHERE pg_class.oid = indexrelid "
        "AND starts_with(relname, 'document_vectors_hnsw_')",
    )
    wait_for(client, lambda: indexes(url) == 1)


@pytest.mark.parametrize("is_row_secured", [False, True], ids=["plain", "row-level security"])
def test_an_index_is_used_wherever_the_extension_and_the_tables_are_until_the_setting_is_0(
    *, is_row_secured: bool
) -> None:
    url = row_secured_database() if is_row_secured else postgres_server().new_database()
    execute(url, "CREATE SCHEMA extensions")
    execute(url, "CREATE EXTENSION vector SCHEMA extensions")
    execute(url, "GRANT USAGE ON SCHEMA extensions TO PUBLIC")
    at = url
    if not is_row_secured:
        execute(url, "CREATE SCHEMA mine")
        at = f"{url}&options=-csearch_path%3Dmine"
    with serving(at, postgres_row_security=is_row_secured) as client:
        fill(client)
        wait_for(client, lambda: indexes(url) == 1)
        query = embedding(Random(7))
        assert found(client, query) == found(client, query, exact=True)
    with serving(at, postgres_row_security=is_row_secured, hnsw_min_documents=0) as client:
        wait_for(client, lambda: indexes(url) == 0)


def test_without_the_extension_all_documents_are_compared() -> None:
    url = migrated_database()
    with serving(url) as client:
        fill(client)
        client.run(asyncio.sleep(0.2))
        assert indexes(url) == 0
        assert len(found(client, embedding(Random(8)))) == 10


def test_a_small_collection_has_no_index_whatever_the_setting() -> None:
    url = migrated_database()
    execute(url, "CREATE EXTENSION vector")
    with serving(url, hnsw_min_documents=1) as client:
        fill(client, count=20)
        client.run(asyncio.sleep(0.2))
        assert indexes(url) == 0


def test_doctor_counts_the_indexes(client: InProcessClient, url: str, tmp_path: Path) -> None:
    del client
    assert _finding(url, tmp_path) == "indexes of large collections: 1"
    assert _finding(migrated_database(), tmp_path) == (
        "pgvector 0.7 or later is not in the database: all documents are compared"
    )


def _finding(url: str, folder: Path) -> str:
    result = userkeep("doctor", "--json", "--database", url, folder=folder)
    [finding] = [each for each in json.loads(result.stdout) if each["subject"] == "hnsw"]
    assert finding["is_well"]
    return str(finding["finding"])
