"""Turn texts into terms: the words in the form in which the full-text index stores them.

Each engine has a tokenizer of its own, and they differ: the same query would find a message on one
engine and not on the other. So both engines get terms from here, and only store and look them up.

- A term is a sequence of letters and digits of any script. Everything else separates terms,
  including an apostrophe, a hyphen and an underscore.
- Case and accents are ignored: `Café`, `cafe` and `CAFÉ` are the same term, and so are `Łódź` and
  `lodz`. Marks that a script cannot be read without (a vowel in Devanagari or Thai, the dots of
  `が`) are kept.
- Invisible characters (a soft hyphen, a byte order mark, marks of direction) and the Arabic
  tatweel are not there at all, except two: a zero-width space ends a term, and at a zero-width
  non-joiner, which some write and others leave out, a text is read both joined and split.
- The language's stemmer removes endings: `shoe` finds `shoes`.
- Chinese, Japanese, Korean, Thai, Lao, Burmese and Khmer have no spaces between words, or attach
  endings to them, and cannot be segmented well without a dictionary. There, each character and each
  pair of adjacent characters is a term: a query for 京都 finds texts that have the pair.
- An emoji is a term.
- A word that is longer than a term may be is its beginning and a hash of the whole.

No call of C reads more than a part of a text, because no other thread runs while it does.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence, Set
from functools import cache, lru_cache
from hashlib import blake2b
from heapq import merge
from operator import attrgetter
from threading import Lock
from typing import NamedTuple

import Stemmer

from userkeep.domain.search.languages import Language

RULES_VERSION = 3
"""The version of the rules in this module. An index built by other rules is rebuilt."""

MAX_TERM_LENGTH = 64
"""In code points. It must be possible to index a term, and to keep it in memory."""

MIN_BEGINNING_LENGTH = 3
"""Of fewer code points, too many words of an index have the same beginning."""

_HASHED_BYTES = 8
_KEPT_LENGTH = MAX_TERM_LENGTH - 2 * _HASHED_BYTES
"""How much of a longer word is in its term, before the hash."""

MAX_INDEXED_BYTES = 256 * 1024
"""How much of a message's content is indexed. The rest is stored, but not found."""

_CACHE_SIZE = 1 << 16

_BLOCK = 1 << 13
"""How many code points a call of C reads, twice as many at most; where nothing matches, it needs
10 ms for them."""

# Scripts that do not separate words by spaces, and emoji, as ranges of code points.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1100-\u11ff\u3005-\u3007\u3040-\u30ff\u3130-\u318f"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\U00020000-\U000323af"
)
_EMOJI = "\u231a-\u23ff\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff"
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_ASCII_PIECE = re.compile("[A-Za-z0-9]+")
_BETWEEN_PUNCTUATION = re.compile(r"[^\x00-/:-@\[-`{-\xa9\xab-\xb1\xb4\xb6-\xb8\xbb\xbf\s]+")

# Unicode's default-ignorable code points but U+200B and U+200C, and the tatweel, which only makes
# an Arabic word longer.
_INVISIBLE_CHARACTERS = (
    "\u00ad\u034f\u0640\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200d-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
)
_RARELY_INVISIBLE = "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
_NON_JOINER = "\u200c"
_INVISIBLE = re.compile(f"[{_INVISIBLE_CHARACTERS}{_RARELY_INVISIBLE}]+")
_INVISIBLE_OR_NON_JOINER = re.compile(f"[{_INVISIBLE_CHARACTERS}{_RARELY_INVISIBLE}{_NON_JOINER}]+")
# Five times as fast as the others, because it is one class with one range above U+FFFF.
_MAYBE_INVISIBLE = re.compile(f"[{_INVISIBLE_CHARACTERS}\U0001bca0-\U000e0fff]")
_LETTERS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe"})
"""Letters that Unicode does not take apart, as people type them who do not have them."""


class TermSpan(NamedTuple):
    """Where terms are in a text; `end` is exclusive."""

    terms: tuple[str, ...]
    start: int
    end: int


class Analyzer:
    """Turns texts of one language into terms. Thread-safe."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._stemmer = Stemmer.Stemmer(language.stemmer, 0) if language.stemmer else None
        self._stemmer_lock = Lock()  # a stemmer is not thread-safe
        self._cached_stem = lru_cache(_CACHE_SIZE)(self._stem)
        self._cached_terms = lru_cache(_CACHE_SIZE)(self._terms)
        self._cached_longest = lru_cache(_CACHE_SIZE)(lambda piece: _longest(self._terms(piece)))
        self.stop_words = frozenset(fold(word) for word in language.stop_words)

    @property
    def version(self) -> str:
        """The language and the version of the rules that an index is built by."""
        return f"{self.language.name} {RULES_VERSION}"

    def tokenize(self, text: str) -> list[str]:
        """Return all terms of a text, in their order, with repetitions."""
        if text.isascii():
            words = _ASCII_PIECE.findall(text.lower())
            if max(map(len, words), default=0) <= MAX_TERM_LENGTH:
                return list(map(self._cached_stem, words))
            return [term for word in words for term in self._terms_of(word)]
        visible = _without_invisible(text)
        # A paragraph without spaces is not worth a place in the cache.
        cached, uncached = self._cached_terms, self._terms
        return [
            term
            for start, end in _blocks(visible)
            for piece in _BETWEEN_PUNCTUATION.findall(visible, start, end)
            for term in (cached(piece) if len(piece) <= MAX_TERM_LENGTH else uncached(piece))
        ]

    def query_terms(self, query: str) -> dict[str, str]:
        """Return the terms to search for, each with the word of the query that it stands for.

        Stop words are left out, unless the query has no other words.
        """
        all_terms: dict[str, str] = {}
        content_terms: dict[str, str] = {}
        for piece in dict.fromkeys(_pieces(_without_invisible(query))):
            terms = _longest(self._terms(piece))
            all_terms |= {term: piece for term in terms if term not in all_terms}
            if fold(piece) not in self.stop_words:
                content_terms |= {term: piece for term in terms if term not in content_terms}
        return content_terms or all_terms

    def readings(self, text: str) -> list[str]:
        """Return the terms of a text in their order, with a space before and after each.

        There are two readings where there is a zero-width non-joiner: split and joined. Of scripts
        without spaces, each character is a term.
        """
        if text.isascii():
            return [_spaced(self.tokenize(text))]
        visible = _without_invisible(text)
        readings = [_spaced(self._in_order(visible))]
        if _NON_JOINER in visible:
            readings.append(_spaced(self._in_order(visible.replace(_NON_JOINER, ""))))
        return readings

    def beginning(self, word: str) -> tuple[str, frozenset[str]] | None:
        """Return how the terms begin of words that begin with a word, and those that do not.

        `hiki` gives the beginning `hiki` and the term `hike`, which is that of `hiking`. None: the
        word is too short, or of a script in which each character is a term.
        """
        start = fold(word)
        is_word = _pieces(start) == [start] and not _IS_UNSPACED.match(start)
        if not is_word or not MIN_BEGINNING_LENGTH <= len(start) <= MAX_TERM_LENGTH:
            return None
        others = {
            term
            for completed in _completed(start, self.language.endings)
            for term in self._terms(completed)
            if not term.startswith(start)
        }
        return start, frozenset(others)

    def _in_order(self, text: str) -> Iterator[str]:
        for match in _piece_matches(text):
            piece = match[0]
            yield from fold(piece) if _IS_UNSPACED.match(piece) else self._terms_of(piece)

    def find_terms(self, text: str, wanted: Set[str]) -> Iterator[TermSpan]:
        """Find where any of the wanted terms are in a text, by their beginnings.

        A term may be found twice at the same place.
        """
        if text.isascii() or not (_NON_JOINER in text or _MAYBE_INVISIBLE.search(text)):
            yield from self._find(text, wanted)
            return
        split = _Visible(text, _INVISIBLE)
        found = split.original_spans(self._find(split.text, wanted))
        if _NON_JOINER in text:
            joined = _Visible(text, _INVISIBLE_OR_NON_JOINER)
            also = joined.original_spans(self._find(joined.text, wanted))
            found = merge(found, also, key=attrgetter("start"))
        yield from found

    def _find(self, text: str, wanted: Set[str]) -> Iterator[TermSpan]:
        for match in _piece_matches(text):
            piece = match[0]
            if _IS_UNSPACED.match(piece):
                yield from self._find_in_unspaced(piece, match.start(), wanted)
                continue
            terms = self._terms_of(piece)
            if not wanted.isdisjoint(terms):
                yield TermSpan(terms, match.start(), match.end())

    def _find_in_unspaced(self, run: str, offset: int, wanted: Set[str]) -> Iterator[TermSpan]:
        for start in range(len(run)):
            for end in range(start + 1, min(start + 2, len(run)) + 1):
                terms = self._cached_longest(run[start:end])
                if not wanted.isdisjoint(terms):
                    yield TermSpan(terms, offset + start, offset + end)

    def _terms_of(self, piece: str) -> tuple[str, ...]:
        return self._cached_terms(piece) if len(piece) <= MAX_TERM_LENGTH else self._terms(piece)

    def _terms(self, piece: str) -> tuple[str, ...]:
        if piece.isascii() and piece.isalnum() and len(piece) <= MAX_TERM_LENGTH:
            return (self._stem(piece.lower()),)
        return tuple(term for part in _pieces(piece) for term in self._terms_of_part(part))

    def _terms_of_part(self, part: str) -> Iterator[str]:
        if _IS_UNSPACED.match(part):
            yield from _characters_and_pairs(fold(part))
            return
        # The English stemmer only knows a to z. Those of other languages need the accents.
        needs_accents = self.language.stemmer not in {"", "porter"}
        is_stemmed = needs_accents and len(part) <= MAX_TERM_LENGTH
        text = self._stem(unicodedata.normalize("NFC", part.lower())) if is_stemmed else part
        # Folding can turn one letter into several words, none, or one of an unspaced script.
        for each in _pieces(fold(text)):
            if _IS_UNSPACED.match(each):
                yield from _characters_and_pairs(each)
            elif needs_accents or len(each) > MAX_TERM_LENGTH:
                yield _shortened(each)
            else:
                yield self._stem(each)

    def _stem(self, word: str) -> str:
        if self._stemmer is None:
            return word
        with self._stemmer_lock:
            stem: str = self._stemmer.stemWord(word)
        return stem or word


def indexed_part(content: str) -> str:
    """Return the part of a message's content that is indexed."""
    if len(content) * 4 <= MAX_INDEXED_BYTES:
        return content
    return content.encode()[:MAX_INDEXED_BYTES].decode(errors="ignore")


def fold(text: str) -> str:
    """Return a text without case, accents and invisible characters."""
    if text.isascii():
        return text.lower()
    if len(text) > MAX_TERM_LENGTH:
        # Normalization sorts a run of marks in quadratic time, in C, while no other thread runs.
        pieces = range(0, len(text), MAX_TERM_LENGTH)
        return "".join(fold(text[start : start + MAX_TERM_LENGTH]) for start in pieces)
    # Twice, because a mathematical bold letter has no case before it is normalized.
    plain = unicodedata.normalize("NFKD", text).casefold()
    parts = unicodedata.normalize("NFKD", plain)
    letters = "".join(part for part in parts if not _is_accent(part)).translate(_LETTERS)
    return unicodedata.normalize("NFC", _without_invisible(letters))


def _shortened(word: str) -> str:
    """Return a folded word as it is, or what stands for it if it is longer than a term may be."""
    if len(word) <= MAX_TERM_LENGTH:
        return word
    digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=_HASHED_BYTES)
    return f"{word[:_KEPT_LENGTH]}{digest.hexdigest()}"


def _spaced(terms: Iterable[str]) -> str:
    return f" {' '.join(terms)} "


def _completed(start: str, endings: Iterable[str]) -> Iterator[str]:
    """Yield the words with one of the endings that begin like this, which may have a part of it."""
    yield start
    for ending in endings:
        for length in range(len(ending)):
            if start.endswith(ending[:length]):
                yield start + ending[length:]


def _without_invisible(text: str) -> str:
    if not _MAYBE_INVISIBLE.search(text):
        return text
    blocks = range(0, len(text), _BLOCK)
    return "".join(_INVISIBLE.sub("", text[start : start + _BLOCK]) for start in blocks)


class _Visible:
    """A text without some of its characters, and where the others are in the original.

    Attributes:
        text: what is left.
    """

    def __init__(self, original: str, left_out: re.Pattern[str]) -> None:
        parts, self._starts, self._shifts = [], [0], [0]
        end = size = 0
        for start in range(0, len(original), _BLOCK):
            for match in left_out.finditer(original, start, start + _BLOCK):
                parts.append(original[end : match.start()])
                size += match.start() - end
                end = match.end()
                self._starts.append(size)
                self._shifts.append(end - size)
        parts.append(original[end:])
        self.text = "".join(parts)

    def original_spans(self, spans: Iterator[TermSpan]) -> Iterator[TermSpan]:
        """Yield spans of the text as spans of the original."""
        for terms, start, end in spans:
            yield TermSpan(terms, self._original(start), self._original(end - 1) + 1)

    def _original(self, offset: int) -> int:
        return offset + self._shifts[bisect_right(self._starts, offset) - 1]


def is_unspaced(word: str) -> bool:
    """Return whether a word is of a script that does not separate words by spaces."""
    return _IS_UNSPACED.match(word) is not None


def folded_words(text: str) -> list[str]:
    """Return the words of a text without case and accents, but with their endings.

    Words can be of any length. A text of a script without spaces is one word.
    """
    return _pieces(fold(text))


def _pieces(text: str) -> list[str]:
    """Return the words of a text that has no invisible characters, joined and split."""
    if text.isascii():
        return _ASCII_PIECE.findall(text)
    find = _any_piece().findall
    pieces: list[str] = [piece for block in _blocks(text) for piece in find(text, *block)]
    return pieces + _pieces(text.replace(_NON_JOINER, "")) if _NON_JOINER in text else pieces


def _piece_matches(text: str) -> Iterator[re.Match[str]]:
    if text.isascii():
        yield from _ASCII_PIECE.finditer(text)
        return
    for start, end in _blocks(text):
        yield from _any_piece().finditer(text, start, end)


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Split a text into blocks that are searched one by one.

    They end where no word and no pair of characters can be cut. Only where there is no such place
    for a whole block, a word of this length may be.
    """
    start = 0
    while len(text) - start > 2 * _BLOCK:
        end = start + 2 * _BLOCK
        boundary = _boundary().search(text, start + _BLOCK, end)
        end = boundary.start() if boundary else end
        yield start, end
        start = end
    yield start, len(text)


@cache
def _boundary() -> re.Pattern[str]:
    """Match a character that is in no word, and not between two halves of one."""
    return re.compile(rf"[^\w{_NON_JOINER}{_UNSPACED}{_marks()}]")


@cache
def _any_piece() -> re.Pattern[str]:
    """Match a run of an unspaced script, an emoji, or letters and digits with their marks.

    Python's `\\w` leaves the marks out, which would split the words of many scripts.
    """
    word = f"(?:[^\\W_{_UNSPACED}]++|[{_marks()}]++)++"
    return re.compile(f"[{_UNSPACED}]+|[{_EMOJI}]|{word}")


@cache
def _marks() -> str:
    return "".join(
        character
        for character in map(chr, range(0x300, 0x1E950))
        if unicodedata.category(character).startswith("M")
        and not _INVISIBLE.match(character)
        and not _IS_UNSPACED.match(character)
    )


def _is_accent(character: str) -> bool:
    # Marks above and below letters (200 and more), and the points of Hebrew and Arabic (10 to 35),
    # which people may leave out; so are keys and circles around a character. Other marks are part
    # of the word.
    order = unicodedata.combining(character)
    return order >= 200 or 10 <= order <= 35 or "\u20dd" <= character <= "\u20e4"


def _characters_and_pairs(run: str) -> list[str]:
    pairs = [run[start : start + 2] for start in range(len(run) - 1)]
    return [*run, *pairs]


def _longest(terms: Sequence[str]) -> tuple[str, ...]:
    """Leave out the single characters that are also in a pair."""
    pairs = "".join(term for term in terms if len(term) == 2 and _IS_UNSPACED.match(term))
    return tuple(term for term in terms if len(term) > 1 or term not in pairs)
