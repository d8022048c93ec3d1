"""How long a search of documents takes: the nearest ten of 1,000, 10,000 and 100,000.

One client, one request after the other, over HTTP, with an embedding of 384 dimensions as the
query. The embeddings are made up, in groups, as those of texts are. PostgreSQL with pgvector has an
HNSW index of the largest collection: then it is also measured how many of the nearest ten it finds.
"""

import argparse
import base64
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, NamedTuple

import httpx2
import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.errors import FeatureNotSupported

from bench.databases import Databases
from bench.databases.postgres import PostgresDatabases
from bench.harness.report import Report, is_wanted, percentile, show
from bench.harness.requests import post
from bench.harness.rounds import Asked
from bench.harness.servers import SECRET, Server, ServerHarness
from devtools.markdown import Cells, Table, columns
from userkeep import Userkeep
from userkeep.config import Settings

_SIZES = (1_000, 10_000, 100_000)
_DIMENSIONS = 384
_GROUP_SIZE = 100
_SPREAD = 0.7
"""How far the embeddings of a group are from its center, which is a random one of length 1."""

_TOPICS = 10
_QUERIES = 50
_RESULTS = 10
_WARM_UP_S = 1.0
_BUILD_S = 1_800.0

_COLUMNS = columns(
    "search, compared, added per second, p50 ms, p95 ms, p99 ms, recall@10", first="documents"
)
_ABOUT = (
    f"One client, the nearest {_RESULTS} documents to an embedding of {_DIMENSIONS} dimensions: "
    f"`all` documents of the collection, or those of one of {_TOPICS} topics in their metadata "
    "(`filtered`). `compared` is `all` of them, which is exact, or those that an HNSW index finds; "
    f"`recall@10` is how many of the exact ones it finds, in {_QUERIES} searches. The embeddings "
    f"are made up, in groups of {_GROUP_SIZE}. `added per second` is for batches of 1,000 in one "
    "process, without a server."
)


class _Search(NamedTuple):
    """A row of the table, and what its requests have."""

    name: str
    compared: str
    body: Mapping[str, Any]


_ALL = _Search("all", "all", {"exact": True})
_BY_INDEX = _Search("all", "HNSW", {})
_FILTERED = _Search(
    "filtered", "all", {"filter": {"field": "metadata.topic", "op": "eq", "value": 3}}
)


def run(given: argparse.Namespace, databases: Databases, folder: Path) -> Report:
    harness = ServerHarness(folder, is_pinned=not given.unpinned)
    url = databases.empty("documents")
    sizes = [size for size in _SIZES if is_wanted(given, str(size))]
    is_postgres = isinstance(databases, PostgresDatabases)
    has_indexes = is_postgres and _create_extension(url)
    rates = {size: _fill(url, size) for size in sizes}
    if is_postgres:
        _analyze(url)
    cells: list[Cells] = []
    notes = [harness.note, *databases.notes]
    with harness, harness.serving(url) as server:
        least = Settings().hnsw_min_documents
        indexed = [size for size in sizes if has_indexes and size >= least]
        if indexed:
            notes.append(_wait_for_indexes(url, len(indexed)))
        for size in sizes:
            for search in _searches(is_indexed=size in indexed):
                waits = _waits(server, size, search.body, given.seconds)
                recall = _recall(server, size) if search is _BY_INDEX else 1
                row = (f"{size:,}", search.name, search.compared, f"{rates[size]:,.0f}")
                figures = [f"{percentile(waits, of) * 1000:.1f}" for of in (50, 95, 99)]
                cells.append(show((*row, *figures, f"{recall:.3f}")))
    return Report([Table("Documents", _ABOUT, _COLUMNS, cells)], notes)


def _searches(*, is_indexed: bool) -> list[_Search]:
    return [*([_BY_INDEX] if is_indexed else []), _ALL, _FILTERED]


def _create_extension(url: str) -> bool:
    """Create pgvector, if the server has it; return whether it has."""
    with suppress(FeatureNotSupported), psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        return True
    return False


def _analyze(url: str) -> None:
    """Do what autovacuum does some minutes later: without statistics, plans are worse."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")


def _wait_for_indexes(url: str, count: int) -> str:
    began = perf_counter()
    with psycopg.connect(url, autocommit=True) as connection:
        while perf_counter() - began < _BUILD_S:
            [(complete, size_bytes)] = connection.execute(_INDEXES)
            if complete >= count:
                seconds, mib = perf_counter() - began, size_bytes / 2**20
                return f"The HNSW index was built in {seconds:.0f} s, and takes {mib:.0f} MiB."
            sleep(0.2)
    raise AssertionError(f"no index was built in {_BUILD_S:g} s")


_INDEXES = """
SELECT count(*), sum(pg_relation_size(indexrelid)) FROM pg_index
JOIN pg_class ON pg_class.oid = indexrelid
WHERE starts_with(relname, 'document_vectors_hnsw_') AND indisvalid
"""


def _fill(url: str, size: int) -> float:
    """Add the documents of a collection; return how many a second."""
    with Userkeep.open(url.removeprefix("sqlite:///"), secret=SECRET) as client:
        client.collection.add(name=_name(size), dimensions=_DIMENSIONS)
        began = perf_counter()
        client.document.add_bulk(_name(size), _documents(size))
        return size / (perf_counter() - began)


def _documents(size: int) -> Iterator[dict[str, Any]]:
    for number, embedding in enumerate(islice(_embeddings(size, seed=size), size)):
        yield {
            "content": f"A text about the subject with the number {number}. " * 8,
            "metadata": {"topic": number % _TOPICS},
            "embedding": embedding,
        }


def _embeddings(size: int, *, seed: int) -> Iterator[str]:
    """Yield embeddings like those of a collection of this size, without end."""
    centers = _random(np.random.default_rng(size), max(1, size // _GROUP_SIZE))
    drawn = np.random.default_rng(seed)
    while True:
        chosen = centers[drawn.integers(len(centers), size=1_000)]
        for each in chosen + _SPREAD * _random(drawn, len(chosen)):
            yield base64.b64encode(each.astype("<f4").tobytes()).decode()


def _random(drawn: np.random.Generator, count: int) -> NDArray[np.float64]:
    values = drawn.standard_normal((count, _DIMENSIONS))
    unit: NDArray[np.float64] = values / np.linalg.norm(values, axis=1, keepdims=True)
    return unit


def _queries(size: int) -> list[str]:
    return list(islice(_embeddings(size, seed=0), _QUERIES))


def _name(size: int) -> str:
    return f"documents-{size}"


def _waits(server: Server, size: int, body: Mapping[str, Any], seconds: float) -> list[float]:
    path = f"/v1/collections/{_name(size)}/search"
    requests = cycle([post(path, {**body, "embedding": each}) for each in _queries(size)])
    asked = Asked(server, requests)
    asked.load(_WARM_UP_S, 1, lambda: 0.0)
    return sorted(asked.load(seconds, 1, lambda: 0.0).waits)


def _recall(server: Server, size: int) -> float:
    """Return which part of the exact results the index finds."""
    shared = 0
    with httpx2.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
        for query in _queries(size):
            by_index, exact = (
                _found(client, size, {**search.body, "embedding": query})
                for search in (_BY_INDEX, _ALL)
            )
            shared += len(by_index & exact)
    return shared / (_QUERIES * _RESULTS)


def _found(client: httpx2.Client, size: int, body: Mapping[str, Any]) -> set[str]:
    reply = client.post(f"/v1/collections/{_name(size)}/search", json={**body, "limit": _RESULTS})
    return {hit["document"]["document_id"] for hit in reply.raise_for_status().json()["items"]}
