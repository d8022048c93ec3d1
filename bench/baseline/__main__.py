"""Serve one baseline until it is killed."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol
from urllib.parse import unquote

import msgspec
import uvicorn
import uvloop

from bench.baseline.postgres import PostgresBaseline
from bench.baseline.recording import SIZE, record_operations
from bench.baseline.replay import Operation
from bench.baseline.sqlite import SqliteBaseline
from bench.harness.requests import Parts, pair
from bench.scenarios.rows import NATIVE
from userkeep.http.coalescing import CoalescingProtocol
from userkeep.server import tune_interpreter

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

decode = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode


class Driver(Protocol):
    """What operations run on."""

    async def run(self, operation: Operation, request: Parts) -> None: ...


class Native:
    """Responds as the product's native API does, to the requests of one row at a time.

    `GET /row/NAME` says which.
    """

    def __init__(self, driver: Driver, operations: Mapping[str, Operation]) -> None:
        self._driver = driver
        self._operations = operations
        self._operation = next(iter(operations.values()))

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        method = scope["method"]
        body = decode((await receive())["body"]) if method == "POST" else None
        segments = scope["raw_path"].decode().split("/")
        operation = self._operation
        if segments[1] == "v1":
            await self._driver.run(operation, Parts(method, segments, body))
            await _respond(send, encode(operation.response), operation.status)
            return
        if segments[1] == "row":
            self._operation = self._operations[unquote(segments[2])]
        await _respond(send, b"{}", 200)


async def constant(_scope: Mapping[str, Any], _receive: Receive, send: Send) -> None:
    await _respond(send, b".", 200, b"text/plain")


async def _respond(send: Send, body: bytes, status: int, kind: bytes = b"application/json") -> None:
    headers = [(b"content-length", b"%d" % len(body)), (b"content-type", kind)]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Echo(asyncio.Protocol):
    """Fixed bytes for each packet."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = transport.write  # type: ignore[attr-defined]

    def data_received(self, _data: bytes) -> None:
        self._write(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n.")


async def _echo(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.baseline", description=__doc__)
    parser.add_argument("name", choices=["sqlite", "postgres", "constant", "echo"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", help="the URL of the one that statements run on")
    parser.add_argument("--scratch", help="the URL of an empty one, to record them on")
    given = parser.parse_args()
    if given.name == "echo":
        uvloop.run(_echo(given.port))
    elif given.name == "constant":
        _serve(constant, given.port, "httptools")
    else:
        operations = record_operations(
            given.scratch, {row.name: pair(row.requests(SIZE)) for row in NATIVE}
        )
        driver = SqliteBaseline if given.name == "sqlite" else PostgresBaseline
        native = Native(driver(given.database), operations)
        tune_interpreter()
        _serve(native, given.port, CoalescingProtocol)


def _serve(application: Any, port: int, protocol: Any) -> None:
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http=protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        backlog=2048,
    )


if __name__ == "__main__":
    main()
