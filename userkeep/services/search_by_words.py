"""Score messages by the words of a query.

The index knows which messages have which words; `domain.search.ranking` decides which of them are
meant. Postings are read a limited number at a time, and a query that has too many is rejected.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Literal

import msgspec

from userkeep.domain.errors import InvalidField
from userkeep.domain.search.query import ParsedQuery, QueryWords, plain_words, web_words
from userkeep.domain.search.ranking import CorpusStats, DocPosition, Posting, Scorer
from userkeep.domain.transaction import Transaction
from userkeep.services.searched_part import SearchedPart

Syntax = Literal["plain", "web"]
"""How a query is read."""

_POSTINGS_AT_ONCE = 300_000
"""How many postings are in memory at a time, 200 bytes each, and so how many one word may have."""

_MAX_SPEAKER_COUNT = 10_000
"""Up to how many messages of speakers whom the query names are counted."""

_MAX_POSITIONS = 1_000_000
"""How many messages a search may score, with their neighbours; 130 bytes each."""


class WordScore(msgspec.Struct):
    """What a word of the query contributes to a message, and the seq of the message that has it."""

    word: str
    score: float
    seq: int


def searched_words(tx: Transaction, query: str, syntax: Syntax) -> list[str]:
    """Return the words of a query that a search looks for, each once, in the query's order."""
    return list(dict.fromkeys(_words(tx, query, syntax).terms.values()))


def parse(
    tx: Transaction,
    query: str,
    syntax: Syntax,
    part: SearchedPart,
    role_weights: Mapping[str, float],
) -> ParsedQuery:
    """Parse a query, with the terms that are in names of speakers of the searched part.

    Args:
        role_weights: by role, instead of the default weights.
    """
    words = _words(tx, query, syntax)
    counts = tx.search_index.speaker_counts(
        words.whole_terms, part.search_scope, part.session_id, limit=_MAX_SPEAKER_COUNT
    )
    return ParsedQuery(words, counts, role_weights, tx.scope.rules.analyzer)


def score(
    tx: Transaction,
    parsed: ParsedQuery,
    part: SearchedPart,
    *,
    has_words: bool,
    keeps_neighbours: bool,
) -> Scorer:
    """Return the scores of the messages that have some of the query's terms, by the index alone.

    Args:
        has_words: whether these scores count; otherwise only what is required and excluded does.
        keeps_neighbours: whether messages near those with a term get scores too.

    Raises:
        InvalidField: the query has too many matches to rank.
    """
    stats = tx.fetch_one("corpus_stats", CorpusStats, **part.owner) or CorpusStats(0, 0)
    scorer = Scorer(stats, keeps_neighbours=keeps_neighbours)
    words = parsed.words
    terms, missing = list(words.terms), set(words.required_terms)
    if not (has_words or words.required):
        terms = [term for term in terms if term in missing]
    for ordinal, postings in _postings(tx, terms, part):
        term = terms[ordinal]
        count = parsed.speaker_counts.get(term, 0)
        scorer.add(postings, count, is_required=term in words.required_terms)
        _check_positions(scorer, part)
        missing.discard(term)
    if missing:
        scorer = Scorer(stats)
        scorer.add((), is_required=True)
        return scorer
    if words.excluded_terms:
        for _ordinal, postings in _postings(tx, words.excluded_terms, part):
            scorer.exclude(postings)
    return scorer


def explain(
    tx: Transaction,
    parsed: ParsedQuery,
    part: SearchedPart,
    scorer: Scorer,
    seqs: Mapping[DocPosition, int],
    best_score: float,
) -> dict[DocPosition, list[WordScore]]:
    """Return what each word contributes to each hit, the greatest part first.

    Args:
        scorer: from `score`.
        seqs: of the hits, by their positions.
        best_score: what the scores are divided by.
    """
    words = list(parsed.words.terms.items())
    scores: dict[DocPosition, list[WordScore]] = {position: [] for position in seqs}
    for ordinal, postings in _postings(tx, list(parsed.words.terms), part):
        term, word = words[ordinal]
        count = parsed.speaker_counts.get(term, 0)
        for position, score, offset in scorer.explain(postings, seqs, count):
            scores[position].append(WordScore(word, score / best_score, seqs[position] + offset))
    for of_hit in scores.values():
        of_hit.sort(key=lambda each: -each.score)
    return scores


def _words(tx: Transaction, query: str, syntax: Syntax) -> QueryWords:
    return (web_words if syntax == "web" else plain_words)(query, tx.scope.rules.analyzer)


def _postings(
    tx: Transaction, terms: Sequence[str], part: SearchedPart
) -> Iterator[tuple[int, Iterator[Posting]]]:
    """Yield the postings of each term, by its ordinal, in order.

    The terms are read together, and in halves where they have too many postings for that.

    Raises:
        InvalidField: the terms have more postings than a search may rank.
    """
    at_once = min(_POSTINGS_AT_ONCE, tx.scope.rules.search_match_limit)
    to_read = [range(len(terms))]
    while to_read:
        ordinals = to_read.pop()
        wanted = terms[ordinals.start : ordinals.stop]
        found = tx.search_index.postings(
            wanted, part.search_scope, part.session_id, limit=at_once + 1
        )
        if len(found) <= at_once:
            yield from _by_term(tx, found, ordinals.start)
            continue
        # An error keeps what its frames refer to, for as long as it is somewhere itself.
        del found
        if len(wanted) == 1:
            raise _too_many(part, "A word of the query is in", f"{at_once:,} messages")
        if len(wanted) == len(terms):
            _check_matches(tx, terms, part)
        middle = ordinals.start + len(wanted) // 2
        to_read += [range(middle, ordinals.stop), range(ordinals.start, middle)]


def _by_term(
    tx: Transaction, found: list[Posting], first: int
) -> Iterator[tuple[int, Iterator[Posting]]]:
    found.sort(key=itemgetter(0))
    for term, postings in groupby(found, key=itemgetter(0)):
        yield first + term, postings
        tx.check_deadline()


def _check_matches(tx: Transaction, terms: Sequence[str], part: SearchedPart) -> None:
    limit = tx.scope.rules.search_match_limit
    count = tx.search_index.count_postings(
        terms, part.search_scope, part.session_id, limit=limit + 1
    )
    if count > limit:
        raise _too_many(part, "The words of the query have together", f"{limit:,} matches")


def _check_positions(scorer: Scorer, part: SearchedPart) -> None:
    if len(scorer) > _MAX_POSITIONS:
        of = "The words of the query are in or near"
        raise _too_many(part, of, f"{_MAX_POSITIONS:,} messages")


def _too_many(part: SearchedPart, of: str, what: str) -> InvalidField:
    advice = "Use fewer or rarer words."
    if part.session_id is None:
        narrower = "a session" if part.user_id is not None else "a user or a session"
        advice = f"Use fewer or rarer words, or search in {narrower}."
    return InvalidField(f"query: {of} more than {what}. {advice}", "query")
