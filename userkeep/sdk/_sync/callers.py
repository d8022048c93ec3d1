# Printed by scripts/print_sync.py from _async/callers.py: change it there.
"""Who carries calls."""

from typing import Any, Protocol

from userkeep.sdk.calls import SDKCall


class Caller(Protocol):
    """Carries a call to an instance, and its answer back."""

    def call(self, call: SDKCall) -> Any:
        """The answer, of the type that its operation has.

        Raises:
            UserkeepError: of the class that says what was wrong.
        """
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...
