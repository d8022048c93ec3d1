"""`userkeep embed`."""

import json
from contextlib import closing
from typing import Any

import click

from userkeep.cli.options import json_option, settings_options
from userkeep.cli.output.progress import counter
from userkeep.cli.output.terminal import print_note
from userkeep.config import SettingError, load_settings
from userkeep.domain.embedding import Embedder
from userkeep.domain.values.counts import pluralize
from userkeep.instance import Instance, check_is_migrated, open_instance
from userkeep.jobs.embed_now import EmbeddedNow, embed_now
from userkeep.jobs.embedding import Embedded
from userkeep.jobs.steps import Runner

_OPTIONS = (
    "database_url",
    "secret",
    "secret_file",
    "embeddings_url",
    "embeddings_model",
    "embeddings_key_file",
    "embeddings_folder",
)


@click.command()
@settings_options(*_OPTIONS)
@json_option
def embed(*, as_json: bool, **given: Any) -> None:
    """Make the embeddings that messages and documents lack.

    A server does this in the background. The command is for a database that no server uses, such as
    one after an import, and ends when all messages and documents have embeddings. A SQLite file
    must not be in use. It can be interrupted at any time: what is embedded stays.

    \b
    userkeep embed
    userkeep embed --database /var/lib/userkeep/userkeep.db --json
    """
    settings = load_settings(given)
    check_is_migrated(settings)
    with closing(open_instance(settings)) as instance:
        if instance.embedder is None:
            raise SettingError(
                "No embedding model is configured. Set USERKEEP_EMBEDDINGS_URL or "
                "USERKEEP_EMBEDDINGS_FOLDER."
            )
        done = _embed(instance, instance.embedder)
    if as_json:
        click.echo(json.dumps(done._asdict(), indent=2))
        return
    click.echo(f"{pluralize(done.messages, 'message')} embedded")
    if done.documents:
        click.echo(f"{pluralize(done.documents, 'document')} embedded")
    if done.rejected:
        click.echo(f"{pluralize(done.rejected, 'text')} rejected by the model")


def _embed(instance: Instance, embedder: Embedder) -> EmbeddedNow:
    """Embed what is missing.

    Raises:
        Conflict: another process embeds already. Unavailable: the model does not answer.
    """
    engine = instance.engine
    with counter("Embedding messages") as add:
        shown = Embedded()

        def show(done: Embedded) -> None:
            nonlocal shown
            add(done.messages - shown.messages)
            if done.problem is not None and done.problem != shown.problem:
                print_note(f"{done.problem} Trying again; press Ctrl+C to stop.")
            shown = done

        return embed_now(
            Runner(engine, lambda: None, instance.ledger.file, embedder),
            instance.scope.rules,
            embedder,
            is_shared=engine.is_shared,
            progress=show,
        )
