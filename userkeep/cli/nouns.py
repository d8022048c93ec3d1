"""Groups of commands that are loaded when they are asked for, so that `userkeep --help` is not."""

from importlib import import_module
from typing import Any, ClassVar

import click


class Noun(click.Group):
    """A group whose commands are in a module of their own: its `COMMANDS`, in their order."""

    module: ClassVar[str]

    def list_commands(self, context: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """Their names."""
        return list(self._loaded())

    def get_command(self, context: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        """One of them."""
        return self._loaded().get(name)

    def _loaded(self) -> dict[str, Any]:
        return {str(each.name): each for each in import_module(self.module).COMMANDS}


def in_module(name: str) -> type[Noun]:
    """The kind of group whose commands are in this module."""
    return type("Noun", (Noun,), {"module": name})
