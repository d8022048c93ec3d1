"""`userkeep.zep` has the public classes, methods and parameters of zep-python 1.5.0."""

import importlib
import inspect
import json
import subprocess
import sys

import pytest

CLIENTS = {
    "zep_client": ["ZepClient"],
    "user.client": ["UserClient"],
    "memory.client": ["MemoryClient"],
    "message.client": ["MessageClient"],
    "document.client": ["DocumentClient"],
}
MODULES = {
    "": ["ZepClient", "Memory", "Message", "Session", "APIError", "NotFoundError"],
    "user": ["User", "CreateUserRequest", "UpdateUserRequest"],
    "user.models": ["User", "CreateUserRequest", "UpdateUserRequest"],
    "memory": ["Memory", "Message", "Session", "Summary", "MemorySearchPayload"],
    "memory.models": ["MemorySearchPayload", "MemorySearchResult", "SearchScope", "Session"],
    "message": ["Message"],
    "document": ["Document", "DocumentCollection"],
    "document.models": ["Document", "DocumentCollectionModel"],
    "message.models": ["Message", "UpdateMessageMetadataRequest"],
    "exceptions": ["ZepClientError", "APIError", "AuthError", "NotFoundError"],
}

PROGRAM = """
import importlib, inspect, json, sys

def parameters(function):
    return [
        [each.name, each.kind.name, repr(each.default)]
        for each in inspect.signature(function).parameters.values()
    ]

found = {}
for module, names in json.loads(sys.argv[2]).items():
    for name in names:
        kind = getattr(importlib.import_module(f"{sys.argv[1]}.{module}"), name)
        for method, function in inspect.getmembers(kind, inspect.isfunction):
            if not method.startswith("_"):
                found[f"{module}.{name}.{method}"] = {
                    "parameters": parameters(function),
                    "form": [inspect.iscoroutinefunction(function)],
                }
print(json.dumps(found))
"""


def methods_of(python, package):
    ran = subprocess.run(
        [python, "-W", "ignore", "-c", PROGRAM, package, json.dumps(CLIENTS)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ran.stdout)


def test_every_method_has_the_same_parameters(old_python):
    theirs = methods_of(old_python, "zep_python")
    ours = methods_of(sys.executable, "userkeep.zep")
    assert len(theirs) >= 50
    for name, method in theirs.items():
        count = len(method["parameters"])
        assert ours[name]["parameters"][:count] == method["parameters"], name
        more = ours[name]["parameters"][count:]
        assert all(kind == "KEYWORD_ONLY" for _, kind, _ in more), name
        assert ours[name]["form"] == method["form"], name


def test_the_client_has_the_same_parameters():
    zep = importlib.import_module("userkeep.zep")
    assert list(inspect.signature(zep.ZepClient).parameters) == ["base_url", "api_key"]


@pytest.mark.parametrize("module", MODULES)
def test_names_can_be_imported_from_the_same_modules(module):
    place = importlib.import_module(f"userkeep.zep.{module}".rstrip("."))
    for name in MODULES[module]:
        assert inspect.isclass(getattr(place, name))


def test_importing_loads_no_driver_and_no_server():
    program = """
import sys
import userkeep
assert not {"httpx2", "userkeep.zep"} & set(sys.modules)
import userkeep.zep
print(sorted({"apsw", "psycopg", "starlette", "uvicorn", "pydantic", "rich"} & set(sys.modules)))
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.stderr) == ("[]\n", "")
