"""A database with a backup and a deletion ledger, on either engine."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from tests.cli.running import userkeep
from tests.postgres import migrated_database, postgres_server
from userkeep import NewMessage, Userkeep


class Place(NamedTuple):
    """A database, its backups and its ledger, in a folder."""

    folder: Path
    engine: str
    url: str

    @property
    def ledger(self) -> Path:
        return self.folder / "elsewhere" / "userkeep.ledger"

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "secret_file": str(self.folder / "userkeep.secret"),
            "ledger_file": str(self.ledger),
        }

    @property
    def environment(self) -> dict[str, str]:
        given = {f"USERKEEP_{name.upper()}": value for name, value in self.settings.items()}
        return given | {"USERKEEP_DATABASE_URL": self.url}

    def open(self) -> Userkeep:
        return Userkeep.open(self.url, **self.settings)

    def run(self, *arguments: object) -> Any:
        return userkeep(*arguments, folder=self.folder, environment=self.environment)

    def replay(self, *arguments: object) -> dict[str, int]:
        result = self.run("replay-erasures", "--json", *arguments)
        assert result.returncode == 0, result.stderr
        counts: dict[str, int] = json.loads(result.stdout)
        return counts

    def back_up(self) -> "Place":
        """Return a copy of the database as it is now, with the same ledger."""
        if self.engine == "postgres":
            url = postgres_server().new_database(copied_from=self.url)
            return self._replace(url=url)
        path = self.folder / "backup.db"
        with (
            closing(sqlite3.connect(self.folder / "userkeep.db")) as source,
            closing(sqlite3.connect(path)) as copy,
        ):
            source.backup(copy)
        return self._replace(url=f"sqlite:///{path}")

    def lines(self) -> list[bytes]:
        return self.ledger.read_bytes().splitlines(keepends=True)


def fresh_place(engine: str, folder: Path) -> Place:
    """Return the place of a database that is not there yet, or empty."""
    is_postgres = engine == "postgres"
    url = migrated_database() if is_postgres else f"sqlite:///{folder}/userkeep.db"
    return Place(folder, engine, url)


def fill(client: Userkeep) -> None:
    for user in ("jane", "john"):
        client.user.add(user_id=user)
        for number in (1, 2):
            messages = [NewMessage(role="user", content=f"{user} {n}") for n in range(1, 5)]
            client.message.add(f"{user} {number}", messages, user_id=user)
    client.session.add(session_id="unowned")


NOTE: dict[str, Any] = {"content": "a note", "embedding": [1.0] * 8}


def fill_collection(client: Userkeep, name: str, *document_ids: str) -> None:
    client.collection.add(name=name, dimensions=8)
    if document_ids:
        client.document.add(name, [{**NOTE, "document_id": each} for each in document_ids])


def library(client: Userkeep) -> dict[str, list[str]]:
    """Return the ids of the documents of each collection."""
    return {
        each.name: [document.document_id for document in client.document.list(each.name)]
        for each in client.collection.list()
    }


def contents(client: Userkeep) -> dict[str, list[Any]]:
    """Return the users, and each session with its messages."""
    return {"users": [user.user_id for user in client.user.list()]} | {
        session.session_id: [message.content for message in client.message.list(session.session_id)]
        for session in client.session.list()
    }
