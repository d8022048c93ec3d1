"""`/docs`: the OpenAPI document in Swagger UI, from files of this package and from nowhere else.

Swagger UI, because it shows OpenAPI 3.1, sends requests that the reader fills in, and runs under a
policy without `unsafe-inline`: Redoc sends none, and Scalar adds style elements as it runs. Its
files are those of its npm package: see devtools/vendored.py.
"""

from functools import cache
from html import escape
from importlib import resources

from userkeep.http.responses import RawResponse, static_response

_POLICY = (
    b"content-security-policy",
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    b"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
)

_HTML = b"text/html; charset=utf-8"
_TYPES = {"css": b"text/css; charset=utf-8", "js": b"text/javascript; charset=utf-8"}

_PAGE = "/docs"
_SWAGGER_UI = "vendored/swagger-ui-dist"
_FILES = {
    f"{_PAGE}/docs.css": "docs/docs.css",
    f"{_PAGE}/docs.js": "docs/docs.js",
    f"{_PAGE}/swagger-ui.css": f"{_SWAGGER_UI}/swagger-ui.css",
    f"{_PAGE}/swagger-ui-bundle.js": f"{_SWAGGER_UI}/swagger-ui-bundle.js",
}

DOCS_PATHS = frozenset(path.encode() for path in (_PAGE, *_FILES))
"""The page and what it loads, which depend on no data and on no setting but the root path."""


def docs_response(path: str, root_path: str) -> RawResponse:
    """Return the page or one of its files.

    Args:
        path: one of `DOCS_PATHS`, decoded.
        root_path: the prefix under which a reverse proxy serves all paths.
    """
    if path != _PAGE:
        return static_response(_content(_FILES[path]), _TYPES[path.rpartition(".")[2]])
    page = _content("docs/index.html").replace(b"{root}", escape(root_path).encode())
    return RawResponse(page, 200, _HTML, (_POLICY,))


@cache
def _content(name: str) -> bytes:
    return resources.files("userkeep.http").joinpath(name).read_bytes()
