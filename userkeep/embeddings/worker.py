"""The process that runs an embedding model: `python -m userkeep.embeddings.worker`.

The server starts it with the model's folder as JSON. It reads requests from its standard input,
queries first, writes responses to its standard output, and ends when the input is closed: so it
ends with the server, even if the server is killed. It needs no network and opens no socket.
"""

import os
import signal
import sys
from contextlib import suppress
from itertools import count
from queue import PriorityQueue
from threading import Thread
from time import monotonic
from typing import Any, BinaryIO

import msgspec
import numpy as np
import onnxruntime
import tokenizers

from userkeep.embeddings.frames import Request, Response, read_frame, write_frame
from userkeep.embeddings.model_folder import ModelFolder

_NICENESS = 10
"""The server's threads come first."""

_TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
_ERRORS_ALONE = 3


class Model:
    """A loaded model.

    Args:
        threads: how many compute.

    Raises:
        ValueError: the model has inputs or outputs that are not those of a text encoder.
        Exception: a file cannot be loaded; each library has errors of its own.
    """

    def __init__(self, folder: ModelFolder, threads: int) -> None:
        self._folder = folder
        self._tokenizer = tokenizers.Tokenizer.from_file(folder.tokenizer_file)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(folder.most_tokens)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ALONE
        self._session = onnxruntime.InferenceSession(
            folder.model_file, options, providers=["CPUExecutionProvider"]
        )
        self._inputs = {each.name: _TYPES.get(each.type) for each in self._session.get_inputs()}
        unknown = sorted(name for name, kind in self._inputs.items() if kind is None)
        if unknown or not {"input_ids"} <= self._inputs.keys() <= _INPUTS:
            raise ValueError(f"the model has the inputs {', '.join(self._inputs)}")
        outputs = self._session.get_outputs()
        of_tokens = [each.name for each in outputs if len(each.shape) == 3]
        of_texts = [each.name for each in outputs if len(each.shape) == 2]
        if not (of_tokens or of_texts):
            raise ValueError("the model has no output with embeddings of tokens or texts")
        self._is_pooled = not of_tokens
        self._output = (of_tokens or of_texts)[0]
        # A model that fails here is wrong; one that fails later does so because of a text.
        if not np.isfinite(self.embed(["hello"])).all():
            raise ValueError("the model returns numbers that are not finite")

    def embed(self, texts: list[str]) -> Any:
        """Return the embeddings of texts, one in each row; not of unit length."""
        encoded = self._tokenizer.encode_batch(texts)
        # A text without tokens would have no mean.
        longest = max(1, *(len(each.ids) for each in encoded))
        shape = (len(texts), longest)
        ids = np.full(shape, self._folder.pad_token, np.int64)
        mask = np.zeros(shape, np.int64)
        for row, each in enumerate(encoded):
            ids[row, : len(each.ids)] = each.ids
            mask[row, : len(each.ids)] = 1
        known = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        given = {name: known[name].astype(kind) for name, kind in self._inputs.items()}
        [found] = self._session.run([self._output], given)
        if self._is_pooled:
            return np.asarray(found, np.float32)
        return self._pool(np.asarray(found, np.float32), mask)

    def _pool(self, of_tokens: Any, mask: Any) -> Any:
        if self._folder.pooling == "cls":
            return of_tokens[:, 0]
        weights = mask[:, :, np.newaxis].astype(np.float32)
        return (of_tokens * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)


class _Requests:
    """The requests that wait, in the order in which they are served."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._queue: PriorityQueue[tuple[int, int, float, Request]] = PriorityQueue()
        Thread(target=self._read, daemon=True).start()

    def take(self) -> tuple[float, Request]:
        """Return the next request, and until when its response is awaited."""
        return self._queue.get()[2:]

    def _read(self) -> None:
        numbers = count()
        try:
            while request := read_frame(self._file, Request):
                ends = monotonic() + request.timeout_s
                self._queue.put((0 if request.is_query else 1, next(numbers), ends, request))
        finally:
            os._exit(0)  # even while the model computes: it has nothing that could be lost


def _response_to(request: Request, model: Model) -> Response:
    try:
        return Response(request.number, model.embed(request.texts).tobytes())
    except Exception as error:
        return Response(request.number, problem=type(error).__name__)


def main() -> None:
    """Serve requests until the standard input is closed."""
    # What ends the server ends this process too, when the server has finished.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with suppress(OSError):
        os.nice(_NICENESS)
    folder = msgspec.json.decode(sys.argv[1], type=ModelFolder)
    requests = _Requests(sys.stdin.buffer)
    responses = sys.stdout.buffer
    with suppress(AttributeError):
        onnxruntime.disable_telemetry_events()
    try:
        model = Model(folder, int(sys.argv[2]))
    except Exception as error:
        # The message of a library names files and operators: no text has been read yet.
        problem = f"{type(error).__name__}: {str(error)[:300]}"
        write_frame(responses, Response(0, problem=problem))
        return
    write_frame(responses, Response(0))
    while True:
        ends, request = requests.take()
        late = Response(request.number, problem="late")
        write_frame(responses, late if monotonic() > ends else _response_to(request, model))


if __name__ == "__main__":
    try:
        main()
    except OSError:  # the server has ended
        os._exit(0)
