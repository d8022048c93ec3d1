"""`Userkeep` and `AsyncUserkeep`: the SDK's surface, and who carries its calls.

Each imports its carrier when it is made: an app that talks to a server loads no database driver,
and one with a database of its own no HTTP library.
"""

from os import PathLike
from typing import Any, Self

from userkeep.sdk._async.client import AsyncClient
from userkeep.sdk._sync.client import Client

LOCAL_SERVER = "http://127.0.0.1:8000"
TIMEOUT_S = 30.0
ATTEMPTS = 4


class Userkeep(Client):
    """An instance: on a server, or with `Userkeep.open` in this process.

    ```python
    with Userkeep() as client:
        client.user.add(user_id="jane", email="jane@example.com")
    ```

    Any number of threads may use one; a forked process must make its own.
    """

    def __init__(
        self,
        url: str = LOCAL_SERVER,
        *,
        api_key: str | None = None,
        timeout_s: float = TIMEOUT_S,
        attempts: int = ATTEMPTS,
    ) -> None:
        """Talk to a server; the first call connects.

        Args:
            url: the server's, such as `https://memory.example.com`. (A database in this process
                is opened by `open`.)
            api_key: sent as `Authorization: Bearer …`.
            timeout_s: for connecting, and for each wait for an answer.
            attempts: how often a call is sent at most, where to repeat it is safe.

        Raises:
            InvalidField: naming the argument that cannot be used.
        """
        from userkeep.sdk._sync.http_caller import connected

        super().__init__(connected(url, api_key, timeout_s, attempts))

    @classmethod
    def open(cls, database: str | PathLike[str] | None = None, **settings: Any) -> Self:
        """Open a database in this process; there is no server, and nothing to start.

        What a former process left half-way (an erasure) is finished before this returns.

        Args:
            database: the path of a SQLite file, which is made if it is missing (`~` is home);
                `":memory:"`, which is gone at the end; or `postgresql://user@host/name`. Without
                it, what USERKEEP_DATABASE_URL says: the database that `userkeep serve` serves.
            settings: others by name, such as `memory_window=20` (docs: Settings); the environment
                (`USERKEEP_…`) says the rest.

        Raises:
            StorageError: it cannot be opened; a server has the file open, and where it is.
            SettingError: a setting has a value that it cannot have.
        """
        from userkeep.embedded import open_caller

        client = cls.__new__(cls)
        Client.__init__(client, open_caller(database, settings))
        return client


class AsyncUserkeep(AsyncClient):
    """An instance, awaited: on a server, or with `AsyncUserkeep.open` in this process.

    ```python
    async with AsyncUserkeep() as client:
        await client.user.add(user_id="jane", email="jane@example.com")
    ```

    The tasks of any event loop may use it (asyncio or trio). On a server, each loop has connections
    of its own: close it in the loop that used it.
    """

    def __init__(
        self,
        url: str = LOCAL_SERVER,
        *,
        api_key: str | None = None,
        timeout_s: float = TIMEOUT_S,
        attempts: int = ATTEMPTS,
    ) -> None:
        """Talk to a server; see Userkeep."""
        from userkeep.sdk._async.http_caller import connected

        super().__init__(connected(url, api_key, timeout_s, attempts))

    @classmethod
    def open(cls, database: str | PathLike[str] | None = None, **settings: Any) -> Self:
        """Open a database in this process; see Userkeep.open.

        It is not awaited: it blocks for some milliseconds, or until an erasure that was left
        half-way is finished.
        """
        from userkeep.embedded import open_async_caller

        client = cls.__new__(cls)
        AsyncClient.__init__(client, open_async_caller(database, settings))
        return client
