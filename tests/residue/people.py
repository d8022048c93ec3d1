"""People as an application writes them down: at random, step by step, and as they should be."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from tests.residue.texts import Canaries, Texts
from userkeep import Erasure, NewMessage, UserkeepError
from userkeep.domain.values.metadata import merge_patch
from userkeep.sdk._sync.client import Client

LENGTHS = (3, 40, 40, 200, 200, 2_000, 6_000, 60_000)
"""Of contents: in a cell of a page, on pages of their own, out of line."""


@dataclass
class Said:
    """A message as it should be."""

    role: str
    content: str
    metadata: dict[str, Any] | None
    data: Any


@dataclass
class Conversation:
    """A session as it should be."""

    metadata: dict[str, Any] | None
    is_ended: bool = False
    is_owned: bool = True
    messages: dict[str, Said] = field(default_factory=dict)


@dataclass
class Person:
    """A user as they should be.

    Attributes:
        texts: makes what they say.
    """

    texts: Texts
    user_id: str
    fields: dict[str, Any] = field(default_factory=dict)
    sessions: dict[str, Conversation] = field(default_factory=dict)


class Life:
    """What a person does, step by step, through a client."""

    def __init__(self, client: Client, random: Random, person: Person) -> None:
        self._client = client
        self._random = random
        self._texts = person.texts
        self.person = person
        self._steps = {
            self._change_user: 4,
            self._open_session: 2,
            self._append: 10,
            self._change_session: 3,
            self._edit: 6,
            self._delete_message: 3,
            self._delete_session: 0.7,
            self._own: 2,
            self._end: 0.3,
            self._look: 1,
            self._stumble: 1,
        }

    def begin(self) -> None:
        """Add the user."""
        person = self.person
        person.fields = self._new_fields()
        self._client.user.add(user_id=person.user_id, **person.fields, **self._once("user"))

    def step(self) -> None:
        """Do something."""
        steps, weights = zip(*self._steps.items(), strict=True)
        self._random.choices(steps, weights)[0]()

    def take_back(self, slips: Texts) -> Erasure:
        """Say what was not meant, edit it and delete it; the last erasure, with its purge."""
        session_id = self._texts.id("sessionid")
        said = [NewMessage(content=slips.sentence("slip", 300), role=slips.word("sliprole"))] * 2
        first, second = self._client.message.add(session_id, said, user_id=self.person.user_id)
        kept = Said("user", "never mind", None, None)
        self._client.message.update(session_id, first.uuid, content=kept.content, role=kept.role)
        self.person.sessions[session_id] = Conversation(None, messages={first.uuid: kept})
        return self._client.message.delete(session_id, second.uuid, purge="now")

    def finish(self) -> None:
        """Sessions of nobody get their owner."""
        for session_id, session in self.person.sessions.items():
            if not session.is_owned:
                self._give(session_id, session)

    # Users.

    def _new_fields(self) -> dict[str, Any]:
        return {
            "email": f"{self._texts.word('email')}@Example.com",
            "first_name": self._texts.word("first"),
            "last_name": self._texts.word("last"),
            "metadata": self._texts.metadata("usermeta"),
        }

    def _change_user(self) -> None:
        person, texts = self.person, self._texts
        kind = self._random.randint(0, 4)
        if kind == 0:
            new: dict[str, Any] = {"email": f"{texts.word('email')}@Example.com"}
            self._client.user.update(user_id=person.user_id, **new)
            person.fields |= new
        elif kind == 1:
            new = {"last_name": texts.sentence("last", self._random.choice([5, 100, 400]))}
            self._client.user.update(user_id=person.user_id, **new)
            person.fields |= new
        elif kind == 2:
            person.fields = self._new_fields()
            self._client.user.put(user_id=person.user_id, **person.fields)
        else:
            change = texts.change("usermeta", person.fields["metadata"] or {})
            self._client.user.update(user_id=person.user_id, metadata=change)
            person.fields["metadata"] = merge_patch(person.fields["metadata"] or {}, change)

    # Sessions.

    def _open_session(self) -> None:
        session_id = self._texts.id("sessionid")
        metadata = self._texts.metadata("sessionmeta")
        is_owned = self._random.random() < 0.7
        owner = {"user_id": self.person.user_id} if is_owned else {}
        opened = self._client.session.add(
            session_id=session_id, metadata=metadata, **owner, **self._once("session")
        )
        self._remember_uuid(opened.uuid)
        self.person.sessions[session_id] = Conversation(metadata, is_owned=is_owned)

    def _change_session(self) -> None:
        if not (found := self._any_session()):
            return
        session_id, session = found
        change = self._texts.change("sessionmeta", session.metadata or {})
        self._client.session.update(session_id=session_id, metadata=change)
        session.metadata = merge_patch(session.metadata or {}, change)

    def _delete_session(self) -> None:
        if not (found := self._any_session()):
            return
        session_id, _ = found
        erasure = self._client.session.delete(session_id)
        self._delete_uuid(erasure.subject_uuid)
        del self.person.sessions[session_id]
        if self._random.random() < 0.6:
            opened = self._client.session.add(session_id=session_id, user_id=self.person.user_id)
            self._remember_uuid(opened.uuid)
            self.person.sessions[session_id] = Conversation(None)

    def _own(self) -> None:
        if (found := self._any_session()) and not found[1].is_owned:
            self._give(*found)

    def _give(self, session_id: str, session: Conversation) -> None:
        self._client.session.update(session_id=session_id, user_id=self.person.user_id)
        session.is_owned = True

    def _end(self) -> None:
        if found := self._any_session():
            self._client.session.end(found[0])
            found[1].is_ended = True

    # Messages.

    def _append(self) -> None:
        if not (found := self._any_session()):
            self._open_session()
            return
        session_id, session = found
        if session.is_ended:
            return
        said = [self._say() for _ in range(self._random.choice([1, 1, 2, 5, 20]))]
        new = [NewMessage(**vars(each)) for each in said]
        added = self._client.message.add(session_id, new, **self._once("append"))
        for message, each in zip(added, said, strict=True):
            self._remember_uuid(message.uuid)
            session.messages[message.uuid] = each

    def _say(self) -> Said:
        length = self._random.choice(LENGTHS[: self._random.randint(1, len(LENGTHS))])
        texts = self._texts
        metadata = texts.metadata("messagemeta") if self._random.random() < 0.4 else None
        data = texts.data("data") if self._random.random() < 0.3 else None
        role = texts.word("role") if self._random.random() < 0.7 else "user"
        return Said(role, texts.sentence("content", length), metadata, data)

    def _edit(self) -> None:
        if not (found := self._any_message()):
            return
        session_id, uuid, said = found
        length = self._random.choice([1, len(said.content), 200, 5_000])
        said.content = self._texts.sentence("edited", length)
        said.role = self._texts.word("role") if self._random.random() < 0.3 else said.role
        self._client.message.update(session_id, uuid, content=said.content, role=said.role)
        if said.metadata is not None:
            change = self._texts.change("messagemeta", said.metadata)
            self._client.message.update(session_id, uuid, metadata=change)
            said.metadata = merge_patch(said.metadata, change)

    def _delete_message(self) -> None:
        if found := self._any_message():
            session_id, uuid, _ = found
            self._client.message.delete(session_id, uuid)
            self._delete_uuid(uuid)
            del self.person.sessions[session_id].messages[uuid]

    def _look(self) -> None:
        client = self._client
        client.search(self._texts.word("search"), user_id=self.person.user_id)
        if found := self._any_session():
            client.memory.get(found[0])
            client.search(self._texts.sentence("search", 20), session_id=found[0])

    def _stumble(self) -> None:
        """Ask for what is refused, or not there: an error must not tell of it elsewhere."""
        client, texts, person = self._client, self._texts, self.person
        wrong: list[Callable[[], object]] = [
            lambda: client.user.add(user_id=person.user_id, email=texts.word("email")),
            lambda: client.user.update(
                user_id=person.user_id, email=texts.word("email") + 600 * "x"
            ),
            lambda: client.user.get(texts.id("unknownuser")),
            lambda: client.session.get(texts.id("unknownsession")),
            lambda: client.session.add(session_id=texts.id("s"), user_id=texts.id("unknownuser")),
            lambda: client.message.add(texts.id("s"), NewMessage(content=f"{texts.word('nul')}\0")),
            lambda: client.user.list(
                metadata={texts.word("path"): texts.word("value")}, limit=5000
            ),
        ]
        with pytest.raises(UserkeepError):
            self._random.choice(wrong)()

    # What there is.

    def check(self) -> None:
        """What there is, is as it should be."""
        person, client = self.person, self._client
        user = client.user.get(person.user_id)
        for name, value in person.fields.items():
            assert (getattr(user, name) or None) == (value or None), name
        owned = {each.session_id for each in client.session.list_all(user_id=person.user_id)}
        assert owned == {key for key, each in person.sessions.items() if each.is_owned}
        for session_id, session in person.sessions.items():
            self._check_session(session_id, session)

    def _check_session(self, session_id: str, session: Conversation) -> None:
        found = self._client.session.get(session_id)
        assert (found.metadata or None) == (session.metadata or None)
        assert (found.ended_at is not None) == session.is_ended
        messages = {each.uuid: each for each in self._client.message.list_all(session_id)}
        assert list(messages) == list(session.messages)
        for uuid, said in session.messages.items():
            message = messages[uuid]
            assert (message.role, message.content) == (said.role, said.content)
            assert (message.metadata or None) == (said.metadata or None)

    def _any_session(self) -> tuple[str, Conversation] | None:
        sessions = list(self.person.sessions.items())
        return self._random.choice(sessions) if sessions else None

    def _any_message(self) -> tuple[str, str, Said] | None:
        found = self._any_session()
        if found is None or not found[1].messages:
            return None
        uuid = self._random.choice(list(found[1].messages))
        return found[0], uuid, found[1].messages[uuid]

    def _once(self, place: str) -> dict[str, Any]:
        if self._random.random() < 0.5:
            return {}
        return {"idempotency_key": self._texts.key(f"key{place}")}

    def _remember_uuid(self, uuid: str) -> None:
        if isinstance(self._texts, Canaries):
            self._texts.uuids.add(uuid)

    def _delete_uuid(self, uuid: str) -> None:
        """An erasure keeps the uuid of its subject."""
        if isinstance(self._texts, Canaries):
            self._texts.uuids.discard(uuid)
