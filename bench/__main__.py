"""The benchmark: choose a scenario, see README.md."""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.databases import Databases
from bench.databases.postgres import PostgresDatabases
from bench.databases.sqlite import FOLDER, SqliteDatabases
from bench.harness.report import Noise, Report, markdown
from bench.scenarios import (
    backups,
    callers,
    compare,
    deletion,
    documents,
    keys,
    ledger,
    meaning,
    monitoring,
    rates,
    search,
    size,
    stall,
    summary,
)

RESULTS = Path(__file__).with_name("results")
DATABASES: dict[str, type[SqliteDatabases] | type[PostgresDatabases]] = {
    "sqlite": SqliteDatabases,
    "postgres": PostgresDatabases,
}


class Scenario(NamedTuple):
    """What is measured.

    Attributes:
        engines: on which, unless one is named.
        keeps_results: whether a whole run is kept in `results`.
    """

    title: str
    run: Callable[[argparse.Namespace, Databases, Path], Report]
    engines: tuple[str, ...] = tuple(DATABASES)
    keeps_results: bool = True


SCENARIOS = {
    "rates": Scenario("Requests per second", rates.run),
    "search": Scenario("Search", search.run),
    "meaning": Scenario("Search by meaning", meaning.run, keeps_results=False),
    "documents": Scenario("Searches of documents", documents.run, keeps_results=False),
    "deletion": Scenario("Deletion and purge", deletion.run),
    "backups": Scenario("Backups", backups.run, engines=("sqlite",)),
    "callers": Scenario("Calls of one caller", callers.run, engines=("sqlite",)),
    "keys": Scenario("Keys and tokens", keys.run),
    "ledger": Scenario("Deletion ledger", ledger.run),
    "monitoring": Scenario("Metrics and request lines", monitoring.run, keeps_results=False),
    "size": Scenario("Size", size.run),
    "summary": Scenario("Summary", summary.run, engines=("sqlite",), keeps_results=False),
    "stall": Scenario("Hostile inputs", stall.run),
    "compare": Scenario("Comparison", compare.run, keeps_results=False),
}


def main() -> None:
    given = _parser().parse_args()
    if given.scenario == "compare" and given.other is None:
        raise SystemExit("The scenario `compare` needs --other.")
    if given.scenario not in {"compare", "stall"} and given.other is not None:
        raise SystemExit(f"The scenario `{given.scenario}` does not take --other.")
    scenario = SCENARIOS[given.scenario]
    results = given.results
    is_whole = not given.only and given.other is None
    if results is None and scenario.keeps_results and is_whole:
        results = RESULTS
    FOLDER.mkdir(exist_ok=True)
    for engine in given.engine or scenario.engines:
        text = _measure(scenario, engine, given)
        print(f"\n{text}")
        if results is not None:
            (results / f"{given.scenario}-{engine}.md").write_text(text)


def _measure(scenario: Scenario, engine: str, given: argparse.Namespace) -> str:
    noise = Noise()
    with tempfile.TemporaryDirectory(dir=FOLDER, prefix="run-") as name:
        folder = Path(name)
        with DATABASES[engine](folder) as databases:
            report = scenario.run(given, databases, folder)
            facts, database_s = databases.facts(), databases.cpu_s()
    notes = [noise.note(database_s), *report.notes]
    if scenario is SCENARIOS["summary"]:
        return "\n".join([*notes[:1], "", *map(str, report.tables)])
    title = f"{scenario.title}: {databases.name}"
    return markdown(title, Report(report.tables, notes), FOLDER, facts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument(
        "--engine",
        action="append",
        choices=DATABASES,
        help="repeatable (default: both; backups, callers and summary: sqlite). PostgreSQL is a "
        "server of this run's own, or the one that USERKEEP_TEST_POSTGRES_URL names",
    )
    parser.add_argument(
        "--large",
        action="store_true",
        help="also with 10,000,000 messages; in deletion also a user of 1,000,000, and in meaning "
        "a project of so many",
    )
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="rows with this in their name; repeatable"
    )
    parser.add_argument(
        "--seconds", type=float, default=7.0, help="of each side of a row in all (default: 7)"
    )
    parser.add_argument(
        "--users", type=int, default=1_000_000, help="in the database of rates (1,000,000)"
    )
    parser.add_argument(
        "--unpinned", action="store_true", help="let servers and load generator share all cores"
    )
    parser.add_argument(
        "--other",
        metavar="COMMAND",
        help="of compare and stall: another server, such as '../old/.venv/bin/userkeep serve'; it "
        "is given --port, and its settings in the environment",
    )
    parser.add_argument(
        "--other-prefix",
        default="USERKEEP_",
        metavar="PREFIX",
        help="with what the other server's settings begin (default: USERKEEP_)",
    )
    parser.add_argument(
        "--renamed",
        action="append",
        default=[],
        metavar="NAME=OTHER",
        help="of stall: what the other server calls a part of a path or a field; repeatable",
    )
    parser.add_argument(
        "--bound", type=float, default=60.0, help="of stall: seconds that a client waits (60)"
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of stall: of the large set-ups (1.0)"
    )
    parser.add_argument(
        "--seeds", type=int, default=0, help="of stall: how many generated inputs (0)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of stall: the first seed (1)")
    parser.add_argument(
        "--results",
        type=Path,
        metavar="FOLDER",
        help="where to keep SCENARIO-ENGINE.md (default: bench/results, but nothing with --only)",
    )
    return parser


if __name__ == "__main__":
    main()
