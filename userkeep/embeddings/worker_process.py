"""The other end of `worker`: its process, seen from the server."""

import logging
import os
import subprocess
import sys
import time
from concurrent.futures import Future
from contextlib import suppress
from itertools import count
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, BinaryIO, cast

import msgspec

from userkeep.embeddings.failures import ModelFailed
from userkeep.embeddings.frames import Request, Response, read_frame, write_frame
from userkeep.embeddings.model_folder import ModelFolder

logger = logging.getLogger(__name__)

_END_S = 5.0
_PAUSE_OF_LOADING_S = 300.0

_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "RAYON_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


class WorkerProcess:
    """A process that runs a model. Its methods may be called in any thread, and none waits for it.

    Two threads of its own read and write its pipes: a process that hangs blocks no caller.
    """

    def __init__(self, folder: ModelFolder, threads: int) -> None:
        self._folder = folder
        self._began = time.monotonic()
        # In a session of its own, so that the signals of a terminal do not reach it.
        self._process = subprocess.Popen(  # noqa: S603 - words of ours, and no shell
            [
                sys.executable,
                "-m",
                "userkeep.embeddings.worker",
                msgspec.json.encode(folder).decode(),
                str(threads),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **_OFFLINE},
            start_new_session=True,
        )
        self._numbers = count(1)
        self._lock = Lock()
        self._waiting: dict[int, Future[bytes]] = {}
        self._ended: ModelFailed | None = None
        self._requests: SimpleQueue[Request | None] = SimpleQueue()
        self._threads = [
            Thread(target=self._write, name="userkeep-embeddings-write", daemon=True),
            Thread(target=self._read, name="userkeep-embeddings-read", daemon=True),
        ]
        for each in self._threads:
            each.start()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def ended(self) -> ModelFailed | None:
        """Why it has ended; None while it runs."""
        return self._ended

    def submit(self, texts: list[str], timeout_s: float, *, is_query: bool) -> Future[bytes]:
        """Request embeddings; the future has them as bytes, or a ModelFailed.

        Args:
            timeout_s: after which they are not made, if they have not been begun.
        """
        future: Future[bytes] = Future()
        number = next(self._numbers)
        with self._lock:
            if self._ended is not None:
                future.set_exception(self._ended)
                return future
            self._waiting[number] = future
        self._requests.put(Request(number, is_query, timeout_s, texts))
        return future

    def kill(self, reason: ModelFailed) -> None:
        """End it immediately; whatever waits for it fails with a reason."""
        self._fail_all(reason)
        self._process.kill()

    def close(self) -> None:
        """End it, and wait until it has ended; whatever waits for it fails."""
        self._fail_all(ModelFailed("The embedding model is closed.", "closed"))
        self._requests.put(None)
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for each in self._threads:
            each.join()

    def _write(self) -> None:
        file = cast("BinaryIO", self._process.stdin)
        with suppress(OSError):
            while request := self._requests.get():
                write_frame(file, request)
        with suppress(OSError):
            file.close()

    def _read(self) -> None:
        file = cast("BinaryIO", self._process.stdout)
        with file, suppress(ValueError, msgspec.DecodeError):
            while response := read_frame(file, Response):
                self._take(response)
        self._requests.put(None)
        self._process.kill()  # it has closed its pipe, or writes what cannot be read
        code = self._process.wait()
        self._fail_all(ModelFailed(f"The embedding model's process ended ({code}).", "crash"))

    def _take(self, response: Response) -> None:
        if response.number == 0:
            self._take_loaded(response.problem)
            return
        with self._lock:
            future = self._waiting.pop(response.number, None)
        if future is None:
            return
        if response.problem:
            sentence = f"The embedding model failed with {response.problem}."
            future.set_exception(ModelFailed(sentence, "model"))
        else:
            future.set_result(response.vectors)

    def _take_loaded(self, problem: str) -> None:
        if problem:
            sentence = f"The embedding model in {self._folder.path} cannot be loaded: {problem}."
            self._fail_all(ModelFailed(sentence, "settings", _PAUSE_OF_LOADING_S))
            return
        logger.info(
            "loaded the embedding model in %s in %.1f s (process %d)",
            self._folder.path,
            time.monotonic() - self._began,
            self.pid,
        )

    def _fail_all(self, reason: ModelFailed) -> None:
        with self._lock:
            self._ended = self._ended or reason
            waiting: dict[int, Future[Any]] = self._waiting
            self._waiting = {}
        for future in waiting.values():
            future.set_exception(reason)
