"""Deleted and changed documents are in no file after a purge: neither texts nor embeddings."""

import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from tests.documents import write
from tests.long.counts import SEED
from tests.postgres import OwnPostgresServer
from tests.residue.databases import SECRET, Database, PostgresDatabase, SqliteDatabase
from tests.residue.files import find_residue
from tests.residue.runner import ENGINES, SETTINGS
from tests.residue.texts import Canaries, Texts
from userkeep.config import Settings
from userkeep.domain.collection import CollectionChange, NewCollection
from userkeep.domain.document import DocumentChange, NewDocument, prepare_change
from userkeep.domain.transaction import scoped
from userkeep.domain.values.metadata import merge_patch
from userkeep.embedded import EmbeddedTransport
from userkeep.instance import Instance, open_instance
from userkeep.jobs.collection_deletion import CollectionDeletionJob
from userkeep.jobs.steps import Runner
from userkeep.sdk._sync.client import Client
from userkeep.services import collections, documents
from userkeep.storage.ledger import NoLedger

DIMENSIONS = 64
LENGTHS = (10, 200, 3_000, 20_000)


@pytest.fixture(params=ENGINES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A fresh database."""
    if request.param == "sqlite":
        yield SqliteDatabase(tmp_path)
        return
    with OwnPostgresServer(settings=SETTINGS) as server:
        yield PostgresDatabase(server, tmp_path)


class Library:
    """A collection with documents of some texts, in which random things are done."""

    def __init__(self, instance: Instance, random: Random, name: str, texts: Texts) -> None:
        self._instance = instance
        self._random = random
        self._texts = texts
        self.name = name
        self.contents: dict[str, str] = {}
        description = texts.sentence("description", 40)
        new = NewCollection(name=name, description=description, dimensions=DIMENSIONS)
        write(instance, collections.add, new)

    def add(self, user_id: str | None = None) -> None:
        texts = self._texts
        new = NewDocument(
            content=texts.sentence("content", self._random.choice(LENGTHS)),
            document_id=texts.word("documentid") if self._random.random() < 0.5 else None,
            user_id=user_id,
            metadata=texts.metadata("documentmeta"),
            embedding=self._embedding(texts),
        )
        [added] = write(self._instance, documents.add, self.name, documents.prepare([new]))
        self.contents[added.uuid] = new.content

    def change(self, uuid: str, texts: Texts) -> None:
        """Replace all that a document has."""
        content = texts.sentence("changed", self._random.choice(LENGTHS))
        change = DocumentChange(
            content=content,
            document_id=None,
            metadata={"a": texts.word("changed")},
            embedding=self._embedding(texts),
        )
        write(self._instance, documents.update, self.name, prepare_change(change), uuid=uuid)
        self.contents[uuid] = content

    def delete(self, uuid: str) -> None:
        assert write(self._instance, documents.delete, self.name, uuids=[uuid]).deleted_count == 1
        del self.contents[uuid]

    def delete_or_change_all(self, texts: Texts) -> None:
        for uuid in [*self.contents]:
            if self._random.random() < 0.5:
                self.delete(uuid)
            else:
                self.change(uuid, texts)

    def check(self) -> None:
        found = self._instance.engine.read(
            scoped(self._instance.scope, documents.select, self.name, uuids=[*self.contents])
        )
        assert {each.uuid: each.content for each in found} == self.contents

    def any(self) -> str:
        return self._random.choice([*self.contents])

    def _embedding(self, texts: Texts) -> list[float]:
        """Return an embedding that has the mark: in its floats, or where it is rounded."""
        rest = [self._random.uniform(-1, 1) for _ in range(DIMENSIONS)]
        if not isinstance(texts, Canaries):
            return rest
        mark = texts.mark.encode()
        if self._random.random() < 0.5:
            floats = struct.unpack(f"<{len(mark) // 4}f", mark)
            return [*floats, *rest][:DIMENSIONS]
        return [127.0, *map(float, mark), *rest][:DIMENSIONS]


def test_deleted_and_changed_documents_leave_no_residue(database: Database) -> None:
    random = Random(SEED)
    of_jane, unowned, gone = (Canaries(random) for _ in range(3))
    kept = Texts(random)
    settings = Settings(database_url=database.url, secret=SECRET)
    with closing(open_instance(settings)) as instance:
        client = Client(EmbeddedTransport(instance))
        database.prepare()
        client.user.add(user_id="jane")
        janes = Library(instance, random, "janes", of_jane)
        changing = Library(instance, random, "changing", unowned)
        deleted = Library(instance, random, "deleted", gone)
        others = Library(instance, random, "others", kept)
        for _ in range(25):
            janes.add("jane")
            for library in (changing, deleted, others):
                library.add()
            if random.random() < 0.3:
                janes.change(janes.any(), of_jane)
                others.change(others.any(), kept)
        for _ in range(5):
            deleted.delete(deleted.any())
            deleted.change(deleted.any(), gone)
        change = CollectionChange(description="no more", metadata={"a": 1})
        for library in (janes, changing):
            write(instance, collections.update, library.name, change=change, merge=merge_patch)
        changing.delete_or_change_all(kept)
        assert find_residue(database.folders, [of_jane, unowned, gone])
        deletion = write(instance, collections.begin_deletion, "deleted")
        runner = Runner(instance.engine, lambda: None, NoLedger())
        runner.run(CollectionDeletionJob(instance.scope, deletion).steps())
        erasure = client.user.delete("jane", purge="now")
        assert erasure.counts.documents == len(janes.contents)
        assert erasure.state == "purged"
        found = find_residue(database.folders, [of_jane, unowned, gone], database.name_of)
        assert found == []
        for library in (changing, others):
            library.check()
    database.check()
