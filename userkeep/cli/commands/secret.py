"""`userkeep secret …`."""

import os
from pathlib import Path
from typing import Any

import click

from userkeep.backups import make_key
from userkeep.cli.deletions import confirm, confirmation_option
from userkeep.cli.groups import OrderedGroup
from userkeep.cli.options import json_option, settings_options
from userkeep.cli.output.escaping import echo
from userkeep.cli.output.terminal import print_json, print_note
from userkeep.cli.signals import raise_on_signal
from userkeep.config import Settings, load_settings
from userkeep.domain.errors import StorageError
from userkeep.rotation import Rotated, rotate_secret
from userkeep.storage.private_files import create_private

_GIVEN_UP = (
    "Given up with the former secret: all user tokens end; deleted ids can be created again by "
    "late writes; requests that are repeated with their Idempotency-Key are performed again; "
    "finished erasures can no longer be compared with a subject_id. Users, sessions, messages, API "
    "keys and erasures stay."
)


@click.group(cls=OrderedGroup)
def secret() -> None:
    """Rotate the secret of the instance, and make keys for backups.

    \b
    userkeep secret rotate
    userkeep secret backup-key backup.key
    """


@secret.command()
@settings_options("database_url", "secret", "secret_file")
@click.option(
    "--lost",
    "is_lost",
    is_flag=True,
    help="Do without the former secret, because it is lost.",
)
@json_option
@confirmation_option
def rotate(*, is_lost: bool, as_json: bool, is_confirmed: bool, **given: Any) -> None:
    """Give the instance a new secret. Stop all servers first.

    The database is bound to its secret: with another one it does not open. If the secret became
    known to others, rotate it; if it is lost, rotate it with --lost. It is asked for confirmation,
    because all user tokens end, and what is hashed under the former secret is given up.

    \b
    userkeep secret rotate
    userkeep secret rotate --lost --yes
    """
    settings = load_settings(given)
    if not is_confirmed:
        print_note(_GIVEN_UP)
        confirm("Rotate the secret?", "Nothing was changed.")
    with raise_on_signal():
        rotated = rotate_secret(settings, is_lost=is_lost)
    if as_json:
        print_json(rotated._asdict() | {"file": str(rotated.file)})
    else:
        echo(_as_text(rotated, settings))


def _as_text(rotated: Rotated, settings: Settings) -> str:
    lines = [f"The new secret is in {rotated.file}."]
    if settings.secret:
        lines.append(
            "USERKEEP_SECRET is still the former one. Set it to the content of this file, or unset "
            f"it and name the file: USERKEEP_SECRET_FILE={rotated.file}."
        )
    if rotated.problem is not None:
        lines.append(
            f"The database files still have hashes under the former secret: {rotated.problem} The "
            "next purge removes them."
        )
    lines.append("Make a new backup: earlier ones have the former secret.")
    return "\n".join(lines)


@secret.command("backup-key")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
def backup_key(*, file: Path) -> None:
    """Make a key for backups, in the format of age.

    FILE gets the private key, which opens backups: store it where the backups are not. The public
    key is printed. A server that has only the public key, in a file of its own, can make backups
    and cannot open them.

    \b
    userkeep secret backup-key backup.key > backup.pub
    """
    load_settings()  # reports a misspelled variable before anything happens
    key = make_key()
    text = f"# A key for backups of Userkeep. Public key: {key.public}\n{key.text}\n"
    try:
        with os.fdopen(create_private(file), "w") as out:
            out.write(text)
    except FileExistsError as error:
        raise StorageError(f"{file} exists, and was not overwritten. Name another file.") from error
    except OSError as error:
        raise StorageError(f"{file} cannot be written: {error.strerror}.") from error
    echo(str(key.public))
