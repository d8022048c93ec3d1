"""`Userkeep` and `AsyncUserkeep`: the clients of the SDK with a transport.

The transport is imported when a client is created: an app that uses a server loads no database
driver, and an app with an embedded database loads no HTTP library.
"""

from functools import partial
from os import PathLike
from typing import Any, Self

from userkeep.config import SettingError
from userkeep.domain.errors import UserkeepError
from userkeep.domain.project import DEFAULT_NAME
from userkeep.sdk._async.client import AsyncClient
from userkeep.sdk._sync.client import Client
from userkeep.sdk.boundary import raises_at_its_caller

LOCAL_SERVER = "http://127.0.0.1:8000"
TIMEOUT_S = 30.0
ATTEMPTS = 4

_EXPECTED = (UserkeepError, SettingError)


@partial(raises_at_its_caller, expected=_EXPECTED)
class Userkeep(Client):
    """A client of a server, or of an embedded database with `Userkeep.open`.

    ```python
    with Userkeep() as client:
        client.user.add(user_id="jane", email="jane@example.com")
    ```

    A client can be used by any number of threads. A forked process must create its own.
    """

    def __init__(
        self,
        url: str = LOCAL_SERVER,
        *,
        api_key: str | None = None,
        timeout_s: float = TIMEOUT_S,
        attempts: int = ATTEMPTS,
    ) -> None:
        """Create a client of a server. The first call connects.

        Args:
            url: the URL of the server, such as `https://memory.example.com`, or
                `unix:/run/userkeep.sock` for a Unix socket. Use `open` for an embedded database.
            api_key: sent as `Authorization: Bearer …`. If the server has no keys and does not check
                yours, the first call warns with UnauthenticatedServerWarning.
            timeout_s: the time-out for connecting, and for each part of a response.
            attempts: how often a call is sent at most, if it is safe to retry.

        Raises:
            InvalidField: an argument is invalid.
        """
        from userkeep.sdk._sync.http_transport import open_http_transport

        super().__init__(open_http_transport(url, api_key, timeout_s, attempts))

    @classmethod
    def open(
        cls,
        database: str | PathLike[str] | None = None,
        *,
        project: str = DEFAULT_NAME,
        read_only: bool = False,
        **settings: Any,
    ) -> Self:
        """Open an embedded database, without a server.

        Completes any interrupted deletion before returning.

        Args:
            database: the path of a SQLite file, which is created if it does not exist (`~` is your
                home directory); `":memory:"` for a database in memory; or
                `postgresql://user@host/name`. The default is USERKEEP_DATABASE_URL, as for
                `userkeep serve`.
            project: the name of the project to work in, which must exist, or its uuid.
            read_only: only read, even while another process has the SQLite file open. Nothing is
                created, migrated or changed, and every write raises StorageError.
            settings: other settings by name, such as `memory_window=20` (see the reference of
                settings). The defaults are the environment variables (`USERKEEP_…`).

        Raises:
            StorageError: the database cannot be opened, for example because a server uses the file.
            SettingError: a setting is invalid.
            NotFound: there is no such project.
            Gone: the project is being deleted.
        """
        from userkeep.embedded import open_transport

        client = cls.__new__(cls)
        transport = open_transport(database, settings, project=project, read_only=read_only)
        Client.__init__(client, transport)
        return client


@partial(raises_at_its_caller, expected=_EXPECTED)
class AsyncUserkeep(AsyncClient):
    """An async client of a server, or of an embedded database with `AsyncUserkeep.open`.

    ```python
    async with AsyncUserkeep() as client:
        await client.user.add(user_id="jane", email="jane@example.com")
    ```

    It can be used on asyncio and on trio, by any number of event loops. Each loop has its own
    connections to a server: close the client in the loop that used it.
    """

    def __init__(
        self,
        url: str = LOCAL_SERVER,
        *,
        api_key: str | None = None,
        timeout_s: float = TIMEOUT_S,
        attempts: int = ATTEMPTS,
    ) -> None:
        """Create a client of a server; the arguments are those of Userkeep."""
        from userkeep.sdk._async.http_transport import open_http_transport

        super().__init__(open_http_transport(url, api_key, timeout_s, attempts))

    @classmethod
    def open(
        cls,
        database: str | PathLike[str] | None = None,
        *,
        project: str = DEFAULT_NAME,
        read_only: bool = False,
        **settings: Any,
    ) -> Self:
        """Open an embedded database; the arguments are those of Userkeep.open.

        It is not awaited: it blocks for some milliseconds, or until an interrupted deletion is
        completed.
        """
        from userkeep.embedded import open_async_transport

        client = cls.__new__(cls)
        transport = open_async_transport(database, settings, project=project, read_only=read_only)
        AsyncClient.__init__(client, transport)
        return client
