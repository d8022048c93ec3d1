"""What a reverse proxy changes in a request: the prefix of its path, its client and its scheme.

These are wrappers of the application, so that a server without a proxy pays nothing for them.
"""

from collections.abc import Sequence
from typing import cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from userkeep.domain.values.addresses import UNIX_PEER

_LONGEST_ADDRESS = 45


class RootPath:
    """Serve an application below a prefix, which the proxy may have removed or kept.

    Uvicorn's own option expects that the proxy removed it, and would add it to the path.

    Args:
        application: it serves paths without the prefix, and reads the prefix in `root_path`.
        root_path: the prefix, such as `/userkeep`.
    """

    def __init__(self, application: ASGIApp, root_path: str) -> None:
        self._application = application
        self._root_path = root_path
        self._prefix = root_path.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request with the path below the prefix."""
        if scope["type"] == "http":
            path: bytes = scope["raw_path"]
            below = path.removeprefix(self._prefix)
            is_below = len(below) < len(path) and below[:1] in {b"", b"/"}
            raw_path = (below or b"/") if is_below else path
            scope = {**scope, "root_path": self._root_path, "raw_path": raw_path}
        await self._application(scope, receive, send)


class ForwardedHeaders:
    """Take client and scheme from X-Forwarded-For and X-Forwarded-Proto, if a proxy sent them.

    The client is the last address that is not one of a proxy: each proxy appends the address of its
    own client, and what stands before that was written by the client itself.

    Args:
        application: reads client and scheme.
        peers: the addresses and networks of the proxies; `unix` means clients of a Unix socket.
    """

    def __init__(self, application: ASGIApp, peers: Sequence[str]) -> None:
        middleware = ProxyHeadersMiddleware(self._pass_on, list(peers))  # type: ignore[arg-type]
        self._trusting = cast("ASGIApp", middleware)
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request with the client and the scheme that the proxy has seen."""
        if scope["type"] == "http" and scope["client"] is None:
            scope["client"] = (UNIX_PEER, 0)
        await self._trusting(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and len(scope["client"][0]) > _LONGEST_ADDRESS:
            # The proxy has passed on what a client wrote; it must not fill the memory.
            scope["client"] = (scope["client"][0][:_LONGEST_ADDRESS], 0)
        await self._application(scope, receive, send)
