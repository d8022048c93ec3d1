"""`userkeep restore`."""

import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import msgspec

from userkeep.backups import SealFiles, backup_path, passphrase_opener, seal_files
from userkeep.cli.options import json_option, settings_options
from userkeep.cli.output.escaping import echo
from userkeep.cli.output.progress import byte_progress
from userkeep.cli.output.replays import replay_text
from userkeep.cli.output.terminal import print_json
from userkeep.cli.sealing import sealing_options
from userkeep.cli.signals import run_until_signal
from userkeep.config import OFF, SettingError, Settings, load_settings
from userkeep.instance import Instance, ledger_path, open_instance, read_secret, secret_path
from userkeep.jobs.backup.job import BackupReporter
from userkeep.jobs.backup.restore import Opener, Restore, RestoreReport, Target, is_sealed
from userkeep.jobs.ledger import find_ledger
from userkeep.jobs.purge import Purge
from userkeep.jobs.replay import ReplayReport, replay


@click.command()
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@settings_options("database_url", "secret", "secret_file", "ledger_file")
@sealing_options
@click.option(
    "--force",
    "may_replace",
    is_flag=True,
    help="Replace an existing database, or another secret. The former files are set aside, under"
    " names that are printed.",
)
@json_option
def restore(
    *,
    source: Path,
    passphrase_file: str,
    key_file: str,
    may_replace: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Restore a backup into a SQLite database.

    SRC is verified and prepared beside the database before anything is replaced: its seal, its
    checksums, the database in it, its schema. What was deleted after the backup is deleted again,
    as the deletion ledger of the database has it. Stop the server first.

    \b
    userkeep restore /mnt/backups/userkeep-20261128T063000Z.tar.age --passphrase-file passphrase
    userkeep restore userkeep.tar.age --key-file backup.key --force
    """
    settings = load_settings(given)
    database = backup_path(settings)
    opener = _opener(source, seal_files(settings, passphrase_file, key_file))
    file = None if settings.secret else secret_path(settings)
    secret = settings.secret.encode() if settings.secret else None
    target = Target(database, file, secret, may_replace)
    with byte_progress() as reporter:
        job = Restore(source, opener, target, reporter)

        def run() -> tuple[RestoreReport, ReplayReport | None]:
            return job.run(
                lambda draft, secret_file: _prepare(settings, draft, secret_file, reporter)
            )

        report, replayed = run_until_signal(run, job.stop, "Interrupted. Nothing was changed.")
    if as_json:
        print_json(_as_json(report, replayed, database))
    else:
        is_off = settings.ledger_file == OFF
        echo(_as_text(report, replayed, database, is_ledger_off=is_off))


def _opener(source: Path, files: SealFiles) -> Opener | None:
    if not is_sealed(source):
        return None
    if files:
        return files.opener()
    if not sys.stdin.isatty():
        raise SettingError(
            f"{source} is sealed. Name the file of its passphrase or key with --passphrase-file or "
            "--key-file."
        )
    return passphrase_opener(click.prompt("Passphrase", hide_input=True, err=True))


def _prepare(
    settings: Settings, draft: Path, secret_file: Path | None, reporter: BackupReporter
) -> ReplayReport | None:
    """Make the restored database ready at its temporary place: replay the ledger, then purge.

    Args:
        draft: the path of the database, which is verified; nothing serves it yet.
        secret_file: where the secret of the backup is; None: the one of the settings is used.

    Returns:
        What was deleted again; None if there is no ledger.
    """
    at_draft = replace(settings, database_url=f"sqlite:///{draft}", ledger_file=OFF)
    if secret_file is None:
        secret_text = read_secret(settings, may_create=False).decode("utf-8", "surrogateescape")
        at_draft = replace(at_draft, secret=secret_text)
    else:
        at_draft = replace(at_draft, secret="", secret_file=str(secret_file))
    reporter.start("preparing the database", None)
    with closing(open_instance(at_draft)) as opened:
        replayed = _replay(opened, ledger_path(settings, opened.engine), reporter)
        Purge(opened.engine).run()
    return replayed


def _replay(opened: Instance, path: Path | None, reporter: BackupReporter) -> ReplayReport | None:
    ledger = None if path is None else find_ledger(opened.engine, path)
    if ledger is None or not ledger.exists():
        return None
    reporter.start("replaying the deletion ledger", None)
    return replay(opened.engine, opened.scope.rules, [ledger])


def _as_json(report: RestoreReport, replayed: ReplayReport | None, database: str) -> dict[str, Any]:
    return {
        "database": database,
        "created_at": report.manifest.created_at,
        "deleted_again": None if replayed is None else msgspec.to_builtins(replayed),
        "set_aside": [str(each) for each in report.set_aside],
        "secret_file": None if report.secret_file is None else str(report.secret_file),
    }


def _as_text(
    report: RestoreReport, replayed: ReplayReport | None, database: str, *, is_ledger_off: bool
) -> str:
    lines = [f"Restored {database}, as it was at {report.manifest.created_at}."]
    if replayed is not None:
        lines.append(replay_text(replayed))
    else:
        reason = (
            "The deletion ledger is off, so none was read"
            if is_ledger_off
            else "There is no deletion ledger"
        )
        lines.append(
            f"{reason}: who was deleted after the backup is in the database again. If you have a "
            "ledger or a copy of it, run `userkeep replay-erasures LEDGER` before you start the "
            "server."
        )
    if report.secret_file is not None:
        lines.append(f"The secret is in {report.secret_file}.")
    if report.set_aside:
        names = ", ".join(map(str, report.set_aside))
        lines.append(
            f"The former files are set aside: {names}. They still have their data, also of deleted "
            "users: delete them when you no longer need them."
        )
    return "\n".join(lines)
