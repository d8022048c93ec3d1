"""Lists of messages, as the SDK returns them."""

from collections.abc import Iterable

from userkeep.api.messages import Message
from userkeep.api.prompts import Prompts


class Messages(list[Message], Prompts):
    """A list of messages, which can be written as a prompt.

    `message.add` returns one. Create one of any other messages of a session:
    `Messages(client.message.list("s1", after_seq=10)).to_openai()`.
    """

    def _prompt_messages(self) -> Iterable[Message]:
        return self
