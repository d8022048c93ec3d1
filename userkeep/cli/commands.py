"""The commands. Each imports what it needs when it is called, so that `--help` starts at once."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import click

from userkeep.cli import exits, options
from userkeep.cli.nouns import in_module
from userkeep.cli.target import with_client, with_client_that_may_make
from userkeep.client import Userkeep
from userkeep.config import SettingError, Settings, flag_of, load_settings, variable_of
from userkeep.domain.errors import UserkeepError
from userkeep.domain.message import ROLE_TYPES
from userkeep.domain.values.paging import MAX_LIMIT
from userkeep.version import __version__

F = TypeVar("F", bound=Callable[..., Any])


def with_settings(*names: str) -> Callable[[F], F]:
    """Give a command the flags of some settings, or of all."""

    def decorate(command: F) -> F:
        for each in reversed(fields(Settings)):
            if not names or each.name in names:
                command = _option(each)(command)
        return command

    return decorate


def _option(setting: Any) -> Callable[[F], F]:
    is_flag = setting.type is bool
    return click.option(
        flag_of(setting.name),
        setting.name,
        type=None if is_flag else setting.type,
        is_flag=is_flag,
        default=None,
        help=f"{setting.metadata['help']}  [{variable_of(setting.name)}"
        + (f"; {setting.default}]" if setting.default not in {"", False} else "]"),
    )


class Group(click.Group):
    """The group of all commands: an error is a sentence on stderr and an exit code, no trace."""

    def invoke(self, context: click.Context) -> Any:
        """Run a command."""
        if os.environ.get("NO_COLOR"):
            context.color = False
        try:
            return super().invoke(context)
        except UserkeepError as error:
            click.echo(f"userkeep: {error.detail}", err=True)
            sys.exit(exits.code_of(error))
        except SettingError as error:
            click.echo(f"userkeep: {error}", err=True)
            sys.exit(exits.USAGE)
        except exits.Interrupted as interrupted:
            click.echo(f"userkeep: {interrupted.detail}", err=True)
            sys.exit(interrupted.code)

    def list_commands(self, context: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """Their names, in the order in which they are told of."""
        return list(self.commands)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="userkeep")
def main() -> None:
    """The self-hosted home for an AI app's users, their sessions and everything derived from them.

    \b
    userkeep serve                        serve on http://127.0.0.1:8000
    userkeep users add jane               add a user to userkeep-data/userkeep.db
    userkeep users list --url http://…    ask a server

    Every setting is an environment variable too; a flag wins over it. Exit codes: 0 done,
    1 refused (the database, a lock, the request), 2 wrong usage or setting, 3 doctor found
    problems, or verify what was deleted, 4 not found, 5 unreachable (the server), 128 and the
    signal's number (130 for Ctrl-C) stopped by a signal.
    """


@main.command()
@with_settings()
def serve(**given: Any) -> None:
    """Serve the HTTP interfaces until stopped.

    \b
    userkeep serve
    userkeep serve --database sqlite:////var/lib/userkeep/userkeep.db --port 9000
    """
    from userkeep.cli.serving import run_server

    run_server(load_settings(given))


@main.command()
@with_settings("database_url", "secret", "secret_file")
@options.as_json
def migrate(*, as_json: bool, **given: Any) -> None:
    """Bring the database's schema up to date, and stop. `serve` does it by itself.

    \b
    userkeep migrate
    userkeep migrate --database sqlite:////var/lib/userkeep/userkeep.db --json
    """
    from userkeep.cli.inspecting import migrate_database

    settings = load_settings(given)
    applied, present = migrate_database(settings)
    if as_json:
        click.echo(json.dumps({"applied": applied, "step": present}, indent=2))
        return
    for name in applied:
        click.echo(f"applied {name}")
    click.echo(f"the schema is at step {present}")


@main.command()
@with_settings()
@click.option(
    "--deep", "is_deep", is_flag=True, help="Compare the index of words with every message, too."
)
@options.as_json
def doctor(*, is_deep: bool, as_json: bool, **given: Any) -> None:
    """Look at settings, file, versions and free space; say what is wrong and what to do.

    It changes nothing, and may run beside a server. With --deep it opens the database (a SQLite
    file must not be served meanwhile), compares the index of words with all messages, and makes it
    anew where it does not fit, or where USERKEEP_SEARCH_LANGUAGE has changed.

    \b
    userkeep doctor
    userkeep doctor --deep
    userkeep doctor --json
    """
    from userkeep.cli.inspecting import examine, examine_index

    settings = load_settings(given)
    findings = examine(settings)
    if is_deep and all(finding.is_well for finding in findings):
        findings.append(examine_index(settings))
    if as_json:
        click.echo(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        for finding in findings:
            mark = click.style("ok   ", fg="green") if finding.is_well else "WRONG"
            mark = mark if finding.is_well else click.style(mark, fg="red", bold=True)
            click.echo(f"{mark}  {finding.subject:<10}  {finding.finding}")
            if finding.advice:
                click.echo(f"{'':<19}{finding.advice}")
    if not all(finding.is_well for finding in findings):
        sys.exit(exits.PROBLEMS)


@main.command()
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, for machines.")
def port(*, source: str, target: str, as_json: bool) -> None:
    """Copy a whole instance into a new database, of the same engine or the other.

    SRC and DST are database URLs. Nobody may serve SRC if it is SQLite; from PostgreSQL what it
    holds at the beginning is copied. DST is made or must be empty. At the end both are compared.
    Interrupted, the same command goes on; nothing else opens DST before that is done.

    \b
    userkeep port sqlite:///userkeep-data/userkeep.db postgresql://jane@db.example/userkeep
    userkeep port postgresql://jane@db.example/userkeep sqlite:////var/lib/userkeep.db
    userkeep port sqlite:///old.db sqlite:///new.db
    """
    from userkeep.cli.porting import port_instance, print_report

    print_report(port_instance(source, target), as_json=as_json)


@main.group(cls=in_module("userkeep.cli.users"))
def users() -> None:
    """Add, list, show, change and delete users.

    \b
    userkeep users add jane --email jane@example.com
    userkeep users list
    """


@main.group(cls=in_module("userkeep.cli.sessions"))
def sessions() -> None:
    """Open, list, show, end and delete sessions.

    \b
    userkeep sessions add chat-1 --user-id jane
    userkeep sessions list --user-id jane
    """


@main.group(cls=in_module("userkeep.cli.messages"))
def messages() -> None:
    """List the messages of a session, and append to it.

    \b
    userkeep messages add chat-1 "Do you have these in blue?" --role-type user
    userkeep messages list chat-1
    """


@main.group(cls=in_module("userkeep.cli.memory"))
def memory() -> None:
    """Show the memory of a session.

    \b
    userkeep memory show chat-1
    """


@main.command()
@click.argument("query", required=False)
@click.option("--user-id", metavar="USER_ID", help="Among the messages of this user alone.")
@click.option("--session-id", metavar="SESSION_ID", help="In this session alone.")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LIMIT),
    default=10,
    show_default=True,
    help="How many hits at most.",
)
@click.option(
    "--role-type",
    "roles",
    type=click.Choice(ROLE_TYPES),
    multiple=True,
    help="Only what this role type said; may be given several times.",
)
@click.option(
    "--after",
    "created_after",
    type=options.moment,
    metavar="TIME",
    help="Said after this time; UTC without a zone.",
)
@click.option(
    "--before",
    "created_before",
    type=options.moment,
    metavar="TIME",
    help="Said before this time; UTC without a zone.",
)
@options.filtered
@click.option("--explain", is_flag=True, help="Say of each hit how its score came about.")
@options.as_json
@with_client
def search(client: Userkeep, *, roles: tuple[Any, ...], as_json: bool, **asked: Any) -> None:
    """Find messages by their words, best first; without a QUERY, the newest.

    QUERY is a few words, or a question. Without --user-id and --session-id, everything is searched.

    \b
    userkeep search "what shoes?" --user-id jane
    userkeep search hiking --session-id chat-1 --after 2026-11-01 --explain
    userkeep search --limit 3 --role-type user --json
    """
    from userkeep.cli.search import print_hits

    print_hits(client.search(roles=roles or None, **asked), as_json=as_json)


@main.group(cls=in_module("userkeep.cli.erasures"))
def erasures() -> None:
    """List, show, purge and verify erasures: what was deleted.

    \b
    userkeep erasures list
    userkeep erasures verify 01a204d3-fd4f-7b04-a503-2bf951c2c06d --search-terms-from jane.txt
    """


@main.command("export")
@click.argument("user_ids", metavar="[USER_ID]...", nargs=-1)
@click.option(
    "--output",
    "-o",
    "place",
    default="-",
    metavar="FILE",
    help="The file to write, which is there once it is whole; - is stdout.  [-]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON, for machines.")
@with_client
def export(client: Userkeep, *, user_ids: tuple[str, ...], place: str, as_json: bool) -> None:
    """Write users with their sessions and messages as JSON Lines.

    Without a USER_ID all users are written. Sessions that have no owner are not part of it, and
    what is added while it runs may be missing. Uuids of users and sessions, and all times but those
    of messages, are not exported: an import makes them anew. A FILE is there once it is whole; if
    the export is interrupted, run it again.

    \b
    userkeep export --output people.jsonl
    userkeep export jane | gzip > jane.jsonl.gz
    """
    from userkeep.cli.exporting import export_users

    export_users(client, user_ids, place, as_json=as_json)


@main.command("import")
@click.argument(
    "place", metavar="FILE", type=click.Path(exists=True, dir_okay=False, allow_dash=True)
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON, for machines.")
@with_client_that_may_make
def import_(client: Userkeep, *, place: str, as_json: bool) -> None:
    """Add users with their sessions and messages from JSON Lines.

    FILE is what export wrote; - is stdin. Messages keep their uuid and their time; those that are
    there already are passed over. If it is interrupted, run it again: it completes the user it
    stopped in, and leaves alone what is complete. A user who is there and differs from the file is
    left alone too, and named; the exit code is then 1.

    \b
    userkeep import people.jsonl
    gunzip --stdout jane.jsonl.gz | userkeep import - --url http://127.0.0.1:8000
    """
    from userkeep.cli.importing import import_users

    import_users(client, place, as_json=as_json)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(*, shell: str) -> None:
    """Print what makes a shell complete the words of `userkeep`.

    \b
    userkeep completion bash > ~/.local/share/bash-completion/completions/userkeep
    userkeep completion zsh > ~/.zfunc/_userkeep
    userkeep completion fish > ~/.config/fish/completions/userkeep.fish
    """
    from userkeep.cli.completing import script

    click.echo(script(main, shell))
