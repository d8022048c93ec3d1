"""Userkeep: a self-hosted store of an AI app's users, sessions and messages.

```python
from userkeep import Userkeep

with Userkeep.open("memory.db") as client:
    client.user.add(user_id="jane")
```

Importing the package loads no database driver, no server and no HTTP library. They are loaded at
their first use.
"""

from userkeep.api.collections import Collection, CollectionDeletion
from userkeep.api.documents import DeletedDocuments, Document, DocumentHit
from userkeep.api.erasures import Erasure, Residue, Verification
from userkeep.api.memory import Memory
from userkeep.api.messages import Message
from userkeep.api.projects import Project
from userkeep.api.search import ExplainedQuery, Explanation, FoundMessage, Hit, Snippet
from userkeep.api.sessions import Session
from userkeep.api.users import User
from userkeep.client import AsyncUserkeep, Userkeep
from userkeep.config import SettingError
from userkeep.domain.errors import (
    AlreadyExists,
    BadRequest,
    Conflict,
    Forbidden,
    Gone,
    IdempotencyMismatch,
    InvalidField,
    NotFound,
    QuotaExceeded,
    RateLimited,
    RevisionMismatch,
    StorageError,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UserkeepError,
)
from userkeep.sdk._async.lists import AsyncMessagePage, AsyncPage
from userkeep.sdk._sync.lists import MessagePage, Page
from userkeep.sdk.errors import (
    ConnectionFailed,
    NotSent,
    ServerError,
    TimedOut,
    UnauthenticatedServerWarning,
    UnexpectedAnswer,
)
from userkeep.sdk.hits import Hits
from userkeep.sdk.messages import Messages
from userkeep.sdk.requests import (
    CreateCollectionRequest,
    CreateProjectRequest,
    CreateSessionRequest,
    CreateUserRequest,
    NewDocument,
    NewMessage,
    UpdateCollectionRequest,
    UpdateProjectRequest,
    UpdateSessionRequest,
    UpdateUserRequest,
)
from userkeep.version import __version__

__all__ = [
    "AlreadyExists",
    "AsyncMessagePage",
    "AsyncPage",
    "AsyncUserkeep",
    "BadRequest",
    "Collection",
    "CollectionDeletion",
    "Conflict",
    "ConnectionFailed",
    "CreateCollectionRequest",
    "CreateProjectRequest",
    "CreateSessionRequest",
    "CreateUserRequest",
    "DeletedDocuments",
    "Document",
    "DocumentHit",
    "Erasure",
    "ExplainedQuery",
    "Explanation",
    "Forbidden",
    "FoundMessage",
    "Gone",
    "Hit",
    "Hits",
    "IdempotencyMismatch",
    "InvalidField",
    "Memory",
    "Message",
    "MessagePage",
    "Messages",
    "NewDocument",
    "NewMessage",
    "NotFound",
    "NotSent",
    "Page",
    "Project",
    "QuotaExceeded",
    "RateLimited",
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
    "UnauthenticatedServerWarning",
    "Unavailable",
    "UnexpectedAnswer",
    "UpdateCollectionRequest",
    "UpdateProjectRequest",
    "UpdateSessionRequest",
    "UpdateUserRequest",
    "User",
    "Userkeep",
    "UserkeepError",
    "Verification",
    "__version__",
]
