"""Nothing that was deleted or edited while messages are embedded has a vector afterwards.

In one process and without HTTP, for speed. One thread embeds; its model responds immediately
or a little later; others append, edit, rewind and delete, each in sessions and users of its own.
"""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random

import msgspec
import pytest

from devtools.embedding_rows import stored_vectors
from tests.conftest import fresh_settings
from tests.embedders import MadeUpEmbedder, encode
from tests.long.counts import IS_FULL, seeded_random
from tests.long.inspection import deadlocks
from userkeep.domain.embedding import quantize
from userkeep.domain.errors import AlreadyExists, UserkeepError
from userkeep.domain.transaction import scoped
from userkeep.embedded import EmbeddedTransport
from userkeep.instance import Instance, open_instance
from userkeep.jobs.embedding import EmbeddingJob
from userkeep.jobs.steps import Runner
from userkeep.sdk._sync.client import Client

RACES = 20_000 if IS_FULL else 400
THREADS = 4


@pytest.fixture(params=["sqlite file", "postgres"], ids=["sqlite", "postgres"])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Instance]:
    """An instance whose sessions are embedded."""
    settings = fresh_settings(request.param, tmp_path)
    instance = open_instance(settings)
    rules = msgspec.structs.replace(instance.scope.rules, has_embedder=True)
    scope = msgspec.structs.replace(instance.scope, rules=rules)
    yield msgspec.structs.replace(instance, scope=scope)
    instance.close()
    if request.param == "postgres":
        assert deadlocks(settings.database_url) == 0


class Writer:
    """Changes sessions of its own, at random.

    Attributes:
        done: how many changes were made.
    """

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name
        self._random: Random = seeded_random(f"writer {name}")
        self._texts = 0
        self.done = 0

    def run(self, races: int) -> None:
        """Do so many changes; those that are rejected count too."""
        for _ in range(races):
            with suppress(UserkeepError):  # it was deleted before
                self._change()
                self.done += 1

    def _change(self) -> None:
        user = f"{self._name}-{self._random.randrange(3)}"
        session = f"{user}-{self._random.randrange(3)}"
        change = self._random.choice(self._changes)
        change(self, session, user)

    def _text(self) -> str:
        self._texts += 1
        return f"{self._name} says {self._texts}"

    def _append(self, session: str, user: str) -> None:
        messages = [
            {"role": "user", "content": self._text()} for _ in range(self._random.randint(1, 4))
        ]
        with suppress(AlreadyExists):
            self._client.user.add(user_id=user)
        with suppress(AlreadyExists):
            self._client.session.add(session_id=session, user_id=user)
        self._client.message.add(session, messages, user_id=user)

    def _edit(self, session: str, _: str) -> None:
        found = list(self._client.message.list(session, 10))
        if found:
            self._client.message.update(
                session, self._random.choice(found).id, content=self._text()
            )

    def _delete(self, session: str, _: str) -> None:
        found = list(self._client.message.list(session, 10))
        if found:
            self._client.message.delete(session, self._random.choice(found).id)

    def _rewind(self, session: str, _: str) -> None:
        self._client.message.delete_after(session, self._random.randrange(5))

    def _delete_session(self, session: str, _: str) -> None:
        self._client.session.delete(session)
        self._client.session.add(session_id=session)

    def _delete_user(self, _: str, user: str) -> None:
        self._client.user.delete(user)

    def _flag(self, _: str, user: str) -> None:
        self._client.user.update(user_id=user, do_not_embed=self._random.random() < 0.3)

    _changes = (
        *(_append,) * 10,
        *(_edit,) * 6,
        *(_delete,) * 4,
        *(_rewind,) * 2,
        _delete_session,
        _delete_user,
        _flag,
    )


def embed_until(instance: Instance, embedder: MadeUpEmbedder, has_ended: threading.Event) -> None:
    """Embed until the writers have ended, and then all that is left."""
    job = EmbeddingJob(instance.scope.rules, embedder, is_shared=True)
    runner = Runner(instance.engine, lambda: None, instance.ledger.file, embedder)
    is_last = False
    while not is_last:
        is_last = has_ended.is_set()
        runner.run(job.steps())
    runner.run(job.release())


def check(instance: Instance, client: Client) -> int:
    """Check that exactly the messages of now have vectors of their texts; return how many."""

    stored = instance.engine.read(scoped(instance.scope, stored_vectors))
    found = {(each.session_id, each.seq): each.quantized for each in stored}
    left_out = {each.user_id for each in client.user.list() if each.do_not_embed}
    expected = {
        (session.session_id, message.seq): quantize(encode(message.content or ""))
        for session in client.session.list(1000)
        if session.user_id not in left_out
        for message in client.message.list(session.session_id, 1000)
    }
    assert found == expected
    return len(found)


def test_nothing_survives_in_vectors(instance: Instance) -> None:
    client = Client(EmbeddedTransport(instance))
    embedder, random = MadeUpEmbedder(), seeded_random("model")
    embedder.before = lambda _: time.sleep(random.choice((0, 0, 0.002)))
    has_ended = threading.Event()
    with ThreadPoolExecutor(THREADS + 1) as threads:
        embedding = threads.submit(embed_until, instance, embedder, has_ended)
        writers = [Writer(client, f"writer-{number}") for number in range(THREADS)]
        for each in [threads.submit(writer.run, RACES // THREADS) for writer in writers]:
            each.result()
        has_ended.set()
        embedding.result()
    assert sum(each.done for each in writers) > RACES / 2
    assert check(instance, client) > 0
