"""What came of a verification, as a human being reads it."""

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from userkeep.api.erasures import Residue, Scanned, Verification
from userkeep.cli.tables import plain_table
from userkeep.cli.terminal import counted, in_one_line, output, print_json, visible

_KIB = 1024


def print_verification(verification: Verification, *, as_json: bool) -> None:
    """Print whether something was found, where, and how far it was looked for."""
    if as_json:
        print_json(verification)
        return
    if verification.hits:
        output().print(_hits_table(verification.hits))
        output().print()
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in _summary(verification):
        grid.add_row(name, text)
    output().print(grid)


def _hits_table(hits: Sequence[Residue]) -> Table:
    table = plain_table()
    table.add_column("where", overflow="fold", min_width=10)
    table.add_column("what", no_wrap=True)
    table.add_column("encoding", overflow="fold", style="dim")
    table.add_column("times", justify="right")
    # A text may stand a thousand times in one file: a line says where it is first, and how often.
    alike: dict[tuple[str, str, str], list[Residue]] = {}
    for hit in hits:
        what = "subject" if hit.search_term is None else f"search_terms[{hit.search_term}]"
        alike.setdefault((hit.where.partition(" at ")[0], what, hit.encoding), []).append(hit)
    for (_, what, encoding), found in alike.items():
        table.add_row(in_one_line(found[0].where), what, encoding, f"{len(found):,}")
    return table


def _summary(verification: Verification) -> Iterator[tuple[str, Text]]:
    erasure = verification.erasure
    yield "erasure", Text(f"{erasure.id}, {erasure.state}")
    yield "found", _found(verification)
    if verification.id_reused:
        yield "namesake", Text("somebody new bears the id; what is theirs was not counted")
    for name, scanned in zip(
        ("scanned", *[""] * len(verification.scanned)), verification.scanned, strict=False
    ):
        yield name, Text(f"{visible(scanned.name)}, {_amount(scanned)}")
    for name, left in zip(
        ("skipped", *[""] * len(verification.skipped)),
        verification.skipped,
        strict=False,
    ):
        yield name, Text(f"{visible(left.name)}: {visible(left.reason)}")


def _found(verification: Verification) -> Text:
    count, shown = verification.hit_count, len(verification.hits)
    if not verification.found:
        return Text("nothing", style="green")
    more = (
        f", of which the first {shown:,} are counted above; --json lists them"
        if shown < count
        else ""
    )
    return Text(f"{counted(count, 'place')}{more}", style="bold red")


def _amount(scanned: Scanned) -> str:
    if scanned.rows is not None:
        return counted(scanned.rows, "row")
    return f"{-(-(scanned.size_bytes or 0) // _KIB):,} KiB"
