"""In which project an operation runs, for which user, and the rules of the instance."""

import msgspec

from userkeep.domain.key import Permission
from userkeep.domain.purge import Schedule
from userkeep.domain.quota import Quota
from userkeep.domain.search.analyzer import Analyzer
from userkeep.domain.search.meaning import Meaning
from userkeep.domain.secret import KeyedHash
from userkeep.domain.values.ids import check_id
from userkeep.domain.values.times import HOUR
from userkeep.domain.vectors.plain import PlainVectorMath
from userkeep.domain.vectors.ranking import MakeVectorMath


class Rules(msgspec.Struct, frozen=True):
    """The settings and secrets of an instance that operations depend on.

    Attributes:
        id_hash: the keyed hash of deleted ids.
        request_hash: the keyed hash of requests with an Idempotency-Key.
        token_key: the key of user tokens, 32 bytes.
        analyzer: turns texts into terms, in the instance's language.
        purges: when deleted data is purged from the files.
        memory_window: the default number of messages in a memory.
        tombstone_ttl_us: how long a deleted id cannot be recreated implicitly, in microseconds.
        search_match_limit: how many matches, a word in a message each, a search may rank.
        idempotency_ttl_us: how long the record of an Idempotency-Key is kept, in microseconds.
        idempotency_limit: how many of these records are kept in a project, the newest.
        has_embedder: whether an embedding model is configured, so that new sessions are embedded.
        embedding_source: where the embedding model is, as it is recorded; see RecordedModel.
        is_embedder_local: whether it is on this machine, so that a verification may use it.
        backup_folder: where scheduled backups are; empty: there are none.
        meaning: what a search by meaning needs; None if no embedding model is configured.
        vector_math: makes what compares embeddings of documents.
    """

    id_hash: KeyedHash
    request_hash: KeyedHash
    token_key: bytes
    analyzer: Analyzer
    purges: Schedule
    memory_window: int = 12
    tombstone_ttl_us: int = 24 * HOUR
    search_match_limit: int = 1_000_000
    idempotency_ttl_us: int = 24 * HOUR
    idempotency_limit: int = 1_000_000
    backup_folder: str = ""
    has_embedder: bool = False
    embedding_source: str | None = None
    is_embedder_local: bool = False
    meaning: Meaning | None = None
    vector_math: MakeVectorMath = PlainVectorMath

    def forget_queries(self, project_id: int) -> None:
        """Clear what this process remembers of queries of a project, where something is deleted."""
        if self.meaning is not None:
            self.meaning.forget(project_id)


class Scope(msgspec.Struct, frozen=True):
    """In which project an operation runs, for which user, and the rules that it obeys.

    Attributes:
        project_id: the project. Data of other projects does not exist for the operation.
        rules: see Rules.
        user_id: the user for whom the operation runs. Sessions of other users, and sessions without
            a user, do not exist for it. None: for the app, which sees all users of the project.
        permission: the scope of the key, which says what the operation may do.
        key_id: the id of the key; None without one, as for embedded use.
        is_bound: whether the key is bound to the user. Otherwise a call has named the user.
        user_uuid: if the key is bound, the uuid of the user. Another user who has the same id after
            a deletion does not exist for it.
        quota: how much each user of the project can have; None for no limit.
    """

    project_id: int
    rules: Rules
    user_id: str | None = None
    permission: Permission = "admin"
    key_id: str | None = None
    is_bound: bool = False
    user_uuid: str | None = None
    quota: Quota | None = None

    def for_user(self, user_id: str) -> "Scope":
        """Return the scope of an operation that runs for this user only.

        Raises:
            InvalidField: `user_id` is invalid.
        """
        return msgspec.structs.replace(self, user_id=check_id(user_id, "user_id"))
