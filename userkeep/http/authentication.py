"""Authentication: from the credential of a request to the scope in which it runs.

A key is read from the database once, and then every few seconds while it is used. So a request
needs no trip to the database for its key, and a key that another server revoked ends soon. What
this server changes it forgets at once. The text of a key is never kept, only its hash.
"""

import logging
import time
from collections import OrderedDict
from functools import partial
from hashlib import sha256
from math import inf
from secrets import compare_digest
from time import monotonic
from typing import NamedTuple, cast

import msgspec

from userkeep.domain.errors import Unauthenticated
from userkeep.domain.key import Permission, StoredKey, hash_of_key, id_of_key
from userkeep.domain.scope import Scope
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.times import SECOND, Instant
from userkeep.http.requests import Request
from userkeep.services import authentication
from userkeep.services.authentication import KeyUse
from userkeep.storage.engine import Engine

logger = logging.getLogger(__name__)

STATIC_KEY_ID = "static"
"""The id of the key in USERKEEP_API_KEY."""

_CHECKED_FOR_S = 4.0
"""Less than the 5 s within which every server rejects a revoked key."""

_MAX_CHECKED_KEYS = 10_000
_SCHEMES = (b"bearer", b"api-key")

_MISSING = (
    "This server needs an API key: send it as `Authorization: Bearer uk_…`. Keys are created with "
    "`userkeep keys create`."
)
_REJECTED = "The API key is not valid: it is unknown, revoked or expired."


class _CheckedKey(NamedTuple):
    """A key that was read from the database.

    Attributes:
        scope: in which its requests run.
        until_s: when it must be read again, on the monotonic clock.
        expires_at_s: when it expires, on the clock of the system.
    """

    scope: Scope
    until_s: float
    expires_at_s: float


class Authenticator:
    """Finds the scope of a request by its credential.

    Without any key the instance is open: every request runs in the scope of the default project.

    Args:
        engine: where the keys are stored.
        scope: the scope of an open instance.
        static_key: a key that is always valid, with the scope admin in the default project; empty
            for none.
    """

    def __init__(self, engine: Engine, scope: Scope, static_key: str = "") -> None:
        self._engine = engine
        self._open_scope = scope
        self._static_scope = msgspec.structs.replace(scope, key_id=STATIC_KEY_ID)
        self._static_digest = sha256(static_key.encode()).digest() if static_key else b""
        self._checked: OrderedDict[bytes, _CheckedKey] = OrderedDict()
        self._changes = 0
        self._used: dict[str, tuple[int, float]] = {}
        self._is_open = not static_key
        self._open_until_s = 0.0
        self._has_logged_unchecked_key = False

    @property
    def is_open(self) -> bool:
        """Whether the instance had no key when it was last looked at."""
        return self._is_open

    def known(self, request: Request) -> Scope | None:
        """Return the scope of a request, if that needs no trip to the database; else None."""
        if self._is_open:
            self._check_is_unchecked(request)
            return self._open_scope if monotonic() < self._open_until_s else None
        credential = credential_of(request)
        checked = self._checked.get(sha256(credential).digest()) if credential else None
        now_s = time.time()
        if checked is None or monotonic() >= checked.until_s or now_s >= checked.expires_at_s:
            return None
        scope = checked.scope
        self._used[scope.key_id or ""] = (scope.project_id, now_s)
        return scope

    async def authenticate(self, request: Request) -> Scope:
        """Return the scope of a request, from the database.

        Raises:
            Unauthenticated: it has no credential, or an invalid one.
        """
        if self._is_open and await self._is_still_open():
            return self._open_scope
        credential = credential_of(request)
        if not credential:
            raise Unauthenticated(_MISSING)
        digest = sha256(credential).digest()
        checked = await self._check(credential, digest)
        if checked is None:
            raise Unauthenticated(_REJECTED)
        return checked.scope

    def forget(self) -> None:
        """Forget what was read: a key, a project or a user was changed."""
        self._changes += 1
        self._open_until_s = 0.0
        self._checked.clear()

    async def record_uses(self) -> None:
        """Record in the database when keys were used last."""
        used, self._used = self._used, {}
        uses = [
            KeyUse(project_id, key_id, Instant(int(at_s * SECOND)))
            for key_id, (project_id, at_s) in used.items()
            if key_id != STATIC_KEY_ID
        ]
        if uses:
            await self._engine.write_async(partial(authentication.record_uses, uses=uses))

    async def _is_still_open(self) -> bool:
        changes, now_s = self._changes, monotonic()
        self._is_open = not await self._engine.read_async(authentication.is_required)
        if self._is_open and changes == self._changes:
            self._open_until_s = now_s + _CHECKED_FOR_S
        return self._is_open

    async def _check(self, credential: bytes, digest: bytes) -> _CheckedKey | None:
        """Return a key that is valid, and remember it."""
        changes, until_s = self._changes, monotonic() + _CHECKED_FOR_S
        if self._static_digest and compare_digest(digest, self._static_digest):
            checked = _CheckedKey(self._static_scope, inf, inf)
        else:
            found = await self._find(credential)
            if found is None:
                return None
            scope, expires_at = found
            checked = _CheckedKey(scope, until_s, expires_at / SECOND)
            self._used[scope.key_id or ""] = (scope.project_id, time.time())
        if changes == self._changes:
            self._checked[digest] = checked
        if len(self._checked) > _MAX_CHECKED_KEYS:
            self._checked.popitem(last=False)
        return checked

    async def _find(self, credential: bytes) -> tuple[Scope, Instant] | None:
        """Return the scope of a key of the database, and until when it is valid."""
        key_id = id_of_key(credential)
        if key_id is None:
            return None

        def find(tx: Transaction) -> tuple[StoredKey, Instant] | None:
            key = authentication.find_key(tx, key_id)
            until_at = key.valid_until(hash_of_key(credential), tx.now) if key else None
            return (key, until_at) if key and until_at is not None else None

        found = await self._engine.read_async(find)
        if found is None:
            return None
        key, until_at = found
        scope = Scope(
            key.project_id,
            self._open_scope.rules,
            user_id=key.user_id,
            permission=cast("Permission", key.scope),
            key_id=key.id,
            is_bound=key.user_id is not None,
        )
        return scope, until_at

    def _check_is_unchecked(self, request: Request) -> None:
        """Log once that a credential is sent to an open instance, which does not check it."""
        if self._has_logged_unchecked_key or not credential_of(request):
            return
        self._has_logged_unchecked_key = True
        logger.warning(
            "a request has an API key, but this instance has no keys: it is open, and checks none"
        )


def credential_of(request: Request) -> bytes | None:
    """Return the credential of a request; None if it has none.

    It is in `Authorization: Bearer …` or `Authorization: Api-Key …`, or in the header `Api-Key`.
    """
    authorization = request.headers.get(b"authorization")
    if authorization is None:
        return request.headers.get(b"api-key")
    scheme, _, credential = authorization.partition(b" ")
    return credential.strip() if scheme.lower() in _SCHEMES else None
