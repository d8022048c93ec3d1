"""The words of users, kept from the first search for users by words on."""

from functools import partial

from userkeep.domain.scope import Rules
from userkeep.jobs.steps import Read, Sleep, Steps, Write
from userkeep.services import user_words


def keep_user_words(rules: Rules, pause_s: float = 0.0) -> Steps[None]:
    """Let writes keep the words of users, and make those of all existing users, in batches.

    Args:
        pause_s: the pause after each batch, for other writers.
    """
    if not (yield Read(user_words.is_begun)):
        yield Write(user_words.begin)
    while not (yield Write(partial(user_words.build, rules=rules))):
        yield Sleep(pause_s)
