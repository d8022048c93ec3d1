"""Whether the floor still does what the product does.

Both applications are asked the same in this process, and what their databases run is written down.
The floor must run the statements that the product runs, and send about as many bytes; how a write
is held together, or a group of them, does not count, that is each one's own business. In one thing
the floor follows the product by itself: whether a read is in a transaction.

The index must then be what the product would make of the floor's messages, seeded and appended.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bench.engines import Engine, Watched
from bench.rows import Rate
from bench.seed import Seeded
from bench.servers import SECRET
from userkeep.config import Settings
from userkeep.instance import open_instance
from userkeep.jobs.index import compare_index
from userkeep.server import make_application

_SIZE = Seeded(users=100, sessions=2)
_SIZES_MAY_DIFFER_BY = 0.03


class Trace(NamedTuple):
    """What one request came to: its statements, and the size of the answer."""

    statements: Sequence[str]
    size: int


class Likeness(NamedTuple):
    """What the product runs for reads, which the floor must know, and what is wrong with it."""

    of_reads: list[str]
    differences: list[str]


def compare(engine: Engine) -> Likeness:
    """Ask both the same: one request of each native row."""
    rates = engine.rates
    asked = {rate.name: next(rate.traffic(_SIZE)) for rate in rates.native}
    product_url = engine.seeded(_SIZE, "small-product")
    floor_url = engine.seeded(_SIZE, "small-floor")
    with engine.watched([product_url, floor_url]) as watched:
        product = _product(product_url, asked, watched)
        of_reads = _of(rates.native_reads, product)
        floor = _floor(engine, floor_url, of_reads, asked, watched)
    differences = [
        difference
        for name in asked
        for difference in _differences(name, product[name], floor[name])
    ]
    return Likeness(of_reads, [*differences, *_differences_of_index(floor_url)])


def _of(rates: Sequence[Rate], traces: Mapping[str, Trace]) -> list[str]:
    return [statement for rate in rates for statement in traces[rate.name].statements]


def _product(url: str, asked: Mapping[str, bytes], watched: Watched) -> dict[str, Trace]:
    settings = Settings(database_url=url, secret=SECRET)
    userkeep = open_instance(settings)
    try:
        return _traces(make_application(userkeep, settings), asked, watched)
    finally:
        userkeep.close()


def _floor(
    engine: Engine, url: str, of_reads: list[str], asked: Mapping[str, bytes], watched: Watched
) -> dict[str, Trace]:
    native = engine.native(url, of_reads)
    try:
        return _traces(native, asked, watched)
    finally:
        native.close()


def _traces(application: Any, asked: Mapping[str, bytes], watched: Watched) -> dict[str, Trace]:
    traces = {}
    for name, request in asked.items():
        watched.delete()
        size = len(asyncio.run(answer_of(application, request)))
        traces[name] = Trace(watched.statements(), size)
    return traces


async def answer_of(application: Any, request: bytes) -> bytes:
    """What an application in this process answers to a request.

    Raises:
        SystemExit: it refuses.
    """
    head, _, body = request.partition(b"\r\n\r\n")
    line, *headers = head.split(b"\r\n")
    method, path, _ = line.split(b" ")
    scope = {
        "type": "http",
        "method": method.decode(),
        "path": path.decode(),
        "raw_path": path,
        "query_string": b"",
        "headers": [tuple(header.split(b": ", 1)) for header in headers],
        "client": ("127.0.0.1", 1),
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(scope, receive, send)
    answer = b"".join(message.get("body", b"") for message in sent)
    if sent[0]["status"] not in {200, 201}:
        raise SystemExit(f"{line!r} was answered {sent[0]['status']}: {answer!r}")
    return answer


def _differences(name: str, product: Trace, floor: Trace) -> Iterator[str]:
    of_product, of_floor = Counter(product.statements), Counter(floor.statements)
    for text, times in sorted((of_product - of_floor).items()):
        yield f"{name}: the product runs {times} times more than the floor: {_on_one_line(text)}"
    for text, times in sorted((of_floor - of_product).items()):
        yield f"{name}: the floor runs {times} times more than the product: {_on_one_line(text)}"
    if abs(product.size - floor.size) > _SIZES_MAY_DIFFER_BY * product.size:
        yield f"{name}: the product sends {product.size} bytes, the floor {floor.size}"


def _differences_of_index(url: str) -> Iterator[str]:
    made: list[int] = []
    instance = open_instance(Settings(database_url=url, secret=SECRET), progress=made.append)
    report = compare_index(instance.engine, instance.scope.rules)
    instance.close()
    if made:
        yield "the seeded databases are not indexed: the product does it when it opens one"
    elif not report.is_correct:
        yield "the index of the floor's messages is not as the product would make it"


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
