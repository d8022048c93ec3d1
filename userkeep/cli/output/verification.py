"""The result of a verification."""

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from userkeep.api.erasures import Residue, Scanned, Verification
from userkeep.cli.output.escaping import escape_control
from userkeep.cli.output.tables import plain_table
from userkeep.cli.output.terminal import one_line, print_json, stdout_console
from userkeep.domain.values.counts import pluralize

_KIB = 1024


def print_verification(
    verification: Verification, search_terms: Sequence[str], *, as_json: bool
) -> None:
    """Print whether deleted data was found, where, and what was scanned.

    Args:
        search_terms: those of the command, of which the short words are printed.
    """
    if as_json:
        print_json(verification)
        return
    if verification.hits:
        stdout_console().print(_hits_table(verification.hits))
        stdout_console().print()
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in _summary(verification, search_terms):
        grid.add_row(name, text)
    stdout_console().print(grid)


def _hits_table(hits: Sequence[Residue]) -> Table:
    table = plain_table()
    table.add_column("where", overflow="fold", min_width=10)
    table.add_column("match", no_wrap=True)
    table.add_column("encoding", overflow="fold", style="dim")
    table.add_column("times", justify="right")
    # A text may be in one file a thousand times: a line has the first place, and the number.
    groups: dict[tuple[str, str, str], list[Residue]] = {}
    for hit in hits:
        match = "subject" if hit.search_term is None else f"search_terms[{hit.search_term}]"
        groups.setdefault((hit.where.partition(" at ")[0], match, hit.encoding), []).append(hit)
    for (_, match, encoding), found in groups.items():
        table.add_row(one_line(found[0].where), match, encoding, f"{len(found):,}")
    return table


def _summary(verification: Verification, search_terms: Sequence[str]) -> Iterator[tuple[str, Text]]:
    erasure = verification.erasure
    yield "erasure", one_line(f"{erasure.id}, {erasure.state}")
    yield "result", one_line(verification.result or verification.state)
    yield "found", _found(verification)
    if verification.id_reused:
        yield "reused id", Text("a new object has this id; its data was not counted")
    yield from _labelled(
        "scanned",
        [f"{each.name}, {_amount(each)}" for each in verification.scanned],
    )
    yield from _labelled(
        "skipped",
        [f"{each.name}: {each.reason}" for each in verification.skipped],
    )
    yield from _labelled("short words", list(_short_words(verification, search_terms)))


def _short_words(verification: Verification, search_terms: Sequence[str]) -> Iterator[str]:
    """Return a line for each search term with words that the index was not searched for."""
    for number, search_term in enumerate(search_terms):
        words = [
            search_term[each.start : each.end]
            for each in verification.short_words
            if each.search_term == number
        ]
        if words:
            yield f"not looked for in the index: {', '.join(words)} (of search_terms[{number}])"


def _labelled(label: str, lines: Sequence[str]) -> Iterator[tuple[str, Text]]:
    """Put the label beside the first line only."""
    for index, line in enumerate(lines):
        yield label if index == 0 else "", Text(escape_control(line))


def _found(verification: Verification) -> Text:
    count, listed = verification.hit_count, len(verification.hits)
    if not verification.found:
        # What was skipped may have some.
        text = "nothing in what was scanned" if verification.skipped else "nothing"
        return Text(text, style="green" if verification.result == "clear" else "yellow")
    note = f"; the table shows the first {listed:,}" if listed < count else ""
    return Text(f"{pluralize(count, 'place')}{note}", style="bold red")


def _amount(scanned: Scanned) -> str:
    if scanned.rows is not None:
        return pluralize(scanned.rows, "row")
    return f"{-(-(scanned.size_bytes or 0) // _KIB):,} KiB"
