"""The statements of the PostgreSQL floor without HTTP: nothing but lanes and who waits for them.

A process that is told, a line of JSON each, what to ask for how long, and answers with a line that
says when each was asked and answered. It takes the ids and bodies out of the same requests that
the servers get; there is no routing, no shaping of rows, and no JSON to be sent.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Iterator
from time import perf_counter, process_time
from typing import Any

import msgspec
import uvloop

from bench.floor.native import Calls, decode
from bench.floor.orders import Done, Order
from bench.floor.postgres import PostgresCalls
from bench.rows import NATIVE
from bench.seed import Seeded
from userkeep.server import tune_interpreter


def main() -> None:
    """Do as told until there is nobody to tell."""
    parser = argparse.ArgumentParser(description="Drive the lanes of the floor without HTTP.")
    parser.add_argument("--database", required=True)
    parser.add_argument("--users", type=int, required=True)
    parser.add_argument("--sessions", type=int, required=True)
    given = parser.parse_args()
    size = Seeded(given.users, given.sessions)
    requests = {row.name: row.traffic(size) for row in NATIVE}
    calls = PostgresCalls(given.database)
    tune_interpreter()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for line in sys.stdin:
            order = msgspec.json.decode(line, type=Order)
            done = runner.run(_carry_out(order, calls, requests[order.row]))
            print(msgspec.json.encode(done).decode(), flush=True)
    calls.close()


async def _carry_out(order: Order, calls: Calls, requests: Iterator[bytes]) -> Done:
    await _drive(order.warm_up_s, order.waiters, calls, requests)
    used = process_time()
    done = await _drive(order.seconds, order.waiters, calls, requests)
    done.used_s = process_time() - used
    return done


async def _drive(seconds: float, waiters: int, calls: Calls, requests: Iterator[bytes]) -> Done:
    done = Done([], [], 0.0)
    ends = perf_counter() + seconds

    async def wait_again_and_again() -> None:
        while (sent := perf_counter()) < ends:
            await _ask(calls, next(requests))
            done.sent.append(sent)
            done.answered.append(perf_counter())

    await asyncio.gather(*(wait_again_and_again() for _ in range(waiters)))
    return done


def _ask(calls: Calls, request: bytes) -> Awaitable[Any]:
    head, _, body = request.partition(b"\r\n\r\n")
    method, path, _ = head.split(b" ", 2)
    segments = path.decode().split("/")
    if method == b"POST":
        if segments[2] == "users":
            return calls.post_user(decode(body))
        return calls.post_messages(segments[3], decode(body))
    return calls.user(segments[3]) if segments[2] == "users" else calls.memory(segments[3])


if __name__ == "__main__":
    main()
