"""Embedded: calls that run in this process, without a server, with the same results.

Nothing runs in the background. A call that starts a job runs it to its end. What could not be
completed continues with the next call; what an earlier process left, when the database is opened.
"""

import asyncio
import logging
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from os import PathLike, fsdecode
from pathlib import Path
from typing import Any

import msgspec
from anyio import sleep, to_thread

from userkeep.api.operation import APIOperation
from userkeep.api.operations import OPERATIONS
from userkeep.api.parsing import body_decoder, read_body, read_query
from userkeep.config import SettingError, Settings, is_postgres, load_settings, sqlite_path
from userkeep.domain.embedding import EmbeddingFailed
from userkeep.domain.errors import Conflict, Unavailable, UserkeepError
from userkeep.domain.project import DEFAULT_NAME
from userkeep.domain.transaction import Operation
from userkeep.handlers.authorization import in_scope, narrow
from userkeep.handlers.calls import INLINE_BYTES, Call, ReplayedResponse, StartedJob
from userkeep.handlers.table import HANDLERS, prepare
from userkeep.instance import (
    Instance,
    in_project,
    open_instance,
    open_instance_read_only,
    with_quota,
)
from userkeep.jobs.document_embedding import DocumentEmbeddingJob
from userkeep.jobs.embed_now import embed_now
from userkeep.jobs.embedding import Embedded
from userkeep.jobs.job import NOT_RECORDED, Job
from userkeep.jobs.purge import purge_now
from userkeep.jobs.recovery import recover
from userkeep.jobs.steps import Runner
from userkeep.jobs.words import keep_user_words
from userkeep.sdk.boundary import mistake
from userkeep.sdk.calls import SDKCall, decode_response

logger = logging.getLogger(__name__)

_OF_SERVERS = {
    "api_key",
    "api_key_file",
    "zep_auth_secret",
    "rate_limit",
    "host",
    "port",
    "uds",
    "allowed_host",
    "cors_origin",
    "root_path",
    "forwarded_allow_ips",
    "insecure_no_auth",
    "log_format",
    "log_level",
}

_encode = msgspec.json.Encoder().encode
_DECODE_BODY = {
    operation.name: body_decoder(operation.body)
    for operation in OPERATIONS
    if operation.body is not None
}


class EmbeddedTransport:
    """Performs calls on an open instance; any thread may use it."""

    def __init__(self, opened: Instance, *, read_only: bool = False) -> None:
        self.opened = opened
        purge = partial(purge_now, opened.engine)
        self._runner = Runner(opened.engine, purge, opened.ledger.file, opened.embedder)
        self._unfinished: dict[str, Job] = {}
        self._is_closed = False
        self._may_make_words = not read_only

    def send(self, call: SDKCall) -> Any:
        """Perform a call and return its result."""
        self.check_is_open()
        self.continue_unfinished()
        operation, native = call.operation, self.prepared(call)
        perform = self.operation(operation, native)
        if operation.does == "read":
            if self.must_make_words(native):
                self._make_words()
            return _value(call, self.opened.engine.read(perform))
        return self.after_write(call, self.opened.engine.write(perform))

    def after_write(self, call: SDKCall, result: Any) -> Any:
        """Do what a write has made necessary, run the job it has started, and return its result.

        Raises:
            Unavailable: the deletion of documents is not in the deletion ledger.
        """
        self._after_write_of(call.operation)
        if isinstance(result, StartedJob):
            self._run(result.job)
            if not result.job.may_respond:
                raise Unavailable(NOT_RECORDED)
            result = result.resource(result.job)
        return _value(call, result)

    def _after_write_of(self, operation: APIOperation) -> None:
        """Read the quota again, or embed documents, if an operation may have made it necessary."""
        if operation.is_about_instance:
            self.opened = with_quota(self.opened)
        if self.must_embed(operation):
            self._embed_documents()

    def must_embed(self, operation: APIOperation) -> bool:
        """Return whether an operation may add what is to be embedded after it."""
        adds_text = operation.noun == "documents" and operation.does == "write"
        return adds_text and self.opened.embedder is not None

    def _embed_documents(self) -> None:
        """Embed the documents that wait. Those that cannot be now wait for the next call."""
        embedder = self.opened.embedder
        if embedder is None:
            return
        job = DocumentEmbeddingJob(self.opened.scope.rules, embedder)
        try:
            self._runner.run(job.steps())
        except EmbeddingFailed as error:
            logger.warning("documents wait for their embeddings: %s", error.detail)

    def operation(self, operation: APIOperation, native: Call) -> Operation[Any]:
        """Return what performs a call in a transaction, in its scope.

        Raises:
            InvalidField: naming the field.
        """
        return in_scope(operation, HANDLERS[operation.name], narrow(operation, native))

    def prepared(self, call: SDKCall) -> Call:
        """Parse a call as a server would, and compute what its handler needs.

        Raises:
            BadRequest, InvalidField, TooLarge: naming the field.
        """
        operation, rules = call.operation, self.opened.scope.rules
        native = Call(scope=self.opened.scope, ids=call.ids, if_revision=call.if_revision)
        if operation.query is not None:
            native.query = read_query(call.parameters, operation.query)
        if operation.body is not None:
            native.body = read_body(call.body or b"", _DECODE_BODY[operation.name])
        if call.idempotency_key is not None:
            native.idempotency_key = call.idempotency_key
            request = _encode((operation.name, call.ids, call.parameters)) + (call.body or b"")
            native.request_hash = rules.request_hash(request)
        return prepare(operation.name, rules, native)

    def must_make_words(self, native: Call) -> bool:
        """Return whether a call needs the words of users, which may have to be made before it.

        Raises:
            InvalidField: the words to find are invalid.
        """
        return self._may_make_words and native.needs_user_words

    def _make_words(self) -> None:
        """Make the words of all users. If that is not possible now, all users are compared."""
        with suppress(Unavailable):
            self._runner.run(keep_user_words(self.opened.scope.rules))
            self._may_make_words = False

    def _run(self, job: Job) -> None:
        """Run a job to its end.

        A deletion is accepted once it is marked, so no later error is raised: the caller sees its
        state, and it continues with the next call.
        """
        try:
            self._runner.run(job.steps())
        except UserkeepError:
            if job.ends_with_client:
                raise
            self._unfinished[job.key] = job

    @property
    def has_unfinished(self) -> bool:
        """Whether an accepted deletion could not be completed when it was called."""
        return bool(self._unfinished)

    def continue_unfinished(self) -> None:
        """Continue accepted deletions that could not be completed, if they can be now."""
        while self._unfinished:
            _key, job = self._unfinished.popitem()
            self._run(job)
            if job.key in self._unfinished:
                return  # what prevents it lasts

    def embed(self) -> int:
        """Embed the messages and documents without an embedding, and return how many they were.

        Raises:
            Conflict: there is no model, or another process embeds. Unavailable: the model fails.
        """
        self.check_is_open()
        self.continue_unfinished()
        engine, embedder = self.opened.engine, self.opened.embedder
        if embedder is None:
            raise Conflict(
                "No embedding model is configured. Open the database with `embeddings_url` or "
                "`embeddings_folder`."
            )
        done = embed_now(
            self._runner,
            self.opened.scope.rules,
            embedder,
            is_shared=engine.is_shared,
            progress=_check_has_no_problem,
        )
        return done.messages + done.documents

    def sleep(self, delay_s: float) -> None:
        """Wait in this thread."""
        time.sleep(delay_s)

    def recover(self) -> None:
        """Complete what an earlier process left, and delete what has expired."""
        is_shared = self.opened.engine.is_shared
        self._runner.run(recover(self.opened.scope.rules, is_shared=is_shared))

    def check_is_open(self) -> None:
        """Reject the use of a closed client.

        Raises:
            RuntimeError: it is closed.
        """
        if self._is_closed:
            raise mistake(RuntimeError("This client is closed. Open the database again."))

    def close(self) -> None:
        """Close the database."""
        self._is_closed = True
        self.opened.close()


class AsyncEmbeddedTransport:
    """Performs calls on an open instance, for the tasks of any event loop.

    On asyncio, reads and writes use the engine's awaitable methods; elsewhere (trio), they run in
    threads. Calls with a large body always run in threads, so that nothing else on the loop waits.
    So do jobs: one that has begun continues if its caller is cancelled.
    """

    def __init__(self, in_threads: EmbeddedTransport) -> None:
        self._in_threads = in_threads
        self.opened = in_threads.opened

    async def send(self, call: SDKCall) -> Any:
        """Perform a call and return its result."""
        self._in_threads.check_is_open()
        operation = call.operation
        is_large = len(call.body or b"") > INLINE_BYTES
        has_job = operation.does == "job" or self._in_threads.has_unfinished
        has_job = has_job or self._in_threads.must_embed(operation)
        if has_job or is_large or not _is_on_asyncio():
            return await to_thread.run_sync(self._in_threads.send, call)
        native = self._in_threads.prepared(call)
        if self._in_threads.must_make_words(native):
            return await to_thread.run_sync(self._in_threads.send, call)
        perform = self._in_threads.operation(operation, native)
        if operation.does == "write":
            result = await self.opened.engine.write_async(perform)
            if isinstance(result, StartedJob):
                return await to_thread.run_sync(self._in_threads.after_write, call, result)
            return self._in_threads.after_write(call, result)
        is_bounded = native.is_bounded(operation)
        return _value(call, await self.opened.engine.read_async(perform, is_bounded=is_bounded))

    async def embed(self) -> int:
        """Embed what has no embedding, in a thread; see EmbeddedTransport."""
        return await to_thread.run_sync(self._in_threads.embed)

    async def sleep(self, delay_s: float) -> None:
        """Wait without blocking the event loop."""
        await sleep(delay_s)

    async def close(self) -> None:
        """Close the database."""
        await to_thread.run_sync(self._in_threads.close)


def open_transport(
    database: str | PathLike[str] | None,
    settings: Mapping[str, Any],
    *,
    project: str = DEFAULT_NAME,
    read_only: bool = False,
) -> EmbeddedTransport:
    """Return a transport to an embedded database; the arguments are those of Userkeep.open.

    Raises:
        StorageError, SettingError: with a sentence that says what to do.
        NotFound: there is no such project. Gone: it is being deleted.
    """
    loaded = _load(database, settings)
    opened = open_instance_read_only(loaded) if read_only else open_instance(loaded)
    try:
        if not read_only:
            EmbeddedTransport(opened).recover()
        return EmbeddedTransport(in_project(opened, project), read_only=read_only)
    except BaseException:
        opened.close()
        raise


def open_async_transport(
    database: str | PathLike[str] | None,
    settings: Mapping[str, Any],
    *,
    project: str = DEFAULT_NAME,
    read_only: bool = False,
) -> AsyncEmbeddedTransport:
    """Return an async transport to an embedded database."""
    return AsyncEmbeddedTransport(
        open_transport(database, settings, project=project, read_only=read_only)
    )


_OF_A_SERVER = re.compile(r"https?://|unix:/", re.IGNORECASE)


def _load(database: str | PathLike[str] | None, settings: Mapping[str, Any]) -> Settings:
    for name in settings:
        if name == "database_url":
            raise SettingError("The database is named by the first argument, not database_url.")
        if name in _OF_SERVERS:
            raise SettingError(f"{name} applies only to `userkeep serve`.")
    named = None if database is None else fsdecode(database)
    if named == "":
        raise SettingError('The path is empty; give one, ":memory:", or a postgresql:// URL.')
    if named is not None and _OF_A_SERVER.match(named):
        raise SettingError(
            "`open` takes a database, and this is the URL of a server. Create the client with "
            "Userkeep(url) or AsyncUserkeep(url)."
        )
    loaded = load_settings({**settings, "database_url": named})
    return replace(loaded, database_url=_url_of(loaded.database_url))


def _url_of(text: str) -> str:
    if is_postgres(text):
        return text
    path = sqlite_path(text)
    if path == ":memory:":
        return text
    # Absolute, because connections are opened later too, when the process may be elsewhere.
    return f"sqlite:///{Path(os.path.expanduser(path)).absolute()}"  # noqa: PTH111 - never fails


def _check_has_no_problem(done: Embedded) -> None:
    """End embedding at its first failure: its caller waits for it.

    Raises:
        Unavailable: a batch has failed.
    """
    if done.problem is not None:
        raise Unavailable(f"The embedding model failed. {done.problem}")


def _is_on_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _value(call: SDKCall, result: Any) -> Any:
    """Return a result as a client of a server would read it, with metadata and data decoded."""
    if isinstance(result, ReplayedResponse):
        result = result.value
    return decode_response(call, _encode(result))
