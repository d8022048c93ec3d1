"""Simulated users: random writes step by step, and the data that is expected after them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from tests.residue.texts import Canaries, Texts
from userkeep import Erasure, NewMessage, UserkeepError
from userkeep.domain.message import GivenRole
from userkeep.domain.values.ids import is_uuid
from userkeep.domain.values.metadata import merge_patch
from userkeep.sdk._sync.client import Client

LENGTHS = (3, 40, 40, 200, 200, 2_000, 6_000, 60_000)
"""Lengths of contents: within a page, on overflow pages, and out of line (TOAST)."""


@dataclass
class ExpectedMessage:
    """An expected message."""

    role: GivenRole
    name: str | None
    content: str
    metadata: dict[str, Any] | None
    data: Any


@dataclass
class ExpectedSession:
    """An expected session."""

    metadata: dict[str, Any] | None
    title: str | None = None
    is_ended: bool = False
    is_owned: bool = True
    messages: dict[str, ExpectedMessage] = field(default_factory=dict)


@dataclass
class ExpectedUser:
    """An expected user.

    Attributes:
        texts: generates the texts of the user.
    """

    texts: Texts
    user_id: str
    fields: dict[str, Any] = field(default_factory=dict)
    sessions: dict[str, ExpectedSession] = field(default_factory=dict)


class UserSimulation:
    """Random writes for one user with a client."""

    def __init__(self, client: Client, random: Random, model: ExpectedUser) -> None:
        self._client = client
        self._random = random
        self._texts = model.texts
        self.model = model
        self._steps = {
            self._change_user: 4,
            self._add_session: 2,
            self._append: 10,
            self._change_session: 3,
            self._edit: 6,
            self._delete_message: 3,
            self._delete_session: 0.7,
            self._set_an_owner: 2,
            self._end: 0.3,
            self._read: 1,
            self._fail: 1,
        }

    def begin(self) -> None:
        """Create the user."""
        model = self.model
        model.fields = self._new_fields()
        self._client.user.add(
            user_id=model.user_id, **model.fields, **self._idempotency_key("user")
        )

    def step(self) -> None:
        """Do a random step."""
        steps, weights = zip(*self._steps.items(), strict=True)
        self._random.choices(steps, weights)[0]()

    def edit_and_delete(self, canaries: Texts) -> Erasure:
        """Append two messages with canaries, edit one, delete the other; return the erasure."""
        session_id = self._texts.id("sessionid")
        new = [
            NewMessage(
                role="user", content=canaries.sentence("slip", 300), name=canaries.word("slipname")
            )
        ] * 2
        first, second = self._client.message.add(session_id, new, user_id=self.model.user_id)
        kept = ExpectedMessage("user", None, "never mind", None, None)
        self._client.message.update(session_id, first.id, content=kept.content, name=kept.name)
        self.model.sessions[session_id] = ExpectedSession(None, messages={first.id: kept})
        return self._client.message.delete(session_id, second.id, purge="now")

    def set_owners(self) -> None:
        """Set the owner of unowned sessions."""
        for session_id, session in self.model.sessions.items():
            if not session.is_owned:
                self._set_owner(session_id, session)

    # Users.

    def _new_fields(self) -> dict[str, Any]:
        return {
            "email": f"{self._texts.word('email')}@Example.com",
            "first_name": self._texts.word("first"),
            "last_name": self._texts.word("last"),
            "metadata": self._texts.metadata("usermeta"),
        }

    def _change_user(self) -> None:
        model, texts = self.model, self._texts
        kind = self._random.randint(0, 4)
        if kind == 0:
            new: dict[str, Any] = {"email": f"{texts.word('email')}@Example.com"}
            self._client.user.update(user_id=model.user_id, **new)
            model.fields |= new
        elif kind == 1:
            new = {"last_name": texts.sentence("last", self._random.choice([5, 100, 400]))}
            self._client.user.update(user_id=model.user_id, **new)
            model.fields |= new
        elif kind == 2:
            model.fields = self._new_fields()
            self._client.user.put(user_id=model.user_id, **model.fields)
        else:
            change = texts.change("usermeta", model.fields["metadata"] or {})
            self._client.user.update(user_id=model.user_id, metadata=change)
            model.fields["metadata"] = merge_patch(model.fields["metadata"] or {}, change)

    # Sessions.

    def _add_session(self) -> None:
        session_id = self._texts.id("sessionid")
        metadata = self._texts.metadata("sessionmeta")
        is_owned = self._random.random() < 0.7
        title = self._title()
        owner = self.model.user_id if is_owned else None
        added = self._client.session.add(
            session_id=session_id,
            title=title,
            metadata=metadata,
            user_id=owner,
            **self._idempotency_key("session"),
        )
        self._add_uuid(added.uuid)
        self.model.sessions[session_id] = ExpectedSession(metadata, title, is_owned=is_owned)

    def _change_session(self) -> None:
        if not (found := self._any_session()):
            return
        session_id, session = found
        if self._random.random() < 0.5:
            session.title = self._title()
            self._client.session.update(session_id=session_id, title=session.title)
            return
        change = self._texts.change("sessionmeta", session.metadata or {})
        self._client.session.update(session_id=session_id, metadata=change)
        session.metadata = merge_patch(session.metadata or {}, change)

    def _title(self) -> str | None:
        length = self._random.choice([0, 5, 40, 400])
        return self._texts.sentence("title", length) if length else None

    def _delete_session(self) -> None:
        if not (found := self._any_session()):
            return
        session_id, _ = found
        erasure = self._client.session.delete(session_id)
        self._delete_uuid(erasure.subject_uuid)
        del self.model.sessions[session_id]
        if self._random.random() < 0.6:
            added = self._client.session.add(session_id=session_id, user_id=self.model.user_id)
            self._add_uuid(added.uuid)
            self.model.sessions[session_id] = ExpectedSession(None)

    def _set_an_owner(self) -> None:
        if (found := self._any_session()) and not found[1].is_owned:
            self._set_owner(*found)

    def _set_owner(self, session_id: str, session: ExpectedSession) -> None:
        assigned = self._client.session.update(session_id=session_id, user_id=self.model.user_id)
        # Kept when the user is deleted: a ledger and an import recognize the session by it.
        self._delete_uuid(assigned.uuid)
        session.is_owned = True

    def _end(self) -> None:
        if found := self._any_session():
            self._client.session.end(found[0])
            found[1].is_ended = True

    # Messages.

    def _append(self) -> None:
        if not (found := self._any_session()):
            self._add_session()
            return
        session_id, session = found
        if session.is_ended:
            return
        expected = [self._new_message() for _ in range(self._random.choice([1, 1, 2, 5, 20]))]
        new = [NewMessage(**vars(each), id=self._own_id()) for each in expected]
        added = self._client.message.add(session_id, new, **self._idempotency_key("append"))
        for message, each in zip(added, expected, strict=True):
            if is_uuid(message.id):
                self._add_uuid(message.id)
            session.messages[message.id] = each

    def _own_id(self) -> str | None:
        return (
            self._texts.word("messageid") + self._texts.word("x")
            if self._random.random() < 0.3
            else None
        )

    def _new_message(self) -> ExpectedMessage:
        length = self._random.choice(LENGTHS[: self._random.randint(1, len(LENGTHS))])
        texts = self._texts
        metadata = texts.metadata("messagemeta") if self._random.random() < 0.4 else None
        data = texts.data("data") if self._random.random() < 0.3 else None
        name = texts.word("name") if self._random.random() < 0.7 else None
        content = texts.sentence("content", length)
        return ExpectedMessage("user", name, content, metadata, data)

    def _edit(self) -> None:
        if not (found := self._any_message()):
            return
        session_id, id_, expected = found
        length = self._random.choice([1, len(expected.content), 200, 5_000])
        expected.content = self._texts.sentence("edited", length)
        expected.name = self._texts.word("name") if self._random.random() < 0.3 else expected.name
        if expected.data is not None and self._random.random() < 0.5:
            expected.data = self._texts.data("editeddata")
        self._client.message.update(
            session_id,
            id_,
            content=expected.content,
            name=expected.name,
            data=expected.data,
        )
        if expected.metadata is not None:
            change = self._texts.change("messagemeta", expected.metadata)
            self._client.message.update(session_id, id_, metadata=change)
            expected.metadata = merge_patch(expected.metadata, change)

    def _delete_message(self) -> None:
        if found := self._any_message():
            session_id, id_, _ = found
            self._client.message.delete(session_id, id_)
            self._delete_uuid(id_)
            del self.model.sessions[session_id].messages[id_]

    def _read(self) -> None:
        client = self._client
        client.search(self._texts.word("search"), user_id=self.model.user_id)
        if found := self._any_session():
            client.memory.get(found[0])
            client.search(self._texts.sentence("search", 20), session_id=found[0])

    def _fail(self) -> None:
        """Send an invalid request, or one for missing data; errors must not be stored elsewhere."""
        client, texts, model = self._client, self._texts, self.model
        wrong: list[Callable[[], object]] = [
            lambda: client.user.add(user_id=model.user_id, email=texts.word("email")),
            lambda: client.user.update(
                user_id=model.user_id, email=texts.word("email") + 600 * "x"
            ),
            lambda: client.user.get(texts.id("unknownuser")),
            lambda: client.session.get(texts.id("unknownsession")),
            lambda: client.session.add(session_id=texts.id("s"), user_id=texts.id("unknownuser")),
            lambda: client.message.add(
                texts.id("s"), NewMessage(role="user", content=f"{texts.word('nul')}\0")
            ),
            lambda: client.user.list(
                metadata={texts.word("path"): texts.word("value")}, limit=5000
            ),
        ]
        with pytest.raises(UserkeepError):
            self._random.choice(wrong)()

    # Checks.

    def check(self) -> None:
        """Check that the stored data is the expected one."""
        model, client = self.model, self._client
        user = client.user.get(model.user_id)
        for name, value in model.fields.items():
            assert (getattr(user, name) or None) == (value or None), name
        owned = {each.session_id for each in client.session.list(user_id=model.user_id)}
        assert owned == {key for key, each in model.sessions.items() if each.is_owned}
        for session_id, session in model.sessions.items():
            self._check_session(session_id, session)

    def _check_session(self, session_id: str, session: ExpectedSession) -> None:
        found = self._client.session.get(session_id)
        assert (found.metadata or None) == (session.metadata or None)
        assert (found.ended_at is not None) == session.is_ended
        messages = {each.id: each for each in self._client.message.list(session_id)}
        assert list(messages) == list(session.messages)
        for id_, expected in session.messages.items():
            message = messages[id_]
            assert (message.name, message.content) == (expected.name, expected.content)
            assert (message.metadata or None) == (expected.metadata or None)

    def _any_session(self) -> tuple[str, ExpectedSession] | None:
        sessions = list(self.model.sessions.items())
        return self._random.choice(sessions) if sessions else None

    def _any_message(self) -> tuple[str, str, ExpectedMessage] | None:
        found = self._any_session()
        if found is None or not found[1].messages:
            return None
        id_ = self._random.choice(list(found[1].messages))
        return found[0], id_, found[1].messages[id_]

    def _idempotency_key(self, field: str) -> dict[str, Any]:
        if self._random.random() < 0.5:
            return {}
        return {"idempotency_key": self._texts.key(f"key{field}")}

    def _add_uuid(self, uuid: str) -> None:
        if isinstance(self._texts, Canaries):
            self._texts.uuids.add(uuid)

    def _delete_uuid(self, uuid: str) -> None:
        # An erasure keeps the uuid of its subject.
        if isinstance(self._texts, Canaries):
            self._texts.uuids.discard(uuid)
