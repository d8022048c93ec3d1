"""`/metrics` on a port of its own, without a key: who can reach the port may read them."""

from starlette.types import Receive, Scope, Send

from userkeep.domain.errors import Forbidden, NotFound, UserkeepError
from userkeep.http.access import is_loopback_host
from userkeep.http.metrics.metrics import Metrics
from userkeep.http.requests import BodyMemory, Request
from userkeep.http.responses import problem_response

_NO_SUCH_PATH = "This port serves GET /metrics, and nothing else."
_OTHER_HOST = "The Host header must be a loopback name or address: this port is on loopback."


class MetricsApplication:
    """Serve `/metrics`, and nothing else.

    Args:
        metrics: of the server.
        any_host: do not check the Host header: the port is open to other machines.
    """

    def __init__(self, metrics: Metrics, *, any_host: bool) -> None:
        self._metrics = metrics
        self._any_host = any_host
        self._no_bodies = BodyMemory(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to a request."""
        request = Request(scope, receive, self._no_bodies)
        try:
            self._check(request)
            response = await self._metrics.response(request)
        except UserkeepError as error:
            response = problem_response(error, request.request_id)
        await response(scope, receive, send)

    def _check(self, request: Request) -> None:
        request.check_headers()
        # A web page whose own name resolves to this machine could read what loopback serves.
        if not (self._any_host or is_loopback_host(request.headers.get(b"host", b""))):
            raise Forbidden(_OTHER_HOST)
        if request.path.removesuffix(b"/") != b"/metrics" or request.method not in {"GET", "HEAD"}:
            raise NotFound(_NO_SUCH_PATH)
