"""Whether the floor still does what the product does.

Both applications are asked the same in this process, and what their connections run is written
down. The floor must run the statements that the product runs, and send about as many bytes; how a
group of writes is held together does not count, that is each one's own business. In one thing the
floor follows the product by itself: whether a read is in a transaction.
"""

import asyncio
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from bench import seed
from bench.floor import Native
from bench.traffic import Traffic
from recollect.config import Settings
from recollect.main import make_application, open_recollect

_SIZE = seed.Seeded(users=100, sessions=2)
_NOT_COMPARED = re.compile(
    r"SAVEPOINT|RELEASE|ROLLBACK|BEGIN IMMEDIATE|COMMIT|PRAGMA", re.IGNORECASE
)
_SIZES_MAY_DIFFER_BY = 0.03


class Trace(NamedTuple):
    """What one request came to: its statements, and the size of the answer."""

    statements: list[str]
    size: int


class Likeness(NamedTuple):
    """What the floor must know, and what is wrong with it."""

    reads_in_transaction: bool
    differences: list[str]


def compare(rows: Mapping[str, Traffic]) -> Likeness:
    """Ask both the same: one request of each row."""
    asked = {name: next(traffic(_SIZE)) for name, traffic in rows.items()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        template = folder / "seed.db"
        seed.make(template, _SIZE)
        product = _product(seed.copied(template, folder, "product"), asked)
        reads_in_transaction = any("BEGIN" in trace.statements for trace in product.values())
        floor = _floor(
            seed.copied(template, folder, "floor"), asked, reads_in_transaction=reads_in_transaction
        )
    differences = [
        difference
        for name in asked
        for difference in _differences(name, product[name], floor[name])
    ]
    return Likeness(reads_in_transaction, differences)


def _product(database: Path, asked: Mapping[str, bytes]) -> dict[str, Trace]:
    settings = Settings(database_url=f"sqlite:///{database}", secret="the secret of a benchmark")
    with _traced() as statements:
        recollect = open_recollect(settings)
        try:
            return _traces(make_application(recollect, settings), asked, statements)
        finally:
            recollect.close()


def _floor(
    database: Path, asked: Mapping[str, bytes], *, reads_in_transaction: bool
) -> dict[str, Trace]:
    with _traced() as statements:
        native = Native(str(database), reads_in_transaction=reads_in_transaction)
        try:
            return _traces(native, asked, statements)
        finally:
            native.close()


def _traces(
    application: Any, asked: Mapping[str, bytes], statements: list[str]
) -> dict[str, Trace]:
    traces = {}
    for name, request in asked.items():
        statements.clear()
        size = len(asyncio.run(_ask(application, request)))
        traces[name] = Trace([text for text in statements if not _NOT_COMPARED.match(text)], size)
    return traces


async def _ask(application: Any, request: bytes) -> bytes:
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


@contextmanager
def _traced() -> Iterator[list[str]]:
    statements: list[str] = []

    def note(_cursor: apsw.Cursor, statement: str, _values: Any) -> bool:
        statements.append(statement)
        return True

    def hook(connection: apsw.Connection) -> None:
        connection.exec_trace = note

    apsw.connection_hooks.append(hook)
    try:
        yield statements
    finally:
        apsw.connection_hooks.remove(hook)


def _differences(name: str, product: Trace, floor: Trace) -> Iterator[str]:
    for text in sorted(set(product.statements) - set(floor.statements)):
        yield f"{name}: the product runs what the floor does not: {_on_one_line(text)}"
    for text in sorted(set(floor.statements) - set(product.statements)):
        yield f"{name}: the floor runs what the product does not: {_on_one_line(text)}"
    if abs(product.size - floor.size) > _SIZES_MAY_DIFFER_BY * product.size:
        yield f"{name}: the product sends {product.size} bytes, the floor {floor.size}"


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
