"""Fold the e-mail addresses of existing users again, where they were folded by other rules."""

from functools import partial

from userkeep.domain.scope import Rules
from userkeep.services import email_folding
from userkeep.storage.engine import Engine


def fold_emails(engine: Engine, rules: Rules) -> None:
    """Fold all addresses, or continue where this was interrupted."""
    is_done = False
    while not is_done:
        is_done = engine.write(partial(email_folding.advance, rules=rules))
