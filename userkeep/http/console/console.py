"""The console as one API of the server: which page an address is, and who may see it."""

import logging
import re
import time
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote

from starlette.responses import Response

from userkeep.domain.errors import NotFound, Unauthenticated, UserkeepError
from userkeep.domain.scope import Rules
from userkeep.http.authentication import Authenticator
from userkeep.http.console.operations import Operations
from userkeep.http.console.pages import PAGES
from userkeep.http.console.rendering import STATIC, make_environment, static_file
from userkeep.http.console.visit import HTML, About, PageFunction, Visit, read_fields
from userkeep.http.console.visitors import Visitor, Visitors
from userkeep.http.errors import FAULT, MethodNotAllowed, status_of
from userkeep.http.requests import Request
from userkeep.http.responses import RawResponse, empty_response, static_response
from userkeep.http.routing import Routes, allowed_methods

logger = logging.getLogger(__name__)

_PREFIX = b"/console"
_STATIC_PREFIX = b"/console/static/"
_SIGN_IN = "/sign-in"
_SIGN_OUT = "/console/sign-out"
_PATH = re.compile("/[!-~]*")
_RENEWAL = b"x-renewal"
"""The header of a part that asks for itself again each second, which is no sign of a reader."""

_NOT_TYPED = frozenset(
    (
        *("form_token", "form_id", "revision", "updated_at", "cursor", "offset"),
        *("order", "op", "scope", "purge", "reopen"),
    )
)
"""The fields of forms in which no text is typed."""

_POLICY = (
    b"content-security-policy",
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    b"img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
)
_SIGNED_OUT = "You were signed out before you sent this form."

# An address has ids, which are often names or e-mail addresses: no other site is sent one.
_REFERRER = (b"referrer-policy", b"same-origin")


class Console:
    """Serve `/console` and all below it.

    It admits visitors itself, by a cookie: a browser sends no key with the address of a page.

    Args:
        operations: performs what pages need.
        authenticator: checks keys.
        rules: see Rules.
        about: what pages show of the server itself.
    """

    admits_itself = True

    def __init__(
        self, operations: Operations, authenticator: Authenticator, rules: Rules, about: About
    ) -> None:
        self._operations = operations
        self._about = about
        self._visitors = Visitors(authenticator, rules)
        self._environment = make_environment()
        self._routes: Routes[PageFunction] = Routes("/console")
        for path, page in PAGES.items():
            self._routes.add("GET", path, page)
            self._routes.add("POST", path, page)

    def serves(self, path: bytes) -> bool:
        """Return whether a path is that of the console."""
        return path == _PREFIX or path.startswith(_PREFIX + b"/")

    def route_of(self, path: bytes) -> str:
        """Return the template of a path; empty if it is unknown."""
        if path.startswith(_STATIC_PREFIX):
            name = path.removeprefix(_STATIC_PREFIX).decode("latin-1")
            return path.decode("latin-1") if name in STATIC else ""
        return self._routes.template(path.removeprefix(_PREFIX) or b"/")

    async def respond(self, request: Request) -> Response:
        """Return the page of a request."""
        request.route = self.route_of(request.path)
        if request.path.startswith(_STATIC_PREFIX):
            return _static(request)
        response = await self._page(request)
        response.raw_headers += [_POLICY, _REFERRER]
        return response

    def error_response(self, error: UserkeepError, request: Request) -> Response:
        """Return a page that has only an error: there is no visit."""
        is_fragment = b"hx-request" in request.headers
        template = self._environment.get_template(
            "error_part.html" if is_fragment else "broken.html"
        )
        text = template.render(
            error=error,
            root=f"{request.root_path}/console",
            request_id=request.request_id,
            address=_linked_address(request),
        )
        response = RawResponse(text.encode(), status_of(error), HTML)
        response.raw_headers += [_POLICY, _REFERRER]
        return response

    async def _page(self, request: Request) -> Response:
        path = request.path.removeprefix(_PREFIX) or b"/"
        _, functions, request.segments = self._routes.find(path)
        if request.route and request.handler_method not in functions:
            allow = allowed_methods(functions)
            if request.method == "OPTIONS":
                return empty_response((allow,))
            raise MethodNotAllowed
        now_s = int(time.time())
        if request.route == f"/console{_SIGN_IN}":
            return await self._sign_in(request, now_s)
        visitor = await self._visitors.find(request, now_s)
        if visitor is None:
            return await self._ask_to_sign_in(request)
        request.scope = visitor.scope
        if request.route == _SIGN_OUT:
            return await self._sign_out(request, visitor)
        visit = self._visit(request, visitor)
        response = await self._perform(visit, functions.get(request.handler_method))
        if _RENEWAL not in request.headers:
            _add_cookie(response, self._visitors.cookie_of(visitor, request, now_s))
        return response

    async def _perform(self, visit: Visit, function: PageFunction | None) -> Response:
        """Return a page; an error that it has not handled becomes a page of its own."""
        try:
            if function is None:
                raise NotFound("There is no such page.")
            if visit.is_form:
                await visit.read_form()
            return await function(visit)
        except UserkeepError as error:
            return _error_page(visit, error)
        except Exception:
            logger.exception("a page failed", extra=visit.request.log_fields())
            return _error_page(visit, UserkeepError(FAULT))

    async def _sign_in(self, request: Request, now_s: int) -> Response:
        if self._visitors.is_open:
            return _go_to(request, "")
        if request.handler_method == "GET":
            return self._sign_in_page(request, dict(request.query()).get("next", ""))
        # There is no visit yet, and so no token. Access control has checked the form's origin.
        fields = await read_fields(request)
        following = fields.get("next", "")
        try:
            visitor = await self._visitors.sign_in(request, fields.get("key", ""), now_s)
        except UserkeepError as error:
            return self._sign_in_page(request, following, error)
        request.scope = visitor.scope
        path, _, _ = following.partition("?")
        is_page = _PATH.fullmatch(following) and self._routes.template(path.encode())
        response = _go_to(request, following if is_page else "")
        _add_cookie(response, self._visitors.cookie_of(visitor, request, now_s))
        return response

    async def _sign_out(self, request: Request, visitor: Visitor) -> Response:
        if request.method != "POST":
            raise MethodNotAllowed
        await self._visit(request, visitor).read_form()
        response = _go_to(request, _SIGN_IN)
        _add_cookie(response, self._visitors.ended_cookie(request))
        return response

    async def _ask_to_sign_in(self, request: Request) -> Response:
        if b"hx-request" in request.headers:
            location = f"{request.root_path}/console{_sign_in_before(_shown_path(request))}"
            return RawResponse(b"", 204, HTML, ((b"hx-redirect", location.encode()),))
        path = request.path.removeprefix(_PREFIX) + _named_project(dict(request.query()))
        if request.method == "POST" and (typed := _typed(await read_fields(request))):
            return self._sign_in_page(
                request, path.decode(errors="replace"), Unauthenticated(_SIGNED_OUT), typed
            )
        return _go_to(request, _sign_in_before(b"" if request.route == _SIGN_OUT else path))

    def _sign_in_page(
        self,
        request: Request,
        following: str,
        error: UserkeepError | None = None,
        typed: Mapping[str, str] | None = None,
    ) -> Response:
        """Return the page on which a visitor signs in.

        Args:
            request: the request.
            following: the path of the page after it, below `/console`.
            error: what went wrong.
            typed: what a form has sent that came too late.
        """
        text = self._environment.get_template("sign_in.html").render(
            error=error, following=following, typed=typed, root=f"{request.root_path}/console"
        )
        return RawResponse(text.encode(), status_of(error) if error else 200, HTML)

    def _visit(self, request: Request, visitor: Visitor) -> Visit:
        return Visit(
            request,
            visitor,
            self._operations,
            self._environment,
            self._about,
            is_open=self._visitors.is_open,
        )


def _error_page(visit: Visit, error: UserkeepError) -> Response:
    template = "error_part" if visit.is_fragment else "error"
    return visit.page(template, error=error, typed=_typed(visit.form))


def _typed(fields: Mapping[str, str]) -> dict[str, str]:
    """Return what a reader has typed into a form."""
    return {name: text for name, text in fields.items() if text and name not in _NOT_TYPED}


def _linked_address(request: Request) -> str:
    """Return the address of a page to which another site has a link; empty if it is no such page.

    Access control rejects what comes from another site, and a browser sends no cookie with it. A
    reader who follows the same link on a page of this server comes from here.
    """
    headers = request.headers
    is_linked = (
        request.method == "GET"
        and headers.get(b"sec-fetch-site") == b"cross-site"
        and headers.get(b"sec-fetch-mode") == b"navigate"
    )
    if not is_linked:
        return ""
    path = request.path + _named_project(dict(request.query()))
    return f"{request.root_path}{path.decode(errors='replace')}"


def _sign_in_before(path: bytes) -> str:
    """Return the path of the page to sign in on, which another one follows."""
    return f"{_SIGN_IN}?next={quote(path, safe='')}" if path else _SIGN_IN


def _shown_path(request: Request) -> bytes:
    """Return the path, below `/console`, of the page that asks for a part."""
    address = request.headers.get(b"hx-current-url", b"")
    path, _, query = address.partition(_PREFIX)[2].partition(b"#")[0].partition(b"?")
    return path + _named_project(dict(parse_qsl(query.decode("latin-1"))))


def _named_project(query: Mapping[str, str]) -> bytes:
    """Return the parameter that names another project, whose keys a page is about; else nothing.

    All others of an address say where a reader is in a list, or what was done just now.
    """
    name = query.get("project")
    return f"?project={quote(name, safe='')}".encode() if name else b""


def _go_to(request: Request, path: str) -> RawResponse:
    location = f"{request.root_path}/console{path}".encode()
    return RawResponse(b"", 303, HTML, ((b"location", location),))


def _add_cookie(response: Response, cookie: str) -> None:
    response.raw_headers.append((b"set-cookie", cookie.encode()))


def _static(request: Request) -> Response:
    found = static_file(request.route.removeprefix(_STATIC_PREFIX.decode()))
    if found is None:
        raise NotFound("There is no such file.")
    if request.handler_method != "GET":
        raise MethodNotAllowed
    return static_response(*found)
