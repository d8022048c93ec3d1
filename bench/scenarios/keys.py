"""What authentication costs a request: a server with keys beside an open one."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.databases import Databases
from bench.harness import requests, rounds
from bench.harness.load import CONNECTIONS
from bench.harness.report import Report, by_rate, by_thrift, is_wanted, rate_and_waits, show, spread
from bench.harness.requests import Size
from bench.harness.rounds import Asked
from bench.harness.servers import Server, ServerHarness, exchange
from bench.scenarios import rows
from bench.scenarios.rates import SESSIONS, rounds_of
from devtools.markdown import Table, columns, goal

_GOAL = 0.95
_MOST_USERS = 20_000
_STATIC_KEY = "the-key-of-a-benchmark"
_USER = "user-00000001"
_NAMES = ("get user", "get memory (12 messages)", "list 50 users", "post user", "post 1 message")
_ROWS = tuple(row for row in rows.NATIVE if row.name in _NAMES)
_ROW_OF_TOKEN = rows.Row("get one user", requests.same(f"/v1/users/{_USER}"), _GOAL)

_COLUMNS = columns(
    "credential, open per second, its p50 ms, its p99 ms, per second, p50 ms, p99 ms, ratio, goal, "
    "by cpu"
)
_ABOUT = (
    f"Requests per second with {CONNECTIONS} connections, of a server that asks for a credential "
    "beside one that is open, in turn, on databases of the same content. `ratio` is the median "
    "(least to greatest) of the rounds; `by cpu` is that of responses per processor second."
)


class _Credential(NamedTuple):
    name: str
    text: str


def run(given: argparse.Namespace, databases: Databases, folder: Path) -> Report:
    size = Size(users=min(given.users, _MOST_USERS), sessions=SESSIONS)
    harness = ServerHarness(folder, is_pinned=not given.unpinned)
    keyed_settings = {"API_KEY": _STATIC_KEY}
    with (
        harness,
        harness.serving(databases.seeded(size, "open")) as open_server,
        harness.serving(databases.seeded(size, "keyed"), settings=keyed_settings) as keyed,
    ):
        key, token = _credentials(keyed)
        measured = [(row, key) for row in _ROWS] + [(_ROW_OF_TOKEN, key), (_ROW_OF_TOKEN, token)]
        cells = []
        for row, credential in measured:
            if not is_wanted(given, row.name):
                continue
            compared = rounds.compare(
                Asked(keyed, _with(credential, row.requests(size)), row.status),
                Asked(open_server, row.requests(size), row.status),
                rounds=rounds_of(given.seconds),
                database_cpu=databases.cpu_s,
            )
            ratios = compared.ratios(by_rate)
            cells.append(
                show(
                    (
                        row.name,
                        credential.name,
                        *rate_and_waits(compared.second),
                        *rate_and_waits(compared.first),
                        spread(ratios),
                        goal(f"≥ {_GOAL:.2f}", is_met=median(ratios) >= _GOAL),
                        f"{median(compared.ratios(by_thrift)):.2f}",
                    )
                )
            )
    notes = [harness.note, *databases.notes]
    return Report([Table("Keys and tokens", _ABOUT, _COLUMNS, cells)], notes)


def _credentials(server: Server) -> tuple[_Credential, _Credential]:
    """Create a key, and a token of a user."""
    with server.client() as client:
        client.headers["authorization"] = f"Bearer {_STATIC_KEY}"
        key = exchange(client, "POST", "/v1/keys", {"scope": "write"})["key"]
        client.headers["authorization"] = f"Bearer {key}"
        made = exchange(client, "POST", f"/v1/users/{_USER}/token?lifetime_seconds=86400")
    return _Credential("key", key), _Credential("user token", made["token"])


def _with(credential: _Credential, of_row: Iterator[bytes]) -> Iterator[bytes]:
    """Add a credential to requests."""
    header = b"\r\nauthorization: Bearer " + credential.text.encode() + b"\r\n"
    for request in of_row:
        head, end, rest = request.partition(b"\r\n")
        yield head + header + rest if end else request
