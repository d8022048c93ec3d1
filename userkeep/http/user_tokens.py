"""User tokens, as requests have them: checked without a trip to the database for each.

A token is valid as long as its signature, its key and its user are. Whether the key is valid, and
which users were deleted, is read every few seconds while tokens of the key are used. A user whom
this server deletes is known at once. Whatever is known here: a token is bound to the uuid of its
user, so that it never opens the data of another one.
"""

from collections import OrderedDict
from time import monotonic
from typing import NamedTuple

from userkeep.domain.json_web_tokens import read_token
from userkeep.domain.quota import Quota
from userkeep.domain.scope import Rules, Scope
from userkeep.domain.transaction import Transaction
from userkeep.domain.user_token import UserToken
from userkeep.domain.values.times import SECOND
from userkeep.services import authentication
from userkeep.storage.engine import Engine

_MAX_KEYS = 10_000
_MAX_ENDED_USERS = 100_000


class CheckedKey(NamedTuple):
    """A credential that was found to be valid.

    Attributes:
        scope: in which its requests run.
        until_s: when it must be checked again, on the monotonic clock.
        expires_at_s: when it expires, on the clock of the system.
    """

    scope: Scope
    until_s: float
    expires_at_s: float


class _ValidKey(NamedTuple):
    """A key that was valid.

    Attributes:
        until_s: when it must be read again, on the monotonic clock.
        quota: of its project.
    """

    until_s: float
    quota: Quota | None


class UserTokens:
    """Checks user tokens.

    Args:
        engine: where keys and deletions are stored.
        rules: see Rules.
        static_key_id: the id of the key in the settings, which the database does not have.
        valid_for_s: how long what was read of a key counts.
    """

    def __init__(
        self, engine: Engine, rules: Rules, static_key_id: str, valid_for_s: float
    ) -> None:
        self._engine = engine
        self._rules = rules
        self._static_key_id = static_key_id
        self._valid_for_s = valid_for_s
        self._changes = 0
        self._valid_keys: OrderedDict[tuple[int, str], _ValidKey] = OrderedDict()
        self._ended_users: OrderedDict[str, None] = OrderedDict()

    async def check(self, text: bytes) -> CheckedKey | None:
        """Return the scope of a token, and how long it counts; None if the token is not valid.

        It does not count for longer than what was read of its key: otherwise a token would stay
        valid for up to twice this time after another server has revoked the key.
        """
        token = read_token(text, self._rules.token_key)
        key = await self._valid_key(token) if token is not None else None
        if token is None or key is None or token.user_uuid in self._ended_users:
            return None
        scope = Scope(
            token.project_id,
            self._rules,
            user_id=token.user_id,
            permission=token.scope,
            key_id=token.key_id,
            is_bound=True,
            user_uuid=token.user_uuid,
            quota=key.quota,
        )
        return CheckedKey(scope, key.until_s, token.expires_at / SECOND)

    def forget_keys(self) -> None:
        """Forget which keys are valid: one was changed."""
        self._changes += 1
        self._valid_keys.clear()

    def end(self, user_uuids: list[str]) -> None:
        """End the tokens of users who were deleted."""
        self._ended_users.update(dict.fromkeys(user_uuids))
        while len(self._ended_users) > _MAX_ENDED_USERS:
            self._ended_users.popitem(last=False)

    async def _valid_key(self, token: UserToken) -> _ValidKey | None:
        """Return what is known of the key that made a token; None if the key is not valid."""
        key, changes, now_s = (token.project_id, token.key_id), self._changes, monotonic()
        known = self._valid_keys.get(key)
        if known is not None and known.until_s > now_s:
            return known

        def read(tx: Transaction) -> tuple[bool, list[str], Quota | None]:
            ended = authentication.ended_users(tx, token.project_id)
            is_static = token.key_id == self._static_key_id
            quota = authentication.quota_of(tx, token.project_id)
            return is_static or _is_valid(tx, token), ended, quota

        is_valid, ended, quota = await self._engine.read_async(read)
        self.end(ended)
        if not is_valid:
            return None
        found = _ValidKey(now_s + self._valid_for_s, quota)
        if changes == self._changes:  # else the key may have been revoked since it was read
            self._valid_keys[key] = found
        if len(self._valid_keys) > _MAX_KEYS:
            self._valid_keys.popitem(last=False)
        return found


def _is_valid(tx: Transaction, token: UserToken) -> bool:
    """Return whether the key that made a token is valid, and of the project of the token."""
    key = authentication.find_key(tx, token.key_id)
    return key is not None and key.project_id == token.project_id and key.is_valid(tx.now)
