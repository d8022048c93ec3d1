"""`userkeep doctor`."""

import json
import os
import sys
from contextlib import closing
from dataclasses import fields
from typing import Any

import click

from userkeep.backups import backup_path
from userkeep.cli.exits import PROBLEMS
from userkeep.cli.options import SettingsCommand, json_option, settings_options
from userkeep.cli.output.escaping import echo, escape_line
from userkeep.cli.output.progress import counter
from userkeep.config import (
    SettingError,
    Settings,
    is_postgres,
    load_server_settings,
    sqlite_path,
    variable_of,
)
from userkeep.domain.errors import StorageError
from userkeep.domain.secret import fingerprint
from userkeep.embedders import check_embedder
from userkeep.http.access import is_loopback
from userkeep.instance import (
    applied_steps,
    check_is_migrated,
    exposed_files,
    find_secret_file,
    ledger_path,
    open_engine,
    open_instance,
    open_instance_read_only,
    secret_path,
)
from userkeep.jobs.backup.checks import check_backups, check_leftovers
from userkeep.jobs.checks import (
    check_access,
    check_embeddings,
    check_index,
    check_ledger,
    check_permissions,
    check_sessions,
    check_versions,
)
from userkeep.jobs.index import compare_index, rebuild_index
from userkeep.services import authentication
from userkeep.services.instance import IF_IT_IS_LOST
from userkeep.storage.checks import Finding
from userkeep.storage.postgres import checks as postgres_checks
from userkeep.storage.sqlite import checks as sqlite_checks


@click.command(cls=SettingsCommand)
@settings_options()
@click.option(
    "--deep", "is_deep", is_flag=True, help="Also compare the search index with every message."
)
@click.option(
    "--embeddings",
    "is_embedding",
    is_flag=True,
    help="Also have the embedding model make the embedding of the word hello.",
)
@json_option
def doctor(*, is_deep: bool, is_embedding: bool, as_json: bool, **given: Any) -> None:
    """Check settings, database, versions and disk space.

    It changes nothing and can run beside a server. With --deep it opens the database (a SQLite file
    must not be in use), compares the search index with all messages, and rebuilds the index if it
    does not match or if USERKEEP_SEARCH_LANGUAGE has changed.

    \b
    userkeep doctor
    userkeep doctor --deep
    userkeep doctor --embeddings
    userkeep doctor --json
    """
    settings = load_server_settings(given)
    findings = [*_check(settings), *_check_embeddings(settings, is_asked=is_embedding)]
    if is_deep and all(finding.is_well for finding in findings):
        findings.append(_check_index(settings))
    if as_json:
        echo(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        for finding in findings:
            _print(finding)
    if not all(finding.is_well for finding in findings):
        sys.exit(PROBLEMS)


def _check(settings: Settings) -> list[Finding]:
    is_private = is_loopback(settings.host)
    access = check_access(
        settings.host,
        is_loopback=is_private,
        is_open=settings.insecure_no_auth,
        has_keys=not is_private and _has_keys(settings),
    )
    findings = [
        check_versions(sqlite_checks.sqlite_version()),
        _check_settings(settings),
        access,
        *_check_database(settings),
        *_check_secret(settings),
        *_check_ledger(settings),
        *_check_sessions(settings),
        *_check_backups(settings),
    ]
    if all(finding.is_well for finding in findings):  # the files are an instance's
        findings += check_permissions(exposed_files(settings))
    return findings


def _has_keys(settings: Settings) -> bool:
    """Return whether a server would ask for keys; False if the database cannot be read."""
    if settings.api_key or settings.api_key_file:
        return True
    try:
        with closing(open_instance_read_only(settings)) as instance:
            return instance.engine.read(authentication.is_required)
    except (StorageError, SettingError, OSError):
        return False


def _check_settings(settings: Settings) -> Finding:
    changed = [
        variable_of(each.name)
        for each in fields(Settings)
        if getattr(settings, each.name) != each.default
    ]
    return Finding("settings", True, f"set: {', '.join(changed)}" if changed else "all default")


def _check_database(settings: Settings) -> list[Finding]:
    if is_postgres(settings.database_url):
        return postgres_checks.check_database(
            settings.database_url,
            settings.postgres_pool_size,
            row_security=settings.postgres_row_security,
        )
    try:
        path = sqlite_path(settings.database_url)
    except SettingError as error:
        return [Finding("database", False, str(error))]
    return sqlite_checks.check_database(path)


def _check_secret(settings: Settings) -> list[Finding]:
    """Compare the secret with the database; nothing is found where it has none yet."""
    try:
        if is_postgres(settings.database_url):
            known = postgres_checks.secret_fingerprint(settings.database_url)
        else:
            known = sqlite_checks.secret_fingerprint(sqlite_path(settings.database_url))
    except (StorageError, SettingError):
        return []  # it has a finding of its own
    if known is None:
        return []
    file = find_secret_file(known, settings)
    if settings.secret and fingerprint(settings.secret.encode()) == known:
        return [Finding("secret", True, "USERKEEP_SECRET is that of the database")]
    if settings.secret:
        advice = f"Set it to the content of {file}, or unset it." if file else _RIGHT_SECRET
        finding = "USERKEEP_SECRET is not the secret of the database"
        return [Finding("secret", False, finding, advice)]
    if file is not None:
        return [Finding("secret", True, f"{file} is that of the database")]
    path = secret_path(settings)
    is_missing = path is None or not os.path.lexists(path)
    problem = "does not exist" if is_missing else "does not have the secret of the database"
    return [Finding("secret", False, f"{path} {problem}", _RIGHT_SECRET)]


def _check_ledger(settings: Settings) -> list[Finding]:
    """Compare the deletion ledger with a database that is there and up to date."""
    try:
        if not applied_steps(settings):
            return []
        with closing(open_engine(settings, read_only=True)) as engine:
            path = ledger_path(settings, engine)
            return [] if path is None else check_ledger(engine, path)
    except (StorageError, SettingError):
        return []  # it has a finding of its own, or has to be migrated first


def _check_sessions(settings: Settings) -> list[Finding]:
    """Count what needs attention in a database that is there and up to date."""
    try:
        if not applied_steps(settings):
            return []
        with closing(open_engine(settings, read_only=True)) as engine:
            return check_sessions(engine)
    except (StorageError, SettingError):
        return []  # it has a finding of its own, or has to be migrated first


def _check_embeddings(settings: Settings, *, is_asked: bool) -> list[Finding]:
    """Return one finding about the model and the messages without an embedding, if there is any."""
    found = [*check_embedder(settings, is_asked=is_asked), *_check_embedded(settings)]
    if not found:
        return []
    finding = "; ".join(each.finding for each in found)
    advice = " ".join(each.advice for each in found if each.advice)
    return [Finding("embeddings", all(each.is_well for each in found), finding, advice)]


def _check_embedded(settings: Settings) -> list[Finding]:
    """Count the messages without an embedding in a database that is there and up to date."""
    try:
        if not applied_steps(settings):
            return []
        with closing(open_engine(settings, read_only=True)) as engine:
            return check_embeddings(engine)
    except (StorageError, SettingError):
        return []  # it has a finding of its own, or has to be migrated first


_RIGHT_SECRET = (
    "The database opens only with the secret that it was created with: set USERKEEP_SECRET or "
    f"USERKEEP_SECRET_FILE to it. {IF_IT_IS_LOST}"
)


def _check_backups(settings: Settings) -> list[Finding]:
    try:
        path = backup_path(settings)
    except (StorageError, SettingError):
        return []  # it is not a SQLite file
    folder, findings = settings.backup_folder, []
    if folder:
        findings.append(check_backups(folder, settings.backup_every_hours))
    return [*findings, *check_leftovers(path, folder)]


def _check_index(settings: Settings) -> Finding:
    """Compare the search index with every message, and rebuild it if it does not match."""
    check_is_migrated(settings)
    with counter("Building the search index") as add:
        instance = open_instance(settings, keeps_language=False, progress=add)
    rules = instance.scope.rules
    with closing(instance):
        with counter("Comparing the search index") as add:
            report = compare_index(instance.engine, rules, add)
        if not report.is_correct:
            with counter("Rebuilding the search index") as add:
                rebuild_index(instance.engine, rules, add)
    return check_index(report)


def _print(finding: Finding) -> None:
    mark = (
        click.style("ok   ", fg="green")
        if finding.is_well
        else click.style("WRONG", fg="red", bold=True)
    )
    click.echo(f"{mark}  {finding.subject:<11}  {escape_line(finding.finding)}")
    if finding.advice:
        echo(f"{'':<20}{finding.advice}")
