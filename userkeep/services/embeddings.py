"""Embeddings of messages: what is to be embedded, what is stored, and what must not be there.

The sessions are the work list: one whose `embedded_seq` is less than its `last_seq` has messages
that were not looked at. Whatever adds or changes messages leaves it so; `jobs.embedding` works it
off. A vector is made from one message alone, and is deleted in the transaction that deletes or
changes the message.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, cast

from userkeep.domain.embedding import (
    LONGEST_EMBEDDED_TEXT,
    EmbeddingModel,
    ModelState,
    Quantized,
    RecordedModel,
    SpentTokens,
)
from userkeep.domain.scope import Rules, Scope
from userkeep.domain.session import NewSession
from userkeep.domain.transaction import Transaction
from userkeep.domain.user import User
from userkeep.domain.values.metadata import encode_json
from userkeep.domain.values.times import MAX_CLOCK_ERROR_US, SECOND, Instant

_NO_SEQ = 2**62

LOOK_AGAIN = -1
DELETE_VECTORS = -2
"""Values of `embedded_seq`, see the migration."""


class _SessionFlags(NamedTuple):
    do_not_embed: int
    user_id: str | None


def models(tx: Transaction) -> list[RecordedModel]:
    """Return the models whose vectors the database has, the oldest first."""
    return tx.fetch_all("embedding_models", RecordedModel)


def searched_model(tx: Transaction) -> RecordedModel | None:
    """Return the model whose vectors are searched; None if nothing was ever embedded."""
    found = (each for each in models(tx) if each.state == ModelState.CURRENT)
    return next(found, None)


def may_embed_query(tx: Transaction, user_id: str | None, session_id: str | None) -> bool:
    """Return whether a query may be given to the embedding model.

    Not where the project, the user or the session that is searched, or the owner of this session,
    is not to be embedded.
    """
    if tx.fetch_one("must_not_embed_project", int):
        return False
    if session_id is not None:
        session = tx.fetch_one("embedding_flags_of_session", _SessionFlags, session_id=session_id)
        if session is not None and session.do_not_embed:
            return False
        user_id = session.user_id if session is not None else user_id
    return user_id is None or not tx.fetch_one("must_not_embed_user", int, user_id=user_id)


def first_seq(tx: Transaction, new: NewSession) -> int | None:
    """Return the `embedded_seq` of a session that is created."""
    return 0 if tx.scope.rules.has_embedder and new.do_not_embed is not True else None


def reviewed_seq(tx: Transaction, before: int, after: int, new_owner: User | None) -> int | None:
    """Return the `embedded_seq` that a change of a session sets; None if it stays.

    Args:
        before, after: its `do_not_embed`.
        new_owner: the user to whom it is assigned; None without a change.
    """
    is_owner_left_out = new_owner is not None and bool(new_owner.do_not_embed)
    if after > before or is_owner_left_out:
        return DELETE_VECTORS
    return LOOK_AGAIN if before > after and tx.scope.rules.has_embedder else None


def change_user(tx: Transaction, user: User) -> None:
    """Put the sessions and documents of a user on the work lists: `do_not_embed` has changed."""
    if user.do_not_embed:
        tx.defer("stop_embedding_sessions_of_user", user_id=user.user_id)
    elif tx.scope.rules.has_embedder:
        tx.defer("embed_sessions_of_user", user_id=user.user_id)
    # In one order, so that two such changes cannot wait for each other.
    for collection in tx.fetch_all("collections_of_user", int, user_id=user.user_id):
        tx.defer("review_collection", collection=collection)


def remove_message(tx: Transaction, session_id: str, seq: int) -> None:
    """Delete the vectors of a message, which is deleted or changed in this transaction."""
    remove_range(tx, session_id, seq, seq + 1)


def remove_range(tx: Transaction, session_id: str, from_seq: int, before_seq: int) -> None:
    """Delete the vectors of messages that are deleted in this transaction.

    Args:
        session_id: the session, which is locked.
        from_seq, before_seq: the range; negative for messages that are hidden.
    """
    if before_seq <= 0:  # hidden ones have the negative of the number that their vectors have
        from_seq, before_seq = 1 - before_seq, 1 - from_seq
    tx.defer("delete_embeddings", session_id=session_id, from_seq=from_seq, before_seq=before_seq)


def remove_session(tx: Transaction, session_id: str) -> None:
    """Delete all vectors of a session, whose messages have been deleted."""
    tx.defer("delete_embeddings", session_id=session_id, from_seq=0, before_seq=_NO_SEQ)


def embed_again(tx: Transaction, session_id: str, seq: int) -> None:
    """Put a session on the work list, because this message of it has changed."""
    tx.defer("embed_again", session_id=session_id, before_seq=seq - 1)


# The job.

LEASE_US = 30 * SECOND
"""A process that has not renewed its lease for this long has ended: another may continue."""

BATCH_MS = 20
_LOCK_WAIT_MS = "200"
"""Less than PostgreSQL waits before it looks for deadlocks: a batch locks several sessions."""

_SESSIONS_AT_ONCE = 64
_MESSAGES_AT_ONCE = 200
_SWEPT_AT_ONCE = 200
_DELETED_AT_ONCE = 500


class SessionToEmbed(NamedTuple):
    """A session of the work list, as it was found.

    Attributes:
        project_id: its project.
        session_id, uuid: the session.
        from_seq, to_seq: what `embedded_seq` was, and what it is when its texts are embedded.
        texts: texts without a vector, with the seq of their messages.
        must_delete: whether it is not to be embedded, so that its vectors are to be deleted.
    """

    project_id: int
    session_id: str
    uuid: str
    from_seq: int
    to_seq: int
    texts: list[tuple[int, str]]
    must_delete: bool = False


class Task(NamedTuple):
    """What is to be done next.

    Attributes:
        model: with which; None if a server with another model has replaced it, or for deletions.
        is_swept: whether all sessions are on the work list that should be.
        must_finish: whether `finish` has something to do when all else is done.
        sessions: of the work list.
    """

    model: RecordedModel | None
    is_swept: bool
    must_finish: bool
    sessions: list[SessionToEmbed]

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to do."""
        return self.is_swept and not self.must_finish and not self.sessions


class _Project(NamedTuple):
    project_id: int
    do_not_embed: int
    embedding_sweep: int | None


class _Listed(NamedTuple):
    number: int
    session_id: str
    uuid: str
    user_id: str | None
    do_not_embed: int
    embedded_seq: int
    last_seq: int


class _Swept(NamedTuple):
    number: int
    session_id: str
    embedded_seq: int | None
    do_not_embed: int


class _Text(NamedTuple):
    seq: int
    text: str
    has_vector: int


class _CurrentText(NamedTuple):
    seq: int
    text: str


class Lag(NamedTuple):
    """What is not embedded yet.

    Attributes:
        messages: how many messages, at most; counted in LAG_SESSIONS sessions.
        since_at: when the first of these sessions got new messages; None if none did.
    """

    messages: int
    since_at: Instant | None


LAG_SESSIONS = 1_000
_TOKENS = "embedding_tokens_"
"""Before the day, in the names of values of the instance."""


def lag(tx: Transaction) -> Lag:
    """Return what is not embedded yet, in all projects."""
    tx.see_all_projects()
    return tx.fetch_one("embedding_lag", Lag, limit=LAG_SESSIONS) or Lag(0, None)


def record_tokens(tx: Transaction, spent: SpentTokens) -> int:
    """Record tokens that were sent to the embedding model; return the sum of their day."""
    name = f"{_TOKENS}{spent.day:06}"
    tx.defer("delete_former_tokens", first=_TOKENS, name=name)
    return tx.fetch_one("add_tokens", int, name=name, tokens=str(spent.tokens)) or 0


def configure(tx: Transaction, model: EmbeddingModel, source: str | None) -> RecordedModel:
    """Record the model that is configured, unless it is recorded, and start a sweep.

    The first model is searched immediately. Another one replaces it when all messages have its
    vectors.

    Args:
        source: see RecordedModel.
    """
    known = models(tx)
    latest = next((each for each in reversed(known) if each.state != ModelState.FORMER), None)
    if latest is not None and latest.fingerprint == model.fingerprint:
        if latest.state == ModelState.CURRENT:
            tx.defer("sweep_projects", if_swept=True)
        return latest
    tx.defer("retire_embedding_models", state=ModelState.BUILDING)
    has_current = any(each.state == ModelState.CURRENT for each in known)
    added = tx.fetch_one(
        "add_embedding_model",
        RecordedModel,
        model_id=max((each.model_id for each in known), default=0) + 1,
        name=model.name,
        fingerprint=model.fingerprint,
        dimensions=model.dimensions,
        source=source,
        state=ModelState.BUILDING if has_current else ModelState.CURRENT,
        now_at=tx.now,
    )
    tx.defer("sweep_projects")
    return cast("RecordedModel", added)


def acquire_lease(tx: Transaction, model_id: int, held_until_at: Instant | None) -> Instant | None:
    """Acquire or renew the lease of a model.

    Args:
        held_until_at: what the last call returned.

    Returns:
        Until when it is held; None if another process has it, or the model has been replaced.
    """
    expires_at = Instant(tx.now + LEASE_US)
    changed = tx.execute(
        "acquire_embedding_lease",
        model_id=model_id,
        now_at=tx.now,
        latest_at=Instant(tx.now + LEASE_US + MAX_CLOCK_ERROR_US),
        held_until_at=held_until_at,
        expires_at=expires_at,
    )
    return expires_at if changed else None


def release_lease(tx: Transaction, held_until_at: Instant | None = None) -> None:
    """Release a lease; without one, all, because no other process uses the database."""
    tx.defer("release_embedding_lease", held_until_at=held_until_at)


def next_task(
    tx: Transaction, rules: Rules, fingerprint: str, most_texts: int, turn: int = 0
) -> Task:
    """Return what is to be done next.

    What is not to be embedded is found out here, in the same read as the texts.

    Args:
        rules: see Rules.
        fingerprint: of the model that the process has.
        most_texts: how many texts are wanted.
        turn: counts the calls: each begins with another project.
    """
    recorded = models(tx)
    latest = [each for each in recorded if each.state != ModelState.FORMER][-1:]
    if not latest or latest[0].fingerprint != fingerprint:
        return Task(None, is_swept=True, must_finish=False, sessions=[])
    projects = _projects(tx)
    first = turn % len(projects) if projects else 0
    return Task(
        latest[0],
        is_swept=all(each.embedding_sweep is None for each in projects),
        must_finish=latest[0].state == ModelState.BUILDING or len(recorded) > 1,
        sessions=_work(
            tx, rules, projects[first:] + projects[:first], latest[0].model_id, most_texts
        ),
    )


def deletion_task(tx: Transaction, rules: Rules) -> Task:
    """Return what is to be deleted next, in an instance without a model."""
    projects = _projects(tx)
    is_swept = all(each.embedding_sweep is None for each in projects)
    found: list[SessionToEmbed] = []
    for project in projects:
        found += _listed(tx.in_scope(Scope(project.project_id, rules)), project, True)
        if len(found) >= _SESSIONS_AT_ONCE:
            break
    return Task(None, is_swept=is_swept, must_finish=False, sessions=found)


def _work(
    tx: Transaction, rules: Rules, projects: Sequence[_Project], model_id: int, most_texts: int
) -> list[SessionToEmbed]:
    found: list[SessionToEmbed] = []
    missing = most_texts
    for project in projects:
        scoped = tx.in_scope(Scope(project.project_id, rules))
        for each in _sessions_to_embed(scoped, project, model_id, missing):
            found.append(each)
            missing -= len(each.texts)
        if missing <= 0 or len(found) >= _SESSIONS_AT_ONCE or tx.spent_ms() > BATCH_MS:
            break
    return found


def store(
    tx: Transaction,
    rules: Rules,
    model: RecordedModel,
    vectors: Sequence[tuple[SessionToEmbed, Mapping[int, Quantized]]],
) -> int:
    """Store vectors of messages that are still there, unchanged; return how many.

    Args:
        vectors: by session and seq. Of texts that have none, none is ever made.
    """
    tx.see_all_projects()
    tx.defer("limit_lock_wait", limit=_LOCK_WAIT_MS)
    dimensions = next((len(each.data) for _, of in vectors for each in of.values()), None)
    if model.dimensions is None and dimensions is not None:
        tx.defer("set_dimensions", model_id=model.model_id, dimensions=dimensions)
    in_order = sorted(vectors, key=lambda each: (each[0].project_id, each[0].session_id))
    return sum(
        _store(tx.in_scope(Scope(session.project_id, rules)), model.model_id, session, of_session)
        for session, of_session in in_order
    )


def delete_batch(tx: Transaction, session: SessionToEmbed) -> bool:
    """Delete vectors of a session that is not to be embedded; return whether none is left.

    The transaction is bound to its project.
    """
    of_session = {"session_id": session.session_id}
    marked = tx.execute(
        "advance_embedding",
        uuid=session.uuid,
        from_seq=session.from_seq,
        to_seq=DELETE_VECTORS,
        **of_session,
    )
    if not marked:
        return True  # it was deleted, or is to be embedded after all
    seqs = tx.fetch_all("next_embedded_seqs", int, limit=_DELETED_AT_ONCE, **of_session)
    if seqs:
        remove_range(tx, session.session_id, seqs[0], seqs[-1] + 1)
    if len(seqs) == _DELETED_AT_ONCE:
        return False
    if seqs:
        tx.defer("add_edit", uuid=tx.new_uuid(), now_at=tx.now)  # until a purge, files have them
    tx.defer("stop_embedding", **of_session)
    return True


def sweep(tx: Transaction, rules: Rules) -> None:
    """Put the next sessions on the work list that should be there.

    These are sessions that were created without a model, all sessions if the model is another, and
    those of a project that is not to be embedded any more. Vectors of former models are deleted.
    """
    project = next((each for each in _projects(tx) if each.embedding_sweep is not None), None)
    if project is None:
        return
    recorded = models(tx)
    former = [each.model_id for each in recorded if each.state == ModelState.FORMER]
    is_building = any(each.state == ModelState.BUILDING for each in recorded)
    scoped = tx.in_scope(Scope(project.project_id, rules))
    _sweep_project(scoped, project, former, is_building=is_building)


def finish(tx: Transaction, model: RecordedModel) -> None:
    """Let searches use a model that all messages have vectors of; forget former ones.

    Called when the work list is empty and nothing is left to sweep.
    """
    tx.defer("forget_former_models")
    if model.state != ModelState.BUILDING:
        return
    tx.defer("retire_embedding_models", state=ModelState.CURRENT)
    tx.defer("promote_embedding_model", model_id=model.model_id)
    tx.defer("sweep_projects")


def _projects(tx: Transaction) -> list[_Project]:
    tx.see_all_projects()
    return tx.fetch_all("projects_to_embed", _Project)


def _sessions_to_embed(
    tx: Transaction, project: _Project, model_id: int, most_texts: int
) -> Iterator[SessionToEmbed]:
    for listed in _listed(tx, project, None):
        each = listed if listed.must_delete else _with_texts(tx, listed, model_id, most_texts)
        yield each
        most_texts -= len(each.texts)
        if most_texts <= 0 or tx.spent_ms() > BATCH_MS:
            return


def _listed(
    tx: Transaction, project: _Project, only_to_delete: bool | None
) -> list[SessionToEmbed]:
    rows = tx.fetch_all(
        "sessions_to_embed", _Listed, limit=_SESSIONS_AT_ONCE, only_to_delete=only_to_delete
    )
    owners = sorted({each.user_id for each in rows if each.user_id is not None})
    left_out = set()
    if owners:
        left_out = {*tx.fetch_all("users_not_to_embed", str, ids=encode_json(owners).decode())}
    return [
        SessionToEmbed(
            project.project_id,
            each.session_id,
            each.uuid,
            each.embedded_seq,
            each.last_seq,
            [],
            bool(project.do_not_embed or each.do_not_embed or each.user_id in left_out),
        )
        for each in rows
    ]


def _with_texts(
    tx: Transaction, session: SessionToEmbed, model_id: int, most_texts: int
) -> SessionToEmbed:
    rows = tx.fetch_all(
        "messages_to_embed",
        _Text,
        session_id=session.session_id,
        model_id=model_id,
        after=max(session.from_seq, 0),
        last_seq=session.to_seq,
        length=LONGEST_EMBEDDED_TEXT,
        limit=_MESSAGES_AT_ONCE,
    )
    to_seq = session.to_seq if len(rows) < _MESSAGES_AT_ONCE else rows[-1].seq
    texts: list[tuple[int, str]] = []
    for row in rows:
        if row.has_vector or not row.text.strip():
            continue
        if len(texts) == most_texts:
            return session._replace(to_seq=texts[-1][0], texts=texts)
        texts.append((row.seq, row.text))
    return session._replace(to_seq=to_seq, texts=texts)


def _store(
    tx: Transaction, model_id: int, session: SessionToEmbed, vectors: Mapping[int, Quantized]
) -> int:
    of_session = {"session_id": session.session_id}
    advanced = tx.execute(
        "advance_embedding",
        uuid=session.uuid,
        from_seq=session.from_seq,
        to_seq=session.to_seq,
        **of_session,
    )
    if not advanced or not vectors:
        return 0
    # The texts, not a revision: an import may add another message in the place of a deleted one.
    current = tx.fetch_all(
        "texts_of_messages",
        _CurrentText,
        numbers=encode_json(list(vectors)).decode(),
        length=LONGEST_EMBEDDED_TEXT,
        **of_session,
    )
    rows = [
        {
            "seq": seq,
            "model_id": model_id,
            "scale": vectors[seq].scale,
            "vector": vectors[seq].data,
            **of_session,
        }
        for seq, text in session.texts
        if seq in vectors and (seq, text) in current
    ]
    tx.defer_many("add_embedding", rows)
    known = dict(session.texts)
    changed = [seq for seq, text in current if text != known[seq]]
    if changed:
        embed_again(tx, session.session_id, min(changed))
    return len(rows)


def _sweep_project(
    tx: Transaction, project: _Project, former: Sequence[int], *, is_building: bool
) -> None:
    before = project.embedding_sweep or 0
    rows = tx.fetch_all("sessions_to_sweep", _Swept, after=before, limit=_SWEPT_AT_ONCE)
    if not rows:
        tx.defer("end_sweep", before=before)
        return
    tx.defer("limit_lock_wait", limit=_LOCK_WAIT_MS)
    for number, row in enumerate(rows):
        after = _swept_seq(project, row, is_building=is_building)
        if after != row.embedded_seq:
            values = {"embedded_seq": after, "known_seq": row.embedded_seq}
            tx.defer("set_embedded_seq", session_id=row.session_id, **values)
        is_clean = all(_delete_vectors_of(tx, row.session_id, each) for each in former)
        if not is_clean or tx.spent_ms() > BATCH_MS:
            rows = rows[: number + is_clean]
            break
    if rows:
        tx.defer("advance_sweep", before=before, after=rows[-1].number)


def _swept_seq(project: _Project, session: _Swept, *, is_building: bool) -> int | None:
    """Return what the `embedded_seq` of a session is to be."""
    seq = session.embedded_seq
    if project.do_not_embed or session.do_not_embed:
        return None if seq is None else DELETE_VECTORS
    if seq is None or (is_building and seq >= 0):
        return LOOK_AGAIN
    return seq


def _delete_vectors_of(tx: Transaction, session_id: str, model_id: int) -> bool:
    """Delete vectors that a former model has made; return whether none is left."""
    of_model = {"session_id": session_id, "model_id": model_id}
    seqs = tx.fetch_all("next_embedded_seqs", int, limit=_DELETED_AT_ONCE, **of_model)
    if seqs:
        tx.defer("delete_embeddings_of_model", last_seq=seqs[-1], **of_model)
    return len(seqs) < _DELETED_AT_ONCE
