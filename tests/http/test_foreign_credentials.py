"""No credential reaches what is not its own: every route of every API, every foreign credential.

The routes come from the table of operations and from the Zep API, so a new one is tested too. Each
is called twice, with ids that exist and with ids that do not: status, headers and body must be the
same, so that a response does not say whether something exists.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from time import monotonic, sleep
from typing import Any, NamedTuple
from urllib.parse import quote

import jwt
import pytest

from tests.conftest import ROW_SECURED, engine_id, fresh_settings
from tests.http.callers import STATIC, Caller, id_of
from tests.http.clients import InProcessClient, Response, serve_in_process
from tests.long.counts import IS_FULL
from userkeep.api.operations import OPERATIONS
from userkeep.config import Settings
from userkeep.domain.key import Permission
from userkeep.http.compat.zep_v1 import ZepV1API
from userkeep.instance import open_instance
from userkeep.storage.queries import Query, load_queries

FORGETFUL = "postgres without conditions on projects"
# With the conditions as well as the wall nothing can be reached that the wall alone keeps.
ENGINES = ("sqlite file", "postgres", *([ROW_SECURED] if IS_FULL else []), FORGETFUL)

SECRET = "a text that no other project may see"
ZEP_SECRET = "the secret with which zep signed"
MESSAGE_ID = "11111111-2222-4333-8444-{:012d}"
ABSENT_ID = "99999999-2222-4333-8444-{:012d}"

_ADDRESSES = count(1)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z?")
_KEY = re.compile(r"uk_[0-9a-f]{16}_[0-9a-f]{64}|\b[0-9a-f]{16}\b")
_NUMBER = re.compile(r'"(id|row_number|seq|revision)":\d+')


class Route(NamedTuple):
    """A route of an API.

    Attributes:
        name: of its operation; of the Zep API, `zep` and its method and path.
        scope: what a key needs for it.
        number: makes its ids differ from those of other routes.
    """

    name: str
    method: str
    path: str
    scope: Permission
    number: int


class Ids(NamedTuple):
    """The ids in a request."""

    user: str
    session: str
    message: str
    erasure: str
    verification: str
    key: str
    project: str
    collection: str

    def of(self, route: Route, placeholder: str) -> str:
        """Return what stands for a placeholder in the path of a route."""
        noun = route.name.partition(".")[0]
        by_name = {
            "user_id": self.user,
            "session_id": self.session,
            "project": self.project,
            "name": self.collection,
        }
        by_noun = {
            "messages": self.message,
            "erasures": self.erasure,
            "verifications": self.verification,
            "keys": self.key,
        }
        return by_name.get(placeholder) or by_noun.get(noun, self.message)


def native_routes() -> Iterator[tuple[str, str, str, Permission]]:
    for each in OPERATIONS:
        yield each.name, each.method, each.path, each.scope


def zep_routes(api: ZepV1API) -> Iterator[tuple[str, str, str, Permission]]:
    for method, path, scope in api.routes():
        yield f"zep {method} {path}", method, f"/api/v1{path}", scope


METRICS: tuple[str, str, str, Permission] = ("metrics", "GET", "/metrics", "admin")

MESSAGES = [{"role": "user", "content": "x"}]

EMBEDDING = [0.5] * 8

Body = Callable[[Ids], Any]


def collection_body(ids: Ids) -> dict[str, Any]:
    return {"name": ids.collection, "embedding_dimensions": 8, "is_auto_embedded": False}


# A valid body of each operation that has one.
BODIES: dict[str, Body] = {
    "collections.add": lambda ids: {"name": ids.collection, "dimensions": 8},
    "collections.update": lambda _: {"description": "x"},
    "documents.add": lambda ids: {"documents": [{"embedding": EMBEDDING, "user_id": ids.user}]},
    "documents.update": lambda _: {"content": "x"},
    "documents.delete_many": lambda ids: {"document_ids": [ids.message]},
    "documents.search": lambda ids: {"embedding": EMBEDDING, "user_id": ids.user},
    "users.add": lambda ids: {"user_id": ids.user},
    "users.put": lambda _: {"first_name": "x"},
    "users.update": lambda _: {"first_name": "x"},
    "sessions.add": lambda ids: {"session_id": ids.session, "user_id": ids.user},
    "sessions.update": lambda _: {"title": "x"},
    "messages.append": lambda ids: {"messages": MESSAGES, "user_id": ids.user},
    "messages.update": lambda _: {"content": "x"},
    "messages.search": lambda ids: {"query": SECRET, "user_id": ids.user},
    "imports.user": lambda ids: {"user_id": ids.user},
    "imports.session": lambda ids: {
        "session_id": ids.session,
        "user_id": ids.user,
        "messages": [],
    },
    "imports.collection": lambda ids: {"name": ids.collection, "dimensions": 8},
    "imports.documents": lambda ids: {
        "name": ids.collection,
        "documents": [{"document_id": ids.message, "embedding": EMBEDDING}],
    },
    "erasures.verify": lambda _: {"search_terms": [SECRET]},
    "keys.add": lambda ids: {"user_id": ids.user, "scope": "read"},
    "projects.add": lambda ids: {"name": ids.project},
    "projects.update": lambda _: {"max_messages_per_user": 1},
    "zep POST /user": lambda ids: {"user_id": ids.user},
    "zep PATCH /user/{user_id}": lambda ids: {"user_id": ids.user, "first_name": "x"},
    "zep POST /sessions": lambda ids: {"session_id": ids.session, "user_id": ids.user},
    "zep PATCH /sessions/{session_id}": lambda _: {"metadata": {"x": 1}},
    "zep POST /sessions/{session_id}/memory": lambda _: {"messages": MESSAGES},
    "zep PATCH /sessions/{session_id}/messages/{uuid}": lambda _: {"metadata": {"x": 1}},
    "zep POST /sessions/{session_id}/search": lambda _: {"text": SECRET},
    "zep POST /collection/{name}": collection_body,
    "zep PATCH /collection/{name}": lambda _: {"description": "x"},
    "zep POST /collection/{name}/search": lambda _: {"embedding": EMBEDDING},
    "zep POST /collection/{name}/document": lambda _: [{"content": "x", "embedding": EMBEDDING}],
    "zep POST /collection/{name}/document/list/get": lambda ids: {"document_ids": [ids.message]},
    "zep POST /collection/{name}/document/list/delete": lambda ids: [ids.message],
    "zep PATCH /collection/{name}/document/list/update": lambda ids: [
        {"uuid": ids.message, "metadata": {"x": 1}}
    ],
    "zep PATCH /collection/{name}/document/uuid/{uuid}": lambda _: {"metadata": {"x": 1}},
    "zep PATCH /collection/{name}/document/{uuid}": lambda _: {"metadata": {"x": 1}},
}
QUERIES = {"messages.delete_after": "?after_seq=0"}

# Creates in the project of the key what has the same id in another one, or lists what is there.
OF_OWN_PROJECT = {
    *("users.add", "users.put", "users.list", "sessions.add", "sessions.list", "messages.append"),
    *("messages.search", "erasures.list", "keys.list", "keys.add"),
    *("imports.user", "imports.session", "imports.collection"),
    *("collections.add", "collections.list"),
}


class Victim:
    """An instance with two projects, and in the first what no foreign credential may reach."""

    def __init__(self, client: InProcessClient, settings: Settings) -> None:
        self.client = client
        self.settings = settings
        self.admin = Caller(client, STATIC)
        with closing(open_instance(fresh_api_settings())) as instance:
            api = ZepV1API(instance.engine, None, None)  # type: ignore[arg-type]
            found = [*native_routes(), *zep_routes(api), METRICS]
        self.routes = [Route(*each, number) for number, each in enumerate(found)]
        self._add_shared()
        for route in self.routes:
            self._add(self.existing(route))
        kept = {MESSAGE_ID.format(route.number) for route in self.routes}
        self.uuids = {*_UUID.findall(str(self.data()))} - kept

    def _add_shared(self) -> None:
        for name in ("other", "victim7"):
            self._call("POST", "/v1/projects", {"name": name})
        self._call("POST", "/v1/users", {"user_id": "deleted"})
        self._erasure = self._call("DELETE", "/v1/users/deleted").json["id"]
        verify = f"/v1/erasures/{self._erasure}/verify"
        self._verification = self._call("POST", verify, {}).json["id"]
        self._key = id_of(self.admin.with_key(name=SECRET, scope="read").key)

    def _add(self, ids: Ids) -> None:
        metadata = {"secret": SECRET}
        user = {"user_id": ids.user, "first_name": SECRET, "metadata": metadata}
        self._call("POST", "/v1/users", user)
        session = {"session_id": ids.session, "user_id": ids.user, "title": SECRET}
        self._call("POST", "/v1/sessions", session)
        message = {"id": ids.message, "role": "user", "content": SECRET, "metadata": metadata}
        self._call("POST", f"/v1/sessions/{ids.session}/messages", {"messages": [message]})
        path = f"/api/v1/collection/{ids.collection}"
        self._call("POST", path, collection_body(ids) | {"metadata": metadata})
        document = {"document_id": ids.message, "content": SECRET, "embedding": EMBEDDING}
        self._call("POST", f"{path}/document", [document])

    def _call(self, method: str, target: str, body: Any = None) -> Response:
        response = self.admin(method, target, body)
        assert response.status < 300, (target, response.text)
        return response

    def existing(self, route: Route) -> Ids:
        """Return ids that exist, which no other route uses."""
        number = route.number
        return Ids(
            user=f"victim-u{number:03d}",
            session=f"victim-s{number:03d}",
            message=MESSAGE_ID.format(number),
            erasure=self._erasure,
            verification=self._verification,
            key=self._key,
            project="victim7",
            collection=f"victim0c{number:03d}",
        )

    def absent(self, route: Route) -> Ids:
        """Return ids of the same length that do not exist.

        A collection is the project's, and its users may know that it exists; not what it contains.
        """
        number = route.number
        is_in_collection = route.name.startswith("documents.")
        collection = f"victim0c{number:03d}" if is_in_collection else f"absent0c{number:03d}"
        return Ids(
            user=f"absent-u{number:03d}",
            session=f"absent-s{number:03d}",
            message=ABSENT_ID.format(number),
            erasure=ABSENT_ID.format(1),
            verification=ABSENT_ID.format(2),
            key="f" * 16,
            project="absent7",
            collection=collection,
        )

    def request(self, route: Route, ids: Ids, credential: "Credential") -> Response:
        """Send a request of a route, from an address that has not failed before."""
        path = re.sub(r"\{(\w+)\}", lambda each: quote(ids.of(route, each[1])), route.path)
        query = QUERIES.get(route.name, "")
        if credential.query:
            query = f"{query}{'&' if query else '?'}{credential.query}"
        body = BODIES.get(route.name, lambda _: None)(ids)
        number = next(_ADDRESSES)
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        headers = credential.headers
        headers = {"X-Request-Id": "of-a-test", **(headers or {})}
        return self.client.send(route.method, path + query, body, headers=headers, address=address)

    def data(self) -> Any:
        """Return what the first project has."""
        lists = [
            self._call("GET", f"/v1/{each}").json["items"]
            for each in (
                "users?limit=1000",
                "sessions?limit=1000&include=last_message",
                "erasures",
                "projects",
                "keys?limit=1000",
            )
        ]
        for key in lists[-1]:
            del key["last_used_at"]
        return [*lists, self._call("GET", "/api/v1/collection").json]


class Credential(NamedTuple):
    """What a request has, and what must come of it.

    Attributes:
        statuses: those of every route.
        is_of_project: whether it is valid in a project of its own: then a list may be empty, and
            what is created is its own.
    """

    headers: dict[str, str]
    query: str = ""
    statuses: frozenset[int] = frozenset({401})
    is_of_project: bool = False


def fresh_api_settings() -> Settings:
    return Settings(database_url="sqlite:///:memory:")


def bearer(text: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def no_credential(_: Victim) -> Credential:
    return Credential({})


def expired_key(victim: Victim) -> Credential:
    ends_at = datetime.now(UTC) + timedelta(seconds=0.3)
    key = victim.admin.with_key(scope="admin", expires_at=ends_at.isoformat())
    ends_s = monotonic() + 60
    while key("GET", "/v1/users").status != 401:
        assert monotonic() < ends_s
        sleep(0.05)
    return Credential(bearer(key.key))


def revoked_key(victim: Victim) -> Credential:
    key = victim.admin.with_key(scope="admin")
    victim.admin("DELETE", f"/v1/keys/{id_of(key.key)}")
    return Credential(bearer(key.key))


def read_only_key(victim: Victim) -> Credential:
    return Credential(bearer(victim.admin.with_key(scope="read").key), statuses=frozenset({403}))


def key_in_the_query(_: Victim) -> Credential:
    return Credential({}, query=f"api_key={STATIC}&key={STATIC}&access_token={STATIC}")


def key_in_a_cookie(_: Victim) -> Credential:
    return Credential({"Cookie": f"jwt={STATIC}; api_key={STATIC}"})


def token_of_another_secret(victim: Victim) -> Credential:
    victim.admin("POST", "/v1/users", {"user_id": "jane"})
    made = victim.admin("POST", "/v1/users/jane/token").json["token"]
    claims = jwt.decode(made, options={"verify_signature": False})
    return Credential(bearer(jwt.encode(claims, "x" * 32, "HS256")))


def key_of_another_user(victim: Victim) -> Credential:
    victim.admin("POST", "/v1/users", {"user_id": "bob"})
    key = victim.admin.with_key(user_id="bob").key
    return Credential(bearer(key), statuses=frozenset({403, 404}))


def token_of_another_user(victim: Victim) -> Credential:
    victim.admin("POST", "/v1/users", {"user_id": "eve"})
    token = victim.admin("POST", "/v1/users/eve/token").json["token"]
    return Credential(bearer(token), statuses=frozenset({403, 404}))


def key_of_another_project(victim: Victim) -> Credential:
    key = victim.admin.with_key(scope="admin", project="other").key
    return Credential(bearer(key), statuses=frozenset({403, 404}), is_of_project=True)


CREDENTIALS = (
    no_credential,
    expired_key,
    revoked_key,
    read_only_key,
    key_in_the_query,
    key_in_a_cookie,
    token_of_another_secret,
    key_of_another_user,
    token_of_another_user,
    key_of_another_project,
)

# Some of the Zep API are empty for what does not exist.
OWN_STATUSES = {200, 201, 400, 403, 404}

# Queries that are asked outside of the project that they are about.
OF_THE_INSTANCE = {"get_quota", "record_key_use", "ended_users", "project_state"}

# What finds or deletes only what is the user's own: nothing is, here.
OF_OWN_USER = {"sessions.list", "documents.list", "documents.search", "documents.delete_many"}


@pytest.fixture(scope="module", params=ENGINES, ids=engine_id)
def victim(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Victim]:
    is_forgetful = request.param == FORGETFUL
    engine = ROW_SECURED if is_forgetful else request.param
    settings = fresh_settings(engine, tmp_path_factory.mktemp("victim"))
    keyed = replace(settings, api_key=STATIC, zep_auth_secret=ZEP_SECRET)
    with ExitStack() as stack:
        if is_forgetful:
            forget_projects(stack.enter_context(pytest.MonkeyPatch.context()))
        yield Victim(stack.enter_context(serve_in_process(keyed)), settings)


def forget_projects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the project out of every query but inserts: only the wall is left."""

    def load(*given: str) -> dict[str, Query]:
        loaded = load_queries(*given)
        forgetful = {
            name: Query(query.source.replace("project_id = :project_id", "true"))
            for name, query in loaded.items()
            if name not in OF_THE_INSTANCE
        }
        assert sum(loaded[name].source != each.source for name, each in forgetful.items()) > 80
        return loaded | forgetful

    monkeypatch.setattr("userkeep.instance.load_queries", load)
    monkeypatch.setattr("userkeep.storage.postgres.engine.load_queries", load)


@pytest.mark.parametrize("make", CREDENTIALS, ids=lambda each: each.__name__)
def test_no_route_shows_or_changes_anything_with_a_foreign_credential(
    victim: Victim, make: Callable[[Victim], Credential]
) -> None:
    credential = make(victim)
    before = victim.data()
    routes = [each for each in victim.routes if make is not read_only_key or each.scope != "read"]
    assert len(routes) > 30
    for route in routes:
        of_existing = victim.request(route, victim.existing(route), credential)
        of_absent = victim.request(route, victim.absent(route), credential)
        check(victim, route, credential, of_existing)
        one, other = (
            normalized(response, ids)
            for response, ids in (
                (of_existing, victim.existing(route)),
                (of_absent, victim.absent(route)),
            )
        )
        assert one == other, route
    assert victim.data() == before


def check(victim: Victim, route: Route, credential: Credential, response: Response) -> None:
    """Check the status of a response, and that it has nothing of the victim but what was sent."""
    assert SECRET not in response.text, route
    shown = set(_UUID.findall(response.text)) - {*victim.existing(route)}
    assert victim.uuids.isdisjoint(shown), route
    is_own = credential.is_of_project and (
        route.name in OF_OWN_PROJECT or route.name.startswith("zep ")
    )
    is_own_list = route.name in OF_OWN_USER and credential.statuses == {403, 404}
    statuses = OWN_STATUSES if is_own or is_own_list else credential.statuses
    assert response.status in statuses, (route, response.status, response.text)


def normalized(response: Response, ids: Ids) -> tuple[int, dict[str, str], str]:
    """Return a response without what differs between any two: ids, times and numbers."""
    text = response.text
    for each in ids:
        text = text.replace(each, "<id>")
    for pattern in (_UUID, _TIME, _KEY, _NUMBER):
        text = pattern.sub("<any>", text)
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    return response.status, headers, text
