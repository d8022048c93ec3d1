"""Errors if a server does not respond, or responds as no Userkeep server does."""

import asyncio
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from devtools.ports import free_port
from tests.serving import serving
from userkeep import Userkeep
from userkeep.zep import (
    APIError,
    AuthError,
    NotFoundError,
    ZepClient,
    ZepClientError,
    zep_client,
)

VERSION = "0.27.2-abc"


@contextmanager
def responding(status=200, body="", version=VERSION, pause=None, seen=None):
    """Run a healthy server that sends one response to all other requests, after a pause."""

    class Handler(BaseHTTPRequestHandler):
        def respond(self):
            is_health = self.path == "/healthz"
            if seen is not None:
                seen.append(self.headers["Authorization"])
            if pause and not is_health:
                pause.wait(5)
            content = b"." if is_health else body.encode()
            self.send_response(200 if is_health else status)
            if version:
                self.send_header("X-Zep-Version", version)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(BrokenPipeError):  # the client has timed out
                self.wfile.write(content)

        def log_message(self, *_):
            pass

    for method in ("GET", "POST", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.respond)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            if pause:
                pause.set()
            server.shutdown()
            thread.join()


def both_forms(url, name, *arguments, api_key=None):
    """Return a sync call and the same async call, as functions."""
    group, method = name.split(".")

    def call():
        with ZepClient(url, api_key) as client:
            getattr(getattr(client, group), method)(*arguments)

    async def acall():
        async with ZepClient(url, api_key) as client:
            await getattr(getattr(client, group), "a" + method)(*arguments)

    return call, lambda: asyncio.run(acall())


@pytest.mark.parametrize(
    ("status", "kind"), [(404, NotFoundError), (401, AuthError), (400, APIError), (503, APIError)]
)
def test_error_statuses_raise_their_class(status, kind):
    with responding(status, "no\n") as url:
        for call in both_forms(url, "user.get", "jane"):
            with pytest.raises(ZepClientError) as caught:
                call()
            assert type(caught.value) is kind
            if kind is not NotFoundError:
                assert caught.value.response_data == {"status_code": status, "message": "no\n"}


@pytest.mark.parametrize(
    "body", ["", "OK", "null", "[]", '{"user_id": 7.5, "uuid": "x"}', "\udcff"]
)
def test_an_unreadable_response_raises_api_error(body):
    with responding(200, body.encode("utf-8", "replace").decode()) as url:
        for name in ("user.get", "memory.get_session", "memory.get_memory"):
            for call in both_forms(url, name, "jane"):
                with pytest.raises(APIError, match="not from a Userkeep or Zep server"):
                    call()


def test_redirects_are_not_followed():
    with responding(307) as url:
        for call in both_forms(url, "user.get", "jane"):
            with pytest.raises(APIError, match="307"):
                call()


def test_no_server_raises_api_error_without_response_data():
    with pytest.raises(APIError, match="Cannot connect to") as caught:
        ZepClient(f"http://127.0.0.1:{free_port()}")
    assert caught.value.response_data is None


def test_another_server_is_rejected(url):
    with pytest.raises(APIError, match="not a Userkeep or Zep server") as caught:
        ZepClient(f"{url}/elsewhere")
    assert caught.value.response_data is not None
    assert caught.value.response_data["status_code"] == 404


@pytest.mark.parametrize("address", ["localhost:8000", "", "ftp://localhost", "http://[::1"])
def test_an_invalid_url_is_rejected(address):
    with pytest.raises(ValueError, match="not the URL of a server"):
        ZepClient(address)


@pytest.mark.parametrize("version", ["0.20.9-abc", "0.27.2", "", "x-y"])
def test_an_old_server_version_warns(version):
    with (
        responding(version=version) as url,
        pytest.warns(UserWarning, match=r"older than Zep 0\.21"),
    ):
        ZepClient(url).close()


@pytest.mark.parametrize("version", ["0.21.0-", "0.27.2-userkeep", "1.0.0-beta", "dev-n/a (n/a)"])
def test_a_new_server_version_does_not_warn(version):
    with responding(version=version) as url:
        ZepClient(url).close()


def test_a_stopped_server_raises_connection_error(tmp_path):
    with serving(tmp_path, database_url="sqlite:///:memory:") as server:
        clients = ZepClient(server.url), ZepClient(server.url)
    with clients[0] as client, pytest.raises(ConnectionError, match="Cannot connect to"):
        client.memory.get_memory("s")

    async def awaited():
        async with clients[1] as client:
            await client.memory.aget_memory("s")

    with pytest.raises(ConnectionError, match="Cannot connect to"):
        asyncio.run(awaited())


def test_a_server_that_does_not_respond_raises_timeout_error(monkeypatch):
    monkeypatch.setattr(zep_client, "API_TIMEOUT", 0.1)
    with responding(pause=threading.Event()) as url:
        for call in both_forms(url, "user.get", "jane"):
            with pytest.raises(TimeoutError, match="did not respond"):
                call()


@pytest.mark.parametrize(
    ("arguments", "sent"), [((), None), (("any",), "Bearer any"), (("",), None)]
)
def test_the_api_key_is_sent_with_every_request(arguments, sent):
    seen: list[str | None] = []
    with responding(200, "[]", seen=seen) as url, ZepClient(url, *arguments) as client:
        client.user.list()
    assert seen == [sent, sent]


def test_a_server_with_keys_admits_a_client_with_one(tmp_path):
    key = "the-key-of-an-operator"
    settings = {"USERKEEP_API_KEY": key}
    with serving(tmp_path, database_url="sqlite:///:memory:", settings=settings) as server:
        with Userkeep(server.url, api_key=key) as client:
            reader = client.key.add(scope="read").key
        for call in both_forms(server.url, "user.list", api_key=reader):
            call()
        for call in both_forms(server.url, "user.list"):
            with pytest.raises(AuthError, match="needs an API key"):
                call()
        for call in both_forms(server.url, "user.list", api_key=f"{key}-2"):
            with pytest.raises(AuthError, match="unknown, revoked or expired"):
                call()
        for call in both_forms(server.url, "user.delete", "jane", api_key=reader):
            with pytest.raises(APIError, match="the scope write; yours has read") as raised:
                call()
            assert (raised.value.response_data or {})["status_code"] == 403


def test_an_invalid_api_key_is_rejected(url):
    with pytest.raises(ValueError, match="api_key"):
        ZepClient(url, "key\n")


def test_a_forked_process_opens_its_own_connections(url):
    program = """
import os
client.user.list(limit=1)
if not os.fork():
    client.user.list(limit=1)
    os._exit(7)
print(os.waitstatus_to_exitcode(os.wait()[1]), len(client.user.list(limit=1)) <= 1)
"""
    assert output_of(program, url) == "7 True\n"


def test_one_client_works_in_several_event_loops(url):
    program = """
import asyncio
client.user.list(limit=1)
for _ in range(2):
    print(len(asyncio.run(client.user.alist(limit=1))) <= 1)
"""
    assert output_of(program, url) == "True\nTrue\n"


def output_of(program, url):
    """Return what a program with a client prints."""
    head = "import sys; from userkeep.zep import ZepClient; client = ZepClient(sys.argv[1])"
    ran = subprocess.run(
        [sys.executable, "-c", head + program, url], capture_output=True, text=True, check=False
    )
    assert ran.stderr == ""
    return ran.stdout
