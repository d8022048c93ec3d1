"""Lists of messages, as the SDK returns them."""

from collections.abc import Iterable

from userkeep.api.messages import Message
from userkeep.api.prompts import Prompts
from userkeep.sdk.pages import Page


class Messages(list[Message], Prompts):
    """A list of messages, which can be written as a prompt.

    `message.add` returns one. Create one of any other messages of a session:
    `Messages(client.message.list_all("s1")).to_openai()`.
    """

    def _prompt_messages(self) -> Iterable[Message]:
        return self


class MessagePage(Page[Message], Prompts):
    """A page of a list of messages, which can be written as a prompt.

    Attributes:
        next: the `cursor` of the next page; None on the last page.
    """

    def _prompt_messages(self) -> Iterable[Message]:
        return self
