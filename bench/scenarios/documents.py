"""How long a search of documents takes: the nearest ten of 1,000, 10,000 and 100,000.

One client, one request after the other, over HTTP, with an embedding of 384 dimensions as the
query. All embeddings of the collection are compared, so the result is exact. The embeddings are
random and at unit length; how long a search takes does not depend on them.
"""

import argparse
import base64
import random
import struct
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.databases import Databases
from bench.harness.report import Report, is_wanted, percentile, show
from bench.harness.requests import post
from bench.harness.rounds import Asked
from bench.harness.servers import SECRET, Server, ServerHarness
from devtools.markdown import Cells, Table, columns
from userkeep import Userkeep

_SIZES = (1_000, 10_000, 100_000)
_DIMENSIONS = 384
_TOPICS = 10
_QUERIES = 50
_WARM_UP_S = 1.0

_COLUMNS = columns("search, added per second, p50 ms, p95 ms, p99 ms", first="documents")
_ABOUT = (
    f"One client, the nearest ten documents to an embedding of {_DIMENSIONS} dimensions, which is "
    "exact: `all` compares all documents of the collection, `filtered` those of one of "
    f"{_TOPICS} topics in their metadata. `added per second` is for batches of 1,000 in one "
    "process, without a server."
)


def run(given: argparse.Namespace, databases: Databases, folder: Path) -> Report:
    harness = ServerHarness(folder, is_pinned=not given.unpinned)
    url = databases.empty("documents")
    sizes = [size for size in _SIZES if is_wanted(given, str(size))]
    rates = {size: _fill(url, size) for size in sizes}
    cells: list[Cells] = []
    with harness, harness.serving(url) as server:
        for size in sizes:
            for name, body in (("all", {}), ("filtered", _FILTER)):
                waits = _waits(server, size, body, given.seconds)
                figures = [f"{percentile(waits, of) * 1000:.1f}" for of in (50, 95, 99)]
                cells.append(show((f"{size:,}", name, f"{rates[size]:,.0f}", *figures)))
    notes = [harness.note, *databases.notes]
    return Report([Table("Documents", _ABOUT, _COLUMNS, cells)], notes)


_FILTER = {"filter": {"field": "metadata.topic", "op": "eq", "value": 3}}


def _fill(url: str, size: int) -> float:
    """Add the documents of a collection; return how many a second."""
    drawn = random.Random(size)
    with Userkeep.open(url.removeprefix("sqlite:///"), secret=SECRET) as client:
        client.collection.add(name=_name(size), dimensions=_DIMENSIONS)
        began = perf_counter()
        client.document.add_bulk(_name(size), _documents(drawn, size))
        return size / (perf_counter() - began)


def _documents(drawn: random.Random, size: int) -> Iterator[dict[str, Any]]:
    for number in range(size):
        yield {
            "content": f"A text about the subject with the number {number}. " * 8,
            "metadata": {"topic": number % _TOPICS},
            "embedding": _embedding(drawn),
        }


def _embedding(drawn: random.Random) -> str:
    values = (drawn.gauss(0, 1) for _ in range(_DIMENSIONS))
    return base64.b64encode(struct.pack(f"<{_DIMENSIONS}f", *values)).decode()


def _name(size: int) -> str:
    return f"documents-{size}"


def _waits(server: Server, size: int, body: dict[str, Any], seconds: float) -> list[float]:
    drawn = random.Random(0)
    requests = cycle(
        [_request(size, {**body, "embedding": _embedding(drawn)}) for _ in range(_QUERIES)]
    )
    asked = Asked(server, requests)
    asked.load(_WARM_UP_S, 1, lambda: 0.0)
    return sorted(asked.load(seconds, 1, lambda: 0.0).waits)


def _request(size: int, body: dict[str, Any]) -> bytes:
    return post(f"/v1/collections/{_name(size)}/search", body)
