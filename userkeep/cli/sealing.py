"""The options that say what seals and opens a backup."""

import click

from userkeep.cli.options import F


def sealing_options(command: F) -> F:
    """Add `--passphrase-file` and `--key-file`."""
    options = (
        click.option(
            "--passphrase-file",
            metavar="FILE",
            default="",
            help="The file of the passphrase. Without it, it is asked for on a terminal. "
            " [USERKEEP_BACKUP_PASSPHRASE_FILE; none]",
        ),
        click.option(
            "--key-file",
            metavar="FILE",
            default="",
            help="The file of the age key, instead of a passphrase.  [USERKEEP_BACKUP_KEY_FILE;"
            " none]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command
