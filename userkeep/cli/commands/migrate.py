"""`userkeep migrate`."""

import json
from typing import Any

import click

from userkeep.cli.options import json_option, settings_options
from userkeep.cli.output.progress import counter
from userkeep.config import Settings, is_postgres, load_settings
from userkeep.instance import applied_steps, open_instance
from userkeep.storage.migrations import load_migrations


@click.command()
@settings_options("database_url", "secret", "secret_file")
@json_option
def migrate(*, as_json: bool, **given: Any) -> None:
    """Migrate the database schema.

    `userkeep serve` does this automatically when it starts.

    \b
    userkeep migrate
    userkeep migrate --database /var/lib/userkeep/userkeep.db --json
    """
    applied, step = _migrate(load_settings(given))
    if as_json:
        click.echo(json.dumps({"applied": applied, "step": step}, indent=2))
        return
    for name in applied:
        click.echo(f"applied {name}")
    click.echo(f"the schema is at step {step}")


def _migrate(settings: Settings) -> tuple[list[str], int]:
    """Apply the missing steps; return their names, and the number of the last step."""
    known = load_migrations("postgres" if is_postgres(settings.database_url) else "sqlite")
    before = applied_steps(settings)
    with counter("Building the search index") as add:
        open_instance(settings, progress=add).close()
    applied = [f"{step.number:04d} {step.name}" for step in known if step.number not in before]
    return applied, known[-1].number
