"""The configurations of nginx and Caddy: real requests through each to a served Userkeep.

Ports, certificate and folders are replaced by those of the test; everything else is as in the file.
"""

import http.client
import json
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from devtools.ports import free_port
from tests.deploy.files import CADDYFILE, NGINX
from tests.deploy.programs import find
from tests.serving import Server

NAME = "userkeep.example.com"
KEY = "0123456789abcdef" * 2
SETTINGS = {
    "USERKEEP_API_KEY": KEY,
    "USERKEEP_ALLOWED_HOST": NAME,
    "USERKEEP_FORWARDED_ALLOW_IPS": "127.0.0.1",
}
ODD_ID = "jane/doe//x y?é%2F&#;"
MIB = 1024 * 1024


class Certificate(NamedTuple):
    """A certificate for the name of the proxy, and its key."""

    certificate: Path
    key: Path


class Response(NamedTuple):
    """A response, with its body as JSON or else as text."""

    status: int
    headers: http.client.HTTPMessage
    body: Any


class Proxy:
    """A running proxy with TLS in front of a port."""

    def __init__(self, folder: Path, port: int, authority: Path, process: Any) -> None:
        self.folder = folder
        self.port = port
        self.process = process
        self._context = ssl.create_default_context(cafile=str(authority))

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        key: str | None = KEY,
        **headers: str,
    ) -> Response:
        """Send a request by TLS."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if key:
            named["Authorization"] = f"Bearer {key}"
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection = http.client.HTTPConnection(NAME, self.port)
        with closing(self._context.wrap_socket(plain, server_hostname=NAME)) as secure:
            connection.sock = secure
            connection.request(method, path, body, {"Content-Type": "application/json", **named})
            response = connection.getresponse()
            text = response.read().decode()
        is_json = "json" in (response.headers["Content-Type"] or "")
        return Response(response.status, response.headers, json.loads(text) if is_json else text)

    def written(self) -> str:
        """Stop the proxy; return everything that it has written to files."""
        self.process.terminate()
        self.process.wait(10)
        files = [each for each in self.folder.rglob("*") if each.is_file()]
        return "\n".join(each.read_text(errors="replace") for each in files)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Make a certificate."""
    folder = tmp_path_factory.mktemp("certificate")
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    files = ["-out", str(made.certificate), "-keyout", str(made.key)]
    subprocess.run(
        [find("openssl"), "req", *options, *names, *files], capture_output=True, check=True
    )
    return made


def write_nginx(folder: Path, port: int, upstream: int, certificate: Certificate) -> list[str]:
    """Write the configuration of nginx; return the command that runs it."""
    text = NGINX.read_text().replace("127.0.0.1:8000", f"127.0.0.1:{upstream}")
    text = re.sub(r"listen \[::\]:\d+.*;", "", text)
    text = text.replace("listen 443", f"listen 127.0.0.1:{port}")
    text = text.replace("listen 80", f"listen 127.0.0.1:{free_port()}")
    text = re.sub(r"/etc/letsencrypt/\S*fullchain.pem", str(certificate.certificate), text)
    text = re.sub(r"/etc/letsencrypt/\S*privkey.pem", str(certificate.key), text)
    (folder / "userkeep.conf").write_text(text.replace("/var/log/nginx", str(folder)))
    (folder / "nginx.conf").write_text(
        f"""
daemon off;
user root;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    include {folder}/userkeep.conf;
}}
"""
    )
    command = [str(find("nginx")), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    command += ["-e", str(folder / "error.log")]
    subprocess.run([*command, "-t"], capture_output=True, check=True)
    return command


def write_caddy(folder: Path, port: int, upstream: int, certificate: Certificate) -> list[str]:
    """Write the configuration of Caddy; return the command that runs it."""
    text = CADDYFILE.read_text().replace("127.0.0.1:8000", f"127.0.0.1:{upstream}")
    site = f"https://{NAME}:{port} {{\n\ttls {certificate.certificate} {certificate.key}\n"
    text = text.replace(f"{NAME} {{\n", site)
    options = "{\n\tadmin off\n\tauto_https disable_redirects\n"
    text = text.replace("{\n", options, 1)
    (folder / "Caddyfile").write_text(text)
    return [str(find("caddy")), "run", "--config", str(folder / "Caddyfile")]


WRITE = {"nginx": write_nginx, "caddy": write_caddy}


@contextmanager
def proxied(program: str, folder: Path, upstream: int, certificate: Certificate) -> Iterator[Proxy]:
    """Run a proxy in front of a port."""
    port = free_port()
    command = WRITE[program](folder, port, upstream, certificate)
    environment = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "PATH": "/usr/bin:/bin"}
    with (
        (folder / "output").open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, env=environment) as process,
    ):
        try:
            ends = time.monotonic() + 60
            while time.monotonic() < ends and not listens(port):
                assert process.poll() is None, (folder / "output").read_text()
                time.sleep(0.02)
            yield Proxy(folder, port, certificate.certificate, process)
        finally:
            process.terminate()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a key behind a proxy on the same machine."""
    running = Server(tmp_path_factory.mktemp("server"), settings=SETTINGS).wait_until_ready()
    yield running
    assert running.stop() == 0


@pytest.fixture(params=list(WRITE))
def program(request: pytest.FixtureRequest) -> str:
    """A proxy that is installed."""
    find(request.param)
    return str(request.param)


@pytest.fixture
def proxy(
    program: str, server: Server, certificate: Certificate, tmp_path: Path
) -> Iterator[Proxy]:
    """The proxy in front of the server."""
    with proxied(program, tmp_path, server.port, certificate) as running:
        yield running


def test_the_file_itself_is_valid_for_caddy() -> None:
    options = ("--adapter", "caddyfile", "--config", str(CADDYFILE))
    command = [str(find("caddy")), "validate", *options]
    subprocess.run(command, capture_output=True, check=True)


def test_requests_pass_and_nothing_personal_is_written(proxy: Proxy) -> None:
    """Ids that need escapes, keys, large bodies, origins, and what the proxy has written then."""
    check_ids_and_keys(proxy)
    check_large_bodies(proxy)
    check_origins(proxy)
    written = proxy.written()
    for personal in ("jane", "doe", "v1/users", "secret words", KEY):
        assert personal not in written.replace(NAME, "")


def check_ids_and_keys(proxy: Proxy) -> None:
    assert proxy.ask("GET", "/readyz", key=None).status == 200
    assert proxy.ask("GET", "/v1/users", key=None).status == 401
    body = json.dumps({"user_id": ODD_ID}).encode()
    assert proxy.ask("POST", "/v1/users", body).status in {201, 409}  # of the other proxy
    path = f"/v1/users/{quote(ODD_ID, safe='')}"
    found = proxy.ask("GET", path)
    assert (found.status, found.body["user_id"]) == (200, ODD_ID)
    slashes = quote("jane//doe/", safe="/")
    assert proxy.ask("GET", f"/v1/users/{slashes}").status == 404


def check_large_bodies(proxy: Proxy) -> None:
    path = f"/v1/sessions/{quote(ODD_ID, safe='')}/messages"
    words = "secret words " * 75_000
    messages = [{"role": "user", "content": words}] * 5
    body = json.dumps({"user_id": ODD_ID, "messages": messages}).encode()
    assert 4.6 * MIB < len(body) < 5 * MIB
    assert proxy.ask("POST", path, body).status == 201
    stored = proxy.ask("GET", f"{path}?limit=5").body["items"]
    assert [each["content"] for each in stored] == [words] * 5
    too_large = proxy.ask("POST", path, b"x" * int(5.5 * MIB))
    assert (too_large.status, too_large.body["code"]) == (413, "too_large")


def check_origins(proxy: Proxy) -> None:
    for scheme, status in (("https", 200), ("http", 403)):
        origin = f"{scheme}://{NAME}:{proxy.port}"
        assert proxy.ask("GET", "/v1/users", Origin=origin).status == status


class Echo(BaseHTTPRequestHandler):
    """Responds with the path and the headers as they arrive."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({"path": self.path, **dict(self.headers.items())}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def test_headers_of_a_client_are_replaced_and_the_path_is_not_changed(
    program: str, certificate: Certificate, tmp_path: Path
) -> None:
    path = "/v1/users/a%2Fb//..%2Fc%20%C3%A9?q=1%2F2"
    with HTTPServer(("127.0.0.1", 0), Echo) as echo:
        threading.Thread(target=echo.serve_forever, args=(0.02,), daemon=True).start()
        with proxied(program, tmp_path, echo.server_port, certificate) as proxy:
            forged = proxy.ask("GET", path, X_Forwarded_For="192.0.2.1", X_Forwarded_Proto="http")
            seen = forged.body
        echo.shutdown()
    assert seen["path"] == path
    assert seen["X-Forwarded-For"] == "127.0.0.1"
    assert seen["X-Forwarded-Proto"] == "https"
    assert seen["Host"] == f"{NAME}:{proxy.port}"
    assert seen["Authorization"] == f"Bearer {KEY}"
    if program == "nginx":
        assert re.fullmatch(r"[0-9a-f]{32}", seen["X-Request-Id"])
        assert seen["X-Request-Id"] in (tmp_path / "userkeep.log").read_text()


def test_a_server_that_does_not_run_is_502_and_logged_without_personal_data(
    program: str, certificate: Certificate, tmp_path: Path
) -> None:
    with proxied(program, tmp_path, free_port(), certificate) as proxy:
        assert proxy.ask("GET", "/v1/users/jane").status == 502
        written = proxy.written()
    assert "jane" not in written
    assert KEY not in written
