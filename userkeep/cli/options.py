"""Options that several commands share, and how their values are parsed."""

import re
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, get_args

import click
import msgspec

from userkeep.cli.output.escaping import print_error
from userkeep.config import (
    BASICS,
    DATA,
    EMBEDDINGS,
    LIMITS,
    MONITORING,
    NETWORK,
    Settings,
    flag_of,
    has_password,
    split_list,
    variable_of,
)
from userkeep.domain.errors import InvalidField
from userkeep.domain.values import times
from userkeep.domain.values.filters import parse_filter, values_in_address
from userkeep.domain.values.metadata import decode_json
from userkeep.domain.values.metadata_paths import parse_path
from userkeep.domain.values.paging import DEFAULT_LIMIT, MAX_LIMIT, Order, SessionOrder

F = TypeVar("F", bound=Callable[..., Any])

SECTIONS = (BASICS, NETWORK, DATA, EMBEDDINGS, LIMITS, MONITORING)
"""The headings of the help of a command, in their order."""

_CONDITION = re.compile(r'((?:"(?:[^"\\]|\\.)*"|[^="])+)=(.*)', re.DOTALL)
_DURATION = re.compile(r"([1-9][0-9]{0,5})([dh])")


class SettingOption(click.Option):
    """The flag of a setting.

    Attributes:
        section: the heading below which the help of a command has it.
    """

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class SettingsCommand(click.Command):
    """A command whose help has its options below headings, the basics first."""

    def sections(self) -> dict[str, list[click.Parameter]]:
        """Return the options of each heading."""
        sections: dict[str, list[click.Parameter]] = {name: [] for name in SECTIONS}
        for option in self.get_params(click.Context(self)):
            sections[getattr(option, "section", BASICS)].append(option)
        return {name: options for name, options in sections.items() if options}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options."""
        for heading, options in self.sections().items():
            records = [each.get_help_record(ctx) for each in options]
            with formatter.section(heading):
                formatter.write_dl([each for each in records if each is not None])


def settings_options(*names: str) -> Callable[[F], F]:
    """Add the flags of some settings, or of all."""

    def decorate(command: F) -> F:
        for setting in reversed(fields(Settings)):
            if not names or setting.name in names:
                command = _setting_option(setting)(command)
        return command

    return decorate


def _setting_option(setting: Any) -> Callable[[F], F]:
    if not setting.metadata["flag"]:
        return visible_secret_option(setting.name, setting.name)
    is_flag, is_list = setting.type is bool, isinstance(setting.default, tuple)
    default = f"; {setting.default}" if setting.default else ""
    callback = _warn_of_password if setting.name == "database_url" else None
    return click.option(
        flag_of(setting.name),
        setting.name,
        cls=SettingOption,
        section=setting.metadata["section"],
        type=None if is_flag else str if is_list else setting.type,
        is_flag=is_flag,
        multiple=is_list,
        default=None,
        callback=_join_list if is_list else callback,
        help=f"{setting.metadata['help']}  [{variable_of(setting.name)}{default}]",
    )


def _join_list(
    _: click.Context, __: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...] | None:
    return split_list(",".join(value)) or None


def visible_secret_option(setting: str, name: str) -> Callable[[F], F]:
    """Add a flag whose value is a secret: it works, with a warning, and is not in the help."""
    flag = flag_of(setting)

    def warn(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
        if value:
            print_error(
                f"warning: every user of this machine can read the value of {flag} in the list of "
                f"processes. Use {flag}-file or {variable_of(setting)}."
            )
        return value

    return click.option(flag, name, default=None, hidden=True, callback=warn)


def warn_of_password(database_url: str | None) -> None:
    """Warn if an argument of the command is a database URL with a password."""
    if database_url and has_password(database_url):
        print_error(
            "warning: every user of this machine can read the password in the database URL in the "
            "list of processes. Use USERKEEP_DATABASE_URL, PGPASSWORD or ~/.pgpass."
        )


def _warn_of_password(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    warn_of_password(value)
    return value


def json_option(command: F) -> F:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def metadata_option(command: F) -> F:
    """Add `--metadata JSON`, for a new object."""
    return click.option(
        "--metadata", type=parse_json_object, metavar="JSON", help="Your own data: a JSON object."
    )(command)


def merged_metadata_option(command: F) -> F:
    """Add `--metadata JSON`, for an update."""
    return click.option(
        "--metadata",
        type=parse_json_object,
        metavar="JSON",
        help="Merged into the existing metadata; null removes a key.",
    )(command)


def filter_option(command: F) -> F:
    """Add `--filter JSON`."""
    return click.option(
        "--filter",
        type=parse_json_object,
        metavar="JSON",
        help="A condition on metadata, such as"
        ' \'{"field": "metadata.age", "op": "gte", "value": 18}\'.',
    )(command)


def paging_options(command: F) -> F:
    """Add the options of every list."""
    options = (
        click.option(
            "--limit",
            type=click.IntRange(1, MAX_LIMIT),
            default=DEFAULT_LIMIT,
            show_default=True,
            help="Maximum number of results.",
        ),
        click.option(
            "--cursor",
            metavar="CURSOR",
            help="Cursor of the next page, as printed at the end of the previous one.",
        ),
        click.option("--all", "is_all", is_flag=True, help="Print every page, from --cursor on."),
    )
    for option in reversed(options):
        command = option(command)
    return command


order_option = click.option(
    "--order",
    type=click.Choice(get_args(Order)),
    default="created",
    show_default=True,
    help="Oldest first, or newest first (-created).",
)

session_order_option = click.option(
    "--order",
    type=click.Choice(get_args(SessionOrder)),
    default="created",
    show_default=True,
    help="By creation, or by activity: the time of the last message. Oldest first; newest first"
    " with a minus.",
)


def words_option(found: str) -> Callable[[F], F]:
    """Add `--q`.

    Args:
        found: what the words are searched in.
    """
    return click.option(
        "--q",
        metavar="WORDS",
        help=f"Only those where each of these words begins a word of {found}, ignoring case and"
        " accents.",
    )


count_option = click.option(
    "--count", is_flag=True, help="Also print the number of all that match. All of them are read."
)

owner_option = click.option(
    "--user-id",
    metavar="USER_ID",
    help="Only if the session belongs to this user; another user's is not found.",
)


def time_options(verb: str, what: str) -> Callable[[F], F]:
    """Add `--VERB-after` and `--VERB-before`.

    Args:
        what: those that are in the list, by their time, such as "those created".
    """

    def decorate(command: F) -> F:
        for side in ("before", "after"):
            command = click.option(
                f"--{verb}-{side}",
                type=parse_time,
                metavar="TIME",
                help=f"Only {what} {side} this time (UTC if it has no zone).",
            )(command)
        return command

    return decorate


created_options = time_options("created", "those created")
active_options = time_options("active", "those whose last message is")


def list_filter_options(command: F) -> F:
    """Add the filters that users and sessions share."""
    options = (
        created_options,
        click.option(
            "--metadata",
            type=parse_condition,
            multiple=True,
            metavar="PATH=VALUE",
            help="Only those with this value in their metadata, such as address.city=Paris; can be"
            " repeated. A number, true, false or null also finds the text; in double quotes only"
            """ the text. A key that contains a dot is in double quotes: '"a.b".c=1'.""",
        ),
        filter_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def parse_json(value: str) -> msgspec.Raw:
    """Check that a text is JSON, and return it unchanged."""
    _decode(value)
    return msgspec.Raw(value.encode())


def parse_json_object(value: str) -> dict[str, Any]:
    """Parse a JSON object."""
    parsed = _decode(value)
    if not isinstance(parsed, dict):
        raise click.BadParameter(f'{value!r} is not a JSON object, such as \'{{"plan": "pro"}}\'.')
    return parsed


def _decode(value: str) -> Any:
    try:
        return decode_json(value)
    except RecursionError as error:
        raise click.BadParameter("The JSON is nested too deep.") from error
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise click.BadParameter(
            f"{value!r} is not JSON. Names and texts are in double quotes, such as "
            '\'{"plan": "pro"}\'.'
        ) from error


def parse_time(value: str) -> datetime:
    """Parse a date or a time; without an offset it is UTC."""
    try:
        moment = times.parse_time(value)
    except ValueError as error:
        raise click.BadParameter(
            f"{value!r} is not a time. Write it like 2026-11-22 or 2026-11-22T11:30:00Z."
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_duration(value: str) -> timedelta:
    """Parse a number of days or hours, such as `30d` or `12h`."""
    found = _DURATION.fullmatch(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is not a number of days or hours, such as 30d or 12h.")
    number, unit = int(found[1]), found[2]
    return timedelta(days=number) if unit == "d" else timedelta(hours=number)


def parse_condition(value: str) -> dict[str, Any]:
    """Parse `PATH=VALUE`, with the meaning of `metadata.PATH=VALUE` in an address.

    Returns:
        The condition as a filter.
    """
    found = _CONDITION.fullmatch(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is not PATH=VALUE, such as plan=pro.")
    path, text = found.groups()
    try:
        parse_path(path, "PATH")
        values = values_in_address(text, "VALUE")
    except InvalidField as error:
        raise click.BadParameter(f"{value!r}: {error.detail}") from error
    return {"field": f"metadata.{path}", "op": "in", "value": list(values)}


def join_conditions(filters: dict[str, Any]) -> dict[str, Any]:
    """Return the filters of a list with the conditions of `--metadata` in its filter.

    Raises:
        InvalidField: `--filter` is invalid; named by the place in it.
    """
    conditions, tree = filters["metadata"], filters["filter"]
    if not conditions:
        return {**filters, "metadata": None}
    if tree is not None:
        parse_filter(tree)
        conditions = (tree, *conditions)
    return {**filters, "metadata": None, "filter": {"and": list(conditions)}}
