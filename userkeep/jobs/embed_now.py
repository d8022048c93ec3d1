"""Embed all messages and documents that have no embedding, and end.

A server embeds in the background; this is for a command and for embedded clients.
"""

from collections.abc import Callable
from typing import NamedTuple

from userkeep.domain.embedding import Embedder, EmbeddingFailed
from userkeep.domain.errors import Conflict, Unavailable
from userkeep.domain.scope import Rules
from userkeep.jobs.document_embedding import DocumentEmbeddingJob
from userkeep.jobs.embedding import Embedded, EmbeddingJob
from userkeep.jobs.steps import Runner


class EmbeddedNow(NamedTuple):
    """What was done.

    Attributes:
        messages, documents: how many got an embedding.
        rejected: how many texts of messages the model rejects.
    """

    messages: int
    documents: int
    rejected: int


def embed_now(
    runner: Runner,
    rules: Rules,
    embedder: Embedder,
    *,
    is_shared: bool,
    progress: Callable[[Embedded], None],
) -> EmbeddedNow:
    """Embed what has no embedding, in all projects. What is embedded stays if this fails.

    Args:
        runner: runs the jobs, with this embedder.
        rules: see Rules.
        embedder: makes the embeddings.
        is_shared: whether other processes use the database.
        progress: called after each batch of messages. After one that failed, the batch is repeated
            until it succeeds, unless this raises.

    Raises:
        Conflict: another process embeds already.
        Unavailable: the model does not answer.
    """
    messages = EmbeddingJob(rules, embedder, is_shared=is_shared, progress=progress)
    documents = DocumentEmbeddingJob(rules, embedder)
    try:
        if not runner.run(messages.steps()):
            raise Conflict(
                "Another process embeds the messages of this database already, or has another "
                "model."
            )
        runner.run(documents.steps())
    except EmbeddingFailed as error:
        raise Unavailable(f"The embedding model failed. {error.detail}") from error
    finally:
        runner.run(messages.release())
        runner.run(documents.release())
    return EmbeddedNow(messages.done.messages, documents.count, messages.done.rejected)
