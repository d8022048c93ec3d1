"""The transport: what a client sends its calls to."""

from typing import Any, Protocol

from userkeep.sdk.calls import SDKCall


class AsyncTransport(Protocol):
    """Performs calls on an instance."""

    async def send(self, call: SDKCall) -> Any:
        """Perform a call and return the result, of the response type of its operation.

        Raises:
            UserkeepError: of the class for the error.
        """
        ...

    async def embed(self) -> int:
        """Embed what has no embedding, and return how many messages and documents it was."""
        ...

    async def sleep(self, delay_s: float) -> None:
        """Wait, for example before the state of a job is read again."""
        ...

    async def close(self) -> None:
        """Close connections, or the database."""
        ...
