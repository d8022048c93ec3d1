"""Our own conversations, written for these tests; all people in them are fictional.

In `conversations.json` a message that answers a question has an `id`, and the question names it.
There are distractors: messages with words of a question that do not answer it. Kinds:

- `one`, `several`: messages with words of the question;
- `named`: the question names one of the two who talk; `dated`: a month or a day;
- `reply`: the words are in the message before the one that answers ("Do you have pets?").
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from evals.judging import Conversation, Question, Session, Turn

_FILE = Path(__file__).with_name("conversations.json")


def own_conversations() -> list[Conversation]:
    """Return all conversations."""
    return [
        Conversation(
            entry["name"],
            [_session(number, session) for number, session in enumerate(entry["sessions"], 1)],
            [_question(question) for question in entry["questions"]],
        )
        for entry in json.loads(_FILE.read_text("utf-8"))
    ]


def _session(number: int, entry: Any) -> Session:
    return Session(
        datetime.fromisoformat(entry["at"]),
        [
            Turn(
                message.get("id", f"{number}:{place}"),
                message["role"],
                message.get("role_type", "norole"),
                message["content"],
            )
            for place, message in enumerate(entry["messages"], 1)
        ],
    )


def _question(entry: Any) -> Question:
    return Question(entry["question"], entry["kind"], frozenset(entry["evidence"]))
