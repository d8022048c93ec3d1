"""Messages that are ready to append, for tests that call services."""

from userkeep.domain.message import NewMessage
from userkeep.domain.search.analyzer import Analyzer
from userkeep.domain.search.languages import LANGUAGES
from userkeep.services import messages
from userkeep.services.messages import PreparedMessage

_ANALYZER = Analyzer(LANGUAGES["english"])


def prepared(*contents: str) -> list[PreparedMessage]:
    """Return messages with these contents."""
    return messages.prepare(
        _ANALYZER, [NewMessage(role="user", content=content) for content in contents]
    )
