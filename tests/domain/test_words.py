"""Words and snippets of any text at all."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from userkeep.domain.search.analyzer import MAX_WORD_LENGTH, Words, folded
from userkeep.domain.search.languages import LANGUAGES
from userkeep.domain.search.snippets import SNIPPET_LENGTH, snippet_of

WORDS = {name: Words(language) for name, language in LANGUAGES.items()}

# Any character, and more often those that words are made of in one script or another, those that
# change their length when they are folded, and those that belong to the one before.
telling = st.sampled_from(
    "aZ9_'- \n\0éßİ\u0131ﬁΐςÅ\uff57\U0001d400京都がｶﾞ서한กำာह्िм\u0301\u0308\u200d\ufe0f🍕❤👩"
)
texts = st.text(st.one_of(telling, st.characters(exclude_categories=["Cs"])), max_size=80)
letters = st.text(st.one_of(telling, st.characters(categories=["L", "Mn", "Nd"])), max_size=80)
languages = st.sampled_from(sorted(LANGUAGES))


@settings(deadline=None)
@given(text=texts, language=languages)
@example(text="a" * (MAX_WORD_LENGTH + 1), language="english")
@example(text="京" * 70, language="english")
@example(text="İ" * 70, language="german")
def test_any_text_has_words_and_every_place_of_one_is_among_them(text: str, language: str) -> None:
    words = WORDS[language]
    indexed = set(words.of(text))
    last = 0
    for piece in words.places(text, indexed):
        assert last <= piece.start < piece.end <= len(text)
        assert piece.words or not folded(text[piece.start : piece.end]).isalnum()
        assert indexed.issuperset(piece.words)
        last = piece.start


@settings(deadline=None)
@given(text=texts, language=languages)
def test_a_text_is_found_by_itself_and_by_each_of_its_pieces(text: str, language: str) -> None:
    words = WORDS[language]
    indexed = set(words.of(text))
    assert indexed.issuperset(words.asked(text))
    assert bool(indexed) == bool(words.asked(text))
    for piece in text.split():
        assert indexed.issuperset(words.asked(piece))


@settings(deadline=None)
@given(text=texts, language=languages)
@example(text="\u0301 \U0001e000", language="german")  # nothing is left of them
@example(text="\ufdfa", language="german")  # one letter, four words
def test_no_word_has_a_space_or_the_sign_of_a_name(text: str, language: str) -> None:
    for word in WORDS[language].of(text):
        assert word
        assert not any(character.isspace() or character in "\0\"@#'" for character in word), word


@settings(deadline=None)
@given(text=letters)
def test_case_and_accents_do_not_count(text: str) -> None:
    for words in (WORDS["none"], WORDS["english"]):
        # One more may be there: a pair whose parts were of different widths.
        assert set(words.of(text)) <= set(words.of(folded(text)))


@settings(deadline=None)
@given(parts=st.lists(texts, max_size=12), wanted=texts, language=languages)
def test_the_marks_of_a_snippet_are_words_that_were_asked_for(
    parts: list[str], wanted: str, language: str
) -> None:
    words = WORDS[language]
    content = " ".join(parts)
    asked = frozenset(words.asked(wanted))
    snippet = snippet_of(content, asked, words)
    shown = snippet.text.removeprefix("…").removesuffix("…")
    assert shown in content
    assert len(shown) <= SNIPPET_LENGTH
    last = 0
    for mark in snippet.marks:
        assert last <= mark.start < mark.end <= len(snippet.text)
        assert not asked.isdisjoint(words.of(snippet.text[mark.start : mark.end]))
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
def test_a_languages_endings_are_cut(language: str, one: str, other: str) -> None:
    assert WORDS[language].of(one) == WORDS[language].of(other)


def test_without_a_language_words_stay_as_they_are() -> None:
    assert WORDS["none"].of("The shoes") == ["the", "shoes"]
    assert list(WORDS["none"].asked("the shoes")) == ["the", "shoes"]
