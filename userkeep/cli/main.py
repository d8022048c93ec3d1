"""The root command: its list of commands, and how an error ends the program."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from userkeep.cli import exits
from userkeep.cli.groups import Lazy, LazyGroup
from userkeep.cli.output.escaping import (
    SafeFormatter,
    escape_control,
    print_error,
    print_traceback,
)
from userkeep.config import SettingError
from userkeep.domain.errors import UserkeepError
from userkeep.version import __version__

_COMMANDS = {
    "serve": Lazy("userkeep.cli.commands.serve:serve", "Serve the HTTP APIs until stopped."),
    "migrate": Lazy("userkeep.cli.commands.migrate:migrate", "Migrate the database schema."),
    "doctor": Lazy(
        "userkeep.cli.commands.doctor:doctor",
        "Check settings, database, versions and disk space.",
    ),
    "copy": Lazy("userkeep.cli.commands.copy:copy", "Copy an instance into a new database."),
    "replay-erasures": Lazy(
        "userkeep.cli.commands.replay_erasures:replay_erasures",
        "Delete again what was deleted after a backup, in the database restored from it.",
    ),
    "embed": Lazy(
        "userkeep.cli.commands.embed:embed", "Make the embeddings that messages and documents lack."
    ),
    "backup": Lazy(
        "userkeep.cli.commands.backup:backup",
        "Back up a SQLite database and its secret into one sealed file.",
    ),
    "restore": Lazy(
        "userkeep.cli.commands.restore:restore", "Restore a backup into a SQLite database."
    ),
    "secret": Lazy(
        "userkeep.cli.commands.secret:secret",
        "Rotate the secret of the instance, and make keys for backups.",
    ),
    "users": Lazy("userkeep.cli.commands.users:users", "Add, list, show, update and delete users."),
    "projects": Lazy(
        "userkeep.cli.commands.projects:projects",
        "Create, list, show, rename, update and delete projects.",
    ),
    "sessions": Lazy(
        "userkeep.cli.commands.sessions:sessions",
        "Add, list, show, update, end and delete sessions.",
    ),
    "messages": Lazy(
        "userkeep.cli.commands.messages:messages",
        "List, add, show, update and delete messages of a session.",
    ),
    "memory": Lazy("userkeep.cli.commands.memory:memory", "Show the memory of a session."),
    "search": Lazy("userkeep.cli.commands.search:search", "Search messages."),
    "collections": Lazy(
        "userkeep.cli.commands.collections:collections",
        "Add, list, show and delete collections of documents.",
    ),
    "documents": Lazy(
        "userkeep.cli.commands.documents:documents",
        "Add, list, show, search and delete documents of a collection.",
    ),
    "erasures": Lazy(
        "userkeep.cli.commands.erasures:erasures", "List, show, purge and verify data deletions."
    ),
    "keys": Lazy(
        "userkeep.cli.commands.keys:keys", "Create, list, show, rotate and revoke API keys."
    ),
    "export": Lazy(
        "userkeep.cli.commands.export:export",
        "Export users with their sessions, messages and documents as JSON Lines.",
    ),
    "import": Lazy(
        "userkeep.cli.commands.import_:import_",
        "Import users with their sessions, messages and documents from JSON Lines.",
    ),
    "completion": Lazy(
        "userkeep.cli.commands.completion:completion", "Print a shell completion script."
    ),
}


@contextmanager
def _escaped_usage_errors() -> Iterator[None]:
    """Escape control characters in click's own messages, which quote the arguments."""
    try:
        yield
    except click.ClickException as error:
        message = error.format_message()
        escaped = escape_control(message)
        if escaped == message:
            raise
        if isinstance(error, click.UsageError):
            raise click.UsageError(escaped, error.ctx) from error
        raise click.ClickException(escaped) from error


class _Root(LazyGroup):
    """The group of all commands: an error ends as one sentence on stderr and an exit code."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program."""
        sys.excepthook = print_traceback
        if logging.lastResort is not None:  # prints the warnings of programs that set up no log
            logging.lastResort.setFormatter(SafeFormatter("userkeep: %(message)s"))
        return super().main(*args, **kwargs)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the options before the command."""
        with _escaped_usage_errors():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        try:
            with _escaped_usage_errors():
                return super().invoke(ctx)
        except UserkeepError as error:
            print_error(error.detail)
            sys.exit(exits.code_of(error))
        except SettingError as error:
            print_error(str(error))
            sys.exit(exits.USAGE)
        except exits.Interrupted as interrupted:
            print_error(interrupted.detail)
            sys.exit(interrupted.code)


@click.group(cls=_Root, lazy=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="userkeep")
def main() -> None:
    """The self-hosted home for an AI app's users, their sessions and everything derived from them.

    \b
    userkeep serve                        serve on http://127.0.0.1:8000
    userkeep users add jane               add a user to userkeep-data/userkeep.db
    userkeep users list --url http://…    list the users of a server

    --database, --project, --url, --api-key-file and --json can be given before or after the
    command; the one that comes last applies.

    Every setting is also an environment variable; a flag overrides it. Exit codes: 0 success,
    1 rejected (by the database, a lock or the instance), 2 wrong usage or setting, 3 doctor found a
    problem or verify found deleted data, 4 not found, 5 server unreachable, 6 access denied (no
    valid API key, or one that does not permit this), 7 verify found nothing but is inconclusive,
    128 plus the signal number when stopped by a signal (130 for Ctrl-C; 0 for `serve`).
    """
