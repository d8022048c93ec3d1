"""The window of a session: which of its newest messages make the next prompt.

A model rejects a prompt that has the result of a tool without the call, or only some of the results
of a message's calls. So a window begins after results whose call was cut off, and ends before calls
of which some results are still missing.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from userkeep.domain.conversions.tool_ids import tool_call_ids, tool_result_ids
from userkeep.domain.message import Message
from userkeep.domain.values.text import utf8_bytes

_BYTES_PER_TOKEN = 4
_ROLES_OF_RESULTS = {"tool", "function"}


class Window(NamedTuple):
    """The messages of a prompt.

    Attributes:
        messages: oldest first.
        token_count: the sum of their tokens.
        is_truncated: whether messages of the session were left out.
    """

    messages: list[Message]
    token_count: int
    is_truncated: bool


def count_tokens(message: Message) -> int:
    """Return the tokens of a message: the app's count, or a quarter of the bytes of its text.

    The text is the content; where that is empty, the data. The estimate is rounded up.
    """
    if message.token_count is not None:
        return message.token_count
    text = message.content or message.data
    return -(-utf8_bytes(text) // _BYTES_PER_TOKEN)


def fit(newest: Iterable[Message], *, limit: int, max_tokens: int | None) -> Window:
    """Return the newest messages that fit.

    Args:
        newest: the messages of a session, newest first. No more are taken from it than are needed
            to find out whether some are left out.
        limit: how many messages fit.
        max_tokens: how many tokens they may have together; None for any number.
    """
    messages, is_truncated = _without_incomplete_results(newest)
    kept: list[Message] = []
    total, is_cut = 0, False
    for message in messages:
        tokens = count_tokens(message)
        is_cut = len(kept) == limit or (max_tokens is not None and total + tokens > max_tokens)
        if is_cut:
            break
        kept.append(message)
        total += tokens
    kept.reverse()
    window = Window(kept, total, is_cut or is_truncated)
    return after_cut(window) if is_cut else window


def after_cut(window: Window) -> Window:
    """Return the window of a session whose older messages are left out, without their results."""
    orphans = _count_results_without_calls(window.messages)
    tokens = sum(map(count_tokens, window.messages[:orphans]))
    return Window(window.messages[orphans:], window.token_count - tokens, is_truncated=True)


def _without_incomplete_results(newest: Iterable[Message]) -> tuple[Iterator[Message], bool]:
    """Leave out calls at the end, with their results, if only some of the results are there."""
    messages = iter(newest)
    results: list[Message] = []
    calls: list[Message] = []
    before: list[Message] = []
    called: set[str] = set()
    answered: set[str] = set()
    for message in messages:
        of_results = () if calls else tool_result_ids(message.role, message.data)
        if not calls and _is_result(message, of_results):
            results.append(message)
            answered.update(of_results)
            continue
        ids = tool_call_ids(message.role, message.data)
        if not ids:
            before.append(message)
            break
        calls.append(message)
        called.update(ids)
    if answered and called - answered:
        return chain(before, messages), True
    return chain(results, calls, before, messages), False


def _count_results_without_calls(messages: list[Message]) -> int:
    """Return how many messages at the beginning are results whose calls come before all of them.

    In some formats each call is a message of its own, so a cut may leave calls before such results.
    """
    count = 0
    called: set[str] = set()
    for number, message in enumerate(messages, 1):
        results = tool_result_ids(message.role, message.data)
        calls = tool_call_ids(message.role, message.data)
        is_result = _is_result(message, results)
        if is_result and not (called.issuperset(results) if results else called):
            count, called = number, set()
        elif not (is_result or calls):
            break
        else:
            called.update(calls)
    return count


def _is_result(message: Message, result_ids: tuple[str, ...]) -> bool:
    return message.role in _ROLES_OF_RESULTS or bool(result_ids)
