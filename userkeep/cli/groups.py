"""Groups of commands: listed in their order, with aliases and options before the command."""

import gc
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

_ALIASES = {"get": "show", "create": "add", "add": "create"}
"""The names that the SDK and other programs have for these commands."""


class Lazy(NamedTuple):
    """A command that is not imported yet.

    Attributes:
        path: `module:name`, where the command is.
        summary: its line in the list of commands; the rest of its help is in that module.
    """

    path: str
    summary: str


def _imported(name: str) -> ModuleType:
    """Import a module without collecting garbage.

    What is imported lives to the end, so the collector skips it from then on. Looking for garbage
    in it is a seventh of the time that `serve` takes to start.
    """
    if name in sys.modules or not gc.isenabled():
        return import_module(name)
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        gc.enable()


class _PassingGroup(click.Group):
    """A group with the options that can be given before the command; it passes them on.

    They are put before the arguments of the command, so that what is given after it wins.
    """

    has_hidden_options = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._passed = _passed_options(is_hidden=self.has_hidden_options)
        self.params = [*self._passed, *self.params]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the options before the command."""
        rest = super().parse_args(ctx, args)
        ctx.obj = list(self._words_to_pass(ctx.params))
        return rest

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return a command and its arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command, [*(ctx.obj or ()), *rest]

    def _words_to_pass(self, params: dict[str, Any]) -> Iterator[str]:
        for option in self._passed:
            value = params.pop(option.name or "", None)
            if option.is_flag and value:
                yield option.opts[0]
            elif not option.is_flag and value is not None:
                yield f"{option.opts[0]}={value}"


def _passed_options(*, is_hidden: bool) -> list[click.Option]:
    return [
        click.Option(
            ["--database"],
            metavar="DATABASE",
            hidden=is_hidden,
            help="The database for the command; see its help.",
        ),
        click.Option(
            ["--url"], metavar="URL", hidden=is_hidden, help="The server that the command calls."
        ),
        click.Option(
            ["--project"],
            metavar="PROJECT",
            hidden=is_hidden,
            help="The project that the command works in.",
        ),
        click.Option(["--api-key"], hidden=True),
        click.Option(
            ["--api-key-file"],
            metavar="FILE",
            hidden=is_hidden,
            help="The file of the API key for the server.",
        ),
        click.Option(["--json", "as_json"], is_flag=True, hidden=is_hidden, help="Print JSON."),
    ]


class OrderedGroup(_PassingGroup):
    """A group that lists its commands in the order of their definition."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of all commands, without aliases."""
        return list(self.commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a command by its name or alias."""
        return self.commands.get(cmd_name) or self.commands.get(_ALIASES.get(cmd_name, ""))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return what a word can become; an alias only once it is begun."""
        aliases = [
            CompletionItem(alias)
            for alias, name in _ALIASES.items()
            if incomplete and alias.startswith(incomplete) and name in self.commands
        ]
        return [*super().shell_complete(ctx, incomplete), *aliases]


class LazyGroup(_PassingGroup):
    """A group of lazy commands, so that `--help` starts quickly; listed in the given order."""

    has_hidden_options = False

    def __init__(self, *args: Any, lazy: Mapping[str, Lazy], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Click suggests names from `commands` after a typing error.
        self.commands = {name: click.Command(name) for name in lazy}
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of all commands."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        lazy = self._lazy.get(cmd_name)
        if lazy is None:
            return None
        module, _, name = lazy.path.partition(":")
        command: click.Command = getattr(_imported(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in self._lazy.items()])
