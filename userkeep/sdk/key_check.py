"""The warning of a client whose API key no server checks."""

import sys
import warnings

from userkeep.sdk.errors import UnauthenticatedServerWarning
from userkeep.sdk.http_client import HTTPResponse, without_password

_PACKAGE = "userkeep."


class KeyCheck:
    """Warns once, at the first response of a server that does not check keys."""

    def __init__(self, url: str, api_key: str | None) -> None:
        """Create the check of a client.

        Args:
            url: the URL of its server.
            api_key: its key. A client without one does not warn.
        """
        self._url = url
        self._is_pending = bool(api_key)

    def check(self, response: HTTPResponse) -> None:
        """Warn if the response is from a server without keys."""
        if not self._is_pending or response.headers.get("userkeep-authentication") != "none":
            return
        self._is_pending = False
        warnings.warn(
            f"The server at {without_password(self._url)} has no keys and does not check yours.",
            UnauthenticatedServerWarning,
            stacklevel=_level_of_app(),
        )


def _level_of_app() -> int:
    """Return the level of the first caller outside this package: the line of the app."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals["__name__"].startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    return level
