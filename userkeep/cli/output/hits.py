"""Hits of a search, with the matched words marked."""

from collections.abc import Iterator, Sequence

from msgspec import UNSET
from rich.table import Table
from rich.text import Text

from userkeep.api.search import Explanation, FoundMessage, Hit, MeaningScore, Snippet, WordScore
from userkeep.cli.output.escaping import escape_control
from userkeep.cli.output.tables import role_of
from userkeep.cli.output.terminal import humanize, one_line, print_json, print_note, stdout_console
from userkeep.sdk.hits import Hits

_MARK = "bold yellow"
_SEPARATOR = ("  ·  ", "dim")


def print_hits(hits: Hits, *, as_json: bool) -> None:
    """Print hits, best first, and in notes why there are none, or why words alone were compared."""
    if as_json:
        print_json(hits.to_wire())
        return
    if hits.degraded is not None:
        print_note(f"Only words were compared. {hits.degraded.detail}")
    if not hits:
        print_note("No messages found.")
        if hits.query is not None and hits.query.note:
            print_note(hits.query.note)
    else:
        stdout_console().print(_blocks(hits))


def _blocks(hits: Sequence[Hit]) -> Table:
    """Return a block for each hit: the score, the message's role, place and time, and a snippet."""
    grid = Table.grid(padding=(0, 2))
    is_ranked = any(hit.score for hit in hits)
    if is_ranked:
        grid.add_column(justify="right", style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for index, hit in enumerate(hits):
        if index:
            grid.add_row()
        score = [f"{hit.score:.2f}"] if is_ranked else []
        grid.add_row(*score, Text("\n").join([_heading(hit.message), *_body(hit)]))
    return grid


def _heading(message: FoundMessage) -> Text:
    role = role_of(message)
    role.stylize("bold")
    heading = Text.assemble(role, _SEPARATOR if role else "", one_line(message.session_id))
    return heading.append(f" #{message.seq:,}  ·  {humanize(message.created_at)}", style="dim")


def _body(hit: Hit) -> Iterator[Text]:
    yield _marked(hit.snippet)
    if hit.explanation is not None:
        formula = " times ".join(_factors(hit.explanation, hit.message.seq))
        yield Text(formula, style="dim")


def _marked(snippet: Snippet) -> Text:
    text, end = Text(), 0
    for mark in snippet.marks:
        text.append(_plain(snippet.text[end : mark.start]))
        text.append(_plain(snippet.text[mark.start : mark.end]), style=_MARK)
        end = mark.end
    return text.append(_plain(snippet.text[end:]))


def _plain(text: str) -> str:
    """Format a part of a text in one line."""
    return escape_control(text).replace("\n", " ").replace("\t", " ")


def _factors(explanation: Explanation, seq: int) -> Iterator[str]:
    """Yield the factors of a score: `(shoes 1.20 + red 0.48 in #4)`, `2 for Caroline`."""
    words = [
        f"{_plain(each.word)} {each.score:.2f}" + _other_message(each, seq)
        for each in explanation.words
    ]
    meaning = explanation.meaning
    if meaning is not UNSET and meaning is not None:
        words.append(f"meaning {meaning.score:.2f}" + _other_message(meaning, seq))
    total = " + ".join(words)
    yield f"({total})" if len(words) > 1 else total or "the newest"
    if explanation.participant is not None:
        yield f"2 for {_plain(explanation.participant)}"
    if explanation.date is not None:
        yield f"1.5 for {_plain(explanation.date)}"
    if explanation.role_weight != 1:
        yield f"{explanation.role_weight:g} for the role"


def _other_message(part: WordScore | MeaningScore, seq: int) -> str:
    return "" if part.seq == seq else f" in #{part.seq:,}"
