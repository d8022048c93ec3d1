"""A receiver of OpenTelemetry traces (OTLP over HTTP)."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_RECEIVE_S = 60


class Receiver:
    """Keeps the spans that it is sent."""

    def __init__(self) -> None:
        self.url = ""
        self.resource: dict[str, Any] = {}
        self._spans: list[Any] = []

    def add(self, body: bytes) -> None:
        """Add what a client has sent."""
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resource = attributes(of_resource.resource)
            for of_scope in of_resource.scope_spans:
                self._spans += of_scope.spans

    def spans(self, *names: str) -> list[Any]:
        """Return the first spans with these names, in this order; wait until they are there."""
        ends = time.monotonic() + _RECEIVE_S
        while time.monotonic() < ends:
            by_name = {span.name: span for span in reversed(self._spans)}
            if by_name.keys() >= {*names}:
                return [by_name[name] for name in names]
            time.sleep(0.01)
        raise AssertionError(f"of {names}, only these have arrived: {self.names()}")

    def names(self) -> list[str]:
        """Return the names of all spans so far."""
        return [span.name for span in self._spans]

    def text(self) -> str:
        """Return all that has arrived."""
        return str(self._spans)


def attributes(of: Any) -> dict[str, Any]:
    """Return the attributes of a span or a resource."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in of.attributes}


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver on a free port."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.add(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
