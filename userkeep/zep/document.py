"""`client.document`: collections of documents, which Userkeep does not support."""

from typing import Any, NoReturn

from userkeep.zep.exceptions import APIError


class DocumentClient:
    """Raises an APIError from every method."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return _raise_unsupported


def _raise_unsupported(*_arguments: Any, **_named: Any) -> NoReturn:
    raise APIError(
        message="Userkeep stores users, sessions and messages; this version has no collections "
        "and no documents"
    )
