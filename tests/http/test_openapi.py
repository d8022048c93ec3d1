"""`/openapi.json` describes the native API, and responses match it."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from tests.conftest import engine_id, fresh_settings
from tests.http.clients import InProcessClient, Response, serve_in_process
from tests.http.conftest import HTTP_ENGINES
from tests.http.schemas import KEYWORDS, TYPES, faults, resolve
from userkeep.api.common import Filter
from userkeep.api.operation import APIOperation
from userkeep.api.operations import OPERATIONS

Json = Any
Described = tuple[str, str, Json]

API_KEY = "the-key-of-an-operator"


@pytest.fixture(scope="module")
def document(client: InProcessClient) -> Json:
    """The OpenAPI document as served."""
    response = client.send("GET", "/openapi.json")
    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    return response.json


def described(document: Json) -> Iterator[Described]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def nodes(value: Json) -> Iterator[Json]:
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from nodes(item)


def schemas_in(document: Json) -> Iterator[Json]:
    """Every schema and its subschemas."""

    def walk(schema: Json) -> Iterator[Json]:
        yield schema
        for each in (*schema.get("properties", {}).values(), *schema.get("anyOf", ())):
            yield from walk(each)
        for name in ("items", "additionalProperties"):
            if isinstance(schema.get(name), dict):
                yield from walk(schema[name])

    for schema in document["components"]["schemas"].values():
        yield from walk(schema)
    for node in nodes(document["paths"]):
        if isinstance(node.get("schema"), dict):
            yield from walk(node["schema"])


def test_the_document_is_openapi_3_1(document: Json) -> None:
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert document["info"]["title"]
    assert document["info"]["version"]
    assert document.keys() <= {
        "openapi",
        "info",
        "jsonSchemaDialect",
        "servers",
        "paths",
        "webhooks",
        "components",
        "security",
        "tags",
        "externalDocs",
    }


def test_the_document_lists_exactly_the_operations(document: Json) -> None:
    there = {
        (method.upper(), path, each["operationId"]) for method, path, each in described(document)
    }
    assert there == {(each.method, each.path, each.name) for each in OPERATIONS}


def test_every_ref_resolves(document: Json) -> None:
    references = [node["$ref"] for node in nodes(document) if isinstance(node.get("$ref"), str)]
    assert len(references) > len(OPERATIONS)
    for reference in references:
        assert isinstance(resolve(document, reference), dict), reference


def test_every_component_is_used_or_describes_a_query(document: Json) -> None:
    used = {node["$ref"] for node in nodes(document) if "$ref" in node}
    queries = {each.query.__name__ for each in OPERATIONS if each.query}
    for name in document["components"]["schemas"]:
        assert re.fullmatch(r"[a-zA-Z0-9._-]+", name)
        assert f"#/components/schemas/{name}" in used or name in queries, name


def test_operations_have_unique_ids_a_summary_and_known_tags(document: Json) -> None:
    operations = [operation for _, _, operation in described(document)]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    tags = [tag["name"] for tag in document["tags"]]
    assert len(set(tags)) == len(tags)
    for operation in operations:
        assert operation["summary"]
        assert set(operation["tags"]) <= set(tags)


def test_parameters_are_declared_once_and_match_the_path(document: Json) -> None:
    for method, path, operation in described(document):
        where = [(each["in"], each["name"]) for each in operation["parameters"]]
        assert len(set(where)) == len(where), (method, path)
        in_path = {name for place, name in where if place == "path"}
        assert in_path == set(re.findall(r"\{([^}]+)\}", path))
        for parameter in operation["parameters"]:
            assert parameter["in"] in {"path", "query", "header"}
            assert isinstance(parameter["schema"], dict)
            assert parameter["required"] or parameter["in"] != "path"


def test_every_parameter_is_described_where_viewers_show_it(document: Json) -> None:
    for method, path, operation in described(document):
        for parameter in operation["parameters"]:
            assert parameter["description"].endswith("."), (method, path, parameter["name"])
            assert {"type": "null"} not in parameter["schema"].get("anyOf", ())


def test_the_errors_of_an_operation_are_listed_with_their_codes(document: Json) -> None:
    responses = document["paths"]["/v1/sessions/{session_id}/messages"]["post"]["responses"]
    codes = {
        status: re.findall(r"`(\w+)`:", each["description"]) for status, each in responses.items()
    }
    assert codes["403"] == ["forbidden", "quota_exceeded"]
    assert codes["404"] == ["not_found"]
    assert codes["409"] == ["already_exists", "conflict", "idempotency_mismatch"]
    assert codes["410"] == ["gone"]
    assert codes["422"] == ["invalid_field"]
    put = document["paths"]["/v1/users/{user_id}"]["put"]["responses"]
    assert "`revision_mismatch`" in put["412"]["description"]
    assert "412" not in responses
    for kind, statuses in (
        ("users", {"409", "410"}),
        ("sessions", {"404", "409", "410"}),
        ("collections", {"409"}),
        ("documents", {"404"}),
    ):
        of_import = document["paths"][f"/v1/import/{kind}"]["put"]["responses"]
        assert {"200", *statuses} <= of_import.keys()
        assert "201" not in of_import


def test_the_document_says_how_to_send_a_key(document: Json) -> None:
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert document["security"] == [{}, {"key": []}]


def test_paths_differ_in_more_than_the_names_of_their_parameters(document: Json) -> None:
    shapes = [re.sub(r"\{[^}]+\}", "{}", path) for path in document["paths"]]
    assert len(set(shapes)) == len(shapes)
    assert all(path.startswith("/v1/") for path in document["paths"])


def test_every_success_and_problem_response_is_described(document: Json) -> None:
    for method, path, operation in described(document):
        responses = operation["responses"]
        assert any(re.fullmatch(r"2\d\d", status) for status in responses), (method, path)
        for status, response in responses.items():
            assert re.fullmatch(r"[1-5]\d\d|default", status)
            assert response["description"]
            (media,) = response["content"]
            is_problem = status == "default" or status >= "400"
            assert media == ("application/problem+json" if is_problem else "application/json")
        problem = responses["default"]["content"]["application/problem+json"]["schema"]
        assert problem == {"$ref": "#/components/schemas/Problem"}


def test_request_bodies_are_described(document: Json) -> None:
    has_body = {each.name for each in OPERATIONS if each.body}
    for _, _, operation in described(document):
        body = operation.get("requestBody")
        assert (body is not None) == (operation["operationId"] in has_body)
        if body:
            assert body["required"] is True
            assert list(body["content"]) == ["application/json"]


def test_schemas_use_only_known_keywords_of_json_schema(document: Json) -> None:
    for schema in schemas_in(document):
        assert schema.keys() <= KEYWORDS, schema.keys() - KEYWORDS
        assert schema.get("type", "object") in TYPES
        assert set(schema.get("required", ())) <= set(schema.get("properties", ())), schema
        if "default" in schema:
            assert list(faults(schema["default"], schema, document)) == []


def test_every_list_has_limit_cursor_and_order(document: Json) -> None:
    for operation in OPERATIONS:
        if not operation.name.endswith(".list"):
            continue
        described_ = document["paths"][operation.path]["get"]
        names = {each["name"] for each in described_["parameters"] if each["in"] == "query"}
        assert {"limit", "cursor", "order"} <= names


PROBLEMS = [
    ("GET", "/v1/users/nobody-at-all", None, None),
    ("POST", "/v1/users", {"user_id": ""}, None),
    ("POST", "/v1/users", {"user_id": "a", "x": 1}, None),
    ("POST", "/v1/users", b"{", None),
    ("GET", "/v1/users?limit=0", None, None),
    ("GET", "/v1/users?cursor=x", None, None),
    ("PATCH", "/v1/users/a", {}, {"If-Match": "x"}),
    ("DELETE", "/v1/users", None, None),
    ("GET", "/v1/nothing", None, None),
    ("GET", "/v1/users", None, {"Origin": "http://evil.example"}),
    ("POST", "/v1/users", b" " * (5 * 1024 * 1024 + 1), None),
]


@pytest.mark.parametrize(("method", "target", "body", "headers"), PROBLEMS)
def test_problems_match_their_schema(
    client: InProcessClient, document: Json, method: str, target: str, body: Json, headers: Json
) -> None:
    response = client.send(method, target, body, headers=headers)
    assert response.status >= 400
    assert response.headers["content-type"] == "application/problem+json"
    schema = document["components"]["schemas"]["Problem"]
    assert list(faults(response.json, schema, document)) == []
    assert response.json["status"] == response.status


class Calls:
    """A successful call of each operation, in an order in which all succeed."""

    def __init__(self, client: InProcessClient, name: str) -> None:
        self._client = client
        self._ids = {"user_id": f"{name} u/é", "session_id": f"{name} s%2F"}
        self._ids |= {"name": "papers", "document_id": "a/é"}
        self.responses: dict[str, Response] = {}

    def __call__(self, name: str, body: Json = None, query: str = "", **ids: str) -> Response:
        operation = next(each for each in OPERATIONS if each.name == name)
        values = self._ids | ids
        path = operation.path.format(
            **{key: quote(value, safe="") for key, value in values.items()}
        )
        key = {"Authorization": f"Bearer {API_KEY}"}
        response = self._client.send(operation.method, path + query, body, headers=key)
        assert response.status < 300, (name, response.status, response.text)
        self.responses[name] = response
        return response

    def make_all(self) -> None:
        """Call every operation."""
        user_id, session_id = self._ids["user_id"], self._ids["session_id"]
        metadata = {"plan": {"name": "free"}, "n": None, "list": [1, 2.5, True]}
        self("users.put", {"email": "a@b.co"})
        self("users.add", {"user_id": f"{user_id} 2", "metadata": metadata})
        self("users.add", {"user_id": f"{user_id} 3", "first_name": "J", "last_name": "S"})
        self("users.list", query="?limit=1")
        self("users.list", query="?metadata.plan.name=free&order=-created")
        self("users.get")
        self("users.update", {"metadata": metadata})
        self("sessions.add", {"session_id": session_id, "user_id": user_id})
        self("sessions.add", {})
        self("sessions.list")
        self("sessions.list", query="?owned=false&order=-active")
        self("sessions.get")
        self("sessions.update", {"metadata": metadata})
        self("users.sessions")
        self("users.token", query="?scope=read")
        message = {"role": "user", "name": "Jane", "content": "Hi", "metadata": metadata}
        given = {"created_at": "2020-01-01T00:00:00+01:00", "token_count": 3}
        call = {"role": "ai", "content": None, "data": {"tool_calls": [1]}} | given
        appended = self("messages.append", {"messages": [message, call]})
        id_ = appended.json["messages"][0]["id"]
        self("messages.list")
        self("messages.list", query="?after_seq=0&before_seq=9&role=user&order=-created")
        self("messages.list", query="?created_after=2019-01-01T00:00:00Z")
        self("messages.get", id=id_)
        self("messages.update", {"content": "Ho", "name": None}, id=id_)
        self("messages.search", {"query": "ho", "session_id": session_id})
        self("messages.search", {"user_id": user_id, "limit": 5, "include": ["session"]})
        self("messages.search", {"query": "ho in May 2020", "user_id": user_id, "explain": True})
        self("messages.search", {"query": '"Ho" h* -hi', "syntax": "web", "context": False})
        self("memory.get", query="?last=5")
        self("messages.search", {"query": "Hi", "user_id": user_id, "explain": True})
        self("messages.delete", id=id_)
        self("messages.delete_after", query="?after_seq=0")
        self("imports.user", {"user_id": f"{user_id} 4", "revision": 2, "metadata": metadata})
        imported = {"seq": 4, "id": "a", "role": "user", "content": "Hi", "metadata": metadata}
        both = {"session_id": f"{session_id} 4", "messages": [imported]}
        self("imports.session", both | {"user_id": user_id, "updated_at": "2020-01-01T00:00:00Z"})
        other = imported | {"revision": 2, "edited_at": "2020-01-01T00:00:00Z"}
        self("imports.session", both | {"user_id": user_id, "messages": [other]})
        self("sessions.end")
        self("sessions.reopen")
        self("sessions.delete")
        erasure = self("users.delete").json["id"]
        self._call_those_of_documents()
        self("erasures.list")
        self("erasures.get", id=erasure)
        self("erasures.purge", id=erasure)
        verified = self("erasures.verify", {"search_terms": ["Jane Doe of Oslo"]}, id=erasure)
        self("verifications.get", id=verified.json["id"])
        key = self("keys.add", {"name": "app", "expires_at": "2100-01-01T00:00:00Z"}).json["id"]
        self("keys.rotate", query="?overlap_hours=1", id=key)
        self("keys.list", query="?project=default")
        self("keys.get", id=key)
        self("keys.revoke", id=key)
        self("projects.add", {"name": "described", "max_messages_per_user": 1000})
        self("projects.list")
        self("projects.get", project="default")
        self("projects.update", {"max_messages_per_user": None}, project="described")
        self("projects.delete", query="?purge=now", project="described")

    def _call_those_of_documents(self) -> None:
        embedding = [0.5, 1] * 4
        self("collections.add", {"name": "papers", "dimensions": 8, "metadata": {"n": 1}})
        self("collections.list", query="?limit=1")
        self("collections.get")
        self("collections.update", {"description": "what I read"})
        new = {"document_id": "a/é", "content": "Hi", "embedding": embedding}
        added = self("documents.add", {"documents": [new, {"embedding": embedding}]})
        self("documents.list", query="?limit=1")
        self("documents.list", query="?include=embedding&order=-created")
        self("documents.get", query="?include=embedding")
        self("documents.update", {"metadata": {"n": 1}})
        self("documents.search", {"limit": 1})
        wanted = {"embedding": embedding, "mmr_lambda": 0.5, "min_score": 0.1}
        self("documents.search", wanted | {"include": ["embedding"], "omit": ["content"]})
        known = {"revision": 2, "created_at": "2020-01-01T00:00:00Z", "metadata": {"n": 1}}
        self("imports.collection", {"name": "papers", "dimensions": 8} | known)
        imported = new | known | {"document_id": "imported"}
        of_import = {"name": "papers", "documents": [imported, new | {"content": "Ho"}]}
        self("imports.documents", of_import)
        self("documents.delete")
        given = [added.json["documents"][1]["document_id"], "absent"]
        self("documents.delete_many", {"document_ids": given})
        self("collections.delete")


@pytest.fixture(scope="module", params=HTTP_ENGINES, ids=engine_id)
def responses(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Response]:
    """A successful response of every operation, from a server with a key."""
    settings = fresh_settings(request.param, tmp_path_factory.mktemp("described"))
    with serve_in_process(replace(settings, api_key=API_KEY)) as client:
        calls = Calls(client, "described")
        calls.make_all()
    return calls.responses


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_responses_match_their_schema(
    document: Json, responses: dict[str, Response], operation: APIOperation
) -> None:
    response = responses[operation.name]
    described = document["paths"][operation.path][operation.method.lower()]["responses"]
    schema = described[str(response.status)]["content"][response.headers["content-type"]]["schema"]
    assert list(faults(response.json, schema, document)) == []


def test_filters_in_bodies_and_queries_are_described(document: Json) -> None:
    class Asked(msgspec.Struct):
        filter: Filter | None = None

    template = "#/components/schemas/{name}"
    _, schemas = msgspec.json.schema_components([Asked], ref_template=template)
    condition = {"field": "metadata.a", "op": "in", "value": [1]}
    tree = {"and": [{"not": condition}, {"field": "metadata.b", "any": condition}]}
    assert list(faults({"filter": tree}, schemas["Asked"], document)) == []
    assert list(faults({"filter": {"and": [{"op": "like"}]}}, schemas["Asked"], document))
    [parameter] = (
        each
        for each in document["paths"]["/v1/users"]["get"]["parameters"]
        if each["name"] == "filter"
    )
    assert list(faults(json.dumps(tree), parameter["schema"], document)) == []
    assert list(faults('{"or": 5}', parameter["schema"], document))
