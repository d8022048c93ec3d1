"""Rotating the secret of an instance that no server uses."""

import os
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from userkeep.config import Settings, is_postgres
from userkeep.domain.errors import StorageError, Unavailable
from userkeep.domain.secret import fingerprint
from userkeep.instance import check_is_migrated, make_rules, open_engine, secret_of, secret_path
from userkeep.jobs.purge import Purge
from userkeep.services import instance, rotation
from userkeep.storage.engine import Engine
from userkeep.storage.private_files import (
    make_private_folder,
    pending_name,
    replace_private,
    sync_folder,
)


class Rotated(NamedTuple):
    """A secret that was rotated.

    Attributes:
        file: where the new secret is.
        problem: why the database files may still have hashes under the former secret; None if they
            were purged.
    """

    file: Path
    problem: str | None


def rotate_secret(settings: Settings, *, is_lost: bool) -> Rotated:
    """Give an instance a new secret.

    The new secret is written beside the former one, then the database changes in one transaction,
    then the new secret gets the name of the former one. Whenever this ends, the database opens with
    one of the two.

    Args:
        is_lost: whether it does without the former secret.

    Raises:
        StorageError, SettingError: nothing was changed; with a sentence that says what to do.
    """
    path = secret_path(settings)
    if path is None:
        raise StorageError("An in-memory database has no secret that could be rotated.")
    check_is_migrated(settings)
    _check_is_alone(settings)
    with closing(open_engine(settings)) as engine:
        engine.write(instance.check_is_complete)
        if not is_lost:
            _check_former(engine, settings)
        new = os.urandom(32).hex().encode()
        pending = pending_name(path)
        try:
            make_private_folder(path.parent)
            replace_private(pending, new + b"\n")
        except OSError as error:
            raise StorageError(f"{pending} cannot be written: {error.strerror}.") from error
        rules = make_rules(settings, new)
        engine.write(lambda tx: rotation.rotate(tx, fingerprint(new), rules))
        return Rotated(_in_place(settings, pending, path), _purge(engine))


def _check_is_alone(settings: Settings) -> None:
    """Check that no server uses a PostgreSQL database; a SQLite file is locked when opened."""
    if not is_postgres(settings.database_url):
        return
    from userkeep.storage.postgres.server import count_others

    others = count_others(settings.database_url)
    if others:
        raise StorageError(
            f"The database has other connections ({others}). Stop all servers and programs that "
            "use it; then rotate the secret, and give every server the new one."
        )


def _check_former(engine: Engine, settings: Settings) -> None:
    known = engine.read(instance.secret_fingerprint)
    if known is None:
        raise StorageError("This database was never opened: it has no secret yet.")
    if fingerprint(secret_of(engine, settings, may_change=False)) != known:
        raise StorageError(
            "This database was created with another secret than the one that is set. If that is "
            "lost, use --lost."
        )


def _in_place(settings: Settings, pending: Path, path: Path) -> Path:
    """Let the new secret take the place of the former one; return where it is."""
    if settings.secret and os.path.lexists(path):
        return pending  # the file has not been in use: it may be another instance's
    pending.replace(path)
    sync_folder(path.parent)
    return path


def _purge(engine: Engine) -> str | None:
    try:
        Purge(engine).run()
    except Unavailable as error:
        return error.detail
    return None
