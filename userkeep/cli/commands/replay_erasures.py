"""`userkeep replay-erasures`."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import msgspec

from userkeep.cli.options import json_option, settings_options
from userkeep.cli.output.escaping import echo
from userkeep.cli.output.progress import counter
from userkeep.cli.output.replays import replay_text
from userkeep.config import SettingError, load_settings
from userkeep.instance import check_is_migrated, ledger_path, open_instance
from userkeep.jobs.ledger import find_ledger
from userkeep.jobs.purge import purge_now
from userkeep.jobs.replay import replay
from userkeep.storage.ledger import LedgerFile


@click.command("replay-erasures")
@click.argument("ledgers", nargs=-1, metavar="[LEDGER]…", type=click.Path(path_type=Path))
@settings_options("database_url", "secret", "secret_file", "ledger_file", "postgres_row_security")
@click.option("--dry-run", "is_dry", is_flag=True, help="Count only; delete nothing.")
@json_option
def replay_erasures(
    *, ledgers: tuple[Path, ...], is_dry: bool, as_json: bool, **given: Any
) -> None:
    """Delete again what was deleted after a backup, in the database restored from it.

    LEDGER is a deletion ledger; by default the one of these settings. With several servers on
    PostgreSQL, name the ledger of each. A SQLite file must not be in use, and is purged at the end.
    It can be interrupted and run again.

    \b
    userkeep replay-erasures
    userkeep replay-erasures /mnt/a/userkeep.ledger /mnt/b/userkeep.ledger --dry-run
    """
    settings = load_settings(given)
    check_is_migrated(settings)
    with closing(open_instance(settings, is_replayed=False)) as opened:
        own = ledger_path(settings, opened.engine)
        files = [find_ledger(opened.engine, path) for path in ledgers or ([own] if own else [])]
        _check_exist(files)
        engine, rules = opened.engine, opened.scope.rules
        with counter("Comparing with the deletion ledger", "item") as add:
            report = replay(engine, rules, files, is_dry=is_dry, progress=add)
        if report.found and not is_dry and not engine.is_shared:
            purge_now(engine)
    if as_json:
        echo(json.dumps(msgspec.to_builtins(report), indent=2))
    else:
        echo(replay_text(report, is_dry=is_dry))


def _check_exist(files: list[LedgerFile]) -> None:
    if not files:
        raise SettingError("USERKEEP_LEDGER_FILE is off. Name the ledger to replay.")
    for file in files:
        if not file.exists():
            raise SettingError(
                f"There is no deletion ledger at {file.path}. Name the one that the server of this "
                "database wrote, or set USERKEEP_LEDGER_FILE."
            )
