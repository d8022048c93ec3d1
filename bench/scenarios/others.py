"""Figures of an instance that are not rates of a row: pages, growth, starts."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import sleep

import httpx2

from bench.databases import Databases
from bench.databases.seeding import messages_of
from bench.harness import requests, rounds
from bench.harness.report import by_p50, is_wanted, show, spread
from bench.harness.requests import Size
from bench.harness.rounds import Asked, Rounds, in_turn
from bench.harness.servers import Server, ServerHarness, exchange
from devtools.markdown import Cells, goal

_LARGE_SESSIONS = 200_000
_PAGE = 100
_MOST_OF_A_PAGE = 1_000
_STARTS = 5
_IDLE_S = 1.0


def measure_others(
    given: argparse.Namespace,
    databases: Databases,
    size: Size,
    harness: ServerHarness,
    product: Server,
    of_rounds: Rounds,
) -> list[Cells]:
    """Measure what needs a running server."""
    cells = []
    if is_wanted(given, "last page of all users"):
        cells.append(_measure_pages(size, product, of_rounds))
    if is_wanted(given, "memory among 10M messages") and given.large:
        large = size._replace(sessions=_LARGE_SESSIONS)
        with harness.serving(databases.large(large)) as server:
            cells.append(_measure_growth((large, server), (size, product), of_rounds))
    return cells


def _measure_pages(size: Size, product: Server, of_rounds: Rounds) -> Cells:
    pages = size.users // _PAGE
    with product.client() as client:
        cursor = _cursor_of_page(client, pages)
    first = requests.same(f"/v1/users?limit={_PAGE}")(size)
    last = requests.same(f"/v1/users?limit={_PAGE}&cursor={cursor}")(size)
    sides = Asked(product, last), Asked(product, first)
    compared = rounds.compare(*sides, rounds=of_rounds, connections=1)
    name = f"page {pages:,} of users against page 1: time of a page of {_PAGE}"
    return _cells(name, compared.ratios(by_p50), most=1.2)


def _cursor_of_page(client: httpx2.Client, page: int) -> str:
    """Return the cursor of a page of 100 users."""
    left, cursor = (page - 1) * _PAGE, ""
    while left:
        step = min(left, _MOST_OF_A_PAGE)
        after = f"&cursor={cursor}" if cursor else ""
        cursor = exchange(client, "GET", f"/v1/users?limit={step}{after}")["next"]
        left -= step
    return cursor


def _measure_growth(
    large: tuple[Size, Server], small: tuple[Size, Server], of_rounds: Rounds
) -> Cells:
    memories = requests.sessions("/v1/sessions/{}/memory")
    sides = [Asked(server, memories(size)) for size, server in (large, small)]
    compared = rounds.compare(*sides, rounds=of_rounds)
    most, least = (messages_of(size) for size, _ in (large, small))
    name = f"memory of 12 among {most:,} messages against {least:,}: time"
    return _cells(name, compared.ratios(by_p50), most=1.5)


def measure_starts(databases: Databases, size: Size, folder: Path, database: str) -> list[Cells]:
    """Start the product several times, on an empty database and on a large one in turn."""
    harness = ServerHarness(folder, is_pinned=False)
    urls = {"an empty database": databases.empty("empty"), f"{size.users:,} users": database}
    seconds: dict[str, list[float]] = {name: [] for name in urls}
    mebibytes: dict[str, list[float]] = {name: [] for name in urls}
    for name in (name for names in in_turn(list(urls), _STARTS) for name in names):
        with harness.serving(urls[name]) as server:
            seconds[name].append(server.started_s)
            sleep(_IDLE_S)
            mebibytes[name].append(server.memory_bytes() / 2**20)
    return [
        cells
        for name in urls
        for cells in (
            _cells(f"start on {name}: until the first response, s", seconds[name], most=0.5),
            # 80 MB.
            _cells(f"… resident memory when idle on {name}, MiB", mebibytes[name], most=76),
        )
    ]


def _cells(name: str, values: Sequence[float], *, most: float) -> Cells:
    reached = goal(f"≤ {most:g}", is_met=median(values) <= most)
    return show((name, spread(values, 0 if most > 10 else 2), reached))
