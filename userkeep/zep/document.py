"""`client.document`: collections of documents, which Userkeep does not keep, and says so."""

from typing import Any, NoReturn

from userkeep.zep.exceptions import APIError


class DocumentClient:
    """Refuses whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return _refuse


def _refuse(*_arguments: Any, **_named: Any) -> NoReturn:
    raise APIError(
        message="Userkeep keeps users, sessions and messages; this version has no collections "
        "and no documents"
    )
