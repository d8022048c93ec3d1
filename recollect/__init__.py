"""Recollect: the self-hosted home for an AI app's users, their sessions and all derived from them.

```python
from recollect import Recollect

with Recollect.open("memory.db") as client:
    client.user.add(user_id="jane")
```

Importing the package loads no database driver, no server and no HTTP library; each is loaded by
what first uses it.
"""

from recollect.api.wire import (
    Erasure,
    Explanation,
    FoundMessage,
    Hit,
    Memory,
    Message,
    Residue,
    Session,
    Snippet,
    User,
    Verification,
)
from recollect.client import AsyncRecollect, Recollect
from recollect.config import SettingError
from recollect.domain.errors import (
    AlreadyExists,
    BadRequest,
    Conflict,
    Forbidden,
    Gone,
    IdempotencyMismatch,
    InvalidField,
    NotFound,
    RecollectError,
    RevisionMismatch,
    StorageError,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from recollect.sdk.errors import (
    ConnectionFailed,
    RateLimited,
    ServerError,
    TimedOut,
    UnexpectedAnswer,
)
from recollect.sdk.pages import Page
from recollect.sdk.requests import (
    CreateSessionRequest,
    CreateUserRequest,
    NewMessage,
    UpdateSessionRequest,
    UpdateUserRequest,
)
from recollect.version import __version__

__all__ = [
    "AlreadyExists",
    "AsyncRecollect",
    "BadRequest",
    "Conflict",
    "ConnectionFailed",
    "CreateSessionRequest",
    "CreateUserRequest",
    "Erasure",
    "Explanation",
    "Forbidden",
    "FoundMessage",
    "Gone",
    "Hit",
    "IdempotencyMismatch",
    "InvalidField",
    "Memory",
    "Message",
    "NewMessage",
    "NotFound",
    "Page",
    "RateLimited",
    "Recollect",
    "RecollectError",
    "Residue",
    "RevisionMismatch",
    "ServerError",
    "Session",
    "SettingError",
    "Snippet",
    "StorageError",
    "TimedOut",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "UnexpectedAnswer",
    "UpdateSessionRequest",
    "UpdateUserRequest",
    "User",
    "Verification",
    "__version__",
]
