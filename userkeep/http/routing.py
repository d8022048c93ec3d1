"""Find the handlers of a raw path.

Ids may contain any character, slashes included, so a path is split before it is decoded. A node has
literal segments and at most one placeholder; literals come first.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from starlette.responses import Response

from userkeep.http.requests import Request

H = TypeVar("H")
Handler = Callable[[Request], Awaitable[Response]]


def allowed_methods(methods: Iterable[str]) -> tuple[bytes, bytes]:
    """Return the Allow header of a path with handlers of these methods."""
    implied = {"OPTIONS", "HEAD"} if "GET" in methods else {"OPTIONS"}
    return (b"allow", ", ".join(sorted({*methods, *implied})).encode())


def clean_page_path(path: bytes) -> bytes:
    """Return the path of a page in lower case, without double slashes and one at the end."""
    return path.lower().replace(b"//", b"/").removesuffix(b"/") or b"/"


class _Node(Generic[H]):
    __slots__ = ("handlers", "literals", "placeholder", "placeholder_name", "template")

    def __init__(self) -> None:
        self.literals: dict[bytes, _Node[H]] = {}
        self.placeholder: _Node[H] | None = None
        self.placeholder_name = ""
        self.handlers: dict[str, H] = {}
        self.template = ""

    def child(self, segment: str) -> "_Node[H]":
        if not segment.startswith("{"):
            return self.literals.setdefault(segment.encode(), _Node())
        if self.placeholder is None:
            self.placeholder, self.placeholder_name = _Node(), segment.strip("{}")
        return self.placeholder


class Routes(Generic[H]):
    """A tree of paths such as `/v1/users/{user_id}`, with the handlers of each method.

    Args:
        prefix: what stands before all paths in their templates; the paths to find do not have it.
    """

    def __init__(self, prefix: str = "") -> None:
        self._root: _Node[H] = _Node()
        self._prefix = prefix

    def add(self, method: str, path: str, handler: H) -> None:
        """Register the handler of a method on a path."""
        node = self._root
        for segment in path.strip("/").split("/"):
            node = node.child(segment)
        node.handlers[method] = handler
        node.template = f"{self._prefix}{path}"

    def template(self, path: bytes) -> str:
        """Return the template of a path; empty if unknown."""
        return self.find(path)[0]

    def find(self, path: bytes) -> tuple[str, dict[str, H], dict[str, bytes]]:
        """Return the template of a path, its handlers by method and its raw ids by name.

        All are empty if the path is unknown. A slash at the end is ignored: no id is empty.
        """
        node = self._root
        segments: dict[str, bytes] = {}
        for segment in path[1:].removesuffix(b"/").split(b"/"):
            child = node.literals.get(segment)
            if child is None:
                child = node.placeholder if segment else None
                if child is None:
                    return "", {}, {}
                segments[node.placeholder_name] = segment
            node = child
        return node.template, node.handlers, segments
