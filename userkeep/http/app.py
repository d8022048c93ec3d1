"""The ASGI application: who may come in, and which door they are led to."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from starlette.responses import Response
from starlette.routing import Router
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from userkeep.domain.errors import UserkeepError
from userkeep.domain.scope import Scope
from userkeep.http.background import Background
from userkeep.http.compat.zep_v1 import ZepV1API
from userkeep.http.compat.zep_v1.api import PREFIX as ZEP_V1_PREFIX
from userkeep.http.guard import Guard
from userkeep.http.native import NativeAPI
from userkeep.http.pages import Pages
from userkeep.http.requests import Request
from userkeep.http.timers import Timers
from userkeep.storage.engine import Engine


class Application(Router):
    """All doors of one server.

    Starlette runs the start and the end; which door a request goes to is decided here, on the raw
    path, because ids may contain what Starlette would decode and split.
    """

    def __init__(self, engine: Engine, scope: Scope, guard: Guard, timers: Timers) -> None:
        self._background = Background(engine, scope.rules, timers)
        self._guard = guard
        self._native = NativeAPI(engine, self._background, scope)
        self._zep_v1 = ZepV1API(engine, self._background, scope)
        self._pages = Pages(engine)
        super().__init__(lifespan=_running(self._background))

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer one request, or start and stop."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        self._background.note_request()
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        door = self._zep_v1 if _is_zep_v1(request.path) else self._native
        try:
            self._guard.check(request)
            if door is self._zep_v1 or request.path.startswith(b"/v1/"):
                return await door.answer(request)
            return await self._pages.answer(request)
        except UserkeepError as error:
            return door.refuse(error)


def _is_zep_v1(path: bytes) -> bool:
    return path.startswith(ZEP_V1_PREFIX) and path[len(ZEP_V1_PREFIX) :][:1] in {b"", b"/"}


def _running(
    background: Background,
) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_application: Any) -> AsyncIterator[None]:
        await background.start()
        yield
        await background.stop()

    return lifespan
