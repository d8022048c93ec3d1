"""Serve one floor until it is killed."""

import argparse
import asyncio
from typing import Any

import uvicorn
import uvloop

from bench.floor.native import Native, constant
from bench.floor.postgres import PostgresCalls
from bench.floor.sqlite import SqliteCalls
from userkeep.http.coalescing import CoalescingProtocol
from userkeep.server import tune_interpreter


class Echo(asyncio.Protocol):
    """Fixed bytes for each packet."""

    _BYTES = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n."

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._write = transport.write  # type: ignore[attr-defined]

    def data_received(self, _data: bytes) -> None:
        """Answer."""
        self._write(self._BYTES)


async def _echo(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """Serve one floor until it is killed."""
    parser = argparse.ArgumentParser(description="Serve one floor.")
    parser.add_argument("name", choices=["sqlite", "postgres", "constant", "echo"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database")
    parser.add_argument("--reads-in-transaction", action="store_true")
    given = parser.parse_args()
    if given.name == "echo":
        uvloop.run(_echo(given.port))
    elif given.name == "constant":
        _serve(constant, given.port, "httptools")
    else:
        native = _native(given)
        tune_interpreter()
        _serve(native, given.port, CoalescingProtocol)


def _native(given: argparse.Namespace) -> Native:
    if given.name == "sqlite":
        return Native(SqliteCalls(given.database, reads_in_transaction=given.reads_in_transaction))
    return Native(PostgresCalls(given.database))


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
