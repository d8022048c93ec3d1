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

from msgspec.structs import replace

from userkeep.domain.errors import Unauthenticated
from userkeep.domain.json_web_tokens import is_signed, is_token
from userkeep.domain.key import Permission, StoredKey, hash_of_key, id_of_key
from userkeep.domain.scope import Scope
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.times import SECOND, Instant
from userkeep.http.rates import FailedAttempts, RateLimit
from userkeep.http.requests import Request
from userkeep.http.user_tokens import CheckedKey, UserTokens
from userkeep.services import authentication
from userkeep.services.authentication import KeyUse
from userkeep.storage.engine import Engine

logger = logging.getLogger(__name__)

_CHECKED_FOR_S = 4.0
"""Less than the 5 s within which every server rejects a revoked key."""

_MAX_CHECKED_KEYS = 10_000
_SCHEMES = (b"bearer", b"api-key")

_ZEP_PATH = b"/api/v1"
_ZEP_KEY_ID = "static-zep"
_STATIC = "static-"
"""The ids of keys that are in the settings begin like this."""

_MISSING = (
    "This server needs an API key: send it as `Authorization: Bearer uk_…`. Keys are created with "
    "`userkeep keys create`."
)
_REJECTED = "The API key is not valid: it is unknown, revoked or expired."


class AuthenticationFigures(NamedTuple):
    """How many requests were rejected.

    Attributes:
        missing: those without a credential.
        invalid: those whose credential is unknown, revoked or expired.
        slowed: those of the invalid ones that got 429, because others of their address waited.
        over_limit: those of a valid key that had sent too many.
    """

    missing: int
    invalid: int
    slowed: int
    over_limit: int


class Authenticator:
    """Finds the scope of a request by its credential.

    Without any key the instance is open: every request runs in the scope of the default project.

    Args:
        engine: where the keys are stored.
        scope: the scope of an open instance.
        static_key: a key that is always valid, with the scope admin in the default project; empty
            for none.
        zep_secret: admits tokens that Zep signed with this secret, to the Zep API; empty for none.
        requests_per_minute: how many requests a key may send; 0 for no limit.
    """

    def __init__(
        self,
        engine: Engine,
        scope: Scope,
        *,
        static_key: str = "",
        zep_secret: str = "",
        requests_per_minute: int = 0,
    ) -> None:
        self._engine = engine
        self._open_scope = scope
        self._static_digest = sha256(static_key.encode()).digest() if static_key else b""
        self._static_key_id = _static_key_id(static_key, scope) if static_key else ""
        self._static_scope = replace(scope, key_id=self._static_key_id)
        self._zep_secret = zep_secret.encode()
        self._zep_scope = replace(scope, key_id=_ZEP_KEY_ID, permission="write")
        self._tokens = UserTokens(engine, scope.rules, self._static_key_id, _CHECKED_FOR_S)
        self._attempts = FailedAttempts()
        self._without_credential = 0
        self._rate_limit = RateLimit(requests_per_minute) if requests_per_minute else None
        self._checked: OrderedDict[bytes, CheckedKey] = OrderedDict()
        self._changes = 0
        self._used: dict[str, tuple[int, float]] = {}
        has_credential = bool(static_key or zep_secret)
        # Known before the first request: an open server checks the Host header, and says so.
        self._is_open = not (has_credential or engine.read(authentication.is_required))
        self._open_until_s = 0.0
        self._has_logged_unchecked_key = False

    @property
    def is_open(self) -> bool:
        """Whether the instance had no key when it was last looked at."""
        return self._is_open

    @property
    def figures(self) -> AuthenticationFigures:
        """How many requests were rejected so far."""
        limit = self._rate_limit
        return AuthenticationFigures(
            self._without_credential,
            self._attempts.total,
            self._attempts.rejected,
            0 if limit is None else limit.rejected,
        )

    def known(self, request: Request) -> Scope | None:
        """Return the scope of a request, if that needs no trip to the database; else None.

        Raises:
            RateLimited: its key has sent too many requests.
        """
        if self._is_open:
            self._check_is_unchecked(request)
            return self._open_scope if monotonic() < self._open_until_s else None
        credential = credential_of(request)
        checked = self._checked.get(_digest(credential, request)) if credential else None
        now_s = time.time()
        if checked is None or monotonic() >= checked.until_s or now_s >= checked.expires_at_s:
            return None
        return self._used_scope(checked.scope, now_s)

    async def authenticate(self, request: Request) -> Scope:
        """Return the scope of a request, from the database.

        Raises:
            Unauthenticated: it has no credential, or an invalid one.
            RateLimited: its key has sent too many requests, or its address too many credentials
                that are invalid.
        """
        if self._is_open and await self._is_still_open():
            return self._open_scope
        credential = credential_of(request)
        if not credential:
            self._without_credential += 1
            raise Unauthenticated(_MISSING)
        return await self.admit(request, credential)

    async def admit(self, request: Request, credential: bytes) -> Scope:
        """Return the scope of a credential that a request has.

        Raises:
            Unauthenticated: it is invalid. RateLimited: as for `authenticate`.
        """
        checked = await self._check(request, credential)
        if checked is None:
            await self._attempts.failed(request.client)
            raise Unauthenticated(_REJECTED)
        return self._used_scope(checked.scope, time.time())

    def proof_of(self, credential: bytes) -> str:
        """Return a keyed hash by which `admit_again` recognizes a key that was admitted."""
        return self._proof(hash_of_key(credential))

    async def admit_again(self, key_id: str, proof: str) -> Scope:
        """Return the scope that a key has now.

        Args:
            key_id: its id.
            proof: from `proof_of`, when it was admitted.

        Raises:
            Unauthenticated: the key is not valid any more. RateLimited: it has sent too many
                requests.
        """
        if self._static_key_id and key_id == self._static_key_id:
            return self._used_scope(await self._with_quota(self._static_scope), time.time())
        found = await self._engine.read_async(partial(self._proven_scope, key_id, proof))
        if found is None:
            raise Unauthenticated(_REJECTED)
        return self._used_scope(found, time.time())

    def _proof(self, text_hash: str) -> str:
        return self._open_scope.rules.id_hash("key of a visit", text_hash)

    def _proven_scope(self, key_id: str, proof: str, tx: Transaction) -> Scope | None:
        key = authentication.find_key(tx, key_id)
        for text_hash in (key.hash, key.former_hash) if key else ():
            if key is None or text_hash is None:
                continue
            if compare_digest(self._proof(text_hash), proof) and key.valid_until(text_hash, tx.now):
                return self._scope_of(tx, key)
        return None

    def forget(self) -> None:
        """Forget what was read: a key or a project was changed."""
        self._changes += 1
        self._open_until_s = 0.0
        self._checked.clear()
        self._tokens.forget_keys()

    def forget_user(self, user_uuid: str) -> None:
        """End the keys and tokens of a user who is being deleted."""
        self.forget()
        self._tokens.end([user_uuid])

    async def record_uses(self) -> None:
        """Record in the database when keys were used last."""
        used, self._used = self._used, {}
        uses = [
            KeyUse(project_id, key_id, Instant(int(at_s * SECOND)))
            for key_id, (project_id, at_s) in used.items()
        ]
        if uses:
            await self._engine.write_async(partial(authentication.record_uses, uses=uses))

    def _used_scope(self, scope: Scope, now_s: float) -> Scope:
        """Count a request and return its scope."""
        key_id = scope.key_id or ""
        if self._rate_limit is not None:
            self._rate_limit.take(f"{key_id} {scope.user_uuid}" if scope.is_bound else key_id)
        if not key_id.startswith(_STATIC):
            self._used[key_id] = (scope.project_id, now_s)
        return scope

    async def _is_still_open(self) -> bool:
        changes, now_s = self._changes, monotonic()
        self._is_open = not await self._engine.read_async(authentication.is_required)
        self._open_scope = await self._with_quota(self._open_scope)
        if self._is_open and changes == self._changes:
            self._open_until_s = now_s + _CHECKED_FOR_S
        return self._is_open

    async def _check(self, request: Request, credential: bytes) -> CheckedKey | None:
        """Return what a credential permits, and remember it; None if it is not valid."""
        changes = self._changes
        checked = await self._find(request, credential)
        if checked is None:
            return None
        if changes == self._changes:
            self._checked[_digest(credential, request)] = checked
        if len(self._checked) > _MAX_CHECKED_KEYS:
            self._checked.popitem(last=False)
        return checked

    async def _find(self, request: Request, credential: bytes) -> CheckedKey | None:
        until_s = monotonic() + _CHECKED_FOR_S
        if self._static_digest and compare_digest(sha256(credential).digest(), self._static_digest):
            return CheckedKey(await self._with_quota(self._static_scope), until_s, inf)
        if is_token(credential):
            found = await self._tokens.check(credential)
            if found is None and self._is_of_zep(request, credential):
                return CheckedKey(await self._with_quota(self._zep_scope), until_s, inf)
            return found
        key_id = id_of_key(credential)
        if key_id is None:
            return None
        read = partial(self._key_scope, credential, key_id)
        of_key = await self._engine.read_async(read)
        if of_key is None:
            return None
        scope, expires_at = of_key
        return CheckedKey(scope, until_s, expires_at / SECOND)

    def _key_scope(
        self, credential: bytes, key_id: str, tx: Transaction
    ) -> tuple[Scope, Instant] | None:
        """Return the scope of a key of the database, and until when it is valid."""
        key = authentication.find_key(tx, key_id)
        expires_at = key.valid_until(hash_of_key(credential), tx.now) if key else None
        if key is None or expires_at is None:
            return None
        return self._scope_of(tx, key), expires_at

    def _scope_of(self, tx: Transaction, key: StoredKey) -> Scope:
        return Scope(
            key.project_id,
            self._open_scope.rules,
            user_id=key.user_id,
            permission=cast("Permission", key.scope),
            key_id=key.id,
            is_bound=key.user_id is not None,
            user_uuid=key.user_uuid,
            quota=authentication.quota_of(tx, key.project_id),
        )

    async def _with_quota(self, scope: Scope) -> Scope:
        """Return a scope with the quota that its project has now."""
        read = partial(authentication.quota_of, project_id=scope.project_id)
        return replace(scope, quota=await self._engine.read_async(read))

    def _is_of_zep(self, request: Request, credential: bytes) -> bool:
        """Return whether a credential is a token of Zep's, and the request one to the Zep API.

        It is remembered for some seconds, and so valid for some seconds longer than it says.
        """
        return (
            bool(self._zep_secret)
            and request.path.startswith(_ZEP_PATH)
            and is_signed(credential, self._zep_secret)
        )

    def _check_is_unchecked(self, request: Request) -> None:
        """Log once that a credential is sent to an open instance, which does not check it."""
        if self._has_logged_unchecked_key or not credential_of(request):
            return
        self._has_logged_unchecked_key = True
        logger.warning(
            "a request has an API key, but this instance has no keys: it is open, and checks none"
        )


def _static_key_id(static_key: str, scope: Scope) -> str:
    """Return the id of the key in the settings, which user tokens contain.

    It is a keyed hash: with a plain one, a browser could test guesses of the key.
    """
    return f"{_STATIC}{scope.rules.id_hash('key in the settings', static_key)[:8]}"


def _digest(credential: bytes, request: Request) -> bytes:
    """Return what a credential is remembered by: Zep's tokens are valid for the Zep API alone."""
    is_for_zep = is_token(credential) and request.path.startswith(_ZEP_PATH)
    return sha256(b"zep " + credential if is_for_zep else credential).digest()


def credential_of(request: Request) -> bytes | None:
    """Return the credential of a request; None if it has none.

    It is in `Authorization: Bearer …` or `Authorization: Api-Key …`, or in the header `Api-Key`.
    """
    authorization = request.headers.get(b"authorization")
    if authorization is None:
        return request.headers.get(b"api-key")
    scheme, _, credential = authorization.partition(b" ")
    return credential.strip() if scheme.lower() in _SCHEMES else None
