"""Embeddings of stored messages, put into a database without the job that makes them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from userkeep.domain.embedding import Quantized, quantize
from userkeep.domain.transaction import Transaction
from userkeep.instance import Instance
from userkeep.storage.queries import Query

_MODEL = """INSERT INTO embedding_models (
    model_id, name, fingerprint, dimensions, state, created_at
) VALUES (:model_id, :name, :fingerprint, :dimensions, 'current', {now})"""
_ROW = """INSERT INTO embeddings (project_id, session_id, seq, model_id, scale, vector)
VALUES (:project_id, :session_id, :seq, :model_id, :scale, :vector)
ON CONFLICT DO NOTHING"""
_DIMENSIONS = "UPDATE embedding_models SET dimensions = :dimensions WHERE dimensions IS NULL"
_CURRENT = "SELECT model_id FROM embedding_models WHERE state = 'current'"
_STORED = """SELECT session_id, seq, scale, vector FROM embeddings
WHERE project_id = :project_id AND model_id = :model_id
ORDER BY session_id, seq"""
_NEW = """SELECT session_id, seq, content FROM messages
WHERE seq > 0 AND content <> '' AND NOT EXISTS (
    SELECT 1 FROM embeddings
    WHERE embeddings.project_id = messages.project_id
        AND embeddings.session_id = messages.session_id AND embeddings.seq = messages.seq
)"""


class StoredVector(NamedTuple):
    """An embedding, as it is stored."""

    session_id: str
    seq: int
    scale: float
    vector: bytes

    @property
    def quantized(self) -> Quantized:
        """The vector itself."""
        return Quantized(self.scale, self.vector)


def stored_vectors(tx: Transaction, model_id: int = 1) -> list[StoredVector]:
    """Return all embeddings of a model in the project, session by session."""
    return tx.fetch_all(_run(tx, _STORED), StoredVector, model_id=model_id)


def _run(tx: Any, text: str) -> str:
    """Return the name of a query with this text."""
    name = f"of_a_test_{hash(text)}"
    tx._queries.setdefault(name, Query(text))
    return name


def record_model(instance: Instance, dimensions: int) -> None:
    """Record the configured model as the current one, if there is none."""
    assert instance.embedder is not None
    model = instance.embedder.model

    def record(tx: Transaction) -> None:
        if tx.fetch_one(_run(tx, "SELECT count(*) FROM embedding_models"), int):
            tx.execute(_run(tx, _DIMENSIONS), dimensions=dimensions)  # a server has recorded it
            return
        now = "0" if instance.engine.dialect == "sqlite" else "now()"
        tx.execute(
            _run(tx, _MODEL.format(now=now)),
            model_id=1,
            name=model.name,
            fingerprint=model.fingerprint,
            dimensions=dimensions,
        )

    instance.engine.write(record)


def add_vectors(
    instance: Instance, rows: Iterable[tuple[str, int, float, bytes]], project_id: int = 1
) -> None:
    """Store vectors: session_id, seq, scale and bytes of each."""
    names = ("session_id", "seq", "scale", "vector")

    def add(tx: Transaction) -> None:
        model_id = tx.fetch_one(_run(tx, _CURRENT), int)
        more = {"project_id": project_id, "model_id": model_id}
        tx.see_all_projects()
        tx.execute_many(
            _run(tx, _ROW), [{**dict(zip(names, row, strict=True)), **more} for row in rows]
        )

    instance.engine.write(add)


def embed_all(
    instance: Instance, encode: Callable[[Sequence[str]], Sequence[Sequence[float]]] | None = None
) -> None:
    """Embed all messages of the default project that have no embedding."""
    assert instance.embedder is not None
    encode = encode or instance.embedder.embed_messages

    def find(tx: Transaction) -> list[tuple[str, int, str]]:
        tx.see_all_projects()
        return tx.fetch_all(_run(tx, _NEW), new)

    def new(session_id: str, seq: int, content: str) -> tuple[str, int, str]:
        return session_id, seq, content

    found = instance.engine.read(find)
    rows = []
    for first in range(0, len(found), 32):
        some = found[first : first + 32]
        vectors = encode([content[:2_000] for _session_id, _seq, content in some])
        for (session_id, seq, _content), vector in zip(some, vectors, strict=True):
            scale, data = quantize(vector)
            rows.append((session_id, seq, scale, data))
    if rows:
        record_model(instance, len(rows[0][3]))
        add_vectors(instance, rows)
