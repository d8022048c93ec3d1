"""`userkeep backup`."""

import sys
from pathlib import Path
from typing import Any

import click

from userkeep.backups import SealFiles, backup_path, make_backup, passphrase, seal_files
from userkeep.cli.options import json_option, settings_options
from userkeep.cli.output.escaping import echo, print_error
from userkeep.cli.output.progress import byte_progress
from userkeep.cli.output.terminal import print_json
from userkeep.cli.sealing import sealing_options
from userkeep.cli.signals import run_until_signal
from userkeep.config import SettingError, load_settings
from userkeep.domain.values.times import rfc3339_text
from userkeep.jobs.backup.job import BackupReport, Seal

_MIB = 1024 * 1024

_UNSEALED = (
    "warning: the backup is not sealed: everyone who has the file can read all conversations in "
    "it. It does not have the secret: to restore it, you need the secret of this instance from "
    "another place."
)


@click.command()
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path))
@settings_options("database_url", "secret", "secret_file")
@sealing_options
@click.option(
    "--without-secret",
    is_flag=True,
    help="Do not seal the backup, and leave the secret out: everyone who has the file can read it,"
    " and to restore it you need the secret from another place.",
)
@json_option
def backup(
    *,
    destination: Path,
    passphrase_file: str,
    key_file: str,
    without_secret: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Back up a SQLite database and its secret into one sealed file.

    A server may use the database at the same time, and is not interrupted. DEST is a new file, or a
    folder, in which the file is named by its time. The file is in the age format, and is opened by
    a passphrase or a key.

    \b
    userkeep backup /mnt/backups --passphrase-file passphrase
    userkeep backup userkeep.tar.age --key-file backup.key
    """
    settings = load_settings(given)
    backup_path(settings)
    files = seal_files(settings, passphrase_file, key_file)
    if without_secret and (passphrase_file or key_file):
        raise SettingError("--without-secret writes a backup that is not sealed; name no file.")
    seal = None if without_secret else _seal(files)
    with byte_progress() as reporter:
        job = make_backup(settings, destination, seal, reporter)
        report = run_until_signal(job.run, job.stop, "Interrupted. No backup was written.")
    if as_json:
        print_json(_as_json(report))
    else:
        echo(_as_text(report))
    if without_secret:
        print_error(_UNSEALED)


def _seal(files: SealFiles) -> Seal:
    if files:
        return files.seal()
    if not sys.stdin.isatty():
        raise SettingError(
            "A backup is sealed with a passphrase or a key. Name a file with --passphrase-file or "
            "--key-file, or pass --without-secret for one that everyone can read."
        )
    text = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
    return passphrase(text)


def _as_json(report: BackupReport) -> dict[str, Any]:
    return report._asdict() | {
        "path": str(report.path),
        "created_at": rfc3339_text(report.created_at),
    }


def _as_text(report: BackupReport) -> str:
    sealed = "sealed, with the secret" if report.has_secret else "NOT sealed, without the secret"
    size_mib = report.size_bytes / _MIB
    return (
        f"Wrote {report.path} in {report.seconds} s: {size_mib:,.1f} MiB, {sealed}. "
        f"The database is as it was at {rfc3339_text(report.created_at)}."
    )
