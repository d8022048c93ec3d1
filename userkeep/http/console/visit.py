"""A visit of a page: its request, its visitor, and what the page can do."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import wraps
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from jinja2 import Environment
from starlette.responses import Response

from userkeep.domain.errors import BadRequest, UserkeepError
from userkeep.domain.key import Permission, permits
from userkeep.domain.project import DEFAULT_PROJECT
from userkeep.domain.scope import Scope
from userkeep.domain.transaction import Operation
from userkeep.handlers.authorization import check_scope
from userkeep.http.console.export import export_user
from userkeep.http.console.operations import Operations
from userkeep.http.console.rendering import segment
from userkeep.http.console.visitors import Visitor
from userkeep.http.errors import status_of
from userkeep.http.health import ReadinessChecks
from userkeep.http.requests import Request
from userkeep.http.responses import RawResponse

HTML = b"text/html; charset=utf-8"

FORM_TOKEN = "form_token"  # noqa: S105  # the name of a field
FORM_ID = "form_id"
"""The field of a form that must not be carried out twice: a random text."""

_FORM_TOKEN_HEADER = b"x-form-token"
_MOST_FIELDS = 200

PageFunction = Callable[["Visit"], Awaitable[Response]]


def needs(permission: Permission) -> Callable[[PageFunction], PageFunction]:
    """Make a page forbidden for keys without a scope: what they typed could not be sent."""

    def decorate(page: PageFunction) -> PageFunction:
        @wraps(page)
        async def checked(visit: Visit) -> Response:
            check_scope(visit.scope, permission)
            return await page(visit)

        return checked

    return decorate


async def read_fields(request: Request) -> dict[str, str]:
    """Return the fields of the form that a request has.

    Raises:
        BadRequest: it cannot be read.
    """
    try:
        text = (await request.body()).decode()
        fields = parse_qsl(text, True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise BadRequest("The form cannot be read: it is not UTF-8, or too long.") from error
    return {name: value.replace("\r\n", "\n") for name, value in fields}


class About(NamedTuple):
    """What pages show of the server itself.

    Attributes:
        readiness: the checks of `/readyz`.
        settings: each with its name, its value as it may be shown, and what it is.
    """

    readiness: ReadinessChecks
    settings: Sequence[tuple[str, str, str]]


class Visit:
    """One request of a visitor.

    Attributes:
        request: the request.
        visitor: who visits.
        form: what a form has sent; empty for other requests.
        query: the parameters of the address.
        about: what pages show of the server itself.
    """

    def __init__(
        self,
        request: Request,
        visitor: Visitor,
        operations: Operations,
        environment: Environment,
        about: About,
        *,
        is_open: bool,
    ) -> None:
        self.about = about
        self.request = request
        self.visitor = visitor
        self.form: dict[str, str] = {}
        self.query: dict[str, str] = dict(request.query())
        self._operations = operations
        self._environment = environment
        self._is_open = is_open

    @property
    def scope(self) -> Scope:
        """What the visitor may do."""
        return self.visitor.scope

    @property
    def is_form(self) -> bool:
        """Whether a form was sent."""
        return self.request.method == "POST"

    @property
    def is_fragment(self) -> bool:
        """Whether the page asks for a part of itself."""
        return b"hx-request" in self.request.headers

    @property
    def cursor(self) -> dict[str, str]:
        """The parameter of a list by which the page continues it; empty at the beginning."""
        cursor = self.query.get("cursor")
        return {"cursor": cursor} if cursor else {}

    async def read_form(self) -> None:
        """Read the form that the request has, and check that it was sent from this visit.

        Raises:
            BadRequest: it cannot be read. Forbidden: another site, or an old page, has sent it.
        """
        self.form = await read_fields(self.request)
        header = self.request.header(_FORM_TOKEN_HEADER)
        self.visitor.check_form(self.form.pop(FORM_TOKEN, "") or header or "")

    async def perform(
        self,
        name: str,
        *,
        ids: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        if_revision: int | None = None,
        is_once: bool = False,
    ) -> Any:
        """Perform an operation of the native API, and return its response as plain values.

        Args:
            is_once: whether the form of this visit is rejected if it was carried out before.

        Raises:
            UserkeepError: as for the native API.
        """
        return await self._operations.perform(
            self.scope,
            name,
            ids=ids or {},
            query=query or {},
            body=body,
            if_revision=if_revision,
            once=self.form.get(FORM_ID, "") if is_once else "",
        )

    async def export(self, user_id: str) -> AsyncIterator[bytes]:
        """Return the export of a user, in pieces.

        Raises:
            NotFound: there is no such user.
        """
        check_scope(self.scope, "read")
        return await export_user(self._operations, self.scope, user_id)

    async def read(self, operation: Operation[Any]) -> Any:
        """Run a read that is no operation of the API, and return its result."""
        return await self._operations.read(operation)

    def may(self, permission: str) -> bool:
        """Whether the visitor's key has a scope."""
        return permits(self.scope.permission, permission)  # type: ignore[arg-type]

    @property
    def is_of_instance(self) -> bool:
        """Whether the visitor may see what is about the whole instance."""
        return self.may("admin") and self.scope.project_id == DEFAULT_PROJECT

    def path(self, *segments: str) -> str:
        """Return the address of a page, from the ids and words in it."""
        return "/".join((f"{self.request.root_path}/console", *map(segment, segments)))

    @property
    def address(self) -> str:
        """The address of the page itself, without its parameters."""
        return f"{self.request.root_path}{self.request.path.decode(errors='replace')}"

    def page(self, template: str, status: int = 200, **values: Any) -> RawResponse:
        """Return a page.

        Args:
            template: the name of its template, without `.html`.
            values: what it shows.
        """
        error: UserkeepError | None = values.get("error")
        if error is not None:
            status = status_of(error)
        text = self._environment.get_template(f"{template}.html").render(
            {
                "error": None,
                "root": f"{self.request.root_path}/console",
                "visit": self,
                "form_token": self.visitor.form_token,
                "is_open": self._is_open,
                **values,
            }
        )
        return RawResponse(text.encode(), status, HTML)

    def go_to(self, *segments: str, done: str = "", project: str = "") -> RawResponse:
        """Return the way to another page, after a form.

        Args:
            done: what has been done: one of the words of `done.html`, never a text of a user.
            project: the name of the project that the page is about, if it is another one.
        """
        given = {name: value for name, value in (("project", project), ("done", done)) if value}
        query = f"?{urlencode(given)}" if given else ""
        location = f"{self.path(*segments)}{query}".encode()
        if self.is_fragment:
            return RawResponse(b"", 204, HTML, ((b"hx-redirect", location),))
        return RawResponse(b"", 303, HTML, ((b"location", location),))
