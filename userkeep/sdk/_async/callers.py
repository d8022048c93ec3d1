"""Who carries calls."""

from typing import Any, Protocol

from userkeep.sdk.calls import SDKCall


class AsyncCaller(Protocol):
    """Carries a call to an instance, and its answer back."""

    async def call(self, call: SDKCall) -> Any:
        """The answer, of the type that its operation has.

        Raises:
            UserkeepError: of the class that says what was wrong.
        """
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...
