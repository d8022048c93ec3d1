"""The job of one verification."""

import logging
from functools import partial
from time import monotonic

from userkeep.domain.embedding import (
    LONGEST_EMBEDDED_TEXT,
    EmbeddingFailed,
    TextRejected,
    Vector,
)
from userkeep.domain.errors import Unavailable, UserkeepError
from userkeep.domain.scope import Scope
from userkeep.domain.transaction import scoped
from userkeep.domain.verification import (
    Findings,
    Verification,
    VerificationRequest,
    VerificationState,
)
from userkeep.jobs.steps import Embed, Steps, Work, Write
from userkeep.jobs.verify.verifier import Verifier
from userkeep.services import verifications
from userkeep.storage.engine import Engine

logger = logging.getLogger(__name__)

_RENEW_EVERY_S = 5.0
_STOPPED = "The verification was stopped before its end. Start it again."
_FAULT = "Something went wrong in the verification; it is logged."


class VerificationJob:
    """Verifies an erasure and records the findings.

    Attributes:
        verification: as it is now.
    """

    def __init__(
        self, scope: Scope, request: VerificationRequest, verification: Verification
    ) -> None:
        self._scope = scope
        self._request = request
        self.verification = verification
        self._is_stopping = False
        self._renewed_at_s = monotonic()

    @property
    def kind(self) -> str:
        """Its name."""
        return "verification"

    @property
    def key(self) -> str:
        """The verification's uuid."""
        return self.verification.uuid

    @property
    def is_finished(self) -> bool:
        """Whether there are findings, or a reason why there are none."""
        return self.verification.state != VerificationState.RUNNING

    @property
    def ends_with_client(self) -> bool:
        """Without a response, no client knows the verification's id."""
        return True

    @property
    def may_respond(self) -> bool:
        """It is stored, and so accepted."""
        return True

    def stop(self) -> None:
        """Make the search end soon, as failed."""
        self._is_stopping = True

    def steps(self) -> Steps[None]:
        """Search, and record the findings."""
        try:
            vectors = yield from self._vectors()
            findings = yield Work(partial(self._verify, vectors=vectors))
            end = scoped(self._scope, verifications.finish, self.key, findings)
        except UserkeepError as error:
            end = scoped(self._scope, verifications.fail, self.key, error.detail)
        except Exception:
            # Not retried: the search terms should not stay in memory.
            logger.exception("verification %s failed", self.key)
            end = scoped(self._scope, verifications.fail, self.key, _FAULT)
        self.verification = yield Write(end)

    def _vectors(self) -> Steps[list[Vector | None] | None]:
        """Return the embeddings of the search terms, if no text leaves this machine for that."""
        if not self._scope.rules.is_embedder_local:
            return None
        found: list[Vector | None] = []
        for text in self._request.search_terms:
            try:
                [vector] = yield Embed([text[:LONGEST_EMBEDDED_TEXT]])
            except TextRejected:
                found.append(None)
            except EmbeddingFailed as error:
                logger.warning("embeddings are not verified: %s", error.detail)
                return None
            else:
                found.append(vector)
        return found

    def _verify(self, engine: Engine, vectors: list[Vector | None] | None) -> Findings:
        def check() -> None:
            self._check(engine)

        return Verifier(engine, self._scope, self._request, check, vectors).run()

    def _check(self, engine: Engine) -> None:
        """Stop if asked to; renew the lease from time to time."""
        if self._is_stopping:
            raise Unavailable(_STOPPED)
        if monotonic() - self._renewed_at_s > _RENEW_EVERY_S:
            self._renewed_at_s = monotonic()
            engine.write(scoped(self._scope, verifications.renew, self.key))
