"""Who carries calls."""

from typing import Any, Protocol

from recollect.sdk.calls import Call


class AsyncCaller(Protocol):
    """Carries a call to an installation, and its answer back."""

    async def call(self, call: Call) -> Any:
        """The answer, of the type that its operation has.

        Raises:
            RecollectError: of the class that says what was wrong.
        """
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...
