"""The embedding of what a collection is searched with, by the model that has embedded it."""

from userkeep.domain.collection import Collection
from userkeep.domain.embedding import ModelState, RecordedModel
from userkeep.domain.errors import InvalidField, Unavailable
from userkeep.domain.search.meaning import CannotEmbed, Meaning
from userkeep.domain.transaction import Transaction
from userkeep.domain.vectors.encoding import encode_embedding
from userkeep.services import embeddings


def embed_query(tx: Transaction, collection: Collection, text: str, user_id: str | None) -> bytes:
    """Return the embedding of a text, as float32; it is made outside of the transaction.

    Args:
        user_id: whose documents are searched; None for all that the scope sees.

    Raises:
        InvalidField: the text cannot be embedded: the caller embeds this collection, or the project
            or the user is not to be embedded, or the model rejects it. Unavailable: the model does
            not answer in time, or is not configured now.
    """
    if not collection.is_embedded_by_model:
        raise InvalidField(
            "text cannot be embedded: the caller makes the embeddings of this collection. Search "
            "it by an embedding.",
            "text",
        )
    if not embeddings.may_embed_query(tx, user_id or tx.scope.user_id, None):
        raise InvalidField(
            "text cannot be embedded: nothing of this project or user may be given to an embedding "
            "model. Search by an embedding.",
            "text",
        )
    meaning = tx.scope.rules.meaning
    model = None if meaning is None else _model_of(tx, collection, meaning)
    if meaning is None or model is None:
        raise Unavailable("The embedding model of this collection is not configured now.")
    try:
        vector = meaning.query_vector(tx, tx.scope.project_id, text, model)
    except CannotEmbed as error:
        if error.degraded.reason == "embedding_rejected":
            raise InvalidField("text is rejected by the embedding model.", "text") from error
        raise Unavailable(f"The query could not be embedded. {error.degraded.detail}") from error
    return encode_embedding(list(vector), "text")


def _model_of(tx: Transaction, collection: Collection, meaning: Meaning) -> RecordedModel | None:
    """Return the model that embeds a collection; None if it is neither configured nor recorded.

    Where only documents were embedded, as by an embedded client, it is not recorded.
    """
    configured = meaning.model
    if configured.fingerprint == collection.model:
        return RecordedModel(
            model_id=0,
            name=configured.name,
            fingerprint=configured.fingerprint,
            dimensions=collection.dimensions,
            source=None,
            state=ModelState.CURRENT,
            created_at=collection.created_at,
            lease_expires_at=None,
        )
    recorded = (each for each in embeddings.models(tx) if each.fingerprint == collection.model)
    return next(recorded, None)
