"""The commands. Each imports what it needs when it is called, so that `--help` starts at once."""

import json
import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import click

from recollect.config import SettingError, Settings, flag_of, load_settings, variable_of
from recollect.domain.errors import RecollectError
from recollect.version import __version__

F = TypeVar("F", bound=Callable[..., Any])

EXIT_REFUSED = 1
EXIT_USAGE = 2
EXIT_PROBLEMS = 3


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
        try:
            return super().invoke(context)
        except RecollectError as error:
            click.echo(f"recollect: {error.detail}", err=True)
            sys.exit(EXIT_REFUSED)
        except SettingError as error:
            click.echo(f"recollect: {error}", err=True)
            sys.exit(EXIT_USAGE)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="recollect")
def main() -> None:
    """The self-hosted home for an AI app's users, their sessions and everything derived from them.

    \b
    recollect serve                        serve on http://127.0.0.1:8000
    recollect serve --port 9000            serve elsewhere
    recollect doctor                       look whether all is well

    Every setting is an environment variable too; a flag wins over it. Exit codes: 0 done,
    1 refused (the database, a lock), 2 wrong usage or setting, 3 doctor found problems.
    """


@main.command()
@with_settings()
def serve(**given: Any) -> None:
    """Serve the HTTP interfaces until stopped.

    \b
    recollect serve
    recollect serve --database sqlite:////var/lib/recollect/recollect.db --port 9000
    """
    from recollect.cli.serving import run_server

    run_server(load_settings(given))


@main.command()
@with_settings("database_url", "secret", "secret_file")
def migrate(**given: Any) -> None:
    """Bring the database's schema up to date, and stop. `serve` does it by itself.

    \b
    recollect migrate
    recollect migrate --database sqlite:////var/lib/recollect/recollect.db
    """
    from recollect.cli.inspecting import migrate_database

    settings = load_settings(given)
    applied, present = migrate_database(settings)
    for name in applied:
        click.echo(f"applied {name}")
    click.echo(f"the schema is at step {present}")


@main.command()
@with_settings()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
def doctor(*, as_json: bool, **given: Any) -> None:
    """Look at settings, file, versions and free space; say what is wrong and what to do.

    It changes nothing, and may run beside a server.

    \b
    recollect doctor
    recollect doctor --json
    """
    from recollect.cli.inspecting import examine

    findings = examine(load_settings(given))
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
        sys.exit(EXIT_PROBLEMS)


@main.command()
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, for machines.")
def port(*, source: str, target: str, as_json: bool) -> None:
    """Copy a whole installation into a new database, of the same engine or the other.

    SRC and DST are database URLs. Nobody may serve SRC if it is SQLite; from PostgreSQL what it
    holds at the beginning is copied. DST is made or must be empty. At the end both are compared.
    Interrupted, the same command goes on; nothing else opens DST before that is done.

    \b
    recollect port sqlite:///recollect-data/recollect.db postgresql://jane@db.example/recollect
    recollect port postgresql://jane@db.example/recollect sqlite:////var/lib/recollect.db
    recollect port sqlite:///old.db sqlite:///new.db
    """
    from recollect.cli.porting import port_installation, print_report

    print_report(port_installation(source, target), as_json=as_json)
