"""Whether PostgreSQL's messages are better kept in partitions: `python -m bench.partitions`.

A purge writes the table of messages anew, and nobody reads or writes it meanwhile. Were it in
partitions by a hash of the session, each would be locked for a part of that time only. On the other
hand, who looks for a word does not know the session, and has to look into all of them.

So a database of the talk of `bench.talk` is copied, the messages of the copy are moved into
partitions, and both are given what the product reads (see `bench.floor.replay`) and are written
anew. This changes nothing in the product: it tells what a decision rests on.
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from operator import attrgetter
from time import perf_counter
from typing import LiteralString

import psycopg
from psycopg import sql

from bench import measure, report, seed, talk
from bench.engines.postgres import PostgresBench
from bench.floor.replay import Noted, Replay
from bench.measure import Pace
from bench.report import Cells, Noise, by_p50, milliseconds, spread
from bench.search import Ask, Replayed, noted_answers
from bench.talk import SEARCHES, Talk

_ROUNDS = 5
_MEMORIES = 300

_PARTED: tuple[LiteralString, ...] = (
    "ALTER TABLE messages RENAME TO all_messages",
    "CREATE TABLE messages (LIKE all_messages INCLUDING ALL) PARTITION BY HASH (session_id)",
)
# Of which columns no samples are taken is not copied with a table.
_UNSAMPLED = """
SELECT format('ALTER TABLE %I ALTER COLUMN %I SET STATISTICS 0', class.relname, copied.attname)
FROM pg_attribute AS copied
CROSS JOIN pg_class AS class
WHERE copied.attrelid = 'all_messages'::regclass AND copied.attstattarget = 0
    AND class.relname ~ '^messages(_[0-9]+)?$'
"""
_MOVED: tuple[LiteralString, ...] = (
    "INSERT INTO messages SELECT * FROM all_messages",
    "DROP TABLE all_messages",
    "VACUUM (ANALYZE) messages",
)
_PART = sql.SQL("CREATE TABLE {} PARTITION OF messages FOR VALUES WITH (MODULUS {}, REMAINDER {})")

_OF_READS = ("", "whole ms", "partitions ms", "times whole")
_ABOUT_READS = (
    "What the product reads for a request, by the bare driver on one connection: medians, and how "
    "they compare in each round (least to greatest)."
)
_OF_LOCKS = ("", "MiB", "seconds in all", "longest lock s")
_ABOUT_LOCKS = (
    "Writing all messages anew, as a purge does: `VACUUM FULL`, of one table after the other."
)


def _part(number: int) -> str:
    return f"messages_{number:02d}"


def _move_into_partitions(url: str, partitions: int) -> None:
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        for statement in _PARTED:
            connection.execute(statement)
        for number in range(partitions):
            part = sql.Identifier(_part(number))
            connection.execute(_PART.format(part, partitions, number))
        for (unsampled,) in connection.execute(_UNSAMPLED).fetchall():
            connection.execute(unsampled)
        for statement in _MOVED:
            connection.execute(statement)


def _reads(size: Talk, ask: Ask) -> Iterator[tuple[str, list[Noted]]]:
    """Some of what is read most: by name, the statements of each request."""
    memories = talk.memories(talk.sessions_of(size, size.others))
    yield "memory of a session", [ask(request)[1] for request in islice(memories, _MEMORIES)]
    for search in filter(attrgetter("has_words"), SEARCHES):
        yield search.name, [ask(request)[1] for request in talk.queries(search, size)]


def _compared(name: str, noted: Sequence[Noted], replays: Sequence[Replay], pace: Pace) -> Cells:
    sides = [Replayed(replay, cycle(noted)) for replay in replays]
    for side in sides:  # all of it once: what is measured is to be in memory
        for each in noted:
            side.replay.run(each)
    compared = measure.compare(*sides, pace=pace, connections=1)
    cells = (
        name,
        milliseconds([load.p50 for load in compared.first]),
        milliseconds([load.p50 for load in compared.second]),
        spread([1 / ratio for ratio in compared.ratios(by_p50)]),
    )
    print("  ".join(cells), flush=True)
    return cells


def _written_anew(name: str, engine: PostgresBench, url: str, tables: Sequence[str]) -> Cells:
    size_bytes = engine.bytes_of(url)
    took_s = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        for table in tables:
            began = perf_counter()
            connection.execute(sql.SQL("VACUUM FULL {}").format(sql.Identifier(table)))
            took_s.append(perf_counter() - began)
    cells = (name, f"{size_bytes >> 20:,}", f"{sum(took_s):.1f}", f"{max(took_s):.1f}")
    print("  ".join(cells), flush=True)
    return cells


def run(given: argparse.Namespace, engine: PostgresBench) -> list[report.Table]:
    """Measure both, and give the tables."""
    size = Talk(given.messages)
    whole = talk.filled(engine, size)
    with noted_answers(engine, whole) as ask:
        reads = list(_reads(size, ask))
    parted = engine.copied(whole, "parted")
    _move_into_partitions(parted, given.partitions)
    replays = [engine.replay(url) for url in (whole, parted)]
    pace = Pace(_ROUNDS, given.seconds / _ROUNDS)
    rows = [_compared(name, noted, replays, pace) for name, noted in reads]
    for replay in replays:
        replay.close()
    parts = [_part(number) for number in range(given.partitions)]
    locks = [
        _written_anew("whole", engine, whole, ["messages"]),
        _written_anew(f"{given.partitions} partitions", engine, parted, parts),
    ]
    return [
        report.Table("Reading", _ABOUT_READS, _OF_READS, rows),
        report.Table("Writing anew", _ABOUT_LOCKS, _OF_LOCKS, locks),
    ]


def main() -> None:
    """Read what is asked for, measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.partitions", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--partitions", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=7.0, help="of each side of a row in all")
    given = parser.parse_args()
    seed.FOLDER.mkdir(exist_ok=True)
    noise = Noise()
    with PostgresBench() as engine:
        tables = run(given, engine)
        facts = engine.facts()
        notes = [noise.told(engine.used_s())]
    print(report.text_of(tables, notes, seed.FOLDER, facts, module="partitions"))


if __name__ == "__main__":
    main()
