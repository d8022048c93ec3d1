"""Terms and snippets of any text."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from userkeep.domain.search.analyzer import MAX_TERM_LENGTH, Analyzer, fold
from userkeep.domain.search.languages import LANGUAGES
from userkeep.domain.search.snippets import SNIPPET_LENGTH, make_snippet

LONG = 30_000
"""In code points: three of the blocks that the analyzer reads."""

ANALYZERS = {name: Analyzer(language) for name, language in LANGUAGES.items()}

# Any character, and more often letters of various scripts, characters whose length changes when
# they are folded, and combining characters.
interesting = st.sampled_from(
    "aZ9_'- \n\0éßİ\u0131ﬁΐςÅ\uff57\U0001d400京都がｶﾞ서한กำာह्िм\u0301\u0308\u200d\ufe0f🍕❤👩"
    "łøđæœŒ\u00ad\u0640\u200b\u200c\ufeff\u3164\u20e3"
)
texts = st.text(st.one_of(interesting, st.characters(exclude_categories=["Cs"])), max_size=80)
letters = st.text(st.one_of(interesting, st.characters(categories=["L", "Mn", "Nd"])), max_size=80)
languages = st.sampled_from(sorted(LANGUAGES))


@given(text=texts, language=languages)
@example(text="a" * (MAX_TERM_LENGTH + 1), language="english")
@example(text="京" * 70, language="english")
@example(text="İ" * 70, language="german")
def test_spans_of_terms_are_in_order_and_indexed(text: str, language: str) -> None:
    analyzer = ANALYZERS[language]
    indexed = set(analyzer.tokenize(text))
    last = 0
    for span in analyzer.find_terms(text, indexed):
        assert last <= span.start < span.end <= len(text)
        assert span.terms or not fold(text[span.start : span.end]).isalnum()
        assert indexed.issuperset(span.terms)
        last = span.start


@given(text=texts, language=languages)
def test_a_text_matches_itself_and_each_of_its_parts(text: str, language: str) -> None:
    analyzer = ANALYZERS[language]
    indexed = set(analyzer.tokenize(text))
    assert indexed.issuperset(analyzer.query_terms(text))
    assert bool(indexed) == bool(analyzer.query_terms(text))
    for piece in text.split():
        assert indexed.issuperset(analyzer.query_terms(piece))


@given(text=texts, language=languages)
@example(text="\u0301 \U0001e000", language="german")  # both are dropped
@example(text="\ufdfa", language="german")  # one letter, four words
def test_no_term_contains_a_space_or_a_reserved_character(text: str, language: str) -> None:
    for word in ANALYZERS[language].tokenize(text):
        assert word
        assert not any(character.isspace() or character in "\0\"@#'" for character in word), word


@given(text=letters)
def test_case_and_accents_are_ignored(text: str) -> None:
    for analyzer in (ANALYZERS["none"], ANALYZERS["english"]):
        # There may be one more term: a bigram of characters of different widths.
        assert set(analyzer.tokenize(text)) <= set(analyzer.tokenize(fold(text)))


@given(words=st.lists(texts, min_size=1, max_size=5), language=languages)
def test_invisible_characters_change_no_term(words: list[str], language: str) -> None:
    analyzer = ANALYZERS[language]
    text = " ".join(words)
    for invisible in "\u00ad\u0640\u200d\u2060\u202e\ufeff\U000e0001":
        plain = text.replace(invisible, "")
        assert analyzer.tokenize(invisible.join(plain)) == analyzer.tokenize(plain)


@pytest.mark.parametrize(
    "word", ["shoe", "é", "京都", "می\u200cروم", "हिन्दी", "ไทย", "🍕", "x" * 99]
)
@pytest.mark.parametrize("between", [" ", "。", "→", "\u200b", " \ufeff"])
def test_long_texts_have_the_terms_of_their_words(word: str, between: str) -> None:
    analyzer = ANALYZERS["english"]
    terms = set(analyzer.tokenize(word))
    piece = f"{word}{between}"
    text = f"Ñ{between}{piece * (LONG // len(piece))}"
    assert set(analyzer.tokenize(text)) == {"n", *terms}
    spans = list(analyzer.find_terms(text, terms))
    assert {term for span in spans for term in span.terms} == terms
    assert all(text[span.start : span.end] in word for span in spans)


@given(parts=st.lists(texts, max_size=12), wanted=texts, language=languages)
def test_the_marks_of_a_snippet_are_words_of_the_query(
    parts: list[str], wanted: str, language: str
) -> None:
    analyzer = ANALYZERS[language]
    content = " ".join(parts)
    asked = frozenset(analyzer.query_terms(wanted))
    snippet = make_snippet(content, asked, analyzer)
    shown = snippet.text.removeprefix("…").removesuffix("…")
    assert shown in content
    assert len(shown) <= SNIPPET_LENGTH
    last = 0
    for mark in snippet.marks:
        assert last <= mark.start < mark.end <= len(snippet.text)
        assert not asked.isdisjoint(analyzer.tokenize(snippet.text[mark.start : mark.end]))
        last = mark.end


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("english", "hiking", "hikes"),
        ("english", "ponies", "pony"),
        ("german", "Wohnungen", "Wohnung"),
        ("german", "Häuser", "Hauser"),
        ("french", "chevaux blancs", "cheval blanc"),
        ("spanish", "canciones", "canción"),
        ("none", "Shoes", "SHOES"),
    ],
)
def test_words_are_stemmed(language: str, one: str, other: str) -> None:
    assert ANALYZERS[language].tokenize(one) == ANALYZERS[language].tokenize(other)


def test_without_a_language_words_are_not_stemmed() -> None:
    assert ANALYZERS["none"].tokenize("The shoes") == ["the", "shoes"]
    assert list(ANALYZERS["none"].query_terms("the shoes")) == ["the", "shoes"]


@given(text=st.text(interesting, min_size=MAX_TERM_LENGTH + 1, max_size=4 * MAX_TERM_LENGTH))
@example(text="\u0e48" * MAX_TERM_LENGTH + "\u0e38" * MAX_TERM_LENGTH)  # marks out of order
def test_text_is_normalized_in_pieces_of_the_length_of_a_term(text: str) -> None:
    pieces = range(0, len(text), MAX_TERM_LENGTH)
    folded = "".join(fold(text[start : start + MAX_TERM_LENGTH]) for start in pieces)
    assert fold(text) == folded
