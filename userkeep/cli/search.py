"""`userkeep search`: what was found, and the words that were asked for in it."""

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from userkeep.api.search import Explanation, FoundMessage, Hit, Hits, Snippet, WordScore
from userkeep.cli.tables import role_of
from userkeep.cli.terminal import ago, in_one_line, output, print_json, say, visible

_MARK = "bold yellow"
_BETWEEN = ("  ·  ", "dim")


def print_hits(hits: Sequence[Hit], *, as_json: bool) -> None:
    """Print hits, best first; where there is none, a remark."""
    if as_json:
        print_json(Hits(items=list(hits)))
    elif not hits:
        say("Nothing was found.")
    else:
        output().print(_blocks(hits))


def _blocks(hits: Sequence[Hit]) -> Table:
    """A block each: the score, who said it where and when, and the part that shows why."""
    grid = Table.grid(padding=(0, 2))
    is_ranked = any(hit.score for hit in hits)
    if is_ranked:
        grid.add_column(justify="right", style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for place, hit in enumerate(hits):
        if place:
            grid.add_row()
        score = [f"{hit.score:.2f}"] if is_ranked else []
        grid.add_row(*score, Text("\n").join([_said(hit.message), *_shown(hit)]))
    return grid


def _said(message: FoundMessage) -> Text:
    who = role_of(message)
    who.stylize("bold")
    said = Text.assemble(who, _BETWEEN if who else "", in_one_line(message.session_id))
    return said.append(f" #{message.seq:,}  ·  {ago(message.created_at)}", style="dim")


def _shown(hit: Hit) -> Iterator[Text]:
    yield _marked(hit.snippet)
    if hit.explanation is not None:
        because = " times ".join(_factors(hit.explanation, hit.message.seq))
        yield Text(because, style="dim")


def _marked(snippet: Snippet) -> Text:
    shown, end = Text(), 0
    for mark in snippet.marks:
        shown.append(_plain(snippet.text[end : mark.start]))
        shown.append(_plain(snippet.text[mark.start : mark.end]), style=_MARK)
        end = mark.end
    return shown.append(_plain(snippet.text[end:]))


def _plain(text: str) -> str:
    """A piece of a text, in one line."""
    return visible(text).replace("\n", " ").replace("\t", " ")


def _factors(why: Explanation, seq: int) -> Iterator[str]:
    """What a score comes from, such as `(shoes 1.20 + red 0.48 in #4) times 2 for Caroline`."""
    words = [f"{_plain(each.word)} {each.score:.2f}" + _elsewhere(each, seq) for each in why.words]
    total = " + ".join(words)
    yield f"({total})" if len(words) > 1 else total or "the newest"
    if why.participant is not None:
        yield f"2 for {_plain(why.participant)}"
    if why.date is not None:
        yield f"1.5 for {_plain(why.date)}"
    if why.role_weight != 1:
        yield f"{why.role_weight:g} for the role"


def _elsewhere(word: WordScore, seq: int) -> str:
    return "" if word.seq == seq else f" in #{word.seq:,}"
