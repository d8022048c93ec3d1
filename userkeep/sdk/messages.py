"""Lists of messages, as the SDK returns them."""

from collections.abc import Iterable
from typing import Any

from userkeep.api.encoding import to_json_text, to_plain
from userkeep.api.messages import Message
from userkeep.api.prompts import Prompts


class Messages(list[Message], Prompts):
    """A list of messages, which can be written as a prompt.

    `message.add` returns one. Create one of any other messages of a session:
    `Messages(client.message.list("s1", after_seq=10)).to_openai()`.
    """

    def _prompt_messages(self) -> Iterable[Message]:
        return self

    def to_dict(self) -> list[dict[str, Any]]:
        """Return a list of the messages as the HTTP API sends them."""
        messages: list[dict[str, Any]] = to_plain(list(self))
        return messages

    def to_json(self) -> str:
        """Return the messages as a JSON list."""
        return to_json_text(list(self))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return {
            "type": "function-after",
            "function": {"type": "no-info", "function": cls},
            "schema": handler.generate_schema(list[Message]),
        }
