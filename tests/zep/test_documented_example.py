"""The example in the documentation of Zep, run as a program."""

import inspect
import os
import subprocess
import sys

import pytest

from tests.conftest import database_url
from tests.serving import serving
from userkeep.config import Settings
from userkeep.zep import ZepClient

EXAMPLE = """\
from userkeep.zep import ZepClient
from userkeep.zep.user import CreateUserRequest, UpdateUserRequest
client = ZepClient(api_key=API_KEY)                      # base_url defaults to the local server
user_request = CreateUserRequest(user_id=user_id, email="jane@example.com", first_name="Jane", last_name="Smith", metadata={"foo": "bar"})
new_user = client.user.add(user_request)
user = client.user.get("user123")
user_request = UpdateUserRequest(user_id=user_id, email="jane@example.com", first_name="Jane", last_name="Smith", metadata={"foo": "updated_bar"})
updated_user = client.user.update(user_request)
client.user.delete("user123")
sessions = client.user.get_sessions("user123")
users = client.user.list(limit=10, cursor=0)
for users in client.user.list_chunked(chunkSize=100):
    process(users)
"""  # noqa: E501 - as it is documented

# Port 8000 may be in use by a server with data, so the default URL is replaced.
BEFORE = """\
import os
from userkeep.zep import ZepClient
ZepClient.__init__.__defaults__ = (os.environ["SERVER"], None)
API_KEY, user_id, process = "any", "user123", print
ZepClient().user.add(__import__("userkeep.zep.user").zep.user.CreateUserRequest(user_id="john"))
"""

AFTER = """
print(new_user == user, user.metadata, updated_user.metadata, updated_user.uuid == user.uuid)
print(sessions, [each.user_id for each in users])
"""


@pytest.mark.parametrize("engine", ["sqlite file", "postgres"])
def test_the_documented_example_runs_unchanged(engine, tmp_path):
    with serving(tmp_path, database_url=database_url(engine, tmp_path)) as server:
        ran = subprocess.run(
            [sys.executable, "-c", BEFORE + EXAMPLE + AFTER],
            env=os.environ | {"SERVER": server.url},
            capture_output=True,
            text=True,
            check=False,
        )
    assert ran.stderr == ""
    processed, users, lists = ran.stdout.splitlines()
    assert processed.startswith("[User(uuid=UUID('")
    assert processed.count("user_id=") == processed.count("user_id='john'") == 1
    assert users == "True {'foo': 'bar'} {'foo': 'updated_bar'} True"
    assert lists == "[] ['john']"


def test_the_default_url_is_that_of_a_local_server():
    default = inspect.signature(ZepClient).parameters["base_url"].default
    settings = Settings()
    assert default == f"http://{settings.host}:{settings.port}"
