"""Messages as the prompt of a model provider: methods of what has messages."""

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import UNSET

from userkeep.api.messages import Message
from userkeep.domain.conversions import prompts
from userkeep.domain.conversions.prompts import UnsupportedMode
from userkeep.domain.conversions.reading import MessageFields
from userkeep.domain.conversions.shapes import MARK
from userkeep.domain.errors import InvalidField


class Prompts:
    """The methods that return messages as a prompt, oldest first.

    A message that was read from a format is written in this format exactly as it was, except for
    changes of its role, name or content since. Other messages are converted.
    """

    __slots__ = ()

    def to_openai(self, *, unsupported: UnsupportedMode = "error") -> list[dict[str, Any]]:
        """Return the `messages` of a request to OpenAI's Chat Completions API.

        Args:
            unsupported: what to do with a part that the format cannot express: raise an `error`,
                write a `text` such as `[thinking]` in its place, or `omit` it.

        Raises:
            InvalidField: the format cannot express a part; the error names the message.
        """
        return prompts.to_openai(self._fields(), unsupported)

    def to_openai_responses(
        self, *, unsupported: UnsupportedMode = "error"
    ) -> list[dict[str, Any]]:
        """Return the `input` of a request to OpenAI's Responses API.

        Args:
            unsupported: as in `to_openai`.

        Raises:
            InvalidField: the format cannot express a part; the error names the message.
        """
        return prompts.to_openai_responses(self._fields(), unsupported)

    def to_anthropic(self, *, unsupported: UnsupportedMode = "error") -> dict[str, Any]:
        """Return the `messages` of a request to Anthropic's Messages API, and the `system`.

        `system` has the text of messages with the roles `system` and `developer` at the beginning,
        and is absent if there are none. Later ones stay at their place. Pass the result as keyword
        arguments: `create(model=…, max_tokens=…, **memory.to_anthropic())`.

        Args:
            unsupported: as in `to_openai`.

        Raises:
            InvalidField: the format cannot express a part; the error names the message.
        """
        return prompts.to_anthropic(self._fields(), unsupported)

    def _fields(self) -> Iterator[MessageFields]:
        for message in sorted(self._prompt_messages(), key=lambda message: message.seq):
            _check_is_whole(message)
            yield MessageFields(
                role=message.role,
                name=message.name,
                content=message.content,
                data=message.data,
                data_format=(message.metadata or {}).get(MARK),
                place=f"message {message.seq}",
                is_edited=message.edited_at is not None,
            )

    def _prompt_messages(self) -> Iterable[Message]:
        """Return the messages, in any order."""
        raise NotImplementedError


def _check_is_whole(message: Message) -> None:
    for name in ("content", "data", "metadata"):
        if getattr(message, name) is UNSET:
            raise InvalidField(
                f"message {message.seq} was read without its {name}, and cannot be written as a "
                "prompt. Read it without `omit`.",
                name,
            )
